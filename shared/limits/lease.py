"""What all leases share: whose they are, the row they are taken from, and who waits for them.

A lease is what one process may give out without asking anybody. It is changed by callers (take, undo, settle) at any
time, and by one flight at a time: begin → edit, once per try → landed or failed. What a flight means to give back is
moved out of the lease in `begin`, so that no caller can take it meanwhile; after a failure it stays out, since nobody
knows whether the row has it. Nothing here asks for the time: it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shared.ports import StoreUnavailable
from shared.types import Need

if TYPE_CHECKING:
    from asyncio import Task

UNLIMITED = 1 << 60
"""More than anybody can take of what is not limited, so that the hot path has no case for it."""

type Values = Mapping[str, Any]
type Edit[T] = Callable[[Values | None], tuple[dict[str, Any] | None, T]]
"""A row, or None where there is none -> the row to write in its place (None: it is good as it is), and what the edit
has to say. Run again with the newer row when somebody else was faster: it must change nothing else."""

Kind = Literal["requests", "tokens", "parallel", "day", "month", "total"]


class Contended(StoreUnavailable):
    """The store answers, but others were faster at every try."""


@dataclass(slots=True)
class Place:
    """One row of the table of limits, and what this process knows of it."""

    partition: str
    key: str
    seen: tuple[dict[str, Any], str] | None = None
    """As this process has written it last, and its etag."""
    alone: bool = False
    """Whether nobody else had written it the last time that we looked: then reading it first is a waste."""
    answered: bool = False
    """Whether the store has answered since the present flight began."""


class LeaseStore(Protocol):
    """The rows, each changed by compare-and-swap."""

    async def change[T](self, place: Place, edit: Edit[T]) -> T:
        """Raises ports.StoreUnavailable, Contended."""
        ...


@dataclass(slots=True)
class Scope:
    """Who, or what, is limited. Changed in place when the record of the key or of the team is."""

    kind: Literal["key", "team", "deployment"]
    id: str
    name: str
    contact: str
    shadow: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not admitted."""

    scope: Scope
    kind: Kind
    limit: int
    asked: int
    used: int
    until: float | None
    """When it is worth while to try again (Unix seconds); None: never of itself."""
    too_large: bool = False
    """The call asks for more than the whole limit."""
    held: bool = False
    """There would be enough if calls under way had not reserved it."""

    @property
    def name(self) -> str:
        """`team rpm`, as the ledger has it for limits in shadow mode."""
        return f"{self.scope.kind} {_NAMES[self.kind]}"


_NAMES: Mapping[Kind, str] = {
    "requests": "rpm",
    "tokens": "tpm",
    "parallel": "parallel",
    "day": "budget per day",
    "month": "budget per month",
    "total": "budget in total",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds; tests use shorter ones."""

    window: float = 60.0
    """Of requests and tokens."""
    patience: float = 2.0
    """How long a call waits for a lease at the most."""
    tick: float = 1.0
    slots: float = 60.0
    """How long a claim to parallel slots holds unless it is renewed."""
    idle: float = 5.0
    """After so long without a call money and parallel slots are given back."""
    report: float = 10.0
    """How often spent money is reported while there is some."""
    beat: float = 60.0
    """Who holds money says so at least this often."""
    again: float = 2.0
    """How long the rest of tokens or money that others left is believed to be what it was."""
    down: float = 5.0
    """How often a store that does not answer is asked again."""


class Lease(ABC):
    """The parts of RateLease, SlotLease and BudgetLease that the limiter handles alike."""

    __slots__ = ("flight", "flying_since", "not_before", "pace", "place", "scope", "waiting", "wake", "watched")

    def __init__(self, scope: Scope, place: Place, pace: Pace, wake: Callable[[Lease], None]) -> None:
        self.scope = scope
        self.place = place
        self.pace = pace
        self.wake = wake
        """Tells the limiter that the lease wants to be looked after: `due` is asked at once, and then now and then."""
        self.flight: Task[None] | None = None
        self.flying_since = 0.0
        """By the loop's clock."""
        self.waiting: list[int] = []
        """What each waiting caller needs."""
        self.not_before = 0.0
        """Another flight before then would find nothing else."""
        self.watched = False
        """Whether the limiter will look after it soon in any case."""

    # What callers do.

    @abstractmethod
    def take(self, tokens: int, nanos: int, now: float) -> bool:
        """-> whether the call may go on; then it is noted."""
        ...

    @abstractmethod
    def undo(self, tokens: int, nanos: int) -> None:
        """Another limit has refused the call."""
        ...

    @abstractmethod
    def settle(self, at: float, tokens: int, nanos: int, spent_tokens: int, spent_nanos: int) -> None:
        """at, tokens, nanos: as they were taken."""
        ...

    @abstractmethod
    def force(self, tokens: int, nanos: int, now: float) -> bool:
        """The call goes on although the lease does not cover it. -> whether that was noted, and is to be settled."""
        ...

    @abstractmethod
    def amount(self, tokens: int, nanos: int) -> int:
        """What a call needs of this limit."""
        ...

    @abstractmethod
    def refusal(self, amount: int, now: float, *, down: bool) -> Refusal | None:
        """Why the call is refused without asking the store; None: a flight may help. down: there can be none."""
        ...

    @abstractmethod
    def go_blind(self, now: float) -> None:
        """The store does not answer, and calls are served nevertheless: take what one process may take unseen."""
        ...

    # What the limiter does.

    @abstractmethod
    def due(self, now: float) -> bool:
        """Whether there is something to write although nobody waits."""
        ...

    @abstractmethod
    def busy(self, now: float) -> bool:
        """Whether it has to be looked after."""
        ...

    def look_again(self) -> float:
        """Seconds until `due` is to be asked anew."""
        return self.pace.tick

    @abstractmethod
    def begin(self, now: float, *, closing: bool = False) -> None:
        """A flight begins. closing: the process ends, and everything is given back."""
        ...

    @abstractmethod
    def edit(self, row: Values | None, now: float) -> tuple[dict[str, Any] | None, Any]:
        """As Edit."""
        ...

    @abstractmethod
    def landed(self, found: Any, now: float) -> None:
        """found: what `edit` said."""
        ...

    @abstractmethod
    def failed(self, now: float) -> None:
        """Nobody knows what became of the flight."""
        ...


def share(rest: int, waiting: int, least: int, spare: int, lessees: int) -> int:
    """How much of `rest` one process takes: for those who wait at most half, unless that is too little for the first
    of them, and `spare` on top, of which the less is granted the more share the rest and the less there is."""
    if rest <= 0 or rest < least:
        return 0
    needed = min(waiting, max(least, rest // 2))
    return needed + max(0, min(spare, (rest - needed) // (2 * max(lessees, 1))))


def has(lease: Lease, need: Need, now: float) -> bool:
    if not lease.take(need.tokens, need.nanos, now):
        return False
    lease.undo(need.tokens, need.nanos)
    return True


def take_all(leases: tuple[Lease, ...], need: Need, now: float) -> Lease | None:
    """Take the call's part of all leases, or of none. -> the lease that has too little; None: done."""
    tokens, nanos = need.tokens, need.nanos
    for lease in leases:
        if not lease.take(tokens, nanos, now):
            for taken in leases:
                if taken is lease:
                    return lease
                taken.undo(tokens, nanos)
    return None
