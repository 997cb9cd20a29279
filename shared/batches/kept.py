"""One file (or unfinished upload) that the gateway keeps itself: a value, its row, and how OpenAI tells it. Pure.

Its content is a blob of the folder of files, named by its id; the lines of an input have an index beside it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from shared.types import Json

Purpose = Literal["batch", "batch_output"]
KEPT_SECONDS = 30 * 86400
"""A file is kept for 30 days unless its maker says otherwise (OpenAI's rule for the purpose `batch`, 2026-08)."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Times are Unix seconds, sizes bytes."""

    id: str
    """`file-` and 32 hex digits."""
    owner: str
    filename: str
    purpose: Purpose
    bytes: int
    created_at: float
    expires_at: float
    lines: int = 0
    tokens: int = 0
    """Of an input: input tokens by the gateway's own rule."""
    alias: str = ""
    """Of an input: the one that all its lines name."""
    url: str = ""
    """Of an input: what all its lines ask for, without `/v1`: `/chat/completions`."""
    bound: str = ""
    """Of an input: the resource that ids in its lines are kept by; empty: none."""
    deleted: bool = False
    """No client sees it any more; its content goes when nothing needs it."""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """An upload in parts (POST /v1/uploads). Its parts are blobs `uploads/ID/PART`."""

    id: str
    """`upload_` and 32 hex digits."""
    owner: str
    filename: str
    bytes: int
    mime_type: str
    purpose: Purpose
    created_at: float
    expires_at: float
    status: Literal["pending", "completed", "cancelled", "expired"] = "pending"
    file: str = ""
    """What has become of it."""
    file_seconds: int = 0
    """How long the file is to be kept (expires_after); 0: as usual."""
    direct: bool = False
    """The content comes by a signed address, straight to the storage account."""
    etag: str = ""


def new_id(prefix: str, tail: str = "") -> str:
    """prefix: `file-`, `upload_`, `part_`; tail: 32 hex digits that are the same whenever the same thing makes it."""
    return prefix + (tail or secrets.token_hex(16))


def content_blob(file_id: str) -> str:
    return f"files/{file_id}"


def index_blob(file_id: str) -> str:
    """Where the chunks of an input begin (intake/lines.py)."""
    return f"files/{file_id}.index"


def kept_values(kept: KeptFile | KeptUpload) -> dict[str, Any]:
    """The columns of its row, without keys."""
    return {f.name: getattr(kept, f.name) for f in fields(kept) if f.name != "etag"}


def read_file(values: Mapping[str, Any]) -> KeptFile:
    return KeptFile(**{f.name: values[f.name] for f in fields(KeptFile) if f.name in values})


def read_upload(values: Mapping[str, Any]) -> KeptUpload:
    return KeptUpload(**{f.name: values[f.name] for f in fields(KeptUpload) if f.name in values})


def file_json(file: KeptFile, public_id: str) -> Json:
    """As OpenAI tells a file (openai-openapi 2026-08-21)."""
    return {
        "id": public_id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
