"""crm_rollback, crm_retry_errors and crm_cleanup: what needs other roles and sessions,
a dump, or many rows (ROLLBACK_ROWS; the time that a rollback takes is a note)."""

import os
import subprocess
import threading
import time

from support import (
    connect,
    counts,
    csv_text,
    drop_role,
    failure,
    fails,
    finish,
    fresh_database,
    ok,
    run_import,
    same,
    upload,
)

DATABASE = "crmio_rollback"
ROWS = int(os.environ.get("ROLLBACK_ROWS", "20000"))
LEADS = {"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}
CONTACTS = {
    "module": "contacts",
    "auto_create": ["account"],
    "columns": {"Email": "email", "Title": "job_title", "Account": "account.name"},
}
ROLES = ("crmio_uma", "crmio_vic", "crmio_chief")


def roll_back(connection, job, dry_run=False):
    """(deleted, restored, kept, blocked)"""
    return connection.execute("SELECT * FROM crm_rollback(%s, %s)", [job, dry_run]).fetchone()


def leads(connection, names, policy="skip", title="t"):
    """Imports some leads; the job's id."""
    rows = [(f"{name}@example.com", title) for name in names]
    return run_import(connection, upload(connection, csv_text(["Email", "Title"], rows)), LEADS, policy)[-1].job_id


def prepare():
    admin = fresh_database(DATABASE)
    for role in ROLES:
        drop_role(admin, role)
        admin.execute(f"CREATE ROLE {role} LOGIN")
    admin.execute("GRANT crmio_uma TO crmio_chief")
    admin.execute("GRANT USAGE ON SCHEMA crm TO PUBLIC")
    admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm TO crmio_uma, crmio_vic")
    return admin


def test_roles(admin):
    """A job is its owner's; the table's privileges and policies hold."""
    uma, vic, chief = (connect(DATABASE, user=role) for role in ROLES)
    job = leads(uma, ["r1", "r2"])
    bad = run_import(uma, upload(uma, "Email,Title\nbad@,x\n"), LEADS)[-1].job_id
    for what in ("crm_rollback", "crm_retry_errors"):
        fails(vic, f"{what} of another role's job", f"SELECT {what}({bad})", None, "42704", "no job")
    same(vic.execute("SELECT jobs FROM crm_cleanup('0')").fetchone()[0], 0, "another role's jobs are not cleaned up")
    same(failure(chief, f"SELECT * FROM crm_rollback({job}, true)"), None, "a member of the owner may roll back")

    admin.execute("REVOKE DELETE ON crm.people FROM crmio_uma")
    fails(uma, "a rollback without DELETE", f"SELECT crm_rollback({job})", None, "42501", "people")
    admin.execute("GRANT DELETE ON crm.people TO crmio_uma")
    change = leads(uma, ["r1"], "update:overwrite", "changed")
    admin.execute("REVOKE UPDATE ON crm.people FROM crmio_uma")
    fails(uma, "a rollback of changes without UPDATE", f"SELECT crm_rollback({change})", None, "42501", "people")
    admin.execute("GRANT UPDATE ON crm.people TO crmio_uma")
    same(roll_back(uma, change), (0, 1, 0, 0), "with the privileges again it works")

    admin.execute("ALTER TABLE crm.people ENABLE ROW LEVEL SECURITY")
    admin.execute("CREATE POLICY all_but_delete ON crm.people USING (true)")
    admin.execute("CREATE POLICY own ON crm.people AS RESTRICTIVE FOR DELETE USING (email <> 'p1@example.com')")
    job = leads(uma, ["p1", "p2"])
    same(roll_back(uma, job), (1, 0, 0, 1), "a record that a policy protects is blocked")
    admin.execute("ALTER TABLE crm.people DISABLE ROW LEVEL SECURITY")
    admin.execute("DROP POLICY own ON crm.people")

    # a search_path full of traps, and references that the caller does not see
    vic.execute("CREATE TEMP TABLE people (id int)")
    admin.execute("GRANT CREATE ON SCHEMA crm TO crmio_vic")
    vic.execute("CREATE FUNCTION crm.trap(xid, xid) RETURNS bool LANGUAGE sql AS 'SELECT true'")
    vic.execute("CREATE OPERATOR crm.= (LEFTARG = xid, RIGHTARG = xid, FUNCTION = crm.trap)")
    admin.execute(
        """CREATE TABLE crm.secret (id int PRIMARY KEY, person bigint REFERENCES crm.people ON DELETE CASCADE);
        ALTER TABLE crm.secret ENABLE ROW LEVEL SECURITY; ALTER TABLE crm.secret FORCE ROW LEVEL SECURITY"""
    )
    vic.execute("SET search_path = crm, public, pg_catalog")
    job = leads(vic, ["s1", "s2", "s3"])
    admin.execute("INSERT INTO crm.secret SELECT 1, id FROM crm.people WHERE email = 's1@example.com'")
    admin.execute("UPDATE crm.people SET job_title = 'edited' WHERE email = 's3@example.com'")
    same(roll_back(vic, job), (1, 0, 1, 1), "references that the caller does not see block, traps do not bite")
    same(admin.execute("SELECT count(*) FROM crm.secret").fetchone()[0], 1, "and are still there")
    admin.execute("DROP TABLE crm.secret; DROP OPERATOR crm.= (xid, xid); DROP FUNCTION crm.trap")

    error = uma.execute("SELECT (crm_retry_errors(%s)).errored", [bad]).fetchone()[0]
    same(error, 1, "the owner retries error rows")
    cleaned = uma.execute("SELECT jobs, error_rows FROM crm_cleanup('0')").fetchone()
    ok(cleaned[0] >= 5 and cleaned[1] == 2, "the owner cleans up", cleaned)
    fails(uma, "a rollback after that", f"SELECT crm_rollback({bad})", None, "55000", "any more")


def waits(admin, pid):
    """Waits until a session waits for a lock."""
    for _ in range(200):
        if admin.execute(
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchone()[0]:
            return True
        time.sleep(0.05)
    return False


def in_background(function, *arguments):
    """Runs a function in a thread; the result is in the list, or the error."""
    result = []

    def run():
        try:
            result.append(function(*arguments))
        except Exception as error:  # pylint: disable=broad-except
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


def test_sessions(admin):
    """Rollbacks and imports take turns; what others do meanwhile counts."""
    first, second = connect(DATABASE), connect(DATABASE)
    pid = second.info.backend_pid

    job = leads(admin, ["w1", "w2"])
    first.execute("BEGIN")
    same(roll_back(first, job), (2, 0, 0, 0), "the first rollback")
    thread, result = in_background(roll_back, second, job)
    ok(waits(admin, pid), "a second rollback of the job waits")
    first.execute("COMMIT")
    thread.join()
    ok("already" in str(result[0]), "and is refused then", result[0])

    job = leads(admin, ["w1", "w2"])
    first.execute("BEGIN")
    roll_back(first, job)
    thread, result = in_background(leads, second, ["w1", "w3"])
    ok(waits(admin, pid), "an import into the table waits for a rollback")
    first.execute("COMMIT")
    thread.join()
    same(
        admin.execute("SELECT count(*) FROM crm.people WHERE email LIKE 'w%'").fetchone()[0],
        2,
        "and creates what was rolled back",
    )

    # an edit and a reference that are not committed yet when the rollback comes
    job = leads(admin, ["x1", "x2", "x3", "x4"])
    admin.execute(
        "CREATE TABLE crm.follows (id int PRIMARY KEY, person bigint REFERENCES crm.people ON DELETE CASCADE)"
    )
    first.execute("BEGIN")
    first.execute("UPDATE crm.people SET job_title = 'edited' WHERE email = 'x1@example.com'")
    first.execute("INSERT INTO crm.follows SELECT 1, id FROM crm.people WHERE email = 'x2@example.com'")
    first.execute("DELETE FROM crm.people WHERE email = 'x3@example.com'")
    thread, result = in_background(roll_back, second, job)
    ok(waits(admin, pid), "a rollback waits for who edits its records")
    first.execute("COMMIT")
    thread.join()
    same(result[0], (1, 0, 1, 1), "the edited stays, so does the one referred to")
    same(admin.execute("SELECT count(*) FROM crm.follows").fetchone()[0], 1, "and so does who refers to it")

    # the same where the server checks the reference: no lock is needed before
    admin.execute("DROP TABLE crm.follows")
    job = leads(admin, ["y1", "y2", "y3"])
    first.execute("BEGIN")
    first.execute("INSERT INTO crm.tickets (title, customer_id) SELECT 't', id FROM crm.people WHERE email = 'y2@example.com'")
    first.execute("UPDATE crm.people SET job_title = 'edited' WHERE email = 'y1@example.com'")
    thread, result = in_background(roll_back, second, job)
    ok(waits(admin, pid), "a rollback waits for who refers to its records")
    first.execute("COMMIT")
    thread.join()
    same(result[0], (1, 0, 1, 1), "and leaves what is edited, and what is referred to")

    job = leads(admin, ["z1", "z2"], title="old")
    change = leads(admin, ["z1", "z2"], "update:overwrite", "new")
    first.execute("BEGIN")
    first.execute("UPDATE crm.people SET job_title = 'edited' WHERE email = 'z1@example.com'")
    thread, result = in_background(roll_back, second, change)
    ok(waits(admin, pid), "a rollback of changes waits for who edits")
    first.execute("COMMIT")
    thread.join()
    same(result[0], (0, 1, 1, 0), "and keeps the edit")

    # an error in the middle, a cancelled rollback: nothing of it is done
    admin.execute(
        """CREATE FUNCTION crm.slow() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM pg_sleep(30); RETURN OLD; END$$;
        CREATE TRIGGER slow BEFORE DELETE ON crm.people FOR EACH ROW
        WHEN (OLD.email = 'c2@example.com') EXECUTE FUNCTION crm.slow()"""
    )
    job = leads(admin, ["c1", "c2"])
    second.execute("SET statement_timeout = '300ms'")
    fails(second, "a rollback that takes too long", f"SELECT crm_rollback({job})", None, "57014", "timeout")
    second.execute("RESET statement_timeout")
    admin.execute("DROP FUNCTION crm.slow CASCADE")
    same(roll_back(second, job), (2, 0, 0, 0), "and nothing of it was done")

    # all of it in one transaction, and at the stricter isolation levels
    first.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    job = leads(first, ["t1", "t2"])
    same(roll_back(first, job), (2, 0, 0, 0), "import and rollback in one serializable transaction")
    first.execute("COMMIT")


def test_dump():
    """After a dump and restore nobody knows who wrote a record: created ones stay, changes
    come back where the values tell."""
    session = fresh_database("crmio_undo_source")
    created = leads(session, ["d1", "d2"], title="one")
    changed = leads(session, ["d1", "d2"], "update:overwrite", "two")
    session.execute("UPDATE crm.people SET job_title = 'edited' WHERE email = 'd2@example.com'")
    admin = connect("postgres")
    admin.execute("DROP DATABASE IF EXISTS crmio_undo_copy WITH (FORCE)")
    admin.execute("CREATE DATABASE crmio_undo_copy")
    dump = subprocess.run(["pg_dump", "crmio_undo_source"], check=True, capture_output=True)
    subprocess.run(["psql", "-Xq", "-d", "crmio_undo_copy"], input=dump.stdout, check=True, capture_output=True)
    copy = connect("crmio_undo_copy")
    same(roll_back(copy, changed), (0, 1, 1, 0), "after a restore: a change comes back by its values")
    same(roll_back(copy, created), (0, 0, 2, 0), "after a restore: created records stay")
    third = leads(session, ["d3", "d4"])
    session.execute("VACUUM FREEZE crm.people")
    session.execute("VACUUM FULL crm.people")
    same(roll_back(session, third), (2, 0, 0, 0), "frozen and moved records are known")


def test_many(admin):
    """A large job of several batches, with accounts made for it; chains of references."""
    admin.execute("DELETE FROM crm.tickets; DELETE FROM crm.people; DELETE FROM crm.accounts")
    admin.execute("SET crmio.batch_rows = 5000")
    rows = [(f"u{i}@example.com", i % 7, f"Account {i % (ROWS // 20)}") for i in range(ROWS)]
    handle = upload(admin, csv_text(["Email", "Title", "Account"], rows))
    start = time.monotonic()
    new = run_import(admin, handle, CONTACTS)[-1]
    import_time = time.monotonic() - start
    same(counts(new), (ROWS, 0, 0, 0, 0), "many rows go in")
    before = admin.execute("SELECT sum(hashtext(p::text)::bigint) FROM (SELECT id, lifecycle, email, job_title, account_id FROM crm.people) p").fetchone()
    handle = upload(admin, csv_text(["Email", "Title", "Account"], [(a, "x", c + "!") for a, _, c in rows]))
    changed = run_import(admin, handle, CONTACTS, "update:overwrite")[-1]
    same(counts(changed), (0, ROWS, 0, 0, 0), "and are all changed")
    same(roll_back(admin, changed.job_id), (ROWS // 20, ROWS, 0, 0), "the changes of all come back")
    after = admin.execute("SELECT sum(hashtext(p::text)::bigint) FROM (SELECT id, lifecycle, email, job_title, account_id FROM crm.people) p").fetchone()
    same(after, before, "exactly")

    again = run_import(admin, upload(admin, csv_text(["Email", "Title", "Account"], [("v" + a, b, "New " + c) for a, b, c in rows])), CONTACTS)[-1]
    admin.execute("UPDATE crm.people SET notes = 'edited' WHERE email = 'vu17@example.com'")
    start = time.monotonic()
    same(roll_back(admin, again.job_id), (ROWS + ROWS // 20 - 2, 0, 1, 1), "all created go but one, and its account")
    rollback_time = time.monotonic() - start
    same(
        admin.execute("SELECT count(*) FROM crm.people WHERE email LIKE 'v%'").fetchone()[0], 1, "no other is left"
    )
    print(f"note - {ROWS} rows: import {import_time:.1f} s, rollback {rollback_time:.1f} s", flush=True)

    # every second record is refused by a trigger: each alone, with few live subtransactions
    admin.execute(
        """CREATE FUNCTION crm.odd() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN IF OLD.id % 2 = 1 THEN RAISE EXCEPTION 'odd'; END IF; RETURN OLD; END$$;
        CREATE TRIGGER odd BEFORE DELETE ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.odd()"""
    )
    job = leads(admin, [f"odd{i}" for i in range(500)])
    same(roll_back(admin, job), (250, 0, 0, 250), "every second record is refused")
    same(
        admin.execute("SELECT count(*), count(*) FILTER (WHERE id % 2 = 1) FROM crm.people WHERE email LIKE 'odd%'").fetchone(),
        (250, 250),
        "and those are the ones that are left",
    )


def main():
    admin = prepare()
    test_roles(admin)
    test_sessions(admin)
    test_dump()
    test_many(admin)
    finish()


main()
