"""Which deployment to ask, whether to ask another, how long to wait, when to give up. Pure: time and chance are given.

    States          what one process knows of each deployment: in flight, used, how fast, how healthy
    Router.begin    one call's Journey over the deployments that may answer it
    Journey.next    -> Ask, Wait or Over; told of each failure and of the end
    Router.view     how each deployment stands to a call, and why, for people to read

Nothing here does I/O, so that a simulator can drive a million calls through the very same code (bench/route_sim.py).
"""

from __future__ import annotations

from shared.routing.journey import Journey
from shared.routing.lineup import fitting
from shared.routing.router import Router
from shared.routing.states import State, States
from shared.routing.steps import Ask, Failure, NothingFits, Over, Step, Wait, Wish
from shared.routing.view import View

__all__ = (
    "Ask", "Failure", "Journey", "NothingFits", "Over", "Router", "State", "States", "Step", "View",
    "Wait", "Wish", "fitting",
)  # fmt: skip
