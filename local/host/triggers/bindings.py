"""Runs a function with its input bindings filled and its output bindings written.

Knows queue and blob bindings and binding expressions; nothing of what triggered the function.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from ..contract import Binding, Function, HostError, Typed, Worker, WorkerFailure
from ..running import Running
from ..settings import Settings, setting
from .storage import Storage, or_create

log = logging.getLogger("local.host")


class Invoker:
    """One way to run any function that is not streaming HTTP."""

    def __init__(self, worker: Worker, settings: Settings, running: Running) -> None:
        self.storage = Storage()
        self.queue_settings = settings.queues
        self._worker, self._running = worker, running

    @property
    def plain_messages(self) -> bool:
        return str(self.queue_settings.get("messageEncoding", "")).lower() == "none"

    async def invoke(
        self,
        function: Function,
        value: Typed,
        metadata: dict[str, Typed] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether it succeeded. `values` are what {expressions} in the other bindings may name."""
        known = values or {}
        number = self._running.begin(function.name)
        try:
            inputs = {function.trigger["name"]: value, **await self._blob_inputs(function, known)}
            outputs = await self._worker.call(function, inputs, metadata or {})
            await self.write_outputs(function, outputs, known)
        except (WorkerFailure, HostError) as error:
            log.error("Executed '%s' (Failed)\n%s", function.name, str(error).rstrip())
            return False
        except Exception:  # storage, in the bindings: the function counts as failed, and the host goes on
            log.exception("Executed '%s' (Failed): its bindings", function.name)
            return False
        finally:
            took = self._running.end(number)
        log.info("Executed '%s' (Succeeded, %.0f ms)", function.name, took * 1e3)
        return True

    async def _blob_inputs(self, function: Function, values: Mapping[str, Any]) -> dict[str, Typed]:
        found: dict[str, Typed] = {}
        for binding in function.bindings:
            if binding["type"] == "blob" and str(binding.get("direction", "")).lower() == "in":
                container, name = expand(binding["path"], values).split("/", 1)
                blob = self.storage.blobs(binding.get("connection")).get_blob_client(container, name)
                found[binding["name"]] = ("bytes", await (await blob.download_blob()).readall())
        return found

    async def write_outputs(self, function: Function, outputs: Mapping[str, Typed], values: Mapping[str, Any]) -> None:
        for binding in function.outputs:
            if binding["name"] in outputs:
                await self.write(binding, outputs[binding["name"]], values)

    async def write(self, binding: Binding, given: Typed, values: Mapping[str, Any]) -> None:
        kind, value = given
        if binding["type"] == "queue":
            queue = self.storage.queues(binding.get("connection")).get_queue_client(setting(binding["queueName"]))
            for message in _messages(kind, value):
                text = self._encode(message)
                await or_create(queue, lambda text=text: queue.send_message(text))
        elif binding["type"] == "blob":
            container, name = expand(binding["path"], values).split("/", 1)
            client = self.storage.blobs(binding.get("connection")).get_container_client(container)
            await or_create(client, lambda: client.upload_blob(name, value, overwrite=True))
        else:
            raise HostError(
                f"This host writes queue and blob outputs; binding '{binding['name']}' is a '{binding['type']}'."
            )

    def _encode(self, body: str | bytes) -> str:
        raw = body if isinstance(body, bytes) else body.encode()
        return raw.decode() if self.plain_messages else base64.b64encode(raw).decode()

    def decode(self, content: str) -> Typed:
        """A queue message's body. ValueError when it is not base64."""
        if self.plain_messages:
            return "string", content
        raw = base64.b64decode(content, validate=True)
        try:
            return "string", raw.decode()
        except UnicodeDecodeError:
            return "bytes", raw


def _messages(kind: str, value: Any) -> list[str | bytes]:
    """What a queue output means: one message, or one for each item of a JSON list."""
    items: Any = json.loads(value) if kind == "json" else [value]
    made: list[str | bytes] = []
    for item in cast("list[Any]", items) if isinstance(items, list) else [items]:
        if isinstance(item, dict):
            item = cast("dict[str, Any]", item).get("body", json.dumps(item))
        made.append(item if isinstance(item, str | bytes) else json.dumps(item))
    return made


def expand(text: str, values: Mapping[str, Any]) -> str:
    """`{name}`, `{rand-guid}`, `{DateTime}` and `%SETTING%` in a path."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name.lower() == "rand-guid":
            return str(uuid.uuid4())
        if name.lower() == "datetime":
            return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        if name not in values:
            raise HostError(f"'{text}': nothing that triggered the function has a value for {{{name}}}.")
        return str(values[name])

    return re.sub(r"\{([\w.-]+)\}", value, setting(text))


def fields(body: Any) -> dict[str, Any]:
    """The fields of a JSON body, which binding expressions may name."""
    try:
        value: Any = json.loads(body)
    except (ValueError, TypeError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
