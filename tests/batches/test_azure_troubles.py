"""What Azure's batch service does now and then, and what must not come of it: lost, doubled or stuck work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from local.fake_azure import FakeAzure
from shared.batches.azure.ending import EMPTY_SECONDS, LATE_SECONDS
from shared.batches.azure.engine import GIVEN_UP_SECONDS
from shared.batches.azure.placer import MOVE_SECONDS, UNKNOWN
from shared.batches.azure.placing import NOT_NOW
from shared.batches.batch import WINDOW_SECONDS, Try
from shared.errors import UpstreamFailed
from shared.ports import Upstream
from shared.types import UpstreamReply, UpstreamRequest
from tests.support.azure_batches import Parts, a_line, engine_at


@pytest.fixture(autouse=True)
def _clean(fake: FakeAzure) -> Iterator[None]:
    for resource in ("main", "second"):
        fake.batches.set(resource, seconds=0)
    yield
    for resource in ("main", "second"):
        fake.revive(resource)
    fake.clear()


def play(azurite: Any, fake: FakeAzure, work: Callable[[Parts], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with engine_at(azurite.connection_string, fake, **options) as parts:
            await work(parts)

    asyncio.run(whole())


class Between:
    """An upstream whose answers to some requests are changed on their way. `edit` gets the answer's JSON; or raises."""

    def __init__(self, upstream: Upstream, method: str, ending: str, edit: Callable[[dict[str, Any]], Any]) -> None:
        self._upstream, self._method, self._ending, self._edit = upstream, method, ending, edit

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        reply = await self._upstream.open(request, timeout)
        if request.method != self._method or self._ending not in request.url or "/content" in request.url:
            return reply
        said = b"".join([chunk async for chunk in reply.chunks])
        await reply.close()
        changed = orjson.dumps(self._edit(orjson.loads(said)))

        async def chunks() -> Any:
            yield changed

        return replace(reply, chunks=chunks())


def between(parts: Parts, method: str, ending: str, edit: Callable[[dict[str, Any]], Any]) -> Parts:
    engine = replace(parts.engine, upstream=Between(parts.engine.upstream, method, ending, edit))
    return replace(parts, engine=engine, looking=replace(parts.looking, engines={"azure": engine}))


# Nothing is stuck.


@pytest.mark.parametrize("where", ["dead", "slow file"])
def test_a_batch_that_could_not_be_placed_expires(azurite: Any, fake: FakeAzure, where: str) -> None:
    def pending(said: dict[str, Any]) -> Any:
        return {**said, "status": "pending"} if said.get("object") == "file" else said

    async def work(parts: Parts) -> None:
        parts = between(parts, "POST", "/files", pending)
        parts = between(parts, "GET", "/files/", pending)
        if where == "dead":
            fake.kill("main")
        made = await parts.made(a_line("a"))
        assert (await parts.looked(made.id)).placement
        parts.clock.forward(WINDOW_SECONDS - 1)
        assert (await parts.looked(made.id)).status == "validating"
        parts.clock.forward(2)
        if where == "dead":
            assert (await parts.looked(made.id)).status == "validating", "it may have been made there"
            parts.clock.forward(LATE_SECONDS)
        assert (await parts.over(made.id)).status == "expired"

    play(azurite, fake, work, names=["main"])


@pytest.mark.parametrize("status", ["validating", "in_progress", "cancelling"])
def test_a_deployment_is_taken_out_of_the_configuration(azurite: Any, fake: FakeAzure, status: str) -> None:
    fake.batches.hold("main", "validating" if status != "in_progress" else "in_progress")

    async def begun(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        placed = await parts.looked(made.id)
        while placed.status != "in_progress" and status == "in_progress":
            placed = await parts.looked(made.id)
        assert placed.placement
        gone = replace(placed.placement, resource="gone", deployment="gone/d")
        await parts.rows.change(made.id, lambda b: replace(b, placement=gone))
        if status == "cancelling":
            await parts.rows.change(made.id, lambda b: b.to("cancelling", parts.clock()))
        assert (await parts.looked(made.id)).status == status
        parts.clock.forward(MOVE_SECONDS + 1)
        if status == "validating":
            fake.batches.release("main")
            assert (await parts.over(made.id)).status == "completed"
        elif status == "cancelling":
            assert (await parts.over(made.id)).status == "cancelled"
        else:
            assert (await parts.looked(made.id)).status == status, "it may be back"
            parts.clock.forward(WINDOW_SECONDS + GIVEN_UP_SECONDS)
            assert (await parts.over(made.id)).errors[0]["code"] == "batch_lost"

    play(azurite, fake, begun)


# One answer that is missing means nothing.


def test_one_answer_that_is_missing_moves_no_batch(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        first = (await parts.looked(made.id)).placement
        parts.clock.forward(600)
        for _ in range(2):
            fake.kill("main")
            placed = (await parts.looked(made.id)).placement
            assert placed
            assert first
            assert placed.upstream_batch == first.upstream_batch
            assert parts.work.sent[-1] == ({"do": "look", "batch": made.id, "turn": -1}, MOVE_SECONDS + 1)
            fake.revive("main")
            parts.clock.forward(600)
            assert (await parts.looked(made.id)).tries == ()
            parts.clock.forward(600)

    play(azurite, fake, work)


def test_one_404_loses_no_batch(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        while (await parts.looked(made.id)).status != "in_progress":
            await asyncio.sleep(0.01)
        parts.clock.forward(600)
        here = (await parts.row(made.id)).placement
        assert here
        lost = replace(here, upstream_batch="batch_nobody")
        await parts.rows.change(made.id, lambda b: replace(b, placement=lost))
        assert (await parts.looked(made.id)).status == "in_progress"
        parts.clock.forward(600)
        assert (await parts.looked(made.id)).status == "in_progress"
        parts.clock.forward(LATE_SECONDS)
        assert (await parts.over(made.id)).errors[0]["code"] == "batch_lost"

    play(azurite, fake, work)


# What was left behind.


def test_what_was_left_is_not_cancelled_when_it_is_used_again(azurite: Any, fake: FakeAzure) -> None:
    """It may have been made at the first, moves to the second, which is full, and comes back to the first."""
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)

        before = (await parts.row(made.id)).placement
        assert before
        left = Try(before.deployment, f"{NOT_NOW}reset", UNKNOWN, before.upstream_file)
        await parts.rows.change(made.id, lambda b: replace(b, placement=None, tries=(left,)))
        fake.kill("second")
        placed = await parts.looked(made.id)
        assert placed.placement
        assert placed.placement.upstream_batch == before.upstream_batch, "found again"
        await parts.engine.clear(made.id, 1)
        fake.batches.release("main")
        assert (await parts.over(made.id)).status == "completed"

    play(azurite, fake, work)


def test_what_was_cancelled_as_left_behind_is_not_taken_for_the_batch(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)
        fake.kill("main")
        await parts.looked(made.id)
        parts.clock.forward(MOVE_SECONDS + 1)
        fake.batches.set("second", tokens=0)
        moved = await parts.looked(made.id)
        assert (moved.placement, moved.status) == (None, "validating")
        fake.revive("main")
        await parts.engine.clear(made.id, 1)
        fake.batches.release("main")

        def lost(_: Any) -> Any:
            raise UpstreamFailed("timeout", "lost")

        deaf = between(parts, "GET", "/batches", lost)
        await deaf.looked(made.id)
        batch = await parts.over(made.id)
        assert (batch.status, batch.completed) == ("completed", 1)

    play(azurite, fake, work)


def test_a_making_without_an_answer_is_not_repeated_before_it_must_show(azurite: Any, fake: FakeAzure) -> None:
    """The list may not know for a while what was made a moment ago."""

    async def work(parts: Parts) -> None:
        before = len(fake.batches.rows("main"))
        made = await parts.made(a_line("a"))

        def lost(_: Any) -> Any:
            raise UpstreamFailed("timeout", "lost")

        def empty(said: dict[str, Any]) -> Any:
            return {**said, "data": []} if "data" in said else said

        await between(parts, "POST", "/batches", lost).looked(made.id)
        for _ in range(3):
            await between(parts, "GET", "/batches", empty).looked(made.id)
        batch = await parts.over(made.id)
        assert (batch.status, batch.tries) == ("completed", ())
        assert len(fake.batches.rows("main")) == before + 1

    play(azurite, fake, work, names=["main"])


# Ends.


def test_a_batch_that_fails_without_a_word_says_something(azurite: Any, fake: FakeAzure) -> None:
    for resource in ("main", "second"):
        fake.batches.hold(resource, "validating")

    async def work(parts: Parts) -> None:
        parts = between(parts, "GET", "/batches/", lambda said: {**said, "errors": None})
        made = await parts.made(a_line("a"))
        for resource in ("main", "second"):
            batch = await parts.looked(made.id)
            assert batch.placement
            fake.end_batch(resource, batch.placement.upstream_batch, "failed", [])
        done = await parts.over(made.id)
        assert (done.status, [error["code"] for error in done.errors]) == ("failed", ["batch_failed"])

    play(azurite, fake, work)


def test_lines_of_an_error_file_that_is_told_late_are_waited_for(azurite: Any, fake: FakeAzure) -> None:
    """With counts that stay at 0 nothing else tells that there are more."""
    late = True

    def edit(said: dict[str, Any]) -> Any:
        if said.get("status") not in ("completed", "Completed"):
            return said
        counts = {"total": 0, "completed": 0, "failed": 0}
        return {**said, "request_counts": counts, **({"error_file_id": ""} if late else {})}

    async def work(parts: Parts) -> None:
        nonlocal late
        parts = between(parts, "GET", "/batches/", edit)
        made = await parts.made(a_line("a"), a_line("x", "fail with 503"))
        while (await parts.looked(made.id)).status != "finalizing":
            await asyncio.sleep(0.01)
        for _ in range(2):
            assert (await parts.looked(made.id)).status == "finalizing"
        assert parts.usage.once == {}
        late = False
        done = await parts.over(made.id)
        assert (done.completed, done.failed, bool(done.error_file)) == (1, 1, True)
        late = True
        other = await parts.made(a_line("a"), a_line("x", "fail with 503"))
        while (await parts.looked(other.id)).status != "finalizing":
            await asyncio.sleep(0.01)
        parts.clock.forward(EMPTY_SECONDS + 1)
        assert (await parts.over(other.id)).completed == 1, "in the end it goes without"

    play(azurite, fake, work)


def test_the_day_of_a_batch_stays_whatever_its_resource_says_later(azurite: Any, fake: FakeAzure) -> None:
    """Else a batch that is settled twice, for a process ended in between, is in the books twice."""
    fake.batches.hold("main", "completed")
    first = 0.0

    def edit(said: dict[str, Any]) -> Any:
        return {**said, "completed_at": (said["completed_at"] and first) or None}

    async def work(parts: Parts) -> None:
        nonlocal first
        parts = between(parts, "GET", "/batches/", edit)
        made = await parts.made(a_line("a"))
        while (await parts.looked(made.id)).status != "finalizing":
            await asyncio.sleep(0.005)
        while not ((placed := (await parts.looked(made.id)).placement) and placed.status == "completed"):
            await asyncio.sleep(0.005)
        seen = parts.clock()
        parts.clock.forward(100_000)
        first = seen + 99_000
        fake.batches.release("main")
        batch = await parts.over(made.id)
        assert parts.record(batch).at == seen

    play(azurite, fake, work)
