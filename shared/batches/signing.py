"""How messages about batches are signed, ours and Azure OpenAI's alike (Standard Webhooks 1.0, symmetric). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"
"""How a secret begins; base64 of the key follows."""


def signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    """at: Unix seconds as they are sent. -> base64, without the version that goes before it."""
    return base64.b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)).decode()
