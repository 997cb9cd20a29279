"""Queue triggers: polling, leases and their renewal, retries, the poison queue.

Knows the platform's queue rules and host.json's `queues`; nothing of how functions run.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ..contract import Function, Typed
from ..settings import seconds, setting
from .bindings import Invoker, fields
from .storage import or_create
from .work import Work

log = logging.getLogger("local.host")
LEASE = 600  # seconds that a message stays hidden while its function runs; renewed at half
LEASE_SETTING = "FUNCHOST_QUEUE_LEASE"  # other seconds, where nobody wants to wait for the messages of a killed host


class QueueListener:
    """One queue of one function."""

    def __init__(self, function: Function, invoker: Invoker, work: Work) -> None:
        self.function, self._invoker, self._work = function, invoker, work
        options = invoker.queue_settings
        self._batch = min(int(options.get("batchSize", 16)), 32)
        self._threshold = int(options.get("newBatchThreshold", self._batch // 2))
        self._most = int(options.get("maxDequeueCount", 5))
        self._delay = seconds(str(options.get("visibilityTimeout", "00:00:00")))
        self._lease = float(os.environ.get(LEASE_SETTING) or LEASE)
        self._longest_wait = seconds(str(options.get("maxPollingInterval", "00:00:02")))  # 1 minute in Azure

    def describe(self) -> str:
        return f"{self.function.name}: queueTrigger on '{setting(self.function.trigger['queueName'])}'"

    def _client(self, suffix: str = "") -> Any:
        trigger = self.function.trigger
        service = self._invoker.storage.queues(trigger.get("connection"))
        return service.get_queue_client(setting(trigger["queueName"]) + suffix)

    async def run(self) -> None:
        client, poison = self._client(), self._client("-poison")
        running: set[asyncio.Task[None]] = set()
        wait = 0.1
        while True:
            found = await self._receive(client)
            running |= {self._work.start(self._message(client, poison, message)) for message in found}
            while len(running) > (self._threshold if found else self._batch + self._threshold):
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running = {t for t in running if not t.done()}
            running = {t for t in running if not t.done()}
            wait = 0.1 if found else min(self._longest_wait, wait * 2 * random.uniform(0.8, 1.2))  # noqa: S311
            if not found:
                await asyncio.sleep(wait)

    async def _receive(self, client: Any) -> list[Any]:
        from azure.core.exceptions import ResourceNotFoundError

        pages = client.receive_messages(
            messages_per_page=self._batch, max_messages=self._batch, visibility_timeout=math.ceil(self._lease)
        )
        try:
            return [message async for message in pages]
        except ResourceNotFoundError:
            return []  # nobody has made the queue yet

    async def _message(self, client: Any, poison: Any, message: Any) -> None:
        """Run one message to its end: deleted, visible again, or poison."""
        settled, ended = False, asyncio.Event()
        renewal = asyncio.create_task(self._renew(client, message, ended))
        try:
            done = message.dequeue_count <= self._most and await self._run(message)
            await _end(renewal, ended)
            await self._settle(client, poison, message, done)
            settled = True
        except _Undecodable:
            await _end(renewal, ended)
            await self._to_poison(client, poison, message)
            settled = True
        finally:
            renewal.cancel()
            if not settled:  # the host is stopping: the next one shall not have to wait for the lease to end
                with suppress(Exception):
                    await asyncio.shield(client.update_message(message, visibility_timeout=0))

    async def _renew(self, client: Any, message: Any, ended: asyncio.Event) -> None:
        hidden = math.ceil(self._lease)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._lease / 2)
                return
            message.pop_receipt = (await client.update_message(message, visibility_timeout=hidden)).pop_receipt

    async def _run(self, message: Any) -> bool:
        try:
            body = self._invoker.decode(message.content)
        except ValueError as error:
            log.error("message %s for '%s' is not base64: %s", message.id, self.function.name, error)
            raise _Undecodable from None
        return await self._invoker.invoke(
            self.function,
            body,
            {
                "Id": ("string", message.id),
                "DequeueCount": ("string", str(message.dequeue_count)),
                "PopReceipt": ("string", message.pop_receipt),
                "InsertionTime": _when(message.inserted_on),
                "ExpirationTime": _when(message.expires_on),
                "NextVisibleTime": _when(message.next_visible_on),
                "QueueTrigger": body,
            },
            {"queueTrigger": body[1], "id": message.id, **fields(body[1])},  # a JSON body's own fields win
        )

    async def _settle(self, client: Any, poison: Any, message: Any, done: bool) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        if not done and message.dequeue_count >= self._most:
            await self._to_poison(client, poison, message)
            return
        with suppress(ResourceNotFoundError):  # deleted by the function itself, or with its queue
            if done:
                await client.delete_message(message)
            else:
                await client.update_message(message, visibility_timeout=int(self._delay))

    async def _to_poison(self, client: Any, poison: Any, message: Any) -> None:
        log.warning(
            "Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.", self._most, poison.queue_name
        )
        await or_create(poison, lambda: poison.send_message(message.content))
        await client.delete_message(message)

    async def by_hand(self, given: str) -> bool:
        now = datetime.now(UTC)
        return await self._invoker.invoke(
            self.function,
            ("string", given),
            {
                "Id": ("string", "by-hand"),
                "DequeueCount": ("string", "1"),
                "PopReceipt": ("string", ""),
                "InsertionTime": _when(now),
                "ExpirationTime": _when(now + timedelta(days=7)),
                "NextVisibleTime": _when(now),
                "QueueTrigger": ("string", given),
            },
            {"queueTrigger": given, "id": "by-hand", **fields(given)},
        )


async def _end(renewal: asyncio.Task[None], ended: asyncio.Event) -> None:
    """A renewal that is under way has to end: it changes the receipt by which the message is deleted."""
    ended.set()
    await asyncio.wait({renewal})


class _Undecodable(Exception):
    """The message can never be run."""


def _when(moment: datetime) -> Typed:
    return "string", moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
