"""Blob triggers, by polling the container: each version of a blob runs once, and five failures are poison.

Event Grid cannot be had locally; with source=EventGrid only blobs made after the start count, as their events would.
Which versions ran is not kept across restarts. Knows nothing of how functions run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

from ..contract import Function
from ..settings import setting
from .bindings import Invoker
from .work import Work

MOST_TRIES = 5
AT_ONCE = 8
_POISON = "webjobs-blobtrigger-poison"


class BlobListener:
    """One function's container and name pattern."""

    def __init__(self, function: Function, invoker: Invoker, work: Work) -> None:
        self.function, self._invoker, self._work = function, invoker, work
        self._seen: dict[str, str] = {}  # blob name -> etag
        self._tries: dict[str, int] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def _path(self) -> tuple[str, str]:
        container, _, pattern = setting(self.function.trigger["path"]).partition("/")
        return container, pattern or "{name}"

    def describe(self) -> str:
        return f"{self.function.name}: blobTrigger on '{'/'.join(self._path())}'"

    def _client(self) -> Any:
        storage = self._invoker.storage
        return storage.blobs(self.function.trigger.get("connection")).get_container_client(self._path()[0])

    async def run(self) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        client, shape = self._client(), pattern_of(self._path()[1])
        pause = float(os.environ.get("FUNCHOST_BLOB_POLL", "1"))
        old_count = str(self.function.trigger.get("source", "")).lower() != "eventgrid"
        first = True
        while True:
            due: list[tuple[Any, dict[str, str]]] = []
            try:
                async for item in client.list_blobs(include=["metadata"]):
                    found = shape.fullmatch(item.name)
                    if first and not old_count:
                        self._seen[item.name] = item.etag
                    if found and self._seen.get(item.name) != item.etag:
                        due.append((item, found.groupdict()))
            except ResourceNotFoundError:
                due.clear()  # nobody has made the container yet
            first = False
            runs = [self._work.start(self._one(client, item, values)) for item, values in due]
            if runs:
                await asyncio.shield(asyncio.gather(*runs))
            await asyncio.sleep(pause)

    async def _one(self, client: Any, item: Any, values: dict[str, str]) -> bool:
        """One try; the next round tries again unless it was the last."""
        from azure.core.exceptions import ResourceNotFoundError

        async with self._slots:
            blob = client.get_blob_client(item.name)
            try:
                data = await (await blob.download_blob()).readall()
            except ResourceNotFoundError:
                return False  # deleted since it was listed
            facts = {
                "ContentLength": item.size,
                "ETag": item.etag,
                "ContentType": item.content_settings.content_type,
            }
            done = await self._invoker.invoke(
                self.function,
                ("bytes", data),
                {
                    "BlobTrigger": ("string", f"{client.container_name}/{item.name}"),
                    "Uri": ("json", json.dumps(blob.url)),
                    "Properties": ("json", json.dumps(facts)),
                    "Metadata": ("json", json.dumps(item.metadata or {})),
                    **{k: ("string", v) for k, v in values.items()},
                },
                values,
            )
        self._tries[item.name] = tries = self._tries.get(item.name, 0) + 1
        if done or tries >= MOST_TRIES:
            self._seen[item.name] = item.etag
            del self._tries[item.name]
            if not done:
                await self._poison(client.container_name, item)
        return done

    async def _poison(self, container: str, item: Any) -> None:
        message = {
            "Type": "BlobTrigger",
            "FunctionId": f"Host.Functions.{self.function.name}",
            "BlobType": "BlockBlob",
            "ContainerName": container,
            "BlobName": item.name,
            "ETag": item.etag,
        }
        queue = {
            "type": "queue", "name": "poison", "queueName": _POISON,
            "connection": self.function.trigger.get("connection"),
        }  # fmt: skip
        await self._invoker.write(queue, ("string", json.dumps(message)), {})

    async def by_hand(self, given: str) -> bool:
        """The input is the blob's path, `container/name`."""
        container, pattern = self._path()
        name = given.removeprefix(f"{container}/")
        found = pattern_of(pattern).fullmatch(name)
        client = self._client()
        async for item in client.list_blobs(name_starts_with=name, include=["metadata"]):
            if item.name == name:
                return await self._one(client, item, found.groupdict() if found else {})
        return False


def pattern_of(path: str) -> re.Pattern[str]:
    """`in/{name}.txt` as a regex with a group for each name."""
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join(f"(?P<{p[1:-1]}>.+)" if p.startswith("{") else re.escape(p) for p in parts))
