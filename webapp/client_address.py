"""Takes the address that a request comes from out of the one header that the proxies in front are trusted to set."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import BadRequest
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DEFAULT_HEADER = "X-Forwarded-For"
_FAULT = "callboard.unclear_address"
_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
_PROBES = frozenset({"health.show_liveness", "health.show_readiness", "metrics"})
"""Endpoints that a load balancer asks by itself, without the headers of a client."""

log = logging.getLogger(__name__)


class UnclearAddress(BadRequest):
    """The proxies in front did not say, or not clearly, from which address a request comes."""


class ClientAddress:
    """Replaces ``REMOTE_ADDR`` by what the trusted proxies say.

    Each of ``hops`` proxies adds an address to ``X-Forwarded-For``; any other header must hold exactly one address.
    """

    def __init__(self, app: "WSGIApplication", header: str, hops: int) -> None:
        self._app = app
        self._key = f"HTTP_{header.upper().replace('-', '_')}"
        self._header = header
        self._position = -hops if header == DEFAULT_HEADER else 0
        self._is_list = header == DEFAULT_HEADER

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, with the address put in its place."""
        value = environ.get(self._key)
        # Without X-Forwarded-For it came past the proxies, from the address that it says. A header that was chosen by
        # name is set by the proxy on every request.
        if value is not None or not self._is_list:
            if address := self._read_address(value or ""):
                environ["REMOTE_ADDR"] = address
            else:
                environ[_FAULT] = f"The header {self._header} must hold the client's address, once. Check the proxy."
        return self._app(environ, start_response)

    def _read_address(self, value: str) -> str | None:
        parts = [part.strip() for part in value.split(",")]
        if len(parts) < -self._position or (len(parts) > 1 and not self._is_list):
            return None
        return _parse_address(parts[self._position])


def _parse_address(text: str) -> str | None:
    """Return an address without the port that some proxies add; ``None`` for what is none."""
    with suppress(ValueError):
        return str(ip_address(text))
    with suppress(ValueError):
        return str(ip_address(urlsplit(f"//{text}").hostname or ""))
    return None


class _WarnOfProxy:
    """Logs once that a proxy seems to stand in front which no setting names."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._is_warned = False

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if _FORWARDED_FOR in environ and not self._is_warned:
            self._is_warned = True
            log.warning(
                "A request came with X-Forwarded-For, which is ignored while TRUSTED_PROXIES is 0. If a proxy stands "
                "in front of this board, set TRUSTED_PROXIES: until then all its clients count as one address."
            )
        return self._app(environ, start_response)


def register(app: Flask) -> None:
    """Believe the proxies that the settings name, and refuse requests whose address they leave unclear."""
    hops = app.config["TRUSTED_PROXIES"]
    if not hops:
        app.wsgi_app = _WarnOfProxy(app.wsgi_app)  # type: ignore[method-assign]
        return
    proxied = ProxyFix(app.wsgi_app, x_for=0, x_proto=hops, x_host=0)
    app.wsgi_app = ClientAddress(proxied, app.config["REMOTE_ADDR_HEADER"], hops)  # type: ignore[method-assign]
    app.before_request(_refuse_unclear_address)


def _refuse_unclear_address() -> None:
    if (fault := request.environ.get(_FAULT)) and request.endpoint not in _PROBES:
        raise UnclearAddress(fault)
