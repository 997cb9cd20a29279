"""Ids as Azure makes them: the prefix of the kind, then hex or letters and digits, as seen in recordings and docs."""

import secrets
import string
import uuid

_ALPHABET = string.ascii_letters + string.digits


def hexed(prefix: str, length: int = 50) -> str:
    """`resp_`, `msg_`, `rs_`, `fc_`, `conv_`: 50 hex digits (recorded 2026)."""
    return prefix + secrets.token_hex(length // 2)


def lettered(prefix: str, length: int = 24) -> str:
    """`vs_`, `upload_`, `part_`, `call_`."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def guid(prefix: str) -> str:
    """`file-`, `ftjob-`, `ftckpt_`: a GUID without dashes."""
    return prefix + uuid.uuid4().hex


def file_id(purpose: str) -> str:
    """Azure keeps files for assistants and prompts in another service, with ids of another form."""
    if purpose in ("assistants", "user_data", "vision"):
        return lettered("assistant-", 22)
    return guid("file-")
