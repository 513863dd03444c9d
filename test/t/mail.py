"""Mail about jobs, against a real SMTP server on the loopback: sent once, kept while the
server is down, refused, encrypted; and what other roles may see of it."""

import asyncio
import email
import email.policy
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from psycopg.types.json import Jsonb

from support import (
    COUNTS,
    connect,
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

DATABASE = "crmio_mail"
LEADS = {"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}
FILE = "Email,Title\nann@example.com,CEO\nbob@,CFO\n"
PASSWORD = "s3cret-of-the-relay"
HEADERS = [
    "auto-submitted",
    "content-type",
    "date",
    "from",
    "message-id",
    "mime-version",
    "subject",
    "to",
]
PATIENCE = 30  # seconds for what takes a fraction of one


class Inbox:
    """A mail server on a port of its own, and what it was sent. `answers` are its replies
    to RCPT, by address; once a reply is "once", it is forgotten after its first use."""

    def __init__(self, port=None, answers=None, stall=0, **options):
        self.mails = []
        self.answers = dict(answers or {})
        self.stall = stall
        self.sessions = []
        self.port = port or free_port()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.answers.get(address)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else None
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, message))
        self.sessions.append(session)
        if self.stall:
            await asyncio.sleep(self.stall)
        return "250 OK"

    def stop(self):
        self.controller.stop()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    return condition()


def use(admin, url, **settings):
    """The mail settings of the database; a new session, or worker, has them."""
    for name, value in {"smtp_url": url, "mail_from": "crmio@example.org", **settings}.items():
        admin.execute(f"ALTER DATABASE {DATABASE} SET crmio.{name} = '{value}'")


def import_leads(session, notify, name="leads.csv", content=FILE):
    return run_import(session, upload(session, content, name), {**LEADS, "notify": notify})[-1].job_id


def outbox(session, job_id):
    """(recipient, state, attempts, last_error) of the mails about a job."""
    return session.execute(
        "SELECT recipient, state, attempts, last_error FROM crm_mail_outbox"
        " WHERE job_id = %s ORDER BY mail_id",
        [job_id],
    ).fetchall()


def all_in(session, job_id, state):
    return all(row[1] == state for row in outbox(session, job_id))


def test_not_set_up(admin):
    """Without a mail server an import goes through, and its mail waits."""
    job = import_leads(admin, "ann@example.com")
    reason = wait_until(lambda: outbox(admin, job)[0][3])
    same(
        outbox(admin, job),
        [("ann@example.com", "waiting", 0, "no mail server: crmio.smtp_url is not set")],
        "the outbox says why",
    )
    ok(reason, "and the sender said so")
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    same(admin.execute("SELECT crm_send_mail()").fetchone()[0], 1, "crm_send_mail sends what waits")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(outbox(admin, job), [("ann@example.com", "sent", 1, None)], "once there is a server it is sent")
    same(len(inbox.mails), 1, "once")
    inbox.stop()


def test_message(admin):
    """The mail is a good one, whatever the file is called."""
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    name = "Kühne & Söhne – прайс 顧客名簿 " + "x" * 60 + ".csv"
    job = import_leads(admin, "Ann.O'Neil+crm@example.com", name, FILE.replace("ann@", "new@"))
    wait_until(lambda: inbox.mails)
    sender, recipients, message = inbox.mails[0]
    same((sender, recipients), ("crmio@example.org", ["Ann.O'Neil+crm@example.com"]), "the envelope")
    same(message["From"], "crmio <crmio@example.org>", "From")
    same(message["To"], "Ann.O'Neil+crm@example.com", "To")
    clipped = (name[:100] + "...") if len(name) > 100 else name
    same(message["Subject"], f"Import of {clipped}: completed, 1 error row", "Subject, decoded")
    ok(message["Subject"].defects == (), "Subject has no defects", message["Subject"].defects)
    ok(message["Message-ID"].endswith("@example.org>"), "Message-ID")
    age = time.time() - message["Date"].datetime.timestamp()
    ok(-5 < age < 60, "Date", message["Date"])
    same(message["Auto-Submitted"], "auto-generated", "no reply from machines is wanted")
    raw = [line for line in message.as_bytes(policy=email.policy.compat32).split(b"\n")]
    ok(all(len(line) < 100 and line.isascii() for line in raw), "the lines are short and ASCII")
    text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    for part in (
        f'The import of "{clipped}" into leads has completed.',
        "rows read           2\n",
        "created             1\n",
        "error rows          1\n",
        '1  invalid_email, column "Email"\n',
        f"SELECT * FROM crm_errors({job});",
    ):
        ok(part in text, f"the text has {part!r}", text)
    ok("bob@" not in text, "values of the file stay in the database")
    inbox.stop()


def test_server_down(admin):
    """A server that is down when the job ends gets the mail later, once."""
    port = free_port()
    use(admin, f"smtp://127.0.0.1:{port}")
    job = import_leads(admin, ["ann@example.com", "bob@example.com"])
    wait_until(lambda: all(row[2] == 1 and row[1] == "waiting" for row in outbox(admin, job)))
    for recipient, state, attempts, error in outbox(admin, job):
        same((state, attempts), ("waiting", 1), f"the mail to {recipient} waits")
        ok("can't be used" in (error or ""), "and says why", error)
        ok(str(port) not in (error or ""), "but not where the server is")
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(
        [row[1:] for row in outbox(admin, job)],
        [("sent", 2, None)] * 2,
        "the worker tried again by itself, by the settings of then",
    )
    admin.execute("SELECT crm_send_mail()")
    import_leads(admin, "cleo@example.com")
    wait_until(lambda: len(inbox.mails) >= 3)
    same(
        sorted(mail[1][0] for mail in inbox.mails),
        ["ann@example.com", "bob@example.com", "cleo@example.com"],
        "each was delivered once",
    )
    inbox.stop()


def test_refused(admin):
    """What the server says of a recipient is recorded; the others get their mail."""
    inbox = Inbox(
        answers={
            "nobody@example.com": "550-5.1.1 We know\r\n550-everybody here,\r\n550 but not Nobody",
            "later@example.com": ["451 4.7.1 Greylisted, come again"],
        }
    )
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    recipients = ["nobody@example.com", "later@example.com", "ann@example.com", "ANN@example.com"]
    job = import_leads(admin, recipients)
    wait_until(lambda: outbox(admin, job)[2][1] == "sent")
    same(
        outbox(admin, job),
        [
            (
                "nobody@example.com",
                "failed",
                1,
                "the mail server says: 550 5.1.1 We know everybody here, but not Nobody",
            ),
            ("later@example.com", "waiting", 1, "the mail server says: 451 4.7.1 Greylisted, come again"),
            ("ann@example.com", "sent", 1, None),
        ],
        "refused, postponed, sent",
    )
    same(admin.execute("SELECT crm_send_mail()").fetchone()[0], 1, "what was refused is not tried again")
    wait_until(lambda: outbox(admin, job)[1][1] == "sent")
    same(outbox(admin, job)[1], ("later@example.com", "sent", 2, None), "what was postponed got through")
    inbox.answers.clear()
    same(admin.execute("SELECT crm_send_mail(%s)", [job]).fetchone()[0], 1, "but for that job, if asked to")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(outbox(admin, job)[0], ("nobody@example.com", "sent", 1, None), "and then it got through")
    same(len(inbox.mails), 3, "three mails in all")
    inbox.stop()


def test_sender_ends(admin):
    """A sender that ends before the server has answered leaves a mail that is sent again,
    recognizably the same."""
    inbox = Inbox(stall=60)
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    job = import_leads(admin, "ann@example.com")
    wait_until(lambda: inbox.mails)
    same(outbox(admin, job)[0][1], "sending", "the mail is being sent")
    ended = admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE backend_type = 'crmio mail' AND datname = current_database()"
    ).fetchall()
    same(set(ended), {(True,)}, "its sender ends at once when told to")
    inbox.stall = 0
    same(outbox(admin, job)[0][1], "sending", "nobody has looked yet")
    admin.execute("SELECT crm_send_mail()")
    wait_until(lambda: outbox(admin, job)[0][1] != "sending")
    same(
        outbox(admin, job),
        [("ann@example.com", "waiting", 1, "the sender ended before the mail server had answered")],
        "the next sender finds what was left behind",
    )
    admin.execute("SELECT crm_send_mail()")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(outbox(admin, job), [("ann@example.com", "sent", 2, None)], "and it is sent")
    ids = [mail[2]["Message-ID"] for mail in inbox.mails if mail[1] == ["ann@example.com"]]
    ok(len(ids) == 2 and ids[0] == ids[1], "with the same Message-ID", ids)
    inbox.stop()


def test_background(admin):
    """A job in the background tells of its end by mail too, however it ends."""
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    mapping = Jsonb({**LEADS, "notify": ["ann@example.com", "bob@example.com"]})
    start = "SELECT crm_import_start(%s, %s)"
    job = admin.execute(start, [upload(admin, FILE.replace("ann@", "background@")), mapping]).fetchone()[0]
    wait_until(lambda: len(outbox(admin, job)) == 2 and all_in(admin, job, "sent"))
    same(len(inbox.mails), 2, "each gets a mail")
    ok("created             1" in str(inbox.mails[0][2]), "of what was done", inbox.mails[0][2])

    inbox.mails.clear()
    admin.execute(
        """
        CREATE FUNCTION crm.full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END$$"""
    )
    admin.execute("CREATE TRIGGER full_disk BEFORE INSERT ON crm.people EXECUTE FUNCTION crm.full_disk()")
    job = admin.execute(start, [upload(admin, FILE.replace("ann@", "failing@")), mapping]).fetchone()[0]
    wait_until(lambda: len(inbox.mails) == 2)
    admin.execute("DROP TRIGGER full_disk ON crm.people")
    message = inbox.mails[0][2]
    same(message["Subject"], "Import of test.csv: failed", "a failure is told")
    text = message.get_body(("plain",)).get_content()
    for part in ("has failed", "Reason: the disk is full", f"SELECT crm_resume({job});"):
        ok(part in text, f"with {part!r}", text)
    inbox.stop()


def test_transactions(admin):
    """No mail of what was rolled back, and none to nobody."""
    same(outbox(admin, import_leads(admin, [])), [], "an empty list is nobody")
    with connect(DATABASE) as session:
        session.autocommit = False
        job = import_leads(session, "ann@example.com")
        same(len(outbox(session, job)), 1, "the mail is in the outbox before the commit")
        session.rollback()
        same(outbox(session, job), [], "and gone with the import")


def test_notify(admin):
    """Whoever listens is told of the end of a job, in few words."""
    long_name = "ü" * 31
    admin.execute("CREATE TABLE crm.long (id int PRIMARY KEY)")
    admin.execute("SELECT crm_register_module(%s, 'crm.long')", [long_name])
    with connect(DATABASE) as listener:
        notices = []
        listener.add_notify_handler(notices.append)
        listener.execute("LISTEN crmio")
        job = import_leads(admin, [], "secret.csv")
        run_import(admin, upload(admin, "id\n1\n2\n"), {"module": long_name})
        wait_until(lambda: listener.execute("SELECT 1") and len(notices) == 2)
    first, second = (json.loads(notice.payload) for notice in notices)
    same((first["job_id"], first["state"], first["module"]), (job, "completed", "leads"), "id, state, module")
    same(first["rows_read"], sum(first[name] for name in COUNTS), "counts that add up")
    same((first["policy"], first["seconds"] >= 0), ("skip", True), "policy and seconds")
    ok("secret" not in str(first), "but not the name of the file")
    same((second["created"], second["module"]), (2, long_name), "the next one")
    admin.execute("SELECT crm_unregister_module(%s)", [long_name])


def test_addresses(admin):
    """An address is one address, whatever somebody tries to smuggle in."""
    handle = upload(admin, FILE)
    for address in (
        "",
        "ann",
        "ann@example.com, bob@example.com",
        "ann@example.com\nBcc: bob@example.com",
        "ann@example.com\r\nDATA",
        "ann@example.com> NOTIFY=NEVER",
        '"ann\r\nBcc: bob"@example.com',
        "Ann <ann@example.com>",
        "ann@exam\u0085ple.com",
        "a" * 300 + "@example.com",
    ):
        fails(
            admin,
            f"notify {address[:40]!r}",
            "SELECT crm_import(%s, %s)",
            [handle, Jsonb({**LEADS, "notify": [address]})],
            "22023",
            "notify",
        )
    many = [f"a{i}@example.com" for i in range(21)]
    for value in (1, {"to": "ann@example.com"}, [["ann@example.com"]], many):
        fails(
            admin,
            f"notify {str(value)[:40]}",
            "SELECT crm_import(%s, %s)",
            [handle, Jsonb({**LEADS, "notify": value})],
            "22023",
            "notify",
        )


def test_file_names(admin):
    """A file name can't make header lines."""
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    for name in (
        "a\r\nBcc: eve@example.com\r\n\r\nbody.csv",
        "=?UTF-8?Q?a=0D=0ABcc:_eve@example.com?=.csv",
        "\x01\x7f.csv",
    ):
        inbox.mails.clear()
        import_leads(admin, "ann@example.com", name)
        wait_until(lambda: inbox.mails)
        recipients, message = inbox.mails[0][1:]
        same(recipients, ["ann@example.com"], f"{name!r} reaches nobody else")
        same(sorted(key.lower() for key in message.keys()), HEADERS, "and adds no header")
    inbox.stop()


def certificate(folder):
    """A key and a certificate for localhost that only this test trusts."""
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def write_login(path, password, mode):
    """The file that has the login."""
    with open(path, "w", encoding="utf-8") as file:
        os.chmod(path, mode)
        file.write(f"machine 127.0.0.1 login crm password {password}\n")


def login(logins):
    def authenticate(server, session, envelope, mechanism, data):
        logins.append((mechanism, data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password.decode() == PASSWORD, handled=False)

    return authenticate


def test_international(admin):
    """An address in another script, where the server takes it and where it does not."""
    address = "jörg@bücher.example"
    for options, state in (({"enable_SMTPUTF8": True}, "sent"), ({"enable_SMTPUTF8": False}, "failed")):
        inbox = Inbox(**options)
        use(admin, f"smtp://127.0.0.1:{inbox.port}")
        job = import_leads(admin, address)
        wait_until(lambda: outbox(admin, job)[0][1] not in ("waiting", "sending"))
        same(outbox(admin, job)[0][:2], (address, state), f"{address} with {options}: {state}")
        inbox.stop()


def test_encrypted(admin, folder):
    """STARTTLS with a login, and TLS from the start; never in the clear by mistake."""
    cert, context = certificate(folder)
    logins = []
    inbox = Inbox(tls_context=context, require_starttls=True, auth_required=True, authenticator=login(logins))
    url = f"smtp://127.0.0.1:{inbox.port}"

    login_file = os.path.join(folder, "login")
    use(admin, url, smtp_login_file=login_file)
    job = import_leads(admin, "ann@example.com")
    for says, action in (
        ("can't be read", lambda: write_login(login_file, "not " + PASSWORD, 0o644)),
        ("open to others", lambda: os.chmod(login_file, 0o600)),
        ("can't be used", lambda: use(admin, url, smtp_ca_file=cert)),
        ("535", lambda: write_login(login_file, PASSWORD, 0o600)),
    ):
        wait_until(lambda: says in (outbox(admin, job)[0][3] or ""))
        ok(says in (outbox(admin, job)[0][3] or ""), f"not sent: {says}", outbox(admin, job))
        ok(bool(logins) == (says == "535"), "the password is for a server with a good certificate", logins)
        ok(PASSWORD not in str(outbox(admin, job)), "and not told")
        action()
        admin.execute("SELECT crm_send_mail()")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(len(inbox.mails), 1, "by STARTTLS, with a login")
    same(logins[-1][1:], ("crm", PASSWORD), "name and password arrive")
    ok(inbox.sessions and inbox.sessions[-1].ssl is not None, "the connection is encrypted")
    inbox.stop()

    plain = Inbox(auth_require_tls=False, authenticator=login(logins))
    logins.clear()
    use(admin, f"smtp://127.0.0.1:{plain.port}")
    job = import_leads(admin, "ann@example.com")
    wait_until(lambda: outbox(admin, job)[0][3])
    same((logins, plain.mails), ([], []), "a password is not sent in the clear")
    use(admin, f"smtp://127.0.0.1:{plain.port}", smtp_tls="off")
    admin.execute("SELECT crm_send_mail()")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(len(logins), 1, "unless that is asked for")
    plain.stop()

    for name in ("smtp_login_file", "smtp_tls"):
        admin.execute(f"ALTER DATABASE {DATABASE} RESET crmio.{name}")
    secure = Inbox(ssl_context=context)
    use(admin, f"smtps://localhost:{secure.port}")
    job = import_leads(admin, "ann@example.com")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(len(secure.mails), 1, "by TLS from the start")
    secure.stop()
    admin.execute(f"ALTER DATABASE {DATABASE} RESET crmio.smtp_ca_file")


def test_open_transaction(admin):
    """Whoever asks for mails and leaves his transaction open holds up nobody's mail."""
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    job = import_leads(admin, "ann@example.com")
    wait_until(lambda: all_in(admin, job, "sent"))
    count = 1500
    admin.execute(
        "INSERT INTO crmio.mail_outbox (job_id, recipient, subject, body)"
        " SELECT %s, 'ann' || i || '@example.com', 'many', 'text' FROM generate_series(1, %s) i",
        [job, count],
    )
    waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crmio mail' AND wait_event_type = 'Lock'"
    held_up = 0
    with connect(DATABASE) as session:
        admin.execute("SELECT crm_send_mail()")
        wait_until(lambda: len(inbox.mails) > 5)
        session.autocommit = False
        for _ in range(5):
            session.execute("SELECT crm_send_mail()")
            time.sleep(0.1)
            held_up += admin.execute(waits).fetchone()[0]
            session.rollback()
    same(held_up, 0, "the sender waits for no transaction of a user")
    admin.execute("DELETE FROM crmio.mail_outbox WHERE state <> 'sending' AND subject = 'many'")
    wait_until(lambda: all_in(admin, job, "sent"))
    recipients = [mail[1][0] for mail in inbox.mails]
    same(len(recipients), len(set(recipients)), "and each mail is sent once")
    inbox.stop()


def test_slow_answer(admin):
    """A server that takes its time holds up no command of other sessions."""
    inbox = Inbox(stall=60)
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    job = import_leads(admin, "ann@example.com")
    wait_until(lambda: inbox.mails)
    admin.execute("DROP DATABASE IF EXISTS crmio_mail_other")
    admin.execute("CREATE DATABASE crmio_mail_other")
    start = time.monotonic()
    admin.execute("DROP DATABASE crmio_mail_other")
    ok(time.monotonic() - start < 15, "another database is dropped meanwhile", time.monotonic() - start)
    same(outbox(admin, job)[0][1], "sending", "the server has not yet answered")
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type = 'crmio mail'"
        " AND datname = current_database()"
    )
    admin.execute("UPDATE crmio.mail_outbox SET state = 'failed' WHERE job_id = %s", [job])
    inbox.stop()


def test_long_reason(admin):
    """A failure that has much to say does not fill the mailbox."""
    inbox = Inbox()
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    admin.execute(
        """
        CREATE FUNCTION crm.talk() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION '%', repeat('\u00fc', 2000000) USING ERRCODE = '53100'; END$$"""
    )
    admin.execute("CREATE TRIGGER talk BEFORE INSERT ON crm.people EXECUTE FUNCTION crm.talk()")
    mapping = Jsonb({**LEADS, "notify": "ann@example.com"})
    file = upload(admin, FILE.replace("ann@", "talk@"))
    job = admin.execute("SELECT crm_import_start(%s, %s)", [file, mapping]).fetchone()[0]
    wait_until(lambda: inbox.mails)
    admin.execute("DROP TRIGGER talk ON crm.people")
    text = inbox.mails[0][2].get_body(("plain",)).get_content()
    ok("Reason: \u00fc" in text and "\u00fc...\n" in text.replace("\r", ""), "the reason is there, clipped")
    ok(len(text) < 3000 and f"SELECT crm_resume({job});" in text, "and so is the rest", text[-300:])
    inbox.stop()


def test_cleanup(admin):
    """crm_cleanup takes mails that are done with, and leaves those that wait."""
    admin.execute("DELETE FROM crmio.mail_outbox")
    inbox = Inbox(answers={"nobody@example.com": "550 no such user", "later@example.com": "451 later"})
    use(admin, f"smtp://127.0.0.1:{inbox.port}")
    job = import_leads(admin, ["ann@example.com", "nobody@example.com", "later@example.com"])
    wait_until(lambda: [row[1] for row in outbox(admin, job)] == ["sent", "failed", "waiting"])
    same(admin.execute("SELECT mails FROM crm_cleanup()").fetchone()[0], 0, "what is new stays")
    same(admin.execute("SELECT mails FROM crm_cleanup('0')").fetchone()[0], 2, "sent and failed mails go")
    same([row[:2] for row in outbox(admin, job)], [("later@example.com", "waiting")], "one that waits stays")
    inbox.answers.clear()
    admin.execute("SELECT crm_send_mail()")
    wait_until(lambda: all_in(admin, job, "sent"))
    same(len(inbox.mails), 2, "and is sent")
    same(admin.execute("SELECT mails FROM crm_cleanup('0')").fetchone()[0], 1, "to go the next time")
    inbox.stop()


def test_roles(admin):
    """Mails are for the owner of the job; settings for superusers."""
    for role in ("crmio_mail_boss", "crmio_mail_ann", "crmio_mail_bob"):
        drop_role(admin, role)
        admin.execute(f"CREATE ROLE {role} LOGIN")
    admin.execute("GRANT crmio_mail_ann TO crmio_mail_boss")
    admin.execute("GRANT USAGE ON SCHEMA crm TO crmio_mail_ann")
    admin.execute("GRANT SELECT, INSERT ON crm.people TO crmio_mail_ann")
    use(admin, f"smtp://127.0.0.1:{free_port()}")
    ann, bob, boss = (connect(DATABASE, user=f"crmio_mail_{name}") for name in ("ann", "bob", "boss"))
    job = import_leads(ann, "ann@example.com", content="Email,Title\nyves@example.com,CEO\n")
    same(len(outbox(ann, job)), 1, "the owner sees the mail")
    same(len(outbox(boss, job)), 1, "so does a member of the owner")
    same(len(outbox(admin, job)), 1, "and a superuser")
    same(bob.execute("SELECT count(*) FROM crm_mail_outbox").fetchone()[0], 0, "nobody else does")
    bob.execute(
        "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS"
        " $$BEGIN RAISE EXCEPTION 'seen: %', $1; END$$"
    )
    ok(
        failure(bob, "SELECT count(*) FROM crm_mail_outbox WHERE pg_temp.leak(recipient)") is None,
        "not even by a function that sees rows before they are filtered",
    )
    same(bob.execute("SELECT crm_send_mail()").fetchone()[0], 0, "nor has it sent")
    fails(bob, "sending mails of another's job", "SELECT crm_send_mail(%s)", [job], "42704", "no job")
    wait_until(lambda: outbox(ann, job)[0][1:3] == ("waiting", 1))
    same(ann.execute("SELECT crm_send_mail()").fetchone()[0], 1, "the owner has it sent")
    fails(ann, "reading the table", "SELECT * FROM crmio.mail_outbox", None, "42501")
    fails(ann, "writing through the view", "UPDATE crm_mail_outbox SET recipient = 'eve@example.com'")
    for name in ("smtp_url", "mail_from", "smtp_login_file", "smtp_tls", "smtp_ca_file"):
        fails(ann, f"SHOW crmio.{name}", f"SHOW crmio.{name}", None, "42501")
        fails(ann, f"SET crmio.{name}", f"SET crmio.{name} = 'off'")
        query = "SELECT count(*) FROM pg_settings WHERE name = %s AND setting <> ''"
        same(
            ann.execute(query, [f"crmio.{name}"]).fetchone()[0],
            0,
            f"crmio.{name} is not in pg_settings",
        )
    wait_until(lambda: outbox(ann, job)[0][2] == 2)
    boss.close()
    admin.execute("DROP OWNED BY crmio_mail_ann")
    ann.close()
    admin.execute("DROP ROLE crmio_mail_ann")
    same(len(outbox(admin, job)), 1, "a superuser sees mails of roles that are gone")
    same(bob.execute("SELECT count(*) FROM crm_mail_outbox").fetchone()[0], 0, "others do not")


def test_dump(admin):
    """A copy of the database does not send what waits in the original."""
    use(admin, f"smtp://127.0.0.1:{free_port()}")
    job = import_leads(admin, "waits@example.com")
    wait_until(lambda: outbox(admin, job)[0][1:3] == ("waiting", 1))
    dump = subprocess.run(["pg_dump", DATABASE], check=True, capture_output=True, text=True).stdout
    mails = dump.split("COPY crmio.mail_outbox ")[1].split("\n\\.\n")[0]
    ok("ann@example.com" in mails, "mails that were sent are dumped")
    ok("waits@example.com" not in mails, "those that wait are not")


def test_settings(admin):
    """Settings that can't work are refused where they are made."""
    for name, value, says in (
        ("smtp_url", "http://example.com", "smtp://host:port"),
        ("smtp_url", "smtp://", "smtp://host:port"),
        ("smtp_url", "smtp://user:secret@example.com", "crmio.smtp_login_file"),
        ("mail_from", "crmio", "not an e-mail address"),
        ("mail_from", "crmio@example.org\nBcc: eve", "not an e-mail address"),
        ("smtp_tls", "perhaps", "require"),
    ):
        statement = f"ALTER DATABASE {DATABASE} SET crmio.{name} = '{value}'"
        fails(admin, f"{name} = {value!r}", statement, None, "22023", says)


def main():
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # sessions that fail on purpose
    admin = fresh_database(DATABASE)
    folder = tempfile.mkdtemp()
    try:
        test_not_set_up(admin)
        test_message(admin)
        test_server_down(admin)
        test_refused(admin)
        test_sender_ends(admin)
        test_background(admin)
        test_transactions(admin)
        test_notify(admin)
        test_addresses(admin)
        test_file_names(admin)
        test_international(admin)
        test_encrypted(admin, folder)
        test_open_transaction(admin)
        test_slow_answer(admin)
        test_long_reason(admin)
        test_roles(admin)
        test_dump(admin)
        test_cleanup(admin)
        test_settings(admin)
    finally:
        shutil.rmtree(folder)
    finish()


main()
