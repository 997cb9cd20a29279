"""What the tests of routing start from: deployments by name, a router over them, and calls that go the way they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from shared.catalog import Deployment, Ptu, Terms
from shared.router_settings import FailureKind, RouterSettings, Strategy
from shared.routing import Ask, Failure, Journey, Over, Router, State, States, Step, Wait, Wish
from tests.unit.given import deployment

START = 1_790_000_000.0


def dep(name: str, *, share: float | None = None, region: str = "", area: Any = "", **fields: Any) -> Deployment:
    """share: it is provisioned, and takes so much of the calls without a stream."""
    terms = Terms(region=region, area=area, ptu=None if share is None else Ptu(1, whole_share=share))
    return replace(deployment(name=name), id=f"res/{name}", terms=terms, **fields)


def deps(names: str, **fields: Any) -> tuple[Deployment, ...]:
    return tuple(dep(name, **fields) for name in names.split())


class Counted:
    """Capacity that is told what is left, and keeps count (ports.Capacity)."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}
        self.taken: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def left(self, deployment: Deployment, now: float) -> float:
        return self.shares.get(deployment.name, 1.0)

    def take(self, deployment: Deployment, tokens: int, now: float) -> None:
        self.taken[deployment.name] = self.taken.get(deployment.name, 0) + tokens
        self.calls[deployment.name] = self.calls.get(deployment.name, 0) + 1

    def settle(self, deployment: Deployment, at: float, tokens: int, spent: int) -> None:
        self.taken[deployment.name] += spent - tokens
        self.calls[deployment.name] -= 1


class World:
    """One alias, its router, and a clock."""

    def __init__(
        self,
        choices: Sequence[Deployment] | str,
        strategy: Strategy = "simple-shuffle",
        *,
        seed: int = 1,
        prices: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        self.choices = deps(choices) if isinstance(choices, str) else tuple(choices)
        self.states = States()
        self.capacity = Counted()
        self.settings = RouterSettings(strategy=strategy, **settings)
        price = {} if prices is None else prices
        self.router = Router(
            self.settings, self.states, self.capacity, Random(seed), lambda d: price.get(d.name, 0.0)
        )  # fmt: skip
        self.now = START

    def state(self, name: str) -> State:
        return self.states.of(f"res/{name}")

    def begin(self, **wish: Any) -> Journey:
        return self.router.begin(self.choices, Wish(**wish), self.now)

    def first(self, **wish: Any) -> str:
        """-> who would be asked now; nothing is sent."""
        rows = self.router.view(self.choices, Wish(**wish), self.now)
        return max(rows, key=lambda row: row.share).deployment.name

    def call(self, outcomes: Mapping[str, Failure] | None = None, *, tokens: int = 0, **wish: Any) -> tuple[str, ...]:
        """One call: who was asked, `~` and the seconds for a wait, and last `ok` or why it was over. outcomes: who
        fails, and how; all others answer."""
        journey, path = self.begin(**wish), list[str]()
        while True:
            step = journey.next(self.now)
            match step:
                case Over():
                    return (*path, step.why)
                case Wait():
                    path.append(f"~{int(step.seconds + 0.3)}")  # 0 and 1: the first backoffs
                    self.now += step.seconds
                case Ask():
                    path.append(step.deployment.name)
                    failure = (outcomes or {}).get(step.deployment.name)
                    if failure is None:
                        journey.answered(self.now, {})
                        journey.ended(self.now, tokens, None, good=True)
                        return (*path, "ok")
                    journey.failed(failure, self.now)


def asked(step: Step) -> str:
    """-> the name of the deployment that is to be asked."""
    assert isinstance(step, Ask), step
    return step.deployment.name


def failure(kind: FailureKind, retry_after: float | None = None) -> Failure:
    return Failure(kind, retry_after)
