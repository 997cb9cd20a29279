"""Which addresses a secret may be sent to. Pure: looks nothing up."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def is_safe_url(url: str) -> bool:
    """Whether nobody on the way can read what is sent: https, or http that stays on this machine."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:  # as for http://[ without its end
        return False
    return bool(host) and (split.scheme == "https" or (split.scheme == "http" and is_loopback(host)))
