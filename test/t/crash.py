"""kill -9 of the backend in the middle of an import: the server comes back, and
no row of the import is there."""

import os
import signal
import time

import psycopg
from psycopg.types.json import Jsonb

from support import connect, counts, csv_text, finish, fresh_database, ok, run_import, same, upload

ROWS = 20000
DATABASE = "crmio_crash"
MAPPING = {"module": "leads", "columns": {"Email": "email", "Phone": "phone.work"}}


def reconnect():
    """Waits until the server has recovered."""
    for _ in range(600):
        try:
            return connect(DATABASE)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit("the server did not come back")


def main():
    session = fresh_database(DATABASE)
    handle = upload(
        session, csv_text(["Email", "Phone"], [(f"crash{i}@example.com", f"030 {i:07}") for i in range(ROWS)])
    )
    session.execute("CHECKPOINT")

    session.execute("SET crmio.batch_rows = 500")
    pid = session.info.backend_pid
    rows = []
    error = None
    try:
        for row in session.cursor().stream("SELECT crm_import(%s, %s)", [handle, Jsonb(MAPPING)]):
            rows.append(row[0])
            if len(rows) == 2:
                os.kill(pid, signal.SIGKILL)
    except psycopg.OperationalError as problem:
        error = problem
    ok(error is not None, "the client learns that its server process is gone")
    ok(2 <= len(rows) < ROWS // 500, "it died in the middle of the import", len(rows))

    session = reconnect()
    same(session.execute("SELECT count(*) FROM crm.people").fetchone()[0], 0, "no row of the import is there")
    same(session.execute("SELECT count(*) FROM crmio.job").fetchone()[0], 0, "and no job")
    same(
        counts(run_import(session, handle, MAPPING)[-1]),
        (ROWS, 0, 0, 0, 0),
        "the same upload imports afterwards",
    )
    same(session.execute("SELECT count(*) FROM crm.people").fetchone()[0], ROWS, "every row once")
    finish()


main()
