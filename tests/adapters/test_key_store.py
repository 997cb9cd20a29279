"""Keys and teams in a real Azurite: what is written is what is read, and what cannot be read is closed."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.key_rows import KeyRecord, KeySecret, TeamRecord, key_values, read_key, read_team, team_values
from shared.adapters.key_store import KEYS_TABLE, TableKeys
from shared.adapters.tables import Tables
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Budget, Principal, Team
from shared.types import Row
from tests.support.doubles import Lines
from tests.support.own_azurite import dead_connection_string
from tests.support.tables import play

FULL = Allowance(
    frozenset({"a/b", "c"}),
    frozenset({"chat"}),
    60,
    2**40,
    3,
    (Budget("day", 2**60), Budget("total", 1, hard=False)),
    True,
)


@pytest.fixture
def digest() -> str:
    return uuid.uuid4().hex * 2


def full(digest: str) -> Principal:
    return Principal(
        digest, "näme", "team", FULL, None, 5.5, True, "sk-abc…wxyz", 1.5, ("t", "u,"), {"näme": "'\"\n"}
    )  # fmt: skip


def test_a_key_is_read_as_it_was_written(azurite: Any, digest: str) -> None:
    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        assert await keys.get(digest) is None
        for principal in (full(digest), Principal(digest, "b")):
            await keys.put_key(principal)
            assert await keys.get(digest) == principal
            assert principal in await keys.all()

    play(azurite.connection_string, work)


def test_keys_are_found_by_name_team_and_the_beginning_of_an_id(azurite: Any, digest: str) -> None:
    name, team = f"it's <{digest[:8]}> or name ne ''", f"Zoë's {digest[:8]}"
    other = uuid.uuid4().hex * 2

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        for key_id, disabled in ((digest, False), (other, True)):
            await keys.put_key(Principal(key_id, name, team, disabled=disabled))

        def ids(found: list[KeyRecord]) -> list[str]:
            return [record.principal.key_id for record in found]

        assert ids(await keys.named(name)) == [digest]
        assert sorted(ids(await keys.of_team(team))) == sorted([digest, other])
        assert ids(await keys.beginning(digest[:12])) == [digest]
        assert ids(await keys.beginning(other)) == [other]
        for beginning in (digest[:5], "' or ", digest + "0"):
            assert await keys.beginning(beginning) == []

    play(azurite.connection_string, work)


def test_a_team_is_read_as_it_was_written(azurite: Any) -> None:
    name = f"a/b\\c#d?e%f'g {uuid.uuid4()}"
    full_team = Team(name, FULL, "#help", True, {"a": "b"}, 1.5)

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        assert await keys.get_team(name) is None
        for team in (full_team, Team(name)):
            await keys.put_team(team)
            assert await keys.get_team(name) == team
            assert team in await keys.all_teams()
        await keys.delete_team(name)
        assert await keys.get_team(name) is None
        made = await asyncio.gather(*(keys.add_team(Team(name)) for _ in range(5)))
        assert sorted(made) == [False] * 4 + [True]

    play(azurite.connection_string, work)


def test_a_key_comes_with_its_teams_record(azurite: Any, digest: str) -> None:
    team = Team(f"t-{digest}", FULL)

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        principal = Principal(digest, "b", team.name)
        await keys.put_key(principal)
        assert await keys.get(digest) == principal
        await keys.put_team(team)
        assert await keys.get(digest) == replace(principal, of_team=team)
        assert replace(principal, of_team=team) in await keys.all()

    play(azurite.connection_string, work)


def test_a_secret_counts_only_while_its_key_lists_it(azurite: Any, digest: str) -> None:
    other, third = uuid.uuid4().hex * 2, uuid.uuid4().hex * 2

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        principal = Principal(digest, "b", expires_at=100.0, prefix="sk-old")
        await keys.put_key(principal)
        await keys.put_secret(other, digest)
        assert await keys.get(other) is None
        for ends, expect in ((50.0, 50.0), (150.0, 100.0), (None, 100.0)):
            secret = KeySecret(other, "sk-new", 1.0, ends)

            def with_secret(record: KeyRecord, secret: KeySecret = secret) -> KeyRecord:
                return replace(record, secrets=(record.secrets[0], secret))

            assert await keys.change_key(digest, with_secret)
            assert await keys.get(other) == replace(principal, expires_at=expect, prefix="sk-new")
        assert await keys.owner_of(other) == digest
        assert await keys.change_key(digest, lambda record: replace(record, secrets=record.secrets[1:]))
        assert await keys.get(digest) is None
        await keys.put_secret(third, uuid.uuid4().hex * 2)  # of a key that is not there
        assert await keys.get(third) is None
        assert await keys.change_key(third, lambda record: record) is None
        assert await keys.disable_key(third) is None

    play(azurite.connection_string, work)


def test_no_change_is_lost_when_many_change_a_key(azurite: Any, digest: str) -> None:
    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        await keys.put_key(Principal(digest, "b"))

        async def add(number: int) -> None:
            def edit(record: KeyRecord) -> KeyRecord:
                return replace(record, principal=replace(record.principal, tags=(*record.principal.tags, str(number))))

            await keys.change_key(digest, edit)

        await asyncio.gather(*(add(number) for number in range(6)))
        principal = await keys.get(digest)
        assert principal is not None
        assert sorted(principal.tags) == [str(number) for number in range(6)]

    play(azurite.connection_string, work)


def test_a_change_whose_answer_was_lost_is_not_made_twice(azurite: Any, digest: str) -> None:
    """The SDK repeats a write that broke off; the repetition finds the row changed, by itself."""

    class LosesAnswers(Tables):
        async def replace_if(self, table: str, row: Any, etag: str) -> str | None:
            await super().replace_if(table, row, etag)
            return None

    async def work(tables: Tables) -> None:
        tables.__class__ = LosesAnswers
        keys = TableKeys(tables)
        await keys.put_key(Principal(digest, "b"))
        edits: list[KeyRecord] = []

        def edit(record: KeyRecord) -> KeyRecord:
            edits.append(record)
            return replace(record, principal=replace(record.principal, name=record.principal.name + "c"))

        changed = await keys.change_key(digest, edit)
        assert changed is not None
        assert (changed.principal.name, len(edits)) == ("bc", 1)

    play(azurite.connection_string, work)


SPOILT = [
    ("budgets", "not json"), ("budgets", "{}"), ("budgets", '[{"period":"day"}]'), ("budgets", 5),
    ("budgets", '[{"period":"week","nanos":5,"hard":true}]'), ("budgets", '[{"period":"day","nanos":"5","hard":true}]'),
    ("budgets", '[{"period":"day","nanos":-5,"hard":true}]'), ("budgets", '[{"period":"day","nanos":true,"hard":true}]'),
    ("budgets", '[{"period":"day","nanos":5.5,"hard":true}]'), ("budgets", '[{"period":"day","nanos":5,"hard":"yes"}]'),
    ("budgets", None), ("models", "gpt-4o"), ("models", "[5]"), ("models", None), ("endpoints", None), ("rpm", "60"), ("tpm", -1),
    ("tpm", 5.5), ("parallel", True), ("shadow", "no"), ("shadow", None), ("disabled", None), ("disabled", "no"),
    ("metadata", "[]"), ("entra", None),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), SPOILT, ids=str)
def test_what_cannot_be_understood_is_closed(column: str, value: Any, digest: str) -> None:
    team = team_values(TeamRecord(Team("t", FULL)))
    key = {"PartitionKey": digest, **key_values(KeyRecord(replace(full(digest), disabled=False)))}
    assert not read_key(key).fault
    assert not read_team(team).fault
    for row in (key, team):
        row[column] = value
        if value is None:
            del row[column]
    assert read_key(key).principal.disabled
    assert read_team(team).team.disabled
    assert column in read_key(key).fault or value
    assert (read_key(key).principal.name, read_team(team).team.name) == ("näme", "t")


@pytest.mark.parametrize(
    ("column", "value"), [("expires_at", "soon"), ("expires_at", None), ("expires_at", -1.0), ("expires_at", float("nan")),
                          ("secrets", "[]x"), ("secrets", '[{"digest": 5}]'), ("team", None), ("tags", "x")], ids=str,
)  # fmt: skip
def test_a_keys_own_columns_as_well(column: str, value: Any, digest: str) -> None:
    row = {"PartitionKey": digest, **key_values(KeyRecord(replace(full(digest), disabled=False)))}
    row[column] = value
    if value is None:
        del row[column]
    assert read_key(row).principal.disabled


def test_a_row_that_is_closed_is_told_to_the_log(azurite: Any, digest: str) -> None:
    log = Lines()

    async def work(tables: Tables) -> None:
        keys = TableKeys(tables, log)
        record = await keys.put_key(Principal(digest, "broken"))
        values = {**key_values(record), "budgets": json.dumps([5])}
        await tables.write([Row(KEYS_TABLE, {"PartitionKey": digest, "RowKey": "key", **values})])
        principal = await keys.get(digest)
        assert principal is not None
        assert principal.disabled

    play(azurite.connection_string, work)
    ((message, fields),) = log.warnings
    assert "refused" in message
    assert fields["name"] == "broken"


def test_store_that_does_not_answer_is_unavailable() -> None:
    async def work(tables: Tables) -> None:
        keys = TableKeys(tables)
        for question in (
            keys.get("a" * 64), keys.all(), keys.put_key(Principal("a" * 64, "n")), keys.all_teams(), keys.get_team("t"),
            keys.put_team(Team("t")), keys.add_team(Team("t")), keys.delete_team("t"), keys.bound("app:x"),
            keys.bind("app:x", team="t"), keys.disable_key("a" * 64), keys.owner_of("a" * 64),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable):
                await question

    play(dead_connection_string(), work)
