"""The adapters of one process, and the gateway that is made of them for one configuration. Opens nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

from shared.accounts import Accounts
from shared.adapters.config_source import ConfigSource
from shared.adapters.price_store import PriceStore
from shared.admission import Admission
from shared.catalog import Catalog
from shared.delivery import Delivery, Limits
from shared.errors import ConfigError
from shared.gateway import Gateway
from shared.objects import Registry
from shared.owed import Charges, OnceLog, OwedStore
from shared.owners import Owners
from shared.ports import (
    Callers,
    CallLog,
    KeyStore,
    Limiter,
    ObjectIndex,
    Prices,
    Secrets,
    Upstream,
    UsageLog,
)
from shared.settings import Settings

if TYPE_CHECKING:
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
    prices: Prices
    price_store: PriceStore
    owed: OwedStore
    objects: ObjectIndex
    limits: Limits
    manage: Callable[[], Api]
    """Made when it is first asked for: no call to a model needs it."""


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """Stands for the parts when the app settings cannot work."""

    error: ConfigError


def make_gateway(parts: Parts, settings: Settings, catalog: Catalog, log: CallLog) -> Gateway:
    registry = Registry(catalog, settings.keyring())
    charges = Charges(parts.owed, parts.once, parts.prices, catalog)
    owners = Owners(parts.objects, registry, log, time.time, charges)
    accounts = Accounts(
        parts.usage,
        parts.limiter,
        parts.prices,
        owners,
        log,
        time.monotonic,
        flush_each=settings.usage_flush == "request",
        closed_when_down=settings.storage_down == "closed",
    )
    return Gateway(
        catalog=catalog,
        admission=Admission(catalog, registry),
        owners=owners,
        keys=parts.keys,
        callers=parts.callers,
        upstream=parts.upstream,
        accounts=accounts,
        delivery=Delivery(accounts, owners, log, time.monotonic, parts.limits),
        log=log,
        pepper=settings.key_pepper.reveal().encode(),
        clock=time.time,
        rng=SystemRandom(),
    )
