"""Messages to ourselves in a real Azurite."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from azure.storage.queue.aio import QueueClient

from shared.adapters.work_queue import QUEUES, QueueWork
from shared.ports import StoreUnavailable
from tests.support.own_azurite import dead_connection_string

type Clients = Callable[[str], QueueClient]


def play(connection: str, prefix: str, work: Callable[[QueueWork, Clients], Awaitable[None]]) -> None:
    """With queues of the test's own."""

    async def whole() -> None:
        made: dict[str, QueueClient] = {}

        def make(name: str) -> QueueClient:
            if name not in made:
                made[name] = QueueClient.from_connection_string(connection, prefix + name, retry_total=0)
            return made[name]

        try:
            await work(QueueWork(make), make)
        finally:
            for client in made.values():
                await client.close()

    asyncio.run(whole())


async def taken(client: QueueClient) -> list[Any]:
    """As a queue trigger reads them."""
    found = [message async for message in client.receive_messages(max_messages=32)]
    return [orjson.loads(base64.b64decode(message.content, validate=True)) for message in found]


def test_messages_arrive_in_their_queues(azurite: Any) -> None:
    async def work(queues: QueueWork, client: Clients) -> None:
        await asyncio.gather(*(queues.send("looks", {"do": "look", "batch": "<ü>", "turn": n}) for n in range(3)))
        await queues.send_all("lines", [{"batch": "b", "chunk": n} for n in range(20)])
        await queues.send("drops", {"eventType": "x"})
        looks = await taken(client(QUEUES["queue_batch_looks"]))
        assert sorted(message["turn"] for message in looks) == [0, 1, 2]
        assert {message["batch"] for message in looks} == {"<ü>"}
        lines = await taken(client(QUEUES["queue_batch_lines"]))
        assert sorted(message["chunk"] for message in lines) == list(range(20))
        assert await taken(client(QUEUES["queue_batch_drops"])) == [{"eventType": "x"}]

    play(azurite.connection_string, "arrive-", work)


def test_a_message_may_come_later_and_never_runs_out(azurite: Any) -> None:
    async def work(queues: QueueWork, client: Clients) -> None:
        looks = client(QUEUES["queue_batch_looks"])
        await queues.send("looks", {"n": 1}, 30 * 86400)
        await queues.send("looks", {"n": 2}, -5)
        await queues.send("looks", {"n": 3}, 0.2)
        assert await taken(looks) == [{"n": 2}]
        (peeked,) = [message async for message in looks.receive_messages()] or [None]
        assert peeked is None
        (properties, *_) = [await looks.get_queue_properties()]
        assert properties.approximate_message_count == 3

    play(azurite.connection_string, "later-", work)


def test_a_queue_that_does_not_answer() -> None:
    async def work(queues: QueueWork, _client: Clients) -> None:
        with pytest.raises(StoreUnavailable):
            await queues.send("looks", {})
        with pytest.raises(StoreUnavailable):
            await queues.send_all("lines", [{}, {}])

    play(dead_connection_string(), "dead-", work)
