"""Progress rows reach the client while the import runs, and an import that is
left half way never commits."""

import psycopg
from psycopg.types.json import Jsonb

from support import adds_up, connect, counts, csv_text, failure, finish, fresh_database, ok, same, upload

ROWS = 40000
MAPPING = Jsonb({"module": "leads", "columns": {"Email": "email", "Name": "name", "Phone": "phone.mobile"}})
IMPORT = "SELECT crm_import(%s, %s, 'skip')"


def lead_file(prefix):
    return csv_text(
        ["Email", "Name", "Phone"],
        [(f"{prefix}{i}@example.com", f"Ann Lee{i}", f"+49 30 {i:07}") for i in range(ROWS)],
    )


def people(connection):
    return connection.execute("SELECT count(*) FROM crm.people").fetchone()[0]


def test_rows_arrive_early(session, watcher):
    """The first row is in the client's hands while another session sees the import at work."""
    handle = upload(session, lead_file("early"))
    rows = []
    seen = None
    for row in session.cursor().stream(IMPORT, [handle, MAPPING]):
        rows.append(row[0])
        if len(rows) == 1:
            seen = watcher.execute(
                "SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = %s",
                [session.info.backend_pid],
            ).fetchone()
    ok(len(rows) > 2, "an import of many batches returns many rows", len(rows))
    ok(seen is not None, "pg_stat_progress_copy still shows the import after the first row")
    ok(all(adds_up(row) for row in rows), "the counts add up in every row")
    same([row.rows_read for row in rows], sorted(row.rows_read for row in rows), "rows_read never falls")
    same({row.state for row in rows[:-1]}, {"running"}, "all rows but the last say running")
    same(rows[-1].state, "completed", "the last row says completed")
    same(counts(rows[-1]), (ROWS, 0, 0, 0, 0), "the last row counts every row of the file")
    same(float(rows[-1].percent), 100.0, "the last row says 100 percent")
    same(len({row.job_id for row in rows}), 1, "one job id in all rows")
    same(
        watcher.execute("SELECT count(*) FROM pg_stat_progress_copy").fetchone()[0],
        0,
        "pg_stat_progress_copy is empty afterwards",
    )


def test_in_from(session):
    """In FROM the same rows come as a table."""
    handle = upload(session, lead_file("table"))
    rows = session.execute("SELECT state, rows_read FROM crm_import(%s, %s)", [handle, MAPPING]).fetchall()
    same((len(rows) > 2, rows[-1]), (True, ("completed", ROWS)), "in FROM all rows come as a table")


def early_end(session, name, leave):
    """Runs `leave` in a transaction that must not be able to commit."""
    before = people(session)
    handle = upload(session, lead_file("left"))
    error = None
    try:
        session.execute("BEGIN")
        leave(handle)
        session.execute("COMMIT")
    except psycopg.Error as problem:
        error = problem
        session.execute("ROLLBACK")
    ok(error is not None, f"{name}: an error at the latest on commit")
    ok(error is None or "import" in str(error), f"{name}: the error speaks of the import", error)
    same(people(session), before, f"{name}: nothing is kept")


def test_early_ends(session):
    """Every way to stop reading before the last row."""

    def limit(handle):
        session.execute("SELECT crm_import(%s, %s) LIMIT 1", [handle, MAPPING])

    def declare(handle):
        # DECLARE takes no parameters from outside
        mapping = psycopg.sql.Literal(MAPPING).as_string(session)
        session.execute(f"DECLARE c CURSOR FOR SELECT crm_import('{handle}', {mapping})")
        row = session.execute("FETCH 1 FROM c").fetchone()[0]
        same(row.state, "running", "FETCH 1 gives the first progress row")

    def close(handle):
        declare(handle)
        session.execute("CLOSE c")

    early_end(session, "LIMIT 1", limit)
    early_end(session, "FETCH 1 from a cursor", declare)
    early_end(session, "a closed cursor", close)

    before = people(session)
    handle = upload(session, lead_file("single"))
    error = None
    try:
        session.execute("SELECT crm_import(%s, %s) LIMIT 1", [handle, MAPPING])
    except psycopg.Error as problem:
        error = problem
    ok(error is not None, "LIMIT 1 as a statement of its own fails too")
    same(people(session), before, "and keeps nothing")

    session.execute("BEGIN")
    declare(upload(session, lead_file("back")))
    session.execute("ROLLBACK")
    same(people(session), before, "ROLLBACK in the middle is fine and keeps nothing")

    session.execute("BEGIN")
    declare(upload(session, lead_file("whole")))
    session.execute("FETCH ALL FROM c")
    session.execute("COMMIT")
    same(people(session), before + ROWS, "a cursor read to its end commits")


def test_savepoint(session):
    """Going back to a savepoint before the import makes the transaction good again."""
    before = people(session)
    session.execute("BEGIN")
    session.execute("SAVEPOINT s")
    handle = upload(session, lead_file("sub"))
    failure(session, "SELECT crm_import(%s, %s) LIMIT 1", [handle, MAPPING])  # now, or on commit
    session.execute("ROLLBACK TO SAVEPOINT s")
    session.execute("COMMIT")
    same(people(session), before, "ROLLBACK TO a savepoint before it: COMMIT goes through, nothing is kept")


def main():
    session = fresh_database("crmio_progress")
    session.execute("SET crmio.batch_rows = 1000")
    watcher = connect("crmio_progress")
    test_rows_arrive_early(session, watcher)
    test_in_from(session)
    test_early_ends(session)
    test_savepoint(session)
    finish()


main()
