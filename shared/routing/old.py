"""Which deployments to ask, in which order. Pure: the random source is an argument, nothing is remembered.

Attempts go by `order` (lowest first); within one order a weighted shuffle decides: by `weight`, else by `rpm`, else
by `tpm`, else evenly. Each deployment is asked at most once a call; whether another is asked at all is decided before
the first byte has gone to the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random

from shared.catalog import Deployment

MOST_ATTEMPTS = 5

RETRY_ELSEWHERE = frozenset({401, 403, 408, 409, 429, 500, 502, 503, 504})
"""Statuses on which another deployment may do better. 400, 404 and the content filter's verdict would be the same
anywhere; 401 and 403 are the gateway's own sign-in at one resource."""


def plan(deployments: Sequence[Deployment], rng: Random) -> Sequence[Deployment]:
    """-> the deployments in the order in which to try them, at most MOST_ATTEMPTS."""
    if len(deployments) == 1:
        return deployments
    planned: list[Deployment] = []
    for order in sorted({d.order for d in deployments}):
        planned += _weighted_shuffle([d for d in deployments if d.order == order], rng)
    return planned[:MOST_ATTEMPTS]


def _weighted_shuffle(deployments: list[Deployment], rng: Random) -> list[Deployment]:
    """Efraimidis and Spirakis, as a race: each arrives after an exponential time of its rate. A weight of 0 is last."""
    weights = _weights(deployments)
    keyed = [(rng.expovariate(w) if w > 0 else inf, i) for i, w in enumerate(weights)]
    return [deployments[i] for _, i in sorted(keyed)]


def _weights(deployments: list[Deployment]) -> list[float]:
    for values in ([d.weight for d in deployments], [d.rpm for d in deployments], [d.tpm for d in deployments]):
        if any(v is not None for v in values):
            return [float(v) if v is not None else 1.0 for v in values]
    return [1.0] * len(deployments)
