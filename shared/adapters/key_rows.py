"""Keys and teams as rows of a table, there and back.

A row that cannot be understood as a whole is not taken for one with fewer limits: its key or team is disabled, and
`fault` says why. Only a number that is missing (rpm, tpm, parallel) means no limit: tables have no nulls.
Knows nothing of tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from shared.principals import Allowance, Budget, Period, Principal, Team

PERIODS: tuple[Period, ...] = get_args(Period)
_NUMBERS = ("rpm", "tpm", "parallel")


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One text that a caller may send for a key."""

    digest: str
    prefix: str
    created_at: float
    expires_at: float | None = None
    rotation_id: str = ""
    """Of the rotation that made it."""

    def live(self, now: float) -> bool:
        return self.expires_at is None or self.expires_at > now


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is kept: what is known of it, its secrets, oldest first, and the Entra callers that count as it."""

    principal: Principal
    secrets: tuple[KeySecret, ...] = ()
    entra: tuple[str, ...] = ()
    """`app:GUID` or `role:NAME`."""
    fault: str = ""
    """Why the row cannot be understood."""

    def by(self, secret: KeySecret) -> Principal:
        """Who calls with one of the secrets: the first of both expiries counts."""
        ends = [moment for moment in (self.principal.expires_at, secret.expires_at) if moment is not None]
        return replace(self.principal, expires_at=min(ends, default=None), prefix=secret.prefix)


@dataclass(frozen=True, slots=True)
class TeamRecord:
    team: Team
    entra: tuple[str, ...] = ()
    fault: str = ""


def key_values(record: KeyRecord) -> dict[str, Any]:
    """The columns of a key's row. No expiry is 0."""
    principal = record.principal
    return {
        "name": principal.name,
        "team": principal.team,
        **_allowance_values(principal.allowance),
        "tags": json.dumps(list(principal.tags)),
        "metadata": json.dumps(dict(principal.metadata)),
        "expires_at": principal.expires_at or 0.0,
        "disabled": principal.disabled,
        "created_at": principal.created_at,
        "prefix": principal.prefix,
        "secrets": json.dumps([_secret_values(secret) for secret in record.secrets]),
        "entra": json.dumps(list(record.entra)),
    }


def read_key(row: Mapping[str, Any]) -> KeyRecord:
    name, team, key_id = str(row.get("name", "")), str(row.get("team", "")), str(row["PartitionKey"])
    created_at, prefix = _moment(row.get("created_at")), str(row.get("prefix", ""))
    try:
        principal = Principal(
            key_id=key_id,
            name=name,
            team=_text(row, "team"),
            allowance=_read_allowance(row),
            expires_at=_number(row, "expires_at") or None,
            disabled=_flag(row, "disabled"),
            prefix=prefix,
            created_at=created_at,
            tags=_texts(row, "tags"),
            metadata=_mapping(row, "metadata"),
        )
        secrets = tuple(_read_secret(found) for found in _list(row, "secrets"))
        return KeyRecord(principal, secrets, _texts(row, "entra"))
    except (ValueError, TypeError, KeyError) as error:
        closed = Principal(key_id, name, team, disabled=True, prefix=prefix, created_at=created_at)
        return KeyRecord(closed, fault=str(error) or type(error).__name__)


def team_values(record: TeamRecord) -> dict[str, Any]:
    team = record.team
    return {
        "name": team.name,
        **_allowance_values(team.allowance),
        "contact": team.contact,
        "disabled": team.disabled,
        "metadata": json.dumps(dict(team.metadata)),
        "created_at": team.created_at,
        "entra": json.dumps(list(record.entra)),
    }


def read_team(row: Mapping[str, Any]) -> TeamRecord:
    name, created_at = str(row.get("name", "")), _moment(row.get("created_at"))
    try:
        team = Team(
            name=_text(row, "name"),
            allowance=_read_allowance(row),
            contact=_text(row, "contact"),
            disabled=_flag(row, "disabled"),
            metadata=_mapping(row, "metadata"),
            created_at=created_at,
        )
        return TeamRecord(team, _texts(row, "entra"))
    except (ValueError, TypeError, KeyError) as error:
        return TeamRecord(Team(name, disabled=True, created_at=created_at), fault=str(error) or type(error).__name__)


def _allowance_values(allowance: Allowance) -> dict[str, Any]:
    numbers = {name: getattr(allowance, name) for name in _NUMBERS}
    budgets = [{"period": b.period, "nanos": b.nanos, "hard": b.hard} for b in allowance.budgets]
    return {
        "models": json.dumps(sorted(allowance.models)),
        "endpoints": json.dumps(sorted(allowance.endpoints)),
        **{name: number for name, number in numbers.items() if number is not None},
        "budgets": json.dumps(budgets),
        "shadow": allowance.shadow,
    }


def _read_allowance(row: Mapping[str, Any]) -> Allowance:
    return Allowance(
        models=frozenset(_texts(row, "models")),
        endpoints=frozenset(_texts(row, "endpoints")),
        rpm=_limit(row, "rpm"),
        tpm=_limit(row, "tpm"),
        parallel=_limit(row, "parallel"),
        budgets=tuple(_read_budget(found) for found in _list(row, "budgets")),
        shadow=_flag(row, "shadow"),
    )


def _read_budget(found: Any) -> Budget:
    period, nanos, hard = found["period"], found["nanos"], found["hard"]
    if period not in PERIODS or not _whole(nanos) or nanos < 0 or not isinstance(hard, bool):
        raise ValueError(f"budgets: {found!r} is no budget")
    return Budget(period, nanos, hard)


def _secret_values(secret: KeySecret) -> dict[str, Any]:
    values = {"digest": secret.digest, "prefix": secret.prefix, "created_at": secret.created_at}
    if secret.expires_at is not None:
        values["expires_at"] = secret.expires_at
    return {**values, "rotation_id": secret.rotation_id} if secret.rotation_id else values


def _read_secret(found: Any) -> KeySecret:
    ends = _number(found, "expires_at") if "expires_at" in found else None
    return KeySecret(
        _text(found, "digest"), _text(found, "prefix"), _number(found, "created_at"), ends,
        str(found.get("rotation_id", "")),
    )  # fmt: skip


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _limit(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    if value is not None and not (_whole(value) and value >= 0):
        raise ValueError(f"{name}: {value!r} is no limit")
    return value


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value < 0:
        raise ValueError(f"{name}: {value!r} is no moment")
    return float(value)


def _moment(value: Any) -> float:
    """For display."""
    return float(value) if isinstance(value, int | float) else 0.0


def _flag(row: Mapping[str, Any], name: str) -> bool:
    if not isinstance(row[name], bool):
        raise ValueError(f"{name}: {row[name]!r} is neither true nor false")
    return row[name]


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row[name], str):
        raise ValueError(f"{name}: {row[name]!r} is no text")
    return row[name]


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    found: Any = json.loads(_text(row, name))
    if not isinstance(found, list):
        raise ValueError(f"{name}: no list")
    return cast("list[Any]", found)


def _texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _list(row, name)
    if not all(isinstance(text, str) for text in found):
        raise ValueError(f"{name}: not all of it is text")
    return tuple(found)


def _mapping(row: Mapping[str, Any], name: str) -> dict[str, str]:
    found: Any = json.loads(_text(row, name))
    if not isinstance(found, dict):
        raise ValueError(f"{name}: no mapping")
    return {str(key): str(value) for key, value in cast("dict[Any, Any]", found).items()}
