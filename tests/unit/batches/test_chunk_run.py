"""A chunk being run, with a pipeline that answers as it is told and a clock that is real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from shared.batches.own import chunk_run
from shared.batches.own.asked_lines import AskedLine, endpoint_for, lines_of
from shared.batches.own.chunk_blob import ChunkBlob
from shared.batches.own.chunk_run import ChunkRun, Ended
from shared.ports import StoreUnavailable
from shared.principals import Principal
from tests.support.chunks import MemoryFolder, ToldLines, bad, good
from tests.support.doubles import Lines as Log
from tests.unit.batches.test_chunk_results import a_batch

BLOB = "work/batch_1/00000"
WHO = Principal("k" * 64, "name")


def lines(count: int) -> list[AskedLine]:
    return [AskedLine(n, f"c-{n}", {"text": f"t{n}"}) for n in range(count)]


@dataclass
class Scene:
    """One run after the other over the same blob."""

    count: int = 10
    told: ToldLines = field(default_factory=ToldLines)
    folder: MemoryFolder = field(default_factory=MemoryFolder)
    runs: Callable[[], bool] = lambda: True
    payer: Callable[[], Principal | None] = lambda: WHO
    careful: bool = False
    log: Log = field(default_factory=Log)
    tries: int = 0
    run: ChunkRun | None = None
    now: float = 1_000_000.0

    def clock(self) -> float:
        return self.now + asyncio.get_running_loop().time()

    async def go(self) -> Ended:
        self.tries += 1
        blob = ChunkBlob(self.folder, BLOB)  # type: ignore[arg-type]
        assert await blob.take(self.tries, self.clock())

        async def runs() -> bool:
            return self.runs()

        async def progressed() -> None:
            return None

        async def payer() -> Principal | None:
            return self.payer()

        batch = a_batch(lines=self.count, expires_at=self.now + 1e9)
        self.run = ChunkRun(
            batch, endpoint_for(batch), lines(self.count), blob, self.told, payer, self.careful, runs, progressed,
            self.log, self.clock,
        )  # fmt: skip
        return await self.run.go()

    def kept(self) -> dict[str, dict[str, Any]]:
        """custom_id -> the line that was kept; each once."""

        async def read() -> list[Any]:
            return [orjson.loads(line) async for _, line in ChunkBlob(self.folder, BLOB).results()]  # type: ignore[arg-type]

        found = asyncio.run(read())
        assert len({each["custom_id"] for each in found}) == len(found)
        return {each["custom_id"]: each for each in found}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long: what happens after seconds happens after hundredths of them."""
    monkeypatch.setattr(chunk_run, "PAUSES", (0.01, 0.01, 0.01, 0.01))
    monkeypatch.setattr(chunk_run, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(chunk_run, "GRACE_SECONDS", 0.05)


def test_every_line_is_asked_and_kept_as_the_api_tells_it() -> None:
    scene = Scene(60)
    assert asyncio.run(scene.go()) == "done"
    assert len(scene.told.asked) == 60
    assert 4 <= scene.told.most <= chunk_run.MOST_AT_ONCE
    kept = scene.kept()["c-7"]
    assert kept.pop("id").startswith("batch_req_")
    assert kept == {
        "custom_id": "c-7",
        "response": {"status_code": 200, "request_id": "req_t7", "body": {"said": "t7"}},
        "error": None,
    }
    assert scene.told.bodies[0] == {"text": "t0", "model": "gpt-4o"}


def test_of_large_answers_fewer_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "MOST_COMING", 4000)
    scene = Scene(40)

    def say(text: str) -> Any:
        if int(text[1:]) > 2 * chunk_run.FIRST_WIDTH:
            assert scene.told.at_once <= 2
        return replace(good(text), body={"image": "x" * 1500})

    scene.told.say = say
    assert asyncio.run(scene.go()) == "done"
    assert set(_statuses(scene).values()) == {200}


def test_what_asked_for_the_batch_goes_no_further() -> None:
    batch = a_batch()
    content = orjson.dumps({"custom_id": "a", "method": "POST", "url": "/x", "body": {"service_tier": "batch", "n": 1}})
    (line,) = lines_of(content + b"\n\n")
    request = line.request(endpoint_for(batch), "gpt-4o")
    assert (request.endpoint, orjson.loads(request.body)) == ("chat_completions", {"n": 1, "model": "gpt-4o"})


def test_a_bad_answer_is_asked_for_again_and_counted_over_runs() -> None:
    scene = Scene(2)
    scene.told.say = lambda text: bad(500) if text == "t0" else good(text)
    assert asyncio.run(scene.go()) == "done"
    assert scene.told.asked.count("t0") == 1 + len(chunk_run.PAUSES)
    assert scene.kept()["c-0"]["response"]["status_code"] == 500
    assert scene.kept()["c-1"]["response"]["status_code"] == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
def test_a_line_that_is_wrong_itself_is_asked_once(status: int) -> None:
    scene = Scene(1)
    scene.told.say = lambda _: bad(status)
    assert asyncio.run(scene.go()) == "done"
    assert scene.told.asked == ["t0"]
    assert scene.kept()["c-0"]["response"]["status_code"] == status


def test_where_there_is_no_room_nothing_is_lost_and_fewer_are_asked() -> None:
    scene = Scene(40)
    refused: list[str] = []

    def say(text: str) -> Any:
        if len(refused) < 12:
            refused.append(text)
            return bad(429, retry_after=0.01)
        return good(text)

    scene.told.say = say
    assert asyncio.run(scene.go()) == "done"
    assert set(_statuses(scene).values()) == {200}
    assert len(scene.told.asked) == 40 + 12


def _statuses(scene: Scene) -> dict[str, int]:
    return {name: line["response"]["status_code"] for name, line in scene.kept().items()}


def test_without_room_for_long_the_place_is_given_away_and_the_next_run_goes_on() -> None:
    scene = Scene(10)
    scene.told.say = lambda text: good(text) if text in ("t0", "t1") else bad(429, retry_after=120.0)
    assert asyncio.run(scene.go()) == "again"
    assert scene.run is not None
    assert 100 < scene.run.pause <= 120
    assert set(scene.kept()) == {"c-0", "c-1"}
    scene.told.say = good
    scene.told.asked.clear()
    assert asyncio.run(scene.go()) == "done"
    assert sorted(scene.told.asked) == [f"t{n}" for n in range(2, 10)]
    assert len(scene.kept()) == 10


def test_a_chunk_without_any_room_gives_its_place_away_at_once_and_comes_back_ever_later() -> None:
    """However soon the refusals say that there may be room: other batches have some, and wait for a place."""
    scene = Scene(10)
    scene.told.say = lambda _: bad(429, retry_after=chunk_run.FIRST_PATIENCE + 0.5)
    pauses: list[float] = []
    for _ in range(3):
        assert asyncio.run(scene.go()) == "again"
        assert scene.run is not None
        pauses.append(scene.run.pause)
    assert pauses == [5.0, 10.0, 20.0]
    assert len(scene.told.asked) == 3 * chunk_run.FIRST_WIDTH
    scene.told.say = lambda text: good(text) if text == "t0" else bad(429, retry_after=60.0)
    assert asyncio.run(scene.go()) == "again"
    scene.told.say = lambda _: bad(429, retry_after=3.0)
    assert asyncio.run(scene.go()) == "again"
    assert scene.run
    assert scene.run.pause == 5.0


def test_room_that_is_always_a_moment_away_is_not_waited_for_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "FIRST_PATIENCE", 0.05)
    scene = Scene(1)
    scene.told.say = lambda _: bad(429, retry_after=0.02)
    assert asyncio.run(scene.go()) == "again"
    assert 1 < len(scene.told.asked) < 6


def test_a_key_that_is_revoked_while_a_chunk_runs_pays_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "PAYER_SECONDS", 0.0)
    scene = Scene(30)
    scene.told.gate = gate = asyncio.Event()

    def payer() -> Principal | None:
        if not scene.told.asked:
            return WHO
        gate.set()
        return None

    scene.payer = payer
    assert asyncio.run(scene.go()) == "done"
    assert len(scene.told.asked) == chunk_run.FIRST_WIDTH
    codes = [line["error"]["code"] for line in scene.kept().values() if line["error"]]
    assert codes == ["key_gone"] * (30 - chunk_run.FIRST_WIDTH)


def test_a_look_that_storage_does_not_answer_costs_no_call_that_is_under_way() -> None:
    scene = Scene(chunk_run.FIRST_WIDTH)
    scene.told.gate = gate = asyncio.Event()

    def runs() -> bool:
        gate.set()
        raise StoreUnavailable("down")

    scene.runs = runs
    assert asyncio.run(scene.go()) == "done"
    assert len(scene.told.asked) == len(scene.kept()) == chunk_run.FIRST_WIDTH


def test_a_refusal_that_lasts_longer_than_the_batch_is_its_answer() -> None:
    scene = Scene(1)
    scene.told.say = lambda _: bad(429, retry_after=1e12)
    assert asyncio.run(scene.go()) == "done"
    assert _statuses(scene) == {"c-0": 429}


def test_a_batch_that_is_stopped_keeps_what_was_answered_and_asks_no_more() -> None:
    scene = Scene(50)
    scene.told.gate = gate = asyncio.Event()

    def runs() -> bool:
        gate.set()  # what is under way when it is found out is answered after that
        return False

    scene.runs = runs
    assert asyncio.run(scene.go()) == "stopped"
    assert len(scene.kept()) == len(scene.told.asked) == chunk_run.FIRST_WIDTH


def test_what_never_answers_does_not_keep_a_batch_from_stopping() -> None:
    scene = Scene(3)
    scene.told.gate = asyncio.Event()
    scene.runs = lambda: False
    assert asyncio.run(scene.go()) == "stopped"
    assert scene.kept() == {}
    assert scene.told.at_once == 0, "nothing is under way any more"


def test_a_careful_run_asks_one_line_at_a_time_and_says_which() -> None:
    scene = Scene(5, careful=True)

    def say(text: str) -> Any:
        blob = scene.run.blob if scene.run else None
        assert blob is not None
        assert blob.state.alone == 1
        assert blob.state.lone == int(text[1:])
        return good(text)

    scene.told.say = say
    assert asyncio.run(scene.go()) == "done"
    assert scene.told.most == 1
    assert len(scene.kept()) == 5


def test_after_some_careful_lines_the_chunk_goes_on_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "CAREFUL_LINES", 3)
    scene = Scene(9, careful=True)
    assert asyncio.run(scene.go()) == "again"
    assert len(scene.kept()) == 3
    scene.careful = False
    assert asyncio.run(scene.go()) == "done"
    assert len(scene.kept()) == 9


def test_who_has_lost_the_chunk_stops() -> None:
    scene = Scene(8)

    def say(text: str) -> Any:
        scene.folder.blobs[BLOB] += b"{}\n"  # somebody else adds something
        return good(text)

    scene.told.say = say
    assert asyncio.run(scene.go()) == "lost"
    assert scene.kept() == {}


def test_without_a_key_the_rest_gets_an_error_that_says_so() -> None:
    scene = Scene(3, payer=lambda: None)
    assert asyncio.run(scene.go()) == "done"
    assert scene.told.asked == []
    assert {line["error"]["code"] for line in scene.kept().values()} == {"key_gone"}


def test_an_unexpected_failure_is_the_lines_own_and_storage_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_run, "STORAGE_PAUSE", 0.01)
    scene = Scene(3)
    down = ["t1"]

    def say(text: str) -> Any:
        if text == "t0":
            return ValueError("a bug")
        return StoreUnavailable("down") if text in down and down.pop() else good(text)

    scene.told.say = say
    assert asyncio.run(scene.go()) == "done"
    kept = scene.kept()
    assert kept["c-0"]["error"]["code"] == "internal_error"
    assert "bug" not in str(kept)
    assert kept["c-1"]["response"]["status_code"] == 200
    assert [message for message, _ in scene.log.warnings] == ["a line of a batch failed"]


def test_storage_that_goes_away_ends_the_run_with_nothing_under_way() -> None:
    scene = Scene(30)

    def say(text: str) -> Any:
        scene.folder.down = True
        return good(text)

    scene.told.say = say
    with pytest.raises(StoreUnavailable):
        asyncio.run(scene.go())
    assert scene.told.at_once == 0
    scene.folder.down = False
    scene.told.say = good
    assert asyncio.run(scene.go()) == "done"
    assert len(scene.kept()) == 30
