"""A real receiver of webhooks, which tests tell how to answer, and which keeps what it received."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook


@dataclass(frozen=True)
class ReceivedPost:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, object]:
        """The message, if the package for receivers finds its signature good; raises if not."""
        message: dict[str, object] = Webhook(secret).verify(self.body, self.headers)
        return message


@dataclass
class Receiver:
    """Listens on 127.0.0.1; ``answer`` is what it says from now on, ``delay`` seconds after a request."""

    port: int = 0
    status: int = 200
    answer: bytes = b"thanks"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    received: list[ReceivedPost] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?from=board"

    @property
    def ids(self) -> list[str]:
        return [post.headers["webhook-id"] for post in self.received]


class _Server(ThreadingHTTPServer):
    # On a busy machine callers wait in line; the usual line of five turns some away.
    request_queue_size = 128


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver for as long as the block runs."""
    running = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            running.received.append(ReceivedPost(self.path, headers, body))
            time.sleep(running.delay)
            self.send_response(running.status)
            for name, value in running.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(running.answer)))
            self.end_headers()
            self.wfile.write(running.answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    running.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """A receiver that runs for the length of a test."""
    with receiver() as running:
        yield running
