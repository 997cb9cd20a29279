"""The world of bench/route_sim.py: twenty deployments with quotas, latencies and scripted faults, in virtual time.

It knows nothing of routing: a site answers whoever asks it, by its script and its quota. Chance is given.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Literal

from shared.catalog import Deployment, Ptu, Terms
from shared.routing import Failure
from shared.transform.families import FAMILIES
from shared.transform.surfaces import SURFACES
from shared.types import Credential

Fault = Literal[
    "server", "refuse", "hang", "auth", "dies", "flaky", "cut", "slow", "closed", "curt", "conflict"
]  # fmt: skip
"""server    500 at once               refuse    no connection         hang      accepts and never answers
auth      401                       dies      the stream ends before its first content
flaky     500 in every other tenth of a second, by chance
cut       streams break off after their first content (nothing can be done about those)
slow      everything takes four times as long
closed    429 with a Retry-After that is true       curt      429 without
conflict  409, as long as it lasts"""

EPOCH = 1_800_000_000.0
WINDOW = 60.0
SLOW = 4.0
SOON = 0.02  # seconds until a 429 is here
TOKENS = 1_200.0  # that a call may take at most, in the mean: of it quotas are counted
PTUS, REGIONS = 4, ("swedencentral", "eastus2", "westeurope")
AREAS: Mapping[str, Literal["", "eu", "us"]] = {"swedencentral": "eu", "eastus2": "us", "westeurope": "eu"}
WEIGHTS = (35, 20, 12, 10, 7, 5, 4, 3, 2, 2)  # of order 1
SHARES = (1, 1, 2, 2, 4, 4)  # of order 2, which go by rpm
HEADERS = ("limit", "remaining", "reset")
BATCH = (12, 19)  # the sites that are tagged `batch`
KEYS: Sequence[str] = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
KEYS_OF_REQUESTS: Sequence[str] = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Phase:
    kind: Fault
    begin: float
    end: float


@dataclass(slots=True)
class Size:
    """What a call is, whoever serves it."""

    tokens: int
    spent: int
    stream: bool
    first: float
    """Seconds to the first token, of a site of speed 1."""
    whole: float
    """Seconds to the last."""
    bad: bool = False
    """A request that every site refuses with 400."""


@dataclass(slots=True)
class Window:
    """A minute of a site's quota, as Azure counts it."""

    requests: int = 0
    tokens: int = 0
    closed_at: float = inf
    """When it was used up: from then on it answers 429 until its end."""


@dataclass(slots=True)
class Site:
    """One deployment as it really is. rpm, tpm: what Azure allows."""

    deployment: Deployment
    index: int
    rpm: int
    tpm: int
    speed: float
    offset: float
    """By which its minutes begin later than others'."""
    phases: list[Phase] = field(default_factory=list[Phase])
    begins: list[float] = field(default_factory=list[float])
    windows: dict[int, Window] = field(default_factory=dict[int, Window])

    def script(self, phases: Sequence[Phase]) -> None:
        self.phases = sorted(phases, key=lambda phase: phase.begin)
        self.begins = [phase.begin for phase in self.phases]

    def phase(self, t: float) -> Phase | None:
        at = bisect_right(self.begins, t) - 1
        return self.phases[at] if at >= 0 and t < self.phases[at].end else None

    def flaky_now(self, t: float) -> bool:
        """By the tenth of a second, so that it is the same for whoever asks."""
        return (int(t * 10) * 2654435761 + self.index * 40503) >> 7 & 1 == 1

    def seconds(self, size: Size, slow: bool) -> float:
        """Until its answer begins; an answer that is no stream begins when it is whole."""
        return (size.first if size.stream else size.whole) * self.speed * (SLOW if slow else 1.0)

    def window(self, t: float) -> tuple[Window, float]:
        """-> the minute of `t`, and when it ends."""
        number = int((t - self.offset) // WINDOW)
        found = self.windows.get(number)
        if found is None:
            found = self.windows[number] = Window()
        return found, (number + 1) * WINDOW + self.offset

    def ask(self, size: Size, t: float, rng: Random) -> tuple[float, Failure | None, Mapping[str, str]]:
        """-> seconds until the answer begins (inf: never), the failure it is, the headers."""
        phase = self.phase(t)
        kind = phase.kind if phase is not None else None
        if phase is not None:
            failed = self._fault(phase, size, t, rng)
            if failed is not None:
                return failed[0], failed[1], NO_HEADERS
        if size.bad:
            return 0.05, Failure("bad_request"), NO_HEADERS
        window, ends = self.window(t)
        if window.closed_at < inf or window.requests >= self.rpm or window.tokens + size.tokens > self.tpm:
            window.closed_at = min(window.closed_at, t)
            return SOON, Failure("rate_limit", max(ends - t - SOON, 0.001)), NO_HEADERS
        window.requests += 1
        window.tokens += size.tokens
        return self.seconds(size, kind == "slow"), None, self._headers(window, ends - t)

    def _fault(self, phase: Phase, size: Size, t: float, rng: Random) -> tuple[float, Failure] | None:
        match phase.kind:
            case "refuse":
                return 0.005, Failure("unreachable")
            case "hang":
                return inf, Failure("timeout")
            case "auth":
                return 0.03, Failure("auth")
            case "conflict":
                return 0.03, Failure("conflict")
            case "server":
                return 0.05 + 0.2 * rng.random(), Failure("server")
            case "flaky":
                return (0.05, Failure("server")) if self.flaky_now(t) else None
            case "dies":
                return (self.seconds(size, slow=False) if size.stream else 0.1), Failure("bad_answer")
            case "closed":
                return SOON, Failure("rate_limit", max(phase.end - t - SOON, 0.001))
            case "curt":
                return SOON, Failure("rate_limit")
            case "slow" | "cut":
                return None

    def _headers(self, window: Window, left: float) -> Mapping[str, str]:
        reset = str(int(left) + 1)
        found = dict(zip(KEYS, (str(self.tpm), str(self.tpm - window.tokens), reset), strict=True))
        if self.deployment.terms.provisioned:
            return found  # PTU has no limit of requests
        found.update(zip(KEYS_OF_REQUESTS, (str(self.rpm), str(self.rpm - window.requests), reset), strict=True))
        return found

    def breaks(self, t: float) -> bool:
        """Whether a stream that was begun at `t` breaks off after its first content."""
        phase = self.phase(t)
        return phase is not None and phase.kind == "cut"

    def able(self, size: Size, t: float, seen: float, deadline: float, timeout: float) -> bool:
        """Whether it would have served a call that asks at `t`, with what of its quota nobody had used at `seen`."""
        phase = self.phase(t)
        kind = phase.kind if phase is not None else None
        if kind not in (None, "slow", "cut", "flaky") or (kind == "flaky" and self.flaky_now(t)):
            return False
        seconds = self.seconds(size, kind == "slow")
        if t + seconds > deadline or seconds > timeout:
            return False
        window = self.window(t)[0]
        if window.closed_at <= seen:
            return False
        return window.requests < self.rpm and window.tokens + size.tokens <= self.tpm

    def moments(self, begin: float, end: float) -> list[float]:
        """All times in between at which what it is able to do may have become more."""
        found = [begin, *(phase.end for phase in self.phases if begin < phase.end <= end)]
        for phase in self.phases:
            if phase.kind == "flaky" and phase.begin < end and phase.end > begin:
                first, last = max(phase.begin, begin), min(phase.end, end)
                found += [tenth / 10 + 1e-6 for tenth in range(int(first * 10) + 1, int(last * 10) + 1)]
        edge = self.window(begin)[1]
        while edge <= end:
            found.append(edge + 1e-6)
            edge += WINDOW
        return found


def sites(rate: float) -> list[Site]:
    """Twenty deployments for so many calls a second: PTU for 0.6 of them, order 1 for 1.6, order 2 for 0.8."""
    minute = rate * WINDOW
    found: list[Site] = []
    for n in range(PTUS):
        tpm = int(0.15 * minute * TOKENS)
        terms = Terms("GlobalProvisionedManaged", ptu=Ptu(100, whole_share=0.5 if n == PTUS - 1 else 1.0))
        found.append(_site(len(found), 0, 10**9, tpm, terms, tpm=tpm))
    for n, weight in enumerate(WEIGHTS):
        share = weight / sum(WEIGHTS) * 1.6 * minute
        rpm, tpm = max(int(share), 2), max(int(share * 2 * TOKENS), 20_000)
        configured = {"rpm": rpm, "tpm": tpm} if n in (3, 5) else {}
        found.append(_site(len(found), 1, rpm, tpm, Terms(), weight=float(weight), **configured))
    for part in SHARES:
        share = part / sum(SHARES) * 0.8 * minute
        rpm, tpm = max(int(share), 2), max(int(share * 2 * TOKENS), 20_000)
        found.append(_site(len(found), 2, rpm, tpm, Terms(), rpm=rpm))
    return found


def _site(index: int, order: int, limit: int, tokens: int, terms: Terms, **configured: float) -> Site:
    region = REGIONS[index % len(REGIONS)]
    terms = Terms(terms.sku, region=region, area=AREAS[region], ptu=terms.ptu)
    deployment = Deployment(
        id=f"site{index:02}/model", alias="model", number=index + 1, provider="azure", name="model",
        resource=f"site{index:02}", surface=SURFACES["v1"], root="", api_version="v1", family=FAMILIES["ordinary"],
        model="model", mode="chat", serves=frozenset({"chat"}), credential=Credential("api_key"), order=order,
        tags=frozenset({"batch"} if index in BATCH else ()), terms=terms,
        **configured,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    return Site(deployment, index, limit, tokens, 0.8 + 0.05 * (index * 7 % 16), EPOCH + 7.0 * (index % 8))
