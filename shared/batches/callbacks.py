"""A client's callback: told once a batch has ended, by a signed CloudEvent, again and again until it is taken.

Owns what is sent, how it is signed (Standard Webhooks 1.0, so that OpenAI's SDKs check it) and when it is tried again.
Where a callback may go is callback_addresses.py's; whoever sends it checks that once more, with the addresses behind
the name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import orjson

from shared import errors
from shared.batches.batch import Batch, batch_json
from shared.batches.callback_addresses import NotAllowed, Place, place_of
from shared.batches.ports import BatchRows, Work
from shared.batches.signing import PREFIX, signature
from shared.books.days import iso
from shared.objects import HERE, Registry
from shared.ports import CallLog, StoreUnavailable
from shared.types import Json

KIND = "tollgate.batch.ended"
"""The event's type. The operator's own event of the same fact is another, and says more (docs/events.md)."""
PAUSES = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 21600.0, 21600.0, 12230.0)
"""Seconds between tries, 24 hours in all; who has not taken it then does not hear of it."""
_GONE = 410
"""Says that nobody wants to hear of anything any more (Standard Webhooks 1.0)."""
_LATER = 30.0
"""Seconds until a callback is looked at again whose batch could not be read."""


class NotTaken(Exception):
    """There was no answer, or none may be asked for. The text is for the log: neither host nor address."""


class CallbackClient(Protocol):
    async def post(self, place: Place, headers: Mapping[str, str], body: bytes) -> int:
        """-> the status of the answer, whose body nobody reads. Raises NotTaken."""
        ...


@dataclass(frozen=True, slots=True)
class Callbacks:
    rows: BatchRows
    work: Work
    registry: Registry
    log: CallLog
    clock: Callable[[], float]
    pepper: bytes
    allowed: Collection[str]
    """CALLBACK_HOSTS: hosts (`host` or `host:port`) that may be called although they are private or have no TLS."""
    client: CallbackClient
    source: str
    """CloudEvents' attribute: this gateway."""

    def check(self, url: str) -> None:
        """Raises ApiError 400 for an address that can never be called."""
        try:
            place_of(url, self.allowed)
        except NotAllowed as error:
            raise errors.bad_request(
                f"'callback_url' cannot be called: {error}.", param="callback_url", code="invalid_callback_url"
            ) from None

    async def after_end(self, batch: Batch) -> None:
        """Raises StoreUnavailable."""
        if batch.callback_url and not batch.callback:
            await self._again(batch.id, 0, 0.0)

    async def send(self, batch_id: str, tries: int) -> None:
        """tries: how many there were. Raises StoreUnavailable when nothing can be done about it now."""
        try:
            batch = await self.rows.get(batch_id)
            if batch is None or not batch.ended or not batch.callback_url or batch.callback:
                return
            outcome = await self._try(batch, tries)
            if outcome == "again":
                await self._again(batch_id, tries + 1, PAUSES[tries])
            else:
                await self.rows.change(
                    batch_id, lambda b: None if b.callback == "sent" else replace(b, callback=outcome)
                )
        except StoreUnavailable:  # a message that fails is handed out five times, within seconds
            await self._again(batch_id, tries, _LATER)

    async def _try(self, batch: Batch, tries: int) -> Literal["sent", "again", "given_up"]:
        now = self.clock()
        body = orjson.dumps(self._event(batch))
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            **signed_headers(callback_secret(self.pepper, batch.payer.owner), event_id(batch.id), now, body),
        }
        try:
            status = await self.client.post(place_of(batch.callback_url, self.allowed), headers, body)
        except (NotTaken, NotAllowed) as error:
            status, why = 0, str(error)
        else:
            why = f"it answered {status}"
        if 200 <= status < 300:
            return "sent"
        over = status == _GONE or tries >= len(PAUSES)
        self.log.warning(
            "a callback was given up" if over else "a callback was not taken",
            batch=batch.id,
            tries=tries + 1,
            error=why,
        )
        return "given_up" if over else "again"

    def _event(self, batch: Batch) -> Json:
        seal = self.registry.sealer(HERE, batch.payer.principal)
        public = seal(batch.id)
        return {
            "specversion": "1.0",
            "id": event_id(batch.id),
            "source": self.source,
            "type": KIND,
            "subject": f"batches/{public}",
            "time": iso(batch.ended_at),
            "datacontenttype": "application/json",
            "data": batch_json(batch, seal),
        }

    async def _again(self, batch_id: str, tries: int, delay: float) -> None:
        await self.work.send("looks", {"do": "call back", "batch": batch_id, "tries": tries}, delay)


def event_id(batch_id: str) -> str:
    """The same for every try, so that a receiver knows what it has had."""
    return hashlib.sha256(f"callback|{batch_id}".encode()).hexdigest()[:32]


def callback_secret(pepper: bytes, owner: str) -> str:
    """By which callbacks to one owner are signed (Principal.owner); its form is that of OpenAI's webhooks."""
    key = hmac.digest(pepper, b"callback secret v1|" + owner.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return PREFIX + base64.b64encode(key).decode()


def signed_headers(secret: str, message_id: str, now: float, body: bytes) -> dict[str, str]:
    """As Standard Webhooks 1.0 has it."""
    key, at = base64.b64decode(secret.removeprefix(PREFIX)), str(int(now))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + signature(key, message_id, at, body),
    }
