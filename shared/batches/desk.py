"""All of it together: what clients, messages, events and timers bring is handed to whom it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from shared.batches.azure.engine import AzureEngine
from shared.batches.azure.webhooks import Webhooks
from shared.batches.callbacks import Callbacks
from shared.batches.deferred.deferring import Deferring
from shared.batches.dropped.drops import Drops
from shared.batches.files import Files
from shared.batches.looking import Looking
from shared.batches.own.engine import OwnEngine
from shared.batches.ports import Work
from shared.batches.retrying import Retrying
from shared.batches.service import BatchApi
from shared.call import Call
from shared.here import HereAnswer
from shared.ports import CallLog, OwnedObject
from shared.types import Json

_AGAIN = (60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0, 86400.0)
"""Seconds until a message that has failed is handed out again."""


@dataclass(frozen=True, slots=True)
class Batches:
    """here.Here, and the other side of the queues. Built once per configuration."""

    files: Files
    api: BatchApi
    looking: Looking
    azure: AzureEngine
    own: OwnEngine
    drops: Drops
    deferring: Deferring
    callbacks: Callbacks
    webhooks: Webhooks
    retrying: Retrying
    work: Work
    log: CallLog

    async def answer(self, call: Call) -> HereAnswer:
        if call.deferred:
            return await self.deferring.put_off(call)
        name = call.endpoint.name
        if name == "deferred_retrieve":
            return await self.deferring.fetch(call)
        return await (self.api if name.startswith("batches_") else self.files).answer(call)

    async def shown(self, call: Call, item: OwnedObject) -> Json | None:
        return await (self.api if call.endpoint.kind == "batch" else self.files).shown(call, item)

    async def on_look(self, message: bytes) -> None:
        """A message of the queue of looks. Raises StoreUnavailable: it comes again."""
        asked = self._read(message)
        match asked.get("do"):
            case "look":
                await self.looking.on_message(str(asked["batch"]), int(asked["turn"]))
            case "call back":
                await self.callbacks.send(str(asked["batch"]), int(asked["tries"]))
            case "close":
                await self.deferring.close(str(asked["group"]))
            case "clear":
                await self.azure.clear(str(asked["batch"]), int(asked["tries"]))
            case "retry":
                await self.retrying.on_message(str(asked["batch"]))
            case _:
                self.log.warning("a message is not understood", queue="looks")

    async def on_looks_poison(self, message: bytes) -> None:
        """What could not be done five times, in a storage account's bad minutes for instance, is tried later, with
        growing pauses for about two days."""
        asked = self._read(message)
        again = int(asked.get("again", 0))
        if asked and again < len(_AGAIN):
            await self.work.send("looks", {**asked, "again": again + 1}, _AGAIN[again])
        elif asked:
            self.log.warning("a message is given up", queue="looks", asked=asked)

    async def on_lines(self, message: bytes, tries: int) -> None:
        asked = self._read(message)
        if "batch" in asked:
            await self.own.run(str(asked["batch"]), int(asked["chunk"]), tries, self.looking)

    async def on_lines_poison(self, message: bytes) -> None:
        asked = self._read(message)
        if "batch" in asked:
            await self.own.give_up(str(asked["batch"]), int(asked["chunk"]), self.looking)

    def _read(self, message: bytes) -> Json:
        try:
            asked: Any = orjson.loads(message)
        except orjson.JSONDecodeError:
            asked = None
        if isinstance(asked, dict):
            return asked
        self.log.warning("a message is not understood")
        return {}
