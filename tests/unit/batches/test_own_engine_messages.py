"""The own engine and its messages: what comes twice, what ends its process, what storage keeps from running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from shared.batches.batch import Batch, Chunk, Payer
from shared.batches.files import Stretch
from shared.batches.kept import KeptFile
from shared.batches.looking import Claim, Looking
from shared.batches.own import chunk_run
from shared.batches.own import engine as own_engine
from shared.batches.own.engine import OwnEngine
from shared.batches.ports import LineAnswer
from shared.batches.settling import Settling
from shared.ports import StoreUnavailable
from shared.principals import Principal
from shared.types import Json
from tests.support.chunks import Died, MemoryFolder, ToldLines, good
from tests.support.doubles import Clock, KeptUsage
from tests.support.doubles import Lines as Log
from tests.unit.batches.test_chunk_results import NOW, a_batch

LINES, CHUNK = 30, 10
MOST_TRIES = 5
"""host.json's maxDequeueCount."""


class Rows:
    """Of batches.ports.BatchRows, what the own engine uses."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.done: dict[int, Chunk] = {}
        self.down = 0

    async def get(self, batch_id: str) -> Batch | None:
        if self.down:
            self.down -= 1
            raise StoreUnavailable("down")
        return self.batch if batch_id == self.batch.id else None

    async def change(self, batch_id: str, edit: Callable[[Batch], Batch | None]) -> Batch | None:
        assert batch_id == self.batch.id
        self.batch = edit(self.batch) or self.batch
        return self.batch

    async def chunks(self, batch_id: str) -> list[Chunk]:
        return [self.done[number] for number in sorted(self.done)]

    async def put_chunks(self, batch_id: str, chunks: Sequence[Chunk]) -> None:
        self.done |= {chunk.number: chunk for chunk in chunks}

    async def file(self, file_id: str) -> KeptFile | None:
        return KeptFile(file_id, "team:team", "in.jsonl", "batch", 0, NOW, NOW + 1e6, LINES)


class Kept:
    """Of batches.files.Files, what the own engine uses."""

    def __init__(self) -> None:
        body = {"text": ""}
        lines = [{"custom_id": f"c{n}", "body": body | {"text": f"t{n}"}} for n in range(LINES)]
        self.lines = [orjson.dumps(line) + b"\n" for line in lines]
        self.written: dict[str, list[Json]] = {}

    async def stretches(self, file: KeptFile) -> list[Stretch]:
        found: list[Stretch] = []
        for number, first in enumerate(range(0, LINES, CHUNK)):
            start, some = sum(map(len, self.lines[:first])), self.lines[first : first + CHUNK]
            found.append(Stretch(number, start, sum(map(len, some)), first, len(some)))
        return found

    async def read(self, file_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        yield b"".join(self.lines)[start : start + length if length is not None else None]

    async def write_output(
        self, content: AsyncIterable[bytes], owner: str, filename: str, file_id: str, *, seconds: int = 0
    ) -> KeptFile | None:
        data = b"".join([piece async for piece in content])
        self.written[filename.rpartition("_")[2]] = [orjson.loads(line) for line in data.splitlines()]
        return KeptFile(file_id, owner, filename, "batch_output", len(data), NOW, NOW)


class Someone:
    """batches.ports.Payers."""

    async def find(self, payer: Payer) -> Principal | None:
        return Principal(payer.key_id, payer.key_name)


@dataclass
class World:
    """A host with one queue, which takes one message at a time; when its process ends, the next one goes on."""

    told: ToldLines = field(default_factory=ToldLines)
    folder: MemoryFolder = field(default_factory=MemoryFolder)
    kept: Kept = field(default_factory=Kept)
    usage: KeptUsage = field(default_factory=KeptUsage)
    queue: list[tuple[Json, int]] = field(default_factory=list[tuple[Json, int]])
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    deaths: int = 0
    handled: int = 0

    def __post_init__(self) -> None:
        self.rows = Rows(a_batch(status="validating", chunks=0, lines=LINES))
        rows: Any = self.rows
        work: Any = self
        self.engine = OwnEngine(
            None, rows, self.kept, self.folder, work, self.told, Someone(),  # type: ignore[arg-type]
            Settling(self.usage, self.usage), Log(), self.clock,
        )  # fmt: skip
        self.looking = Looking(rows, work, {"own": self.engine}, [], Log(), self.clock)

    async def send(self, queue: str, message: Json, delay: float = 0.0) -> None:
        if queue == "lines":
            self.queue.append((message, 1))

    async def send_all(self, queue: str, messages: Sequence[Json], delay: float = 0.0) -> None:
        self.queue += [(message, 1) for message in messages]

    async def begin(self) -> None:
        batch = self.rows.batch
        await self.engine.step(batch, Claim(self.rows, batch.id, "", self.clock))  # type: ignore[arg-type]

    async def work_off(self) -> None:
        while self.queue:
            message, tries = self.queue.pop(0)
            self.handled += 1
            assert self.handled < 500, "it never ends"
            self.clock.forward(chunk_run.ALIVE_EACH + 30)
            try:
                await self.engine.run(message["batch"], message["chunk"], tries, self.looking)
            except Died:
                self.deaths += 1
                self.folder.dead = False
                if tries < MOST_TRIES:
                    self.queue.append((message, tries + 1))
                else:
                    await self.engine.give_up(message["batch"], message["chunk"], self.looking)

    def run(self) -> None:
        async def all_of_it() -> None:
            await self.begin()
            await self.work_off()
            await self.looking.look(self.rows.batch.id)

        asyncio.run(all_of_it())

    def answers(self) -> dict[str, Json]:
        lines = [line for name in self.kept.written.values() for line in name]
        assert len({line["custom_id"] for line in lines}) == len(lines), "a line has two answers"
        return {line["custom_id"]: line for line in lines}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(chunk_run, "CHECK_SECONDS", 0.01)


@pytest.fixture
def world() -> World:
    return World()


def test_a_batch_from_its_beginning_to_its_end(world: World) -> None:
    world.run()
    batch = world.rows.batch
    assert (batch.status, batch.completed, batch.failed, batch.chunks) == ("completed", LINES, 0, 3)
    assert (batch.output_file != "", batch.error_file, batch.told) == (True, "", True)
    assert set(world.answers()) == {f"c{n}" for n in range(LINES)}
    assert sum(record.calls for record in world.usage.once.values()) == LINES
    assert batch.figures.cost_nanos == sum(r.cost.nanos for r in world.usage.once.values()) == 7 * LINES


def test_messages_that_come_twice_ask_nothing_twice(world: World) -> None:
    async def twice() -> None:
        await world.begin()
        world.queue += world.queue
        await world.work_off()
        await world.engine.run(world.rows.batch.id, 1, 1, world.looking)
        await world.engine.run("batch_" + "9" * 32, 0, 1, world.looking)

    asyncio.run(twice())
    assert len(world.told.asked) == LINES
    assert set(world.usage.once) == {f"{world.rows.batch.id}-{n:05d}" for n in range(3)}


def test_who_comes_back_late_and_tells_less_keeps_no_batch_from_ending(world: World) -> None:
    """He had kept an answer before he lost the chunk, and says so after the other one is through."""

    async def go() -> None:
        await world.begin()
        world.told.say = lambda text: _dies(world, text, "t15")
        message = world.queue.pop(1)[0]
        with pytest.raises(Died):
            await world.engine.run(message["batch"], message["chunk"], 1, world.looking)
        world.folder.dead, world.told.say = False, good
        world.queue.append((message, 2))
        await world.work_off()
        world.rows.batch = replace(world.rows.batch, status="in_progress", told=False)
        world.rows.done[1] = Chunk(1, False, 3)
        world.queue.append((message, 1))  # by which the late one, who finds that he has lost it, ends
        await world.work_off()

    asyncio.run(go())
    assert world.rows.done[1].done
    assert world.rows.batch.status == "completed"
    assert sum(record.calls for record in world.usage.once.values()) == LINES


def _dies(world: World, text: str, at: str) -> LineAnswer:
    world.folder.dead = world.folder.dead or text == at
    return good(text)


def test_a_beginning_that_was_cut_short_begins_again(world: World) -> None:
    async def begun_twice() -> None:
        await world.begin()
        world.rows.batch = replace(world.rows.batch, status="validating", chunks=0)
        await world.begin()

    asyncio.run(begun_twice())
    assert len(world.queue) == 6
    world.run()
    assert world.rows.batch.status == "completed"
    assert len(world.told.asked) == LINES


@pytest.mark.parametrize("guilty", [{"t0"}, {"t14"}, {"t29"}, {"t3", "t4", "t17"}])
def test_a_line_that_ends_its_process_gets_an_error_and_no_other_does(world: World, guilty: set[str]) -> None:
    def say(text: str) -> LineAnswer:
        if text in guilty:
            world.folder.dead = True  # nothing that this process does from now on has an effect
        return good(text)

    world.told.say = say
    world.run()
    answers = world.answers()
    assert len(answers) == LINES
    failed = {name for name, line in answers.items() if line["error"]}
    assert failed == {f"c{text[1:]}" for text in guilty}
    assert {answers[name]["error"]["code"] for name in failed} == {"line_failed"}
    assert world.deaths <= (MOST_TRIES + 1) * len(guilty)
    assert sum(record.calls for record in world.usage.once.values()) == LINES


def test_processes_that_end_for_other_reasons_are_nobodys_fault(world: World) -> None:
    """Each ends after so many answers: whatever was not kept is asked again."""
    left = [2, 9, 1, 4, 7, 1, 1, 6, 3, 1, 2]

    def say(text: str) -> LineAnswer:
        if left and not world.folder.dead:
            left[0] -= 1
            if not left[0]:
                left.pop(0)
                world.folder.dead = True
        return good(text)

    world.told.say = say
    world.run()
    assert (left, world.deaths) == ([], 11)
    assert not any(line["error"] for line in world.answers().values())
    assert len(world.answers()) == LINES
    assert sum(record.calls for record in world.usage.once.values()) == LINES


def test_storage_that_is_down_takes_none_of_the_tries(world: World) -> None:
    async def go() -> None:
        await world.begin()
        world.rows.down = 40
        await world.work_off()

    asyncio.run(go())
    assert world.rows.down == 0
    assert world.deaths == 0
    assert world.rows.batch.status == "completed"
    assert len(world.told.asked) == LINES


def test_what_was_lost_is_sent_again_once_an_hour(world: World) -> None:
    async def go() -> None:
        await world.begin()
        world.queue.clear()
        await world.looking.look(world.rows.batch.id)
        assert not world.queue, "nobody has been silent for long"
        world.clock.forward(own_engine.STALE_SECONDS + 1)
        await world.looking.look(world.rows.batch.id)
        assert len(world.queue) == 3
        world.folder.modified = world.clock.now
        await world.looking.look(world.rows.batch.id)
        assert len(world.queue) == 3
        await world.work_off()

    asyncio.run(go())
    assert world.rows.batch.status == "completed"


def test_a_batch_whose_input_is_gone_fails_and_says_so(world: World) -> None:
    async def gone(file: KeptFile) -> list[Stretch]:
        return []

    world.kept.stretches = gone  # type: ignore[method-assign]
    world.run()
    batch = world.rows.batch
    assert (batch.status, [error["code"] for error in batch.errors]) == ("failed", ["input_file_gone"])
