"""What one call was granted, until it is settled."""

from __future__ import annotations

from collections.abc import Callable

from shared.limits.lease import Lease
from shared.limits.rates import RateLease
from shared.limits.refusals import rate_headers
from shared.types import Need, RawHeaders


class LeaseGrant:
    """ports.Grant. `taken`: the leases that the call was noted in."""

    __slots__ = ("at", "clock", "need", "rates", "shadow", "taken")

    def __init__(
        self,
        taken: tuple[Lease, ...],
        rates: tuple[RateLease, ...],
        need: Need,
        at: float,
        clock: Callable[[], float],
        shadow: str = "",
    ) -> None:
        self.taken = taken
        self.rates = rates
        self.need = need
        self.at = at
        self.clock = clock
        self.shadow = shadow

    def headers(self) -> RawHeaders:
        return rate_headers(self.rates, self.clock()) if self.rates else []
