"""What the scripts in test/t share: connections, databases, files, and checks in TAP style.

The runner (test/run.sh) sets PGHOST, PGPORT and PGUSER (a superuser). Each script
makes a database of its own with fresh_database() and ends with finish().
"""

import os
import sys

import psycopg
from psycopg.types.composite import CompositeInfo, register_composite

COUNTS = ("created", "updated", "unchanged", "skipped", "errored")

_failures = 0


def ok(good, name, detail=None):
    """One check: prints its line; the script goes on after a failure."""
    global _failures
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        _failures += 1
        if detail is not None:
            print("#   " + str(detail).replace("\n", "\n#   "), flush=True)
    return bool(good)


def same(got, expected, name):
    return ok(got == expected, name, f"got:      {got!r}\nexpected: {expected!r}")


def skip(reason):
    """Ends the script: what it needs is not there."""
    print("skip - " + reason)
    sys.exit(0)


def finish():
    sys.exit(1 if _failures else 0)


def connect(dbname, **parameters):
    """A session in autocommit mode, which reads crm_progress as a named tuple."""
    connection = psycopg.connect(dbname=dbname, autocommit=True, **parameters)
    register(connection)
    return connection


def register(connection):
    """The type is known only once the extension is there."""
    info = CompositeInfo.fetch(connection, "crm_progress")
    if info is not None:
        register_composite(info, connection)


def fresh_database(name, standard=True):
    """Makes the database anew, with crmio in it, and connects."""
    with psycopg.connect(dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(dbname=name, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION crmio")
        if standard:
            connection.execute("SELECT crm_create_standard_modules()")
    return connect(name)


def drop_role(connection, role):
    """Roles outlive their database: takes one away that an earlier run may have left."""
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(f"DROP OWNED BY {role} CASCADE")
        connection.execute(f"DROP ROLE {role}")


def csv_text(header, rows):
    """A CSV file of fields that need no quotes."""
    return "".join(",".join(str(field) for field in row) + "\n" for row in [header, *rows])


def upload(connection, content, name="test.csv"):
    """Sends a file; returns its handle."""
    if isinstance(content, str):
        content = content.encode()
    return connection.execute("SELECT crm_upload(%s, %s)", [name, content]).fetchone()[0]


def run_import(connection, file, mapping, policy="skip"):
    """Runs an import to its end; returns all its progress rows."""
    mapping = psycopg.types.json.Jsonb(mapping)
    cursor = connection.execute("SELECT crm_import(%s, %s, %s)", [file, mapping, policy])
    return [row[0] for row in cursor]


def counts(progress):
    """(created, updated, unchanged, skipped, errored) of a progress row."""
    return tuple(getattr(progress, name) for name in COUNTS)


def adds_up(progress):
    return progress.rows_read == sum(counts(progress))


def failure(connection, query, parameters=None):
    """Runs what must fail; returns the error, or None when it went through."""
    try:
        connection.execute(query, parameters)
    except psycopg.Error as error:
        return error
    return None


def fails(connection, name, query, parameters=None, sqlstate=None, says=""):
    """Checks that a statement fails with this SQLSTATE and text, in the server's words."""
    error = failure(connection, query, parameters)
    if not ok(error is not None, name + " fails", "it went through"):
        return None
    good = (sqlstate is None or error.sqlstate == sqlstate) and says.lower() in str(error).lower()
    ok(good, f"{name}: the error is clear", f"{error.sqlstate}: {error}\nexpected {sqlstate}, {says!r}")
    return error


def cases(folder):
    """The folder of published cases, or ends the script when they are not there."""
    path = os.path.join(os.environ.get("CRMIO_CASES", ""), folder)
    if not os.environ.get("CRMIO_CASES") or not os.path.isdir(path):
        skip(f"published cases ({folder}) are not here; set CRMIO_CASES to their folder")
    return path
