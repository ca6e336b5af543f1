"""From which address a request comes: from the one header that trusted proxies set, or it is refused."""

import logging

import pytest
from flask import Flask

from tests.support.apps import dispose, make_app
from webapp.client_address import ClientAddress

# What is asked needs no database.
URL = "sqlite:///nothing.db"
FORWARDED, REAL_IP = "X-Forwarded-For", "X-Real-IP"


def address_of(header: str, hops: int, sent: str | None) -> str:
    """Return the address that the app sees, or what it says is wrong."""
    seen: dict[str, str] = {}
    environ = {"REMOTE_ADDR": "10.0.0.1"} | ({} if sent is None else {f"HTTP_{header.upper().replace('-', '_')}": sent})
    ClientAddress(lambda environ, _: seen.update(environ) or [], header, hops)(environ, lambda *_: lambda _: None)
    return seen.get("callboard.unclear_address", seen["REMOTE_ADDR"])


@pytest.mark.parametrize(
    ("header", "hops", "sent", "address"),
    [
        (FORWARDED, 1, "203.0.113.5", "203.0.113.5"),
        (FORWARDED, 1, "198.51.100.9, 203.0.113.5", "203.0.113.5"),
        (FORWARDED, 2, "198.51.100.9,203.0.113.5", "198.51.100.9"),
        (FORWARDED, 1, "203.0.113.5:4711", "203.0.113.5"),
        (FORWARDED, 1, "[2001:db8::1]:4711", "2001:db8::1"),
        (FORWARDED, 1, "2001:db8::1", "2001:db8::1"),
        (FORWARDED, 1, None, "10.0.0.1"),
        (REAL_IP, 2, "203.0.113.5", "203.0.113.5"),
    ],
)
def test_the_address_is_the_one_that_the_last_trusted_proxy_added(
    header: str, hops: int, sent: str | None, address: str
) -> None:
    assert address_of(header, hops, sent) == address


@pytest.mark.parametrize(
    ("header", "hops", "sent"),
    [
        (FORWARDED, 1, "unknown"),
        (FORWARDED, 1, ""),
        (FORWARDED, 1, "203.0.113.5, [half"),
        (FORWARDED, 2, "203.0.113.5"),
        (REAL_IP, 1, "203.0.113.5,198.51.100.9"),
        (REAL_IP, 1, None),
        (REAL_IP, 1, "example.com"),
    ],
)
def test_an_address_that_comes_twice_or_not_or_is_none_is_unclear(header: str, hops: int, sent: str | None) -> None:
    sentence = f"The header {header} must hold the client's address, once. Check the proxy."
    assert address_of(header, hops, sent) == sentence


@pytest.fixture
def proxied() -> Flask:
    return make_app(URL, TRUSTED_PROXIES="1", REMOTE_ADDR_HEADER=REAL_IP)


def test_such_a_request_is_refused_in_words_and_a_probe_is_answered(proxied: Flask) -> None:
    client = proxied.test_client()
    twice = {REAL_IP: "203.0.113.5,198.51.100.9"}
    page, problem = client.get("/login", headers=twice), client.get("/api/v1/jobs", headers=twice)
    assert (page.status_code, problem.status_code) == (400, 400)
    for answer in (page.text, problem.json["detail"]):  # type: ignore[index]
        assert f"The header {REAL_IP} must hold" in answer
    assert client.get("/healthz", headers=twice).status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/login", headers={REAL_IP: "203.0.113.5"}).status_code == 200
    dispose(proxied)


def test_a_proxy_that_no_setting_names_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = make_app(URL)
    for _ in range(2):
        app.test_client().get("/healthz", headers={FORWARDED: "203.0.113.5"})
    dispose(app)
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "A request came with X-Forwarded-For"
    ]
