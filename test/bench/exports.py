"""The part of make bench that measures exports: crm_export next to COPY (query) TO.

Both send the same query's rows of the table that run.py fills, through psql to
/dev/null, or write them to a file on the server. The reference of each case is the
COPY that does the same.
"""

import os
import statistics
import subprocess
import threading
import time

QUERY = "SELECT * FROM contacts"


def psql(statement):
    """The time of a statement whose rows psql takes in portions, as a large export should be."""
    command = ["psql", "-XAtq", "-d", "bench", "-v", "FETCH_COUNT=1000", "-c", statement]
    start = time.monotonic()
    with open(os.devnull, "wb") as sink:
        subprocess.run(command, stdout=sink, check=True)
    return time.monotonic() - start


def on_server(session, statement):
    start = time.monotonic()
    session.execute(statement)
    return time.monotonic() - start


def cases(folder):
    """name, what it is, the case, the name of its reference"""
    copied, exported = os.path.join(folder, "copied.csv"), os.path.join(folder, "exported")
    return [
        ("copy_out", "COPY (query) TO STDOUT", lambda s: psql(f"COPY ({QUERY}) TO STDOUT (FORMAT csv, HEADER)"), None),
        ("export", "crm_export(query)", lambda s: psql(f"SELECT crm_export('{QUERY}')"), "copy_out"),
        (
            "copy_out_file",
            "COPY (query) TO file",
            lambda s: on_server(s, f"COPY ({QUERY}) TO '{copied}' (FORMAT csv, HEADER)"),
            None,
        ),
        (
            "export_to",
            "crm_export_to(file, query)",
            lambda s: on_server(s, f"SELECT crm_export_to('{exported}.csv', '{QUERY}')"),
            "copy_out_file",
        ),
        (
            "export_list",
            "crm_export_to(file, module)",
            lambda s: on_server(s, f"SELECT crm_export_to('{exported}.csv', 'bench')"),
            "copy_out_file",
        ),
    ]


def memory(connect, memory_of, folder, rows):
    """Peak of the private memory, in MB, of the server process of one export."""
    with connect() as session:
        pid, peak, done = session.info.backend_pid, [0.0], threading.Event()

        def watch():
            while not done.wait(0.01):
                peak[0] = max(peak[0], memory_of(pid, "RssAnon"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        on_server(session, f"SELECT crm_export_to('{folder}/memory.csv', '{QUERY} LIMIT {rows}')")
        done.set()
        watcher.join()
        return peak[0]


def measure_speed(connect, prepare, wanted, folder, rows, runs):
    """Medians of all wanted cases."""
    todo = [case for case in cases(folder) if wanted(case[0])]
    if not todo:
        return
    with connect() as session:
        prepare(session, True)
    seconds = {}
    for name, _, case, _ in todo:
        with connect() as session:
            seconds[name] = statistics.median(case(session) for _ in range(runs))
    print(f"\n{'exports, median of ' + str(runs):<46}{'seconds':>9}{'to COPY':>9}{'rows/s':>10}")
    for name, title, _, reference in todo:
        ratio = f"{seconds[name] / seconds[reference]:.2f}" if reference in seconds else "-"
        print(f"{title:<46}{seconds[name]:>9.2f}{ratio:>9}{rows / seconds[name]:>10.0f}")


def print_memory(connect, prepare, memory_of, folder, rows):
    """Memory of exports of a tenth of the rows, and of all."""
    with connect() as session:
        prepare(session, True)
    for count in (rows // 10, rows):
        peak = memory(connect, memory_of, folder, count)
        print(f"{f'crm_export_to of {count} rows, private':<46}{'':>9}{peak:>9.0f}")
