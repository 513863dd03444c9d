"""Contacts for the benchmark: CSV files of any length, in random order of the
e-mail address, the same on every run."""

import random

COLUMNS = [
    "email",
    "first_name",
    "last_name",
    "company",
    "job_title",
    "phone",
    "street",
    "city",
    "state",
    "postal_code",
    "country",
    "source",
    "status",
    "birthday",
]

FIRST = [
    "Ann",
    "Bob",
    "Carla",
    "Dmitri",
    "Eve",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jakub",
    "Keiko",
    "Lars",
    "Mona",
    "Nils",
]
LAST = [
    "Abel",
    "Brown",
    "Costa",
    "Dvorak",
    "Ellis",
    "Fischer",
    "Garcia",
    "Huang",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lopez",
]
COMPANIES = [
    "Acme",
    "Globex",
    "Initech",
    "Umbrella",
    "Hooli",
    "Vandelay",
    "Stark",
    "Wayne",
    "Tyrell",
    "Cyberdyne",
]
TITLES = [
    "Engineer",
    "Head of Sales",
    "Buyer",
    "Director of Special Projects",
    "CEO",
    "Support Agent",
    "Analyst",
]
CITIES = [
    ("Boston", "MA", "US"),
    ("Austin", "TX", "US"),
    ("Berlin", "", "DE"),
    ("Lyon", "", "FR"),
    ("Oslo", "", "NO"),
]
SOURCES = ["web", "fair", "referral", "import"]
STATUSES = ["new", "open", "qualified", "lost"]


def contact(rng, number, changed):
    """One line of the file. A changed contact has the same address and another job title and phone."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    company = rng.choice(COMPANIES)
    city, state, country = rng.choice(CITIES)
    title = rng.choice(TITLES)
    phone = rng.randrange(10000000)
    if changed:
        title, phone = "Senior " + title, phone + 1
    return (
        f"{first.lower()}.{last.lower()}{number}@{company.lower()}{number % 5000}.example.com,{first},{last},"
        f"{company} {number % 5000},{title},+1 617 {phone:07},{rng.randrange(1, 999)} {last} Street,{city},{state},"
        f"{rng.randrange(10000, 99999)},{country},{rng.choice(SOURCES)},{rng.choice(STATUSES)},"
        f"{rng.randrange(1940, 2006)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}\n"
    )


def write(path, rows, changed_percent=0):
    """The same contacts in the same order for the same number of rows; some changed."""
    numbers = list(range(rows))
    random.Random(42).shuffle(numbers)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        rng = random.Random(43)
        for number in numbers:
            file.write(contact(rng, number, number < rows // 100 * changed_percent))
