"""Teams: who pays for several keys. A team needs a record only to have limits, a contact or Entra callers itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, field_validator

from shared.adapters.key_rows import TeamRecord
from shared.adapters.key_store import TableKeys, Unreadable
from shared.errors import ApiError
from shared.operations.allowances import (
    NONE,
    LimitsAsked,
    LimitsTold,
    allowance,
    assign,
    check_free,
    doubts,
    limits_told,
    page,
    team_name,
    unreadable,
)
from shared.operations.key_forms import KeyTold, is_active, key_fields, state_of
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.principals import Team

State = Literal["active", "disabled", "unreadable"]
_NAME = Field(min_length=1, max_length=100, description="The team's name. It cannot be changed: the ledger has it.")


class NewTeam(Asked):
    name: str = _NAME

    @field_validator("name")
    @classmethod
    def _sound_name(cls, value: str) -> str:
        if value == NONE:
            raise ValueError("'none' stands for no team: call it something else")
        return team_name(value)


class TeamFields(LimitsAsked):
    contact: str | None = Field(
        None, max_length=200, description="Whom a caller asks who has reached a limit: an address or a channel."
    )
    disabled: bool | None = Field(None, description="Whether none of the team's keys works.")


class TeamCreate(TeamFields, NewTeam):
    """The name comes first."""


class TeamUpdate(TeamFields):
    name: str = _NAME


class TeamAsked(Asked):
    name: str = _NAME


class TeamsAsked(Asked):
    limit: int = Field(100, ge=1, le=1000, description="Rows of one page, 1 to 1000.")
    cursor: str = Field("", description="Where the page begins: `next` of the page before.")


class TeamHead(Told):
    name: str = Field(description="The team's name.")
    state: State = Field(description="disabled: none of its keys works; unreadable: its row cannot be understood.")
    contact: str = Field(description="Whom a caller asks who has reached a limit.")
    active_keys: int = Field(description="Keys of the team that work, or would if it were not disabled.")


class TeamTold(LimitsTold, TeamHead):
    """The name comes first."""


class TeamShown(TeamTold):
    keys: list[KeyTold] = Field(description="All its keys, the oldest first.")


class TeamsTold(Told):
    rows: list[TeamTold] = Field(description="By name.")
    next: str = Field(description="The cursor of the next page; empty: there is none.")


class TeamDeleted(Told):
    name: str = Field(description="The team's name.")
    deleted: bool = Field(description="True.")


async def create(asked: TeamCreate, _: Actor, desk: Desk) -> TeamTold:
    keys, now = _store(desk), desk.clock()
    await check_free(keys, asked.entra, team=asked.name)
    team = Team(
        asked.name, allowance(asked), asked.contact or "", bool(asked.disabled), asked.metadata or {}, created_at=now
    )
    record = TeamRecord(team, tuple(asked.entra or ()))
    if not await keys.add_team(team, record.entra):
        raise ApiError(
            409, f"There is a team {asked.name} already: change it with teams update.", code="team_exists", param="name"
        )
    await assign(keys, record)
    return TeamTold(**_fields(record, await _count(keys, asked.name, now), await doubts(asked, desk)))


async def list_teams(asked: TeamsAsked, _: Actor, desk: Desk) -> TeamsTold:
    keys, now = _store(desk), desk.clock()
    active = [r.principal.team for r in await keys.records() if is_active(r, now)]
    records = await keys.team_records()
    rows = [TeamTold(**_fields(record, active.count(record.team.name))) for record in records]
    found, end = page(rows, [row.name for row in rows], asked.limit, asked.cursor)
    return TeamsTold(rows=found, next=end)


async def show(asked: TeamAsked, _: Actor, desk: Desk) -> TeamShown:
    keys, now = _store(desk), desk.clock()
    record = await keys.team_record(asked.name)
    its = await keys.of_team(asked.name)
    if record is None:
        raise _no_such_team(asked.name, len(its))
    disabled = {asked.name} if record.team.disabled else set[str]()
    rows = [KeyTold(**key_fields(r, now, state_of(r, now, disabled))) for r in its]
    return TeamShown(**_fields(record, sum(is_active(r, now) for r in its)), keys=rows)


async def update(asked: TeamUpdate, _: Actor, desk: Desk) -> TeamTold:
    keys, now = _store(desk), desk.clock()
    await check_free(keys, asked.entra, team=asked.name)
    given = asked.model_fields_set

    def edit(record: TeamRecord) -> TeamRecord:
        changed: dict[str, Any] = {"allowance": allowance(asked, record.team.allowance)}
        if "contact" in given:
            changed["contact"] = asked.contact or ""
        if "disabled" in given:
            changed["disabled"] = bool(asked.disabled)
        if "metadata" in given:
            changed["metadata"] = asked.metadata or {}
        entra = tuple(asked.entra or ()) if "entra" in given else record.entra
        return replace(record, team=replace(record.team, **changed), entra=entra)

    try:
        record = await keys.change_team(asked.name, edit)
    except Unreadable as error:
        raise unreadable("team", asked.name, str(error), "Delete it and make it anew.") from error
    if record is None:
        raise _no_such_team(asked.name, await _count(keys, asked.name, now))
    await assign(keys, record)
    return TeamTold(**_fields(record, await _count(keys, asked.name, now), await doubts(asked, desk)))


async def delete(asked: TeamAsked, _: Actor, desk: Desk) -> TeamDeleted:
    """Its limits go with it, so that none of its keys may still work."""
    keys, now = _store(desk), desk.clock()
    if await keys.team_record(asked.name) is None:
        raise _no_such_team(asked.name, await _count(keys, asked.name, now))
    active = [r.principal for r in await keys.of_team(asked.name) if is_active(r, now)]
    if active:
        names = ", ".join(f"{key.name} ({key.key_id[:12]})" for key in active[:5]) + (", …" if len(active) > 5 else "")
        raise ApiError(
            409,
            f"{asked.name} still has active keys ({len(active)}): {names}. Revoke them, or move them first: "
            "keys update KEY --team OTHER.",
            code="team_has_keys",
            param="name",
        )
    await keys.delete_team(asked.name)
    return TeamDeleted(name=asked.name, deleted=True)


def _store(desk: Desk) -> TableKeys:
    return TableKeys(desk.tables, desk.log)


async def _count(keys: TableKeys, name: str, now: float) -> int:
    return sum(is_active(r, now) for r in await keys.of_team(name))


def _fields(record: TeamRecord, active: int, warnings: list[str] | None = None) -> dict[str, Any]:
    team = record.team
    return {
        **limits_told(team.allowance, team.metadata, record.entra, team.created_at),
        "name": team.name,
        "state": "unreadable" if record.fault else "disabled" if team.disabled else "active",
        "contact": team.contact,
        "active_keys": active,
        "warnings": [*(warnings or ()), *([f"Its row cannot be understood: {record.fault}"] if record.fault else ())],
    }


def _no_such_team(name: str, keys: int) -> ApiError:
    there = f" It has no record, only {keys} keys that name it, each with its own limits." if keys else ""
    return ApiError(
        404, f"No such team: {name}.{there} 'teams list' (GET /manage/teams) shows all; 'teams create' makes one.",
        code="team_not_found", param="name",
    )  # fmt: skip


_ALL = (
    "name", "state", "active_keys", "models", "endpoints", "rpm", "tpm", "parallel", "budgets", "shadow", "contact",
    "entra", "metadata", "created",
)  # fmt: skip
_COLUMNS = ("name", "state", "active_keys", "rpm", "tpm", "parallel", "budgets", "contact", "created")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "teams_create", "POST", "teams", "Give a team limits, a contact or Entra callers of its own.", TeamCreate,
        TeamTold, create, _ALL, "--name data --budgets month=500 --contact data-leads@example.com",
    ),
    Operation("teams_list", "GET", "teams", "All teams that have a record.", TeamsAsked, TeamsTold, list_teams,
              _COLUMNS),
    Operation("teams_show", "GET", "teams/{name}", "One team, its limits and its keys.", TeamAsked, TeamShown, show,
              _ALL, "data"),
    Operation(
        "teams_update", "PATCH", "teams/{name}", "Change a team; what is not named stays, `none` takes a limit away.",
        TeamUpdate, TeamTold, update, _ALL, "data --tpm 500000 --entra role:Tollgate.Data",
    ),
    Operation(
        "teams_delete", "DELETE", "teams/{name}", "Take a team's record away; refused while it has active keys.",
        TeamAsked, TeamDeleted, delete, ("name", "deleted"), "data",
    ),
)  # fmt: skip
