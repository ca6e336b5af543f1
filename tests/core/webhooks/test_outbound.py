"""One POST: which addresses may be called, by which connection, for how long, and what is kept of the answer."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import httpcore
import pytest

from tests.support.receiver import Receiver, receiver
from webapp.core.webhooks import outbound
from webapp.core.webhooks.addresses import is_public
from webapp.core.webhooks.outbound import Denied, NotPublic, Outbound

GUARDED = Outbound("Callboard/test", allow_private=False)
FREE = Outbound("Callboard/test", allow_private=True)
NOT_PUBLIC = "The address leads into a network that is not public. The administrator may allow that."


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """``lookups("10.0.0.1")`` makes every name lead there; the names that are asked for from then on."""

    def answer(*addresses: str) -> list[str]:
        hosts: list[str] = []

        def resolve(host: str, port: int) -> list[str]:
            hosts.append(host)
            return list(addresses)

        monkeypatch.setattr(outbound, "resolve", resolve)
        return hosts

    return answer


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses to which a connection was begun; each is refused, nothing leaves this machine."""
    begun: list[str] = []

    def connect(self: object, host: str, port: int, **rest: Any) -> None:
        begun.append(host)
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return begun


# --- which addresses ---------------------------------------------------------------------------------------------

FORBIDDEN = {
    "private": ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fdff::1", "fec0::1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["0.1.2.3", "240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "192.88.99.1"],
    "reserved, version 6": ["100::1", "2001:db8::1", "3fff::1", "5f00::1", "2001::1", "2001:10::1", "64:ff9b:1::1"],
    "unspecified": ["0.0.0.0", "::"],
    "mapped": ["::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0"],
    "compatible": ["::10.0.0.1", "::127.0.0.1"],
    "6to4": ["2002:a00:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a83f:8110::1"],
    "ISATAP": ["2600::5efe:10.0.0.1", "2600::200:5efe:169.254.169.254", "2600::300:5efe:192.0.0.192"],
    "services of a cloud": ["192.0.0.192", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"],
    "NAT64": ["64:ff9b::a00:1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
}


@pytest.mark.parametrize("address", [address for kind in FORBIDDEN.values() for address in kind])
def test_an_address_of_every_closed_kind_is_never_called(
    address: str, lookups: Callable[..., list[str]], connected: list[str]
) -> None:
    lookups(address)
    answer = GUARDED.post("http://hooks.example.com/", b"{}", {})
    assert (answer.status, answer.error, connected) == (None, NOT_PUBLIC, [])


SPECIAL_BLOCKS = (
    # Of version 4, as IANA lists them, and multicast.
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/31", "192.0.2.0/24",
    "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    # Of version 6; those that hold an address of version 4 have tests of their own.
    "::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
    "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28",
    "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7",
    "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip


@pytest.mark.parametrize("block", SPECIAL_BLOCKS)
def test_neither_end_of_a_special_block_is_public_nor_what_carries_it_inside(block: str) -> None:
    network = ip_network(block)
    for end in (network[0], network[-1]):
        assert not is_public(end)
        if isinstance(end, IPv4Address):
            number = int(end)
            for inside in ("::ffff:0:0", "64:ff9b::", "2600::5efe:0:0", "2600::200:5efe:0:0"):
                assert not is_public(ip_address(int(ip_address(inside)) + number))
            assert not is_public(ip_address(int(ip_address("2002::")) + (number << 80)))


NEIGHBOURS = (
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
    "223.255.255.255", "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2620:4f:8001::",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::5eff:a00:1",
)  # fmt: skip


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_the_address_beside_a_special_block_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808", "2600::5efe:808:808"],
)
def test_a_public_address_is_called(address: str, lookups: Callable[..., list[str]], connected: list[str]) -> None:
    assert is_public(ip_address(address))
    lookups(address)
    GUARDED.post("http://hooks.example.com/", b"{}", {})
    assert connected == [address]


WRITTEN = ["127.1", "0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", *WRITTEN])
def test_every_way_to_write_this_machine_is_refused(host: str, hooks: Receiver) -> None:
    answer = GUARDED.post(f"http://{host}:{hooks.port}/", b"{}", {})
    assert (answer.status, answer.error, hooks.received) == (None, NOT_PUBLIC, [])


WRITTEN_OUT = {
    "a name": ["localhost", "LOCALHOST.", "board.localhost"],
    "as usual": ["127.0.0.1", "127.0.0.1.", "10.0.0.1", "169.254.169.254", "0.0.0.0"],
    "as numbers": [
        "0",
        "1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "127.1",
        "10.1",
        "0177.0.0.1",
        "017700000001",
    ],
    "IPv6": ["::1", "::", "fe80::1", "fe80::1%25eth0", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::10.0.0.1"],
}


@pytest.mark.parametrize("host", [host for hosts in WRITTEN_OUT.values() for host in hosts])
def test_what_the_text_alone_gives_away_is_known_before_anything_is_sent(host: str) -> None:
    with pytest.raises(NotPublic):
        GUARDED.check_host(host)
    FREE.check_host(host)


@pytest.mark.parametrize(
    "host", ["hooks.example.com", "localhost.example.com", "8.8.8.8", "134744072", "0x8.8.8.8", "2606:4700::1111", "a1"]
)
def test_a_name_and_a_public_address_may_be_tried(host: str) -> None:
    GUARDED.check_host(host)


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("address", ["9.9.9.9", "::ffff:9.9.9.9", "64:ff9b::909:909", "2002:909:909::1", "2620:fe::9"])
def test_a_network_that_the_administrator_denies_is_never_called(
    address: str, allow_private: bool, lookups: Callable[..., list[str]], connected: list[str]
) -> None:
    denying = Outbound("Callboard/test", allow_private, (ip_network("9.9.9.0/24"), ip_network("2620:fe::/48")))
    lookups("8.8.8.8", address)
    answer = denying.post("http://hooks.example.com/", b"{}", {})
    assert (answer.error, connected) == ("The administrator does not allow webhooks to this address.", [])
    with pytest.raises(Denied):
        denying.check_host(address)
    denying.check_host("8.8.8.8")


def test_one_closed_address_among_many_is_enough_to_refuse(
    lookups: Callable[..., list[str]], connected: list[str]
) -> None:
    lookups("8.8.8.8", "10.0.0.1")
    assert GUARDED.post("http://hooks.example.com/", b"{}", {}).error == NOT_PUBLIC
    assert connected == []


def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(
    lookups: Callable[..., list[str]], connected: list[str]
) -> None:
    hosts = lookups("8.8.8.8", "8.8.4.4")
    answer = GUARDED.post("https://rebinding.example.com:8443/", b"{}", {})
    assert (hosts, connected) == (["rebinding.example.com"], ["8.8.8.8", "8.8.4.4"])
    assert answer.error == "No connection: refused."


def test_a_name_that_leads_here_is_called_only_if_the_administrator_allows_it(
    lookups: Callable[..., list[str]], hooks: Receiver
) -> None:
    lookups("127.0.0.1")
    url = f"http://hooks.example.com:{hooks.port}/in"
    assert GUARDED.post(url, b"{}", {}).error == NOT_PUBLIC
    assert hooks.received == []
    assert FREE.post(url, b"{}", {}).status == 200
    assert hooks.received[0].headers["host"] == f"hooks.example.com:{hooks.port}"


def test_proxies_of_the_environment_are_not_asked(hooks: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert FREE.post(hooks.url, b"{}", {}).status == 200
        assert (len(hooks.received), proxy.received) == (1, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int, hooks: Receiver) -> None:
    with receiver() as elsewhere:
        hooks.status, hooks.headers = status, {"Location": elsewhere.url}
        answer = FREE.post(hooks.url, b"{}", {})
        assert (answer.status, answer.is_delivered, elsewhere.received) == (status, False, [])


# --- TLS ---------------------------------------------------------------------------------------------------------


def test_tls_asks_for_the_name_and_refuses_a_certificate_that_nobody_signed(
    lookups: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str | None] = []
    start_tls = outbound._TimedStream.start_tls

    def watched(self: Any, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None) -> Any:
        names.append(server_hostname)
        assert ssl_context.check_hostname
        assert ssl_context.verify_mode is ssl.CERT_REQUIRED
        return start_tls(self, ssl_context, server_hostname, timeout)

    monkeypatch.setattr(outbound._TimedStream, "start_tls", watched)
    lookups("127.0.0.1")
    with talking(lambda line: line.close()) as port:
        answer = FREE.post(f"https://hooks.example.com:{port}/", b"{}", {})
    assert names == ["hooks.example.com"]
    assert answer.error is not None
    assert answer.error.startswith("No connection: ")


# --- how long ----------------------------------------------------------------------------------------------------


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that does with its first caller what ``talk`` says; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                try:
                    line.recv(65536)
                    talk(line)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def drip(line: socket.socket, text: bytes) -> None:
    for byte in text:
        line.sendall(bytes([byte]))
        time.sleep(0.05)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "POST_TIMEOUT", 0.5)


@pytest.mark.usefixtures("hasty")
def test_a_receiver_that_says_nothing_is_not_waited_for() -> None:
    with talking(lambda line: time.sleep(1)) as port:
        answer = FREE.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert answer.error is not None
    assert answer.error.startswith("No answer within")
    assert 400 < answer.duration < 900


@pytest.mark.usefixtures("hasty")
def test_a_receiver_that_drips_byte_after_byte_gains_no_time() -> None:
    with talking(lambda line: drip(line, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 40)) as port:
        answer = FREE.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert (answer.status, answer.is_delivered) == (None, False)
    assert answer.duration < 900


@pytest.mark.usefixtures("hasty")
def test_a_status_that_came_in_time_stands_though_the_rest_does_not_come() -> None:
    def talk(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        time.sleep(1)

    with talking(talk) as port:
        answer = FREE.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert (answer.status, answer.error) == (200, None)
    assert answer.duration < 900


def test_an_answer_without_end_is_read_only_as_far_as_it_is_kept() -> None:
    def talk(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            line.sendall(b"x" * 1024)

    with talking(talk) as port:
        answer = FREE.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert (answer.status, answer.text) == (200, "x" * outbound.ANSWER_LIMIT)
    assert answer.duration < 5000


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 999999 no\r\n\r\n"])
def test_an_answer_that_is_none_is_an_error_in_words(said: bytes) -> None:
    with talking(lambda line: line.sendall(said)) as port:
        answer = FREE.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert answer.status is None
    assert answer.error is not None
    assert answer.error.startswith("The connection broke off: ")


def test_a_name_that_does_not_exist_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*args: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    assert GUARDED.post("http://nowhere.example/", b"{}", {}).error == "There is no such host."


def test_an_address_that_no_check_foresaw_is_an_error_and_no_exception() -> None:
    answer = FREE.post("gopher://127.0.0.1/", b"{}", {})
    assert answer.error is not None
    assert answer.error.startswith("It could not be sent: ")


def test_a_line_whose_time_ran_out_before_tls_is_closed() -> None:
    closed: list[str] = []

    class Open(httpcore.NetworkStream):
        def close(self) -> None:
            closed.append("closed")

    line = outbound._TimedStream(Open(), outbound._Deadline(time.monotonic() - 1))
    with pytest.raises(httpcore.ConnectTimeout):
        line.start_tls(ssl.create_default_context(), "hooks.example.com")
    assert closed == ["closed"]
