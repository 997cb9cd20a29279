"""One gateway of bench/route_sim.py: a router, its states, what it knows of capacity, and a clock on their CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, cast

from shared.catalog import Deployment
from shared.ports import Capacity
from shared.router_settings import RouterSettings
from shared.routing import Failure, Journey, Router, States, Step, Wish


class Counted:
    """ports.Capacity: what this gateway has taken of each minute, and what the others had as they said last."""

    def __init__(self) -> None:
        self._own: dict[str, list[int]] = {}
        self._others: dict[int, Mapping[str, Sequence[int]]] = {}
        self._last = ("", 0)

    def left(self, deployment: Deployment, now: float) -> float:
        return self._left(deployment, now, 0, 0)

    def begin(self) -> None:
        """The next attempt is about to be chosen."""
        self._last = ("", 0)

    def left_before(self, deployment: Deployment, now: float) -> float:
        """The same, as it was when the present attempt was chosen."""
        name, tokens = self._last
        return self._left(deployment, now, -1, -tokens) if name == deployment.id else self.left(deployment, now)

    def _left(self, deployment: Deployment, now: float, requests: int, tokens: int) -> float:
        if deployment.rpm is None and deployment.tpm is None:
            return 1.0
        minute, taken = int(now // 60), self._row(deployment, now)
        requests, tokens = requests + taken[1], tokens + taken[2]
        for said in self._others.values():
            row = said.get(deployment.id)
            if row is not None and row[0] == minute:
                requests += row[1]
                tokens += row[2]
        of_requests = 1.0 - requests / deployment.rpm if deployment.rpm else 1.0
        of_tokens = 1.0 - tokens / deployment.tpm if deployment.tpm else 1.0
        return max(min(of_requests, of_tokens), 0.0)

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        row = self._row(deployment, now)
        row[1] += 1
        row[2] += tokens
        self._last = (deployment.id, tokens)

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        row = self._own.get(deployment.id)
        if row is not None and row[0] == int(at // 60):
            row[2] += spent - tokens

    def said(self) -> Mapping[str, Sequence[int]]:
        return {name: list(row) for name, row in self._own.items()}

    def hear(self, number: int, said: Mapping[str, Sequence[int]]) -> None:
        self._others[number] = said

    def _row(self, deployment: Deployment, now: float) -> list[int]:
        minute = int(now // 60)
        row = self._own.get(deployment.id)
        if row is None or row[0] != minute:
            row = self._own[deployment.id] = [minute, 0, 0]
        return row


class Timer:
    """CPU of one thread. What reading the clock costs is taken off."""

    def __init__(self) -> None:
        self._nanos = self._laps = 0
        self._began = 0

    def __enter__(self) -> None:
        self._began = time.thread_time_ns()

    def __exit__(self, *_: object) -> None:
        self._nanos += time.thread_time_ns() - self._began
        self._laps += 1

    def seconds(self) -> float:
        empty = Timer()
        for _ in range(2_000):
            with empty:
                pass
        return max(self._nanos - self._laps * empty._nanos / empty._laps, 0) / 1e9


class Timed:
    """A journey (routing.Journey) whose steps are timed."""

    def __init__(self, journey: Journey, timer: Timer) -> None:
        self._journey, self._timer = journey, timer

    @property
    def attempts(self) -> int:
        return self._journey.attempts

    @property
    def may_go_on(self) -> bool:
        return self._journey.may_go_on

    def next(self, now: float) -> Step:
        with self._timer:
            return self._journey.next(now)

    def failed(self, failure: Failure, now: float, headers: Mapping[str, str] | None = None) -> None:
        with self._timer:
            self._journey.failed(failure, now, headers)

    def answered(self, now: float, headers: Mapping[str, str]) -> None:
        with self._timer:
            self._journey.answered(now, headers)

    def ended(self, now: float, tokens: int, first_token: float | None, *, good: bool) -> None:
        with self._timer:
            self._journey.ended(now, tokens, first_token, good=good)


type Route = Callable[[RouterSettings, States, Capacity, Random, Callable[[Deployment], float]], Router]


class Gateway:
    def __init__(
        self, number: int, settings: RouterSettings, choices: Sequence[Deployment], seed: int, route: Route
    ) -> None:
        self.number, self._choices = number, choices
        self._states, self.view, self.timer = States(), Counted(), Timer()
        rng = Random(seed * 31 + number)
        self._router = route(settings, self._states, self.view, rng, _price)

    def begin(self, wish: Wish, now: float, *, timed: bool) -> Journey:
        if not timed:
            return self._router.begin(self._choices, wish, now)
        with self.timer:
            journey = self._router.begin(self._choices, wish, now)
        return cast(Journey, Timed(journey, self.timer))

    def report(self, now: float) -> dict[str, Any]:
        return {"states": self._states.report(now), "capacity": self.view.said()}

    def hear(self, number: int, report: Mapping[str, Any], now: float) -> None:
        self._states.hear(report["states"], now)
        self.view.hear(number, report["capacity"])

    def in_flight(self) -> int:
        return sum(self._states.of(each.id).in_flight for each in self._choices)


def _price(deployment: Deployment) -> float:
    return 1.0 + deployment.number % 4
