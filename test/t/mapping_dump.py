"""Saved mappings survive dump and restore; presets and the vocabulary come with the
extension and are no part of a dump. The install script holds ASCII only, so that it runs
in a database of any encoding, and suggestions work there too."""

import os
import subprocess

from psycopg.types.json import Jsonb

from support import connect, finish, fresh_database, ok, same, upload

SOURCE = "crmio_mapping_dump"
TARGET = "crmio_mapping_restored"
LATIN = "crmio_mapping_latin1"
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sql", "crmio.sql")
MAPPINGS = "SELECT name, owner, module, mapping, saved_at FROM crm_mappings ORDER BY 1, 2"
SHIPPED = ("field_alias", "name_word", "preset")


def rows(session, query, parameters=None):
    return session.execute(query, parameters).fetchall()


def test_dump():
    session = fresh_database(SOURCE)
    mapping = {"module": "leads", "columns": {"Größe": "custom.size", "E-Mail": "email", "x": None}}
    session.execute("SELECT crm_save_mapping('Müllers', %s)", [Jsonb(mapping)])
    session.execute("SELECT crm_save_mapping('part', %s)", [Jsonb({"decimal": ","})])
    before = rows(session, MAPPINGS)
    shipped = {table: rows(session, f"SELECT t::text FROM crmio.{table} t ORDER BY 1") for table in SHIPPED}

    dump = subprocess.run(["pg_dump", "-Fp", SOURCE], check=True, capture_output=True)
    for table in SHIPPED:
        ok(f"COPY crmio.{table} ".encode() not in dump.stdout, f"{table} is not dumped")
    ok(b"COPY crmio.saved_mapping " in dump.stdout, "saved mappings are dumped")

    admin = connect("postgres")
    admin.execute(f"DROP DATABASE IF EXISTS {TARGET} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {TARGET}")
    run = subprocess.run(
        ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", TARGET], input=dump.stdout, capture_output=True
    )
    same((run.returncode, run.stderr), (0, b""), "the dump restores")
    session = connect(TARGET)
    same(rows(session, MAPPINGS), before, "saved mappings and presets are the same")
    for table in SHIPPED:
        same(
            rows(session, f"SELECT t::text FROM crmio.{table} t ORDER BY 1"),
            shipped[table],
            f"{table} is the same",
        )
    handle = upload(session, "E-Mail,Größe\na@example.com,41\n")
    same(
        rows(session, "SELECT created FROM crm_import(%s, %s)", [handle, Jsonb({"use": "Müllers"})]),
        [(1,)],
        "a restored mapping works",
    )


def test_encoding():
    with open(SCRIPT, "rb") as file:
        ok(file.read().isascii(), "the install script is ASCII")
    admin = connect("postgres")
    admin.execute(f"DROP DATABASE IF EXISTS {LATIN} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {LATIN} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    session = connect(LATIN)
    session.execute("CREATE EXTENSION crmio")
    session.execute("SELECT crm_create_standard_modules()")
    handle = upload(session, "Prénom;Nom;Straße;Téléphone;Größe\nÉva;Dürr;Weg 1;030 1234567;41\n")
    same(
        rows(session, "SELECT field, confidence FROM crm_suggest_mapping(%s, 'leads')", [handle]),
        [
            ("first_name", "high"),
            ("last_name", "medium"),
            ("address.street", "high"),
            ("phone", "high"),
            (None, None),
        ],
        "LATIN1: names with accents are known",
    )


def main():
    test_dump()
    test_encoding()
    finish()


main()
