"""Who judges the routing in bench/route_sim.py: what each gateway could know, and which calls need not have failed.

Its rules are its own, from docs/routing.md: nothing of shared.routing is asked. Where a rule leaves room (two reports
cross each other, an answer overtakes another) it takes the router's side: what it counts is surely wrong.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from bench.route_gateway import Counted
from bench.route_world import KEYS, KEYS_OF_REQUESTS, WINDOW, Site, Size
from shared.router_settings import FINAL, RouterSettings
from shared.routing import Failure

LATE = 6.0
"""Seconds after which one gateway has surely heard what another knows."""
MARGIN = 0.1
"""Of a limit: what is left above that is room, however it is counted."""
LARGE = 4_000
"""Tokens of a large call."""
HARD = frozenset({"unreachable", "auth"})


@dataclass(slots=True)
class Seen:
    """What one gateway has seen of one site."""

    failed_at: float = -inf
    hard_at: float = -inf
    closed_until: float = -inf
    """As its last 429 said, unless it has answered since."""
    good_from: float = -inf
    """When the youngest attempt was begun that it has answered."""
    good_at: float = -inf
    well_at: float = -inf
    """When the first attempt was answered that was begun after its last failure."""
    recent: deque[float] = field(default_factory=lambda: deque[float](maxlen=8))
    limits: tuple[int, int] = (0, 0)
    """Tokens and requests; 0: none said."""
    left: tuple[int, int] = (0, 0)
    heard_at: float = -inf
    tight_until: float = -inf
    """Azure said that little was left until then."""
    low_at: float = -inf
    """When, with what has been sent since, so little was left that a large call would have found none."""
    total: tuple[int, int] = (0, 0)
    """Tokens and requests that this gateway has sent there."""
    base: tuple[int, int] = (0, 0)
    """The same, when the youngest attempt was begun of which Azure's figures are known."""

    def well(self, now: float, late: float, allowed: int) -> bool:
        """Surely, as known `late` seconds ago."""
        if self.failed_at == -inf:
            return True
        if self.good_from <= self.failed_at or self.well_at > now - late:
            return False
        return sum(1 for at in self.recent if at > now - WINDOW) <= allowed

    def sent(self) -> tuple[int, int]:
        """-> tokens and requests since Azure's figures."""
        return self.total[0] - self.base[0], self.total[1] - self.base[1]

    def room(self, tokens: int, requests: int, now: float) -> bool:
        """Surely, by what Azure said last. tokens, requests: of this call, and of those since, of all gateways."""
        if self.heard_at < now - WINDOW:
            return True
        (most_tokens, most_requests), (tokens_left, requests_left) = self.limits, self.left
        if most_tokens and tokens_left - tokens < MARGIN * most_tokens:
            return False
        return not most_requests or requests_left - requests >= MARGIN * most_requests


@dataclass(slots=True)
class Faults:
    """What has been counted. All of it should stay 0."""

    misrouted: Counter[str] = field(default_factory=Counter[str])
    rules: Counter[str] = field(default_factory=Counter[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    examples: list[str] = field(default_factory=list[str])


class Judge:
    def __init__(self, sites: Sequence[Site], gateways: int, settings: RouterSettings) -> None:
        self._sites, self._settings = sites, settings
        self._seen = [[Seen() for _ in sites] for _ in range(gateways)]
        self.faults = Faults()

    def note(self, kind: Counter[str], what: str, example: str) -> None:
        kind[what] += 1
        if kind[what] <= 3:
            self.faults.examples.append(f"{what}: {example}")

    def asked(
        self,
        gateway: int,
        site: Site,
        size: Size,
        before: Mapping[int, int],
        fits: Sequence[int],
        capacity: Counted,
        now: float,
    ) -> tuple[int, int]:
        """An attempt begins. before: the sites that the call has asked already. fits: those that it may ask.
        -> what `answered` is to be told."""
        seen = self._seen[gateway][site.index]
        if site.index not in fits:
            self.note(self.faults.misrouted, "outside its tags or region", f"{site.index} at {now:.1f}")
        if now < seen.closed_until - 1e-3:
            self.note(self.faults.misrouted, "before its Retry-After was over", f"{site.index} at {now:.3f}")
        order = site.deployment.order
        worse = self._surely_worse(gateway, site, capacity, now)
        if order > 0 or worse:
            for index in fits:
                other = self._sites[index]
                if index == site.index or index in before or (not worse and other.deployment.order >= order):
                    continue
                if self._surely_free(gateway, other, size, capacity, now):
                    what = "worse health or room" if worse else "a later order"
                    self.note(
                        self.faults.misrouted, f"{what}, another was free", f"{site.index}, not {index}, {now:.3f}"
                    )
                    break
        seen.total = seen.total[0] + size.tokens, seen.total[1] + 1
        if seen.limits[0] and seen.left[0] - seen.sent()[0] < 2 * MARGIN * seen.limits[0] + LARGE:
            seen.low_at = now
        return seen.total

    def _surely_worse(self, gateway: int, site: Site, capacity: Counted, now: float) -> bool:
        if capacity.left_before(site.deployment, now) <= 1.0 - self._settings.near_limit - 1e-9:
            return True
        seen = self._seen[gateway][site.index]
        if now - seen.hard_at >= self._settings.cooldown - 1e-3:
            return False
        return all(each[site.index].good_at < seen.hard_at for each in self._seen)

    def _surely_free(self, gateway: int, site: Site, size: Size, capacity: Counted, now: float) -> bool:
        ptu = site.deployment.terms.ptu
        if ptu is not None and ptu.whole_share < 1.0 and not size.stream:
            return False
        index, allowed = site.index, self._settings.allowed_fails
        since = [each[index].sent() for each in self._seen]
        tokens = size.tokens + sum(tokens for tokens, _ in since)
        requests = 1 + sum(requests for _, requests in since)
        for number, each in enumerate(self._seen):
            if not each[index].well(now, 0.0 if number == gateway else LATE, allowed):
                return False
            said = each[index]
            if not said.room(tokens, requests, now) or now < max(said.tight_until, said.low_at) + LATE:
                return False
        return capacity.left_before(site.deployment, now) > MARGIN

    def failed(self, gateway: int, site: Site, failure: Failure, now: float) -> None:
        if failure.kind in FINAL:
            return
        seen = self._seen[gateway][site.index]
        if failure.kind in HARD and all(each[site.index].good_from > each[site.index].failed_at for each in self._seen):
            seen.hard_at = now  # the first failure of what was well until now: what follows makes no rest longer
        seen.failed_at = now
        seen.recent.append(now)
        if failure.kind == "rate_limit" and failure.retry_after is not None:
            seen.closed_until = now + min(failure.retry_after, self._settings.longest_cooldown)

    def answered(
        self, gateway: int, site: Site, begun: float, total: tuple[int, int], headers: Mapping[str, str], now: float
    ) -> None:
        """total: what `asked` gave."""
        seen = self._seen[gateway][site.index]
        if begun > seen.failed_at >= seen.good_from:
            seen.well_at = now
        seen.good_at, seen.closed_until = now, -inf
        if begun < seen.good_from:
            return  # its figures are older than what is known
        seen.good_from = begun
        seen.limits = (int(headers.get(KEYS[0], 0)), int(headers.get(KEYS_OF_REQUESTS[0], 0)))
        seen.left = (int(headers.get(KEYS[1], 0)), int(headers.get(KEYS_OF_REQUESTS[1], 0)))
        seen.heard_at, seen.base = now, total
        if any(rest < 2 * MARGIN * most for most, rest in zip(seen.limits, seen.left, strict=True)):
            seen.tight_until = now + float(headers[KEYS[2]])

    def not_served(
        self, size: Size, begin: float, now: float, deadline: float, fits: Sequence[int], asks: Counter[int], most: int
    ) -> str:
        """A call has ended without an answer. Was there a moment at which one of the sites would have served it?
        asks: how often it has asked each; most: how often it may. -> what to call it."""
        settings, found = self._settings, "nothing could serve it"
        timeout = (settings.stream_first_byte if size.stream else settings.first_byte) or inf
        for index in fits:
            site = self._sites[index]
            for t in site.moments(begin, now):
                if not site.able(size, t, now, deadline, timeout):
                    continue
                if asks[index] < most:
                    ways = f"after {sum(asks.values())} attempts" if asks else "before any attempt"
                    self.note(self.faults.lost, ways, f"site {index} at {t:.2f}; {begin:.2f} to {now:.2f}")
                    return "lost"
                found = "used its retries up on what was well too late"
        return found
