"""How groups of deferred calls are named: a window of time, who pays for what, and a number within the window. Pure.

Every instance gives a call the same group without asking anybody. A group's name tells when it is to be closed, which
batch it becomes, and where its lines are kept until then; a call's id tells its group.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from shared.batches.batch import new_batch_id
from shared.batches.kept import new_id

PREFIX = "deferred/"
"""Of the blobs that groups are until they are closed."""
LATE_SECONDS = 300.0
"""So long after its time nobody writes to a group any more, however wrong a clock may go: its blob may go."""
_NAME = re.compile(r"([0-9a-f]{12})([0-9a-f]{8})([0-9a-f]{16})([0-9a-f]{4})")
_CALL = "deferred_"
_ID = re.compile(r"deferred_([0-9a-f]{40})([0-9a-f]{8}[0-9a-f]{12})")
LAST_NUMBER = 0xFFFF


@dataclass(frozen=True, slots=True)
class Group:
    start: int
    """Of its window, milliseconds since 1970."""
    length: int
    """Of its window, milliseconds."""
    family: str
    """16 hex digits: made of all that its calls have in common."""
    number: int = 0
    """Within the window: a full group is followed by another one."""

    @property
    def name(self) -> str:
        return f"{self.start:012x}{self.length:08x}{self.family}{self.number:04x}"

    @property
    def due(self) -> float:
        """Unix seconds: then it is closed."""
        return (self.start + self.length) / 1000

    @property
    def blob(self) -> str:
        return PREFIX + self.name

    @property
    def batch_id(self) -> str:
        return new_batch_id(self.start / 1000, self._digest()[:20])

    @property
    def file_id(self) -> str:
        return new_id("file-", self._digest()[:32])

    @property
    def following(self) -> Group:
        return replace(self, number=self.number + 1)

    def _digest(self) -> str:
        return hashlib.sha256(f"deferred|{self.name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CallId:
    """One call of a group."""

    group: Group
    tail: str
    """20 hex digits: when it came, and chance."""

    @property
    def text(self) -> str:
        return _CALL + self.group.name + self.tail

    @property
    def created_at(self) -> float:
        return (self.group.start + int(self.tail[:8], 16)) / 1000


def group_at(now: float, seconds: float, family: str) -> Group:
    length = max(1, min(round(seconds * 1000), 0xFFFFFFFF))
    milliseconds = int(now * 1000)
    return Group(milliseconds - milliseconds % length, length, family)


def family_of(*shared: object) -> str:
    return hashlib.sha256(repr(shared).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tail_of(group: Group, now: float, chance: str) -> str:
    """chance: 12 hex digits."""
    return f"{max(0, int(now * 1000) - group.start) & 0xFFFFFFFF:08x}{chance}"


def read_group(name: str) -> Group | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    start, length, family, number = found.groups()
    return Group(int(start, 16), int(length, 16), family, int(number, 16))


def read_call(text: str) -> CallId | None:
    found = _ID.fullmatch(text)
    group = read_group(found[1]) if found else None
    return CallId(group, found[2]) if found and group else None


def overdue(blob: str, now: float) -> str | None:
    """blob: a name that begins with PREFIX -> the group, when it should have been closed long ago: then it is to be
    closed (again), whereupon its blob goes."""
    group = read_group(blob.removeprefix(PREFIX))
    return group.name if group and group.due + LATE_SECONDS < now else None
