#!/usr/bin/python3
"""Compares crm_import with the reference implementation in oracle.sql.

Each seed makes a small random file, existing records, a mapping and a policy.
One database imports the file with crm_import, a second one, made from the same
template, runs oracle.import with the rows as Python knows them.  Afterwards all
records, counts, errors and warnings must be the same.  Both transactions are
rolled back, so every seed begins with empty tables.

    run.py --dsn 'host=/tmp dbname=postgres' --seeds 300    seeds 1 to 300
    run.py --dsn ... --seed 42                              one seed, in detail

The role must be a superuser: it makes the databases crmio_oracle_import and
crmio_oracle_reference, and drops them at the end.
"""

import argparse
import collections
import copy
import json
import os
import random
import sys
import time

import psycopg
from psycopg.types.json import Jsonb

HERE = os.path.dirname(os.path.abspath(__file__))
IMPORT_DB = "crmio_oracle_import"
REFERENCE_DB = "crmio_oracle_reference"
FIRST_NEW_ID = 1000  # ids below it are those of records that existed before

# Spellings by kind: (spelling, value), (spelling, None, error code), and, where the
# decimal character matters, a fourth element with it.
SPELLINGS = {
    "domain": [
        ("acme.com", "acme.com"), ("ACME.com", "acme.com"), ("www.acme.com", "acme.com"),
        ("https://www.Acme.com/about?x=1", "acme.com"), ("ann@acme.com", "acme.com"),
        ("globex.io", "globex.io"), ("http://globex.io", "globex.io"), ("Globex.IO", "globex.io"),
        ("initech.example.org", "initech.example.org"), ("umbrella.co.uk", "umbrella.co.uk"),
        ("not a domain", None, "invalid_domain"), ("acme", None, "invalid_domain"),
    ],
    "url": [
        ("https://acme.com/x", "https://acme.com/x"), ("www.globex.io", "www.globex.io"),
        ("globex.io/team", "globex.io/team"),
        ("not a url", None, "invalid_url"), ("javascript:alert(1)", None, "invalid_url"),
    ],
    "phone": [
        ("+1 555 0100", "+1 555 0100"), ("1-555-0100", "1-555-0100"), ("15550100", "15550100"),
        ("(555) 0199", "(555) 0199"), ("5550199", "5550199"), ("0049 30 123456", "0049 30 123456"),
        ("call me", None, "invalid_phone"), ("5.55E+11", None, "invalid_phone"),
    ],
    "date": [
        ("2026-09-30", "2026-09-30"), ("20260930", "2026-09-30"), ("Sep 30, 2026", "2026-09-30"),
        ("30 Sep 2026", "2026-09-30"), ("30.09.2026", "2026-09-30"), ("2024-02-29", "2024-02-29"),
        ("2025-02-29", None, "invalid_date"), ("31.11.2026", None, "invalid_date"),
        ("9/30/26", None, "invalid_date"), ("infinity", None, "invalid_date"),
        ("now", None, "invalid_date"), ("soon", None, "invalid_date"),
    ],
    "timestamp": [
        ("2026-09-30T14:30:00Z", "2026-09-30T14:30:00+00:00"),
        ("2026-09-30 14:30:00+00", "2026-09-30T14:30:00+00:00"),
        ("2026-10-01 01:15:00 +02:00", "2026-09-30T23:15:00+00:00"),
        ("Oct 2, 2026", "2026-10-02T00:00:00+00:00"), ("2026-10-02", "2026-10-02T00:00:00+00:00"),
        ("yesterday", None, "invalid_timestamp"), ("2026-13-01 10:00", None, "invalid_timestamp"),
    ],
    "cents": [
        ("1000", "100000"), ("$5", "500"), ("-7", "-700"), ("USD 12", "1200"),
        ("$1,000", "100000", None, "."), ("1000.00", "100000", None, "."),
        ("USD 1,315.00", "131500", None, "."), ("(1,200.00)", "-120000", None, "."),
        ("1.000,50", "100050", None, ","), ("1315,00 €", "131500", None, ","),
        ("1.005", None, "invalid_money", "."), ("1,005", None, "invalid_money", ","),
        ("1,0,0", None, "invalid_money"), ("much", None, "invalid_money"),
        ("99999999999999999999", None, "out_of_range"),
    ],
    "integer": [
        ("1", "1"), ("2", "2"), ("3", "3"), ("7", "7"), ("42", "42"), ("900", "900"), ("-5", "-5"),
        ("5000", "5000"), ("1,000", "1000", None, "."), ("1.000", "1000", None, ","),
        ("12a", None, "invalid_integer"), ("1.5", None, "invalid_integer", "."),
        ("1,5", None, "invalid_integer", ","), ("3000000000", None, "out_of_range"),
    ],
    "number": [
        ("1", "1"), ("-2", "-2"), ("1.5", "1.5", None, "."), ("1.50", "1.50", None, "."),
        ("1,5", "1.5", None, ","), ("1,234.25", "1234.25", None, "."), ("1.234,25", "1234.25", None, ","),
        ("1234567", None, "out_of_range"), ("heavy", None, "invalid_number"), ("NaN", None, "invalid_number"),
    ],
    "boolean": [
        ("true", "true"), ("TRUE", "true"), ("yes", "true"), ("Y", "true"), ("on", "true"), ("1", "true"),
        ("false", "false"), ("No", "false"), ("n", "false"), ("F", "false"), ("OFF", "false"), ("0", "false"),
        ("maybe", None, "invalid_boolean"), ("2", None, "invalid_boolean"),
    ],
    "text list": [
        ("red", "{red}"), ("red;blue", "{red,blue}"), ("red; blue ;", "{red,blue}"),
        ("two words;x", '{"two words",x}'),
    ],
}

PEOPLE = [("Ann", "Lee", "ann@acme.com"), ("Bob", "Stone", "bob@globex.io"), ("Jörg", "Müller", "jörg@beispiel.de"),
          ("Chloé", "Dubois", "chloe@acme.com"), ("Dan", "Brown", "dan.brown+crm@umbrella.co.uk"),
          ("Eve", "Adams", "eve@globex.io"), ("Filip", "Novák", "filip@initech.example.org"),
          ("李", "娜", "lina@example.cn"), ("O'Neil", "Pat", "pat@acme.com"), ("Zoë", "van Dyk", "zoe@example.org")]
BAD_EMAILS = ["ann", "ann@", "@acme.com", "ann@acme", "a b@acme.com", "Ann <ann@acme.com>",
              "ann@acme.com; bob@globex.io", "ann@@acme.com", "ann@acme..com"]


def cases(text):
    """The spellings of a text that differ only in case."""
    return [text, text.upper(), text.title(), text.lower()]


def email_spellings():
    """All spellings of e-mail addresses, with what they mean."""
    good = {spelling for person in PEOPLE for spelling in cases(person[2])}
    return [(spelling, spelling) for spelling in sorted(good)] + \
           [(spelling, None, "invalid_email") for spelling in BAD_EMAILS]


SPELLINGS["email"] = email_spellings()
# Two-character years and months as a/b/yyyy, which the reference reads by itself.
SLASH_DATES = {
    "mdy": ["9/30/2026", "2/3/2026", "12/25/2025", "4/4/2026", "2/30/2026"],
    "dmy": ["30/9/2026", "2/3/2026", "25/12/2025", "4/4/2026", "30/2/2026"],
    "either": ["2/3/2026", "4/4/2026", "11/12/2025"],
}
ACCOUNT_NAMES = ["Acme", "Globex", "Initech GmbH", "Ünion", "Umbrella, Inc."]
# Errors that the reader or the database finds belong to a row, not to a column.
ROW_CODES = {"too_many_fields", "invalid_csv", "unique_violation", "check_violation", "raise_exception",
             "suppressed", "foreign_key_violation", "ambiguous_match"}
ADVICE = "no_index"  # a warning that says nothing about the file

# Kinds of the field paths that the files use, per module; reference paths name
# what they look up.
PATHS = {
    "leads": {
        "email": "email", "first_name": "first", "last_name": "last", "name": "name", "email.work": "email",
        "email.home": "email", "phone": "phone", "phone.mobile": "phone", "phone.work": "phone",
        "company": "words", "job_title": "words", "website": "url", "source": "words", "notes": "notes",
        "address.city": "words", "address.street": "words", "address.billing.city": "words",
        "custom.shoe_size": "words", "custom.color": "words", "account.name": "account_name",
        "account.domain": "domain", "account.id": "id", "status": "words",
        "first_seen": "timestamp",
    },
    "accounts": {
        "name": "account_name", "domain": "domain", "industry": "words", "website": "url", "phone": "phone",
        "phone.fax": "phone", "address.city": "words", "address.country": "words",
        "lifecycle_stage": "stage", "mrr": "cents", "renewal_date": "date", "employees": "integer",
        "description": "notes", "custom.region": "words",
    },
    "tickets": {
        "title": "words", "description": "notes", "status": "status", "priority": "priority",
        "customer.email": "email", "customer.last_name": "last", "assigned_to": "words", "custom.color": "words",
    },
    "assets": {
        "code": "code", "title": "asset_title", "parent.code": "code", "parent.serial_no": "serial",
        "account.domain": "domain", "account.name": "account_name", "contact_email": "email", "host": "domain",
        "phone": "phone", "price_cents": "cents", "qty": "integer", "weight": "number", "active": "boolean",
        "grade": "grade", "bought": "date", "serial_no": "serial", "notes": "notes", "tags": "text list",
    },
}
PATHS["contacts"] = PATHS["leads"]
MATCHES = {
    "leads": [["email"], ["first_name", "last_name"], [["email"], ["last_name", "company"]], ["company"],
              ["phone"], [["email"], ["phone.mobile"]], ["email.work"]],
    "contacts": [["email"], [["email"], ["first_name", "last_name"]], ["last_name"]],
    "accounts": [["domain"], ["name"], [["domain"], ["name"]], ["name", "industry"],
                 [["domain"], ["phone", "name"]]],
    "tickets": [["title"], ["title", "priority"], [["title", "status"], ["title"]],
                ["title", "customer.email"], [["customer.email"], ["title"]]],
    "assets": [["code"], ["serial_no"], [["code"], ["serial_no"]], ["host", "grade"], ["phone"],
               ["contact_email"], ["bought", "qty"], ["weight"], [["serial_no"], ["title"]],
               ["parent.code", "title"]],
}
REFERENCES = {"leads": ["account"], "contacts": ["account"], "accounts": [], "tickets": ["customer"],
              "assets": ["parent", "account"]}
# Other spellings of some paths; the reference gets the ones above.
PATH_SPELLINGS = {"account.name": "account", "customer.email": "customer", "parent.code": "Parent",
                  "address.city": "address.main.city", "phone.mobile": "Phone.MOBILE", "email": "EMAIL"}
POLICIES = ["skip", "skip", "update", "update:fill_empty", "update:overwrite", "update:overwrite",
            "update:prefer_import", "create"]


class Case:
    """One seed: existing records, file, mapping and policy."""

    def __init__(self, seed, batch_range):
        self.rng = random.Random(seed)
        rng = self.rng
        self.module = rng.choice(["leads", "leads", "contacts", "contacts", "accounts", "tickets", "assets", "assets"])
        self.policy = rng.choice(POLICIES)
        self.batch_rows = min(rng.choice([batch_range[0], batch_range[0] + rng.randrange(10),
                                          batch_range[0] + rng.randrange(60)]), batch_range[1])
        self.bad = rng.choice([0, 0.02, 0.08])
        self.empty = rng.choice([0.05, 0.2])
        self.people = rng.sample(PEOPLE, rng.randint(2, len(PEOPLE)))
        self.dates = SLASH_DATES[rng.choice(list(SLASH_DATES))]
        self.codes = ["C-%d" % i for i in range(rng.choice([4, 12, 40]))]
        self.decimal = rng.choice([".", ".", ","])
        self.dry_run = rng.random() < 0.1
        self.max_errors = rng.random() < 0.1
        self.records = self.make_records()
        self.header, self.mapping = self.make_mapping()
        self.rows = [self.make_row() for _ in range(rng.choice([rng.randint(1, 8), rng.randint(1, 60)]))]
        self.line_end = rng.choice(["\n", "\r\n"])
        self.quote_all = rng.random() < 0.2

    # Values

    def spelled(self, kind):
        """A spelling of a kind: mostly a good one."""
        usable = [s for s in SPELLINGS[kind] if len(s) < 4 or s[3] in (None, self.decimal)]
        bad = self.rng.random() < self.bad
        chosen = [s[0] for s in usable if (s[1] is None) == bad] or [s[0] for s in usable]
        return self.rng.choice(chosen)

    def email(self):
        """An address of one of this case's people, in any case, or a bad one."""
        if self.rng.random() < self.bad:
            return self.rng.choice(BAD_EMAILS)
        address = self.rng.choice(self.people)[2]
        return address if self.rng.random() < 0.6 else self.rng.choice(cases(address))

    def choice(self, values):
        """One of some choices in any case, or another word."""
        if self.rng.random() < self.bad:
            return "none of them"
        return self.rng.choice(cases(self.rng.choice(values)))

    def value(self, kind):
        """The text of a cell, for a kind of PATHS."""
        rng = self.rng
        if kind == "email":
            return self.email()
        if kind == "date":
            return rng.choice(self.dates) if rng.random() < 0.5 else self.spelled("date")
        if kind in SPELLINGS:
            return self.spelled(kind)
        person = rng.choice(self.people)
        make = {
            "first": lambda: person[0],
            "last": lambda: person[1],
            "name": lambda: rng.choice(["%s %s" % person[:2], "%s, %s" % (person[1], person[0]), person[0],
                                        "Mary Ann Smith"]),
            "words": lambda: rng.choice(["red", "blue", "Acme", "a, b", 'say "hi"', "naïve", "7", "two words"]),
            "notes": lambda: rng.choice(["one", "two\nlines", "semi;colon", "tab\there", "straße"]),
            "account_name": lambda: rng.choice(rng.choice([cases(n)[:2] for n in ACCOUNT_NAMES])),
            "id": lambda: rng.choice(["1", "2", "3", "7", "42", "900"] + (["12a"] if rng.random() < self.bad else [])),
            "code": lambda: rng.choice(cases(rng.choice(self.codes))) if rng.random() > self.bad
            else "a code that is much too long",
            "serial": lambda: "S%d" % rng.randrange(len(self.codes) + 3),
            "asset_title": lambda: rng.choice(["pump", "valve", "shout", "quota"]) if rng.random() > 2 * self.bad
            else rng.choice(["reject", "vanish"]),
            "stage": lambda: self.choice(["prospect", "trial", "customer", "churned"]),
            "status": lambda: self.choice(["open", "pending", "resolved", "closed"]),
            "priority": lambda: self.choice(["low", "normal", "high", "urgent"]),
            "grade": lambda: self.choice(["low", "mid", "high"]),
        }
        return make[kind]()

    # Existing records

    def maybe(self, value):
        """The value, or sometimes nothing."""
        return value if self.rng.random() < 0.7 else None

    def make_records(self):
        """Records that exist before the import; some e-mails, names and domains twice."""
        rng = self.rng
        records = []
        naccounts = rng.randint(0, 6)
        for n in range(1, naccounts + 1):
            domain = rng.choice(["acme.com", "Globex.io", "initech.example.org", "umbrella.co.uk", "old.example"])
            records.append(("crm.accounts", {
                "id": n, "name": rng.choice([" Acme ", "ACME", "Globex", "initech gmbh", "Ünion", "Old"]),
                "domain": self.maybe(domain), "industry": self.maybe("red"), "mrr_cents": self.maybe(500),
                "lifecycle_stage": rng.choice(["prospect", "customer"]),
                "phones": rng.choice([[], [{"type": "fax", "value": "+1 555 0100"}]]),
                "address": rng.choice([{}, {"main": {"city": "red"}}]), "renewal_date": self.maybe("2026-09-30")}))
        npeople = rng.randint(0, 8)
        for n in range(1, npeople + 1):
            person = rng.choice(self.people)
            records.append(("crm.people", {
                "id": n, "lifecycle": rng.choice(["lead", "contact"]), "first_name": self.maybe(person[0]),
                "last_name": self.maybe(person[1]), "email": self.maybe(rng.choice(cases(person[2]))),
                "emails": rng.choice([[], [{"type": "work", "value": "eve@globex.io"}],
                                      [{"type": None, "value": "ANN@acme.com"}]]),
                "phones": rng.choice([[], [{"type": "mobile", "value": "1-555-0100"}],
                                      [{"type": None, "value": "5550199"}, {"type": "work", "value": "0049 30 123456"}],
                                      [{"type": "mobile", "value": "5550199"}, {"type": "mobile", "value": "15550100"}]]),
                "company": rng.choice([None, "", " ", "red", "Acme"]), "notes": self.maybe("one"),
                "account_id": self.maybe(rng.randint(1, naccounts)) if naccounts else None,
                "address": rng.choice([{}, {"main": {"city": "red", "street": " "}}, {"billing": {"city": "blue"}}]),
                "custom": rng.choice([{}, {"shoe_size": "7"}, {"shoe_size": None, "color": "", "kept": [1, 2]}])}))
        for n in range(1, rng.randint(0, 4) + 1):
            records.append(("crm.tickets", {
                "id": n, "title": rng.choice(["red", "blue", "Acme"]), "status": rng.choice(["open", "closed"]),
                "priority": rng.choice(["normal", "high"]), "assigned_to": self.maybe("red"),
                "customer_id": self.maybe(rng.randint(1, npeople)) if npeople else None}))
        codes = rng.sample(self.codes, rng.randint(0, 4))
        for n, code in enumerate(codes, 1):
            records.append(("crm.assets", {
                "id": n, "code": rng.choice([code, code.lower()]), "title": self.maybe("pump"), "qty": self.maybe(7),
                "parent_id": self.maybe(rng.randint(1, n)), "serial_no": self.maybe("S%d" % n),
                "account_id": self.maybe(rng.randint(1, naccounts)) if naccounts else None,
                "contact_email": self.maybe(rng.choice(cases(self.people[0][2]))), "host": self.maybe("Acme.com"),
                "phone": self.maybe("1 555 0100"), "weight": self.maybe("1.5"), "grade": self.maybe("low"),
                "bought": self.maybe("2026-09-30"), "tags": self.maybe("{red}")}))
        return [{"table": table, "record": {k: v for k, v in record.items() if v is not None}}
                for table, record in records]

    # Mapping and file

    def make_mapping(self):
        """A random header, and what its columns are mapped to."""
        rng = self.rng
        paths = PATHS[self.module]
        match = rng.choice(MATCHES[self.module]) if rng.random() < (0.8 if self.module == "tickets" else 0.4) else None
        required = {"leads": ["email"], "accounts": ["name"], "tickets": ["title"], "assets": ["code"],
                    "contacts": ["email", rng.choice(["account.name", "account.domain"])]}[self.module]
        wanted = required + [p for p in (match or []) for p in (p if isinstance(p, list) else [p])]
        others = [p for p in paths if p not in wanted]
        mapped = wanted + rng.sample(others, rng.randint(0, min(9, len(others))))
        mapped = list(dict.fromkeys(mapped))
        self.required = set(required)
        if "name" in mapped and self.module in ("leads", "contacts"):
            if "first_name" in wanted or "last_name" in wanted:
                mapped.remove("name")
            else:
                mapped = [p for p in mapped if p not in ("first_name", "last_name")]
        rng.shuffle(mapped)

        static = {}
        if len(mapped) > 2 and rng.random() < 0.3:
            path = mapped.pop()
            if paths[path] != "date":  # its order would be guessed from one value
                static[path] = self.value(paths[path])
            else:
                mapped.append(path)
        # One column may fill several fields of its kind.
        self.columns = []  # (header, kind, paths)
        while mapped:
            group = [mapped.pop()]
            for other in list(mapped):
                if paths[other] == paths[group[0]] and rng.random() < 0.15:
                    group.append(other)
                    mapped.remove(other)
            self.columns.append([rng.choice(["%s", "The %s"]) % group[0], paths[group[0]], group])
        self.columns.insert(rng.randrange(len(self.columns) + 1), ["Row", "row", None])
        if rng.random() < 0.3:
            self.columns.append(["Skipped", "words", None])

        columns = {}
        self.spelled_columns = {}
        for number, (name, _, group) in enumerate(self.columns, 1):
            key = "#%d" % number if rng.random() < 0.1 else name
            if group is not None:
                spelled = [PATH_SPELLINGS.get(p, p) if rng.random() < 0.1 else p for p in group]
                columns[key] = group
                self.spelled_columns[key] = spelled if len(group) > 1 or rng.random() < 0.1 else spelled[0]
            elif rng.random() < 0.3:
                columns[key] = self.spelled_columns[key] = None
        mapping = {"module": self.module, "columns": columns, "delimiter": rng.choice([",", ";", "\t", "|"]),
                   "header_row": 1}
        if static:
            mapping["static"] = static
        self.add_options(mapping, match)
        return [c[0] for c in self.columns], mapping

    def add_options(self, mapping, match):
        """Random values for the other keys of the mapping."""
        rng = self.rng
        if match is not None:
            mapping["match"] = match
        if self.decimal == "," or rng.random() < 0.1:
            mapping["decimal"] = self.decimal
        mapped = list(mapping.get("static", {})) + [p for c in self.columns for p in c[2] or []]
        references = [r for r in REFERENCES[self.module] if any(p.startswith(r + ".") for p in mapped)]
        if references and rng.random() < 0.5:
            mapping["auto_create"] = rng.choice([True, references, rng.sample(references, 1)])
        if rng.random() < 0.5:
            mapping["unresolved"] = rng.choice(["error", "warn", "warn"])
        if rng.random() < 0.4:
            mapping["invalid"] = rng.choice(["error", "warn", "warn"])
        if rng.random() < 0.4:
            mapping["on_ambiguous"] = rng.choice(["error", "first", "first"])
        if rng.random() < 0.3:
            mapping["null_values"] = ["N/A", "-"]
        if rng.random() < 0.2:
            mapping["date_order"] = rng.choice(["auto", "ymd", "mdy", "dmy"])
        # A record whose id is to be made up by the import is another matter.
        if "account.id" in mapped:
            mapping.pop("auto_create", None)

    def make_row(self):
        """A row: its cells, and the code of the error if the reader can't use it."""
        rng = self.rng
        cells = []
        for _, kind, paths in self.columns:
            required = paths and self.required.intersection(paths)
            if kind == "row":
                cell = "r%d" % rng.randrange(1000)
            elif rng.random() < (self.empty / 4 if required else self.empty):
                cell = rng.choice(["", "", " ", "\u00a0"] + (["N/A", " - "] if "null_values" in self.mapping else []))
            else:
                cell = self.value(kind)
                if rng.random() < 0.1:
                    cell = rng.choice([" ", "\u00a0", "\t", "\u3000"]) + cell + rng.choice(["", " ", "\n"])
            cells.append(cell)
        error = None
        if rng.random() < self.bad / 3:
            error = rng.choice(["too_many_fields", "invalid_csv"])
        return {"fields": cells, "error": error, "blank_before": rng.random() < 0.03}

    def reference_rows(self):
        """The rows as the reference takes them."""
        return [{"error": r["error"]} if r["error"] else {"fields": r["fields"]} for r in self.rows]

    def field(self, text):
        """One CSV field."""
        delimiter = self.mapping["delimiter"]
        if self.quote_all or any(c in text for c in (delimiter, '"', "\n", "\r")) or text != text.strip(" "):
            return '"%s"' % text.replace('"', '""')
        return text

    def csv(self):
        """The file."""
        delimiter = self.mapping["delimiter"]
        lines = [delimiter.join(self.field(name) for name in self.header)]
        for row in self.rows:
            fields = [self.field(f) for f in row["fields"]]
            if row["blank_before"]:
                lines.append(self.rng.choice(["", "  "]))
            if row["error"] == "too_many_fields":
                fields.append("more")
            elif row["error"] == "invalid_csv":
                fields[-1] = '"quoted"rest'
            lines.append(delimiter.join(fields))
        return self.line_end.join(lines) + self.line_end

    def describe(self):
        """What to print about a case that failed."""
        return "\n".join(["policy: %s   crmio.batch_rows: %d" % (self.policy, self.batch_rows),
                          "mapping: %s" % json.dumps(dict(self.mapping, columns=self.spelled_columns),
                                                     ensure_ascii=False),
                          "existing records:"]
                         + ["    %s" % json.dumps(r, ensure_ascii=False) for r in self.records]
                         + ["file:", self.csv()])


Result = collections.namedtuple("Result", "counts errors warnings records")


def message_list(rows):
    """Messages in a form to compare; where the row decides, the column does not."""
    return sorted((n or 0, code) if code in ROW_CODES else (n or 0, column or "", field or "", code)
                  for n, column, field, code in rows if code != ADVICE)


def canonical(data):
    """All records with references replaced by the records, new ids by "new"."""
    tables = {name: {r["id"]: r for r in rows or []} for name, rows in data.items() if name != "written"}
    references = {"account_id": "accounts", "customer_id": "people", "parent_id": "assets"}
    written = {tuple(w) for w in data["written"] or [] if w[1] < FIRST_NEW_ID}

    def content(table, record, depth):
        result = {}
        for key, value in record.items():
            if key.startswith(("created_", "updated_")):
                continue
            if key == "id":
                value = value if value < FIRST_NEW_ID else "new"
            elif key in references and value is not None and value >= FIRST_NEW_ID:
                referred = tables[references[key]].get(value)
                if depth == 3:
                    value = "new"  # records may refer to themselves
                elif referred:
                    value = content(references[key], referred, depth + 1)
            result[key] = value
        if depth == 0:
            result["written"] = (table, record["id"]) in written
        return json.dumps(result, sort_keys=True, ensure_ascii=False)

    return {name: sorted(content(name, r, 0) for r in rows.values()) for name, rows in tables.items()}


class Databases:
    """The two databases, and how a case runs in each."""

    def __init__(self, dsn):
        self.dsn = dsn
        with psycopg.connect(dsn, autocommit=True) as admin:
            for name in (IMPORT_DB, REFERENCE_DB):
                admin.execute("DROP DATABASE IF EXISTS %s" % name)
            admin.execute("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'" % IMPORT_DB)
            with self.connect(IMPORT_DB) as conn:
                self.install(conn)
            admin.execute("CREATE DATABASE %s TEMPLATE %s" % (REFERENCE_DB, IMPORT_DB))
        self.imports = self.connect(IMPORT_DB)
        self.reference = self.connect(REFERENCE_DB)
        self.imports.execute("LOAD 'crmio'")
        low, high = self.imports.execute(
            "SELECT min_val, max_val FROM pg_settings WHERE name = 'crmio.batch_rows'").fetchone()
        self.batch_range = (int(low), int(high))
        self.imports.rollback()

    def reconnect(self):
        """New connections, after the server has crashed and restarted."""
        for _ in range(60):
            try:
                self.imports = self.connect(IMPORT_DB)
                self.reference = self.connect(REFERENCE_DB)
                return
            except psycopg.OperationalError:
                time.sleep(1)

    def connect(self, name):
        """A connection to one of the databases."""
        conn = psycopg.connect(psycopg.conninfo.make_conninfo(self.dsn, dbname=name), client_encoding="utf8")
        conn.execute("SET timezone = 'UTC'")
        conn.execute("SET client_min_messages = 'error'")
        conn.commit()
        return conn

    def install(self, conn):
        """The extension, the standard modules, the reference and its tables."""
        conn.execute("CREATE EXTENSION crmio")
        conn.execute("SELECT crm_create_standard_modules()")
        with open(os.path.join(HERE, "oracle.sql"), encoding="utf8") as script:
            conn.execute(script.read())
        conn.execute("SELECT crm_register_module('assets', 'crm.assets', %s)", [Jsonb({
            "fields": {"contact_email": {"kind": "email"}, "host": {"kind": "domain"}, "phone": {"kind": "phone"}},
            "lookup": ["code", "serial_no"], "display": "code"})])
        with conn.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO oracle.spelling (kind, spelling, value, code, "decimal") VALUES (%s, %s, %s, %s, %s)',
                [(kind, *(tuple(s) + (None,) * (4 - len(s)))) for kind, list_ in SPELLINGS.items() for s in list_])
        for table in ("people", "accounts", "tickets", "assets"):
            conn.execute("ALTER TABLE crm.%s ALTER id RESTART %d" % (table, FIRST_NEW_ID))

    def close(self):
        """Drops both databases."""
        self.imports.close()
        self.reference.close()
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            for name in (REFERENCE_DB, IMPORT_DB):
                admin.execute("DROP DATABASE %s" % name)

    def seed(self, conn, case):
        """Existing records, put there without triggers."""
        conn.execute("SET LOCAL session_replication_role = 'replica'")
        conn.execute("SELECT oracle.seed(%s)", [Jsonb(case.records)])
        conn.execute("SET LOCAL session_replication_role = 'origin'")

    def records(self, conn):
        """What is in the tables now."""
        return canonical(conn.execute("SELECT oracle.records()").fetchone()[0])

    def run_reference(self, case):
        """The case by the reference implementation."""
        conn = self.reference
        try:
            self.seed(conn, case)
            counts = conn.execute("SELECT oracle.import(%s, %s, %s, %s)", [
                Jsonb(case.mapping), case.policy, Jsonb(case.header), Jsonb(case.reference_rows())]).fetchone()[0]
            messages = conn.execute("SELECT severity, row_number, column_name, field, code FROM oracle.message "
                                    "ORDER BY message_id").fetchall()
            return Result(counts, message_list(m[1:] for m in messages if m[0] in ("e", b"e")),
                          message_list(m[1:] for m in messages if m[0] in ("w", b"w")), self.records(conn))
        finally:
            conn.rollback()

    def call_import(self, case, **more):
        """One crm_import: the last progress row, after a look at all of them."""
        mapping = dict(case.mapping, columns=case.spelled_columns, **more)
        handle = self.imports.execute("SELECT crm_upload('oracle.csv', %s)", [case.csv().encode()]).fetchone()[0]
        cursor = self.imports.execute("SELECT * FROM crm_import(%s, %s, %s)", [handle, Jsonb(mapping), case.policy])
        names = [c.name for c in cursor.description]
        rows = [dict(zip(names, row)) for row in cursor.fetchall()]
        for row in rows:
            parts = ("created", "updated", "unchanged", "skipped", "errored")
            assert row["rows_read"] == sum(row[p] for p in parts), row
        assert rows[-1]["state"] == "completed", rows[-1]
        return rows[-1]

    def run_import(self, case):
        """The case by crm_import; sometimes with a dry run before, and max_errors."""
        conn = self.imports
        try:
            self.seed(conn, case)
            conn.execute("SET LOCAL crmio.batch_rows = %d" % case.batch_rows)
            if case.dry_run:
                before = self.records(conn)
                dry = self.call_import(case, dry_run=True)
                assert self.records(conn) == before, "a dry run left something behind"
            if case.max_errors:
                self.check_max_errors(case)
            last = self.call_import(case)
            counts = {k: last[k] for k in ("rows_read", "created", "updated", "unchanged", "skipped", "errored",
                                           "warnings")}
            if case.dry_run:
                assert counts == {k: dry[k] for k in counts}, "dry run: %s, import: %s" % (dry, last)
            errors, warnings = [conn.execute("SELECT row_number, column_name, field, code FROM %s(%%s)" % view,
                                             [last["job_id"]]).fetchall() for view in ("crm_errors", "crm_warnings")]
            counts["warnings"] -= sum(w[3] == ADVICE for w in warnings)
            return Result(counts, message_list(errors), message_list(warnings), self.records(conn))
        finally:
            if not conn.closed:
                conn.rollback()

    def check_max_errors(self, case):
        """An import with one error row more than max_errors fails as a whole."""
        errored = self.run_reference(case).counts["errored"]
        self.imports.execute("SAVEPOINT before_max_errors")
        self.call_import(case, max_errors=errored)
        self.imports.execute("ROLLBACK TO before_max_errors")
        if errored == 0:
            return
        try:
            self.call_import(case, max_errors=errored - 1)
        except psycopg.Error:
            self.imports.execute("ROLLBACK TO before_max_errors")
            return
        raise AssertionError("%d error rows passed max_errors %d" % (errored, errored - 1))


def differences(imported, reference):
    """Lines that say where two results differ."""
    lines = []
    if imported.counts != reference.counts:
        lines += ["counts: crm_import %s" % imported.counts, "        reference  %s" % reference.counts]
    pairs = [("errors", imported.errors, reference.errors), ("warnings", imported.warnings, reference.warnings)]
    pairs += [(t, imported.records[t], reference.records[t]) for t in sorted(reference.records)]
    for name, left, right in pairs:
        left, right = collections.Counter(left), collections.Counter(right)
        lines += ["%s, only crm_import: %s" % (name, item) for item in (left - right).elements()]
        lines += ["%s, only reference:  %s" % (name, item) for item in (right - left).elements()]
    return lines


def compare(databases, case):
    """Runs a case both ways; returns the differences."""
    reference = databases.run_reference(case)
    try:
        imported = databases.run_import(case)
    except (psycopg.Error, AssertionError) as problem:
        if databases.imports.closed:
            databases.reconnect()
        return ["crm_import failed: %s" % problem]
    return differences(imported, reference)


def shrink(databases, case):
    """Leaves out rows and records that a failing case does not need to fail."""
    def smaller(name, case):
        position = 0
        while position < len(getattr(case, name)):
            attempt = copy.copy(case)
            setattr(attempt, name, getattr(case, name)[:position] + getattr(case, name)[position + 1:])
            try:
                failed = bool(compare(databases, attempt))
            except psycopg.Error:
                failed = False  # a record that others need
            if failed:
                case = attempt
            else:
                position += 1
        return case
    return smaller("records", smaller("rows", case))


def main():
    """Runs the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", default="")
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--start", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--max-failures", type=int, default=5, help="stop after so many")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed else range(options.start, options.start + options.seeds)

    databases = Databases(options.dsn)
    passed = failed = 0
    totals = collections.Counter()
    try:
        for number, seed in enumerate(seeds, 1):
            case = Case(seed, databases.batch_range)
            if options.verbose:
                print("seed %d\n%s" % (seed, case.describe()))
                print(databases.run_reference(case))
            if compare(databases, case):
                failed += 1
                case = shrink(databases, case)
                print("seed %d: crm_import and the reference differ\n%s" % (seed, case.describe()))
                print("\n".join(compare(databases, case)) + "\n")
                if failed >= options.max_failures:
                    break
            else:
                passed += 1
            if number % 50 == 0:
                print("oracle: %d of %d seeds" % (number, len(seeds)), flush=True)
    finally:
        databases.close()
    print("oracle: %d seeds passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
