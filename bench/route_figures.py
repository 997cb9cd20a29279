"""What bench/route_sim.py counts: attempts, waits, shares against weights, time to recover, and the text of it all.

It knows the script and who was asked when; whether a choice was right is bench/route_judge.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median

from bench import report
from bench.route_script import STARTS, Placed
from bench.route_world import BATCH, PTUS, WINDOW, Site

SPAN = 5  # seconds in which a share is counted
LEAST = 40  # calls of an order within that span: fewer give no share
POINTS = 0.05
NEARLY = 0.8  # of a quota: from then on others may be asked in its place
SETTLED = 95.0  # seconds without a fault and without a rush before shares count


@dataclass(frozen=True, slots=True)
class Recovery:
    act: str
    site: int
    kind: str
    seconds: float


@dataclass(slots=True)
class InAct:
    """Of the calls that came during one act."""

    calls: int = 0
    attempts: int = 0
    failed: int = 0
    unanswered: int = 0
    lost: int = 0


@dataclass
class Figures:
    sites: Sequence[Site]
    script: Sequence[Placed]
    calls: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    """What became of calls."""
    attempts: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    """Attempts that failed, by kind."""
    most_attempts: int = 0
    waits: list[float] = field(default_factory=list[float])
    first: list[int] = field(default_factory=list[int])
    """Calls that asked this site first, in calm seconds."""
    spent: float = 0.0
    """Seconds of CPU in the routing core, of the calls that were timed."""
    timed: int = 0
    wall: float = 0.0
    in_flight: int = 0
    """What the states still hold at the end."""
    dumb: int = 0
    """Calls that were refused for want of a deployment and were not told when to come back."""

    def __post_init__(self) -> None:
        self.first = [0] * len(self.sites)
        seconds = int(self.script[-1].end - STARTS) + 400
        self.served = [[0] * seconds for _ in self.sites]
        self.used_up: dict[tuple[int, int], float] = {}
        self.acts = [InAct() for _ in self.script]
        self._calm = _calm(self.script, seconds)

    def asked_first(self, site: int, now: float) -> None:
        if self._calm[int(now - STARTS)]:
            self.first[site] += 1

    def answered(self, site: Site, begun: float) -> None:
        self.served[site.index][int(begun - STARTS)] += 1
        window, ends = site.window(begun)
        if window.tokens > NEARLY * site.tpm or window.requests > NEARLY * site.rpm:
            self.used_up.setdefault((site.index, int((ends - site.offset) // WINDOW) - 1), begun)

    def shares(self, order: int) -> list[tuple[int, float, float]]:
        """-> of the sites of an order that is served by weight: which, its share, the share of its weight."""
        members = [s for s in self.sites if s.deployment.order == order and s.index not in BATCH]
        weights = [s.deployment.weight or s.deployment.rpm or 1.0 for s in members]
        total = sum(self.first[s.index] for s in members) or 1
        return [
            (s.index, self.first[s.index] / total, weight / sum(weights))
            for s, weight in zip(members, weights, strict=True)
        ]

    def ptu_use(self) -> float:
        """-> the share of the PTUs' capacity that was used in the full minutes of the calm acts."""
        used = most = 0
        for site in self.sites[:PTUS]:
            for number, window in site.windows.items():
                begin = number * WINDOW + site.offset
                if all(self._calm[int(begin - STARTS + s)] for s in (0.0, WINDOW - 1) if begin >= STARTS):
                    used += window.tokens
                    most += site.tpm
        return used / most if most else 0.0

    def recoveries(self) -> Iterator[Recovery]:
        """One for each fault of which the end can be seen in the shares."""
        for placed in self.script:
            for index in sorted({i for event in placed.act.events for i in event.sites} - set(BATCH)):
                phases = [p for p in self.sites[index].phases if placed.begin <= p.begin < placed.end]
                if phases and phases[-1].kind not in ("slow", "cut", "conflict"):
                    seconds = self._recovered(self.sites[index], phases[-1].end, placed.end)
                    if seconds is not None:
                        yield Recovery(placed.act.name, index, phases[-1].kind, seconds)

    def _recovered(self, site: Site, end: float, until: float) -> float | None:
        """Seconds from the end of a fault until the share was last seen below what it should be, before it was there;
        inf: it was not, to the end of the act; None: too few calls came to the order."""
        order = [s for s in self.sites if s.deployment.order == site.deployment.order and s.index not in BATCH]
        weigh = {s.index: s.deployment.weight or s.deployment.rpm or 1.0 for s in order}
        first, last = int(end - STARTS), int(until - STARTS) - SPAN
        below: int | None = None
        for second in range(first, last + 1):
            counts = {s.index: sum(self.served[s.index][second : second + SPAN]) for s in order}
            up = [s.index for s in order if s.phase(STARTS + second) is None]
            if sum(counts.values()) < LEAST or site.index not in up or self._used_up(site, STARTS + second + SPAN):
                continue
            due = weigh[site.index] / sum(weigh[i] for i in up)
            if counts[site.index] / sum(counts.values()) >= max(due - POINTS, due / 2):
                return 0.0 if below is None else below + 1.0 - first
            below = second
        return inf if below is not None and below > last - 20 else None

    def _used_up(self, site: Site, t: float) -> bool:
        """Whether it had no room: then it has no share to come back to."""
        return self.used_up.get((site.index, int((t - site.offset) // WINDOW)), inf) <= t


def _calm(script: Sequence[Placed], seconds: int) -> list[bool]:
    calm = [False] * seconds
    for placed in script:
        if not placed.act.events and placed.act.load == 1.0:
            for second in range(int(placed.begin + SETTLED - STARTS), int(placed.end - STARTS)):
                calm[second] = True
    return calm


def share_rows(figures: Figures) -> list[list[str]]:
    """Of order 1: which deployment, the share of its weight, its share of the calls, the difference in points."""
    return [
        [str(index), f"{due:.2%}", f"{share:.2%}", f"{(share - due) * 100:+.2f}"]
        for index, share, due in figures.shares(1)
    ]


def act_rows(figures: Figures) -> list[list[str]]:
    """By act: what became of its calls, and the seconds that recovery took."""
    recovered: dict[str, list[float]] = {}
    for each in figures.recoveries():
        recovered.setdefault(each.act, []).append(each.seconds)
    rows: list[list[str]] = []
    for placed, act in zip(figures.script, figures.acts, strict=True):
        seconds = recovered.get(placed.act.name)
        known = [_seconds(median(seconds)), _seconds(max(seconds))] if seconds else [report.NONE, report.NONE]
        calls = max(act.calls, 1)
        rows.append([
            placed.act.name, f"{act.calls:,}", f"{act.attempts / calls:.3f}", f"{act.failed / calls:.3f}",
            f"{act.unanswered:,}", str(act.lost), *known,
        ])  # fmt: skip
    return rows


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value < inf else "not in the act"


def ends_rows(figures: Figures) -> list[list[str]]:
    return [[what, f"{count:,}"] for what, count in sorted(figures.ends.items(), key=lambda end: -end[1])]
