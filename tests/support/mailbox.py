"""A real mail server, which tests tell how to answer and ask what it was handed."""

import base64
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask

from tests.support.environment import read_settings

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@dataclass
class Mailbox:
    """Listens on 127.0.0.1. ``answers`` are what it says to a command instead of yes; ``taken`` is what it took."""

    port: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)
    offers: tuple[str, ...] = ("8BITMIME", "SMTPUTF8")
    silent_at: str = ""
    drips: bool = False
    commands: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    when_handed_over: Callable[[], None] = lambda: None

    @property
    def mail(self) -> EmailMessage:
        """The one message that was handed over."""
        [mail] = self.taken
        return mail


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is what some tests are about."""


@contextmanager
def mailbox(*, encrypted: bool = False) -> Iterator[Mailbox]:
    """A mail server for as long as the block runs."""
    box, over = Mailbox(), threading.Event()

    class Talk(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if encrypted:
                self.request = _context().wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def say(self, line: bytes) -> None:
            self.wfile.write(line + b"\r\n")

        def handle(self) -> None:
            self.say(b"220 ready") if box.silent_at != "connect" else over.wait()
            while (line := self.rfile.readline()) and not over.is_set():
                verb = line[:4].decode().upper()
                box.commands.append(line.decode().rstrip())
                if verb == box.silent_at:
                    self._hang()
                    return
                if verb == "QUIT":
                    self.say(box.answers.get(verb, b"221 bye"))
                    return
                self._obey(verb, line)

        def _obey(self, verb: str, line: bytes) -> None:
            if verb in box.answers:
                self.say(box.answers[verb])
            elif verb == "EHLO":
                offers = ["hello", *box.offers]
                self.say(b"\r\n".join(f"250-{offer}".encode() for offer in offers[:-1]) or b"250-hello")
                self.say(f"250 {offers[-1]}".encode())
            elif verb == "STAR":
                self.say(b"220 go on")
                self.request = _context().wrap_socket(self.request, server_side=True)
                super().setup()
            elif verb == "AUTH":
                box.commands[-1] = base64.b64decode(line.split()[2]).decode()
                self.say(b"235 welcome")
            elif verb == "DATA":
                self._take()
            else:
                if verb == "RCPT":
                    box.recipients.append(line.decode().partition("<")[2].partition(">")[0])
                self.say(b"250 fine")

        def _take(self) -> None:
            self.say(b"354 go on")
            text = b"".join(iter(self.rfile.readline, b".\r\n"))
            box.raw.append(text)
            message = message_from_bytes(text, policy=policy.default)
            assert isinstance(message, EmailMessage)
            box.taken.append(message)
            box.when_handed_over()
            self.say(box.answers.get("end of DATA", b"250 taken"))

        def _hang(self) -> None:
            while box.drips and not over.is_set():
                self.say(b"250-still thinking")
                time.sleep(0.05)
            over.wait()

    with _Server(("127.0.0.1", 0), Talk) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield box
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def box(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server that the board sends by."""
    with mailbox() as running:
        environ = {"SMTP_URL": f"smtp://127.0.0.1:{running.port}?tls=no", "MAIL_FROM": "board@example.com"}
        monkeypatch.setitem(app.config, "MAIL_SERVER", read_settings(environ)["MAIL_SERVER"])
        yield running
