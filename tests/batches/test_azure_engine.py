"""Batches that Azure runs: placed, moved, watched, cancelled and settled once, whatever the resources do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.batches import advancing
from shared.batches.azure.ending import LATE_SECONDS
from shared.batches.azure.placer import MOVE_SECONDS, UNKNOWN
from shared.batches.azure.placing import NOT_NOW
from shared.batches.batch import Batch
from shared.batches.looking import Claim
from shared.errors import UpstreamFailed
from shared.ports import StoreUnavailable
from shared.types import UpstreamReply, UpstreamRequest
from tests.support.azure_batches import DEPLOYMENT, Parts, a_line, engine_at

ALL = ("main", "second", "openai")


@pytest.fixture(autouse=True)
def _clean(fake: FakeAzure) -> Iterator[None]:
    for resource in ALL:
        fake.batches.set(resource, seconds=0)
    fake.add_deployment("openai", DEPLOYMENT, "gpt-4o-2024-11-20")
    yield
    for resource in ALL:
        fake.revive(resource)
    fake.clear()


def play(azurite: Any, fake: FakeAzure, work: Callable[[Parts], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with engine_at(azurite.connection_string, fake, **options) as parts:
            await work(parts)

    asyncio.run(whole())


def there(fake: FakeAzure, batch: Batch, resource: str = "main") -> list[dict[str, Any]]:
    """What a resource has of it."""
    ids = {each.upstream_batch for each in batch.tries}
    ids |= {batch.placement.upstream_batch} if batch.placement else set()
    return [row for row in fake.batches.rows(resource) if row["id"] in ids]


def asked(fake: FakeAzure, method: str, ending: str) -> int:
    return sum(r.method == method and r.path.split("?")[0].endswith(ending) for r in fake.requests)


# Lives.


@pytest.mark.parametrize(("resource", "style"), [("main", "usual"), ("second", "early"), ("openai", "")])
def test_a_batch_is_run_told_and_settled(azurite: Any, fake: FakeAzure, resource: str, style: str) -> None:
    fake.batches.set(resource, style=style)

    async def work(parts: Parts) -> None:
        made = await parts.made(*(a_line(f"c{n}", f"count to {n + 1}") for n in range(3)), a_line("x", "fail with 503"))
        batch = await parts.over(made.id)
        assert (batch.status, batch.completed, batch.failed, batch.errors, batch.tries) == ("completed", 3, 1, (), ())
        assert 0 < batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
        rows = await parts.output(batch.output_file)
        assert [row["custom_id"] for row in rows] == ["c1", "c0", "c2"]
        assert {row["response"]["body"]["model"] for row in rows} == {"night"}
        assert all(row["id"].startswith("batch_req_") and row["error"] is None for row in rows)
        (wrong,) = await parts.output(batch.error_file)
        assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("x", 503)
        assert wrong["response"]["body"]["error"]["message"]
        record = parts.record(batch)
        assert (record.calls, record.calls_failed, record.engine, record.endpoint) == (
            4,
            1,
            "azure",
            "chat_completions",
        )
        used = sum(row["response"]["body"]["usage"]["prompt_tokens"] for row in rows)
        assert (record.usage.input_tokens, record.usage.output_tokens, record.usage.tier) == (used, 6, "batch")
        assert record.cost.nanos == used * 1250 + 6 * 5000
        assert (batch.figures.input_tokens, batch.figures.cost_nanos) == (used, record.cost.nanos)
        (row,) = there(fake, batch, resource)
        assert row["deployment"] == DEPLOYMENT

    play(azurite, fake, work, names=[resource])


def test_files_are_waited_for_and_not_left_behind(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.set("main", slow_files=True)
    fake.batches.hold("main", "completed")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        batch = made
        for _ in range(4):
            batch = await parts.looked(made.id)
            await asyncio.sleep(0.02)
        assert (batch.status, batch.output_file) == ("finalizing", "")
        assert parts.usage.once == {}
        fake.batches.release("main")
        done = await parts.over(made.id)
        assert done.output_file
        assert asked(fake, "DELETE", "") == 3, "input, output and error file"

    play(azurite, fake, work)


def test_an_input_is_sent_with_the_resources_own_names_and_ids(azurite: Any, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        keeper = next(d for d in parts.registry.keepers.values() if d.number == 2)
        sealed = parts.registry.sealer(keeper.resource, parts.principal)("file-abcdefgh12345678")
        part = {"type": "file", "file": {"file_id": sealed}}
        lines = [a_line("a"), a_line("b", messages=[{"role": "user", "content": [part]}])]
        batch = await parts.over((await parts.made(*lines)).id)
        assert batch.bound == keeper.resource
        assert there(fake, batch, "main") == []
        (upload,) = [r for r in fake.requests if r.method == "POST" and r.path.split("?")[0].endswith("/files")]
        text = upload.raw.decode()
        assert f"tollgate-{batch.id}.jsonl" in text
        assert '"file_id":"file-abcdefgh12345678"' in text
        assert '"night"' not in text
        lost = await parts.made(a_line("a"), input_file="file-" + "0" * 32)
        assert (await parts.over(lost.id)).errors[0]["code"] == "input_file_gone"

    play(azurite, fake, work)


# Refusals.


@pytest.mark.parametrize("refusal", ["429", "400", "late"])
def test_a_full_queue_moves_a_batch(azurite: Any, fake: FakeAzure, refusal: str) -> None:
    fake.batches.set("main", tokens=0, refusal=refusal)

    async def work(parts: Parts) -> None:
        batch = await parts.over((await parts.made(a_line("a"))).id)
        assert batch.status == "completed"
        (one,) = batch.tries
        assert one.why.startswith(NOT_NOW)
        assert "token_limit_exceeded" in one.why
        assert batch.placement
        assert batch.placement.deployment != one.deployment
        assert (one.upstream_file, one.upstream_batch) == ("", ""), "taken away at the end"

    play(azurite, fake, work)


@pytest.mark.parametrize("refusal", ["429", "late"])
def test_a_batch_waits_while_every_queue_is_full(azurite: Any, fake: FakeAzure, refusal: str) -> None:
    for resource in ("main", "second"):
        fake.batches.set(resource, tokens=0, refusal=refusal)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        batch = made
        for _ in range(3):
            batch = await parts.looked(made.id)
            await asyncio.sleep(0.02)
        assert (batch.status, batch.in_progress_at) == ("validating", 0)
        assert len(batch.tries) <= 4
        fake.batches.set("second", tokens=None)
        done = await parts.over(made.id)
        assert done.status == "completed"
        assert asked(fake, "POST", "/files") == 2, "what was uploaded is used again"
        late = await parts.made(a_line("a"), expires_at=parts.clock() - 1)
        assert (await parts.over(late.id)).status == "expired"

    play(azurite, fake, work)


def test_what_nobody_takes_fails_with_the_reason_and_no_name(azurite: Any, fake: FakeAzure) -> None:
    for resource in ("main", "second"):
        fake.batches.set(resource, deployments={DEPLOYMENT: False})

    async def work(parts: Parts) -> None:
        batch = await parts.over((await parts.made(a_line("a"))).id)
        assert (batch.status, len(batch.tries)) == ("failed", 2)
        (error,) = batch.errors
        assert error["code"] == "invalid_request"
        assert DEPLOYMENT not in error["message"]
        assert "night" in error["message"]
        assert asked(fake, "DELETE", "") == 2, "nothing is left there"
        assert parts.usage.once == {}

    play(azurite, fake, work)


def test_a_batch_fails_where_its_lines_are_to_blame(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        batch = await parts.looked(made.id)
        assert batch.placement
        error = {"code": "model_mismatch", "message": f"see {DEPLOYMENT}", "line": 7, "param": "body.model"}
        fake.end_batch("main", batch.placement.upstream_batch, "failed", [error])
        done = await parts.over(made.id)
        assert done.errors == ({**error, "message": "see night"},)
        assert done.tries == ()

    play(azurite, fake, work)


def test_nobody_pays_with_a_key_that_is_gone(azurite: Any, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.keys.put_key(replace(parts.principal, disabled=True))
        batch = await parts.over(made.id)
        assert (batch.status, batch.errors[0]["code"]) == ("failed", "key_not_usable")
        assert asked(fake, "POST", "/files") == 0

    play(azurite, fake, work)


# Resources that die.


def test_a_dead_resource_is_passed_over_at_once(azurite: Any, fake: FakeAzure) -> None:
    fake.kill("main")

    async def work(parts: Parts) -> None:
        batch = await parts.over((await parts.made(a_line("a"))).id)
        assert (batch.status, [each.why for each in batch.tries]) == ("completed", [f"{NOT_NOW}unreachable"])
        assert parts.work.of("clear") == [], "nothing was sent there"

    play(azurite, fake, work)


def test_a_batch_moves_from_a_resource_that_dies_before_it_starts(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)
        fake.kill("main")
        assert (await parts.looked(made.id)).tries == (), "it may be back in a moment"
        parts.clock.forward(MOVE_SECONDS + 1)
        batch = await parts.over(made.id)
        assert batch.status == "completed"
        assert batch.tries[0].upstream_batch
        (row,) = there(fake, batch)
        await parts.engine.clear(batch.id, 1)
        assert len(parts.work.of("clear")) >= 2, "it is asked again"
        fake.revive("main")
        await parts.engine.clear(batch.id, 2)
        (row,) = [r for r in fake.batches.rows("main") if r["id"] == row["id"]]
        assert row["status"] in ("cancelling", "cancelled")
        assert [each.upstream_batch for each in (await parts.row(batch.id)).tries] == [""]
        before = len(parts.work.sent)
        await parts.engine.clear(batch.id, 3)
        assert len(parts.work.sent) == before
        assert list(parts.usage.once) == [batch.id]

    play(azurite, fake, work)


def test_a_batch_that_has_begun_waits_for_its_resource(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress", lines=1)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("b"))
        while (await parts.looked(made.id)).completed < 1:
            await asyncio.sleep(0.01)
        fake.kill("main")
        parts.clock.forward(3600)
        batch = await parts.looked(made.id)
        assert (batch.status, batch.tries) == ("in_progress", ())
        fake.revive("main")
        fake.batches.release("main")
        done = await parts.over(made.id)
        assert (done.status, done.completed) == ("completed", 2)

    play(azurite, fake, work)


class Deaf:
    """An upstream of which one kind of answer is lost: what was asked is done all the same."""

    def __init__(self, upstream: Any, ending: str, lost: Callable[[], None]) -> None:
        self._upstream, self._ending, self._lost = upstream, ending, lost

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        reply = await self._upstream.open(request, timeout)
        if request.method == "POST" and request.url.endswith(self._ending):
            await reply.close()
            self._lost()
            raise UpstreamFailed("reset", "lost")
        return reply


@pytest.mark.parametrize("ending", ["/files", "/batches"])
def test_a_lost_answer_makes_nothing_twice(azurite: Any, fake: FakeAzure, ending: str) -> None:
    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        deaf = replace(parts.engine, upstream=Deaf(parts.engine.upstream, ending, lambda: None))
        await replace(parts.looking, engines={"azure": deaf}).look(made.id)
        batch = await parts.over(made.id)
        assert (batch.status, batch.tries) == ("completed", ())
        assert (asked(fake, "POST", "/files"), asked(fake, "POST", "/batches")) == (1, 1)

    play(azurite, fake, work)


def test_a_batch_that_may_be_on_a_dead_resource_is_looked_for_when_it_is_back(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        before = len(fake.batches.rows("main"))
        made = await parts.made(a_line("a"))
        deaf = replace(parts.engine, upstream=Deaf(parts.engine.upstream, "/batches", lambda: fake.kill("main")))
        await replace(parts.looking, engines={"azure": deaf}).look(made.id)
        assert (await parts.looked(made.id)).placement
        parts.clock.forward(MOVE_SECONDS + 1)
        batch = await parts.over(made.id)
        assert (batch.status, batch.tries[0].upstream_batch) == ("completed", UNKNOWN)
        fake.revive("main")
        await parts.engine.clear(batch.id, 1)
        (left,) = fake.batches.rows("main")[before:]
        assert left["status"] in ("cancelling", "cancelled")

    play(azurite, fake, work)


def test_a_batch_that_its_resource_has_lost(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        batch = await parts.looked(made.id)
        assert batch.placement
        lost = replace(batch.placement, upstream_batch="batch_nobody")
        await parts.rows.change(made.id, lambda b: replace(b, placement=lost))
        assert (await parts.looked(made.id)).tries == (), "it may have been made just now"
        fake.batches.release("main")
        parts.clock.forward(MOVE_SECONDS + 1)
        assert (await parts.over(made.id)).status == "completed"
        silent = replace(lost, silent_since=parts.clock() - LATE_SECONDS - 1)
        begun = await parts.made(a_line("a"), status="in_progress", placement=silent)
        assert (await parts.over(begun.id)).errors[0]["code"] == "batch_lost"

    play(azurite, fake, work)


# Crashes and crowds.


class FailingRows:
    """Rows that fail at one write, before it or after it (its answer was lost)."""

    def __init__(self, rows: Any, at: int, *, after: bool) -> None:
        self._rows, self._at, self._after, self.count = rows, at, after, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    async def change(self, batch_id: str, edit: Any) -> Any:
        self.count += 1
        if self.count == self._at and not self._after:
            raise StoreUnavailable("down")
        changed = await self._rows.change(batch_id, edit)
        if self.count == self._at:
            raise StoreUnavailable("down")
        return changed


@pytest.mark.parametrize("after", [False, True])
def test_nothing_is_made_twice_wherever_a_process_ends(azurite: Any, fake: FakeAzure, after: bool) -> None:
    async def work(parts: Parts) -> None:
        for at in range(1, 30):
            before, uploads = len(fake.batches.rows("main")), asked(fake, "POST", "/files")
            made = await parts.made(a_line("a"))
            failing = FailingRows(parts.rows, at, after=after)
            with_failure = replace(parts.looking, rows=failing, engines={"azure": replace(parts.engine, rows=failing)})
            for _ in range(60):
                try:
                    if await with_failure.look(made.id) == "done":
                        break
                except StoreUnavailable:
                    parts.clock.forward(121)  # until the claim of the process that has ended runs out
                await asyncio.sleep(0.002)
            done = await parts.row(made.id)
            assert (done.status, done.told, done.tries) == ("completed", True, ()), at
            assert len(fake.batches.rows("main")) == before + 1, at
            assert asked(fake, "POST", "/files") == uploads + 1, at
            assert done.id in parts.usage.once
            if failing.count < at:
                return
        raise AssertionError("it never ran through")

    play(azurite, fake, work)


def test_many_looks_at_once_settle_once(azurite: Any, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("b"))
        while not (await parts.row(made.id)).ended:
            looks = [parts.looking.look(made.id) for _ in range(8)]
            assert all(found in ("busy", "open", "done") for found in await asyncio.gather(*looks))
            await asyncio.sleep(0.005)
        assert parts.usage.times == 1
        assert len(there(fake, await parts.row(made.id))) == 1
        assert asked(fake, "POST", "/files") == 1

    play(azurite, fake, work)


def test_a_claim_is_kept_however_long_a_step_takes(azurite: Any, fake: FakeAzure, monkeypatch: Any) -> None:
    monkeypatch.setattr(advancing, "CLAIM_SECONDS", 0.04)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), claimed_by="me", claimed_until=parts.clock() + 1)
        parts.clock.forward(1000)
        async with advancing.held(Claim(parts.rows, made.id, "me", parts.clock)):
            while (await parts.row(made.id)).claimed_until < parts.clock():
                await asyncio.sleep(0.01)
        await parts.rows.change(made.id, lambda b: replace(b, claimed_by="another"))
        with pytest.raises(advancing.Lost):
            await advancing.advance(parts.rows, Claim(parts.rows, made.id, "me", parts.clock), lambda b: b)

    play(azurite, fake, work)


# Ends that are none of its own.


def test_a_batch_is_cancelled_before_it_is_placed(azurite: Any, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.rows.change(made.id, lambda b: b.to("cancelling", parts.clock()))
        batch = await parts.over(made.id)
        assert (batch.status, asked(fake, "POST", "/files")) == ("cancelled", 0)

    play(azurite, fake, work)


def test_a_cancelled_batch_keeps_what_was_done(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress", lines=1)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("b"), a_line("c"))
        while (await parts.looked(made.id)).completed < 1:
            await asyncio.sleep(0.01)
        await parts.rows.change(made.id, lambda b: b.to("cancelling", parts.clock()))
        batch = await parts.over(made.id)
        assert (batch.status, batch.completed) == ("cancelled", 1)
        assert [row["custom_id"] for row in await parts.output(batch.output_file)] == ["a"]
        codes = [row["error"]["code"] for row in await parts.output(batch.error_file)]
        assert codes == ["batch_cancelled"] * 2
        assert (parts.record(batch).calls, parts.record(batch).calls_failed) == (1, 0)

    play(azurite, fake, work)


def test_a_lost_making_is_found_and_cancelled(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        placed = await parts.looked(made.id)
        assert placed.placement
        forgotten = replace(placed.placement, upstream_batch="", upstream_file="")
        await parts.rows.change(made.id, lambda b: replace(b, placement=forgotten).to("cancelling", parts.clock()))
        await parts.looked(made.id)
        fake.batches.release("main")
        batch = await parts.over(made.id)
        assert batch.status == "cancelled"
        assert [row["status"] for row in there(fake, batch)] == ["cancelled"]

    play(azurite, fake, work)


def test_a_cancelled_batch_does_not_wait_for_a_dead_resource(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"))
        await parts.looked(made.id)
        fake.kill("main")
        await parts.rows.change(made.id, lambda b: b.to("cancelling", parts.clock()))
        assert (await parts.looked(made.id)).status == "cancelling"
        parts.clock.forward(MOVE_SECONDS + 1)
        batch = await parts.looked(made.id)
        assert (batch.status, len(parts.work.of("clear"))) == ("cancelled", 1)
        fake.revive("main")
        await parts.engine.clear(made.id, 1)
        assert fake.batches.rows("main")[-1]["status"] in ("cancelling", "cancelled")

    play(azurite, fake, work)


def test_an_expired_batch_keeps_what_was_done(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "in_progress", lines=1)

    async def work(parts: Parts) -> None:
        made = await parts.made(a_line("a"), a_line("b"))
        while (await parts.looked(made.id)).completed < 1:
            await asyncio.sleep(0.01)
        batch = await parts.row(made.id)
        assert batch.placement
        fake.end_batch("main", batch.placement.upstream_batch, "expired")
        done = await parts.over(made.id)
        assert (done.status, done.completed) == ("expired", 1)
        assert [row["error"]["code"] for row in await parts.output(done.error_file)] == ["batch_expired"]
        assert parts.record(done).calls == 1

    play(azurite, fake, work)


# Which one.


def test_the_shorter_queue_takes_the_next_batch(azurite: Any, fake: FakeAzure) -> None:
    fake.batches.hold("main", "validating")
    fake.batches.hold("second", "validating")

    async def work(parts: Parts) -> None:
        long = await parts.made(a_line("a"), tokens=5_000_000)
        first = (await parts.looked(long.id)).placement
        second = (await parts.looked((await parts.made(a_line("a"))).id)).placement
        assert first
        assert second
        assert first.resource != second.resource
        third = (await parts.looked((await parts.made(a_line("a"))).id)).placement
        assert third
        assert third.resource == second.resource, "it is still far shorter"

    play(azurite, fake, work, balanced=True)


def test_without_balancing_the_first_in_order_takes_it(azurite: Any, fake: FakeAzure) -> None:
    async def work(parts: Parts) -> None:
        batches = [await parts.over((await parts.made(a_line("a"), tokens=9_000_000)).id) for _ in range(2)]
        assert all(len(there(fake, batch, "second")) == 1 for batch in batches)

    play(azurite, fake, work, rows=[{"order": 2}, {"order": 1}])
