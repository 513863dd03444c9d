"""Published CSV cases: each file is imported into a table of text columns, and what
arrives is compared with what its project expects, by crmio's own rules for blank
lines, blanks around values and rows of another width than the header.

The manifest names, for each case, the file, the expected rows, options and a verdict:
  rows, sniff          exactly these rows
  ragged-policy        short rows are padded, long ones are error rows
  rows-or-reject       malformed quotes: these rows, or an error that names the line, or error
                       rows beside which only whole lines of the file arrive
  error-or-transcode   not UTF-8: these rows, or an error
  *-if-option-supported   as above where crmio has the option
  anything else        no crash, and every row accounted for
"""

import csv
import io
import json
import os

import psycopg
from psycopg.types.json import Jsonb

from support import adds_up, cases, finish, fresh_database, ok, register, run_import, upload

# Options of other CSV readers that crmio does not have
FOREIGN = ("comments", "escapeChar", "preview", "skipFirstNLines")
BLANKS = " \t\r\n\f\v\u00a0\u3000\ufeff"


def load(folder):
    """The cases, as dictionaries by the manifest's column names."""
    with open(os.path.join(folder, "manifest.tsv"), encoding="utf-8", newline="") as manifest:
        lines = manifest.read().rstrip("\n").split("\n")
    names = lines[0].split("\t")
    for line in lines[1:]:
        case = dict(zip(names, line.split("\t")))
        case["options"] = json.loads(case["options"]) if case["options"].startswith("{") else {}
        case["path"] = os.path.join(folder, case["file"])
        case["json"] = None
        if case["expected"].endswith(".json"):
            with open(os.path.join(folder, case["expected"]), encoding="utf-8") as expected:
                case["json"] = json.load(expected)
        yield case


def reading(case):
    """The case's options as keys of a mapping; None if crmio has no such option."""
    options = case["options"]
    if any(options.get(name) for name in FOREIGN):
        return None
    # "auto": everything is left to be found
    mapping = {}
    if options.get("delimiter") != "auto":
        mapping["header_row"] = 0 if options.get("header") is False else 1
        if "delimiter" in options:
            mapping["delimiter"] = options["delimiter"]
    quote = options.get("quote") or options.get("quoteChar")
    if quote:
        mapping["quote"] = quote
    if "encoding" in options:
        mapping["encoding"] = options["encoding"]
    return mapping


def text_of(case):
    """The file's text, for Python."""
    with open(case["path"], "rb") as file:
        content = file.read()
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    return content.decode("latin-1")


def read_by_python(case):
    """Where the manifest gives no rows: Python's csv, by the likeliest delimiter of the first line."""
    text = text_of(case)
    if text.startswith("sep="):  # a hint for Excel
        text = text.split("\n", 1)[1]
    delimiter = max(",;\t|", key=text.split("\n", 1)[0].count)
    quote = case["options"].get("quote", '"')
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote))


def expected_rows(case):
    """(header or None, data rows) as the case's project gives them."""
    found = case["json"]
    header = case["options"].get("header") is not False
    if found is None:
        rows = read_by_python(case)
    elif "objects" in found:
        objects = found["objects"]
        if objects and isinstance(objects[0], dict):
            surplus = "__parsed_extra"
            return None, [[o[name] for name in o if name != surplus] + o.get(surplus, []) for o in objects]
        # A list of lists begins with the header, renamed in that project's way
        return None, objects[1:]
    elif "header" in found:
        return found["header"], found["rows"]
    else:
        rows = found.get("rows", [])
    if not header:
        return None, rows
    rows = [row for row in rows if any(str(field or "").strip(BLANKS) for field in row)]
    return (rows[0], rows[1:]) if rows else (None, [])


def by_our_rules(rows, width):
    """Values trimmed, blank rows dropped, short rows padded; (good rows, number of long ones)."""
    good, long = [], 0
    for row in rows:
        values = [(field or "").strip(BLANKS) or None for field in row]
        if not any(values):
            continue
        if len(row) > width:
            long += 1
        else:
            good.append(tuple(values + [None] * (width - len(values))))
    return good, long


def import_case(session, case, mapping):
    """Imports the file into a table made for it; (column names, rows, last progress, error)."""
    with open(case["path"], "rb") as file:
        handle = upload(session, file.read(), os.path.basename(case["file"]))
    try:
        columns = [
            row[0]
            for row in session.execute(
                "SELECT column_name FROM crm_columns(%s, %s) ORDER BY position", [handle, Jsonb(mapping)]
            )
        ]
        width = len(columns)
        session.execute("DROP TABLE IF EXISTS csv_case")
        session.execute(
            "CREATE TABLE csv_case (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
            + ", ".join(f"c{i + 1} text" for i in range(width))
            + ")"
        )
        session.execute("SELECT crm_register_module('csv_case', 'csv_case')")
        fields = {f"#{i + 1}": f"c{i + 1}" for i in range(width)}
        last = run_import(session, handle, {"module": "csv_case", "columns": fields, **mapping}, "create")[-1]
    except psycopg.Error as error:
        if session.broken:
            raise
        return None, None, None, error
    rows = session.execute(
        "SELECT " + ", ".join(f"c{i + 1}" for i in range(width)) + " FROM csv_case ORDER BY id"
    ).fetchall()
    return columns, rows, last, None


def as_expected(case, columns, rows, last):
    """Does the import agree with the project's rows? Returns (yes, what to show)."""
    header, data = expected_rows(case)
    good, long = by_our_rules(data, len(columns))
    # Rows may be stored in another order than the file's
    agree = sorted(map(repr, rows)) == sorted(map(repr, good)) and last.errored == long
    shown = f"got {rows} and {last.errored} error rows\nexpected {good} and {long} error rows"
    if agree and header is not None and len(set(header)) == len(header) and all(header):
        agree = [name.strip(BLANKS) for name in header] == columns
        shown = f"header: got {columns}, expected {header}"
    return agree, shown[:2000]


def judge(case, verdict, result):
    """(good, what to show) for one case by its verdict."""
    columns, rows, last, error = result
    if error is not None:
        clean = error.sqlstate is not None and not error.sqlstate.startswith(("XX", "57"))
        if not clean:
            return False, f"{error.sqlstate}: {error}"
        if verdict in ("rows", "sniff", "ragged-policy"):
            nothing = not any(any(map(bool, row)) for row in expected_rows(case)[1])
            broken = case["json"] is None and verdict == "ragged-policy" and "line" in str(error)
            return (nothing and "empty" in str(error)) or broken, str(error)
        return True, None
    if not adds_up(last):
        return False, str(last)
    if verdict not in ("rows", "sniff", "ragged-policy", "rows-or-reject", "error-or-transcode"):
        return True, None
    agree, shown = as_expected(case, columns, rows, last)
    if not agree and verdict == "rows-or-reject" and last.errored > 0:
        lines = text_of(case).splitlines()
        agree = all(",".join(value or "" for value in row) in lines for row in rows)
    return agree, shown


def main():
    folder = cases("csv")
    session = fresh_database("crmio_csv", standard=False)
    session.execute("SET client_min_messages = error")
    register(session)
    for case in load(folder):
        if not case["file"].endswith((".csv", ".tsv", ".txt")):
            continue
        verdict, mapping = case["verdict"], reading(case)
        if verdict.endswith("-if-option-supported"):
            verdict = verdict[: -len("-if-option-supported")]
        if mapping is None:
            verdict, mapping = "no-crash", {"header_row": 1}
        elif len(mapping.get("delimiter", ",")) > 1 or mapping.get("delimiter") == "\n":
            verdict = "error"
        good, shown = judge(case, verdict, import_case(session, case, mapping))
        ok(good, f"{case['file']} ({verdict})", shown)
    finish()


main()
