"""What a runner that keeps its connection open may rely on, against a real server."""

import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask

from tests.support.jobs import job_in
from tests.support.people import Cast
from tests.support.servers import StartServer

LARGE = b" " * 100_000
TIMES = 100


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """No database has a part in this."""
    return str(request.param)


@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [
        (401, "POST", "/api/v1/jobs", {"Authorization": "Bearer nonsense"}),
        (403, "POST", "/api/v1/jobs/{id}/cancel", {}),
        (404, "POST", "/api/v1/nowhere", {}),
        (415, "POST", "/api/v1/jobs", {"Content-Type": "text/plain"}),
    ],
)
def test_a_refused_request_does_not_cost_the_next_one(
    app: Flask,
    cast: Cast,
    token: str,
    server: StartServer,
    status: int,
    method: str,
    path: str,
    headers: dict[str, Any],
) -> None:
    with app.app_context():
        job_id = job_in("running", cast.acme).id
    [address] = server()
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(TIMES):
            answer = client.request(method, path.format(id=job_id), content=LARGE, headers=headers)
            assert answer.status_code == status
            assert client.patch(f"/api/v1/jobs/{job_id}", json={}).status_code == 200


def test_after_a_body_that_is_too_large_the_connection_is_closed_openly(token: str, server: StartServer) -> None:
    [address] = server()
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(5):
            answer = client.post("/api/v1/jobs", content=b" " * (1024 * 1024 + 1))
            assert (answer.status_code, answer.headers["Connection"]) == (413, "close")
            assert client.get("/api/v1/jobs").status_code == 200


def test_a_doubled_slash_is_an_unknown_address_and_no_redirect_to_another_host(token: str, server: StartServer) -> None:
    [address] = server()
    place = urlsplit(address)
    # A page answers under the board's own names alone, and says so whatever the path.
    for path, status, kind in (
        ("/w//acme/jobs", 421, "text/html"),
        ("/api/v1//jobs", 404, "application/problem+json"),
    ):
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        head = answer.partition("\r\n\r\n")[0].lower()
        assert head.startswith(f"http/1.1 {status}"), head
        assert kind in head
        assert "evil.test" not in answer


MEBIBYTE = 1024 * 1024


def test_a_client_that_sends_all_before_it_listens_hears_that_it_is_too_large(token: str, server: StartServer) -> None:
    [address] = server()
    place = urlsplit(address)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for size in (MEBIBYTE + 1, 4 * MEBIBYTE, 16 * MEBIBYTE):
        for length in ({"Content-Length": str(size)}, {"Transfer-Encoding": "chunked"}):
            pieces = (b" " * min(65_536, size - at) for at in range(0, size, 65_536))
            with closing(HTTPConnection(place.hostname or "", place.port, timeout=30)) as connection:
                chunked = "Transfer-Encoding" in length
                connection.request("POST", "/api/v1/jobs", pieces, headers | length, encode_chunked=chunked)
                answer = connection.getresponse()
                assert (answer.status, json.load(answer)["code"]) == (413, "request_entity_too_large")


def test_a_client_that_asks_before_it_sends_is_told_at_once_and_sends_nothing(token: str, server: StartServer) -> None:
    [address] = server()
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
        head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {8 * MEBIBYTE}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 413"
