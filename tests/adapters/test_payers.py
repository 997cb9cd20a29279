"""Who pays for a batch, found in a real Azurite."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.key_store import TableKeys
from shared.adapters.payers import TablePayers
from shared.batches.batch import Payer
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Principal, Team
from tests.support.own_azurite import dead_connection_string
from tests.support.tables import play as with_tables

NOW = 1_790_000_000.0


def play(connection: str, work: Callable[[TablePayers, TableKeys], Awaitable[None]]) -> None:
    async def whole(tables: Any) -> None:
        keys = TableKeys(tables)
        await work(TablePayers(keys, lambda: NOW), keys)

    with_tables(connection, whole)


def key(team: str = "", **given: Any) -> Principal:
    return Principal(uuid.uuid4().hex * 2, f"key {uuid.uuid4().hex}", team, **given)


def payer(principal: Principal, *, entra: bool = False) -> Payer:
    return Payer(principal.key_id, principal.name, principal.team, principal.owner, entra)


def test_a_key_with_the_limits_of_today_and_its_team(azurite: Any) -> None:
    mine = key("t" + uuid.uuid4().hex, allowance=Allowance(rpm=1), tags=("a",))

    async def work(payers: TablePayers, keys: TableKeys) -> None:
        await keys.put_key(mine)
        await keys.put_team(Team(mine.team, Allowance(tpm=5)))
        await keys.change_key(
            mine.key_id, lambda r: replace(r, principal=replace(r.principal, allowance=Allowance(rpm=7)))
        )
        found = await payers.find(payer(mine))
        assert found is not None
        assert found.of_team is not None
        assert (found.allowance.rpm, found.of_team.allowance.tpm, found.tags) == (7, 5, ("a",))
        assert found.owner == mine.owner
        for name in (mine.key_id, mine.key_id[:12], mine.name):
            assert await payers.named(name) == found

    play(azurite.connection_string, work)


@pytest.mark.parametrize("why", ["deleted", "disabled", "over", "secret over", "unreadable", "team disabled"])
def test_nobody_pays_with_a_key_that_no_call_could_use(azurite: Any, why: str) -> None:
    mine = key("t" + uuid.uuid4().hex, expires_at=NOW if why == "over" else NOW + 1, disabled=why == "disabled")

    async def work(payers: TablePayers, keys: TableKeys) -> None:
        if why != "deleted":
            await keys.put_key(mine)
        if why == "secret over":
            ended = lambda r: replace(r, secrets=tuple(replace(s, expires_at=NOW) for s in r.secrets))  # noqa: E731
            await keys.change_key(mine.key_id, ended)
        if why == "unreadable":
            row = await keys._tables.get("tollgatekeys", mine.key_id, "key")  # pyright: ignore[reportPrivateUsage]
            assert row is not None
            await keys._tables.replace_if("tollgatekeys", row | {"tags": "rubbish"}, row["etag"])  # pyright: ignore[reportPrivateUsage]
        await keys.put_team(Team(mine.team, disabled=why == "team disabled"))
        assert await payers.find(payer(mine)) is None
        assert await payers.named(mine.name) is None
        assert await payers.named(mine.key_id) is None

    play(azurite.connection_string, work)


def test_an_entra_caller_without_a_key_pays_by_the_team(azurite: Any) -> None:
    caller = key("t" + uuid.uuid4().hex)

    async def work(payers: TablePayers, keys: TableKeys) -> None:
        assert await payers.find(payer(caller, entra=True)) is None
        team = Team(caller.team, Allowance(rpm=3))
        await keys.put_team(team)
        found = await payers.find(payer(caller, entra=True))
        assert found is not None
        assert found == Principal(caller.key_id, caller.name, caller.team, of_team=team)
        assert found.owner == caller.owner
        await keys.put_team(replace(team, disabled=True))
        assert await payers.find(payer(caller, entra=True)) is None

    play(azurite.connection_string, work)


def test_a_name_that_several_have_names_nobody(azurite: Any) -> None:
    one = key()
    other = replace(key(), name=one.name)

    async def work(payers: TablePayers, keys: TableKeys) -> None:
        await keys.put_key(one)
        await keys.put_key(other)
        assert await payers.named(one.name) is None
        assert await payers.named(one.key_id) is not None
        await keys.disable_key(other.key_id)  # as a key that was replaced by one of the same name
        found = await payers.named(one.name)
        assert found is not None
        assert found.key_id == one.key_id
        assert await payers.named("") is None
        assert await payers.named("no such key") is None

    play(azurite.connection_string, work)


def test_storage_that_does_not_answer() -> None:
    async def work(payers: TablePayers, _keys: TableKeys) -> None:
        for question in (payers.find(payer(key())), payers.find(payer(key("t"), entra=True)), payers.named("key")):
            with pytest.raises(StoreUnavailable):
                await question

    play(dead_connection_string(), work)
