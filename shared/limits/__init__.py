"""Rates, parallel calls and budgets of keys and teams, by leases (DESIGN §6). Pure but for the store it is given."""

from __future__ import annotations

from shared.ports import Grant
from shared.principals import Principal
from shared.types import Need


class Unlimited:
    """ports.Limiter where nobody is limited: a program that imports the gateway."""

    async def reserve(self, principal: Principal, need: Need) -> Grant | None:
        return None

    def settle(self, grant: Grant, spent: Need) -> None:
        return None
