"""Many calls, played through the routing core in a time of their own: which deployment serves how many.

Knows no rule of routing: it asks, waits and answers as the core says, and takes down what became of each call. Pure.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.catalog import Deployment
from shared.operations.route_facts import Known
from shared.routing import Ask, Failure, Journey, NothingFits, Over, Router, Wait, Wish

SPREAD = 60.0
"""Seconds over which the calls of --calls come in, evenly."""
USUAL = 1.0
"""Seconds that an answer takes where nothing is known."""


@dataclass(slots=True)
class Played:
    """What became of many calls."""

    served: Counter[str] = field(default_factory=Counter[str])
    asked: Counter[str] = field(default_factory=Counter[str])
    unserved: int = 0
    waited: int = 0


@dataclass(slots=True)
class _Call:
    journey: Journey
    deployment: Deployment | None = None
    waited: bool = False


def play(
    router: Router, choices: Sequence[Deployment], wish: Wish, calls: int, known: Known, down: frozenset[str]
) -> Played:
    """As many calls, one after the other within a minute, each answered after the time that its deployment takes at
    present. down: ids of those that fail whenever they are asked."""
    played, order = Played(), itertools.count()
    due: list[tuple[float, int, _Call | None]] = [
        (known.now + n * SPREAD / calls, next(order), None) for n in range(calls)
    ]
    while due:
        now, _, call = heapq.heappop(due)
        if call is None:
            try:
                call = _Call(router.begin(choices, wish, now))
            except NothingFits:
                played.unserved += 1
                continue
        elif call.deployment is not None:
            _end(call, wish, now, known)
            continue
        again = _go_on(call, now, down, played)
        if again is not None:
            heapq.heappush(due, (again, next(order), call))
        elif call.deployment is not None:
            heapq.heappush(due, (now + _seconds(call.deployment, wish, known), next(order), call))
    return played


def _go_on(call: _Call, now: float, down: frozenset[str], played: Played) -> float | None:
    """Ask until somebody answers, or nobody does. -> when to go on after a wait; None: it is decided."""
    while True:
        match call.journey.next(now):
            case Ask(deployment):
                played.asked[deployment.id] += 1
                if deployment.id in down:
                    call.journey.failed(Failure("unreachable"), now)
                    continue
                call.deployment = deployment
                played.served[deployment.id] += 1
                played.waited += call.waited
                return None
            case Wait(seconds):
                call.waited = True
                return now + seconds
            case Over():
                played.unserved += 1
                return None


def _seconds(deployment: Deployment, wish: Wish, known: Known) -> float:
    """How long it takes to answer."""
    figures = known.of(deployment)
    return (figures.first_ms if wish.stream else figures.whole_ms) / 1000 or USUAL


def _end(call: _Call, wish: Wish, now: float, known: Known) -> None:
    assert call.deployment is not None
    call.journey.answered(now, {})
    call.journey.ended(now, wish.tokens, _seconds(call.deployment, wish, known) if wish.stream else None, good=True)
