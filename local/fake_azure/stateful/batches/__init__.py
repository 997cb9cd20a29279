"""Batches: a file of requests that are answered in the background, and a file of answers.

Owns the operations on the routes, the limits, and the tasks. How a batch lives is `life.py`, what it is made from
`intake.py`, how it is told `dress.py`, how its lines are answered `lines.py`.
"""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from ...batch_desk import End, Refusal, Terms
from ...door import Door
from ...errors import ApiError, azure
from ...store import Json, Shelf, listed, unknown, unknown_resource
from ..calls import Call, served
from . import intake
from .dress import dressed, listed_as
from .life import Batch, Life

SINCE = "2024-07-01-preview"  # the first api-version that Azure documents with batches


def routes(door: Door) -> list[web.RouteDef]:
    return Batches(door).routes()


class Batches:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._plain = door.resource.kind == "plain"
        missing = unknown if self._plain else unknown_resource
        self._rows = Shelf[Batch](missing("No batch found with id 'ID'."))
        self._life = Life(door)
        self._tasks: set[asyncio.Task[None]] = set()
        door.batches.join(door.resource.name, self)

    def routes(self) -> list[web.RouteDef]:
        door, one = self._door, "batches/{batch_id}"
        return [
            *served(door, "POST", "batches", self.create, since=SINCE),
            *served(door, "GET", "batches", self.page, since=SINCE),
            *served(door, "GET", one, self.look, since=SINCE),
            *served(door, "POST", f"{one}/cancel", self.cancel, since=SINCE),
        ]

    # Operations.

    def create(self, call: Call) -> Json:
        order = intake.order_of(self._door, call)
        data = b"" if order.input_blob else self._door.store.contents[order.input_file]
        batch_id = f"batch_{uuid.uuid4().hex if self._plain else uuid.uuid4()}"
        batch = Batch(batch_id, order, intake.deployment_of(data), len(data) // 4)
        batch.errors += self._over(batch)
        self._rows.put(batch.id, batch)
        task = asyncio.get_running_loop().create_task(self._life.lead(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._told(batch, call)

    def look(self, call: Call) -> Json:
        return self._told(self._rows.get(call.path["batch_id"]), call)

    def page(self, call: Call) -> Json:
        found = listed(({"id": batch.id, "batch": batch} for batch in self._rows.all()), call.query)
        return listed_as({**found, "data": [self._told(row["batch"], call) for row in found["data"]]}, call)

    def cancel(self, call: Call) -> Json:
        batch = self._rows.get(call.path["batch_id"])
        if not batch.open:
            message = f"Cannot cancel a batch with status '{batch.status}'."
            raise ApiError(409, _plain_error(message)) if self._plain else azure(400, "invalidOperation", message)
        if batch.status != "cancelling":
            batch.enter("cancelling")
            batch.end = "cancelled"
            batch.changed.set()
        return self._told(batch, call)

    def _told(self, batch: Batch, call: Call) -> Json:
        return dressed(batch, call, self._terms.style)

    # Limits.

    @property
    def _terms(self) -> Terms:
        return self._door.batches.terms(self._door.resource.name)

    def _over(self, batch: Batch) -> Iterable[Json]:
        """What is over a limit: refused here, or an error that the batch will fail with."""
        terms = self._terms
        refusal: Refusal = "late" if self._plain else terms.refusal
        status = 400 if refusal == "400" else 429
        others = [other for other in self._rows.all() if other.open]
        waiting = sum(other.tokens for other in others if other.deployment == batch.deployment)
        if terms.tokens is not None and waiting + batch.tokens > terms.tokens:
            message = (
                f"The number of enqueued tokens has surpassed the configured limit of {terms.tokens} for the "
                f"deployment '{batch.deployment}'. Please either increase the limit or try again once the current jobs "
                "have finished."
            )
            if refusal != "late":
                raise azure(status, "token_limit_exceeded", message)
            yield intake.error("token_limit_exceeded", message)
        if terms.batches is not None and len(others) >= terms.batches:
            message = f"The resource has {terms.batches} batches that are not finished, which is the most it may have."
            if refusal != "late":
                raise azure(status, "quotaExceeded", message)
            yield intake.error("quotaExceeded", message)

    # What the desk asks.

    def wake(self) -> None:
        for batch in self._rows.all():
            batch.changed.set()

    async def end(self, batch: str, how: End, errors: Iterable[Mapping[str, Any]]) -> None:
        if batch not in self._rows:
            raise ValueError(f"there is no batch {batch!r} on {self._door.resource.name}")
        row = self._rows.get(batch)
        if row.status == "cancelling":
            row.hurried = True
        elif row.open:
            row.end = how
            if how == "failed":
                given = [dict(error) for error in errors]
                row.errors = given or [intake.error("server_error", "The batch failed.")]
        row.changed.set()
        await row.closed.wait()
        row.files_told = True

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def rows(self) -> list[Json]:
        names = ("id", "status", "deployment", "total", "completed", "failed", "output_file", "error_file", "errors")
        rows: list[Json] = []
        for batch in self._rows.all():
            given = {"input_file": batch.order.input_file or batch.order.input_blob}
            rows.append({name: getattr(batch, name) for name in names} | given)
        return rows


def _plain_error(message: str) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
