"""Content that only the resource that made it can read again: `encrypted_content` of reasoning and of compactions.

Owns its form, which is that of a Fernet token as recorded ("gAAAAAB..."). It is signed, not encrypted: it is made up.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time

_VERSION = b"\x80"
_NONCE, _MAC, _TIME = 16, 32, 8


class Seal:
    def __init__(self, resource: str) -> None:
        self._key = hashlib.sha256(f"seal of {resource}".encode()).digest()

    def close(self, payload: bytes = b"") -> str:
        content = payload or secrets.token_bytes(96)
        body = _VERSION + int(time.time()).to_bytes(_TIME) + secrets.token_bytes(_NONCE) + content
        return base64.urlsafe_b64encode(body + self._mac(body)).decode()

    def open(self, token: str) -> bytes | None:
        """The payload, or None if it was not made here or a byte of it is wrong."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        return body[1 + _TIME + _NONCE :]

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")
