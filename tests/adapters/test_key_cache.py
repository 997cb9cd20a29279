"""Keys in memory: how old an answer may be, and what becomes of it while the store is down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.adapters.key_cache import MOST_ENTRIES, STALE_SECONDS, CachedKeys
from shared.ports import StoreUnavailable
from shared.principals import Principal
from tests.support.doubles import Clock, Lines, MemoryKeys

ADA = Principal("a" * 64, "ada")
BOUND = 30.0


class Scene:
    def __init__(self) -> None:
        self.clock, self.log, self.store = Clock(), Lines(), MemoryKeys(ADA)
        self.keys = CachedKeys(self.store, BOUND, self.clock, self.log)

    async def settled(self) -> None:
        """Let what runs in the background end."""
        for _ in range(5):
            await asyncio.sleep(0)


def test_warm_key_costs_no_read() -> None:
    async def work() -> None:
        scene = Scene()
        for _ in range(100):
            assert await scene.keys.get(ADA.key_id) == ADA
        assert scene.store.asked == 1

    asyncio.run(work())


def test_50_cold_calls_are_one_read() -> None:
    async def work() -> None:
        scene = Scene()
        assert set(await asyncio.gather(*(scene.keys.get(ADA.key_id) for _ in range(50)))) == {ADA}
        assert scene.store.asked == 1

    asyncio.run(work())


def test_entry_is_renewed_after_half_the_bound_and_nobody_waits() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.keys.get(ADA.key_id)
        scene.store.known[ADA.key_id] = replace(ADA, disabled=True)
        scene.clock.forward(BOUND / 2 - 1)
        assert await scene.keys.get(ADA.key_id) == ADA
        await scene.settled()
        assert scene.store.asked == 1
        scene.clock.forward(2)
        assert await scene.keys.get(ADA.key_id) == ADA  # nobody waits for the renewal
        await scene.settled()
        revoked = await scene.keys.get(ADA.key_id)
        assert revoked is not None
        assert revoked.disabled
        assert scene.store.asked == 2

    asyncio.run(work())


def test_entry_is_never_older_than_the_bound() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.keys.get(ADA.key_id)
        del scene.store.known[ADA.key_id]
        scene.clock.forward(BOUND)
        assert await scene.keys.get(ADA.key_id) is None

    asyncio.run(work())


def test_unknown_key_is_asked_for_again_soon() -> None:
    async def work() -> None:
        scene = Scene()
        late = replace(ADA, key_id="b" * 64)
        assert await scene.keys.get(late.key_id) is None
        scene.store.known[late.key_id] = late
        scene.clock.forward(4)
        assert await scene.keys.get(late.key_id) is None
        scene.clock.forward(2)
        assert await scene.keys.get(late.key_id) == late

    asyncio.run(work())


def test_good_key_works_through_an_outage() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.keys.get(ADA.key_id)
        scene.store.down = True
        waited = 0.0
        while waited < STALE_SECONDS - BOUND:
            scene.clock.forward(5)
            waited += 5
            assert await scene.keys.get(ADA.key_id) == ADA
            await scene.settled()
        assert scene.store.asked < waited / 5 + 2
        assert scene.log.warnings
        with pytest.raises(StoreUnavailable):
            await scene.keys.get("b" * 64)
        scene.store.down = False
        scene.store.known[ADA.key_id] = replace(ADA, disabled=True)
        scene.clock.forward(BOUND)
        revoked = await scene.keys.get(ADA.key_id)
        assert revoked is not None
        assert revoked.disabled

    asyncio.run(work())


def test_outage_ends_a_key_that_is_used_all_the_time_as_well() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.keys.get(ADA.key_id)
        scene.store.down = True
        for _ in range(int(STALE_SECONDS / 5)):
            scene.clock.forward(5)
            assert await scene.keys.get(ADA.key_id) == ADA
            await scene.settled()
        scene.clock.forward(5)
        with pytest.raises(StoreUnavailable):
            await scene.keys.get(ADA.key_id)

    asyncio.run(work())


def test_answer_is_as_old_as_its_question() -> None:
    """A store that is slow to answer must not make the bound longer."""

    async def work() -> None:
        scene = Scene()
        inner, answer = scene.store.get, asyncio.Event()

        async def slow(digest: str) -> Principal | None:
            found = await inner(digest)
            await answer.wait()
            return found

        scene.store.get = slow
        first = asyncio.ensure_future(scene.keys.get(ADA.key_id))
        await scene.settled()
        scene.clock.forward(BOUND - 1)
        answer.set()
        assert await first == ADA
        scene.store.known[ADA.key_id] = replace(ADA, disabled=True)
        scene.clock.forward(1)
        revoked = await scene.keys.get(ADA.key_id)
        assert revoked is not None
        assert revoked.disabled

    asyncio.run(work())


def test_outage_is_not_for_ever() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.keys.get(ADA.key_id)
        scene.store.down = True
        scene.clock.forward(STALE_SECONDS + 1)
        with pytest.raises(StoreUnavailable):
            await scene.keys.get(ADA.key_id)

    asyncio.run(work())


def test_caller_that_leaves_takes_nobody_with_it() -> None:
    async def work() -> None:
        scene = Scene()
        first, second = (asyncio.ensure_future(scene.keys.get(ADA.key_id)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == ADA

    asyncio.run(work())


def test_memory_is_bounded() -> None:
    """Strangers who try keys fill no memory, and a key that is used stays."""

    async def work() -> None:
        scene = Scene()
        for number in range(MOST_ENTRIES + 100):
            await scene.keys.get(f"{number:064}")
        await scene.keys.get(ADA.key_id)
        asked = scene.store.asked
        assert await scene.keys.get(ADA.key_id) == ADA
        assert scene.store.asked == asked
        await scene.keys.get(f"{0:064}")  # forgotten, so it is asked for again
        assert scene.store.asked == asked + 1

    asyncio.run(work())
