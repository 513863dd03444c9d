#!/usr/bin/env python3
"""Writes the demo's two files into the folder given: accounts.csv, as an old
spreadsheet would save it (Windows-1252, semicolons, decimal commas), and
contacts.csv, a messy list of 1,200 people. The same on every run."""

import csv
import os
import random
import sys

# First and last names of one language each
NAMES = [
    (["Ann", "Bob", "Grace"], ["Lee", "O'Neil", "Smith-Jones"]),
    (["José", "Inés"], ["García", "Muñoz"]),
    (["Łukasz", "Żaneta"], ["Wójcik", "Dąbrowski"]),
    (["Jürgen", "Zoë"], ["Müller", "Groß"]),
    (["Αλέξης", "Ελένη"], ["Παπαδόπουλος", "Νικολάου"]),
    (["Ольга", "Дмитрий"], ["Иванова", "Соколов"]),
    (["美咲", "太郎"], ["佐藤", "山田"]),
    (["محمد", "ليلى"], ["الأحمد", "حداد"]),
    (["דנה", "יוסי"], ["כהן", "לוי"]),
]
TITLES = ["CEO", "Head of Sales", "Buyer, Europe", 'Director "Special Projects"', "", "Engineer"]
CITIES = [
    ("Berlin", "Germany"),
    ("São Paulo", "Brazil"),
    ("Kraków", "Poland"),
    ("東京", "Japan"),
    ("Boston", "USA"),
]
COMPANIES = [
    "Müller & Söhne",
    "Café Noir",
    "Acme",
    "Nordlicht",
    "Señor Taco",
    "Brönsted",
    "Globex",
    "Initech",
    "Umbrella",
    "Hooli",
]
INDUSTRIES = ["Manufacturing", "Food", "Software", "Energy"]
CONTACTS = 1200


def slug(text):
    """An ASCII name for addresses and domains."""
    return "".join(c for c in text.lower() if c.isascii() and c.isalnum()) or "x"


def accounts():
    """60 accounts; a few with values that do not fit."""
    for i in range(60):
        name = COMPANIES[i % len(COMPANIES)] + ("" if i < len(COMPANIES) else f" {i // len(COMPANIES) + 1}")
        mrr = f"{(i * 137) % 9000 + 100:,}.{i % 100:02}".replace(",", " ").replace(".", ",").replace(" ", ".")
        yield [
            name,
            f"https://www.{slug(name)}.example/",
            INDUSTRIES[i % 4],
            "customer" if i % 3 else "Trial",
            mrr + " €",
            "31.02.2026" if i == 23 else f"{i % 28 + 1:02}.{i % 12 + 1:02}.2026",
            "many" if i == 41 else str(i * 10 + 5),
        ]


def phone(rng):
    return rng.choice(
        ["+49 30 {:07}", "(617) 555-{:04}", "0048 22 {:06}", "+81-3-{:04}-0001", "030/{:06} ext. 12"]
    ).format(rng.randrange(10000))


def note(rng):
    return rng.choice(
        [
            "",
            "",
            "Met at the fair.",
            'Said: "call me after lunch"\nThen went home.',
            "Likes tea;\r\nlikes coffee, too",
        ]
    )


def seen(rng):
    """A date, in one of the spellings that people use; some are impossible."""
    day, month = rng.randrange(1, 29), rng.randrange(1, 13)
    return rng.choice(
        [f"2025-{month:02}-{day:02}", f"{month}/{day}/2025", f"2025{month:02}{day:02}", f"{day} Sep 2025", ""]
    )


def contact(rng, i):
    """One row; every so often one is broken."""
    firsts, lasts = rng.choice(NAMES)
    first, last = rng.choice(firsts), rng.choice(lasts)
    city, country = rng.choice(CITIES)
    account = rng.randrange(60)
    company = COMPANIES[account % len(COMPANIES)] + (
        "" if account < len(COMPANIES) else f" {account // len(COMPANIES) + 1}"
    )
    row = {
        "E-mail": f"{slug(first)}.{slug(last)}{i}@{slug(company)}.example",
        "Full Name": f"{last}, {first}" if i % 4 == 0 else f"{first} {last}",
        "Job Title": rng.choice(TITLES),
        "Mobile Phone": phone(rng),
        "Work Phone": phone(rng) if i % 3 else "",
        "Account Name": company,
        "Account Domain": f"WWW.{slug(company)}.example" if i % 2 else "",
        "City": city,
        "Country": country,
        "First Seen": seen(rng),
        "Shoe Size": str(rng.randrange(36, 47)),
        "Notes": note(rng),
    }
    if i % 97 == 96:
        row["E-mail"] = rng.choice(["not an address", "ann@", "bob@example.com; eve@example.com"])
    if i % 83 == 82:
        row["First Seen"] = rng.choice(["2025-02-30", "13/13/2025", "soon", "1/2/25"])
    if i % 71 == 70:
        row["Account Name"], row["Account Domain"] = "Nobody Knows Ltd", ""
    if i % 59 == 58:
        row["Mobile Phone"] = "5.55E+11"
    return row


def contacts():
    """Every fortieth row repeats an earlier one, its address in capitals, and knows a missing job title."""
    rng = random.Random(2026)
    rows = []
    for i in range(CONTACTS):
        if i % 40 == 39:
            row = dict(rng.choice(rows[: i - 1]))
            row["E-mail"] = row["E-mail"].upper()
            row["Job Title"] = row["Job Title"] or "Partner"
        else:
            row = contact(rng, i)
        rows.append(row)
    return rows


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "accounts.csv"), "w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(["Name", "Domain", "Industry", "Lifecycle Stage", "MRR", "Renewal Date", "Employees"])
        writer.writerows(accounts())
    rows = contacts()
    with open(os.path.join(folder, "contacts.csv"), "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)


main()
