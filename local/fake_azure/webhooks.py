"""Azure OpenAI's webhooks: events that are signed as Standard Webhooks has it and sent to the addresses that asked.

Owns the addresses, the signing and the sending, also twice or late when that was ordered. Knows no batch.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson

Json = dict[str, Any]
EVENTS = ("batch.completed", "batch.failed", "batch.expired", "batch.cancelled")
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_BACK_OFF = 0.02


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    secret: str
    events: Sequence[str]
    name: str = ""
    copies: int = 1  # of each delivery, with the same id
    delay: float = 0.0  # seconds before each copy
    attempts: int = 3  # of each copy, until the address answers with 2xx
    id: str = field(default_factory=lambda: f"we_{secrets.token_hex(16)}")
    created_at: int = field(default_factory=lambda: int(time.time()))


class Webhooks:
    """Addresses may be registered from any thread; sending has to happen on the fake's loop."""

    def __init__(self) -> None:
        self._addresses: dict[str, list[Address]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.deliveries: list[Json] = []

    def register(self, resource: str, url: str, secret: str = "", events: Sequence[str] = EVENTS, **more: Any) -> Json:
        """-> {"id": …, "secret": …}: the secret that was given, or a new one. `more`: name, copies, delay, attempts."""
        known = secret or new_secret()
        signature(known, "", 0, b"")  # a secret that cannot sign is refused here
        made = Address(url, known, checked(events), **more)
        self._addresses.setdefault(resource, []).append(made)
        return {"id": made.id, "secret": known}

    def of(self, resource: str) -> list[Address]:
        return list(self._addresses.get(resource, ()))

    def change(self, resource: str, address: str, **changes: Any) -> None:
        """`url`, `name`, `events`, `copies`, `delay`, `attempts`."""
        if "events" in changes:
            changes["events"] = checked(changes["events"])
        self._addresses[resource] = [replace(row, **changes) if row.id == address else row for row in self.of(resource)]

    def remove(self, resource: str, address: str) -> None:
        self._addresses[resource] = [row for row in self.of(resource) if row.id != address]

    def clear(self) -> None:
        self._addresses.clear()
        self.deliveries.clear()

    def announce(self, resource: str, event: str, batch: str) -> None:
        """To every address of the resource that wants to hear of it."""
        for address in self.of(resource):
            if event in address.events:
                self._begin(address, _payload(event, batch))

    async def send(
        self, resource: str, event: str, batch: str, secret: str = "", age: float = 0.0, webhook_id: str = ""
    ) -> None:
        """One event at will, true or not, to all addresses of the resource; returns when it was sent. `secret`: another
        than the address knows. `age`: how old its time stamp says it is. `webhook_id`: of an earlier delivery."""
        payload = _payload(event, batch)
        for address in self.of(resource):
            await self._deliver(address, payload, webhook_id, secret, age)

    async def stop(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _begin(self, address: Address, payload: Json) -> None:
        task = asyncio.get_running_loop().create_task(self._all(address, payload))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _all(self, address: Address, payload: Json) -> None:
        webhook_id = f"wh_{secrets.token_hex(16)}"
        for copy in range(address.copies):
            if address.delay or copy:
                await asyncio.sleep(address.delay)
            for attempt in range(address.attempts):
                if await self._deliver(address, payload, webhook_id):
                    break
                await asyncio.sleep(_BACK_OFF * 2**attempt)

    async def _deliver(
        self, address: Address, payload: Json, webhook_id: str = "", secret: str = "", age: float = 0.0
    ) -> bool:
        webhook_id = webhook_id or f"wh_{secrets.token_hex(16)}"
        body, at = orjson.dumps(payload), int(time.time() - age)
        headers = {
            "User-Agent": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)",
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(secret or address.secret, webhook_id, at, body),
        }
        told: Json = {"id": webhook_id, "type": payload["type"], "batch": payload["data"]["id"], "url": address.url}
        self.deliveries.append(told)
        status, error = await self._post(address.url, body, headers)
        told.update(status=status, error=error)
        return status is not None and 200 <= status < 300

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return answer.status, ""
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, type(error).__name__


def checked(events: Sequence[str]) -> tuple[str, ...]:
    unknown = set(events) - set(EVENTS)
    if unknown:
        raise ValueError(f"unknown events: {', '.join(sorted(unknown))}; known: {', '.join(EVENTS)}")
    return tuple(events)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, webhook_id: str, at: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{webhook_id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _payload(event: str, batch: str) -> Json:
    made = {"object": "event", "id": f"evt_{secrets.token_hex(16)}", "type": event, "created_at": int(time.time())}
    return {**made, "data": {"id": batch}}
