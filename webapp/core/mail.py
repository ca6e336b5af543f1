"""Sends mail: one message at a time, handed to the one mail server that the settings name, within seconds.

What is in a message may be a secret. A log therefore gets the codes of a server's answer and never its words, which
may repeat anything.
"""

import logging
import queue
import re
import smtplib
import socket
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from enum import StrEnum
from functools import partial

import httpcore
from email_validator import EmailNotValidError, validate_email

from webapp.core import clock
from webapp.core.database.session import db
from webapp.core.errors import CoreError

NAME_LIMIT = 40
"""Characters of a name that somebody gave themselves or a workspace, in a mail to somebody else."""
_LINK_LIKE = re.compile(r"://|@|[^\W_][.\u3002]\w{2}|^www", re.IGNORECASE)
"""What a reader of mail makes a link of."""
STEP_TIMEOUT = 5.0
"""Seconds that the server may take to be reached, and for each answer."""
TOTAL_TIMEOUT = 10.0
"""Seconds for everything after it was reached, however busily it goes on talking."""
OUTBOX_LIMIT = 100
"""Messages that a process keeps until the mail server has taken those before."""
_ENHANCED_CODE = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")

log = logging.getLogger(__name__)


def shorten_name(name: str, *, default: str) -> str:
    """Return a name as a mail to a stranger may carry it: short, in one line, and without anything like an address.

    ``default`` stands for a name of which nothing is left.
    """
    # Letters that only look like a dot or an at sign become one; what steers the direction of text is left out.
    text = "".join(letter for letter in unicodedata.normalize("NFKC", name) if letter.isspace() or letter.isprintable())
    words = " ".join(word for word in text.split() if not _LINK_LIKE.search(word))
    return (words if len(words) <= NAME_LIMIT else words[: NAME_LIMIT - 1].rstrip() + "…") or default


class Tls(StrEnum):
    """When a connection is encrypted: from its beginning, before anything is sent (STARTTLS), or never."""

    ALWAYS = "always"
    BEFORE = "before"
    NEVER = "never"


class MailNotSent(CoreError):
    """The mail server did not take a message; the text says why, as the end of a sentence."""


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in, and the address that it is from. Without a user it is handed in without a name."""

    host: str
    port: int
    tls: Tls
    sender: str
    user: str | None = None
    password: str = field(default="", repr=False)

    def send(self, to: str, subject: str, text: str) -> None:
        """Hand in one message, in plain text. Raises ``MailNotSent``.

        Commits what the caller's database session has under way: nobody else may wait for a mail server.
        """
        db.session.commit()
        self._hand_in(to, subject, text)

    def send_later(self, to: str, subject: str, text: str) -> None:
        """Hand in one message in the background, for whoever shall neither wait nor learn from the time that it takes.

        What the server does not take is logged and lost, as is what waits when the process ends.
        """
        _outbox.put(partial(self._hand_in, to, subject, text))

    def _hand_in(self, to: str, subject: str, text: str) -> None:
        try:
            to = _with_ascii_domain(to)
            message = self._message(to, subject, text)
            with self._connect() as server:
                server.send_message(message, self._sender, [to])
        except (OSError, ValueError) as failure:  # What smtplib raises is an OSError as well.
            log.warning(
                "The mail server %s:%d did not take a mail: %s.", self.host, self.port, _describe_for_log(failure)
            )
            raise MailNotSent(_describe_for_person(failure)) from None

    def _message(self, to: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = formataddr(("Callboard", self._sender))
        message["To"] = to
        # A name of somebody stands in it, and a line of its own would be a header of its own.
        message["Subject"] = " ".join(subject.split())
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = make_msgid(domain=self._domain)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    @property
    def _sender(self) -> str:
        return _with_ascii_domain(self.sender)

    @property
    def _domain(self) -> str:
        return self._sender.rpartition("@")[2]

    @contextmanager
    def _connect(self) -> Iterator[smtplib.SMTP]:
        context = None if self.tls is Tls.NEVER else httpcore.default_ssl_context()
        # With a name to greet by, nobody looks up that of this machine, which may take long.
        if self.tls is Tls.ALWAYS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, self._domain, timeout=STEP_TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, self._domain, timeout=STEP_TIMEOUT)
        end = threading.Timer(TOTAL_TIMEOUT, _cut, [server])
        end.daemon = True
        end.start()
        try:
            if self.tls is Tls.BEFORE:
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password)
            yield server
            # It has taken the message; how it takes leave matters no more.
            with suppress(OSError):
                server.quit()
        finally:
            end.cancel()
            server.close()


def _with_ascii_domain(address: str) -> str:
    """Return an address with its domain as DNS has it (``xn--…``), which every mail server takes."""
    try:
        return validate_email(address, check_deliverability=False, test_environment=True).ascii_email or address
    except EmailNotValidError:
        return address


class _Outbox:
    """Sends what is put into it, one message after another, in a thread of its own."""

    def __init__(self) -> None:
        self._messages: queue.Queue[Callable[[], None]] = queue.Queue(OUTBOX_LIMIT)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, send: Callable[[], None]) -> None:
        """Send a message after those that wait. What would be more than ``OUTBOX_LIMIT`` is logged and dropped."""
        try:
            self._messages.put_nowait(send)
        except queue.Full:
            log.error("A mail was dropped, because %d others wait for the mail server.", OUTBOX_LIMIT)
            return
        with self._lock:
            # Begun with the first message: a server may fork its processes before.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            send = self._messages.get()
            with suppress(MailNotSent):  # It is in the log.
                send()


_outbox = _Outbox()


def _cut(server: smtplib.SMTP) -> None:
    with suppress(OSError):
        if server.sock is not None:
            server.sock.shutdown(socket.SHUT_RDWR)


def _describe_for_log(failure: Exception) -> str:
    kind = type(failure).__name__
    match failure:
        case smtplib.SMTPRecipientsRefused():
            [(code, words)] = failure.recipients.values()
            return f"{kind}, {_codes(code, words)}"
        case smtplib.SMTPResponseException():
            return f"{kind}, {_codes(failure.smtp_code, failure.smtp_error)}"
        case OSError():
            return f"{kind}, {str(failure).rstrip('.')}"
        case _:
            return kind


def _codes(code: int, words: bytes | str) -> str:
    """The code of an answer, and the finer one that its words may begin with."""
    finer = _ENHANCED_CODE.match(words if isinstance(words, bytes) else words.encode())
    return f"{code} {finer[0].decode()}" if finer else str(code)


def _describe_for_person(failure: Exception) -> str:
    match failure:
        case smtplib.SMTPRecipientsRefused():
            return "the mail server refuses this address"
        case TimeoutError() | smtplib.SMTPServerDisconnected():
            return "the mail server did not answer"
        case smtplib.SMTPException():
            return "the mail server did not take it"
        case OSError():
            return "the mail server could not be reached"
        case _:
            return "no mail can be made for this address"
