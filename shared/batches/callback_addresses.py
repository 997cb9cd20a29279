"""Where a callback may go: an https address of the public internet, and what the operator lists besides. Pure.

A client names the address and the gateway calls it from within: nothing private may be reached so, neither by an
address that says so itself, nor by a name that leads there (adapters/callback_client.py asks about each).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

LONGEST = 2048
"""Characters of an address."""
_GRAPHIC = re.compile(r"[!-~]+")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A name of DNS, whose last part is no number: `127.1` and `0x7f.1` are addresses to some."""
_LOCAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".localdomain")
_PLATFORM = frozenset({IPv4Address("168.63.129.16")})
"""Public by its number, but every machine in Azure reaches the platform itself there."""
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_RELAYS = IPv4Network("192.88.99.0/24")
"""Of 6to4."""


class NotAllowed(ValueError):
    """Such an address is never called; the text says why, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address that may be called, as far as can be told without asking DNS."""

    url: str
    host: str
    port: int
    tls: bool
    listed: bool
    """The operator has listed it: it may be private, and without TLS."""


def place_of(url: str, listed: Collection[str]) -> Place:
    """listed: `host` or `host:port`. Raises NotAllowed."""
    if len(url) > LONGEST or not _GRAPHIC.fullmatch(url) or "\\" in url:
        raise NotAllowed(f"write an address of at most {LONGEST} plain characters, other ones percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower().removesuffix("."), parts.port
    except ValueError:
        raise NotAllowed("it is no address: write https://HOST/PATH") from None
    if parts.scheme not in ("https", "http") or not host:
        raise NotAllowed("write https://HOST/PATH")
    if "@" in parts.netloc:
        raise NotAllowed("leave user and password away: callbacks are signed")
    if parts.fragment or url.endswith("#"):
        raise NotAllowed("leave the part after '#' away: no server sees it")
    tls = parts.scheme == "https"
    port = (443 if tls else 80) if port is None else port
    if port == 0:
        raise NotAllowed("0 is no port")
    shown = f"[{host}]" if ":" in host else host
    if not {host, shown, f"{shown}:{port}"}.isdisjoint(name.lower() for name in listed):
        return Place(url, host, port, tls, listed=True)
    if not tls:
        raise NotAllowed("write https://: callbacks are encrypted")
    _check_host(host)
    return Place(url, host, port, tls, listed=False)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's at large."""
    try:
        number = ip_address(address)
    except ValueError:
        return False
    if isinstance(number, IPv6Address):
        inner = number.ipv4_mapped or number.sixtofour
        if inner is None and number in _NAT64:
            inner = IPv4Address(int(number) & 0xFFFFFFFF)
        if inner is None:
            return number.scope_id is None and number in _UNICAST and number.is_global
        number = inner
    return (
        number.is_global
        and not number.is_multicast
        and not number.is_reserved
        and number not in _RELAYS
        and number not in _PLATFORM
    )


def _check_host(host: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        if host.endswith(_LOCAL) or not _NAME.fullmatch(host):
            raise NotAllowed("write the full name of a host of the internet, as https://hooks.example.com/x") from None
        return
    if not is_public(host):
        raise NotAllowed("private addresses are not called: write that of a host of the internet")
