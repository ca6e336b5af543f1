"""What stands before the app: bodies that do not come, threads that are all at work, answers that are long."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import wrap_file

from webapp.api.problems import problem_json
from webapp.gateway import budget, gateway
from webapp.gateway.budget import ThreadBudget
from webapp.gateway.gateway import Gateway
from webapp.gateway.rsgi import HeaderList
from webapp.gateway.wsgi import build_environ

LENGTH, CHUNKED = "content-length", "transfer-encoding"


class Headers:
    """Headers as granian gives them."""

    def __init__(self, *items: tuple[str, str]) -> None:
        self._items = list(items)

    def __contains__(self, name: str) -> bool:
        return any(name == each for each, _ in self._items)

    def keys(self) -> list[str]:
        return [each for each, _ in self._items]

    def get(self, name: str, default: Any = None) -> Any:
        return next((value for each, value in self._items if each == name), default)

    def items(self) -> HeaderList:
        return self._items


@dataclass
class Scope:
    """A request as granian gives it."""

    headers: Headers = field(default_factory=Headers)
    method: str = "POST"
    path: str = "/api/v1/jobs"
    query_string: str = ""
    http_version: str = "1.1"
    scheme: str = "http"
    server: str = "127.0.0.1:8000"
    client: str = "127.0.0.1:50000"


class Future:
    """Bytes that are there, that are still on their way (``None``), or that will never come (an error)."""

    def __init__(self, value: bytes | Exception | None) -> None:
        self._value = value
        self._callback: Callable[..., None] = lambda _: None

    def add_done_callback(self, callback: Callable[..., None], context: object = None) -> None:
        self._callback = callback
        if self._value is not None:
            callback(self)

    def result(self) -> bytes:
        if isinstance(self._value, bytes):
            return self._value
        raise self._value or asyncio.InvalidStateError

    def cancel(self) -> bool:
        if self._value is not None:
            return False
        self._value = asyncio.CancelledError()  # type: ignore[assignment]
        self._callback(self)
        return True


class Connection:
    """The pieces of a body, and what was answered; a body that breaks off has a last piece more."""

    def __init__(self, *pieces: bytes | Exception | None, breaks_off: bool = False) -> None:
        self._pieces = [*pieces, b"", *([b""] if breaks_off else [])]
        self._breaks_off = breaks_off
        self.answered = threading.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    def __call__(self) -> Future:
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                return Future(piece)
        if self._breaks_off:
            return Future(ConnectionError())
        return Future(b"".join(self._pieces))  # type: ignore[arg-type]

    def __aiter__(self) -> object:
        return self

    def __anext__(self) -> Future:
        if not self._pieces:
            raise StopAsyncIteration
        return Future(self._pieces.pop(0))

    def response_bytes(self, status: int, headers: HeaderList, body: bytes) -> None:
        assert not self.answered.is_set()
        self.status, self.headers, self.body = status, {name.lower(): value for name, value in headers}, body
        self.answered.set()

    def response_file(self, status: int, headers: HeaderList, path: str) -> None:
        self.response_bytes(status, headers, Path(path).read_bytes())


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """A WSGI app that answers with the body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def fail(*_: object) -> list[bytes]:
    pytest.fail("The app saw the request.")


def sized(size: int, **more: Any) -> Scope:
    return Scope(Headers((LENGTH, str(size))), **more)


def chunked(**more: Any) -> Scope:
    return Scope(Headers((CHUNKED, "chunked")), **more)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``clock(5)`` lets five seconds pass."""
    now = [1000.0]
    monkeypatch.setattr("webapp.gateway.gateway.time.monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


# --- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope", [sized(8), sized(900_000), sized(3_000_000), chunked()], ids=["small", "large", "too large", "chunked"]
)
def test_a_body_that_does_not_come_in_time_is_408_and_unseen_by_the_app(
    scope: Scope, clock: Callable[[float], None]
) -> None:
    served, connection = Gateway(fail, threads=1, limit=1_000_000), Connection(b"half", None)
    served.receive(scope, connection)
    clock(gateway.BODY_TIMEOUT - 1)
    served.check()
    assert not connection.answered.is_set()
    clock(1)
    served.check()
    assert (connection.status, connection.headers["connection"]) == (408, "close")


def test_bodies_on_their_way_take_no_thread_from_others() -> None:
    served = Gateway(echo, threads=1, limit=1_000_000)
    waiting = [Connection(b"half", None) for _ in range(500)]
    for number, each in enumerate(waiting):
        served.receive([sized(8), sized(900_000), chunked()][number % 3], each)
    whole = Connection(b"whole")
    served.receive(sized(5), whole)
    assert (whole.status, whole.body) == (200, b"whole")
    assert not any(each.answered.is_set() for each in waiting)


@pytest.mark.parametrize("scope", [sized(8), sized(900_000), chunked()], ids=["small", "large", "chunked"])
@pytest.mark.parametrize("end", ["broken off", "failed"])
def test_a_body_that_breaks_off_never_looks_whole(scope: Scope, end: str) -> None:
    connection = Connection(b"half", ConnectionError()) if end == "failed" else Connection(b"half", breaks_off=True)
    Gateway(fail, threads=1, limit=1_000_000).receive(scope, connection)
    assert connection.status == 400


def test_a_body_in_pieces_arrives_whole() -> None:
    for scope in (sized(40_000), chunked()):
        connection = Connection(*[b"x" * 10_000] * 4)
        Gateway(echo, threads=1, limit=1_000_000).receive(scope, connection)
        assert (connection.status, connection.body) == (200, b"x" * 40_000)


def test_of_a_body_that_is_too_large_the_app_sees_a_little_more_than_the_limit() -> None:
    for scope in (sized(400_000), chunked()):
        connection = Connection(*[b"x" * 4000] * 100)
        Gateway(echo, threads=1, limit=100_000).receive(scope, connection)
        assert len(connection.body) == 100_001


def test_a_body_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "DISCARD_LIMIT", 10_000)
    connection = Connection(*[b"x" * 1000] * 100)
    Gateway(echo, threads=1, limit=100).receive(chunked(), connection)
    assert len(connection.body) == 101
    assert connection.__anext__().result()


def test_whoever_asks_before_a_body_that_is_too_large_is_answered_without_it() -> None:
    connection = Connection(None)
    scope = Scope(Headers((LENGTH, "5000"), ("expect", "100-continue")))
    Gateway(echo, threads=1, limit=100).receive(scope, connection)
    assert (connection.status, connection.body) == (200, b"")


def test_when_half_sent_bodies_hold_too_much_the_oldest_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MAX_HELD", 250_000)
    served = Gateway(echo, threads=1, limit=1_000_000)
    waiting = [Connection(b"x" * 100_000, None) for _ in range(4)]
    for each in waiting:
        served.receive(sized(900_000), each)
    assert [each.status for each in waiting] == [503, 503, 0, 0]
    assert waiting[0].headers["retry-after"]
    whole = Connection(b"x" * 60_000)
    served.receive(sized(60_000), whole)
    assert (waiting[2].status, whole.status) == (503, 200)


def test_a_server_that_is_to_stop_waits_two_seconds_for_bodies(clock: Callable[[float], None]) -> None:
    served, connection = Gateway(fail, threads=1, limit=100), Connection(None)
    served.receive(sized(8), connection)
    served.stop()
    served.check()
    assert not connection.answered.is_set()
    clock(gateway.STOP_TIMEOUT)
    served.check()
    assert connection.status == 408


def test_what_the_app_does_not_see_is_refused_as_it_would_refuse(app: Flask, clock: Callable[[float], None]) -> None:
    answers = {}
    for path in ("/api/v1/jobs", "/login"):
        served, connection = Gateway(fail, threads=1, limit=100), Connection(None)
        served.receive(sized(8, path=path), connection)
        clock(gateway.BODY_TIMEOUT)
        served.check()
        assert connection.headers["x-request-id"]
        answers[path] = connection
    problem = json.loads(answers["/api/v1/jobs"].body)
    with app.test_request_context():
        assert problem.keys() == problem_json(ValueError(), 500).keys()
    assert (problem["status"], problem["code"]) == (408, "request_timeout")
    assert answers["/login"].headers["content-type"] == "text/plain; charset=utf-8"


# --- threads -----------------------------------------------------------------------------------------------------


class Held:
    """An app whose requests are all at work until they are released."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.begun.release()
        assert environ["PATH_INFO"] == "/healthz" or self.released.wait(20)
        start_response("200 OK", [])
        return []


@pytest.fixture
def held() -> Iterator[Held]:
    app = Held()
    yield app
    app.released.set()


def submit_requests(served: Gateway, threads: ThreadPoolExecutor, path: str, number: int) -> list[Connection]:
    connections = [Connection() for _ in range(number)]
    for each in connections:
        threads.submit(served.receive, Scope(path=path), each)
    return connections


def test_a_board_whose_threads_are_all_at_work_says_that_it_lives(held: Held) -> None:
    served = Gateway(held, threads=2, limit=100)
    with ThreadPoolExecutor(4) as threads:
        busy = submit_requests(served, threads, "/api/v1/jobs", 10)
        busy += submit_requests(served, threads, "/readyz", 3)
        for _ in range(3):
            assert held.begun.acquire(timeout=20)
        # The fourth of granian's threads is free: all others wait in order, and take none.
        [probe] = submit_requests(served, threads, "/healthz", 1)
        assert probe.answered.wait(20)
        assert not any(each.answered.is_set() for each in busy)
        held.released.set()
        assert all(each.answered.wait(20) for each in busy)


def test_pages_leave_half_of_the_threads_to_reports(held: Held) -> None:
    served = Gateway(held, threads=8, limit=100)
    with ThreadPoolExecutor(10) as threads:
        pages = submit_requests(served, threads, "/w/acme/jobs", 20)
        for _ in range(4):
            assert held.begun.acquire(timeout=20)
        reports = submit_requests(served, threads, "/api/v1/jobs", 4)
        for _ in range(4):
            assert held.begun.acquire(timeout=20)
        assert not held.begun.acquire(blocking=False)
        held.released.set()
        assert all(each.answered.wait(20) for each in pages + reports)


def test_reports_leave_a_share_of_the_threads_to_pages(held: Held) -> None:
    served = Gateway(held, threads=8, limit=100)
    with ThreadPoolExecutor(10) as threads:
        reports = submit_requests(served, threads, "/api/v1/jobs", 20)
        for _ in range(7):
            assert held.begun.acquire(timeout=20)
        pages = submit_requests(served, threads, "/w/acme/jobs", 2)
        assert held.begun.acquire(timeout=20)
        assert not held.begun.acquire(blocking=False)
        held.released.set()
        assert all(each.answered.wait(20) for each in pages + reports)


def test_who_has_waited_too_long_for_a_thread_is_refused(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Gateway(held, threads=1, limit=100)
    with ThreadPoolExecutor(1) as threads:
        [first] = submit_requests(served, threads, "/api/v1/jobs", 1)
        assert held.begun.acquire(timeout=20)
        waiting = {path: Connection() for path in ("/api/v1/jobs", "/w/acme/jobs")}
        for path, each in waiting.items():
            served.receive(Scope(path=path), each)
        served.check()
        assert [each.status for each in waiting.values()] == [0, 0]
        monkeypatch.setattr(budget, "MAX_WAIT", 0.0)
        served.check()
        assert [(each.status, each.headers["retry-after"]) for each in waiting.values()] == [(503, "2")] * 2
        held.released.set()
        assert first.answered.wait(20)
    assert first.status == 200


def test_more_requests_than_may_wait_are_refused(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_WAITING", 2)
    served = Gateway(held, threads=1, limit=100)
    with ThreadPoolExecutor(1) as threads:
        [first] = submit_requests(served, threads, "/api/v1/jobs", 1)
        assert held.begun.acquire(timeout=20)
        others = [Connection() for _ in range(4)]
        for each in others:
            served.receive(Scope(), each)
        assert [each.status for each in others] == [0, 0, 503, 503]
        held.released.set()
        assert all(each.answered.wait(20) for each in (first, *others))
    assert [each.status for each in others] == [200, 200, 503, 503]


def test_neither_reports_nor_pages_wait_for_all_of_the_other() -> None:
    order, turns = [], ThreadBudget[str](1)
    assert turns.start("first", is_page=False)
    for number in range(3):
        assert not turns.start(f"report {number}", is_page=False)
        assert not turns.start(f"page {number}", is_page=True)
    was_page = False
    while following := turns.finish(was_page=was_page):
        request, was_page = following
        order.append(request)
    assert order == ["page 0", "report 0", "page 1", "report 1", "page 2", "report 2"]


def test_threads_take_quick_turns_only_while_reports_come_beside_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    now, usual, turns = [1000.0], sys.getswitchinterval(), ThreadBudget[str](8)
    monkeypatch.setattr("webapp.gateway.budget.time.monotonic", lambda: now[0])

    def are_quick() -> bool:
        return sys.getswitchinterval() < usual

    turns.start("page", is_page=True)
    assert not are_quick()
    turns.start("report", is_page=False)
    turns.finish(was_page=False)
    assert are_quick()
    turns.finish(was_page=True)
    assert not are_quick()
    turns.start("page", is_page=True)
    assert are_quick()
    turns.finish(was_page=True)
    now[0] += budget.REPORTS_COME
    turns.start("page", is_page=True)
    assert not are_quick()


def test_an_app_that_raises_is_500_and_the_thread_works_on() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise ValueError("secret")
        return echo(environ, start_response)

    served, bad, good = Gateway(app, threads=1, limit=100), Connection(), Connection()
    served.receive(Scope(path="/bad"), bad)
    served.receive(Scope(), good)
    assert (bad.status, good.status) == (500, 200)
    assert b"secret" not in bad.body


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_answer_is_sent_from_a_file_whole_or_not_at_all(fails: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000
        if fails:
            raise OSError("the database went away")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return pieces()

    connection = Connection()
    Gateway(app, threads=1, limit=100).receive(Scope(), connection)
    if fails:
        assert connection.status == 500
    else:
        assert (connection.status, len(connection.body)) == (200, 4_000_000)
        assert connection.headers["content-length"] == "4000000"


def test_a_file_that_the_app_hands_over_is_sent_as_it_is_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "download"
    path.write_bytes(b"x" * 300_000)
    opened = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        opened.append(path.open("rb"))
        start_response("200 OK", [("Content-Length", "300000")])
        return wrap_file(environ, opened[0])

    connection = Connection()
    Gateway(app, threads=1, limit=100).receive(Scope(), connection)
    assert (connection.status, len(connection.body), opened[0].closed) == (200, 300_000, True)


def test_files_that_are_sent_have_rare_numbers_and_are_closed_in_the_end(tmp_path: Path) -> None:
    paths = []

    class Opened(Connection):
        def response_file(self, status: int, headers: HeaderList, path: str) -> None:
            super().response_file(status, headers, path)
            paths.append(Path(path))

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x" * 200_000]

    served = Gateway(app, threads=1, limit=100)
    for _ in range(5):
        served.receive(Scope(), Opened())
    assert len(set(paths)) == 5
    assert all(path.exists() for path in paths)
    for _ in range(gateway.OPEN_TIMEOUT):
        served.check()
    assert not any(path.exists() for path in paths)
    served.receive(Scope(), Opened())
    assert paths[5] not in paths[:5]


# --- the request as the app sees it ------------------------------------------------------------------------------


def test_a_header_with_an_underscore_is_left_out_and_one_that_comes_twice_is_joined() -> None:
    headers = Headers(
        ("x-forwarded-for", "192.0.2.1"),
        ("x_forwarded_for", "192.0.2.66"),
        ("x-forwarded-for", "192.0.2.2"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("content-type", "text/plain"),
        (LENGTH, "3"),
    )
    scope = Scope(headers, path="/caf%C3%A9", query_string="q=%20", client="[2001:db8::1]:9", http_version="1")
    environ = build_environ(scope, headers, b"abc")
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1,192.0.2.2"
    assert (environ["HTTP_COOKIE"], environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == (
        "a=1; b=2",
        "text/plain",
        "3",
    )
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("2001:db8::1", "9")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/café"
    assert (environ["QUERY_STRING"], environ["SERVER_PROTOCOL"]) == ("q=%20", "HTTP/1.0")
    assert environ["wsgi.input"].read() == b"abc"


def test_the_app_gets_an_environ_as_pep_3333_wants_it(app: Flask) -> None:
    environ = build_environ(Scope(method="GET", path="/healthz"), Headers(("host", "board.test")), b"")
    chunks, status, _ = run_wsgi_app(app.wsgi_app, environ)
    assert (b"".join(chunks), status) == (b"ok\n", "200 OK")
