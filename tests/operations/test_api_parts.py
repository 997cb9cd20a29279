"""The manage API without HTTP around it: who may how often, and what happens when something fails on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.errors import ApiError
from shared.operations.access import ADMIN, CALLS_A_MINUTE, READER, WRONG_A_MINUTE, Access
from shared.operations.api import Api, ManageAnswer
from shared.operations.asking import Misunderstood, fields_of, from_query, understand
from shared.operations.audit import AuditAsked, list_audit
from shared.operations.operation import Actor, Asked, Operation, Told
from shared.operations.rendering import as_csv
from shared.types import ApiRequest
from tests.support.desk import TestDesk, desk_at
from tests.support.doubles import Clock
from tests.support.own_azurite import dead_connection_string

KEY = "the-operators-key"


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def as_desk(desk: TestDesk) -> Any:
    """TestDesk has no part that only others need."""
    return desk


class Claims:
    def __init__(self, *roles: str, name: str = "ana") -> None:
        self.tenant, self.subject, self.name, self.roles = "t", "s", name, frozenset(roles)


class Tokens:
    """A verifier that knows some tokens."""

    def __init__(self, **known: Claims | ApiError) -> None:
        self.known = known

    async def verify(self, token: str) -> Any:
        found = self.known.get(token.rpartition(".")[2], ApiError(401, "wrong", code="invalid_api_key"))
        if isinstance(found, ApiError):
            raise found
        return found


def access(clock: Clock, key: str = KEY, **tokens: Claims | ApiError) -> Access:
    return Access(key, Tokens(**tokens) if tokens else None, clock, clock)  # type: ignore[arg-type]


async def may(door: Access, credential: str, place: str = "1.2.3.4:5") -> str:
    """Who it is, or the code of the refusal."""
    try:
        actor = await door.actor({"authorization": f"Bearer {credential}", "x-forwarded-for": place})
    except ApiError as error:
        return error.code or ""
    return actor.name if actor.may_write else f"{actor.name} (reads)"


def test_a_credential_may_do_so_much_a_minute_and_no_more() -> None:
    async def work() -> None:
        clock = Clock()
        door = access(clock, ana=Claims(ADMIN), ben=Claims(READER, name="ben"))
        assert [await may(door, KEY) for _ in range(CALLS_A_MINUTE)] == ["admin-key"] * CALLS_A_MINUTE
        assert await may(door, KEY) == "rate_limit_exceeded"
        assert await may(door, "eyJa.b.ana") == "entra:t/ana", "everybody has his own"
        assert await may(door, "eyJa.b.ben") == "entra:t/ben (reads)"
        with pytest.raises(ApiError) as refused:
            await door.actor({"api-key": KEY})
        assert refused.value.status == 429
        clock.forward(float(refused.value.headers["retry-after"]))
        assert await may(door, KEY) == "admin-key"
        clock.forward(3600)
        assert [await may(door, KEY) for _ in range(CALLS_A_MINUTE + 1)].count("admin-key") == CALLS_A_MINUTE

    run(work)


def test_guessing_is_slowed_down_where_it_comes_from() -> None:
    async def work() -> None:
        clock = Clock()
        door = access(clock, ana=Claims(ADMIN))
        refusals = [await may(door, f"guess-{number}") for number in range(WRONG_A_MINUTE + 1)]
        assert refusals == ["invalid_api_key"] * WRONG_A_MINUTE + ["rate_limit_exceeded"]
        assert await may(door, KEY) == "rate_limit_exceeded", "a right guess is not told from a wrong one"
        assert await may(door, KEY, "9.9.9.9, 1.2.3.4:77") == "rate_limit_exceeded", "only the last address is believed"
        assert await may(door, KEY, "1.2.3.4, 9.9.9.9:1") == "admin-key"
        assert await may(door, "eyJa.b.ana") == "entra:t/ana", "no signature can be guessed"
        assert await may(door, "eyJa.b.nobody") == "rate_limit_exceeded"
        assert door.burst.count == WRONG_A_MINUTE + 4
        clock.forward(61)
        assert await may(door, "another") == "invalid_api_key"
        assert (door.burst.count, door.burst.number) == (1, 2)
        for nothing in ("", " "):
            assert await may(door, nothing) == "invalid_api_key"
        assert door.burst.count == 1, "who sends nothing guesses nothing"

    run(work)


@pytest.mark.parametrize("place", ["[2001:db8::1]:443", "2001:db8::1", "192.0.2.1", ""])
def test_addresses_of_every_form_are_told_apart(place: str) -> None:
    async def work() -> None:
        door = access(Clock())
        for number in range(WRONG_A_MINUTE):
            await may(door, f"guess-{number}", place)
        assert await may(door, KEY, place) == "rate_limit_exceeded"
        assert await may(door, KEY, "192.0.2.99:1") == "admin-key"

    run(work)


def test_tokens_that_cannot_be_checked_are_no_wrong_ones() -> None:
    async def work() -> None:
        down = ApiError(503, "Entra does not answer", code="entra_unavailable")
        door = access(Clock(), down=down, data=Claims("Tollgate.Data"), both=Claims(ADMIN, READER))
        assert await may(door, "eyJa.b.down") == "entra_unavailable"
        assert door.burst.count == 0
        assert await may(door, "eyJa.b.data") == "invalid_api_key"
        assert await may(door, "eyJa.b.both") == "entra:t/ana"
        keyless = access(Clock(), "", ana=Claims(READER))
        assert await may(keyless, "x") == "invalid_api_key"
        assert await may(keyless, "eyJa.b.ana") == "entra:t/ana (reads)"
        assert not access(Clock(), "").possible

    run(work)


# What happens on the way.


class ThingAsked(Asked):
    name: str
    secret: str = ""
    fail: str = ""


class ThingTold(Told):
    id: str


def operation(act: Callable[[Any, Actor, Any], Any]) -> Operation:
    return Operation("things_make", "POST", "things/{name}", "Make it.", ThingAsked, ThingTold, act)


@asynccontextmanager
async def office(
    connection: str, monkeypatch: pytest.MonkeyPatch, *rows: Operation
) -> AsyncGenerator[tuple[Api, TestDesk]]:
    if rows:
        monkeypatch.setattr("shared.operations.api.operations", lambda: rows)
    async with desk_at(connection) as desk:
        yield Api(access(desk.clock), as_desk(desk)), desk


async def ask(api: Api, method: str, path: str, body: Any = None) -> ManageAnswer:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"api-key": KEY, "content-type": "application/json"}
    request = ApiRequest("req_1", "manage", method, headers, {}, b"")

    async def read() -> None:
        request.body = data

    return await api.answer(request, path, read)


def code(answer: ManageAnswer) -> str:
    return json.loads(answer.body)["error"]["code"]


def test_a_change_that_cannot_be_written_down_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        done: list[str] = []

        async def act(asked: ThingAsked, _: Actor, __: Any) -> ThingTold:
            done.append(asked.name)
            return ThingTold(id="x")

        async with office(dead_connection_string(), monkeypatch, operation(act)) as (api, desk):
            answer = await ask(api, "POST", "/manage/things/a")
            assert (answer.status, code(answer), done) == (503, "audit_unavailable", [])
            assert desk.log.warnings[0][0] == "audit row not written"

    run(work)


def test_reading_without_storage_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with office(dead_connection_string(), monkeypatch) as (api, _):
            answer = await ask(api, "GET", "/manage/audit")
            assert (answer.status, code(answer)) == (503, "storage_unavailable")
            assert dict(answer.headers)[b"retry-after"] == b"5"

    run(work)


def test_what_fails_is_written_down_as_failed(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(asked: ThingAsked, _: Actor, desk: TestDesk) -> ThingTold:
        row = (
            await list_audit(AuditAsked.model_validate({"operation": "things_make"}), Actor("x"), as_desk(desk))
        ).rows[0]
        assert (row.status, row.target) == (0, {"name": "a b"}), "it is there before anything is done"
        if asked.fail == "api":
            raise ApiError(409, "taken", code="taken")
        if asked.fail:
            raise RuntimeError("a mistake of ours")
        return ThingTold(id="made-1")

    async def work() -> None:
        async with office(azurite.connection_string, monkeypatch, operation(act)) as (api, desk):
            body = {"secret": "hunter2 sk-" + "B" * 43}
            assert (await ask(api, "POST", "/manage/things/a%20b", body)).status == 200
            desk.clock.forward(1)
            assert code(await ask(api, "POST", "/manage/things/a%20b", {"fail": "api"})) == "taken"
            desk.clock.forward(1)
            with pytest.raises(RuntimeError):
                await ask(api, "POST", "/manage/things/a%20b", {"fail": "ours"})
            rows = (
                await list_audit(AuditAsked.model_validate({"operation": "things_make"}), Actor("x"), as_desk(desk))
            ).rows
            assert [row.status for row in rows] == [500, 409, 200]
            assert rows[2].target == {"name": "a b", "id": "made-1"}
            assert rows[2].changed == {"secret": "hunter2 [hidden]"}
            assert rows[2].actor == "admin-key"

    run(work)


# How fields are read.


def test_queries_are_read_by_their_fields() -> None:
    class ListAsked(Asked):
        models: list[str] | None = None
        limit: int = 5

    row = Operation("x_list", "GET", "x", "", ListAsked, ThingTold, lambda *_: None)  # type: ignore[arg-type,return-value]
    given = from_query(ListAsked, [("models", "a,b"), ("models", "c"), ("limit", "7")])
    assert understand(row, given) == ListAsked(models=["a", "b", "c"], limit=7)
    with pytest.raises(Misunderstood) as wrong:
        understand(row, {"limit": "7"}, typed=True)
    assert wrong.value.problems[0][0] == "limit"
    assert fields_of(ListAsked)["models"].nullable


def test_csv_runs_in_no_spreadsheet() -> None:
    class RowsTold(Told):
        rows: list[dict[str, Any]]

    row = Operation("x_list", "GET", "x", "", Asked, RowsTold, lambda *_: None)  # type: ignore[arg-type,return-value]
    told = {"rows": [{"a": "=cmd()", "b": "-1.5", "c": None, "d": [1], "e": "-1+1"}, {"a": "@x", "b": 2, "f": True}]}
    lines = as_csv(row, told).splitlines()
    assert lines == ["a,b,c,d,e,f", "'=cmd(),-1.5,,[1],'-1+1,", "'@x,2,,,,true"]
