"""The router of one process: the strategies and states behind every journey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from shared.catalog import Deployment
from shared.ports import Capacity
from shared.router_settings import RouterSettings
from shared.routing.journey import Journey, Trip
from shared.routing.lineup import Choices
from shared.routing.picking import picks
from shared.routing.ranks import Ranks
from shared.routing.states import States
from shared.routing.steps import Wish
from shared.routing.view import Luck, View, view

MOST_KEPT = 2000
"""Sequences of choices that are kept worked out."""


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
        self._settings = settings
        self._states = states
        self._rng = rng
        self._price = price
        ranks = Ranks(capacity, settings.near_limit, picks(settings.strategy, rng.random, price))
        self._trip = Trip(settings, states, capacity, ranks, rng)
        self._choices: dict[int, Choices] = {}

    def view(self, choices: Sequence[Deployment], wish: Wish, now: float) -> list[View]:
        """-> all choices, in the order in which they would be asked now, with the reasons. Changes nothing; raises
        nothing: a deployment that does not fit is said to be so."""
        luck = Luck()
        pick = picks(self._settings.strategy, luck, self._price)
        return view(self._known(choices), self._trip.ranks, pick, luck, wish, now)

    def begin(self, choices: Sequence[Deployment], wish: Wish, now: float) -> Journey:
        """Raises NothingFits. choices: at least one; the same sequence object for the same alias and operation, so
        that what is worked out of it can be kept."""
        lineup = self._known(choices).fitting(wish)
        parts = lineup.parts
        if lineup.shared and not wish.stream:
            parts = lineup.whole(self._rng.random())
        return Journey(self._trip, lineup, parts, wish)

    def _known(self, choices: Sequence[Deployment]) -> Choices:
        known = self._choices.get(id(choices))
        if known is None or known.choices is not choices:
            if len(self._choices) >= MOST_KEPT:
                self._choices.clear()
            known = self._choices[id(choices)] = Choices(choices, self._states, self._settings)
        return known
