"""The server as it runs: slow clients, odd ones, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask

from tests.support.apps import SECRET_KEY
from tests.support.jobs import RUNNER, job_in
from tests.support.paths import ROOT
from tests.support.people import PASSWORD, Cast
from tests.support.processes import children, command_line, on_linux, parent, serve, wait_until_it_serves
from tests.support.servers import StartServer
from tests.support.waiting import wait_until
from webapp.cli.processes import answers
from webapp.core import jobs
from webapp.gateway import server as gateway_server


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """No database has a part in this."""
    return str(request.param)


def connect(address: str, request: str) -> socket.socket:
    """Send a request, or the beginning of one, over a connection that takes in little at a time."""
    place = urlsplit(address)
    connection = socket.socket()
    # So little that an answer of some megabytes does not fit on its way.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((place.hostname, place.port))
    connection.sendall(request.replace("\n", "\r\n").encode())
    return connection


def read_answers(address: str, request: str) -> bytes:
    """Send a request and return all that comes back until the connection is closed."""
    with closing(connect(address, request)) as connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def read_whole_answer(connection: socket.socket) -> Iterator[bytes]:
    """Read the body of an answer that says its length."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1000)
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    [length] = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length")]
    yield body
    size = len(body)
    while size < length:
        piece = connection.recv(65536)
        assert piece
        size += len(piece)
        yield piece


HALF = "\nHost: x\nContent-Type: application/json\nContent-Length: {size}\n\n{{"


def test_half_sent_bodies_unread_downloads_and_sign_ins_do_not_stop_reports(
    app: Flask, cast: Cast, token: str, server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADS", "4")
    with app.app_context():
        job_id = job_in("running", cast.acme).id
        for _ in range(60):
            failed = job_in("running", cast.acme).id
            jobs.update_job_status(failed, status="failed", error="x" * 60_000, by=RUNNER)
    [address] = server()
    with httpx.Client(base_url=address, timeout=20) as person, ExitStack() as connections:
        page = person.get("/login").text
        csrf_token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"csrf_token": csrf_token, "email": cast.ada.email, "password": PASSWORD}
        cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        assert person.post("/login", data=form, headers={"Referer": f"{address}/login"}).status_code == 303
        signed_in = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        unread = f"GET /w/acme/jobs.csv HTTP/1.1\nHost: x\nCookie: {signed_in}\n\n"
        body = f"csrf_token={csrf_token}&email=eve%40example.com&password=guess"
        sign_in = (
            f"POST /login HTTP/1.1\nHost: x\nCookie: {cookie}\nReferer: {address}/login\n"
            f"Content-Type: application/x-www-form-urlencoded\nContent-Length: {len(body)}\n\n{body}"
        )
        for number in range(20):
            for path in (f"PATCH /api/v1/jobs/{job_id} HTTP/1.1", "POST /login HTTP/1.1"):
                half = path + HALF.format(size=(900, 900_000, 9_000_000)[number % 3])
                connections.enter_context(closing(connect(address, half)))
            if number < 8:
                # Each stands at its beginning when the next is answer for, as many as there are threads and more.
                download = connections.enter_context(closing(connect(address, unread)))
                assert download.recv(15) == b"HTTP/1.1 200 OK"
            connections.enter_context(closing(connect(address, sign_in)))
        headers = {"Authorization": f"Bearer {token}"}
        for number in range(20):
            answer = person.patch(f"/api/v1/jobs/{job_id}", json={"progress": number}, headers=headers)
            assert answer.status_code == 200
            assert person.get("/healthz").status_code == 200
        # A download that is read after all is whole.
        assert b"".join(read_whole_answer(download)).count(b"x" * 60_000) == 60


def test_a_reader_who_takes_nothing_and_an_end_that_is_gone_are_left_to_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gateway_server._limit_silence()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout == gateway_server.SEND_TIMEOUT * 1000


def test_odd_but_lawful_requests_are_answered_and_http_2_is_not_spoken(token: str, server: StartServer) -> None:
    [address] = server()
    bearer = f"Authorization: Bearer {token}"
    create = f"POST /api/v1/jobs HTTP/1.1\nHost: x\n{bearer}\nContent-Type: application/json\n"
    pipelined = "GET /healthz HTTP/1.1\nHost: x\n\n" * 3 + "GET /readyz HTTP/1.1\nHost: x\nConnection: close\n\n"
    answers = read_answers(address, pipelined)
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"\r\n\r\nok\n")) == (4, 3)
    assert answers.endswith(b"ready\n")
    old = read_answers(address, f"GET /api/v1/jobs HTTP/1.0\n{bearer}\n\n")
    assert old.startswith(b"HTTP/1.0 200")
    head = read_answers(address, "HEAD /healthz HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert b"content-length: 3" in head
    assert head.endswith(b"\r\n\r\n")
    body = '{"type":"import"}'
    pieces = "".join(f"1\n{letter}\n" for letter in body) + "0\n\n"
    in_pieces = read_answers(address, f"{create}Connection: close\nTransfer-Encoding: chunked\n\n{pieces}")
    assert in_pieces.startswith(b"HTTP/1.1 201")
    # The preface of HTTP/2, which nobody needs here.
    assert not read_answers(address, "PRI * HTTP/2.0\n\nSM\n\n").startswith(b"\x00")
    many = "".join(f"X-Header-{number}: {number}\n" for number in range(80))
    answer = read_answers(
        address, f"{create}{many}Connection: close\nExpect: 100-continue\nContent-Length: {len(body)}\n\n{body}"
    )
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201")


def test_a_body_that_breaks_off_creates_nothing(token: str, server: StartServer) -> None:
    [address] = server()
    create = f"POST /api/v1/jobs HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\nContent-Type: application/json\n"
    body = '{"type":"import"}'
    for rest in (f"Transfer-Encoding: chunked\n\n11\n{body}\n", f"Content-Length: {len(body) + 1}\n\n{body}"):
        with closing(connect(address, create + rest)) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert not connection.recv(65536).startswith(b"HTTP/1.1 2")
    listed = httpx.get(f"{address}/api/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    assert listed.json()["data"] == []


@on_linux
def test_a_server_that_is_to_stop_says_so_to_who_has_sent_half_a_body(url: str, port: int, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serve(url, port, tmp_path) as process, ExitStack() as connections:
        try:
            wait_until_it_serves(process, log)
            address, halves = f"http://127.0.0.1:{port}", []
            for size in (900, 900_000):
                half = connect(address, "POST /api/v1/jobs HTTP/1.1" + HALF.format(size=size))
                halves.append(connections.enter_context(closing(half)))
            process.terminate()
            for half in halves:
                assert half.recv(12) == b"HTTP/1.1 408"
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


@on_linux
def test_workers_end_by_themselves_when_all_who_could_stop_them_are_killed(url: str, port: int, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serve(url, port, tmp_path, WORKERS="2") as process:
        try:
            wait_until_it_serves(process, log)
            [server] = [child for child in children(process.pid) if "webapp.gateway" in command_line(child)]
            wait_until(lambda: len(children(server)) == 2, explain=log.read_text)
            workers = children(server)
            os.kill(process.pid, signal.SIGKILL)
            os.kill(server, signal.SIGKILL)
            wait_until(lambda: all(parent(worker) is None for worker in workers), explain=log.read_text)
        finally:
            process.kill()


@on_linux
def test_a_server_that_was_killed_serves_again_at_its_port_and_can_be_stopped(
    url: str, port: int, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"

    def servers() -> list[int]:
        return [child for child in children(process.pid) if "webapp.gateway" in command_line(child)]

    with serve(url, port, tmp_path) as process:
        try:
            wait_until_it_serves(process, log)
            [killed] = servers()
            [worker] = children(killed)
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: parent(worker) is None and servers() not in ([], [killed]), explain=log.read_text)
            wait_until(lambda: answers("127.0.0.1", port), explain=log.read_text)
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
            assert log.read_text().count("The server ended unexpectedly (exit code -9); starting again.") == 1
        finally:
            process.kill()


@on_linux
def test_a_server_that_is_told_to_end_while_it_starts_ends_at_once(url: str, port: int, tmp_path: Path) -> None:
    command = "webapp.gateway --interface rsgi wsgi:app --host 127.0.0.1 --workers 2 --workers-kill-timeout 60"
    environ = os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY}
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split(), "--port", str(port)],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: len(children(process.pid)) == 2, explain=log.read_text)
        process.terminate()
        assert process.wait(40) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
