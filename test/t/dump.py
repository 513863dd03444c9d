"""pg_dump and restore, as a script and in custom format: modules, jobs, errors,
uploads and records are the same afterwards, and imports go on."""

import subprocess

from support import connect, counts, csv_text, finish, fresh_database, ok, run_import, same, upload

SOURCE = "crmio_dump"
CONTACTS = {
    "module": "contacts",
    "auto_create": ["account"],
    "columns": {"Email": "email", "Name": "name", "Account": "account.name", "Seen": "first_seen"},
}
FILE = csv_text(
    ["Email", "Name", "Account", "Seen"],
    [
        (
            f"c{i}@example.com",
            f"Ann Lee{i}",
            f"Account {i % 7}",
            "2026-02-30" if i % 10 == 9 else "2026-02-03",
        )
        for i in range(200)
    ],
)

TABLES = (
    "target",
    "module",
    "upload",
    "upload_part",
    "job",
    "job_message",
    "job_error_row",
    "job_created",
    "job_change",
    "job_xact",
    "report",
    "audit_log",
)
RECORDS = ("crm.people", "crm.accounts", "crm.tickets", '"Odd Things"')


def fill():
    """A database with something of everything."""
    session = fresh_database(SOURCE)
    session.execute(
        """
        CREATE TABLE "Odd Things" ("the key" text PRIMARY KEY, "Grade" text CHECK ("Grade" IN ('a', 'b')))"""
    )
    session.execute("""SELECT crm_register_module('odd', '"Odd Things"')""")
    run_import(session, upload(session, "the key,Grade\nx,a\ny,c\n"), {"module": "odd"})
    session.execute("SELECT crm_save_report('odd', 'odd', '{\"null\": \"-\"}'), length(crm_data_export())")
    run_import(session, upload(session, FILE), CONTACTS)
    run_import(session, upload(session, FILE.replace("Ann Lee", "Anne Lee")), CONTACTS, "update:overwrite")
    return session, upload(session, FILE, "kept.csv")


def state(session):
    """Everything that must survive."""
    found = {}
    for table in TABLES:
        found[table] = sorted(map(repr, session.execute(f"SELECT t::text FROM crmio.{table} t").fetchall()))
    for table in RECORDS:
        found[table] = sorted(map(repr, session.execute(f"SELECT t::text FROM {table} t").fetchall()))
    for module in ("leads", "contacts", "accounts", "tickets", "odd"):
        found["fields of " + module] = session.execute("SELECT * FROM crm_fields(%s)", [module]).fetchall()
    for (job,) in session.execute("SELECT job_id FROM crmio.job ORDER BY 1").fetchall():
        found[f"errors of {job}"] = session.execute("SELECT * FROM crm_errors(%s)", [job]).fetchall()
        found[f"error CSV of {job}"] = session.execute("SELECT * FROM crm_error_csv(%s)", [job]).fetchall()
    return found


def restore(name, custom):
    """Dumps the source and restores it into a new, empty database."""
    admin = connect("postgres")
    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {name}")
    dump = subprocess.run(["pg_dump", "-Fc" if custom else "-Fp", SOURCE], check=True, capture_output=True)
    command = (
        ["pg_restore", "--exit-on-error", "-d", name]
        if custom
        else ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", name]
    )
    run = subprocess.run(command, input=dump.stdout, capture_output=True, check=False)
    ok(run.returncode == 0, f"{name}: the dump restores without an error", run.stderr.decode())
    return connect(name)


def check(name, session, expected, handle):
    found = state(session)
    for part, rows in expected.items():
        same(found.get(part), rows, f"{name}: {part}")
    last_job = session.execute("SELECT max(job_id) FROM crmio.job").fetchone()[0]
    last = run_import(session, handle, CONTACTS, "update")[-1]
    same(counts(last), (0, 0, 180, 0, 20), f"{name}: an upload from before imports, and changes nothing")
    same(last.job_id, last_job + 1, f"{name}: job ids go on")
    same(
        counts(run_import(session, upload(session, "the key,Grade\nz,b\n"), {"module": "odd"})[-1]),
        (1, 0, 0, 0, 0),
        f"{name}: a registered table takes new records",
    )


def main():
    session, handle = fill()
    expected = state(session)
    ok(
        len(expected["job_message"]) > 20 and len(expected["job_created"]) > 0,
        "the source has errors and history",
    )
    check("script", restore("crmio_dump_script", False), expected, handle)
    check("custom", restore("crmio_dump_custom", True), expected, handle)

    session.execute("DROP EXTENSION crmio CASCADE")
    same(
        session.execute("SELECT count(*) FROM crm.people").fetchone()[0],
        180,
        "DROP EXTENSION keeps the records",
    )
    ok(
        session.execute("UPDATE crm.people SET job_title = 'x'").rowcount == 180,
        "and their triggers work without it",
    )
    finish()


main()
