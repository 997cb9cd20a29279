"""Who changed what: one row for every operation that writes, and for bursts of refused credentials.

The row is written before the operation acts, and again with its outcome: a change that cannot be noted is not made.
Rows hold no secret. `tollgateauditYYYYMM`: PartitionKey the UTC day, RowKey counts down, so that the newest is first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from pydantic import Field

from shared.adapters.tables import Tables, in_filter
from shared.errors import ApiError, unavailable
from shared.operations.asking import fields_of, path_fields
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.ports import StoreUnavailable
from shared.redact import redact
from shared.types import Row

TABLE = "tollgateaudit"
_LAST_MS = 9_999_999_999_999
STARTED = 0
"""The status of an operation whose outcome was never written down."""
REFUSED = "refused_credentials"
"""Stands for the operation in the row of a burst."""
MOST_DAYS = 92
_MOST_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. Times in Unix seconds."""

    at: float
    request_id: str
    actor: str
    operation: str
    target: Mapping[str, str]
    changed: Mapping[str, Any]
    status: int

    def row(self) -> Row:
        moment = datetime.fromtimestamp(self.at, UTC)
        values: dict[str, str | int | float | bool] = {
            "PartitionKey": f"{moment:%Y%m%d}",
            "RowKey": f"{_LAST_MS - int(self.at * 1000):013d}-{self.request_id}",
            "at": self.at,
            "request_id": self.request_id,
            "actor": self.actor,
            "operation": self.operation,
            "target": _json(self.target),
            "changed": _json(self.changed),
            "status": self.status,
        }
        return Row(f"{TABLE}{moment:%Y%m}", values)


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


async def carry_out(operation: Operation, asked: Asked, actor: Actor, desk: Desk, request_id: str) -> Told:
    """Do it, and write down that it was done. Raises ApiError 503 before anything is done when that cannot be written,
    and what the operation raises."""
    if not operation.changes:
        return await operation.act(asked, actor, desk)
    entry = _entry(operation, asked, actor, desk.clock(), request_id)
    try:
        await desk.tables.write([entry.row()])
    except StoreUnavailable as error:
        desk.log.warning("audit row not written", operation=operation.name, request_id=request_id, error=str(error))
        raise unavailable(
            "Nothing was changed: the change could not be written down. Retry in a few seconds.", "audit_unavailable"
        ) from error
    status = 500
    try:
        told: Told = await operation.act(asked, actor, desk)
        status = 200
        if made := getattr(told, "id", ""):  # of what was made, or of what a name in the path stands for
            entry = replace(entry, target={**entry.target, "id": str(made)})
        return told
    except ApiError as error:
        status = error.status
        raise
    except StoreUnavailable:
        status = 503
        raise
    finally:
        await _note(desk, replace(entry, status=status))


async def refused(operation: Operation, actor: Actor, desk: Desk, request_id: str, status: int) -> None:
    """Somebody known asked for what he may not do. Never fails."""
    await _note(desk, Entry(desk.clock(), request_id, actor.name, operation.name, {}, {}, status))


async def refused_credentials(desk: Desk, began: float, name: str, count: int) -> None:
    """A burst of wrong credentials, as far as it has come; written again as it grows. Never fails."""
    await _note(desk, Entry(began, name, "unknown", REFUSED, {}, {"count": count}, 401))


async def _note(desk: Desk, entry: Entry) -> None:
    try:
        await desk.tables.write([entry.row()])
    except StoreUnavailable as error:
        desk.log.warning(
            "audit row not written", operation=entry.operation, request_id=entry.request_id, error=str(error)
        )


def _entry(operation: Operation, asked: Asked, actor: Actor, at: float, request_id: str) -> Entry:
    given: dict[str, Any] = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    known, in_path = fields_of(operation.asks), path_fields(operation)
    shown = {name: "(secret)" if known[name].secret else _safe(value) for name, value in given.items()}
    target = {name: str(value) for name, value in shown.items() if name in in_path}
    return Entry(at, request_id, actor.name, operation.name, target,
                 {name: value for name, value in shown.items() if name not in in_path}, STARTED)  # fmt: skip


def _safe(value: Any) -> Any:
    """Whatever somebody typed: keys and tokens are taken out, wherever they stand, and long text is cut."""
    if isinstance(value, str):
        return redact(value, {})[:_MOST_CHARACTERS]
    if isinstance(value, dict):
        return {str(name): _safe(one) for name, one in value.items()}
    return [_safe(one) for one in value] if isinstance(value, list) else value


class AuditAsked(Asked):
    first: date | None = Field(None, alias="from", description="The first day, YYYY-MM-DD, UTC; default: a week ago.")
    last: date | None = Field(None, alias="to", description="The last day, YYYY-MM-DD, UTC; default: today.")
    actor: str = Field("", description="Only what this actor did: admin-key, cli, timer, or an Entra caller's name.")
    operation: str = Field("", description="Only this operation, for example keys_create.")
    limit: int = Field(100, ge=1, le=1000, description="Rows of one page, 1 to 1000.")
    cursor: str = Field("", description="Where the page begins: `next` of the page before.")


class AuditRow(Told):
    at: str = Field(description="When it was asked for, ISO 8601, UTC.")
    actor: str = Field(description="Who asked: admin-key, cli, timer, or an Entra caller's name.")
    operation: str = Field(description="What was asked for; refused_credentials stands for a burst of wrong ones.")
    target: dict[str, str] = Field(description="The parameters of the path: what was changed.")
    changed: dict[str, Any] = Field(description="The fields that were given, without secrets.")
    status: int = Field(description="The status of the answer; 0: it was never written down.")
    request_id: str = Field(description="x-request-id of the answer.")


class AuditTold(Told):
    rows: list[AuditRow] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty: there is none.")


async def list_audit(asked: AuditAsked, _actor: Actor, desk: Desk) -> AuditTold:
    today = datetime.fromtimestamp(desk.clock(), UTC).date()
    last = asked.last or today
    first = asked.first or last - timedelta(days=7)
    if first > last or (last - first).days > MOST_DAYS:
        raise ApiError(
            400, f"from: {first} to {last} is no span of 0 to {MOST_DAYS} days.", param="from", code="invalid_value"
        )
    day, _, after = asked.cursor.partition("|")
    rows: list[dict[str, Any]] = []
    while last >= first and len(rows) <= asked.limit:
        name = f"{last:%Y%m%d}"
        if not day or name <= day:
            where = [f"PartitionKey eq '{name}'", *([f"RowKey gt '{in_filter(after)}'"] if name == day else [])]
            await _collect(desk.tables, f"{TABLE}{last:%Y%m}", " and ".join(where), asked, rows)
        last -= timedelta(days=1)
    more, rows = len(rows) > asked.limit, rows[: asked.limit]
    end = f"{rows[-1]['PartitionKey']}|{rows[-1]['RowKey']}" if more else ""
    return AuditTold(rows=[_told(row) for row in rows], next=end)


async def _collect(tables: Tables, table: str, where: str, asked: AuditAsked, into: list[dict[str, Any]]) -> None:
    async for row in tables.query(table, where):
        if asked.actor in ("", row["actor"]) and asked.operation in ("", row["operation"]):
            into.append(row)
            if len(into) > asked.limit:
                return


def _told(row: Mapping[str, Any]) -> AuditRow:
    return AuditRow(
        at=datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds"),
        actor=row["actor"],
        operation=row["operation"],
        target=orjson.loads(row["target"]),
        changed=orjson.loads(row["changed"]),
        status=row["status"],
        request_id=row["request_id"],
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="audit_list",
        method="GET",
        path="audit",
        summary="Who changed what, the newest first.",
        asks=AuditAsked,
        answers=AuditTold,
        act=list_audit,
        columns=("at", "actor", "operation", "target", "status", "request_id"),
        example="--operation keys_create --limit 20",
    ),
)
