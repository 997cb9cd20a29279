"""Owns `stack.json`: the stack's own secrets, and what runs now. Must not know how anything is started.

The file is private (0600) and replaced as a whole. Whether the stack runs is not a word in a file: it runs while the
supervisor that the file names is the process it was when it wrote it.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.stack.processes import birth, is_alive


@dataclass(slots=True)
class Part:
    """One process of the stack."""

    pid: int
    born: str | None
    url: str = ""
    log: str = ""

    @property
    def alive(self) -> bool:
        return is_alive(self.pid, self.born)


@dataclass(slots=True)
class Run:
    """One life of the stack, from `up` to its end."""

    options: dict[str, Any]
    parts: dict[str, Part]
    ready: bool = False
    gateway_url: str = ""
    storage: str = ""
    model: str = "gpt-4o"
    settings: dict[str, str] = field(default_factory=dict[str, str])
    fake_azure: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def supervisor(self) -> Part:
        return self.parts["supervisor"]


@dataclass(slots=True)
class Record:
    """All of stack.json. The secrets outlive a run; `failure` says why the last one ended, if it ended badly."""

    key_pepper: str
    admin_key: str
    demo_key: str = ""
    ports: list[int] = field(default_factory=list[int])
    run: Run | None = None
    failure: str = ""

    @property
    def running(self) -> Run | None:
        """The run whose supervisor is alive."""
        return self.run if self.run and self.run.supervisor.alive else None


def load(path: Path) -> Record:
    """The record as it was left, or a new one with new secrets (also when the file is not a record of ours)."""
    try:
        data = json.loads(path.read_text())
        run = data.pop("run")
        parts = {name: Part(**part) for name, part in run.pop("parts").items()} if run else {}
        return Record(**data, run=Run(**run, parts=parts) if run else None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Record(key_pepper=secrets.token_hex(32), admin_key=f"sk-admin-{secrets.token_urlsafe(32)}")


def save(path: Path, record: Record) -> None:
    write_private(path, json.dumps(asdict(record), indent=2))


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner alone."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def part(pid: int, url: str = "", log: str = "") -> Part:
    return Part(pid=pid, born=birth(pid), url=url, log=log)
