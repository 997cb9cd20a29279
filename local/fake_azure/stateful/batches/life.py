"""The life of a batch: validating, in_progress, finalizing, and how it ends.

Owns the states, their times, what holds a batch in one of them, and the files that are left. Knows no request.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from ...batch_desk import End, Terms
from ...door import Door
from ...store import Json
from .. import files
from ..calls import now
from . import blobs, intake, lines
from .intake import Line, Order
from .lines import Answered

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
_YIELD_EVERY = 20


@dataclass(eq=False, slots=True)
class Batch:
    id: str
    order: Order
    deployment: str  # of its first line
    tokens: int  # that wait as long as it is open
    created_at: int = field(default_factory=now)
    status: Status = "validating"
    times: dict[str, int] = field(default_factory=dict[str, int])
    errors: list[Json] = field(default_factory=list[Json])
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file: str | None = None
    error_file: str | None = None
    files_told: bool = False
    version: str = ""  # of the blob that the input lies in
    lines: list[Line] = field(default_factory=list[Line])
    answered: list[Answered] = field(default_factory=list[Answered])
    end: End | None = None  # that was ordered
    hurried: bool = False  # while it is being cancelled
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def open(self) -> bool:
        return not self.closed.is_set()

    def enter(self, status: Status) -> None:
        self.status = status
        self.times[f"{status}_at"] = now()


class _Ended(Exception):
    """Another end than the usual one was ordered."""


class Life:
    """Leads the batches of one resource through their states."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._resource = door.resource.name
        self._plain = door.resource.kind == "plain"

    async def lead(self, batch: Batch) -> None:
        try:
            await self._stay(batch)
            valid = await self._valid(batch)
            self._check(batch)
            if valid:
                batch.enter("in_progress")
                await self._work(batch)
                await self._stay(batch)
                batch.enter("finalizing")
                await self._stay(batch)
            batch.end = "completed" if valid else "failed"
        except _Ended:
            if batch.end == "cancelled":
                await self._cancelled(batch)
        assert batch.end is not None
        if batch.version and await self._was_changed(batch):
            batch.end, batch.errors = "failed", [intake.error("input_modified", "The input was changed.")]
        await self._close(batch, batch.end)
        batch.end = None
        await self._until(batch, self._terms.files_late, lambda: self._holds(batch, "completed"))
        batch.files_told = True

    @property
    def _terms(self) -> Terms:
        return self._door.batches.terms(self._resource)

    async def _valid(self, batch: Batch) -> bool:
        data = await self._input(batch)
        if data is None:
            batch.errors = [intake.error("invalid_request", "The input file was deleted.")]
            return False
        batch.deployment = batch.deployment or intake.deployment_of(data)
        found, wrong = await intake.read(self._door, self._terms, batch.order.operation, data)
        batch.errors += wrong
        batch.total = len(found)
        batch.lines = [] if batch.errors else found
        return not batch.errors

    async def _input(self, batch: Batch) -> bytes | None:
        if not batch.order.input_blob:
            return self._door.store.contents.get(batch.order.input_file)
        found = await blobs.read(batch.order.storage, batch.order.input_blob)
        if found is None:
            return None
        data, batch.version = found
        return data

    async def _work(self, batch: Batch) -> None:
        for place, line in enumerate(batch.lines):
            await self._until(
                batch, self._terms.line_seconds, lambda done=place: self._holds(batch, "in_progress", done)
            )
            self._check(batch)
            done = await lines.answer(self._door, batch.order.operation, line)
            batch.answered.append(done)
            batch.completed += done.status == 200
            batch.failed += done.status != 200
            if place % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def _cancelled(self, batch: Batch) -> None:
        batch.end = None
        await self._until(batch, self._terms.seconds, lambda: self._holds(batch, "cancelling"))
        batch.end = "cancelled"

    async def _was_changed(self, batch: Batch) -> bool:
        found = await blobs.read(batch.order.storage, batch.order.input_blob)
        return found is None or found[1] != batch.version

    async def _close(self, batch: Batch, how: End) -> None:
        if how != "failed":
            undone = batch.lines[len(batch.answered) :]
            output, wrong = lines.files(batch.answered, undone, how, self._plain)
            if batch.order.input_blob:
                await self._write(batch, output, wrong)
            else:
                batch.output_file = self._keep(batch, "output", output) if output else None
                # Azure makes an error file for every batch, if need be one of zero bytes.
                batch.error_file = self._keep(batch, "error", wrong) if wrong or not self._plain else None
        batch.lines, batch.answered = [], []
        batch.enter(how)
        batch.closed.set()
        self._door.batches.webhooks.announce(self._resource, f"batch.{how}", batch.id)

    async def _write(self, batch: Batch, output: bytes, wrong: bytes) -> None:
        """Both addresses are told, and what would be empty is not written (Azure's page of 2025-11)."""
        folder = f"{batch.order.output_folder.rstrip('/')}/{batch.id.removeprefix('batch_')}"
        batch.output_file, batch.error_file = f"{folder}/results.jsonl", f"{folder}/errors.jsonl"
        for url, data in ((batch.output_file, output), (batch.error_file, wrong)):
            if data:
                await blobs.write(batch.order.storage, url, data)

    def _keep(self, batch: Batch, what: str, data: bytes) -> str:
        name = f"{batch.id}_{what}.jsonl"
        store, expiry = self._door.store, batch.order.expiry
        return files.keep(store, f"file-{uuid.uuid4()}", "batch_output", name, data, expiry)["id"]

    # Waiting.

    async def _stay(self, batch: Batch) -> None:
        """In the state that it is in."""
        state = batch.status
        await self._until(batch, self._terms.seconds, lambda: self._holds(batch, state))
        self._check(batch)

    def _check(self, batch: Batch) -> None:
        if batch.end not in (None, "completed"):
            raise _Ended

    def _holds(self, batch: Batch, state: str, done: int | None = None) -> bool:
        return self._door.batches.holds(self._resource, state, batch.id, done)

    async def _until(self, batch: Batch, seconds: float, held: Callable[[], bool]) -> None:
        """Until the time is over and nothing holds it, or an end was ordered."""
        clock = asyncio.get_running_loop().time
        over = clock() + seconds
        while batch.end is None and not batch.hurried:
            left, fast = over - clock(), held()
            if left <= 0 and not fast:
                return
            batch.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(batch.changed.wait(), None if fast else left)
