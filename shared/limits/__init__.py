"""Rates, parallel calls and budgets of keys and teams, and the rates of deployments, by leases (DESIGN §6).

Pure but for the store it is given.
"""

from __future__ import annotations

from shared.limits.capacity import FreeCapacity, LeasedCapacity
from shared.limits.lease import LeaseStore, Pace
from shared.limits.limiter import LeaseLimiter
from shared.limits.money import Threshold
from shared.ports import Grant
from shared.principals import Principal
from shared.types import Need

__all__ = ("FreeCapacity", "LeaseLimiter", "LeaseStore", "LeasedCapacity", "Pace", "Threshold", "Unlimited")


class Unlimited:
    """ports.Limiter where nobody is limited: a program that imports the gateway."""

    async def reserve(self, principal: Principal, need: Need) -> Grant | None:
        return None

    def settle(self, grant: Grant, spent: Need) -> None:
        return None
