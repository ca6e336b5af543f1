"""One POST to an address that somebody typed in: never into the board's own network, never for longer than agreed.

Whoever may set a webhook could otherwise reach through the board what only the board can reach. A name is looked up
here, once, at the moment of connecting; every address it has must be public, and the connection goes to an address
that was checked, so that a name which changes its mind gains nothing. Redirects are not followed, proxies of the
environment are not asked. httpcore is the lower half of httpx: it does nothing of the kind by itself.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore

from webapp.core.webhooks.addresses import Address, Network, is_public, is_within

POST_TIMEOUT = 10.0
"""Seconds for one POST in all: looking up the name, connecting, sending, and the answer's first lines."""
ANSWER_LIMIT = 2048
"""Bytes that are kept of an answer."""
_CHUNK_SIZE = 16 * 1024
"""Bytes sent between two looks at the clock."""


def _parse_address(host: str) -> Address | None:
    """Return the address that a host is, if it is no name: 127.0.0.1, but 127.1, 0x7f.1 and 2130706433 just as well."""
    with suppress(ValueError):
        return ip_address(host)
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(host))
    return None


class NotPublic(Exception):
    """The address leads into a network that is not open to everybody."""


class Denied(Exception):
    """The address leads into a network that the administrator has closed to webhooks."""


@dataclass(frozen=True)
class Answer:
    """What a POST came to: a status and the beginning of the answer, or an error; ``duration`` is milliseconds."""

    status: int | None
    text: str | None
    error: str | None
    duration: int

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


# --- the connection: checked addresses, and one deadline for everything ------------------------------------------


def resolve(host: str, port: int) -> Sequence[str]:
    """Return every address of a host, as numbers. Raises ``gaierror``.

    How long it takes, the system's resolver decides.
    """
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


@dataclass(frozen=True)
class _Deadline:
    """The end of a POST's time, on the monotonic clock."""

    at: float

    @property
    def left(self) -> float:
        """Return the seconds that remain. Raises ``ConnectTimeout`` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ConnectTimeout
        return left


class _TimedStream(httpcore.NetworkStream):
    """A stream of which every step ends by the deadline: a peer that drips byte after byte gains no time."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _CHUNK_SIZE):
            self._inner.write(buffer[start : start + _CHUNK_SIZE], self._deadline.left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left)
        except BaseException:
            # Nobody else knows of it yet.
            self._inner.close()
            raise
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, deadline: _Deadline, check: Callable[[Address], None]) -> None:
        self._deadline = deadline
        self._check = check
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port)
        for address in addresses:
            self._check(ip_address(address))
        for position, address in enumerate(addresses, 1):
            # An address that does not answer must leave time for the next.
            share = self._deadline.left / (len(addresses) - position + 1)
            try:
                return _TimedStream(self._backend.connect_tcp(address, port, timeout=share), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses):
                    raise
        raise socket.gaierror

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        raise NotPublic


# --- the call ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outbound:
    """How this board calls others: under which name, whether also inside its own network, and never which networks."""

    user_agent: str
    allow_private: bool
    denied: Collection[Network] = ()

    def check(self, address: Address) -> None:
        """Raise ``NotPublic`` or ``Denied`` if an address may not be called."""
        if not self.allow_private and not is_public(address):
            raise NotPublic
        if is_within(address, self.denied):
            raise Denied

    def check_host(self, host: str) -> None:
        """Raise as ``check`` does, judging a host by its text alone; a name is only resolved when it is called."""
        host = host.lower().rstrip(".")
        if address := _parse_address(host):
            self.check(address)
        elif not self.allow_private and host.rpartition(".")[2] == "localhost":
            raise NotPublic

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send ``body`` once. Whatever goes wrong on the way stands in the answer, and is never raised."""
        started = time.monotonic()
        status = text = error = None
        try:
            status, text = self._post(url, body, headers, _Deadline(started + POST_TIMEOUT))
        except NotPublic:
            error = "The address leads into a network that is not public. The administrator may allow that."
        except Denied:
            error = "The administrator does not allow webhooks to this address."
        except httpcore.TimeoutException:
            error = f"No answer within {POST_TIMEOUT:.0f} s."
        except socket.gaierror:
            error = "There is no such host."
        except (httpcore.ConnectError, OSError) as failure:
            error = f"No connection: {_describe(failure)}."
        except (httpcore.NetworkError, httpcore.ProtocolError) as failure:
            error = f"The connection broke off: {_describe(failure)}."
        except Exception as failure:
            # An address that no check foresaw must not stop the messages to all the others.
            error = f"It could not be sent: {_describe(failure)}."
        return Answer(status, text, error, round((time.monotonic() - started) * 1000))

    def _post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: "_Deadline") -> tuple[int, str]:
        parts = urlsplit(url)
        all_headers = {
            "Host": parts.netloc,
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        } | dict(headers)
        backend = _CheckedBackend(deadline, self.check)
        with (
            httpcore.ConnectionPool(
                _ssl_context() if parts.scheme == "https" else None, network_backend=backend
            ) as pool,
            pool.stream("POST", url, headers=list(all_headers.items()), content=body) as response,
        ):
            return response.status, _read_beginning(response)


def _describe(failure: Exception) -> str:
    text = re.sub(r"^\[[^]]*\] ", "", str(failure).strip()).rstrip(".") or type(failure).__name__
    return text.replace("\0", "\ufffd")[:300]


def _read_beginning(response: httpcore.Response) -> str:
    """Return the first bytes of an answer as text. Its status stands, whatever becomes of the rest."""
    beginning = b""
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in response.iter_stream():
            beginning += chunk
            if len(beginning) >= ANSWER_LIMIT:
                break
    return beginning[:ANSWER_LIMIT].decode(errors="replace").replace("\0", "\ufffd")


@cache
def _ssl_context() -> ssl.SSLContext:
    """Read the authorities of the system and of Mozilla, once; reading them takes longer than a POST."""
    return httpcore.default_ssl_context()
