"""What goes in and out of a journey: what a call wishes for, what became of an attempt, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.catalog import Deployment
from shared.router_settings import FailureKind


@dataclass(slots=True)
class Wish:
    """What routing needs to know of a call. Times in seconds."""

    tokens: int = 0
    """How many it may take at most, about."""
    stream: bool = False
    cache_key: str = ""
    """What the beginning of its prompt, or its prompt_cache_key, comes to; empty: nothing. Only for prompt-cache."""
    tags: tuple[str, ...] = ()
    region: str = ""
    """A region or data zone that the client insists on, within those that the operator allows; empty: any."""
    num_retries: int | None = None
    """As the call bounds it; None: as the settings have it."""
    deadline: float = float("inf")
    """On the clock that gives `now`: by then the answer must have begun."""
    only_well: bool = False
    """Others stand in: what rests because of failures is not asked."""
    again: bool = False
    """Everything has been asked once already: begin with the wait for a retry."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of an attempt that gave no answer."""

    kind: FailureKind
    retry_after: float | None = None
    """Seconds, as the upstream said; None: it said nothing of use."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask this deployment now."""

    deployment: Deployment
    timeout: float | None
    """Seconds until its answer must have begun; None: the deadline is all there is."""
    probe: bool = False
    """It rested, and this call finds out whether it is well again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be asked now; ask `next` again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing left to ask of this alias.

    failed: the last failure decides what the client is told. limited: all are at their limits. down: all rest.
    """

    why: Literal["failed", "limited", "down"]
    retry_after: float | None = None
    """Seconds after which it is worth asking again; None: nothing is known."""


Step = Ask | Wait | Over


class NothingFits(Exception):
    """No deployment of the alias has the tags, or is in the region, that the call asks for."""

    def __init__(self, what: Literal["tags", "region"]) -> None:
        super().__init__(what)
        self.what: Literal["tags", "region"] = what
