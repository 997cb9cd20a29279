"""The adapters of one process, and what is made of them for one configuration: the gateway and its batches.

Opens nothing itself.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

from shared.accounts import Accounts
from shared.adapters.config_source import ConfigSource
from shared.adapters.price_store import PriceStore
from shared.adapters.route_board import RouteBoard
from shared.catalog import Catalog
from shared.delivery import Limits
from shared.errors import ConfigError
from shared.gateway import Gateway, assembled
from shared.here import OpenedLater
from shared.objects import Registry
from shared.owed import Charges, OnceLog, OwedStore
from shared.owners import Owners
from shared.ports import (
    Callers,
    CallLog,
    Capacity,
    KeyStore,
    Limiter,
    ObjectIndex,
    Prices,
    Secrets,
    Upstream,
    UsageLog,
)
from shared.prices.spill import Spillover
from shared.routing import States
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.batches.desk import Batches
    from shared.batches.making import BatchParts
    from shared.operations.api import Api


@dataclass(frozen=True, slots=True)
class Parts:
    """The adapters of one process."""

    environ: Mapping[str, str]
    config: ConfigSource
    vault: Secrets
    keys: KeyStore
    callers: Callers | None
    upstream: Upstream
    usage: UsageLog
    once: OnceLog
    """What has ended in the background: written down, and counted in budgets."""
    limiter: Limiter
    capacity: Capacity
    states: States
    """What is known of deployments: outlives a configuration."""
    board: RouteBoard
    prices: Prices
    price_store: PriceStore
    owed: OwedStore
    objects: ObjectIndex
    batches: Callable[[], BatchParts]
    """As `manage`."""
    limits: Limits
    manage: Callable[[], Api]
    """Made when it is first asked for: no call to a model needs it."""


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """Stands for the parts when the app settings cannot work."""

    error: ConfigError


@dataclass(frozen=True, slots=True)
class Served:
    """What one configuration serves."""

    gateway: Gateway
    batches: Callable[[], Batches]
    """Made when they are first asked for."""


def make_served(parts: Parts, settings: Settings, catalog: Catalog, log: CallLog) -> Served:
    registry = Registry(catalog, settings.keyring())
    charges = Charges(parts.owed, parts.once, parts.prices, catalog)
    owners = Owners(parts.objects, registry, log, time.time, charges)
    accounts = Accounts(
        parts.usage,
        parts.limiter,
        parts.prices,
        owners,
        Spillover(catalog),
        log,
        time.monotonic,
        time.time,
        flush_each=settings.usage_flush == "request",
        closed_when_down=settings.storage_down == "closed",
    )
    batches = functools.cache(functools.partial(_make_batches, parts, settings, registry, accounts, log))
    gateway = assembled(
        catalog,
        registry,
        accounts,
        parts.upstream,
        parts.limits,
        parts.keys,
        states=parts.states,
        capacity=parts.capacity,
        rng=SystemRandom(),
        callers=parts.callers,
        pepper=settings.key_pepper.reveal().encode(),
        here=OpenedLater(batches),
    )
    return Served(gateway, batches)


def _make_batches(parts: Parts, settings: Settings, registry: Registry, accounts: Accounts, log: CallLog) -> Batches:
    from shared.batches.making import make_batches  # 70 ms with all that it needs
    from shared.low_priority import low_priority

    catalog, rng = registry.catalog, SystemRandom()
    lines = low_priority(
        catalog, registry, accounts, parts.upstream, parts.limits, parts.keys,
        states=parts.states, capacity=parts.capacity, rng=rng,
    )  # fmt: skip
    return make_batches(
        parts.batches(), settings, catalog, registry, lines,
        upstream=parts.upstream, vault=parts.vault, prices=parts.prices, states=parts.states,
        index=parts.objects, log=log, clock=time.time, rng=rng,
    )  # fmt: skip
