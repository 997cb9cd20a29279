"""What happens to the world of bench/route_sim.py, act by act: which deployments fail how, and when more calls come.

Values only. An act begins calm, has its faults, and leaves time in which their end can be noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.route_world import EPOCH, Fault, Phase, Site

LEAD, LASTS, REST = 22.0, 60.0, 98.0
"""Seconds; three minutes in all, so that faults begin when the minutes of all PTUs are young."""
CALM = 300.0
STARTS = EPOCH + 60.0
PTU, FIRST, SECOND = range(4), range(4, 14), range(14, 20)
ALL = range(20)


@dataclass(frozen=True, slots=True)
class Event:
    """What befalls some deployments: from and until, in seconds after the act's lead."""

    sites: Iterable[int]
    kind: Fault
    begin: float = 0.0
    end: float = LASTS


@dataclass(frozen=True, slots=True)
class Act:
    name: str
    events: tuple[Event, ...] = ()
    load: float = 1.0
    """How many times as many calls come while the act's faults last."""
    seconds: float = LEAD + LASTS + REST


ACTS = (
    Act("calm", seconds=CALM),
    Act("one PTU answers 500", (Event((0,), "server"),)),
    Act("one PTU is unreachable, with a rush", (Event((1,), "refuse"),), load=1.8),
    Act("one PTU hangs", (Event((2,), "hang"),)),
    Act("all PTUs hang", (Event(PTU, "hang"),)),
    Act("all PTUs are at their limit", (Event(PTU, "closed"),)),
    Act("the largest of order 1 answers 500", (Event((4,), "server"),)),
    Act("the largest of order 1 hangs", (Event((4,), "hang"),)),
    Act("the largest of order 1 is unreachable", (Event((4,), "refuse"),)),
    Act("two of order 1 answer 429 without a word", (Event((4, 6), "curt"),)),
    Act("two of order 1 answer 429 with Retry-After", (Event((5, 7), "closed"),)),
    Act("the sign-in at one resource fails", (Event((5,), "auth"),)),
    Act("streams of two die before their content", (Event((4, 8), "dies"),)),
    Act("streams of two break off later", (Event((0, 5), "cut"),)),
    Act("four are slow", (Event((0, 1, 4, 5), "slow"),)),
    Act("five answer every other call with 500", (Event((1, 4, 5, 8, 15), "flaky"),)),
    Act("two answer 409", (Event((3, 6), "conflict"),)),
    Act("calm again", seconds=CALM),
    Act("a rush: twice the calls", load=2.0),
    Act("a rush beyond all limits", load=8.0),
    Act("all of a region is unreachable", (Event((0, 3, 6, 9, 12, 15, 18), "refuse"),)),
    Act("all PTUs and the half of order 1 answer 500", (Event((*PTU, 4, 6, 8, 10), "server"),)),
    Act("a rolling outage", tuple(Event((n,), "refuse", 3.0 * n, 3.0 * n + 8) for n in ALL)),
    Act("a rolling 429", tuple(Event((n,), "closed", 2.5 * n, 2.5 * n + 12) for n in ALL)),
    Act("all of order 0 and 1 are down", (Event((*PTU, *FIRST), "server"),), load=0.5),
    Act("all but one are down", (Event([n for n in ALL if n != 5], "refuse"),), load=0.25),
    Act("all but one hang", (Event([n for n in ALL if n != 4], "hang"),), load=0.25),
    Act("everything is down for 10 s", (Event(ALL, "server", 0.0, 10.0),)),
    Act("everything is at its limit for 15 s", (Event(ALL, "closed", 0.0, 15.0),)),
    Act("all down, back one after the other", tuple(Event((n,), "refuse", 0.0, 20.0 + 2.0 * n) for n in ALL)),
    Act("a second outage during the probes", (Event((4,), "server", 0.0, 20.0), Event((4,), "server", 24.0, 50.0))),
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An act with its times on the world's clock."""

    act: Act
    begin: float
    end: float


def placed(acts: Iterable[Act] = ACTS) -> list[Placed]:
    found: list[Placed] = []
    at = STARTS
    for act in acts:
        found.append(Placed(act, at, at + act.seconds))
        at += act.seconds
    return found


def write(script: Iterable[Placed], sites: list[Site]) -> None:
    """Give each site its part."""
    phases: dict[int, list[Phase]] = {site.index: [] for site in sites}
    for entry in script:
        start = entry.begin + LEAD
        for event in entry.act.events:
            for index in event.sites:
                phases[index].append(Phase(event.kind, start + event.begin, start + event.end))
    for site in sites:
        site.script(phases[site.index])


def load_at(entry: Placed, t: float) -> float:
    """How many times as many calls come at `t`."""
    return entry.act.load if entry.begin + LEAD <= t < entry.begin + LEAD + LASTS else 1.0


def weighed(script: Iterable[Placed]) -> float:
    """-> the seconds of a script, those of a rush as many as its calls."""
    return sum(e.end - e.begin + ((e.act.load - 1.0) * LASTS if e.act.load != 1.0 else 0.0) for e in script)
