"""A request as it goes over the wire: where to, its head, its body. No credential, no connection."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class Origin(NamedTuple):
    """Who is talked to: connections are shared by those who name the same one."""

    tls: bool
    host: str
    port: int


class Target(NamedTuple):
    url: str
    origin: Origin
    host: bytes
    path: bytes


@dataclass(slots=True)
class Message:
    """A request. Its headers come without host, length and transfer-encoding, which follow from the rest."""

    method: str
    target: Target
    headers: list[tuple[bytes, bytes]]
    body: bytes | AsyncIterable[bytes]
    length: int | None
    """Bytes of a body that is not held, when they are known."""
    connect: float
    """Seconds until there must be a connection."""
    idle: float
    """Seconds of silence within the answer after which it is given up."""

    def head(self) -> bytes:
        """Everything before the body. Raises ValueError for what would make two requests out of one."""
        target, body = self.target, self.body
        first = b"%b %b HTTP/1.1\r\nhost: %b" % (self.method.encode(), target.path, target.host)
        lines = [first, *[name + b": " + value for name, value in self.headers]]
        if isinstance(body, bytes):
            if body or self.method in _WITH_BODY:
                lines.append(b"content-length: %d" % len(body))
        elif self.length is None:
            lines.append(b"transfer-encoding: chunked")
        else:
            lines.append(b"content-length: %d" % self.length)
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        ends = len(lines) + 2  # the first has two lines, the last is empty
        if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head:
            raise ValueError("a header holds no line breaks and no NUL")
        return head


@functools.lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """A deployment's URL, parsed once. Raises ValueError."""
    if _CONTROL.search(url):
        raise ValueError("a URL holds no blanks and no control characters")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL begins with http:// or https:// and a host")
    tls = parts.scheme == "https"
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    usual = 443 if tls else 80
    port = parts.port or usual
    shown = f"[{host}]" if ":" in host else host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    path = _NOT_ASCII.sub(lambda found: quote(found[0]), path)
    return Target(url, Origin(tls, host, port), (shown if port == usual else f"{shown}:{port}").encode(), path.encode())
