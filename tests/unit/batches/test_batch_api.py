"""The Batch API's own care: made once, whatever fails behind it; told after one look; cancelled while it runs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson
import pytest

from shared.batches.batch import Batch, Chunk, Figures, Placement
from shared.batches.kept import KeptFile
from shared.batches.service import FRESH_SECONDS, BatchApi, Order, payer_of
from shared.call import Call
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError
from shared.objects import HERE, Registry
from shared.ports import Client, OwnedObject, StoreUnavailable
from shared.types import ApiRequest
from tests.support.doubles import Clock, Lines
from tests.unit.stored import ALICE, RING, two_resources

FILE = KeptFile("file-" + "0" * 32, ALICE.owner, "a.jsonl", "batch", 9, 1_000_000.0, 2_000_000.0, 3, 7, "both",
                "/chat/completions")  # fmt: skip
ORDER = Order("/chat/completions")


def in_a_loop[**P](test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*given: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*given, **named))

    return run


@dataclass
class Rows:
    """BatchRows as far as it is asked for."""

    batches: dict[str, Batch] = field(default_factory=dict[str, Batch])
    parts: list[Chunk] = field(default_factory=list[Chunk])

    async def insert(self, batch: Batch) -> bool:
        return self.batches.setdefault(batch.id, batch) is batch

    async def get(self, batch_id: str) -> Batch | None:
        return self.batches.get(batch_id)

    async def change(self, batch_id: str, edit: Callable[[Batch], Batch | None]) -> Batch | None:
        if batch_id in self.batches:
            self.batches[batch_id] = edit(self.batches[batch_id]) or self.batches[batch_id]
        return self.batches.get(batch_id)

    async def chunks(self, _batch_id: str) -> list[Chunk]:
        return self.parts


@dataclass
class Index:
    added: list[tuple[str, str, OwnedObject]] = field(default_factory=list[tuple[str, str, OwnedObject]])

    async def add(self, owner: str, kind: str, made: OwnedObject) -> None:
        self.added.append((owner, kind, made))


@dataclass
class Looking:
    """Notes who was to be looked at; `do` is what a look does."""

    do: Callable[[str], Any] = lambda _: None
    down: bool = False
    looked: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    async def look(self, batch_id: str) -> str:
        self.looked.append(batch_id)
        if (found := self.do(batch_id)) is not None:
            await found
        return "open"

    async def begin(self, batch_id: str) -> None:
        await self.soon(batch_id)

    async def soon(self, batch_id: str) -> None:
        if self.down:
            raise StoreUnavailable("no queue")
        self.asked.append(batch_id)


class Desk:
    """The API with all of it around."""

    def __init__(self) -> None:
        self.rows, self.index, self.looking, self.clock, self.log = Rows(), Index(), Looking(), Clock(), Lines()
        catalog = two_resources()
        self.registry = Registry(catalog, RING)
        self.api = BatchApi(
            catalog, self.registry, cast(Any, self.rows), cast(Any, None), cast(Any, self.index),
            cast(Any, self.looking), cast(Any, None), self.log, self.clock,
        )  # fmt: skip

    async def make(self, **changed: Any) -> Batch:
        return await self.api.make(payer_of(ALICE), FILE, replace(ORDER, **changed))

    async def ask(self, name: str, batch_id: str) -> Any:
        row = ENDPOINTS[name]
        call = Call(ApiRequest("req", name, row.method, {}, {}, b""), row, cast(Client, None), 0.0, 0.0)
        call.principal, call.operation = ALICE, row.path.replace("{batch_id}", batch_id)
        answer = await self.api.answer(call)
        assert isinstance(answer.body, bytes)
        return orjson.loads(answer.body)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@in_a_loop
async def test_batch_is_kept_listed_and_looked_at(desk: Desk) -> None:
    made = await desk.make()
    assert (made.engine, made.endpoint, made.lines, made.tokens) == ("own", "/v1/chat/completions", 3, 7)
    assert desk.rows.batches == {made.id: made}
    assert desk.index.added == [(ALICE.owner, "batch", OwnedObject(HERE, made.id, int(made.created_at * 1000)))]
    assert desk.looking.asked == [made.id]


@in_a_loop
async def test_same_id_makes_one_batch(desk: Desk) -> None:
    first = await desk.make(batch_id="batch_" + "1" * 32, origin="a")
    desk.clock.forward(60)
    assert await desk.make(batch_id="batch_" + "1" * 32, origin="b") == first
    assert {made.created_at for _, _, made in desk.index.added} == {int(first.created_at * 1000)}


@in_a_loop
async def test_what_is_kept_is_told_although_nobody_could_be_sent_for(desk: Desk) -> None:
    desk.looking.down = True
    made = await desk.make()
    assert desk.rows.batches[made.id].next_look == made.created_at, "the sweep finds it"
    assert [message for message, _ in desk.log.warnings] == ["a new batch waits for the sweep"]
    cancelled = await desk.api.cancel(made.id)
    assert cancelled is not None
    assert cancelled.status == "cancelling"


@in_a_loop
async def test_client_who_asks_again_at_once_looks_once(desk: Desk) -> None:
    made = await desk.make()
    for _ in range(3):
        await desk.ask("batches_retrieve", made.id)
    assert desk.looking.looked == [made.id]
    desk.clock.forward(FRESH_SECONDS)
    await desk.ask("batches_retrieve", made.id)
    assert len(desk.looking.looked) == 2


@pytest.mark.parametrize("changed", [
    {"status": "completed"}, {"claimed_by": "other", "claimed_until": 1_000_001.0},
    {"placement": Placement("east", "east/d", seen_at=1_000_000.0)},
])  # fmt: skip
@in_a_loop
async def test_nobody_looks_at_what_has_ended_or_is_looked_at(desk: Desk, changed: dict[str, Any]) -> None:
    made = await desk.make()
    desk.rows.batches[made.id] = replace(made, **changed)
    await desk.ask("batches_retrieve", made.id)
    assert desk.looking.looked == []


@in_a_loop
async def test_client_sees_what_the_look_has_changed(desk: Desk) -> None:
    made = await desk.make()

    async def advance() -> None:
        await desk.rows.change(made.id, lambda b: b.to("in_progress", desk.clock()))

    desk.looking.do = lambda _: advance()
    assert (await desk.ask("batches_retrieve", made.id))["status"] == "in_progress"


@in_a_loop
async def test_look_that_fails_or_lasts_is_no_clients_trouble(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await desk.make(), await desk.make()
    gate, ended = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        raise StoreUnavailable("down")

    async def last() -> None:
        await gate.wait()
        ended.set()

    desk.looking.do = lambda batch_id: fail() if batch_id == first.id else last()
    assert (await desk.ask("batches_retrieve", first.id))["status"] == "validating"
    assert [message for message, _ in desk.log.warnings] == ["a batch could not be advanced"]
    monkeypatch.setattr("shared.batches.service.WAIT_SECONDS", 0.0)
    assert (await desk.ask("batches_retrieve", second.id))["status"] == "validating"
    assert not ended.is_set()
    gate.set()
    async with asyncio.timeout(5):
        await ended.wait()


@in_a_loop
async def test_progress_of_the_own_engine_is_that_of_its_chunks(desk: Desk) -> None:
    made = await desk.make()
    desk.rows.batches[made.id] = replace(made, chunks=2, status="in_progress")
    desk.rows.parts = [Chunk(0, True, 1, 1, Figures(5, 3)), Chunk(1, False, 1, 0, Figures(2, 1))]
    told = await desk.ask("batches_retrieve", made.id)
    assert told["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert (told["usage"]["input_tokens"], told["usage"]["total_tokens"]) == (7, 11)


@in_a_loop
async def test_cancelling_twice_is_cancelling_once(desk: Desk) -> None:
    made = await desk.make()
    first = await desk.api.cancel(made.id)
    desk.clock.forward(5)
    assert await desk.api.cancel(made.id) == first
    assert first is not None
    assert first.cancelling_at == made.created_at
    assert await desk.api.cancel("batch_" + "f" * 32) is None


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled"])
@in_a_loop
async def test_what_has_ended_stays_as_it_is(desk: Desk, status: Any) -> None:
    made = await desk.make()
    desk.rows.batches[made.id] = ended = made.to(status, desk.clock())
    with pytest.raises(ApiError, match=f"status '{status}'") as refused:
        await desk.api.cancel(made.id)
    assert (refused.value.status, refused.value.code) == (409, "batch_has_ended")
    assert desk.rows.batches[made.id] == ended


@pytest.mark.parametrize("name", ["file-" + "0" * 32, "batch_1", "batch_" + "g" * 32, "batch_" + "0" * 32])
@in_a_loop
async def test_ids_of_no_batch(desk: Desk, name: str) -> None:
    with pytest.raises(ApiError) as refused:
        await desk.ask("batches_retrieve", name)
    assert refused.value.status == 404
