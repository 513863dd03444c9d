"""The dump of all data: what is in the ZIP, that its manifest is right, that all of it is
of one moment, and that a failure leaves nothing behind."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile

from support import connect, fails, finish, fresh_database, ok, run_import, same, upload

NAME = "crmio_data_export"
session = fresh_database(NAME)
folder = tempfile.mkdtemp(prefix="crmio-dump-")
os.chmod(folder, 0o777)

session.execute("INSERT INTO crm.people (lifecycle, first_name, email, phones, notes) SELECT CASE WHEN i % 3 = 0 THEN 'contact' ELSE 'lead' END,"
                " 'First', 'p' || i || '@example.com', '[{\"type\": null, \"value\": \"+1 555 0100\"}]', E'=note \"' || i || E'\"\\nmore' FROM generate_series(1, 1000) i")
run_import(session, upload(session, "Email\nbad\ngood@example.com\n"), {"module": "leads"})
session.execute("SELECT crm_save_report('r', 'leads', '{\"header\": false}')")
session.execute("CREATE TABLE stages (id int PRIMARY KEY, stage text)")
for module, stage in (("first", "a"), ("second", "b")):
    session.execute("SELECT crm_register_module(%s, 'stages', %s)", [module, json.dumps(
        {"lifecycle": {"column": "stage", "stages": ["a", "b", "c"], "new": stage}, "fields": {"stage": None}})])
session.execute("INSERT INTO stages VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, NULL), (5, 'b')")
session.execute("CREATE TABLE odd (id int PRIMARY KEY, v text)")
session.execute("SELECT crm_register_module('../a/b', 'odd'), crm_register_module('.._a_b', 'odd')")

# --- what is in it ---


def read_zip(content):
    archive = zipfile.ZipFile(io.BytesIO(content))
    return {name: archive.read(name) for name in archive.namelist()}


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


content = session.execute("SELECT crm_data_export()").fetchone()[0]
files = read_zip(content)
same(sorted(files), ["audit_log.csv", "job_messages.csv", "jobs.csv", "manifest.json", "modules/.._a_b (2).csv",
                     "modules/.._a_b.csv", "modules/accounts.csv", "modules/contacts.csv", "modules/first.csv",
                     "modules/leads.csv", "modules/second.csv", "modules/tickets.csv", "registrations.csv", "reports.csv"],
     "the files of the ZIP")
with open(folder + "/dump.zip", "wb") as file:
    file.write(content)
same(subprocess.run(["unzip", "-tq", folder + "/dump.zip"], capture_output=True).returncode, 0, "unzip finds it sound")
manifest = json.loads(files["manifest.json"])
same([(f["name"], f["bytes"], f["sha256"], f["rows"]) for f in manifest["files"]],
     [(f["name"], len(files[f["name"]]), hashlib.sha256(files[f["name"]]).hexdigest(), len(rows(files[f["name"]])))
      for f in manifest["files"]], "the manifest's sizes, hashes and row counts")
same(sorted(f["name"] for f in manifest["files"]) + ["manifest.json"],
     sorted(set(files) - {"manifest.json"}) + ["manifest.json"], "it names every file")
same((manifest["made_by"], manifest["database"], manifest["extension_version"], manifest["server_version"]),
     ("postgres", NAME, *session.execute("SELECT extversion, current_setting('server_version') FROM pg_extension WHERE extname = 'crmio'").fetchone()),
     "it says who, where and by what")
columns = [row[0] for row in session.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'crm.people'::regclass AND attnum > 0 ORDER BY attnum")]
leads, contacts = rows(files["modules/leads.csv"]), rows(files["modules/contacts.csv"])
same(list(leads[0]), columns, "every column is there")
same((len(leads), len(contacts)), (1000 - 333 + 1, 333), "leads and contacts are apart, and complete")
same(leads[0]["notes"], '=note "1"\nmore', "a value")
same([row["id"] for row in rows(files["modules/first.csv"])], ["1", "3", "4"], "what is at no module's stage is with the first")
same([row["id"] for row in rows(files["modules/second.csv"])], ["2", "5"], "the second has its stage")
same([row["name"] for row in rows(files["reports.csv"])], ["r"], "the reports")
same([(row["module"], row["errored"]) for row in rows(files["jobs.csv"])], [("leads", "1")], "the job history")
same([row["code"] for row in rows(files["job_messages.csv"])], ["invalid_email"], "its messages")
same(rows(files["audit_log.csv"]), [], "the audit log before this dump")
same(len(rows(read_zip(session.execute("SELECT crm_data_export()").fetchone()[0])["audit_log.csv"])), 1, "and before the next")

# --- one snapshot: what another session commits meanwhile is in none of the files ---

session.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE m (id int PRIMARY KEY); CREATE TABLE z (id int PRIMARY KEY)")
session.execute("SELECT crm_register_module(name, name::regclass) FROM unnest(ARRAY['a', 'm', 'z']) name")
session.execute("INSERT INTO a VALUES (1); INSERT INTO m VALUES (1); INSERT INTO z VALUES (1)")
dumped = []
with connect(NAME) as dumper, connect(NAME) as other:
    other.execute("BEGIN; LOCK TABLE m")
    thread = threading.Thread(target=lambda: dumped.append(dumper.execute("SELECT crm_data_export()").fetchone()[0]))
    thread.start()
    while not session.execute("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", [dumper.info.backend_pid]).fetchone():
        time.sleep(0.02)
    session.execute("INSERT INTO a VALUES (2); INSERT INTO z VALUES (2)")
    other.execute("INSERT INTO m VALUES (2); COMMIT")
    thread.join()
files = read_zip(dumped[0])
same([len(rows(files[f"modules/{name}.csv"])) for name in "amz"], [1, 1, 1], "all of it is of one moment")

# --- to a file; cancel; a limit on temporary files ---

path = folder + "/all.zip"
total = session.execute("SELECT crm_data_export_to(%s)", [path]).fetchone()[0]
files = read_zip(open(path, "rb").read())
same(total, json.loads(files["manifest.json"])["rows"], "a file on the server")
session.execute("INSERT INTO crm.people (email, notes) SELECT 'q' || i || '@example.com', md5(i::text) || repeat(md5(i::text), 10) FROM generate_series(1, 60000) i")
old = open(path, "rb").read()
with connect(NAME) as other:
    other.execute("SET temp_file_limit = '10MB'")
    fails(other, "a dump beyond temp_file_limit", "SELECT crm_data_export_to(%s)", [path], "53400", "temp_file_limit")
    other.execute("RESET temp_file_limit")
    other.execute("SET statement_timeout = 150")
    fails(other, "a dump that takes too long", "SELECT crm_data_export_to(%s)", [path], "57014")
    other.execute("RESET statement_timeout")
    same((open(path, "rb").read() == old, sorted(os.listdir(folder))), (True, ["all.zip", "dump.zip"]), "leave the old file, and nothing else")
    ok(other.execute("SELECT crm_data_export_to(%s)", [path]).fetchone()[0] > 60000, "the session goes on")

shutil.rmtree(folder)
finish()
