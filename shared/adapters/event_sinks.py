"""Where events go: an Event Grid topic, or a queue of the storage account. Sends CloudEvents; keeps nothing.

Knows nothing of which events there are, nor of when they are tried again (operations/events.py). The queue's SDK is
imported when it is first used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from shared.adapters.azure_errors import told
from shared.errors import UpstreamFailed
from shared.ports import Tokens
from shared.redact import redact
from shared.types import Credential, Secret

if TYPE_CHECKING:
    import httpx

GRID_SCOPE = "https://eventgrid.azure.net/.default"
GRID_API = "2018-01-01"
_BATCH = "application/cloudevents-batch+json; charset=utf-8"
_CREDENTIAL = Credential("default", scope=GRID_SCOPE)
_REFUSED = frozenset({400, 413, 422})
"""The sink takes none of these events as they are; others may pass."""

type Json = Mapping[str, Any]


class SinkFailed(Exception):
    """Nothing of what was given is known to have arrived. `refused`: it never will; else it may be tried again."""

    def __init__(self, message: str, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Sink(Protocol):
    name: str
    """What operators see."""
    batch: int
    """Events that one call of `send` takes at the most."""

    async def send(self, events: Sequence[Json]) -> None:
        """All of them or, as far as is known, none. Raises SinkFailed."""
        ...


class EventGridTopic:
    """A topic whose input schema is CloudEvents 1.0. With a key, else by the app's identity (role EventGrid Data
    Sender)."""

    batch = 30
    """Of at most 30 KB each: Azure takes a megabyte."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: Secret, tokens: Tokens) -> None:
        self.name = "the Event Grid topic"
        self._http = http
        self._url = url if "api-version=" in url else f"{url}{'&' if '?' in url else '?'}api-version={GRID_API}"
        self._key = key.reveal()
        self._tokens = tokens

    async def send(self, events: Sequence[Json]) -> None:
        body = orjson.dumps(list(events))
        if self._key:
            status, said = await self._post(body, {"aeg-sas-key": self._key})
        else:
            status, said = await self._post_by_identity(body)
        if not 200 <= status < 300:
            raise SinkFailed(f"{self.name} answered {status}: {said}", refused=status in _REFUSED)

    async def _post_by_identity(self, body: bytes) -> tuple[int, str]:
        status, said = 401, ""
        for _ in range(2):  # a token that is no longer accepted is replaced once
            try:
                token = await self._tokens.get(_CREDENTIAL)
            except UpstreamFailed as error:
                raise SinkFailed(f"no token for {self.name}: {error.detail}") from error
            status, said = await self._post(body, {"authorization": f"Bearer {token}"})
            if status != 401:
                break
            self._tokens.refuse(_CREDENTIAL, token)
        return status, said

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        import httpx

        try:
            answer = await self._http.post(self._url, content=body, headers={**headers, "content-type": _BATCH})
        except httpx.HTTPError as error:
            raise SinkFailed(f"{self.name} does not answer: {type(error).__name__}") from error
        return answer.status_code, _said(answer.text)


class StorageQueue:
    """A queue, made when it is missing. A message is one event, in base64 as queue triggers of Azure Functions read
    them. `make` builds the SDK's QueueClient, inside the running loop."""

    batch = 1

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = f"the queue {name}"
        self._make = make
        self._client: Any = None

    async def send(self, events: Sequence[Json]) -> None:
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
        from azure.storage.queue import TextBase64EncodePolicy

        if self._client is None:
            self._client = self._make()
        encode = TextBase64EncodePolicy()
        try:
            for event in events:
                text = encode.encode(orjson.dumps(event).decode())
                try:
                    await self._client.send_message(text)
                except ResourceNotFoundError:
                    with contextlib.suppress(ResourceExistsError):  # another instance was quicker
                        await self._client.create_queue()
                    await self._client.send_message(text)
        except AzureError as error:
            status = error.status_code if isinstance(error, HttpResponseError) else None
            raise SinkFailed(f"{self.name}: {_said(told(error, 'queue'))}", refused=status in _REFUSED) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


def _said(text: str) -> str:
    """The first line of an answer, without hosts and tokens."""
    return redact(text.strip().partition("\n")[0], {})[:300] or "no reason"


QUEUE = "queue:"


def queue_name(setting: str) -> str:
    """`queue:NAME` -> NAME; empty for anything else."""
    return setting.removeprefix(QUEUE) if setting.startswith(QUEUE) else ""


def sink_of(
    setting: str, key: Secret, http: Callable[[], httpx.AsyncClient], tokens: Tokens, queue: Callable[[str], Any]
) -> Sink | None:
    """The sink that the setting EVENTS names, None for none. `queue(NAME)` builds the SDK's client."""
    if name := queue_name(setting):
        return StorageQueue(name, lambda: queue(name))
    return EventGridTopic(http(), setting, key, tokens) if setting else None
