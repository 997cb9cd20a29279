"""What an operator does with teams, on real tables, and what it does to their keys."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from shared.adapters.key_store import TEAMS_TABLE, TableKeys
from shared.auth import check
from shared.errors import ApiError
from shared.operations.teams import TeamCreate
from shared.principals import Budget
from tests.support.acting import caller, do, new_key, refused
from tests.support.desk import TestDesk, desk_at

NOW = 1_790_000_000.0


def play(azurite: Any, work: Callable[[TestDesk], Awaitable[None]], **settings: str) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, NOW, **settings) as desk:
            await work(desk)

    asyncio.run(whole())


@pytest.fixture
def name() -> str:
    """With everything that a table's key may not hold."""
    return f"Team/{uuid.uuid4().hex} #1? 50% 'ü\\"


def test_a_team_is_what_was_asked_for(azurite: Any, name: str) -> None:
    async def work(desk: TestDesk) -> None:
        told = await do(
            desk, "teams_create", name=name, models=["gpt-4o"], rpm=600, budgets=["month=500:soft"], contact="#llm-help",
            metadata={"a": "b"},
        )  # fmt: skip
        assert (told.state, told.active_keys, told.budgets[0].usd) == ("active", 0, "500")
        key = await new_key(desk, team=name)
        principal = await caller(desk, key.key)
        assert principal is not None
        assert principal.of_team is not None
        limits = principal.of_team.allowance
        assert (limits.models, limits.rpm, limits.budgets) == (
            {"gpt-4o"},
            600,
            (Budget("month", 500 * 10**9, hard=False),),
        )
        assert (principal.of_team.contact, principal.allowance.rpm) == ("#llm-help", None)
        shown = await do(desk, "teams_show", name=name)
        assert (shown.active_keys, [row.id for row in shown.keys]) == (1, [key.id])
        error = await refused(do(desk, "teams_create", name=name))
        assert (error.status, error.code) == (409, "team_exists")

    play(azurite, work)


def test_an_update_changes_what_it_names_and_nothing_else(azurite: Any, name: str) -> None:
    async def work(desk: TestDesk) -> None:
        await do(desk, "teams_create", name=name, rpm=600, tpm=1000, contact="ana", budgets=["day=5"])
        for change, expect in (
            ({"tpm": 2000}, {"tpm": 2000, "rpm": 600, "contact": "ana"}),
            ({"rpm": "none"}, {"rpm": None, "tpm": 2000}),
            ({"contact": "none"}, {"contact": ""}),
            ({"budgets": "none", "disabled": True}, {"budgets": [], "state": "disabled"}),
            ({"disabled": False}, {"state": "active", "tpm": 2000}),
        ):
            told = (await do(desk, "teams_update", name=name, **change)).model_dump()
            assert {field: told[field] for field in expect} == expect
        assert (await refused(do(desk, "teams_update", name=name + "x", rpm=1))).code == "team_not_found"

    play(azurite, work)


def test_a_disabled_team_ends_its_keys_with_the_same_401(azurite: Any, name: str) -> None:
    async def work(desk: TestDesk) -> None:
        key = await new_key(desk, team=name)
        await do(desk, "teams_create", name=name, disabled=True)
        with pytest.raises(ApiError) as caught:
            check(await caller(desk, key.key), NOW)
        assert caught.value.code == "invalid_api_key"
        assert (await do(desk, "keys_show", key=key.id)).state == "team_disabled"
        shown = await do(desk, "teams_show", name=name)
        assert (shown.keys[0].state, shown.active_keys) == ("team_disabled", 1)
        await do(desk, "teams_update", name=name, disabled=False)
        assert check(await caller(desk, key.key), NOW).name == key.name

    play(azurite, work)


def test_a_team_with_active_keys_cannot_be_deleted(azurite: Any, name: str) -> None:
    async def work(desk: TestDesk) -> None:
        await do(desk, "teams_create", name=name)
        key, other = await new_key(desk, team=name), await new_key(desk, team=name, expires="1h")
        error = await refused(do(desk, "teams_delete", name=name))
        assert (error.status, error.code) == (409, "team_has_keys")
        assert key.id in error.message
        await do(desk, "keys_revoke", key=key.id)
        await do(desk, "keys_update", key=other.id, team="none")
        assert (await do(desk, "teams_delete", name=name)).deleted
        missing = await refused(do(desk, "teams_show", name=name))
        assert (missing.status, missing.code) == (404, "team_not_found")
        assert "1 keys that name it" in missing.message

    play(azurite, work)


def test_list(azurite: Any, name: str) -> None:
    names = sorted(f"{name} {number}" for number in range(5))

    async def work(desk: TestDesk) -> None:
        for one in names:
            await do(desk, "teams_create", name=one)
        await new_key(desk, team=names[2])
        seen: dict[str, int] = {}
        cursor = ""
        for _ in range(100):
            page = await do(desk, "teams_list", limit=2, cursor=cursor)
            seen |= {row.name: row.active_keys for row in page.rows}
            cursor = page.next
            if not cursor:
                break
        assert [one for one in seen if one in names] == names
        assert [seen[one] for one in names] == [0, 0, 1, 0, 0]

    play(azurite, work)


def test_an_entra_caller_belongs_to_one_team_or_key(azurite: Any, name: str) -> None:
    app, role = f"app:{uuid.uuid4()}", f"role:Tollgate.{uuid.uuid4().hex}"

    async def work(desk: TestDesk) -> None:
        keys = TableKeys(desk.tables)
        told = await do(desk, "teams_create", name=name, entra=[app.upper().replace("APP", "app"), role])
        assert told.entra == [app, role]
        assert told.warnings == []
        bound = await keys.bound(app)
        assert bound is not None
        assert bound.team is not None
        assert bound.team.team.name == name
        for work in (
            do(desk, "teams_create", name=name + "x", entra=[role]),
            do(desk, "keys_create", name="k", entra=[app]),
        ):
            error = await refused(work)
            assert (error.status, error.code) == (409, "entra_taken")
            assert name in error.message
        await do(desk, "teams_update", name=name, entra=[role])  # its own may be said again
        assert await keys.bound(app) is None
        key = await new_key(desk, entra=[app])
        bound = await keys.bound(app)
        assert bound is not None
        assert bound.key is not None
        assert bound.key.principal.name == key.name
        assert key.name in (await refused(do(desk, "teams_update", name=name, entra=[app]))).message
        await do(desk, "keys_revoke", key=key.id)
        await do(desk, "teams_update", name=name, entra=[app])
        await do(desk, "teams_delete", name=name)
        assert await keys.bound(app) is None

    play(azurite, work, ENTRA_TENANTS=str(uuid.uuid4()), ENTRA_AUDIENCES="a")


def test_a_row_that_cannot_be_understood_disables_the_team(azurite: Any, name: str) -> None:
    async def work(desk: TestDesk) -> None:
        await do(desk, "teams_create", name=name, budgets=["day=5"])
        key = await new_key(desk, team=name)
        (row,) = [row async for row in desk.tables.query(TEAMS_TABLE, "RowKey eq 'team'") if row["name"] == name]
        there = await desk.tables.get(TEAMS_TABLE, row["PartitionKey"], "team")
        assert there is not None
        assert await desk.tables.replace_if(TEAMS_TABLE, {**there, "rpm": "many"}, there["etag"])
        with pytest.raises(ApiError):
            check(await caller(desk, key.key), NOW)
        assert (await do(desk, "teams_show", name=name)).state == "unreadable"
        assert (await refused(do(desk, "teams_update", name=name, rpm=5))).code == "unreadable"

    play(azurite, work)


@pytest.mark.parametrize("name", ["none", "", "a\x00b", "ü" * 101, "😀" * 26])
def test_names_that_no_team_can_have(name: str) -> None:
    with pytest.raises(ValidationError):
        TeamCreate.model_validate({"name": name})
