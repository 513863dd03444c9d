"""Bad files and bad calls: each gives a clear error, nothing is lost, and the
session goes on."""

import os
import random
import tempfile

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

DATABASE = "crmio_bad_input"
IMPORT = "SELECT crm_import(%s, %s::jsonb, %s)"
LEADS = {"module": "leads", "columns": {"Email": "email", "Phone": "phone.work"}}
HEADERLESS = {"module": "leads", "columns": {"#1": "email"}, "header_row": 0}
FILE = csv_text(["Email", "Phone"], [("ann@example.com", "030 123456"), ("bob@example.com", "030 654321")])


def refused(session, name, file, mapping, sqlstate=None, says="", policy="skip", hint=True):
    """The call fails with a clear error and, where there is something to do, a hint."""
    if not isinstance(mapping, str):
        mapping = Jsonb(mapping)
    error = fails(session, name, IMPORT, [file, mapping, policy], sqlstate, says)
    if error is not None and hint:
        ok(bool(error.diag.message_hint or error.diag.message_detail), f"{name}: it says what to do", error)


def test_files(session):
    """Paths, handles and large objects that are not there, or not files."""
    folder = tempfile.mkdtemp()
    locked = os.path.join(folder, "locked.csv")
    with open(locked, "w", encoding="utf-8") as file:
        file.write(FILE)
    os.chmod(locked, 0)
    refused(
        session,
        "no such file",
        os.path.join(folder, "nothing.csv"),
        LEADS,
        "58P01",
        "nothing.csv",
        hint=False,
    )
    refused(session, "a directory", folder, LEADS, None, "directory", hint=False)
    if os.getuid() != 0:
        refused(session, "no right to read it", locked, LEADS, "42501", "permission denied", hint=False)
    refused(session, "a device", "/dev/zero", LEADS, None, "/dev/zero", hint=False)
    refused(session, "a relative path", "leads.csv", LEADS, None, "leads.csv")
    refused(session, "an empty file name", "", LEADS)
    refused(session, "no such upload", "upload:00", LEADS, None, "upload", hint=False)
    refused(session, "no such large object", "lo:4242424", LEADS, None, "4242424", hint=False)
    refused(session, "not an OID", "lo:leads.csv", LEADS, None, "lo:leads.csv")
    os.unlink(locked)
    os.rmdir(folder)


def test_contents(session):
    """Files that hold no table."""
    for name, content in (
        ("an empty file", b""),
        ("only a BOM", b"\xef\xbb\xbf"),
        ("only blank lines", b"\n \n\n"),
    ):
        refused(session, name, upload(session, content), LEADS, None, "empty", hint=False)
    last = run_import(session, upload(session, "Email,Phone\n"), LEADS)[-1]
    same(
        (last.state, last.rows_read, float(last.percent)),
        ("completed", 0, 100.0),
        "header only: completed, no rows",
    )
    refused(
        session,
        "a quote that never closes",
        upload(session, FILE + '"eve@example.com,1\n' + FILE),
        LEADS,
        None,
        "line 4",
        hint=False,
    )

    rubbish = random.Random(3).randbytes(200000)
    for name, mapping in (
        ("binary rubbish", HEADERLESS),
        ("binary rubbish as UTF-8", {**HEADERLESS, "encoding": "UTF8"}),
    ):
        handle = upload(session, rubbish)
        error = failure(session, IMPORT, [handle, Jsonb(mapping), "skip"])
        last = None if error else run_import(session, handle := upload(session, rubbish), mapping)[-1]
        ok(
            error is not None or (last.created == 0 and adds_up(last)),
            f"{name}: an error, or only error rows",
            error or last,
        )
    for magic in (b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        refused(
            session,
            f"a file that begins with {magic[:4]!r}",
            upload(session, magic + rubbish[:5000]),
            HEADERLESS,
            hint=False,
        )

    long = b"x" * (10 * 1024 * 1024)
    handle = upload(
        session, b"Email,Phone\nann@example.com,1234567\n" + long + b"\nbob@example.com,1234567\n"
    )
    same(
        counts(run_import(session, handle, LEADS)[-1]),
        (0, 0, 0, 2, 1),
        "a line of 10 MB is one error row, its neighbours are read",
    )
    handle = upload(session, b"Email,Phone\n" + long)
    same(
        counts(run_import(session, handle, LEADS)[-1]),
        (0, 0, 0, 0, 1),
        "10 MB without a line end are one error row",
    )
    session.execute("SET crmio.max_field_size = '1MB'")
    last = run_import(session, upload(session, b"Email,Phone\n" + long), LEADS)[-1]
    same(
        session.execute("SELECT code FROM crm_errors(%s)", [last.job_id]).fetchall(),
        [("field_too_large",)],
        "beyond crmio.max_field_size it is called field_too_large",
    )
    session.execute("RESET crmio.max_field_size")
    error = failure(session, IMPORT, [upload(session, long), Jsonb(LEADS), "skip"])
    ok(
        error is not None and "Email" in str(error),
        "10 MB of header: the missing column is named",
        str(error)[:500],
    )
    refused(
        session,
        "10 MB after an open quote",
        upload(session, b'Email,Phone\n"' + long),
        LEADS,
        None,
        "line 2",
        hint=False,
    )

    session.execute("SET crmio.max_file_size = '1MB'")
    error = failure(session, "SELECT crm_upload('big.csv', %s)", [long])
    ok(
        error is not None and "crmio.max_file_size" in str(error),
        "beyond crmio.max_file_size: the setting is named",
        error,
    )
    session.execute("RESET crmio.max_file_size")
    last = run_import(session, upload(session, b"Email,Phone\na\x00b@example.com,1234567\n"), LEADS)[-1]
    same(counts(last), (0, 0, 0, 0, 1), "a NUL byte makes an error row")


def test_mappings(session, handle):
    """Mappings of a wrong shape, and names that do not exist."""
    wrong = [
        ("a mapping that is an array", "[]", ""),
        ("a mapping that is a string", '"leads"', ""),
        ("a mapping that is null", "null", ""),
        ("no module", "{}", "module"),
        ("a module that is a number", '{"module": 5}', "module"),
        ("columns that are an array", '{"module": "leads", "columns": ["Email"]}', "columns"),
        ("a column mapped to a number", '{"module": "leads", "columns": {"Email": 5}}', "email"),
        (
            "a column mapped to an object",
            '{"module": "leads", "columns": {"Email": {"field": "email"}}}',
            "email",
        ),
        (
            "static that is a string",
            '{"module": "leads", "columns": {"Email": "email"}, "static": "x"}',
            "static",
        ),
        ("match that is a number", '{"module": "leads", "columns": {"Email": "email"}, "match": 1}', "match"),
        (
            "match on an unknown field",
            '{"module": "leads", "columns": {"Email": "email"}, "match": ["emial"]}',
            "emial",
        ),
        (
            "a dry_run that is a string",
            '{"module": "leads", "columns": {"Email": "email"}, "dry_run": "maybe"}',
            "dry_run",
        ),
        (
            "max_errors that is a string",
            '{"module": "leads", "columns": {"Email": "email"}, "max_errors": "x"}',
            "max_errors",
        ),
        (
            "an unknown date_order",
            '{"module": "leads", "columns": {"Email": "email"}, "date_order": "mdyy"}',
            "mdyy",
        ),
        (
            "an unknown encoding",
            '{"module": "leads", "columns": {"Email": "email"}, "encoding": "utf9"}',
            "utf9",
        ),
        (
            "a delimiter of two characters",
            '{"module": "leads", "columns": {"Email": "email"}, "delimiter": ";;"}',
            "delimiter",
        ),
        ("an unknown field", '{"module": "leads", "columns": {"Email": "emial"}}', "emial"),
        ("an unknown file column", '{"module": "leads", "columns": {"E-Mall": "email"}}', "e-mall"),
        ("a column number that is too high", '{"module": "leads", "columns": {"#9": "email"}}', "#9"),
        (
            "two columns for one field",
            '{"module": "leads", "columns": {"Email": "email", "Phone": "email"}}',
            "email",
        ),
        (
            "a static value for a mapped field",
            '{"module": "leads", "columns": {"Email": "email"}, "static": {"email": "x@y.de"}}',
            "email",
        ),
        ("nothing mapped", '{"module": "leads", "columns": {"Email": null}}', ""),
        (
            "a required field that is not mapped",
            '{"module": "leads", "columns": {"Phone": "phone.work"}}',
            "email",
        ),
    ]
    for name, mapping, says in wrong:
        refused(session, name, handle, mapping, None, says, hint=False)
    for name, mapping, says in (
        ("an unknown key", {"modul": "leads"}, "module"),
        ("an unknown module", {"module": "leeds"}, "leads"),
    ):
        error = failure(session, IMPORT, [handle, Jsonb(mapping), "skip"])
        ok(error is not None and f'"{says}"' in str(error), f"{name}: the nearest is named", error)
    for policy in ("updat", "", "update:overwrit", "SKIP ME"):
        refused(session, f'the policy "{policy}"', handle, LEADS, None, "policy", policy)
    refused(
        session,
        "more error rows than max_errors",
        upload(session, "Email\na\nb\nc\n"),
        {"module": "leads", "columns": {"Email": "email"}, "max_errors": 2},
        None,
        "",
        hint=False,
    )


def test_targets(session, handle):
    """Tables that can't be written."""
    session.execute("BEGIN READ ONLY")
    refused(session, "a read-only transaction", handle, LEADS, "25006", "read-only", hint=False)
    session.execute("ROLLBACK")

    drop_role(session, "crmio_nobody")
    session.execute("CREATE ROLE crmio_nobody LOGIN")
    nobody = connect(DATABASE, user="crmio_nobody")
    refused(
        nobody,
        "a table without privileges",
        upload(nobody, FILE),
        LEADS,
        "42501",
        "permission denied",
        hint=False,
    )

    session.execute("CREATE TABLE gone (id int PRIMARY KEY, label text)")
    session.execute("SELECT crm_register_module('gone', 'gone')")
    session.execute("DROP TABLE gone")
    refused(
        session,
        "a module whose table is gone",
        handle,
        {"module": "gone", "columns": {"Email": "label"}},
        None,
        "gone",
    )


def main():
    session = fresh_database(DATABASE)
    same(counts(run_import(session, upload(session, FILE), LEADS)[-1]), (2, 0, 0, 0, 0), "two leads to lose")
    before = session.execute("SELECT p::text FROM crm.people p ORDER BY id").fetchall()
    handle = upload(session, FILE)
    test_files(session)
    test_contents(session)
    test_mappings(session, handle)
    test_targets(session, handle)
    same(
        session.execute("SELECT p::text FROM crm.people p ORDER BY id").fetchall(),
        before,
        "the records are as before",
    )
    same(
        session.execute("SELECT count(*) FROM crmio.job WHERE state <> 'completed'").fetchone()[0],
        0,
        "no job is left over",
    )
    same(
        counts(run_import(session, handle, LEADS)[-1]),
        (0, 0, 0, 2, 0),
        "the upload of the failed calls is still good",
    )
    finish()


main()
