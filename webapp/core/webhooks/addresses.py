"""Knows which addresses belong to the open internet.

The list is the board's own, because ``ipaddress`` knows other blocks with every version of Python.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        (
            # The special-purpose registry of IANA, those it calls globally reachable among them: none holds a receiver.
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",  # Oracle Cloud answers questions about its machines at 192.0.0.192.
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "224.0.0.0/4",  # Multicast, which has a registry of its own.
            "168.63.129.16/32",  # Azure's platform, which no registry knows.
        ),
    )
)
GLOBAL_IPV6 = IPv6Network("2000::/3")
"""All that IANA has given out for the open internet. Loopback, private, multicast and the rest lie outside."""
SPECIAL_IPV6 = tuple(
    map(
        IPv6Network,
        (
            # What the special-purpose registry of IANA takes out of it again.
            "2001::/23",  # Teredo, ORCHID, benchmarking and more.
            "2001:db8::/32",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
_6TO4 = IPv6Network("2002::/16")
_LAST_32_BITS = 0xFFFF_FFFF
_ISATAP = 0x0000_5EFE
_WITHOUT_U_AND_G = 0xFCFF_FFFF
"""The bits before the IPv4 address of an ISATAP address that are always the same."""


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the open internet, and so does any IPv4 address that it carries inside."""
    if isinstance(address, IPv4Address):
        return not is_within(address, SPECIAL_IPV4)
    inner = embedded_ipv4(address)
    if inner is not None and not is_public(inner):
        return False
    if address in _NAT64 or address in _MAPPED:
        return True
    return address in GLOBAL_IPV6 and not is_within(address, SPECIAL_IPV6)


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address in a mapped, NAT64, 6to4 or ISATAP address, which whoever translates it would reach."""
    number = int(address)
    if address in _6TO4:
        return IPv4Address(number >> 80 & _LAST_32_BITS)
    is_isatap = number >> 32 & _WITHOUT_U_AND_G == _ISATAP
    return IPv4Address(number & _LAST_32_BITS) if is_isatap or address in _NAT64 or address in _MAPPED else None


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether an address, or the IPv4 address that it carries inside, lies in one of the networks."""
    inner = embedded_ipv4(address) if isinstance(address, IPv6Address) else None
    return any(each in network for network in networks for each in (address, inner) if each is not None)
