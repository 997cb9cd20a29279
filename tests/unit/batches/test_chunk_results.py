"""A chunk's blob: every line has one answer, wherever a process ended and whoever else ran the chunk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.batches.batch import Batch, Figures, Payer
from shared.batches.own import chunk_results
from shared.batches.own.chunk_blob import ALIVE_SECONDS, ChunkBlob
from shared.batches.own.chunk_results import ChunkState, Result
from shared.ports import StoreUnavailable
from tests.support.chunks import MemoryFolder, used

NOW = 1_000_000.0
BLOB = "work/batch_1/00000"


def a_batch(**changed: Any) -> Batch:
    given: dict[str, Any] = {
        "id": "batch_" + "1" * 32, "payer": Payer("k" * 64, "name", "team", "team:team", tags=("tag",)),
        "alias": "gpt-4o", "endpoint": "/v1/chat/completions", "input_file": "file-" + "2" * 32, "lines": 3,
        "input_bytes": 0, "tokens": 0, "engine": "own", "source": "api", "created_at": NOW, "expires_at": NOW + 86400,
        "status": "in_progress", "chunks": 1,
    }  # fmt: skip
    return Batch(**(given | changed))


def result(index: int, status: int = 200, size: int = 20, **spent: Any) -> bytes:
    return Result(index, status, b"x" * size, used(**spent)).entry(NOW + index)


def loaded(folder: MemoryFolder) -> ChunkBlob:
    blob = ChunkBlob(folder, BLOB)  # type: ignore[arg-type]
    asyncio.run(blob.load())
    return blob


def held(folder: MemoryFolder, now: float = NOW, tries: int = 1) -> ChunkBlob:
    blob = ChunkBlob(folder, BLOB)  # type: ignore[arg-type]
    assert asyncio.run(blob.take(tries, now))
    return blob


def test_what_was_kept_is_found_again() -> None:
    folder = MemoryFolder()
    blob = held(folder)
    assert asyncio.run(blob.add(result(0) + result(2, 400) + result(1, deployment="second/gpt-4o")))
    assert asyncio.run(blob.add(chunk_results.tried(3, NOW, used(input_tokens=5))))
    again = loaded(folder).state
    assert again == blob.state or (again.answered, again.size, again.tallies) == (
        blob.state.answered, blob.state.size, blob.state.tallies,
    )  # fmt: skip
    assert again.answered == {0, 1, 2}
    assert again.tries == {3: 1}
    chunk = again.chunk(0, done=True)
    assert (chunk.completed, chunk.failed, chunk.done) == (2, 1, True)
    assert (chunk.figures.input_tokens, chunk.figures.cost_nanos) == (3 * 3 + 5, 4 * 7)


def test_one_record_for_each_deployment_the_same_whoever_makes_them() -> None:
    folder = MemoryFolder()
    blob = held(folder)
    asyncio.run(blob.add(result(0) + result(1, deployment="second/gpt-4o") + result(2, 500)))
    batch = a_batch()
    records = blob.state.records(batch, 7)
    assert records == loaded(folder).state.records(batch, 7)
    assert [(r.request_id, r.deployment, r.calls, r.calls_failed, r.at) for r in records] == [
        (f"{batch.id}-00007", "main/gpt-4o", 2, 1, NOW + 2),
        (f"{batch.id}-00007-1", "second/gpt-4o", 1, 0, NOW + 2),
    ]
    assert sum(r.cost.nanos for r in records) == 3 * 7
    assert {(r.engine, r.batch, r.tags) for r in records} == {("own", batch.id, ("tag",))}


def test_who_runs_a_chunk_has_it_alone() -> None:
    folder = MemoryFolder()
    first = held(folder)
    other = ChunkBlob(folder, BLOB)  # type: ignore[arg-type]
    assert not asyncio.run(other.take(1, NOW + 1)), "somebody was at it a second ago"
    assert asyncio.run(first.add(result(0)))
    later = held(folder, NOW + 1 + ALIVE_SECONDS)
    assert not asyncio.run(first.add(result(1))), "it has been taken over"
    assert asyncio.run(later.add(result(1)))
    assert loaded(folder).state.answered == {0, 1}


def test_a_message_that_comes_again_takes_over_at_once() -> None:
    folder = MemoryFolder()
    held(folder)
    assert not asyncio.run(ChunkBlob(folder, BLOB).take(1, NOW + 0.1))  # type: ignore[arg-type]
    held(folder, NOW + 0.1, tries=2)


def test_nothing_is_added_to_what_was_closed() -> None:
    folder = MemoryFolder()
    runner = held(folder)
    closer = loaded(folder)
    assert asyncio.run(closer.close(NOW))
    assert not asyncio.run(runner.add(result(0)))
    assert not asyncio.run(ChunkBlob(folder, BLOB).take(9, NOW + 999))  # type: ignore[arg-type]
    assert loaded(folder).state.answered == set()


def test_a_line_that_ends_its_process_is_known_by_its_number() -> None:
    folder = MemoryFolder()
    for tries in (3, 4, 5):
        blob = held(folder, NOW + tries, tries)
        asyncio.run(blob.add(chunk_results.alone(4, NOW)))
    state = loaded(folder).state
    assert (state.lone, state.alone) == (4, 3)
    asyncio.run(held(folder, tries=6).add(result(4)))
    assert loaded(folder).state.alone == 0
    for mark in (chunk_results.left(NOW), chunk_results.unasked(NOW), chunk_results.tried(5, NOW, None)):
        blob = held(folder, NOW + 1000, 7)
        asyncio.run(blob.add(chunk_results.alone(5, NOW)))
        assert blob.state.alone == 1
        asyncio.run(blob.add(mark))
        assert blob.state.alone == 0, "it has come to an end without harm"
        asyncio.run(blob.add(chunk_results.left(NOW)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000)), min_size=1, max_size=8), st.data())
def test_an_answer_counts_once_wherever_the_process_ended(ends: list[tuple[int, int]], data: st.DataObject) -> None:
    """Processes run the chunk one after the other; each keeps a few answers and dies in the middle of an append."""
    folder, lines = MemoryFolder(), 12
    for tries, (whole, size) in enumerate(ends, 1):
        blob = ChunkBlob(folder, BLOB)  # type: ignore[arg-type]
        assert asyncio.run(blob.take(tries, NOW))
        missing = [i for i in range(lines) if i not in blob.state.answered]
        for index in missing[:whole]:
            assert asyncio.run(blob.add(result(index, size=size)))
        if len(missing) > whole:
            entry = result(missing[whole], size=size)
            folder.most = data.draw(st.integers(0, len(entry) - 2))
            with pytest.raises(StoreUnavailable):
                asyncio.run(blob.add(entry))
    blob = held(folder, NOW, len(ends) + 1)
    for index in [i for i in range(lines) if i not in blob.state.answered]:
        asyncio.run(blob.add(result(index)))

    async def results() -> list[int]:
        return [head["i"] async for head, _ in ChunkBlob(folder, BLOB).results()]  # type: ignore[arg-type]

    assert sorted(asyncio.run(results())) == list(range(lines))
    state = loaded(folder).state
    assert state.answered == set(range(lines))
    (tally,) = state.tallies.values()
    assert (tally.calls, tally.cost.nanos) == (lines, 7 * lines)


def test_what_a_line_has_used_is_told_once_the_ledger_has_it() -> None:
    """A bad answer may have used something. Before any line of the chunk has its answer there is no record of it."""
    state = ChunkState()
    state.take(chunk_results.tried(0, NOW, used("one", input_tokens=5)))
    assert (state.records(a_batch(), 0), state.figures) == ([], Figures())
    state.take(Result(0, 200, b"{}", used("two", input_tokens=3)).entry(NOW))
    (record,) = state.records(a_batch(), 0)
    assert record.usage.input_tokens == state.figures.input_tokens == 8
    assert record.cost.nanos == state.figures.cost_nanos == 14
