"""The part of make bench that measures XLSX and PDF: seconds, rows per second, size of
the file and memory of the server process. A PDF is composed in memory, so it gets fewer
rows than a sheet.
"""

import os
import statistics
import threading
import time

PDF_ROWS = 10000


def export(connect, memory_of, path, format, rows):
    """Seconds, and the peak of the private memory in MB, of one export in a new session."""
    with connect() as session:
        pid, peak, done = session.info.backend_pid, [0.0], threading.Event()

        def watch():
            while not done.wait(0.01):
                peak[0] = max(peak[0], memory_of(pid, "RssAnon"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.monotonic()
        count = session.execute(
            "SELECT crm_export_to(%s, %s, %s)", [path, f"SELECT * FROM contacts LIMIT {rows}", format]
        ).fetchone()[0]
        seconds = time.monotonic() - start
        done.set()
        watcher.join()
        if count != rows:
            raise SystemExit(f"{format}: exported {count} rows, expected {rows}")
        return seconds, peak[0]


def measure(connect, prepare, memory_of, wanted, folder, rows, runs):
    """Measures all wanted formats and prints them."""
    todo = [
        (format, count)
        for format, count in (("xlsx", rows // 10), ("xlsx", rows), ("pdf", min(rows, PDF_ROWS)))
        if wanted("export_" + format)
    ]
    if not todo:
        return
    with connect() as session:
        prepare(session, True)
    print(f"\n{'files, median of ' + str(runs):<46}{'seconds':>9}{'rows/s':>9}{'MB':>9}{'private':>9}")
    for format, count in todo:
        path = os.path.join(folder, "exported." + format)
        results = [export(connect, memory_of, path, format, count) for _ in range(runs)]
        seconds = statistics.median(result[0] for result in results)
        print(
            f"{f'crm_export_to {format}, {count} rows':<46}{seconds:>9.2f}{count / seconds:>9.0f}"
            f"{os.path.getsize(path) / 1e6:>9.1f}{max(result[1] for result in results):>9.0f}"
        )
