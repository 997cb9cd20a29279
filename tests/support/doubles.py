"""The few doubles of ports that adapters are tested with: small, and with a memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.batches.batch import WINDOW_SECONDS, Batch, Payer, new_batch_id
from shared.batches.kept import new_id
from shared.owed import Owed
from shared.ports import StoreUnavailable
from shared.principals import Principal
from shared.types import Row, Usage, UsageRecord


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Lines:
    """A log that keeps what it was told (ports.CallLog)."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, dict[str, Any]]] = []

    def call(self, record: UsageRecord) -> None:
        raise AssertionError("adapters do not log calls")

    def warning(self, message: str, **fields: object) -> None:
        self.warnings.append((message, fields))


class MemoryKeys:
    """Keys in a dictionary (ports.KeyStore), with a count of the questions and a switch."""

    def __init__(self, *known: Principal) -> None:
        self.known = {p.key_id: p for p in known}
        self.asked = 0
        self.down = False

    async def get(self, digest: str) -> Principal | None:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("down")
        return self.known.get(digest)


class MemoryRows:
    """Rows in a dictionary (ports.RowStore). `fails`: what becomes of the next writes, in order."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes: list[int] = []
        self.fails: list[str] = []

    async def write(self, rows: Iterable[Row]) -> None:
        given = list(rows)
        fails = self.fails.pop(0) if self.fails else ""
        kept = given if fails in ("", "after") else given[: len(given) // 2] if fails == "half" else []
        for row in kept:
            place = row.table, str(row.values["PartitionKey"]), str(row.values["RowKey"])
            self.rows[place] = dict(row.values)
        if fails:
            raise StoreUnavailable(fails)
        self.writes.append(len(given))

    def of(self, prefix: str) -> list[dict[str, Any]]:
        return [values for (table, _, _), values in self.rows.items() if table.startswith(prefix)]


class MemoryOwed:
    """Work in a dictionary (owed.OwedStore), and a switch: removals fail."""

    def __init__(self, *works: Owed) -> None:
        self.works = {(work.resource, work.upstream_id): work for work in works}
        self.down = False

    def names(self) -> list[str]:
        return ["/".join(place) for place in self.works]

    async def add(self, work: Owed) -> None:
        self.works[work.resource, work.upstream_id] = work

    async def find(self, resource: str, upstream_id: str) -> Owed | None:
        return self.works.get((resource, upstream_id))

    async def remove(self, resource: str, upstream_id: str) -> None:
        if self.down:
            raise StoreUnavailable("down")
        self.works.pop((resource, upstream_id), None)


class KeptUsage:
    """Records that were written once, by their request ids (owed.OnceLog), and a switch."""

    def __init__(self) -> None:
        self.once: dict[str, UsageRecord] = {}
        self.times = 0
        self.down = False

    async def add_once(self, record: UsageRecord) -> None:
        if self.down:
            raise StoreUnavailable("down")
        self.once[record.request_id] = record
        self.times += 1


def a_batch(**changed: Any) -> Batch:
    """A new one, of 10 lines, that the own engine runs."""
    created = changed.get("created_at", 1_000_000.0)
    given: dict[str, Any] = {
        "id": new_batch_id(created), "payer": Payer("d" * 64, "name", "team", "team:team"), "alias": "gpt-4o",
        "endpoint": "/v1/chat/completions", "input_file": new_id("file-"), "lines": 10, "input_bytes": 2000,
        "tokens": 100, "engine": "own", "source": "api", "created_at": created, "expires_at": created + WINDOW_SECONDS,
        "next_look": created,
    }  # fmt: skip
    return Batch(**(given | changed))


def a_record(number: int = 1, **changed: Any) -> UsageRecord:
    """A call that went well."""
    given: dict[str, Any] = {
        "request_id": f"req_{number}",
        "at": 1_000_000.0,
        "key_id": "d" * 64,
        "key_name": "name",
        "team": "team",
        "alias": "gpt-4o",
        "endpoint": "chat_completions",
        "deployment": "main/gpt-4o",
        "label": "gpt-4o#1",
        "upstream_model": "gpt-4o-2024-11-20",
        "status": 200,
        "outcome": "ok",
        "stream": False,
        "attempts": 1,
        "usage": Usage(input_tokens=3, output_tokens=2),
        "latency": 0.5,
        "first_token": None,
    }
    return UsageRecord(**(given | changed))
