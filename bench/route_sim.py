"""`python -m bench.route_sim`: a million calls through the routing core itself, in virtual time, with a judge.

Two gateways with routers and states of their own share twenty deployments behind one alias (bench/route_world.py), by a
script of faults (bench/route_script.py). They tell each other what they know every two seconds, two seconds late.
Nothing waits and nothing is random but by the seed: the same arguments give the same figures, CPU apart.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any

from bench.route_figures import Figures
from bench.route_gateway import Gateway, Route
from bench.route_judge import Judge
from bench.route_script import ACTS, STARTS, load_at, placed, weighed, write
from bench.route_world import Site, Size, sites
from shared.catalog import Deployment
from shared.router_settings import RouterSettings
from shared.routing import Ask, Failure, Journey, Over, Router, Step, Wait, Wish

CALLS = 1_000_000
SETTINGS = RouterSettings(first_byte=30.0, stream_first_byte=10.0)
EVERY, LATE = 2.0, 2.0  # seconds between two reports, and until the other has one
DEADLINES = (100.0, 100.0, 120.0, 230.0)
ONE_IN = 10  # calls are timed
WISHES = (((), ""), (("batch",), ""), ((), "eu"), ((), "eastus2"), (("unknown",), "us"))
OFTEN = (0.92, 0.02, 0.03, 0.02, 0.01)


@dataclass(slots=True)
class Call:
    number: int
    size: Size
    begun: float
    deadline: float
    leaves: float
    """When the client gives up, unless it has an answer before."""
    retries: int | None
    wish: int
    gateway: Gateway
    journey: Journey
    act: int
    asks: Counter[int]
    site: Site | None = None
    since: float = 0.0
    """When the present attempt began."""
    total: tuple[int, int] = (0, 0)
    failure: Failure | None = None
    headers: Mapping[str, str] | None = None


class Simulation:
    """One run over one world."""

    def __init__(
        self,
        calls: int,
        seed: int,
        settings: RouterSettings = SETTINGS,
        route: Route = Router,
        deadlines: Sequence[float] = DEADLINES,
    ) -> None:
        self._script = placed(ACTS)
        self._rate = calls / weighed(self._script)
        self._sites = sites(self._rate)
        write(self._script, self._sites)
        self._by_id = {site.deployment.id: site for site in self._sites}
        self._choices = tuple(site.deployment for site in self._sites)
        self._fits = [_fits(self._choices, *wish) for wish in WISHES]
        self._calls, self._settings, self._rng = calls, settings, Random(seed)
        self._gateways = [Gateway(number, settings, self._choices, seed, route) for number in range(2)]
        self._act, self._deadlines = 0, deadlines
        self._heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._pushed = self._open = 0
        self.now = STARTS
        self.judge = Judge(self._sites, len(self._gateways), settings)
        self.figures = Figures(self._sites, self._script)

    def run(self) -> None:
        began = time.perf_counter()
        self._push(STARTS, self._arrive, None)
        for gateway in self._gateways:
            self._push(STARTS + EVERY * (gateway.number + 1) / 2, self._report, gateway)
        heap = self._heap
        while heap:
            self.now, _, act, call = heappop(heap)
            act(call)
        self.figures.in_flight = sum(gateway.in_flight() for gateway in self._gateways)
        self.figures.wall = time.perf_counter() - began
        self.figures.spent = sum(gateway.timer.seconds() for gateway in self._gateways)

    def _push(self, at: float, act: Callable[[Any], None], of: object) -> None:
        self._pushed += 1
        heappush(self._heap, (at, self._pushed, act, of))

    def _report(self, gateway: Gateway) -> None:
        others = [each for each in self._gateways if each is not gateway]
        text = json.dumps(gateway.report(self.now), allow_nan=False)
        for other in others:
            self._push(self.now + LATE, self._hear, (other, gateway.number, text))
        if self.figures.calls < self._calls or self._open:
            self._push(self.now + EVERY, self._report, gateway)

    def _hear(self, what: tuple[Gateway, int, str]) -> None:
        gateway, number, text = what
        gateway.hear(number, json.loads(text), self.now)

    def _arrive(self, _: None) -> None:
        figures, rng = self.figures, self._rng
        while self._act + 1 < len(self._script) and self.now >= self._script[self._act].end:
            self._act += 1
        if figures.calls + 1 < self._calls:
            rate = self._rate * load_at(self._script[self._act], self.now)
            self._push(self.now + rng.expovariate(rate), self._arrive, None)
        figures.calls += 1
        self._open += 1
        size, now = _size(rng), self.now
        deadline = now + rng.choice(self._deadlines)
        leaves = now + 3.0 * rng.random() if rng.random() < 0.005 else inf
        luck = rng.random()
        retries = 0 if luck < 0.02 else 5 if luck < 0.05 else None
        number = rng.choices(range(len(WISHES)), OFTEN)[0]
        tags, region = WISHES[number]
        gateway = self._gateways[rng.random() < 0.4]
        wish = Wish(size.tokens, size.stream, f"key{rng.randrange(500)}", tags, region, retries, deadline)
        timed = figures.calls % ONE_IN == 0
        journey = gateway.begin(wish, now, timed=timed)
        figures.timed += timed
        call = Call(figures.calls, size, now, deadline, leaves, retries, number, gateway, journey, self._act, Counter())
        self._step(call)

    def _step(self, call: Call) -> None:
        now = self.now
        if call.leaves <= now:  # it left while it waited
            return self._end(call, "client left")
        call.gateway.view.begin()
        step: Step = call.journey.next(now)
        if type(step) is Ask:
            return self._ask(call, step)
        if type(step) is Wait:
            self._rule(0 < step.seconds <= self._settings.longest_wait + 1e-6, "a wait that is none or too long", call)
            self._rule(now + step.seconds <= call.deadline, "a wait beyond the deadline", call)
            self.figures.waits.append(step.seconds)
            return self._push(now + step.seconds, self._step, call)
        assert isinstance(step, Over)
        self._over(call, step)

    def _ask(self, call: Call, step: Ask) -> None:
        now, site = self.now, self._by_id[step.deployment.id]
        figures, gateway = self.figures, call.gateway
        self._rule(now < call.deadline, "asked after the deadline", call)
        call.total = self.judge.asked(
            gateway.number, site, call.size, call.asks, self._fits[call.wish], gateway.view, now
        )
        if not call.asks and call.wish == 0:
            figures.asked_first(site.index, now)
        figures.attempts += 1
        figures.acts[call.act].attempts += 1
        call.asks[site.index] += 1
        call.site, call.since = site, now
        seconds, call.failure, call.headers = site.ask(call.size, now, self._rng)
        patience = min(step.timeout or inf, call.deadline - now)
        if seconds > patience:
            seconds, call.failure, call.headers = patience, Failure("timeout"), None
        if call.leaves < now + seconds:
            self._push(call.leaves, self._left, call)
        else:
            self._push(now + seconds, self._failed if call.failure else self._answered, call)

    def _left(self, call: Call) -> None:
        call.journey.ended(self.now, 0, None, good=True)
        self._end(call, "client left")

    def _failed(self, call: Call) -> None:
        assert call.failure is not None
        assert call.site is not None
        failure, site, now = call.failure, call.site, self.now
        self.figures.failed[failure.kind] += 1
        self.figures.acts[call.act].failed += 1
        self.judge.failed(call.gateway.number, site, failure, now)
        if failure.kind == "bad_answer" and call.size.stream and not call.journey.may_go_on:
            call.journey.answered(now, {})  # nothing is left to ask: the client gets what has come, and its end
            call.journey.ended(now, 0, None, good=False)
            return self._without_answer(call, "failed")
        call.journey.failed(failure, now, call.headers)
        self._step(call)

    def _answered(self, call: Call) -> None:
        assert call.site is not None
        assert call.headers is not None
        now, size, site = self.now, call.size, call.site
        call.journey.answered(now, call.headers)
        self.judge.answered(call.gateway.number, site, call.since, call.total, call.headers, now)
        self.figures.answered(site, call.since)
        if size.stream:
            self._push(now + (size.whole - size.first) * site.speed, self._ended, call)
        else:
            self._ended(call)

    def _ended(self, call: Call) -> None:
        assert call.site is not None
        cut = call.size.stream and call.site.breaks(call.since)
        first = call.size.first * call.site.speed if call.size.stream else None
        call.journey.ended(self.now, call.size.spent, first, good=not cut)
        if cut:
            self.judge.failed(call.gateway.number, call.site, Failure("bad_answer"), self.now)
        self._end(call, "broke off after content" if cut else "served")

    def _over(self, call: Call, step: Over) -> None:
        last = call.failure
        if last is not None and last.kind == "bad_request":
            self._rule(call.size.bad, "a good call was refused", call)
            return self._end(call, "refused: a bad request")
        if step.why != "failed" and step.retry_after is None:
            self.figures.dumb += 1
        self._rule(step.retry_after is None or step.retry_after >= 0, "told to come back in the past", call)
        self._without_answer(call, step.why)

    def _without_answer(self, call: Call, why: str) -> None:
        settings, act = self._settings, self.figures.acts[call.act]
        most = 1 + (settings.num_retries if call.retries is None else min(call.retries, settings.most_retries))
        found = self.judge.not_served(
            call.size, call.begun, self.now, call.deadline, self._fits[call.wish], call.asks, most
        )
        act.unanswered += 1
        act.lost += found == "lost"
        late = "at its deadline" if self.now >= call.deadline - 1e-6 else why
        self._end(call, f"without an answer: {late}, {found}")

    def _end(self, call: Call, what: str) -> None:
        self._open -= 1
        self.figures.ends[what] += 1
        self.figures.most_attempts = max(self.figures.most_attempts, call.journey.attempts)
        self.figures.acts[call.act].calls += 1

    def _rule(self, holds: bool, what: str, call: Call) -> None:
        if not holds:
            self.judge.note(self.judge.faults.rules, what, f"call {call.number} at {self.now:.3f}")


def _size(rng: Random) -> Size:
    prompt, most = int(rng.lognormvariate(6.4, 0.8)), rng.choice((100, 300, 300, 700))
    spent = int(most * rng.random())
    first = rng.lognormvariate(-0.8, 0.4)
    return Size(prompt + most, prompt + spent, rng.random() < 0.6, first, first + spent * 0.01, rng.random() < 0.005)


def _fits(choices: tuple[Deployment, ...], tags: tuple[str, ...], region: str) -> tuple[int, ...]:
    """The places of the deployments that may serve such a call."""
    near = {n for n, d in enumerate(choices) if region in ("", d.terms.region, d.terms.area)}
    tagged = {n for n, d in enumerate(choices) if d.tags.intersection(tags)}
    return tuple(sorted(near & (tagged or {n for n, d in enumerate(choices) if not d.tags})))
