"""What the own engine keeps of one chunk: the form of an append blob's lines, and what they come to. Pure.

    HEAD \t LINE     a line of the input has its answer: LINE is that of the output or the error file
    HEAD             a mark: who runs the chunk, that he is still there, that he has left, that a line is tried again

Appended at a position or not at all, so that a line has one answer whoever else runs the chunk. A process that dies
while it appends may leave the beginning of a line: its length tells, and it counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from shared.batches.batch import Batch, Chunk, Figures
from shared.batches.settling import Server, Tally, batch_record, plus
from shared.types import Cost, Json, Usage, UsageRecord

_NOTHING = Usage()
_USAGE = tuple((f.name, getattr(_NOTHING, f.name)) for f in fields(Usage))
_NOBODY = Server()


@dataclass(frozen=True, slots=True)
class Result:
    """One line's answer."""

    index: int
    """Within the chunk, from 0."""
    status: int
    line: bytes
    """For the output or the error file, without its end."""
    record: UsageRecord | None
    """What has been used for it."""

    def entry(self, now: float) -> bytes:
        head: Json = {"i": self.index, "n": len(self.line), "s": self.status, "at": now, **_spent(self.record)}
        return b"%b\t%b\n" % (orjson.dumps(head), self.line)


def mark(**said: Any) -> bytes:
    return orjson.dumps(said) + b"\n"


def taken(tries: int, now: float) -> bytes:
    """Somebody begins to run the chunk. tries: how often its message has been taken."""
    return mark(take=tries, at=now)


def alive(now: float) -> bytes:
    return mark(at=now)


def left(now: float, idle: int = 0) -> bytes:
    """Whoever ran it has stopped in good order. idle: how many runs in a row have had no answer, for want of room."""
    return mark(left=1, at=now, **({"idle": idle} if idle else {}))


def over(now: float) -> bytes:
    """Nobody runs it from now on."""
    return mark(over=1, at=now)


def alone(index: int, now: float) -> bytes:
    """A line is run by itself."""
    return mark(alone=index, at=now)


def unasked(now: float) -> bytes:
    """It was not asked after all: there is no room."""
    return mark(unasked=1, at=now)


def given_up(now: float) -> bytes:
    """Its message was taken as often as it may be."""
    return mark(given=1, at=now)


def tried(index: int, now: float, record: UsageRecord | None) -> bytes:
    """A line had no good answer, and is asked again."""
    return mark(tried=index, at=now, **_spent(record))


@dataclass(slots=True)
class ChunkState:
    """What the lines of the blob come to."""

    size: int = 0
    torn: bool = False
    """It ends within a line."""
    answered: set[int] = field(default_factory=set[int])
    tries: dict[int, int] = field(default_factory=dict[int, int])
    """line -> answers that were not good."""
    seen: float = 0.0
    """When whoever runs it was last heard of."""
    at: float = 0.0
    """When its last result was kept."""
    taker: int = 0
    """How often the message of who runs it had been taken; 0: nobody does."""
    takes: int = 0
    idle: int = 0
    """Runs in a row that had no answer."""
    closed: bool = False
    lone: int = -1
    """The line that was run by itself last."""
    alone: int = 0
    """How often it was, and nothing came of it: it has ended its process so often."""
    given: int = 0
    """The same of messages that were given up."""
    fresh: bool = False
    """There are results that nobody has been told of."""
    tallies: dict[Server, Tally] = field(default_factory=dict[Server, Tally])

    def take(self, entry: bytes) -> None:
        """The next line of the blob, with its end."""
        self.size += len(entry)
        self.torn = not entry.endswith(b"\n")
        head, _, line = entry.partition(b"\t")
        try:
            said = orjson.loads(head)
        except orjson.JSONDecodeError:
            return
        if isinstance(said, dict) and not self.torn:
            self._heard(said, len(line) - 1)

    def _heard(self, said: dict[str, Any], length: int) -> None:
        self.seen = max(self.seen, float(said.get("at", 0.0)))
        if "i" in said:
            if said["n"] == length and said["i"] not in self.answered:
                self.answered.add(said["i"])
                self.at = float(said["at"])
                self._count(said)
                self.alone = self.given = 0
                self.fresh = True
        elif "take" in said:
            self.taker, self.takes = int(said["take"]), self.takes + 1
        elif "tried" in said:
            index = int(said["tried"])
            self.tries[index] = self.tries.get(index, 0) + 1
            self.alone = self.given = 0
            if "d" in said:
                tally = self._tally(said)
                tally.usage, tally.cost = plus(tally.usage, _usage(said)), _sum(tally.cost, _cost(said))
        elif "alone" in said:
            self.alone = self.alone + 1 if said["alone"] == self.lone else 1
            self.lone = int(said["alone"])
        elif "left" in said:
            self.taker = self.alone = 0
            self.idle = int(said.get("idle", 0))
        elif "unasked" in said:
            self.alone = 0
        elif "given" in said:
            self.taker, self.given = 0, self.given + 1
        self.closed = self.closed or "over" in said

    def _count(self, said: Json) -> None:
        self._tally(said).add(int(said["s"]), _usage(said), _cost(said))

    def _tally(self, said: Json) -> Tally:
        server = Server(said["d"], said["l"], said["m"]) if "d" in said else _NOBODY
        return self.tallies.setdefault(server, Tally())

    @property
    def failed(self) -> int:
        return sum(tally.failed for tally in self.tallies.values())

    @property
    def figures(self) -> Figures:
        """What `records` come to: nothing before a line has had its answer."""
        found = Figures()
        if not any(tally.calls for tally in self.tallies.values()):
            return found
        for tally in self.tallies.values():
            found = found.plus(tally.figures)
        return found

    def chunk(self, number: int, *, done: bool) -> Chunk:
        failed = self.failed
        return Chunk(number, done, len(self.answered) - failed, failed, self.figures)

    def records(self, batch: Batch, number: int) -> list[UsageRecord]:
        """One for each deployment that has answered. The same whoever makes them."""
        every = sorted(self.tallies.items(), key=lambda each: _order(each[0]))
        found = [(server, replace(tally)) for server, tally in every if tally.calls]
        for _, tally in every:
            if not tally.calls and found:  # of lines that another deployment has answered in the end
                first = found[0][1]
                first.usage, first.cost = plus(first.usage, tally.usage), _sum(first.cost, tally.cost)
        return [
            batch_record(batch, tally, server, self.at, part=f"{number:05d}" + (f"-{place}" if place else ""))
            for place, (server, tally) in enumerate(found)
        ]


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(one.nanos + other.nanos, one.priced and other.priced, one.basis or other.basis)


def _order(server: Server) -> tuple[str, str, str]:
    return server.deployment, server.label, server.upstream_model


def _spent(record: UsageRecord | None) -> Json:
    """What there is to say of a record; nothing where no deployment was asked."""
    if record is None or not record.deployment:
        return {}
    usage, cost = record.usage, record.cost
    said: Json = {"d": record.deployment, "l": record.label, "m": record.upstream_model}
    if used := {name: value for name, usual in _USAGE if (value := getattr(usage, name)) != usual}:
        said["u"] = used
    if cost.nanos:
        said["c"] = cost.nanos
    if not cost.priced:
        said["x"] = 1
    if cost.basis:
        said["b"] = cost.basis
    return said


def _usage(said: Json) -> Usage:
    return Usage(**said["u"]) if "u" in said else _NOTHING


def _cost(said: Json) -> Cost:
    return Cost(said.get("c", 0), "x" not in said, said.get("b", ""))


def is_result(entry: bytes) -> tuple[Json, bytes] | None:
    """-> head and line of an entry that is a whole result; None for any other."""
    head, tab, line = entry.partition(b"\t")
    if not tab or not line.endswith(b"\n"):
        return None
    try:
        said = orjson.loads(head)
    except orjson.JSONDecodeError:
        return None
    whole = isinstance(said, dict) and said.get("n") == len(line) - 1 and "i" in said
    return (said, line) if whole else None
