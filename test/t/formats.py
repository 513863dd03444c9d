"""XLSX and PDF as others read them: the cells of a sheet by its XML and by gnumeric,
the pages of a PDF by poppler."""

import datetime
import io
import os
import random
import re
import subprocess
import tempfile
import unicodedata
import zipfile
from decimal import Decimal
from xml.etree import ElementTree

from psycopg.types.json import Jsonb

from support import connect, drop_role, failure, fails, finish, fresh_database, ok, same

DATABASE = "crmio_formats"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EPOCH = datetime.datetime(1899, 12, 30)
MAX_CELL = 32767
LAST_ROW = 1048576

NASTY = [
    "=1+1", "+49 30 1234", "-5", "@cmd", "00123", "1e5", "TRUE", "2026-01-01", "  blanks  ", "",
    'quotes " and , and ;', "a & b < c > d", "first\nsecond", "tab\there", "http://example.com/x?a=1",
    "mailto:ann@example.com", "Zoë Ångström", "Москва", "Ελληνικά", "Nguyễn", "_x0041_", "'quoted",
]


def export(connection, query, format, options=None):
    """A file and the warnings that came with it."""
    notices = []
    handler = lambda diagnostic: notices.append(diagnostic.message_primary)
    connection.add_notice_handler(handler)
    content = connection.execute(
        "SELECT crm_export_file(%s, %s, %s)", [query, format, Jsonb(options or {})]
    ).fetchone()[0]
    connection.remove_notice_handler(handler)
    return content, notices


# --- sheets, by their XML


class Workbook:
    """What the parts of an XLSX say; cells as (type, value, number format)."""

    def __init__(self, content):
        self.zip = zipfile.ZipFile(io.BytesIO(content))
        self.names = [sheet.get("name") for sheet in self.xml("xl/workbook.xml").iter(MAIN + "sheet")]
        styles = self.xml("xl/styles.xml")
        codes = {"0": "General", "1": "0", "4": "#,##0.00", "49": "@"}
        codes.update({f.get("numFmtId"): f.get("formatCode") for f in styles.iter(MAIN + "numFmt")})
        bold = [font.find(MAIN + "b") is not None for font in styles.find(MAIN + "fonts")]
        self.formats = []
        self.bold = []
        for style in styles.find(MAIN + "cellXfs"):
            self.formats.append(codes[style.get("numFmtId")])
            self.bold.append(bold[int(style.get("fontId"))])

    def xml(self, name):
        return ElementTree.fromstring(self.zip.read(name))

    def sheet(self, number=1):
        return self.xml(f"xl/worksheets/sheet{number}.xml")

    def rows(self, number=1):
        """All rows, as dicts from the letters of the column."""
        return [
            {re.sub(r"\d", "", cell.get("r")): self.cell(cell) for cell in row}
            for row in self.sheet(number).iter(MAIN + "row")
        ]

    def cell(self, cell):
        style = int(cell.get("s", "0"))
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            value = unescape("".join(text.text or "" for text in cell.iter(MAIN + "t")))
        else:
            text = cell.findtext(MAIN + "v")
            value = None if text is None else bool(int(text)) if kind == "b" else float(text)
        return kind, value, self.formats[style]


def unescape(text):
    """The escapes of the file format: _x0007_ is a bell."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)


def day(value):
    """A date or timestamp as a sheet counts it."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    return (value - EPOCH) / datetime.timedelta(days=1)


def close(cell, expected):
    """Is this cell the number, to the 15 digits that sheets have?"""
    return cell is not None and cell[0] == "n" and abs(cell[1] - expected) <= abs(expected) * 1e-15 + 1e-12


def test_types(connection):
    """Every type as the cell that it should be."""
    randomizer = random.Random(5)
    connection.execute(
        "CREATE TABLE typed (id int, big bigint, amount numeric(14,2), ratio float8, active bool,"
        " day date, at timestamp, zoned timestamptz, note text, tags text[], extra jsonb)"
    )
    rows = []
    with connection.cursor().copy("COPY typed FROM STDIN") as copy:
        for number in range(2000):
            at = datetime.datetime(1950, 1, 1) + datetime.timedelta(seconds=randomizer.randrange(4 * 10**9))
            row = (
                number, randomizer.randrange(-10**15 + 1, 10**15),
                Decimal(randomizer.randrange(-10**11, 10**11)) / 100, randomizer.uniform(-1e6, 1e6),
                randomizer.random() < 0.5, at.date(), at.replace(microsecond=250000),
                at.replace(tzinfo=datetime.timezone.utc), randomizer.choice(NASTY), ["a", "b;c"], {"k": [1, 2]},
            )
            row = tuple(None if i > 0 and randomizer.random() < 0.1 else v for i, v in enumerate(row))
            rows.append(row)
            copy.write_row(row[:10] + (None if row[10] is None else Jsonb(row[10]),))
    connection.execute("SET TimeZone = 'Asia/Kolkata'")
    content, notices = export(connection, "SELECT * FROM typed ORDER BY id", "xlsx", {"title": "Typed"})
    same(notices, [], "nothing to warn of")
    book = Workbook(content)
    sheet = book.rows()
    same([cell[1] for cell in sheet[0].values()],
         ["id", "big", "amount", "ratio", "active", "day", "at", "zoned", "note", "tags", "extra"], "the header")
    same(len(sheet), len(rows) + 1, "all rows are there")

    wrong = []
    shift = datetime.timedelta(hours=5, minutes=30)
    for row, cells in zip(rows, sheet[1:]):
        good = all((value is None) == (letter not in cells) for letter, value in zip("ABCDEFGHIJK", row))
        for letter, value in zip("ABCDEFGHIJK", row):
            cell = cells.get(letter)
            if value is None:
                continue
            if letter in "ABCD":
                good &= close(cell, float(value))
                good &= cell[2] == {"A": "0", "B": "0", "C": "#,##0.00", "D": "General"}[letter]
            elif letter == "E":
                good &= cell[:2] == ("b", value)
            elif letter == "F":
                good &= close(cell, day(value)) and cell[2] == "yyyy\\-mm\\-dd"
            elif letter == "G":
                good &= abs(cell[1] - day(value)) < 1e-8 and cell[2].endswith(":ss.000")
            elif letter == "H":
                local = (value + shift).replace(tzinfo=None)
                good &= abs(cell[1] - day(local)) < 1e-8 and cell[2].endswith(":ss")
            elif letter == "I" and value == "":
                good &= cell[1] is None
            else:
                text = {"J": "a;b;c", "K": '{"k": [1, 2]}'}.get(letter, value)
                good &= letter == "J" or cell[:2] == ("inlineStr", text)
                good &= cell[2] == "@"
        if not good:
            wrong.append((row, cells))
    same(wrong[:2], [], "2000 rows have the same typed cells")
    return content


def test_look(content):
    """What a user sees first: header, filter, widths."""
    book = Workbook(content)
    sheet = book.sheet()
    same(book.names, ["Typed"], "the sheet has the name of the title")
    pane = sheet.find(f"{MAIN}sheetViews/{MAIN}sheetView/{MAIN}pane")
    same((pane.get("ySplit"), pane.get("state")), ("1", "frozen"), "the header stays in sight")
    same(sheet.find(MAIN + "autoFilter").get("ref"), "A1:K2001", "the filter covers all rows")
    header = next(sheet.iter(MAIN + "row"))
    ok(all(book.bold[int(cell.get("s"))] for cell in header), "the header is bold")
    widths = [float(column.get("width")) for column in sheet.iter(MAIN + "col")]
    ok(len(widths) == 11 and all(8 <= width <= 63 for width in widths) and widths[1] > 16 > widths[0],
       "columns are as wide as what is in them", widths)
    ok(not list(sheet.iter(MAIN + "f")) and not list(sheet.iter(MAIN + "hyperlink")), "no formulas, no links")
    same(book.zip.testzip(), None, "the archive is whole")


def test_gnumeric(connection):
    """The same cells as a spreadsheet program reads them."""
    query = ("SELECT i, (i * 1.25)::numeric(12,2) AS amount, i % 2 = 0 AS even, date '2020-02-28' + i::int AS day,"
             " n AS note FROM unnest(%s::text[]) WITH ORDINALITY u(n, i) ORDER BY i")
    texts = [text for text in NASTY if not text.startswith("_x")]
    literal = connection.execute("SELECT quote_literal(%s::text[])", [texts]).fetchone()[0]
    content, _ = export(connection, query.replace("%s", literal), "xlsx")
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "a.xlsx"), os.path.join(folder, "a.txt")
        with open(source, "wb") as file:
            file.write(content)
        subprocess.run(
            ["ssconvert", "-T", "Gnumeric_stf:stf_assistant",
             "-O", "format=preserve separator='\x1f' eol=unix quoting-mode=never", source, target],
            check=True, capture_output=True, env={**os.environ, "HOME": folder},
        )
        with open(target, encoding="utf-8") as file:
            got = file.read()
    expected = "i\x1famount\x1feven\x1fday\x1fnote\n"
    for number, text in enumerate(texts, 1):
        amount = f"{Decimal(number) * Decimal('1.25'):,.2f}"
        date = datetime.date(2020, 2, 28) + datetime.timedelta(days=number)
        expected += f"{number}\x1f{amount}\x1f{str(number % 2 == 0).upper()}\x1f{date}\x1f{text}\n"
    same(got, expected, "gnumeric shows the same cells")


def test_sheet_limits(connection):
    """What a sheet can't hold is text, or cut with a warning; never changed in silence."""

    def cells(values):
        content, notices = export(connection, "SELECT " + ", ".join(values), "xlsx")
        return list(Workbook(content).rows()[1].values()), notices

    texts = {
        "123456789012345678::bigint": "123456789012345678",
        "1234567890123456.5::numeric": "1234567890123456.5",
        "0.1234567890123456::numeric": "0.1234567890123456",
        "'NaN'::numeric": "NaN", "'-Infinity'::float8": "-Infinity", "1.7e308::float8": "1.7e+308",
        "date '1900-02-28'": "1900-02-28", "date '0044-03-15 BC'": "0044-03-15 BC",
        "date 'infinity'": "infinity", "timestamp '10000-01-01'": "10000-01-01 00:00:00",
    }
    got, notices = cells(texts)
    same([cell[:2] for cell in got], [("inlineStr", text) for text in texts.values()],
         "numbers and dates beyond a sheet are text")
    got, _ = cells(["123456789012345::bigint", "12345678901234.5::numeric", "100000000000000000000::numeric",
                    "-0.000123::numeric", "0.1::float4", "date '1900-03-01'", "date '9999-12-31'"])
    same([cell[:2] for cell in got],
         [("n", v) for v in (123456789012345, 12345678901234.5, 1e20, -0.000123, 0.1, 61, 2958465)],
         "those within are numbers")

    got, notices = cells(["repeat('x', 32767)", "repeat('x', 32768)", "repeat(U&'\\+01F600', 16383)",
                          "repeat(U&'\\+01F600', 16384)", "repeat('x', 10000000)"])
    same([got[0][1], got[2][1]], ["x" * MAX_CELL, "\U0001f600" * 16383], "a cell holds 32,767 characters")
    for index, length in ((1, 32768), (3, 16384), (4, 10000000)):
        ok(got[index][1].endswith(f"... [cut: {length} characters in all]") and
           len(got[index][1].encode("utf-16-le")) // 2 <= MAX_CELL, f"{length} are cut with a mark")
    same(len(notices), 1, "with one warning")
    ok("3 values" in notices[0], "that counts them", notices)

    got, _ = cells(["E'bell\\007 esc\\033'", "E'a\\r\\nb\\rc'", "U&'x\\FFFEy'", "'_x0041_'"])
    same([cell[1] for cell in got], ["bell\x07 esc\x1b", "a\nb\nc", "x\ufffey", "_x0041_"],
         "control characters are escaped, line ends are one")


def test_sheet_names(connection):
    for title, name in (
        ("Sales 2026/Q3: [draft]?*", "Sales 2026-Q3- -draft---"), ("'quoted'", "-quoted-"),
        ("history", "Export"), ("  ", "Export"), ("x" * 40, "x" * 31),
        ("\U0001f600" * 20, "\U0001f600" * 15), ("a\tb", "a b"),
    ):
        content, _ = export(connection, "SELECT 1 AS a", "xlsx", {"title": title})
        same(Workbook(content).names, [name], f"title {title[:12]!r} as the name of a sheet")


def test_many_rows(connection):
    """The rows that a sheet can't hold go on in the next one."""
    content, _ = export(connection, f"SELECT generate_series(1, {LAST_ROW + 1}) AS n", "xlsx", {"title": "y" * 31})
    book = Workbook(content)
    same(book.names, ["y" * 31, "y" * 27 + " (2)"], "two sheets")
    same([list(row.values())[0][1] for row in book.rows(2)], ["n", LAST_ROW, LAST_ROW + 1.0], "the second has a header too")
    first = book.zip.read("xl/worksheets/sheet1.xml")
    same((first.count(b"<row "), first.count(f'<row r="{LAST_ROW}">'.encode())), (LAST_ROW, 1), "the first is full")
    ok(f'autoFilter ref="A1:A{LAST_ROW}"'.encode() in first, "and has a filter")


# --- pages, by poppler


class Pages:
    """The text of each page in the order in which it was drawn (or seen), and the page sizes."""

    def __init__(self, content, order="-raw"):
        text = self.run(["pdftotext", order, "-", "-"], content).decode()
        self.text = [unicodedata.normalize("NFKC", page) for page in text.split("\f")[:-1]]
        information = self.run(["pdfinfo", "-l", "9999", "-"], content).decode()
        self.sizes = [(float(w), float(h)) for w, h in re.findall(r"size: +([\d.]+) x ([\d.]+)", information)]
        self.title = re.search(r"^Title: +(.*)$", information, re.M)[1]
        self.created = re.search(r"^CreationDate: +(.*)$", information, re.M)[1]

    @staticmethod
    def run(command, content):
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        ok(not done.stderr, f"{command[0]} has nothing to say", done.stderr[:300])
        return done.stdout

    def squeezed(self, title, header):
        """All text without blanks and without what each page repeats."""
        body = ""
        for number, page in enumerate(self.text, 1):
            page = squeeze(page)
            page = re.sub(r"\d{4}-\d\d-\d\d\d\d:\d\d\S{1,6}?" + re.escape(squeeze(title)), "", page, count=1)
            page = page.replace(squeeze(header), "", 1)
            body += page.replace(f"Page{number}of{len(self.text)}", "")
        return body


def squeeze(text):
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_pdf(connection):
    """All cells on numbered pages, each with title and header."""
    texts = [text for text in NASTY if text.strip()] + ["word " * 30 + "end", "x" * 200, "very.long@" + "example." * 20 + "com"]
    literal = connection.execute("SELECT quote_literal(%s::text[])", [texts]).fetchone()[0]
    query = f"SELECT i AS id, ({literal}::text[])[i % {len(texts)} + 1] AS note, i * 1.5 AS amount FROM generate_series(1, 1500) i"
    content, notices = export(connection, query, "pdf", {"title": "All the notes"})
    pages = Pages(content)
    count = len(pages.text)
    same(notices, [], "nothing to warn of")
    same((pages.title, bool(pages.created)), ("All the notes", True), "the file has a title and a date")
    ok(count > 20 and len(pages.sizes) == count and set(pages.sizes) == {(595.276, 841.89)}, "upright pages", count)
    ok(all(f"Page {number} of {count}" in page and "All the notes" in page and "id note amount" in page
           for number, page in enumerate(pages.text, 1)), "each with title, header and number")
    expected = "".join(squeeze(f"{i}{texts[i % len(texts)]}{Decimal(i) * Decimal('1.5')}") for i in range(1, 1501))
    same(pages.squeezed("All the notes", "id note amount"), expected, "all cells are there, in order")


def test_pdf_pages(connection):
    """The size of pages goes by the table."""
    columns = ", ".join(f"'some text {i}' AS \"Column {i}\"" for i in range(1, 11))
    pages = Pages(export(connection, "SELECT " + columns, "pdf")[0])
    same(pages.sizes, [(841.89, 595.276)], "ten columns lie across")
    columns = ", ".join(f"'some text {i}' AS \"Column {i}\"" for i in range(1, 101))
    pages = Pages(export(connection, "SELECT " + columns, "pdf")[0])
    ok(pages.sizes[0][0] > 2000, "a hundred have a larger page", pages.sizes)
    same(squeeze(pages.text[0]).count("sometext"), 100, "with all of them")
    fails(connection, "PDF of 1600 columns", "SELECT crm_export_file(%s, 'pdf')",
          ["SELECT " + ", ".join(f"1 AS column_{i}" for i in range(1600))], "54000", "too many for the pages")

    lines = [f"line {i}" for i in range(1, 401)]
    pages = Pages(export(connection, "SELECT 1 AS a, %s AS b, 2 AS c" % repr("\n".join(lines)).replace("'", "E'", 1), "pdf")[0])
    text = pages.squeezed("Export", "a b c")
    ok(len(pages.text) > 4 and all(squeeze(line) in text for line in lines), "a row goes over several pages")
    times = "timestamptz '2026-05-01 12:00:00.123456+00' AS a, timestamp '0044-03-15 12:00:00.5 BC' AS b, timestamp 'infinity' AS c"
    page = Pages(export(connection, "SELECT " + times, "pdf")[0]).text[0]
    ok("2026-05-01 17:30:00 0044-03-15 12:00:00.5 BC infinity" in page, "times to the second, where they are in our era", page)
    page = Pages(export(connection, "SELECT 1 AS a WHERE false", "pdf")[0]).text[0]
    ok(squeeze(page).endswith("a(norows)Page1of1"), "no rows are said to be none", page)


def test_pdf_scripts(connection):
    """Characters that the font lacks are shown; right-to-left text is joined and in order."""
    pages = Pages(export(connection, "SELECT 1 AS a", "pdf", {"title": "שלום " * 20000})[0])
    same(pages.title.strip(), ("שלום " * 51).strip(), "a long title is cut, and stands in its own order")
    content, notices = export(connection, "SELECT U&'a\\4F60\\+01F600b' AS a, E'x\\007y' AS b", "pdf")
    ok("a[U+4F60][U+1F600]bx[U+0007]y" in Pages(content).squeezed("Export", "a b"), "lacking characters have their numbers")
    same(len(notices), 1, "and there is one warning")
    ok("3 characters" in notices[0], "that counts them", notices)

    marks = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u200e\u200f"))
    for text in ("שלום עולם", "مرحبا بالعالم", "السلام عليكم"):
        page = Pages(export(connection, f"SELECT '{text}' AS a", "pdf")[0], "-layout").text[0].translate(marks)
        ok(text in page, f"text from right to left can be read: {text}", page)
    page = Pages(export(connection, "SELECT U&'Nguye\\0302\\0303n Thị Ánh, Ǻ ΐ' AS a", "pdf")[0]).text[0]
    ok(squeeze("Nguyễn Thị Ánh, Ǻ ΐ") in squeeze(page), "accents can be read")


def test_pdf_limits(connection):
    pdf = "SELECT crm_export_file(%s, 'pdf')"
    connection.execute("SET crmio.pdf_memory = '8MB'")
    fails(connection, "PDF beyond crmio.pdf_memory", pdf, ["SELECT md5(i::text) FROM generate_series(1, 100000) i"],
          "53400", "crmio.pdf_memory, 8 MB")
    connection.execute("SET statement_timeout = '60s'")
    fails(connection, "a single text beyond it", pdf, ["SELECT repeat('x', 100000000)"], "53400", "crmio.pdf_memory, 8 MB")
    connection.execute("RESET statement_timeout")
    connection.execute("RESET crmio.pdf_memory")
    for font, state, says in (("/nowhere/font.ttf", "58P01", "could not read font file"),
                              ("/etc/passwd", "22023", "could not use font file")):
        connection.execute("SELECT set_config('crmio.pdf_font', %s, false)", [font])
        fails(connection, f"font {font}", pdf, ["SELECT 1"], state, says)
    connection.execute("RESET crmio.pdf_font")
    ok(export(connection, "SELECT 1", "pdf")[0].startswith(b"%PDF-"), "then it works again")

    drop_role(connection, "crmio_printer")
    connection.execute("CREATE ROLE crmio_printer LOGIN")
    with connect(DATABASE, user="crmio_printer") as printer:
        ok(export(printer, "SELECT 1", "pdf")[0].startswith(b"%PDF-"), "an ordinary role exports")
        fails(printer, "font of an ordinary role", "SET crmio.pdf_font = '/etc/passwd'", None, "42501")
        fails(printer, "memory of an ordinary role", "SET crmio.pdf_memory = '4GB'", None, "42501")
    drop_role(connection, "crmio_printer")


# --- both


def test_errors(connection):
    """An export that ends early leaves no temporary file and no open one."""
    pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
    connection.execute("CREATE TABLE many AS SELECT i, md5(i::text) AS text FROM generate_series(1, 60000) i")
    for format in ("xlsx", "pdf"):
        fails(connection, f"{format} of a query with an error", "SELECT crm_export_file(%s, %s)",
              ["SELECT 1 / (i - 30000) FROM many", format], "22012", "division by zero")
    connection.execute("SET temp_file_limit = '1MB'")
    fails(connection, "xlsx beyond temp_file_limit", "SELECT crm_export_file('TABLE many', 'xlsx')", None, "53400", "temp_file_limit")
    connection.execute("RESET temp_file_limit")
    connection.execute("SET statement_timeout = '150ms'")
    for format in ("xlsx", "pdf"):
        fails(connection, f"{format} that takes too long", "SELECT crm_export_file(%s, %s)",
              ["SELECT many.* FROM many, generate_series(1, 20)", format], "57014")
    connection.execute("RESET statement_timeout")
    left = connection.execute("SELECT name FROM pg_ls_tmpdir()").fetchall()
    same(left, [], "no temporary file is left")
    if os.path.isdir(f"/proc/{pid}/fd") and os.access(f"/proc/{pid}/fd", os.R_OK):
        files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")
                 if os.path.islink(f"/proc/{pid}/fd/{name}")]
        same([file for file in files if "pgsql_tmp" in file or file.endswith(".ttf")], [], "no file is open")
    same(failure(connection, "SELECT crm_export_file('TABLE many', 'pdf')"), None, "the session goes on")


def test_targets(connection):
    """On the server and in a large object the files are the same."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        for format, magic in (("xlsx", b"PK"), ("pdf", b"%PDF-")):
            path = os.path.join(folder, "many." + format)
            query = "SELECT * FROM many LIMIT 1234"
            rows = connection.execute("SELECT crm_export_to(%s, %s, %s)", [path, query, format]).fetchone()[0]
            with open(path, "rb") as file:
                content = file.read()
            loid = connection.execute("SELECT crm_export_lo(%s, %s)", [query, format]).fetchone()[0]
            large = connection.execute("SELECT lo_get(%s), lo_unlink(%s)", [loid, loid]).fetchone()[0]
            same(rows, 1234, f"{format} on the server: its rows")
            ok(content.startswith(magic) and large.startswith(magic), f"{format} is one, on the server and in a large object")
            if format == "xlsx":
                same(Workbook(content).rows(), Workbook(large).rows(), "with the same cells")
            else:
                same(Pages(content).text, Pages(large).text, "with the same pages")


def test_encoding():
    """A database that is not in UTF-8."""
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE IF EXISTS crmio_latin1")
        connection.execute("CREATE DATABASE crmio_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with connect("crmio_latin1") as connection:
        connection.execute("CREATE EXTENSION crmio")
        query = "SELECT 'Zoë ' || chr(223) AS \"Größe\""
        rows = Workbook(export(connection, query, "xlsx", {"title": "Größen"})[0]).rows()
        same([row["A"][1] for row in rows], ["Größe", "Zoë ß"], "a sheet from LATIN1")
        ok(all(text in Pages(export(connection, query, "pdf")[0]).text[0] for text in ("Größe", "Zoë ß")), "a page from LATIN1")
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE crmio_latin1")


def main():
    connection = fresh_database(DATABASE)
    content = test_types(connection)
    test_look(content)
    test_gnumeric(connection)
    test_sheet_limits(connection)
    test_sheet_names(connection)
    test_many_rows(connection)
    test_pdf(connection)
    test_pdf_pages(connection)
    test_pdf_scripts(connection)
    test_pdf_limits(connection)
    test_errors(connection)
    test_targets(connection)
    test_encoding()
    connection.close()
    finish()


main()
