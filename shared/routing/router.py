"""The router of one process: the strategies and states behind every journey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from shared.catalog import Deployment
from shared.ports import Capacity
from shared.router_settings import RouterSettings
from shared.routing.journey import Journey
from shared.routing.states import States
from shared.routing.steps import Wish


class Router:
    """Built once per configuration."""

    def __init__(
        self,
        settings: RouterSettings,
        states: States,
        capacity: Capacity,
        rng: Random,
        price: Callable[[Deployment], float],
    ) -> None:
        """price: of a token in and a token out, in any one unit; only asked by lowest-cost."""

    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        """Raises NothingFits. choices: at least one; the same sequence object for the same alias and operation, so
        that what is worked out of it can be kept."""
        raise NotImplementedError
