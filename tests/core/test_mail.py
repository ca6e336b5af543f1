"""Invitations by mail: what is sent, over which line, and what the inviter is told when it is not."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.clock import Clock
from tests.support.environment import read_settings, refusal
from tests.support.mailbox import CERTIFICATE, Mailbox, mailbox
from tests.support.pages import csrf_token, sign_in
from tests.support.people import PASSWORD, Cast
from webapp.config import SMTP_URL_HELP
from webapp.core import mail
from webapp.core.database.session import db
from webapp.core.mail import MailNotSent, MailServer, Tls
from webapp.core.models import AuditEntry, User, Workspace
from webapp.core.workspaces import invitations

PAGE = "/w/acme/settings/members"
DORA = "dora@example.com"
SENDER = "board@example.com"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as running:
        yield running


@pytest.fixture
def ada(app: Flask, cast: Cast, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A browser in which Ada is signed in, on a board that hands its mail to ``box``."""
    monkeypatch.setitem(app.config, "MAIL_SERVER", server(f"smtp://127.0.0.1:{box.port}?tls=no"))
    client = app.test_client()
    sign_in(client, "ada@example.com")
    return client


def server(url: str) -> MailServer:
    """The mail server as the settings name it."""
    mail_server: MailServer = read_settings({"SMTP_URL": url, "MAIL_FROM": SENDER})["MAIL_SERVER"]
    return mail_server


def invite(client: FlaskClient, email: str = DORA) -> TestResponse:
    token = csrf_token(client.get("/?all").text)
    data = {"csrf_token": token, "email": email, "role": "member"}
    return client.post(f"{PAGE}/invitations", data=data)


def words(answer: TestResponse) -> str:
    """The words of a page, without its markup."""
    return " ".join(re.sub(r"</?bdi>", "", answer.text).split())


def link_in(text: str) -> str:
    link = re.search(r"http://127\.0\.0\.1:8000(/invitations/[\w-]+)", text)
    assert link, text
    return link[1]


# --- what is sent ------------------------------------------------------------------------------------------------


def test_the_link_that_is_mailed_lets_its_reader_in(app: Flask, ada: FlaskClient, box: Mailbox, clock: Clock) -> None:
    answer = invite(ada)
    assert answer.status_code == 200
    assert f"The link was sent to {DORA}." in words(answer)
    assert box.recipients == [DORA]
    assert box.mail["To"] == DORA
    assert box.mail["From"] == f"Callboard <{SENDER}>"
    assert box.mail["Subject"] == "Ada invites you to Acme on Callboard"
    assert box.mail["Date"] == "Tue, 24 Nov 2026 12:00:00 +0000"
    assert box.mail["Message-ID"].endswith("@example.com>")
    assert box.mail["Auto-Submitted"] == "auto-generated"
    text = box.mail.get_content().replace("\r\n", "\n")
    assert text.startswith("Ada invites you to the workspace Acme on Callboard, as member.\n")
    assert "01 Dec 2026 12:00 UTC" in text
    path = link_in(text)
    assert "/invitations/" not in answer.text
    dora = app.test_client()
    form = {"name": "Dora", "password": PASSWORD, "again": PASSWORD}
    dora.post(path, data=form | {"csrf_token": csrf_token(dora.get(path).text)})
    assert dora.get("/w/acme/jobs").status_code == 200


def test_the_page_says_beforehand_that_the_link_is_mailed(ada: FlaskClient, client: FlaskClient) -> None:
    page = ada.get(PAGE).text
    assert "send it by email: it verifies the address" in page
    assert "Invite</button>" in page


def test_whom_one_cannot_invite_gets_no_mail(ada: FlaskClient, box: Mailbox) -> None:
    assert invite(ada, "ben@example.com").status_code == 422
    assert invite(ada, "dora").status_code == 422
    assert box.commands == []


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\x85", "\u2028", "\r", "\x0b"])
def test_no_name_adds_a_header_or_a_reader(app: Flask, ada: FlaskClient, cast: Cast, box: Mailbox, breaks: str) -> None:
    evil = f"Acme{breaks}Bcc: eve@example.com{breaks}{breaks}Hello"
    with app.app_context():
        db.session.execute(sa.update(Workspace).where(Workspace.slug == "acme").values(name=evil))
        db.session.execute(sa.update(User).where(User.email == "ada@example.com").values(name=evil))
        db.session.commit()
    assert "The link was sent to" in invite(ada).text
    assert box.recipients == [DORA]
    assert box.mail["Bcc"] is None
    assert not re.search(rb"(?im)^bcc", box.raw[0].partition(b"\r\n\r\n")[0])
    assert box.mail["Subject"].replace("\u2068", "").startswith("Acme Bcc: Hello")


@pytest.mark.parametrize(
    "email", ["dora@example.com\r\nBcc: eve@example.com", "dora@example.com, eve@example.com", "<a@b.de> <c@d.de>"]
)
def test_no_address_adds_a_header_or_a_reader(ada: FlaskClient, box: Mailbox, email: str) -> None:
    assert invite(ada, email).status_code == 422
    assert box.commands == []


@pytest.mark.parametrize("to", ["dora@example.com\r\nBcc: eve@example.com", "dora@example.com>\r\nRCPT TO:<eve@a.de"])
def test_the_mail_server_is_told_nothing_of_an_address_that_is_none(core: Flask, box: Mailbox, to: str) -> None:
    with pytest.raises(MailNotSent, match="no mail can be made for this address"):
        server(f"smtp://127.0.0.1:{box.port}?tls=no").send(to, "subject", "text")
    assert box.recipients == []


def test_letters_of_every_kind_arrive(app: Flask, ada: FlaskClient, cast: Cast, box: Mailbox) -> None:
    with app.app_context():
        db.session.execute(sa.update(Workspace).where(Workspace.slug == "acme").values(name="Zürich 工場 " * 9))
        db.session.commit()
    assert "was sent to jürgen@example.com" in words(invite(ada, "jürgen@example.com"))
    assert box.mail["To"] == "jürgen@example.com"
    assert "Zürich 工場" in box.mail["Subject"]
    assert "Zürich 工場" in box.mail.get_content()


def test_a_domain_beyond_ascii_is_written_as_every_mail_server_takes_it(core: Flask, box: Mailbox) -> None:
    mail_server = replace(server(f"smtp://127.0.0.1:{box.port}?tls=no"), sender="board@bücher.example")
    mail_server.send("dora@例え.jp", "subject", "text")
    assert box.recipients == ["dora@xn--r8jz45g.jp"]
    assert (box.mail["To"], box.mail["From"]) == ("dora@xn--r8jz45g.jp", "Callboard <board@xn--bcher-kva.example>")


def test_nobody_waits_for_the_mail_server_with_a_transaction_open(app: Flask, ada: FlaskClient, box: Mailbox) -> None:
    seen: list[tuple[int, int]] = []
    with app.app_context():
        engine = db.engine

    def look() -> None:
        with engine.connect() as connection:
            stored = connection.scalar(sa.text("SELECT count(*) FROM invitations"))
        seen.append((engine.pool.checkedout(), stored or 0))  # type: ignore[attr-defined]

    box.when_handed_over = look
    invite(ada)
    assert seen == [(0, 1)]


def test_whoever_sends_mail_lets_go_of_the_database_first(core: Flask, box: Mailbox) -> None:
    seen: list[int] = []
    pool: Any = db.engine.pool
    box.when_handed_over = lambda: seen.append(pool.checkedout())
    db.session.execute(sa.text("SELECT 1"))
    server(f"smtp://127.0.0.1:{box.port}?tls=no").send(DORA, "subject", "text")
    assert seen == [0]


# --- when it is not sent -----------------------------------------------------------------------------------------

REFUSALS: Mapping[str, tuple[dict[str, bytes], str, str]] = {
    "address": (
        {"RCPT": b"550 5.1.1 <dora@example.com>: no such user"},
        "the mail server refuses this address",
        "SMTPRecipientsRefused, 550 5.1.1.",
    ),
    "sender": ({"MAIL": b"553 you again"}, "the mail server did not take it", "SMTPSenderRefused, 553."),
    "content": (
        {"end of DATA": b"554 5.7.1 blocked, see "},
        "the mail server did not take it",
        "SMTPDataError, 554 5.7.1.",
    ),
    "greeting": ({"EHLO": b"421 busy", "HELO": b"421 busy"}, "the mail server did not take it", "SMTPHeloError, 421."),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_mail_that_is_refused_leaves_the_invitation_and_the_link_for_the_inviter(
    app: Flask, ada: FlaskClient, cast: Cast, box: Mailbox, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    box.answers, why, logged = REFUSALS[what]
    with caplog.at_level(logging.DEBUG):
        answer = invite(ada)
    assert answer.status_code == 200
    assert f"The mail to {DORA} was not sent: {why}." in words(answer)
    assert "Copy it now and pass it on to dora@example.com" in words(answer)
    path = link_in(answer.text)
    assert app.test_client().get(path).status_code == 200
    [record] = [record for record in caplog.records if record.name == "webapp.core.mail"]
    assert record.getMessage() == f"The mail server 127.0.0.1:{box.port} did not take a mail: {logged}"
    with app.app_context():
        [open_one] = invitations.list_open(cast.acme.id)
        [entry] = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "member.invited"))
        assert (open_one.email, entry.detail) == (DORA, {"email": DORA, "role": "member"})


def test_the_link_is_in_no_log_though_a_server_repeats_it(
    ada: FlaskClient, box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    def repeat() -> None:
        box.answers["end of DATA"] = b"554 5.7.1 " + " ".join(box.mail.get_content().split()).encode()

    box.when_handed_over = repeat
    with caplog.at_level(logging.DEBUG):
        answer = invite(ada)
    secret = link_in(answer.text).rpartition("/")[2]
    assert secret in box.answers["end of DATA"].decode()
    assert secret not in caplog.text
    assert "invitations/" not in caplog.text
    assert DORA not in caplog.text


def test_a_server_that_is_not_there_is_told(
    ada: FlaskClient, app: Flask, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAIL_SERVER", server(f"smtp://127.0.0.1:{port}?tls=no"))
    assert "was not sent: the mail server could not be reached." in invite(ada).text


@pytest.mark.timeout(30)
@pytest.mark.parametrize("silent_at", ["connect", "EHLO", "RCPT", "DATA", "QUIT"])
def test_a_server_that_says_nothing_is_not_waited_for(
    ada: FlaskClient, box: Mailbox, monkeypatch: pytest.MonkeyPatch, silent_at: str
) -> None:
    monkeypatch.setattr(mail, "STEP_TIMEOUT", 0.2)
    monkeypatch.setattr(mail, "TOTAL_TIMEOUT", 1000)
    box.silent_at = silent_at
    answer = invite(ada)
    # By the last of these it has taken the message.
    sent = "The link was sent to" in answer.text
    assert sent == (silent_at == "QUIT")
    assert sent or "was not sent: the mail server did not answer." in answer.text


@pytest.mark.timeout(30)
def test_a_server_that_talks_on_and_on_is_not_waited_for(
    ada: FlaskClient, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "TOTAL_TIMEOUT", 0.5)
    box.silent_at, box.drips = "DATA", True
    assert "was not sent: the mail server did not answer." in invite(ada).text


def test_a_farewell_that_goes_wrong_changes_nothing(ada: FlaskClient, box: Mailbox) -> None:
    box.answers["QUIT"] = b"421 whatever"
    assert "The link was sent to" in invite(ada).text


# --- over which line ---------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board trusts the certificate of the test's server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusted")
def test_user_and_password_are_told_after_encryption_alone(core: Flask, box: Mailbox) -> None:
    box.offers = ("STARTTLS", "AUTH PLAIN")
    server(f"smtp://b%40example.com:p%3Aw@127.0.0.1:{box.port}").send(DORA, "subject", "text")
    words = [command.partition(" ")[0] for command in box.commands]
    assert words[:4] == ["ehlo", "STARTTLS", "ehlo", "\0b@example.com\0p:w"]
    assert len(box.taken) == 1


@pytest.mark.usefixtures("trusted")
def test_a_line_may_be_encrypted_from_its_beginning(core: Flask) -> None:
    with mailbox(encrypted=True) as box:
        server(f"smtps://127.0.0.1:{box.port}").send(DORA, "subject", "text")
    assert len(box.taken) == 1


def test_a_server_that_offers_no_encryption_is_told_nothing(
    core: Flask, box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MailNotSent):
        server(f"smtp://ana:secret@127.0.0.1:{box.port}").send(DORA, "subject", "text")
    assert box.recipients == []
    assert "STARTTLS extension not supported by server" in caplog.text
    assert "secret" not in "".join(box.commands) + caplog.text


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_server_that_nobody_vouches_for_is_told_nothing(core: Flask, encrypted: bool) -> None:
    with mailbox(encrypted=encrypted) as box:
        box.offers = ("STARTTLS", "AUTH PLAIN")
        with pytest.raises(MailNotSent, match="could not be reached"):
            server(f"smtp{'s' if encrypted else ''}://ana:secret@127.0.0.1:{box.port}").send(DORA, "s", "t")
    assert box.recipients == []


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_told_to_the_log_by_its_code(
    core: Flask, box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.offers, box.answers = ("STARTTLS", "AUTH PLAIN"), {"AUTH": b"535 5.7.8 ana and secret do not match"}
    with pytest.raises(MailNotSent, match="did not take it"):
        server(f"smtp://ana:secret@127.0.0.1:{box.port}").send(DORA, "subject", "text")
    assert "SMTPAuthenticationError, 535 5.7.8." in caplog.text
    assert "secret" not in caplog.text


# --- the settings ------------------------------------------------------------------------------------------------


def test_without_an_address_of_a_server_no_mail_is_sent() -> None:
    assert read_settings({"MAIL_FROM": SENDER})["MAIL_SERVER"] is None
    assert read_settings({"SMTP_URL": ""})["MAIL_SERVER"] is None


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, Tls.BEFORE),
        ("smtps://mail.example.com/", "mail.example.com", 465, Tls.ALWAYS),
        ("smtp://localhost?tls=no", "localhost", 25, Tls.NEVER),
        ("smtp://[::1]:2525", "::1", 2525, Tls.BEFORE),
    ],
)
def test_the_address_of_a_mail_server_tells_all_that_is_needed(url: str, host: str, port: int, tls: Tls) -> None:
    assert server(url) == MailServer(host, port, tls, SENDER)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://h:0",
        "smtp://h:abc",
        "smtp://h/path",
        "smtp://h?tls=yes",
        "smtps://h?tls=no",
        "smtp://h#x",
        "smtp://:hunter2@h",
        "smtp://ana:h%C3%BCnter2@h",
        "smtp://a b",
        "smtp://[::1",
    ],
)
def test_an_address_of_a_mail_server_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    assert refusal({"SMTP_URL": url, "MAIL_FROM": SENDER}) == SMTP_URL_HELP


def test_a_password_is_never_sent_in_the_clear() -> None:
    said = refusal({"SMTP_URL": "smtp://ana:hunter2@h?tls=no", "MAIL_FROM": SENDER})
    assert said == "SMTP_URL has a user, who would be sent in the clear; leave out tls=no, or the user."


@pytest.mark.parametrize("sender", ["", "board", "a@example.com\nBcc: b@example.com", "Board <b@example.com>"])
def test_mail_needs_an_address_that_it_is_from(sender: str) -> None:
    said = refusal({"SMTP_URL": "smtp://h", "MAIL_FROM": sender})
    assert said == "MAIL_FROM must be the address that mail is from, like callboard@example.com."


def test_a_password_shows_in_no_picture_of_the_settings() -> None:
    assert "hunter2" not in repr(read_settings({"SMTP_URL": "smtp://ana:hunter2@h", "MAIL_FROM": SENDER}))
