"""Judge where a request for a page comes from: under which name it was sent, and by a page of which site.

Only pages are judged. The API and the probes know no cookie, so whoever leads a browser to them gains nothing.
"""

from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, current_app, request
from werkzeug.exceptions import Forbidden, MisdirectedRequest

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_SITES = frozenset({"same-origin", "none"})
"""What ``Sec-Fetch-Site`` says of a page of the board, and of what a person typed or chose."""
_ANY_HOST = frozenset({"health.show_liveness", "health.show_readiness", "metrics", "static"})
"""Endpoints that answer under every name, because a load balancer or Prometheus knows its own."""


def register(app: Flask) -> None:
    """Refuse requests for pages that were sent under a foreign name, or by a page of another site."""
    app.before_request(check_origin)


def check_origin() -> None:
    """Raise 421 for a host that is not the board's, and 403 for an unsafe request of another site."""
    if request.path.startswith("/api/") or request.endpoint in _ANY_HOST:
        return
    if not is_own_host(request.headers.get("Host", "")):
        raise MisdirectedRequest
    if request.method not in _SAFE_METHODS and not _is_sent_by_own_page():
        raise Forbidden


def is_own_host(host: str) -> bool:
    """Return whether the pages answer under a ``Host``: a name of the settings, or one that no stranger can own.

    A stranger may own a name and have it lead to a board on somebody's machine (DNS rebinding), but no address in
    figures, and no name without a dot.
    """
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        if name in current_app.config["PAGE_HOSTS"] or "." not in name or name.endswith(".localhost"):
            return True
        return bool(ip_address(name))
    return False


def _is_sent_by_own_page() -> bool:
    """Return whether a browser says that a page of this board sends the request; what is no browser says nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OWN_SITES
    # Over plain http a browser says only this. A proxy in front may have changed the Host.
    origin = request.headers.get("Origin")
    own_addresses = current_app.config["PUBLIC_URL"].lower(), f"{request.scheme}://{request.headers.get('Host', '')}"
    return origin is None or origin in own_addresses
