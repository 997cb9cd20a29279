"""What keys and teams have in common: limits, budgets, labels and Entra assignments, as an operator writes them and
reads them. What is misspelt is refused with what to write instead; it must never be no limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pydantic import Field, field_validator

from shared.adapters.key_rows import PERIODS, KeyRecord, TeamRecord
from shared.adapters.key_store import TableKeys
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, ConfigError
from shared.money import from_usd, in_usd
from shared.operations.operation import Asked, Desk, Told
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Budget

NONE = "none"
_GROUPS = {
    row.path.partition("/")[0]
    for row in ENDPOINTS.values()
    if row.shape not in ("health", "none", "gone", "models", "manage", "webhook")
}
_OPERATIONS = {row.name for row in ENDPOINTS.values() if row.path.partition("/")[0] in _GROUPS}
_BUDGET = re.compile(r"(\w+)\s*=\s*([^:]+?)\s*(?::\s*(soft|hard))?")
_APP = re.compile(r"app:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.I)
_ROLE = re.compile(r"role:([^\s,|]{1,120})")
_MOST_QUOTED = 300
_MOST = 1_000_000_000


class LimitsAsked(Asked):
    """Nothing, `none` or null: no limit."""

    models: list[str] | None = Field(None, max_length=200, description="Aliases that may be used; none: all of them.")
    endpoints: list[str] | None = Field(
        None, max_length=200, description="Operations that may be called, such as chat, responses, files; none: all."
    )
    rpm: int | None = Field(None, ge=1, le=_MOST, description="Requests per minute; none: no limit.")
    tpm: int | None = Field(None, ge=1, le=_MOST, description="Tokens per minute, in and out; none: no limit.")
    parallel: int | None = Field(None, ge=1, le=_MOST, description="Calls in flight at once; none: no limit.")
    budgets: list[str] | None = Field(
        None,
        max_length=6,
        description="US dollars per UTC day, per UTC month or for ever: day=5, month=100, total=1000; with :soft "
        "behind it nothing is refused, only told (month=80:soft). none: no budget.",
    )
    shadow: bool | None = Field(None, description="Only report what limits and budgets would have refused.")
    metadata: dict[str, str] | None = Field(
        None, max_length=20, description="Labels of your own, up to 20 (cost-center=4711); none: no labels."
    )
    entra: list[str] | None = Field(
        None,
        max_length=50,
        description="Entra callers that count as this one: app:APPLICATION-ID, or role:ROLE for all who have that app "
        "role; none: nobody.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        if value == NONE or value in ([NONE], {NONE: ""}):
            return None
        if isinstance(value, list) and NONE in value:
            raise ValueError("'none' takes everything away and stands alone")
        return value

    @field_validator("budgets", mode="before")
    @classmethod
    def _budget_objects(cls, value: Any) -> Any:
        """As answers write them, so that what was read can be sent back."""
        return (
            [_budget_text(one) if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value
        )

    @field_validator("models")
    @classmethod
    def _model_names(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and not all(0 < len(name) <= 200 for name in value):
            raise ValueError("an alias has 1 to 200 characters")
        return value

    @field_validator("endpoints")
    @classmethod
    def _known_endpoints(cls, value: list[str] | None) -> list[str] | None:
        unknown = [name for name in value or () if name not in _GROUPS and name not in _OPERATIONS]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is no operation. Write one of {', '.join(sorted(_GROUPS))}, or a single operation "
                "such as files_delete"
            )
        return value

    @field_validator("budgets")
    @classmethod
    def _budgets(cls, value: list[str] | None) -> list[str] | None:
        budgets = budgets_of(value or ())
        kinds = [(budget.period, budget.hard) for budget in budgets]
        if len(kinds) != len(set(kinds)):
            raise ValueError("write each period once, or once hard and once with :soft")
        return value

    @field_validator("metadata")
    @classmethod
    def _labels(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (value or {}).items():
            if not 0 < len(name) <= 64 or len(text) > 512:
                raise ValueError(f"{name[:64]!r}: names have 1 to 64 characters, values up to 512")
        return value

    @field_validator("entra")
    @classmethod
    def _assignments(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else sorted({_assignment(text) for text in value})


class BudgetTold(Told):
    period: str = Field(description="day, month or total.")
    usd: str = Field(description="US dollars.")
    hard: bool = Field(description="Whether calls are refused once it is used up.")


class LimitsTold(Told):
    models: list[str] = Field(description="Aliases that may be used; empty: all.")
    endpoints: list[str] = Field(description="Operations that may be called; empty: all.")
    rpm: int | None = Field(description="Requests per minute.")
    tpm: int | None = Field(description="Tokens per minute.")
    parallel: int | None = Field(description="Calls in flight at once.")
    budgets: list[BudgetTold] = Field(description="Money per UTC day, UTC month or for ever.")
    shadow: bool = Field(description="Whether limits and budgets only report.")
    metadata: dict[str, str] = Field(description="Labels of your own.")
    entra: list[str] = Field(description="Entra callers that count as this one.")
    created: str = Field(description="ISO 8601, UTC.")
    warnings: list[str] = Field(default_factory=list, description="What was done, but may not be what you meant.")


def budgets_of(texts: list[str] | tuple[()]) -> tuple[Budget, ...]:
    """Raises ValueError that says what to write."""
    return tuple(_budget(text) for text in texts)


def _budget(text: str) -> Budget:
    found = _BUDGET.fullmatch(text.strip())
    period = found[1].lower() if found else ""
    if found is None or period not in PERIODS:
        raise ValueError(
            f"{text!r} is no budget: write day=5, month=100 or total=1000, with :soft behind it to be told only"
        )
    return Budget(period, from_usd(found[2].removeprefix("$")), found[3] != "soft")


def _budget_text(given: dict[Any, Any]) -> str:
    soft = "" if given.get("hard", True) is True else ":soft"
    return f"{given.get('period')}={given.get('usd')}{soft}"


def _assignment(text: str) -> str:
    if found := _APP.fullmatch(text):
        return f"app:{found[1].lower()}"
    if _ROLE.fullmatch(text):
        return text
    raise ValueError(f"{text!r}: write app: and the application's id (a GUID), or role: and the app role's value")


def allowance(asked: LimitsAsked, old: Allowance | None = None) -> Allowance:
    """What was asked for, over what there was: fields that were not given stay."""
    given = asked.model_fields_set
    changed: dict[str, Any] = {name: getattr(asked, name) for name in ("rpm", "tpm", "parallel") if name in given}
    changed |= {name: frozenset(getattr(asked, name) or ()) for name in ("models", "endpoints") if name in given}
    if "budgets" in given:
        changed["budgets"] = budgets_of(asked.budgets or [])
    if "shadow" in given:
        changed["shadow"] = bool(asked.shadow)
    return replace(old or Allowance(), **changed)


def limits_told(
    limits: Allowance, metadata: Mapping[str, str], entra: tuple[str, ...], created: float
) -> dict[str, Any]:
    """The fields of LimitsTold."""
    return {
        "models": sorted(limits.models),
        "endpoints": sorted(limits.endpoints),
        "rpm": limits.rpm,
        "tpm": limits.tpm,
        "parallel": limits.parallel,
        "budgets": [BudgetTold(period=b.period, usd=in_usd(b.nanos), hard=b.hard) for b in limits.budgets],
        "shadow": limits.shadow,
        "metadata": dict(metadata),
        "entra": list(entra),
        "created": iso(created),
    }


async def doubts(asked: LimitsAsked, desk: Desk) -> list[str]:
    """What was asked for and may be a mistake, although it could be meant."""
    found: list[str] = []
    if asked.models:
        try:
            known = set((await desk.catalog()).aliases())
        except (ConfigError, StoreUnavailable):
            found.append("models: not compared with the configuration, which cannot be read (config check says why).")
        else:
            unknown = [name for name in asked.models if name not in known]
            if unknown:
                found.append(
                    f"models: the configuration has no {', '.join(unknown)} yet; GET /v1/models lists its aliases."
                )
    if asked.entra and not desk.settings.entra_tenants:
        found.append("entra: no Entra caller is accepted before ENTRA_TENANTS and ENTRA_AUDIENCES are set.")
    if asked.shadow:
        found.append("shadow: nothing is refused, whatever the limits and budgets say.")
    return found


async def check_free(keys: TableKeys, entra: list[str] | None, *, key_id: str = "", team: str = "") -> None:
    """Raises ApiError 409 when an Entra caller is assigned to another key or team."""
    for one in entra or ():
        bound = await keys.bound(one)
        if bound is None or (bound.key is not None and bound.key.principal.disabled):
            continue
        if bound.key is not None and bound.key.principal.key_id != key_id:
            raise _taken(one, f"the key {bound.key.principal.name} ({bound.key.principal.key_id[:12]})")
        if bound.team is not None and bound.team.team.name != team:
            raise _taken(one, f"the team {bound.team.team.name}")


def _taken(entra: str, owner: str) -> ApiError:
    return ApiError(
        409, f"{entra} is assigned to {owner}. Take it away there first.", code="entra_taken", param="entra"
    )


async def assign(keys: TableKeys, record: KeyRecord | TeamRecord) -> None:
    """Lead from the Entra callers that a key or team lists to it. May be repeated."""
    for one in record.entra:
        if isinstance(record, KeyRecord):
            await keys.bind(one, key_id=record.principal.key_id)
        else:
            await keys.bind(one, team=record.team.name)


def team_name(text: str) -> str:
    """Raises ValueError for what cannot be a team's name."""
    if len(text) > 100 or len(quote(text, safe="")) > _MOST_QUOTED or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("a team's name has at most 100 characters, and no control characters")
    return text


def iso(moment: float | None) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def page[Row](rows: list[Row], names: list[str], limit: int, cursor: str) -> tuple[list[Row], str]:
    """-> one page of rows, which are in the order of their names, and the cursor of the next."""
    start = next((place for place, name in enumerate(names) if name > cursor), len(names)) if cursor else 0
    end = start + limit
    return rows[start:end], names[end - 1] if end < len(names) else ""


def unreadable(what: str, name: str, fault: str, remedy: str) -> ApiError:
    return ApiError(
        409,
        f"The row of the {what} {name} cannot be understood ({fault}), so that it is refused and cannot be changed. "
        f"{remedy}",
        code="unreadable",
    )  # fmt: skip
