"""What the instances tell each other of deployments, over one row each in the table of state, partition `route`.

    at              when the row was written (Unix seconds)
    report0 …       what the instance has seen lately (shared/routing/board.py), as JSON, in pieces

Owns when rows are written and read, and who removes those of instances that are gone. What they say, and what is
believed of it, is the routing core's. Works in the background while calls come in; storage that is down costs the
others' news and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from shared.adapters.tables import STATE_TABLE, Tables
from shared.ports import CallLog, StoreUnavailable
from shared.routing import States
from shared.types import Row

PARTITION = "route"
OLD_SECONDS = 60.0
"""An instance that has written nothing for so long is gone, or has nothing to say."""
GONE_SECONDS = 3600.0
"""Rows so old are removed by who comes by."""
SWEEP_SECONDS = 1800.0
_MOST_SWEPT = 50
_PIECE = 30_000
"""Characters: a column of Azure's holds 32,768."""
_PIECES = 12
WARN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class BoardPace:
    """Times in seconds; tests use shorter ones."""

    look: float = 0.25
    """How soon it is noticed that a deployment has begun or ceased to rest."""
    read: float = 2.0
    write: float = 5.0
    """Of figures; rests are written at once."""
    idle: float = 10.0
    """After so long without a call the board is left alone."""
    down: float = 5.0
    """How long it is left alone after a failure."""


@dataclass(frozen=True, slots=True)
class Post:
    """One instance's row."""

    instance: str
    at: float
    report: Mapping[str, Any]


class RouteBoard:
    """One per process, for one event loop."""

    def __init__(
        self,
        tables: Tables,
        instance: str,
        states: States,
        clock: Callable[[], float],
        log: CallLog,
        pace: BoardPace | None = None,
    ) -> None:
        self._tables, self._instance, self._states, self._clock, self._log = tables, instance, states, clock, log
        self._pace = pace or BoardPace()
        self._nudged = self._read_at = self._warned_at = float("-inf")
        self._written_at = float("-inf")
        self._changes = states.changes
        """What of them is written."""
        self._sweep_at = clock() + OLD_SECONDS
        self._heard: dict[str, float] = {}
        """When each other instance had written what was heard of it last."""
        self._working: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """A call has come in. Called at every request: costs nothing else."""
        self._nudged = self._clock()
        if self._working is None:
            self._working = asyncio.ensure_future(self._work())
            self._working.add_done_callback(self._worked)

    @property
    def busy(self) -> bool:
        """Whether it still looks after the board."""
        return self._working is not None

    @property
    def wrote(self) -> bool:
        """Whether all that this process has seen begin or end is written."""
        return self._written_at > 0 and self._changes == self._states.changes

    def _worked(self, work: asyncio.Task[None]) -> None:
        self._working = None
        if not work.cancelled() and (error := work.exception()):
            self._warn(repr(error), self._clock())

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        """Until no call has come in for a while."""
        await asyncio.sleep(self._pace.look)  # the first call of a process has enough to wait for
        while (now := self._clock()) - self._nudged < self._pace.idle:
            pause = self._pace.look
            try:
                await self._step(now)
            except StoreUnavailable as error:
                pause = self._pace.down
                self._warn(str(error), now)
            await asyncio.sleep(pause)

    async def _step(self, now: float) -> None:
        """Raises StoreUnavailable."""
        if now - self._read_at >= self._pace.read:
            await self._read(now)
        if self._states.changes != self._changes or now - self._written_at >= self._pace.write:
            await self._write(now)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            await sweep(self._tables, now)

    async def _write(self, now: float) -> None:
        changes, report = self._states.changes, self._states.report(now)
        values = {"PartitionKey": PARTITION, "RowKey": self._instance, "at": now, **_pieces(report)}
        await self._tables.write([Row(STATE_TABLE, values)])
        self._changes, self._written_at = changes, now

    async def _read(self, now: float) -> None:
        heard: dict[str, float] = {}
        async for post in _posts(self._tables, now):
            if post.instance != self._instance:
                heard[post.instance] = post.at
                if self._heard.get(post.instance) != post.at:
                    self._states.hear(post.report, now)
        self._heard, self._read_at = heard, now

    def _warn(self, reason: str, now: float) -> None:
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            text = "what instances know of deployments is not shared: each goes by what it sees itself"
            self._log.warning(text, error=reason)


async def posts(tables: Tables, now: float) -> list[Post]:
    """What all instances that are there have said last, for those who look at it. Raises StoreUnavailable."""
    return [post async for post in _posts(tables, now)]


async def _posts(tables: Tables, now: float) -> AsyncGenerator[Post]:
    found = tables.query(STATE_TABLE, f"PartitionKey eq '{PARTITION}' and at gt {now - OLD_SECONDS:.3f}")
    async for row in found:
        yield Post(str(row["RowKey"]), float(row["at"]), _report(row))


async def sweep(tables: Tables, now: float) -> int:
    """Remove the rows of instances that are gone. -> how many. Raises StoreUnavailable."""
    wanted = f"PartitionKey eq '{PARTITION}' and at lt {now - GONE_SECONDS:.3f}"
    names = [str(row["RowKey"]) async for row in tables.query(STATE_TABLE, wanted, select=["RowKey"])]
    for name in names[:_MOST_SWEPT]:
        await tables.delete(STATE_TABLE, PARTITION, name)
    return len(names[:_MOST_SWEPT])


def _pieces(report: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a report. One that is too large for a row says only who rests."""
    text = orjson.dumps(report).decode()
    if len(text) > _PIECE * _PIECES:
        rests = {name: {"rest": said["rest"]} for name, said in report["deployments"].items() if "rest" in said}
        text = orjson.dumps({**report, "deployments": rests}).decode()
    return {f"report{n}": text[n * _PIECE : (n + 1) * _PIECE] for n in range(-(-len(text) // _PIECE))}


def _report(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nothing, where it is not understood: another version may have written it."""
    text = "".join(str(row.get(f"report{n}") or "") for n in range(_PIECES))
    try:
        report: Any = orjson.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", report) if isinstance(report, dict) else {}
