"""Imports in the background: progress seen from another session, cancel, resume, the queue,
death of workers and of the server, and what other roles see of it.

CRMIO_KILLS sets how often each way of dying is tried (2 if it is not set; an orderly stop of
the server half as often).
"""

import os
import random
import signal
import subprocess
import time

import psycopg
from psycopg.types.json import Jsonb

from support import (
    adds_up,
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

DATABASE = "crmio_jobs"
START = "SELECT crm_import_start(%s, %s, %s)"
LEADS = {"module": "leads", "columns": {"Email": "email", "Phone": "phone.work"}}
PATIENCE = "60 s"


def leads(rows, prefix="lead"):
    return csv_text(["Email", "Phone"], [(f"{prefix}{i}@example.com", f"030 {i:07}") for i in range(rows)])


def start(session, content, mapping, policy="skip"):
    """Uploads a file and starts its import; returns the job's id."""
    return session.execute(START, [upload(session, content), Jsonb(mapping), policy]).fetchone()[0]


def job(session, job_id):
    return session.execute("SELECT crm_job(%s)", [job_id]).fetchone()[0]


def wait(session, job_id, timeout=PATIENCE):
    return session.execute("SELECT crm_job_wait(%s, %s)", [job_id, timeout]).fetchone()[0]


def reason(session, job_id):
    return session.execute("SELECT reason FROM crm_jobs WHERE job_id = %s", [job_id]).fetchone()[0]


def value(session, query, parameters=None):
    return session.execute(query, parameters).fetchone()[0]


def until(condition, seconds=30):
    """Waits until something is so; returns what it was, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return None


def worker_pid(session):
    return until(
        lambda: session.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'crmio import' AND datname = %s", [DATABASE]
        ).fetchone()
    )[0]


def no_worker(session):
    return until(
        lambda: value(session, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crmio import'") == 0
    )


def empty(session):
    session.execute("TRUNCATE crm.people, crm.accounts, crm.tickets RESTART IDENTITY")


# ---- progress ----


def test_progress():
    """200,000 rows: the submitter is gone, another session sees the counts rise and add up."""
    submitter = connect(DATABASE)
    handle = upload(submitter, leads(200000))
    with submitter.transaction():
        job_id = submitter.execute(START, [handle, Jsonb(LEADS), "skip"]).fetchone()[0]
        same(job(submitter, job_id).state, "queued", "before the commit the job is queued")
        fails(
            submitter,
            "waiting for a job of the same transaction",
            "SAVEPOINT s; SELECT crm_job_wait(" + str(job_id) + ")",
            None,
            "55000",
            "waits for this transaction",
        )
        submitter.execute("ROLLBACK TO s")
    submitter.close()

    watcher = connect(DATABASE)
    seen = []
    end = time.monotonic() + 100
    while time.monotonic() < end:
        seen.append(job(watcher, job_id))
        if seen[-1].state not in ("queued", "running"):
            break
        time.sleep(0.02)
    rows = [row.rows_read for row in seen]
    ok(len(set(rows)) > 3, "the counts rise while it runs", sorted(set(rows)))
    same(rows, sorted(rows), "rows_read never falls")
    ok(all(adds_up(row) for row in seen), "the counts add up whenever one looks")
    same((seen[-1].state, counts(seen[-1])), ("completed", (200000, 0, 0, 0, 0)), "the job completes")
    same(float(seen[-1].percent), 100.0, "at 100 percent")
    same(value(watcher, "SELECT count(*) FROM crm.people"), 200000, "all records are there")
    same(value(watcher, "SELECT count(*) FROM crmio.upload"), 0, "the upload has gone with the job")
    ok(no_worker(watcher), "the worker has gone too")
    history = watcher.execute(
        "SELECT file_name, module, policy, owner, state, created, ended_at > started_at FROM crm_jobs WHERE job_id = %s",
        [job_id],
    ).fetchone()
    same(
        history, ("test.csv", "leads", "skip", "postgres", "completed", 200000, True), "crm_jobs has its history"
    )
    empty(watcher)


def test_same_as_in_transaction(session):
    """Auto: a small file is imported at once, a large one queued; a job in a transaction is history too."""
    auto = {**LEADS, "mode": "auto"}
    small = run_import(session, upload(session, leads(50000)), auto)
    same((small[-1].state, small[-1].created), ("completed", 50000), "auto: 50,000 rows stay in the transaction")
    same(job(session, small[-1].job_id).state, "completed", "crm_job knows a job that ran in a transaction")
    fails(session, "cancelling it", f"SELECT crm_cancel({small[-1].job_id})", None, "55000", "background")
    fails(session, "resuming it", f"SELECT crm_resume({small[-1].job_id})", None, "55000", "background")
    large = run_import(session, upload(session, leads(50001)), auto)
    same(
        [(row.state, row.rows_read) for row in large], [("queued", 0)], "auto: 50,001 rows give one queued row"
    )
    done = wait(session, large[0].job_id)
    same((done.state, done.created, done.skipped), ("completed", 1, 50000), "and are imported in the background")
    empty(session)


def test_refused(session):
    """Errors of the call are those of crm_import, and nothing is queued."""
    before = value(session, "SELECT count(*) FROM crmio.job")
    handle = upload(session, "Email\nann@example.com\n")
    for name, mapping, policy, sqlstate in (
        ("an unknown module", {"module": "nothing"}, "skip", "42704"),
        ("an unknown column", {"module": "leads", "columns": {"Mail": "email"}}, "skip", "42703"),
        ("an unknown policy", {"module": "leads"}, "merge", "22023"),
        ("an unknown mode", {"module": "leads", "mode": "later"}, "skip", "22023"),
        ("a match field that is not mapped", {"module": "leads", "match": ["company"]}, "skip", "22023"),
    ):
        fails(session, name, START, [handle, Jsonb(mapping), policy], sqlstate)
    fails(session, "a missing file", START, ["/nowhere/x.csv", Jsonb(LEADS), "skip"], "58P01")
    fails(session, "no mapping", START, [handle, None, "skip"], "22004")
    same(value(session, "SELECT count(*) FROM crmio.job"), before, "no job was queued by a refused call")
    session.execute("BEGIN")
    job_id = session.execute(START, [handle, Jsonb({"module": "leads"}), "skip"]).fetchone()[0]
    session.execute("ROLLBACK")
    fails(session, "a job that was rolled back", f"SELECT crm_job({job_id})", None, "42704", "no job")
    session.execute("SELECT crm_upload_drop(%s)", [handle])


# ---- cancel and resume ----

SLOW = """
    CREATE FUNCTION crm.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END$$;
    CREATE TRIGGER slow BEFORE INSERT ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.slow()
"""


def test_cancel(session):
    """Cancel in the middle keeps finished batches; resume imports the rest, once."""
    session.execute(SLOW)
    session.execute("SET crmio.batch_rows = 100")
    job_id = start(session, leads(2500), LEADS)
    until(lambda: job(session, job_id).rows_read >= 300)
    before = job(session, job_id).rows_read
    session.execute("BEGIN; SAVEPOINT s")
    session.execute("SELECT crm_cancel(%s)", [job_id])
    session.execute("ROLLBACK TO s; COMMIT")
    ok(
        until(lambda: job(session, job_id).rows_read > before + 200),
        "a cancellation that is rolled back does not stop it",
    )
    before = job(session, job_id).rows_read
    session.execute("SELECT crm_cancel(%s)", [job_id])
    done = wait(session, job_id)
    same(done.state, "cancelled", "a cancelled job says so")
    same(reason(session, job_id), 'cancelled by role "postgres"', "and who did it")
    ok(before <= done.rows_read <= before + 200, "it stops within two batches", (before, done.rows_read))
    same(value(session, "SELECT count(*) FROM crm.people"), done.rows_read, "finished batches stay")
    same(value(session, "SELECT count(*) FROM crmio.upload"), 1, "so does the upload")
    fails(session, "cancelling twice", f"SELECT crm_cancel({job_id})", None, "55000", "cancelled")

    session.execute("DROP TRIGGER slow ON crm.people")
    same(session.execute("SELECT crm_resume(%s)", [job_id]).fetchone()[0].state, "queued", "resume queues it")
    done = wait(session, job_id)
    same((done.state, counts(done)), ("completed", (2500, 0, 0, 0, 0)), "the resumed job imports the rest, once")
    same(value(session, "SELECT count(*) FROM crm.people"), 2500, "every record is there once")
    fails(session, "resuming a completed job", f"SELECT crm_resume({job_id})", None, "55000", "completed")
    same(value(session, "SELECT count(*) FROM crmio.upload"), 0, "and the upload has gone")
    session.execute("DROP FUNCTION crm.slow")
    session.execute("RESET crmio.batch_rows")
    empty(session)


def test_cancel_while_waiting(session):
    """A job that waits for the lock of its table is cancelled at once; one in the queue too."""
    other = connect(DATABASE)
    other.execute("BEGIN")
    run_import(other, upload(other, leads(1)), LEADS)
    job_id = start(session, leads(10, "w"), LEADS)
    until(lambda: job(session, job_id).state == "running")
    session.execute("SELECT crm_cancel(%s)", [job_id])
    same(wait(session, job_id, "10 s").state, "cancelled", "a job that waits for another import is cancelled")
    other.execute("ROLLBACK")
    session.execute("BEGIN")
    job_id = start(session, leads(10, "w"), LEADS)
    same(
        session.execute("SELECT crm_cancel(%s)", [job_id]).fetchone()[0].state,
        "cancelled",
        "a queued job is cancelled before it begins",
    )
    session.execute("COMMIT")
    time.sleep(0.3)
    same(value(session, "SELECT count(*) FROM crm.people"), 0, "and never begins")
    session.execute("SELECT crm_resume(%s)", [job_id])
    same(wait(session, job_id).created, 10, "until it is resumed")
    empty(session)


def test_cancel_open(session):
    """While somebody holds a queued job, the queue goes on, and no worker starts another in vain."""
    session.execute("ALTER DATABASE crmio_jobs SET crmio.max_background_jobs = 0; SET crmio.max_background_jobs = 0")
    held, behind = [start(session, leads(10, prefix), LEADS) for prefix in "hb"]
    time.sleep(0.3)
    session.execute("ALTER DATABASE crmio_jobs SET crmio.max_background_jobs = 1; RESET crmio.max_background_jobs")
    session = connect(DATABASE)
    other = connect(DATABASE)
    other.execute("BEGIN")
    other.execute("SELECT crm_cancel(%s)", [held])
    same(wait(session, behind, "10 s").state, "completed", "a job behind one that is about to be cancelled begins")
    no_worker(session)
    session.execute("SELECT count(*) FROM crm_jobs")
    time.sleep(0.5)
    seen = set()
    for _ in range(100):
        seen.update(
            session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'crmio import'").fetchall()
        )
        time.sleep(0.005)
    same(seen, set(), "workers do not start each other for it without end")
    other.execute("ROLLBACK")
    ok(
        until(lambda: value(session, "SELECT count(*) FROM crm.people") == 20, 10),
        "when it is not cancelled after all, it begins, though nobody looks",
    )
    same(wait(session, held).state, "completed", "and ends")
    session.execute("SELECT crm_rollback(%s)", [held])
    undone = job(session, held)
    same((undone.state, float(undone.percent)), ("rolled_back", 100.0), "undone, it had still read its file")
    fails(session, "cancelling it", f"SELECT crm_cancel({held})", None, "55000", "has been rolled back")
    session.execute("ALTER DATABASE crmio_jobs RESET crmio.max_background_jobs")
    empty(session)
    session.close()


def test_cleaned(session):
    """What crm_cleanup has cleaned up can't go on."""
    job_id = start(session, leads(10), {**LEADS, "max_errors": 0, "static": {"website": "?"}})
    same(wait(session, job_id).state, "failed", "a job that fails")
    session.execute("SELECT crm_cleanup('0')")
    fails(session, "resuming it when it is cleaned up", f"SELECT crm_resume({job_id})", None, "55000", "any more")
    fails(session, "undoing it too", f"SELECT crm_rollback({job_id})", None, "55000", "any more")
    same(value(session, "SELECT count(*) FROM crmio.upload"), 0, "its upload has gone")


def test_changed_file(session, folder):
    """A file that is not the same any more is not gone on with."""
    path = os.path.join(folder, "changing.csv")
    content = leads(3000)

    def write(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    write(content)
    session.execute(
        "CREATE FUNCTION crm.full() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF NEW.email = 'lead2500@example.com' THEN RAISE 'no space left on device' USING ERRCODE = '53100'; END IF;"
        " RETURN NEW; END$$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.full()"
    )
    session.execute("SET crmio.batch_rows = 500")
    job_id = session.execute(START, [path, Jsonb(LEADS), "skip"]).fetchone()[0]
    done = wait(session, job_id)
    same((done.state, done.rows_read), ("failed", 2500), "a full disk fails the job after the last finished batch")
    ok("no space left on device" in reason(session, job_id), "and is its reason", reason(session, job_id))
    session.execute("DROP TRIGGER full_disk ON crm.people; DROP FUNCTION crm.full")

    for name, text, says in (
        ("a shorter file", content[:-40], "bytes"),
        ("another file of the same size", content.replace("lead7@", "daem7@"), "not those that have been imported"),
    ):
        write(text)
        session.execute("SELECT crm_resume(%s)", [job_id])
        done = wait(session, job_id)
        same((done.state, done.rows_read), ("failed", 2500), f"{name} is not gone on with")
        ok(says in reason(session, job_id), f"{name}: the reason is clear", reason(session, job_id))
    os.unlink(path)
    session.execute("SELECT crm_resume(%s)", [job_id])
    same(wait(session, job_id).state, "failed", "nor is one that is gone")
    ok("could not open" in reason(session, job_id), "and the reason says so", reason(session, job_id))
    write(content)
    session.execute("SELECT crm_resume(%s)", [job_id])
    same(counts(wait(session, job_id)), (3000, 0, 0, 0, 0), "with the file back, the job ends well")
    same(value(session, "SELECT count(*) FROM crm.people"), 3000, "every record is there once")
    session.execute("RESET crmio.batch_rows")
    empty(session)


def test_dropped(session):
    """The upload, or the table, is dropped while the job waits or runs."""
    session.execute("ALTER DATABASE crmio_jobs SET crmio.max_background_jobs = 0; SET crmio.max_background_jobs = 0")
    handle = upload(session, leads(10))
    job_id = session.execute(START, [handle, Jsonb(LEADS), "skip"]).fetchone()[0]
    time.sleep(0.2)
    same(job(session, job_id).state, "queued", "with crmio.max_background_jobs = 0 nothing begins")
    ok("max_background_jobs" in reason(session, job_id), "and the job says why", reason(session, job_id))
    session.execute("SELECT crm_upload_drop(%s)", [handle])
    session.execute("ALTER DATABASE crmio_jobs RESET crmio.max_background_jobs; RESET crmio.max_background_jobs")
    same(wait(session, job_id).state, "failed", "a job whose upload was dropped fails")
    ok("upload" in reason(session, job_id), "and says so", reason(session, job_id))

    session.execute("CREATE TABLE crm.things (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, email text UNIQUE)")
    session.execute("SELECT crm_register_module('things', 'crm.things')")
    session.execute(SLOW.replace("crm.people", "crm.things"))
    session.execute("SET crmio.batch_rows = 50")
    job_id = start(session, leads(2000), {"module": "things", "columns": {"Email": "email"}})
    until(lambda: job(session, job_id).rows_read >= 100)
    session.execute("DROP TABLE crm.things")
    done = wait(session, job_id)
    same(done.state, "failed", "a job whose table was dropped fails")
    ok("no longer exists" in reason(session, job_id), "and says so", reason(session, job_id))
    session.execute("SELECT crm_upload_drop(handle) FROM crmio.upload; DROP FUNCTION crm.slow; RESET crmio.batch_rows")


def test_errors(session):
    """max_errors and dry_run in the background; a trigger's row errors are error rows."""
    rows = [(f"e{i}@example.com" if i % 10 else "nobody", f"030 {i:07}") for i in range(1000)]
    content = csv_text(["Email", "Phone"], rows)
    session.execute("SET crmio.batch_rows = 100")
    done = wait(session, start(session, content, LEADS))
    same(counts(done), (900, 0, 0, 0, 100), "error rows are counted over all batches")
    same(
        value(session, "SELECT count(*) FROM crm_errors(%s)", [done.job_id]), 100, "and are all in crm_errors"
    )
    empty(session)
    done = wait(session, start(session, content, {**LEADS, "max_errors": 45}))
    same((done.state, counts(done)), ("failed", (360, 0, 0, 0, 40)), "max_errors ends the job, finished batches stay")
    ok("more than 45 rows" in reason(session, done.job_id), "and is the reason", reason(session, done.job_id))
    ok(") Hint: The batches before" in reason(session, done.job_id), "with its hint", reason(session, done.job_id))
    empty(session)
    done = wait(session, start(session, content, {**LEADS, "dry_run": True}))
    same((done.state, counts(done)), ("completed", (900, 0, 0, 0, 100)), "a dry run counts")
    same(value(session, "SELECT count(*) FROM crm.people"), 0, "and keeps nothing")
    session.execute("SELECT crm_upload_drop(handle) FROM crmio.upload; RESET crmio.batch_rows")


def test_retry(session):
    """A batch that other sessions are in the way of is tried again; the job stays alive meanwhile."""
    session.execute(
        """
        CREATE SEQUENCE crm.tries;
        CREATE FUNCTION crm.interfere() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            PERFORM pg_advisory_unlock_all();
            IF NEW.email = 'lead150@example.com' AND nextval('crm.tries') < 3 THEN
                RAISE 'could not serialize access' USING ERRCODE = '40001';
            END IF;
            PERFORM pg_sleep(0.002);
            RETURN NEW; END$$;
        CREATE TRIGGER interfere BEFORE INSERT ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.interfere();
        SET crmio.batch_rows = 100
        """
    )
    job_id = start(session, leads(300), LEADS)
    states = set()
    while not states & {"completed", "failed", "cancelled"}:
        states.add(job(session, job_id).state)
    states.discard("queued")
    ok(states <= {"running", "completed"}, "a batch is tried again after a serialization failure", states)
    same(counts(job(session, job_id)), (300, 0, 0, 0, 0), "and nothing is imported twice")
    same(value(session, "SELECT last_value FROM crm.tries"), 3, "it took three attempts")
    session.execute("ALTER SEQUENCE crm.tries RESTART; DROP TRIGGER interfere ON crm.people")
    empty(session)
    session.execute(
        """
        CREATE OR REPLACE FUNCTION crm.interfere() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            PERFORM nextval('crm.tries');
            RAISE 'could not serialize access' USING ERRCODE = '40001'; END$$;
        CREATE TRIGGER interfere BEFORE INSERT ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.interfere()
        """
    )
    job_id = start(session, leads(1), LEADS)
    same(wait(session, job_id).state, "failed", "but not for ever")
    same(value(session, "SELECT last_value FROM crm.tries"), 3, "three times")
    session.execute(
        "DROP FUNCTION crm.interfere CASCADE; DROP SEQUENCE crm.tries; RESET crmio.batch_rows;"
        " SELECT crm_upload_drop(handle) FROM crmio.upload"
    )


def test_without_index(session):
    """Without an index the table is read once, not once per batch; again only after another import."""
    session.execute(
        """
        CREATE TABLE crm.plain (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, code text, remark text);
        INSERT INTO crm.plain (code, remark) SELECT 'old' || i, 'r' FROM generate_series(1, 1000) i;
        SELECT crm_register_module('plain', 'crm.plain', '{"match": ["code"]}');
        SET crmio.batch_rows = 100
        """
    )
    mapping = {"module": "plain", "columns": {"Code": "code", "Remark": "remark"}}

    def codes(prefix):
        return csv_text(["Code", "Remark"], [(f"{prefix}{i % 700}", i // 700) for i in range(2000)])

    session.execute("SELECT pg_stat_reset_single_table_counters('crm.plain'::regclass)")
    done = wait(session, start(session, codes("new"), mapping, "update:overwrite"))
    same(counts(done), (700, 1300, 0, 0, 0), "rows of later batches find the records of earlier ones")
    same(value(session, "SELECT count(*) FROM crm.plain WHERE code LIKE 'new%'"), 700, "none is there twice")
    no_worker(session)
    scans = until(lambda: value(session, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'plain'"))
    ok(scans is not None and scans < 5, "the table is read once, not for each of the batches", scans)

    session.execute(SLOW.replace("crm.people", "crm.plain"))
    job_id = start(session, codes("x"), mapping)
    until(lambda: job(session, job_id).rows_read >= 100)
    run_import(session, upload(session, codes("x")), mapping)
    done = wait(session, job_id)
    same(value(session, "SELECT count(*) FROM crm.plain WHERE code LIKE 'x%'"), 700, "two imports make no record twice")
    same(done.skipped + done.created, 2000, "what the other one made is found")
    session.execute(
        "SELECT crm_unregister_module('plain'); DROP TABLE crm.plain; DROP FUNCTION crm.slow; RESET crmio.batch_rows"
    )


def test_settings(session):
    """What gives values their meaning goes along; what a role may not set fails the job."""
    session.execute(
        """
        CREATE SCHEMA side;
        CREATE TABLE side.kinds (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, at timestamptz, tenant text,
            path text DEFAULT current_setting('search_path'));
        CREATE FUNCTION side.fill() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.tenant := current_setting('app.tenant', true); RETURN NEW; END$$;
        CREATE TRIGGER fill BEFORE INSERT ON side.kinds FOR EACH ROW EXECUTE FUNCTION side.fill();
        SELECT crm_register_module('kinds', 'side.kinds');
        SET TimeZone = 'Asia/Tokyo'; SET app.tenant = 'acme'; SET search_path = side, public
        """
    )
    mapping = {"module": "kinds", "columns": {"At": "at"}}
    wait(session, start(session, "At\n2026-01-02 03:04\n", mapping))
    session.execute("SET crmio.propagate_settings = 'App.Tenant, no.such'")
    wait(session, start(session, "At\n2026-01-02 03:04\n", mapping))
    same(
        session.execute("SELECT at AT TIME ZONE 'UTC' || '', tenant, path FROM side.kinds ORDER BY id").fetchall(),
        [("2026-01-01 18:04:00", None, "side, public"), ("2026-01-01 18:04:00", "acme", "side, public")],
        "TimeZone and search_path go along, others if crmio.propagate_settings names them",
    )
    fails(session, "no list of names", "SET crmio.propagate_settings = 'a b'", None, "22023")
    session.execute("RESET ALL; DROP SCHEMA side CASCADE; SELECT crm_unregister_module('kinds')")


# ---- the queue and its roles ----


def test_queue(session):
    """Three jobs at one place run one after the other, in their order."""
    session.execute("ALTER DATABASE crmio_jobs SET crmio.max_background_jobs = 1; SET crmio.max_background_jobs = 1")
    jobs = [start(session, leads(6000, f"q{i}x"), LEADS) for i in range(3)]
    most = 0
    while any(job(session, j).state in ("queued", "running") for j in jobs):
        states = session.execute("SELECT state FROM crm_jobs WHERE job_id = ANY (%s)", [jobs]).fetchall()
        most = max(most, states.count(("running",)))
        time.sleep(0.02)
    same(most, 1, "never more than crmio.max_background_jobs run")
    times = session.execute(
        "SELECT state, started_at >= lag(ended_at) OVER (ORDER BY job_id) FROM crm_jobs WHERE job_id = ANY (%s) ORDER BY job_id",
        [jobs],
    ).fetchall()
    same(
        times, [("completed", None), ("completed", True), ("completed", True)], "all three run, in their order"
    )
    session.execute("ALTER DATABASE crmio_jobs RESET crmio.max_background_jobs; RESET crmio.max_background_jobs")
    empty(session)

    # nobody looks while these run: the first worker gets the second place its own
    session.execute(SLOW)
    with session.transaction():
        jobs = [start(session, leads(200, f"p{i}x"), LEADS) for i in range(3)]
    ok(
        until(
            lambda: value(session, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crmio import'") == 2
        ),
        "jobs queued by one transaction run side by side, as many as may",
    )
    no_worker(session)
    same([job(session, j).state for j in jobs], ["completed"] * 3, "and the last one after them, unwatched")
    session.execute("DROP TRIGGER slow ON crm.people; DROP FUNCTION crm.slow")
    empty(session)


def test_roles(session):
    """Jobs run as their owner; others neither see nor touch them."""
    for role in ("crmio_jobs_ann", "crmio_jobs_bob", "crmio_jobs_nologin"):
        drop_role(session, role)
        session.execute(f"CREATE ROLE {role} LOGIN")
        session.execute(f"GRANT USAGE ON SCHEMA crm TO {role}; GRANT SELECT, INSERT ON crm.people TO {role}")
    session.execute("SET crmio.batch_rows = 100")
    session.execute("ALTER TABLE crm.people ADD COLUMN who text DEFAULT current_user || ' ' || session_user")
    ann, bob = connect(DATABASE, user="crmio_jobs_ann"), connect(DATABASE, user="crmio_jobs_bob")
    job_id = start(ann, leads(10), LEADS)
    same(counts(wait(ann, job_id)), (10, 0, 0, 0, 0), "an ordinary role imports in the background")
    same(
        value(session, "SELECT string_agg(DISTINCT who, ',') FROM crm.people"),
        "crmio_jobs_ann crmio_jobs_ann",
        "as itself, also for triggers and defaults",
    )
    for function in ("crm_job", "crm_cancel", "crm_resume", "crm_job_wait", "crm_errors"):
        fails(bob, f"{function} of another role's job", f"SELECT {function}({job_id})", None, "42704", "no job")
    same(bob.execute("SELECT * FROM crm_jobs").fetchall(), [], "crm_jobs shows nothing of it")
    same(ann.execute("SELECT job_id FROM crm_jobs").fetchall(), [(job_id,)], "its owner sees it there")
    session.execute("GRANT crmio_jobs_ann TO crmio_jobs_bob")
    same(job(bob, job_id).state, "completed", "a member of the owner sees it")
    session.execute("REVOKE crmio_jobs_ann FROM crmio_jobs_bob")

    session.execute("ALTER TABLE crm.people DROP COLUMN who")
    session.execute(SLOW)
    ann.execute("SET crmio.batch_rows = 100")
    job_id = start(ann, leads(3000, "r"), LEADS)
    until(lambda: job(ann, job_id).rows_read >= 100)
    session.execute("REVOKE INSERT ON crm.people FROM crmio_jobs_ann")
    same(wait(ann, job_id).state, "failed", "rights taken away in the middle end the job")
    ok("permission denied" in reason(ann, job_id), "and say so", reason(ann, job_id))
    session.execute("DROP TRIGGER slow ON crm.people; DROP FUNCTION crm.slow")
    test_escalation(session, bob)
    test_nologin(session)
    test_dropped_owner(session, ann, bob)
    session.execute("RESET crmio.batch_rows")
    empty(session)


def test_escalation(session, bob):
    """A trigger of somebody else's table does not become a superuser in the worker."""
    session.execute("CREATE SCHEMA crmio_jobs_bob AUTHORIZATION crmio_jobs_bob")
    bob.execute(
        """
        CREATE TABLE crmio_jobs_bob.got (tried text, result text);
        CREATE TABLE crmio_jobs_bob.trap (id bigint PRIMARY KEY, email text);
        CREATE FUNCTION crmio_jobs_bob.try() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE command text;
        BEGIN
            FOREACH command IN ARRAY ARRAY['RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION postgres',
                'RESET ROLE', 'SET ROLE postgres', 'RESET ALL'] LOOP
                BEGIN
                    EXECUTE command;
                EXCEPTION WHEN OTHERS THEN
                    NULL;
                END;
                INSERT INTO crmio_jobs_bob.got SELECT command, current_user || ' ' || session_user
                    || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user;
            END LOOP;
            RETURN NEW;
        END$$;
        CREATE TRIGGER try BEFORE INSERT ON crmio_jobs_bob.trap FOR EACH ROW EXECUTE FUNCTION crmio_jobs_bob.try();
        SELECT crm_register_module('trap', 'crmio_jobs_bob.trap');
        """
    )
    done = wait(bob, start(bob, "id,email\n1,a@example.com\n", {"module": "trap"}))
    same(done.created, 1, "a job with a curious trigger runs")
    same(
        bob.execute("SELECT DISTINCT result FROM crmio_jobs_bob.got").fetchall(),
        [("crmio_jobs_bob crmio_jobs_bob false",)],
        "whatever its trigger tries, it is the job's owner",
    )


def test_nologin(session):
    """A role without login: refused before 17, where no worker can be it."""
    session.execute("ALTER ROLE crmio_jobs_nologin NOLOGIN; SET ROLE crmio_jobs_nologin")
    handle = upload(session, leads(60000, "n"))
    if session.info.server_version < 170000:
        fails(
            session,
            "a job of a role without login",
            START,
            [handle, Jsonb(LEADS), "skip"],
            "55000",
            "may not log in",
        )
        last = run_import(session, handle, {**LEADS, "mode": "auto"})[-1]
        same(last.state, "completed", "auto imports it in the transaction instead")
    else:
        job_id = session.execute(START, [handle, Jsonb(LEADS), "skip"]).fetchone()[0]
        same(wait(session, job_id).state, "completed", "a job of a role without login runs")
        same(job(session, job_id).created, 60000, "and imports")
    session.execute("RESET ROLE")
    empty(session)


def test_dropped_owner(session, ann, bob):
    """The owner of a job is dropped while it is queued."""
    session.execute("ALTER DATABASE crmio_jobs SET crmio.max_background_jobs = 0; SET crmio.max_background_jobs = 0")
    session.execute("GRANT INSERT ON crm.people TO crmio_jobs_ann")
    dropped = start(ann, leads(10, "d"), LEADS)
    kept = start(bob, leads(10, "k"), LEADS)
    ann.close()
    until(
        lambda: value(session, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crmio_jobs_ann'") == 0
    )
    drop_role(session, "crmio_jobs_ann")
    session.execute("ALTER DATABASE crmio_jobs RESET crmio.max_background_jobs; RESET crmio.max_background_jobs")
    same(wait(bob, kept).state, "completed", "the queue goes on without a role that was dropped")
    same(job(session, dropped).state, "failed", "its job has failed")
    ok("does not exist any more" in reason(session, dropped), "and says so", reason(session, dropped))
    fails(session, "resuming it", f"SELECT crm_resume({dropped})", None, "55000", "does not exist any more")


# ---- death ----


def test_restored(session):
    """A dump of a running job, restored: there is no worker for it, so it has failed."""
    session.execute(SLOW)
    session.execute("SET crmio.batch_rows = 100")
    job_id = start(session, leads(3000), LEADS)
    until(lambda: job(session, job_id).rows_read >= 100)
    dump = subprocess.run(["pg_dump", "-Fc", DATABASE], check=True, capture_output=True).stdout
    same(job(session, job_id).state, "running", "the job runs while it is dumped")
    with connect("postgres") as admin:
        admin.autocommit = True
        admin.execute("DROP DATABASE IF EXISTS crmio_jobs_copy WITH (FORCE)")
        admin.execute("CREATE DATABASE crmio_jobs_copy")
    subprocess.run(["pg_restore", "-d", "crmio_jobs_copy"], input=dump, check=True, capture_output=True)
    copy = connect("crmio_jobs_copy")
    same(job(copy, job_id).state, "failed", "in the restored database it has failed")
    same(job(session, job_id).state, "running", "the job of that number in the other database lives on")
    copy.execute("DROP TRIGGER slow ON crm.people")
    copy.execute("SELECT crm_resume(%s)", [job_id])
    same(counts(wait(copy, job_id)), (3000, 0, 0, 0, 0), "and can be resumed there")
    same(value(copy, "SELECT count(*) FROM crm.people"), 3000, "with all records there once")
    copy.close()
    session.execute("SELECT crm_cancel(%s)", [job_id])
    wait(session, job_id)
    session.execute("SELECT crm_upload_drop(handle) FROM crmio.upload WHERE owner = current_user; DROP TRIGGER slow ON crm.people; DROP FUNCTION crm.slow")
    empty(session)

CONTACTS = {
    "module": "contacts",
    "auto_create": ["account"],
    "columns": {
        "Email": "email",
        "Name": "name",
        "Account": "account.name",
        "Seen": "first_seen",
        "Phone": "phone.work",
    },
}


def contacts(rows):
    """New contacts and ones that come again, accounts to be created, errors, dates of unknown order."""
    generator = random.Random(4)
    lines = []
    for i in range(rows):
        person = generator.randrange(rows)
        lines.append(
            (
                f"c{person}@example.com" if i % 50 else "no address",
                f"Ann Lee{i}",
                f"Account {generator.randrange(rows // 4)}",
                f"0{i % 9 + 1}/0{i // 9 % 9 + 1}/2026",
                f"030 {i:06}",
            )
        )
    return csv_text(["Email", "Name", "Account", "Seen", "Phone"], lines)


def outcome(session, job_id):
    """All that an import leaves but ids and times."""
    return {
        "counts": session.execute(
            "SELECT state, rows_read, created, updated, unchanged, skipped, errored, warnings FROM crm_jobs WHERE job_id = %s",
            [job_id],
        ).fetchall(),
        "people": session.execute(
            "SELECT p.lifecycle, p.email, p.first_name, p.last_name, p.phones, p.first_seen, a.name"
            " FROM crm.people p LEFT JOIN crm.accounts a ON a.id = p.account_id ORDER BY p.email, p.last_name"
        ).fetchall(),
        "accounts": session.execute("SELECT name FROM crm.accounts ORDER BY 1").fetchall(),
        "errors": session.execute("SELECT * FROM crm_errors(%s)", [job_id]).fetchall(),
        "warnings": session.execute("SELECT * FROM crm_warnings(%s)", [job_id]).fetchall(),
        "error rows": session.execute("SELECT * FROM crm_error_csv(%s)", [job_id]).fetchall(),
        "created, as kept for undoing": session.execute(
            "SELECT (SELECT count(*) FROM crm.people p WHERE EXISTS (SELECT FROM crmio.job_created c"
            " WHERE c.job_id = %s AND c.module = 'contacts' AND p.id <@ c.key_ranges)),"
            " (SELECT sum(upper(r) - lower(r)) FROM crmio.job_created c, unnest(c.key_ranges) r WHERE c.job_id = %s),"
            " (SELECT count(*) FROM crmio.job_change WHERE job_id = %s)",
            [job_id] * 3,
        ).fetchall(),
    }


class Server:
    """The test's server, to be killed and started again."""

    def __init__(self, session):
        self.data = value(session, "SHOW data_directory")
        self.log = os.path.join(os.environ["PGHOST"], "server.log")
        # tell the server's own end from the end of what it does
        with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
            self.pid = int(file.readline())

    def start(self):
        """Starts it; processes of the one that was killed may be there for a moment."""
        until(
            lambda: subprocess.run(
                ["pg_ctl", "-D", self.data, "-l", self.log, "-w", "-s", "start"],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        )

    def kill_worker(self, pid):
        os.kill(pid, signal.SIGKILL)

    def kill_postmaster(self, _):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
            os.kill(int(file.readline()), signal.SIGKILL)
        self.start()

    def stop_immediately(self, _):
        subprocess.run(["pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-s", "stop"], check=False)
        self.start()

    def stop_fast(self, _):
        subprocess.run(["pg_ctl", "-D", self.data, "-m", "fast", "-w", "-s", "stop"], check=False)
        self.start()


def reconnect():
    """Waits until the server has recovered."""

    def attempt():
        try:
            session = connect(DATABASE)
            session.execute("SET crmio.batch_rows = 200")
            return session
        except psycopg.OperationalError:
            return None

    return until(attempt) or SystemExit("the server did not come back")


def test_death(session):
    """Killed at any moment and resumed, a job does what it would have done."""
    content = contacts(6000)
    session.execute("SET crmio.batch_rows = 200")
    started = time.monotonic()
    job_id = start(session, content, CONTACTS, "update:overwrite")
    expected_counts = wait(session, job_id)
    duration = time.monotonic() - started
    expected = outcome(session, job_id)
    ok(
        expected_counts.updated > 100 and expected_counts.errored > 100 and expected_counts.warnings > 0,
        "the undisturbed run has something of everything",
        expected_counts,
    )
    server = Server(session)
    seed = int(os.environ.get("CRMIO_SEED", random.randrange(10**6)))
    generator = random.Random(seed)
    print(f"note - moments of death by CRMIO_SEED={seed}", flush=True)
    kills = int(os.environ.get("CRMIO_KILLS", "2"))
    for way in (server.kill_worker, server.kill_postmaster, server.stop_immediately, server.stop_fast):
        for i in range(kills if way != server.stop_fast else (kills + 1) // 2):
            session = die_and_resume(session, way, content, generator.random() * duration, expected, i + 1)
    return session


def die_and_resume(session, way, content, moment, expected, number):
    """One death."""
    name = f"{way.__name__} {number} after {moment:.2f} s"
    empty(session)
    session.execute("CHECKPOINT")
    job_id = start(session, content, CONTACTS, "update:overwrite")
    pid = worker_pid(session)
    time.sleep(moment)
    before = job(session, job_id)
    try:
        way(pid)
    except ProcessLookupError:
        pass
    session.close()
    session = reconnect()
    after = job(session, job_id)
    ok(after.rows_read >= before.rows_read, f"{name}: no finished batch is lost", (before, after))
    if after.state != "completed":
        same(after.state, "failed", f"{name}: the job is found dead")
        why = reason(session, job_id) or ""
        ok("the worker process" in why or "the server stopped" in why, f"{name}: it says why", why)
        session.execute("SELECT crm_resume(%s)", [job_id])
        wait(session, job_id)
    found = outcome(session, job_id)
    for part, rows in expected.items():
        same(found[part], rows, f"{name}: {part} as without it")
    return session


def test_slots(session):
    """No worker to be had: jobs stay queued, and say why; one at a time, they all get theirs."""
    server = Server(session)

    def workers(number):
        # one of them is the launcher of logical replication
        session.execute(f"ALTER SYSTEM SET max_worker_processes = {number}")
        session.close()
        server.stop_fast(None)
        return reconnect()

    session = workers(1)
    empty(session)
    notices = []
    session.add_notice_handler(lambda notice: notices.append((notice.severity, notice.message_primary)))
    jobs = [start(session, leads(1000, f"s{i}x"), LEADS) for i in range(2)]
    same(notices, [("WARNING", "no background worker is free")] * 2, "no worker: the caller is warned")
    session.execute("GRANT USAGE ON SCHEMA crm TO crmio_jobs_bob; GRANT SELECT, INSERT ON crm.people TO crmio_jobs_bob")
    bob = connect(DATABASE, user="crmio_jobs_bob")
    jobs.append(start(bob, leads(1000, "s2x"), LEADS))
    same([job(session, j).state for j in jobs], ["queued"] * 3, "the jobs stay queued")
    ok("no background worker" in reason(session, jobs[0]), "crm_jobs says why", reason(session, jobs[0]))
    bob.close()
    session = workers(2)
    same(
        [wait(session, j).state for j in jobs],
        ["completed"] * 3,
        "with one worker they all run, also as another role",
    )
    same(value(session, "SELECT count(*) FROM crm.people"), 3000, "and import")
    return workers(8)


def main():
    session = fresh_database(DATABASE)
    session.execute("CREATE INDEX ON crm.accounts (lower(btrim(name)))")
    folder = os.path.dirname(value(session, "SHOW data_directory"))
    test_progress()
    test_same_as_in_transaction(session)
    test_refused(session)
    test_cancel(session)
    test_cancel_while_waiting(session)
    test_cancel_open(session)
    test_cleaned(session)
    test_changed_file(session, folder)
    test_dropped(session)
    test_errors(session)
    test_retry(session)
    test_without_index(session)
    test_settings(session)
    test_queue(session)
    test_roles(session)
    test_restored(session)
    session = test_death(session)
    test_slots(session)
    with open(os.path.join(os.environ["PGHOST"], "server.log"), encoding="utf-8") as log:
        ok("you don't own a lock" not in log.read(), "workers keep their locks until they are done")
    finish()


main()
