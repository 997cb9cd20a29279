"""Which deployment runs a batch, and which one next when that refuses. Pure.

Health first, then who has not refused the batch or has done so longest ago, then the operator's order, then the shorter
queue; of queues that are about as long, the cheaper deployment.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from random import Random

from shared.batches.batch import Batch, Try
from shared.catalog import Catalog, Deployment
from shared.routing import NothingFits, fitting

ALIKE = 1_000_000
"""Enqueued tokens: queues are told apart by the power of two of so many."""
NOT_NOW = "not now: "
"""How the reason of a refusal begins that may pass: the deployment is asked again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a deployment stands to a new batch."""

    deployment: Deployment
    waiting: int = 0
    """Tokens of the batches that are placed there and not over."""
    price: float = 0.0
    """Of a token in and a token out."""
    ill: bool = False
    """It, or another deployment of its resource, does not answer just now."""
    refused: int = 0
    """The higher, the later it has refused this very batch; 0: it has not."""


def fit_for(catalog: Catalog, keepers: Container[str], batch: Batch) -> list[Deployment]:
    """Those that may run it by its payer's tags and in the regions that are allowed, in the order of the configuration.
    Raises NothingFits where there are others only."""
    there = [
        deployment
        for deployment in catalog.of(batch.alias)
        if deployment.only_batches and deployment.resource in keepers and batch.bound in ("", deployment.resource)
    ]
    return fitting(there, catalog.router, batch.payer.tags) if there else []


def for_batches(catalog: Catalog, keepers: Container[str], batch: Batch) -> list[Deployment]:
    """The same of one that has been made: the configuration may have changed since, and then nobody may run it."""
    try:
        return fit_for(catalog, keepers, batch)
    except NothingFits:
        return []


def ranked(standings: Sequence[Standing], *, balanced: bool, rng: Random) -> list[Deployment]:
    """The best first. balanced: else as the operator has ordered them, those that are ill at the end."""
    if not balanced:
        return [each.deployment for each in sorted(standings, key=lambda s: (s.ill, s.refused, s.deployment.order))]

    def key(standing: Standing) -> tuple[bool, int, int, int, float, int, float]:
        order, length = standing.deployment.order, (standing.waiting // ALIKE).bit_length()
        return standing.ill, standing.refused, order, length, standing.price, standing.waiting, rng.random()

    return [each.deployment for each in sorted(standings, key=key)]


def refused_for_good(batch: Batch) -> frozenset[str]:
    """Deployments, by id, that will not take it however often they are asked."""
    return frozenset(each.deployment for each in batch.tries if not each.why.startswith(NOT_NOW))


def last_refusal(batch: Batch, deployment: str) -> int:
    return max((n for n, each in enumerate(batch.tries, 1) if each.deployment == deployment), default=0)


def with_try(tries: Sequence[Try], new: Try) -> tuple[Try, ...]:
    """The same reason of the same deployment is kept once, unless it has left something there."""
    kept = [
        each
        for each in tries
        if (each.deployment, each.why) != (new.deployment, new.why) or each.upstream_file or each.upstream_batch
    ]
    return (*kept[-_MOST_TRIES:], new)


_MOST_TRIES = 30


def file_kept_by(tries: Sequence[Try], deployment: str) -> str:
    """The input as an earlier try has left it with a deployment; empty: it has none."""
    return next((t.upstream_file for t in reversed(tries) if t.deployment == deployment and t.upstream_file), "")
