"""Drives what is not over: one look at a batch does whatever can be done, and says when the next look is due.

Looks come from messages (each sends the next, with back-off by the batch's age), from webhooks, events and clients who
ask, and from a sweep that finds what a lost message has left. However many there are, one at a time advances a batch:
it holds a claim, which ends by itself when its holder is gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from shared.batches.batch import Batch, Engine
from shared.batches.ports import BatchRows, Work
from shared.ports import CallLog, StoreUnavailable

CLAIM_SECONDS = 120.0
"""Whoever advances a batch for longer says so again (`keep`)."""
OWN_CLAIM_SECONDS = 20.0
"""The same of the own engine, whose steps are short: what an instance that died has left waits no longer."""
LATE_SECONDS = 120.0
"""A look that is overdue by so much was lost."""
FIRST_SECONDS, LONGEST_SECONDS = 2.0, 600.0


class Runs(Protocol):
    """An engine."""

    async def step(self, batch: Batch, claim: Claim) -> None:
        """Do what can be done now. Idempotent; what has happened is in the row. Raises StoreUnavailable."""
        ...


type AfterEnd = Callable[[Batch], Awaitable[None]]
"""What is done once a batch has ended, at least once and idempotently. Raises StoreUnavailable: then again later."""
Looked = Literal["open", "done", "busy", "none"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to advance one batch."""

    rows: BatchRows
    batch_id: str
    holder: str
    clock: Callable[[], float]

    async def keep(self) -> bool:
        """For as long again. -> False when somebody else has it: stop."""
        kept = await self.rows.change(self.batch_id, self._kept)
        return kept is not None and kept.claimed_by == self.holder

    def _kept(self, batch: Batch) -> Batch | None:
        if batch.claimed_by != self.holder:
            return None
        return replace(batch, claimed_until=self.clock() + claim_seconds(batch))


@dataclass(frozen=True, slots=True)
class Looking:
    rows: BatchRows
    work: Work
    engines: Mapping[Engine, Runs]
    after_end: Sequence[AfterEnd]
    log: CallLog
    clock: Callable[[], float]
    """Unix seconds."""

    async def look(self, batch_id: str) -> Looked:
        """Advance a batch. Raises StoreUnavailable."""
        holder = secrets.token_hex(8)
        batch = await self.rows.change(batch_id, lambda b: self._claimed(b, holder))
        if batch is None:
            return "none"
        if batch.told:
            return "done"
        if batch.claimed_by != holder:
            return "busy"
        try:
            if not batch.ended:
                await self.engines[batch.engine].step(batch, Claim(self.rows, batch_id, holder, self.clock))
                batch = await self.rows.get(batch_id) or batch
            if batch.ended:
                await self._tell(batch)
                batch = await self.rows.change(batch_id, lambda b: replace(b, told=True)) or batch
        finally:
            await self.rows.change(batch_id, lambda b: _released(b, holder))
        return "done" if batch.told else "open"

    async def _tell(self, batch: Batch) -> None:
        """Everybody is told, whatever becomes of one of them: each does nothing twice. Raises the first error."""
        failed: Exception | None = None
        for act in self.after_end:
            try:
                await act(batch)
            except Exception as error:  # StoreUnavailable, or a mistake in one of them
                failed = failed or error
        if failed:
            raise failed

    def _claimed(self, batch: Batch, holder: str) -> Batch | None:
        if batch.told or (batch.claimed_by and batch.claimed_until > self.clock()):
            return None
        return replace(batch, claimed_by=holder, claimed_until=self.clock() + claim_seconds(batch))

    async def begin(self, batch_id: str) -> None:
        """The first look at a new batch, at once and by whoever takes the message. Raises StoreUnavailable."""
        await self._send(batch_id, 0, 0.0)

    async def soon(self, batch_id: str, delay: float = 0.0) -> None:
        """One look more than there would have been. Raises StoreUnavailable."""
        await self._send(batch_id, -1, delay)

    async def on_message(self, batch_id: str, turn: int) -> None:
        """turn: of the message; only that of the batch's own turn is followed by another one."""
        try:
            looked = await self.look(batch_id)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is: the batch is looked at again
            self.log.warning("a batch could not be advanced", batch=batch_id, error=f"{type(error).__name__}: {error}")
            looked = "open"
        if looked == "busy" and turn < 0:
            await self._send(batch_id, -1, FIRST_SECONDS)
        elif looked in ("open", "busy") and turn >= 0:
            await self._next(batch_id, turn)

    async def _next(self, batch_id: str, turn: int) -> None:
        now, mine = self.clock(), False

        def edit(batch: Batch) -> Batch | None:
            nonlocal mine
            mine = batch.turn == turn and not batch.told
            return replace(batch, turn=turn + 1, next_look=now + pause(batch, now)) if mine else None

        batch = await self.rows.change(batch_id, edit)
        if batch is not None and mine:
            await self._send(batch_id, batch.turn, batch.next_look - now)

    async def sweep(self) -> int:
        """Look again at what a lost message has left. -> how many. Raises StoreUnavailable."""
        now, found = self.clock(), 0
        for open_batch in await self.rows.open():
            if open_batch.next_look + LATE_SECONDS < now:
                found += 1
                batch = await self.rows.change(
                    open_batch.id, lambda b: None if b.told else replace(b, turn=b.turn + 1, next_look=now)
                )
                if batch is not None and not batch.told:
                    await self._send(batch.id, batch.turn, 0.0)
        return found

    async def _send(self, batch_id: str, turn: int, delay: float) -> None:
        await self.work.send("looks", {"do": "look", "batch": batch_id, "turn": turn}, delay)


def claim_seconds(batch: Batch) -> float:
    return OWN_CLAIM_SECONDS if batch.engine == "own" else CLAIM_SECONDS


def pause(batch: Batch, now: float) -> float:
    """Seconds until the next look: a quarter of the batch's age."""
    return min(LONGEST_SECONDS, max(FIRST_SECONDS, (now - batch.created_at) / 4))


def _released(batch: Batch, holder: str) -> Batch | None:
    return replace(batch, claimed_by="", claimed_until=0.0) if batch.claimed_by == holder else None
