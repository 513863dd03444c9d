"""Exports: streaming and cancel, cells as other readers see them, round trips through
crm_import, rights, and files that are never half written."""

import csv
import io
import os
import random
import shutil
import tempfile
import threading
import time

import psycopg
from psycopg.types.json import Jsonb

from support import connect, counts, drop_role, fails, finish, fresh_database, ok, run_import, same, upload

NAME = "crmio_export"
BOB = "crmio_export_bob"
ROWS = 10000

session = fresh_database(NAME)
random.seed(os.environ.get("EXPORT_SEED", "5"))
folder = tempfile.mkdtemp(prefix="crmio-export-")
os.chmod(folder, 0o777)


def lines(query, options=None, connection=session):
    cursor = connection.execute("SELECT crm_export(%s, %s)", [query, Jsonb(options or {})])
    return [row[0] for row in cursor]


def cells(query, options=None):
    """As Python's csv reads them."""
    text = "\n".join(lines(query, options)) + "\n"
    return list(csv.reader(io.StringIO(text, newline="")))


# --- streaming ---

SLOW = "SELECT i FROM (SELECT i, pg_sleep(0.2) FROM generate_series(1, 15) i) s"

start = time.monotonic()
times = [time.monotonic() - start for _ in session.cursor().stream("SELECT crm_export(%s)", [SLOW])]
same(len(times), 16, "a slow query: all lines come")
ok(times[0] < 0.2, "the header comes before the first row", times[0])
ok(times[1] < times[-1] - 1.5, "the first row comes long before the last", times)

with connect(NAME) as other:
    pid = other.info.backend_pid
    threading.Timer(0.5, lambda: session.execute("SELECT pg_cancel_backend(%s)", [pid])).start()
    start = time.monotonic()
    fails(other, "a cancelled export", "SELECT crm_export(%s)",
          ["SELECT sum(a.i::numeric * b.i) FROM generate_series(1, 100000) a(i), generate_series(1, 100000) b(i)"],
          "57014")
    ok(time.monotonic() - start < 2, "cancel takes effect at once", time.monotonic() - start)
    same(lines("VALUES (1)", None, other), ["column1", "1"], "the session goes on")

# --- the caller does not want all of it, or wants it in pieces ---

same(session.execute("SELECT crm_export('SELECT generate_series(1, 100000)') LIMIT 2").fetchall(),
     [("generate_series",), ("1",)], "LIMIT ends an export")
with connect(NAME) as other:
    other.execute("BEGIN")
    other.execute("DECLARE c CURSOR WITH HOLD FOR SELECT crm_export('SELECT generate_series(1, 5000)')")
    same(len(other.execute("FETCH 3000 FROM c").fetchall()), 3000, "a cursor fetches a part")
    other.execute("SAVEPOINT s")
    same(other.execute("FETCH 1 FROM c").fetchone(), ("3000",), "and the next row in a savepoint")
    other.execute("ROLLBACK TO s")
    same(other.execute("FETCH 1 FROM c").fetchone(), ("3001",), "goes on after it is rolled back")
    other.execute("COMMIT")
    same(other.execute("FETCH ALL FROM c").fetchall()[-1], ("5000",), "and, held, after commit")
    other.execute("CLOSE c")
same(session.execute("""SELECT count(*), max(n) FROM (SELECT crm_export('SELECT generate_series(1, 3000)') AS a,
    crm_export('SELECT generate_series(1, 2000)') AS b, 1 AS n) s""").fetchone()[0], 3001, "two exports at the same time")
same(session.execute("""SELECT count(*) FROM generate_series(1, 3) g,
    LATERAL crm_export('SELECT generate_series(1, ' || g * 1000 || ')')""").fetchone()[0], 6003,
     "exports one after the other in one query")
session.execute("""CREATE FUNCTION broken(int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN IF $1 = 2500 THEN RAISE 'row %% is bad', $1; END IF; RETURN $1; END $$""".replace("%%", "%"))
session.execute("""DO $$ DECLARE n int := 0; line text; BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            FOR line IN SELECT crm_export('SELECT broken(i) FROM generate_series(1, 3000) i') LOOP n := n + 1; END LOOP;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
    ASSERT current_setting('transaction_read_only') = 'off';
    CREATE TEMP TABLE written AS SELECT n;
END $$""")
ok(session.execute("SELECT n > 0 FROM written").fetchone()[0], "an error in the middle can be caught, and writing goes on")

# --- what is refused ---

session.execute("CREATE FUNCTION delete_all() RETURNS int LANGUAGE sql AS 'DELETE FROM crm.people RETURNING 1'")
for query, state, says in [
    ("DELETE FROM crm.people RETURNING *", "0A000", "not DELETE"),
    ("WITH d AS (DELETE FROM crm.people RETURNING *) SELECT * FROM d", "0A000", "WITH"),
    ("SELECT 1; SELECT 2", "0A000", "several statements"),
    ("SELECT delete_all()", "25006", "read-only"),
    ("SELECT * FROM crm.people FOR UPDATE", "0A000", "locks rows"),
    ("SELECT 1 INTO t", "0A000", "SELECT INTO"),
    ("COPY crm.people TO STDOUT", "0A000", "not COPY"),
    ("SELECT FROM crm.people", "42601", "no columns"),
    ("", "0A000", "empty"),
    ("SELECT $1", "42P02", "parameter"),
    ("SELECT * FROM missing_table", "42P01", "missing_table"),
    ("lead", "42704", 'meant the module "leads"'),
    ("report:none", "42704", "does not exist"),
]:
    fails(session, f"export of {query[:40]!r}", "SELECT crm_export(%s)", [query], state, says)
fails(session, "an error in a row", "SELECT crm_export('SELECT broken(i) FROM generate_series(1, 3000) i')",
      None, "P0001", 'export of "Export", row 2500')

wide = "SELECT " + ", ".join(f"{i} AS c" for i in range(1600))
result = cells(wide)
same((len(result), len(result[0]), result[1][1599]), (2, 1600, "1599"), "1,600 columns of one name")
same(lines("SELECT 1 AS a, 2 AS a"), ["a,a", "1,2"], "two columns of one name")
same(lines("SELECT 1 AS a WHERE false"), ["a"], "no rows: the header")

# --- the same cells for Python's csv and for COPY ---

NASTY = ["", " ", "plain", "two words", " leading", "trailing ", 'say "hi"', '"', '""', "a,b", "a;b", "a\tb", "a|b",
         "line\nbreak", "cr\rhere", "crlf\r\nboth", "\\.", "\\", "\\N", "NULL", "null", "=1+1", "+49 30 1234",
         "-5", "@here", "'", "'=1", "''=1", "'quoted'", "007", "1e5", "ÄÖÜ ß", "日本語", "עברית", "العربية", "🎉", "é",
         "\u00a0nbsp\u00a0", "\ufeffbom", "\u200b", "a\x01b", "x" * 5000, None]
session.execute("CREATE TABLE nasty (a text, b text, c text)")
with session.cursor().copy("COPY nasty FROM STDIN") as copy:
    for _ in range(2000):
        copy.write_row([random.choice(NASTY) for _ in range(3)])
stored = session.execute("SELECT a, b, c FROM nasty ORDER BY ctid").fetchall()
QUERY = "SELECT a, b, c FROM nasty ORDER BY ctid"
for options in ({}, {"delimiter": ";"}, {"delimiter": "tab"}, {"quote_all": True}, {"crlf": True}, {"null": "NULL"}):
    session.execute("SELECT crm_export_to(%s, %s, 'csv', %s)", [folder + "/nasty.csv", QUERY, Jsonb(options)])
    delimiter = {"tab": "\t"}.get(options.get("delimiter"), options.get("delimiter", ","))
    null = options.get("null", "")
    session.execute("CREATE TEMP TABLE back (LIKE nasty)")
    session.execute("COPY back FROM '%s' WITH (FORMAT csv, HEADER, DELIMITER E'%s', NULL '%s')"
                    % (folder + "/nasty.csv", delimiter, null))
    same(session.execute("SELECT a, b, c FROM back ORDER BY ctid").fetchall() == stored, True,
         f"COPY reads back what was stored, with {options}")
    session.execute("DROP TABLE back")
    with open(folder + "/nasty.csv", newline="") as file:
        read = list(csv.reader(file, delimiter=delimiter))[1:]
    same([tuple(row) for row in read] == [tuple(null if v is None else v for v in row) for row in stored], True,
         f"Python's csv reads the same cells, with {options}")
for value in ["\\.", "", "a;b;c", 'x"y', "line\nbreak"]:
    session.execute("TRUNCATE nasty")
    session.execute("INSERT INTO nasty VALUES (%s), (%s)", [value, "last"])
    content = "\n".join(lines("SELECT a FROM nasty")) + "\n"
    with session.cursor().copy("COPY nasty (b) FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
        copy.write(content)
    same(session.execute("SELECT b FROM nasty OFFSET 2").fetchall(), [(value,), ("last",)],
         f"one column of {value!r}: COPY reads it")
    same([row[0] for row in csv.reader(io.StringIO(content, newline=""))][1:], [value, "last"],
         f"one column of {value!r}: Python reads it")

# --- round trips ---

WORDS = ["Ann", "Jan", "van der Berg", "O'Neil", "Lee", "José María", "李", "Ünal", "de la Cruz", "Mc\"Quote\"", "Łukasz", None, None]
TEXTS = [t for t in NASTY if t is None or (t.strip("\u00a0\ufeff\u200b \t\r\n") == t and t)] + [None] * 5
PHONES = ["+49 (30) 1234-567", "030 1234567", "+1 555 123 4567 x12", "0044 20 7946 0000", "555-0100", None]
STAGES = ["prospect", "trial", "customer", "churned"]


def phone_list():
    entries = [{"type": t, "value": p} for t, p in
               [(None, random.choice(PHONES)), ("mobile", random.choice(PHONES)), ("work", random.choice(PHONES))]
               if p is not None and random.random() < 0.6]
    return Jsonb(entries)


def when():
    return None if random.random() < 0.3 else "%04d-%02d-%02d %02d:%02d:%02d.%06d+00" % (
        random.randint(1901, 2100), random.randint(1, 12), random.randint(1, 28), random.randint(0, 23),
        random.randint(0, 59), random.randint(0, 59), random.choice([0, 1, 500000, 999999]))


with session.cursor().copy("COPY crm.accounts (name, domain, industry, website, lifecycle_stage, mrr_cents, renewal_date) FROM STDIN") as copy:
    for i in range(ROWS // 10):
        copy.write_row([f"{random.choice([t for t in TEXTS if t])} {i}", f"acme{i}.example", random.choice(TEXTS),
                        random.choice([None, f"https://acme{i}.example/a?b=1,2", f"acme{i}.example"]), random.choice(STAGES),
                        random.choice([None, 0, 1, 100, -250, 131500, 99999999999]),
                        random.choice([None, "2026-09-30", "1999-12-31", "2100-02-28"])])
with session.cursor().copy("""COPY crm.people (lifecycle, first_name, last_name, email, phones, company, job_title, account_id,
        first_seen, last_seen) FROM STDIN""") as copy:
    for i in range(ROWS):
        stage = random.choice(["lead", "contact"])
        copy.write_row([stage, random.choice(WORDS), random.choice(WORDS), f"Person.{i}+x@Example{i % 97}.com", phone_list(),
                        random.choice(TEXTS), random.choice(TEXTS),
                        random.randint(1, ROWS // 10) if stage == "contact" or i % 3 == 0 else None, when(), when()])
session.execute("ANALYZE")
before = session.execute("""SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM crm.people p
    UNION ALL SELECT md5(string_agg(a::text, '|' ORDER BY id)) FROM crm.accounts a""").fetchall()
for zone in ("UTC", "America/St_Johns"):
    session.execute(f"SET timezone = '{zone}'; SET datestyle = 'German'")
    for module in ("accounts", "leads", "contacts"):
        total = session.execute({"accounts": "SELECT count(*) FROM crm.accounts"}.get(
            module, f"SELECT count(*) FROM crm.people WHERE lifecycle = '{module[:-1]}'")).fetchone()[0]
        for options in ({}, {"escape_formulas": True}, {"delimiter": ";", "crlf": True, "bom": True, "quote_all": True}):
            file = session.execute("SELECT crm_export_file(%s, 'csv', %s)", [module, Jsonb(options)]).fetchone()[0]
            mapping = {"module": module}
            if "escape_formulas" in options:
                mapping["escape_formulas"] = True
            for policy, expected in (("update", (0, 0, total, 0, 0)), ("update:overwrite", (0, 0, total, 0, 0)),
                                     ("update:prefer_import", (0, 0, total, 0, 0)), ("skip", (0, 0, 0, total, 0))):
                last = run_import(session, upload(session, file, "x.csv"), mapping, policy)[-1]
                if not same((counts(last), last.warnings), (expected, 0), f"{module} with {options}, {zone}: {policy}"):
                    print("# ", session.execute("SELECT array_agg(e) FROM (SELECT * FROM crm_errors(%s) LIMIT 3) e", [last.job_id]).fetchone())
session.execute("RESET timezone; RESET datestyle")
after = session.execute("""SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM crm.people p
    UNION ALL SELECT md5(string_agg(a::text, '|' ORDER BY id)) FROM crm.accounts a""").fetchall()
same(after, before, "after all round trips the tables are what they were")

# into empty tables, and with formulas escaped, the values come back
session.execute("CREATE TABLE words (k int PRIMARY KEY, v text)")
session.execute("SELECT crm_register_module('words', 'words')")
with session.cursor().copy("COPY words FROM STDIN") as copy:
    for i in range(1000):
        prefix = random.choice(["", "=", "+", "-", "@", "'", "'=", "''@", "'-", "'x", "+1 ", "-"])
        copy.write_row([i, prefix + random.choice(["1", "A1", "x", "SUM(1)", "cmd|' /C calc'!A0", "5.5", "1 555 (0)1-2"])])
stored = session.execute("SELECT k, v FROM words ORDER BY k").fetchall()
file = session.execute("SELECT crm_export_file('words', 'csv', '{\"escape_formulas\": true}')").fetchone()[0]
dangerous = [row for row in csv.reader(io.StringIO(file.decode(), newline=""))
             if row[1][0] in "=@" or (row[1][0] in "+-" and not set(row[1]) <= set("+-0123456789 ().,"))]
same(dangerous, [], "escape_formulas leaves no formula")
session.execute("DELETE FROM words")
last = run_import(session, upload(session, file), {"module": "words", "escape_formulas": True}, "skip")[-1]
same((counts(last)[0], session.execute("SELECT k, v FROM words ORDER BY k").fetchall() == stored), (1000, True),
     "an import takes the escapes off again")

# --- rights ---

drop_role(session, BOB)
session.execute(f"CREATE ROLE {BOB} LOGIN")
session.execute(f"GRANT USAGE ON SCHEMA crm TO {BOB}")
session.execute(f"GRANT SELECT (id, name, domain) ON crm.accounts TO {BOB}")
session.execute(f"GRANT SELECT ON crm.tickets TO {BOB}")
session.execute("INSERT INTO crm.tickets (title, assigned_to) VALUES ('his', %s), ('other', 'ann')", [BOB])
session.execute("ALTER TABLE crm.tickets ENABLE ROW LEVEL SECURITY")
session.execute("CREATE POLICY own ON crm.tickets USING (assigned_to = current_user)")
with connect(NAME, user=BOB) as bob:
    fails(bob, "a list with a column that is not granted", "SELECT crm_export('accounts')", None, "42501", "permission denied")
    fails(bob, "a query of it", "SELECT crm_export('SELECT mrr_cents FROM crm.accounts')", None, "42501", "permission denied")
    same(len(lines("accounts", {"columns": ["name", "domain"]}, bob)), ROWS // 10 + 1, "granted columns")
    same(lines("SELECT title FROM crm.tickets", None, bob), ["title", "his"], "row-level security holds in a query")
    same(lines("tickets", {"columns": ["title"]}, bob), ["Title", "his"], "and in a list")
    for statement in ("SELECT crm_data_export()", "SELECT crm_data_export_to('/tmp/x.zip')"):
        fails(bob, statement, statement, None, "42501", "permission denied for function")
    for path in (folder + "/bob.csv", "/nonexistent/x.csv", "relative.csv"):
        fails(bob, f"a server file {path}", "SELECT crm_export_to(%s, 'VALUES (1)')", [path], "42501",
              "pg_write_server_files")
    fails(bob, "crmio's own tables", "SELECT crm_export('SELECT * FROM crmio.report')", None, "42501", "permission denied")
    bob.execute("SELECT crm_save_report('his accounts', 'SELECT name FROM crm.accounts')")
    same(bob.execute("SELECT name, owner FROM crm_reports").fetchall(), [("his accounts", BOB)], "his reports")
    fails(bob, "a report that can't run", "SELECT crm_save_report('x', 'SELECT * FROM nowhere')", None, "42P01", "nowhere")
fails(session, "a superuser does not run what others wrote", "SELECT crm_export('report:his accounts')", None, "42501",
      "belongs to role")
same(session.execute("SELECT count(*) FROM crm_reports").fetchone(), (1,), "but sees it")
session.execute("SELECT crm_save_report('mine', 'accounts', '{\"filter\": {\"mrr\": -2.5}}')")
with connect(NAME, user=BOB) as bob:
    same(bob.execute("SELECT count(*) FROM crm_reports").fetchone(), (1,), "he sees only his own")
    fails(bob, "another's report", "SELECT crm_export('report:mine')", None, "42501", "belongs to role")
    fails(bob, "replacing another's report", "SELECT crm_save_report('mine', 'VALUES (1)')", None, "42501", "belongs to role")
    fails(bob, "dropping another's report", "SELECT crm_drop_report('mine')", None, "42501", "belongs to role")

# --- the dump under row-level security and rights ---

session.execute(f"GRANT EXECUTE ON FUNCTION crm_data_export() TO {BOB}")
with connect(NAME, user=BOB) as bob:
    fails(bob, "a dump without rights on all tables", "SELECT crm_data_export()", None, "42501", "permission denied")
session.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA crm TO {BOB}")
session.execute(f"GRANT SELECT ON words TO {BOB}")
with connect(NAME, user=BOB) as bob:
    fails(bob, "a dump that row-level security would thin out", "SELECT crm_data_export()", None, "42501", "row-level security")
session.execute("ALTER TABLE crm.tickets DISABLE ROW LEVEL SECURITY")
with connect(NAME, user=BOB) as bob:
    ok(bob.execute("SELECT length(crm_data_export())").fetchone()[0] > 10000, "a dump by a role that may")
same(session.execute("SELECT role, session_role, action FROM crmio.audit_log").fetchall(), [(BOB, BOB, "data_export")],
     "its entry in the audit log; the failed ones left none")

# --- an existing file is never half written ---

target = folder + "/target.csv"
same(session.execute("SELECT crm_export_to(%s, 'VALUES (1), (2)')", [target]).fetchone(), (2,), "rows are counted")
old = open(target, "rb").read()
same(old, b"column1\n1\n2\n", "the file")
same(os.stat(target).st_mode & 0o777, 0o644, "its mode")
fails(session, "an error in the middle", "SELECT crm_export_to(%s, 'SELECT 1 / (200000 - i) FROM generate_series(1, 300000) i')",
      [target], "22012")
same((open(target, "rb").read(), sorted(os.listdir(folder))), (old, ["nasty.csv", "target.csv"]),
     "the old file is there, and nothing else")
with connect(NAME) as other:
    pid = other.info.backend_pid

    def kill():
        deadline = time.monotonic() + 10
        while len(os.listdir(folder)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        session.execute("SELECT pg_terminate_backend(%s)", [pid])

    thread = threading.Thread(target=kill)
    thread.start()
    error = None
    try:
        other.execute("SELECT crm_export_to(%s, 'SELECT i, pg_sleep(0.001)::text FROM generate_series(1, 300000) i')", [target])
    except psycopg.OperationalError as caught:
        error = caught
    thread.join()
    ok(error is not None, "a session that is terminated while it writes")
deadline = time.monotonic() + 5
while len(os.listdir(folder)) > 2 and time.monotonic() < deadline:
    time.sleep(0.05)
same((open(target, "rb").read(), sorted(os.listdir(folder))), (old, ["nasty.csv", "target.csv"]),
     "leaves the old file, and nothing else")
os.symlink(target, folder + "/link.csv")
os.mkdir(folder + "/folder")
for path, state in ((folder + "/link.csv", "42809"), (folder + "/folder", "42809"), ("relative.csv", "42602"),
                    (folder + "/none/x.csv", "58P01")):
    fails(session, f"the path {path}", "SELECT crm_export_to(%s, 'VALUES (1)')", [path], state)

# --- a large object, and a file in another encoding ---

oid = session.execute("SELECT crm_export_lo('SELECT generate_series(1, 100000)')").fetchone()[0]
same(session.execute("SELECT convert_from(lo_get(%s), 'UTF8')", [oid]).fetchone()[0],
     "generate_series\n" + "".join(f"{i}\n" for i in range(1, 100001)), "a large object")
session.execute("SELECT lo_unlink(%s)", [oid])
same(session.execute("SELECT crm_export_file('SELECT ''Zoë €'' AS a', 'csv', '{\"encoding\": \"WIN1252\"}')").fetchone()[0],
     "a\nZoë €\n".encode("cp1252"), "a file in Windows-1252")
fails(session, "a character that the encoding lacks",
      "SELECT crm_export_file('SELECT ''李'' AS a', 'csv', '{\"encoding\": \"LATIN1\"}')", None, "22P05")
drop_role(session, BOB)
shutil.rmtree(folder)
finish()
