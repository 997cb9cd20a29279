"""From a call's connection parameters to a gateway: same document, rules and credentials as an entry of config.yaml.

Owns which parameters those are, the gateway that is made of them, and that it is made once. Knows neither the OpenAI
SDK nor event loops.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from shared.accounts import Accounts
from shared.catalog import Catalog
from shared.client.ports import AskedPrices, Callback, NoIndex, NoKeys, Notes, OnUsage, RawIds
from shared.config import BASE_NAMES, Config, parse
from shared.delivery import Limits
from shared.document import Document
from shared.errors import ConfigError
from shared.gateway import Gateway, assembled
from shared.limits import FreeCapacity, Unlimited
from shared.owners import Owners
from shared.ports import Upstream
from shared.prices.spill import Spillover
from shared.routing import States
from shared.transform.resolve import resolve
from shared.transform.terms import RATE_NAMES
from shared.types import Json

CONNECTION = frozenset(
    "additional_drop_params allowed_openai_params api_key api_version azure_ad_token azure_authority_host "
    "azure_federated_token_file azure_password azure_scope azure_username base_model capabilities client_id "
    "client_secret drop_params family tenant_id".split()
) | {*BASE_NAMES, *RATE_NAMES, "model_version", "ptu", "region", "region_name", "sku"}
"""Parameters of a call that say where it goes, how, and what it costs there; all others travel in its body."""
DEPLOYMENT_VERSION = "2024-10-21"
"""The api-version for a base URL that names a deployment (`/openai/deployments/X`) where nobody gives one: Azure's
newest that is no preview (Azure "API version lifecycle", 2026-10). The page that this gateway implements does so."""
MOST = 128
"""Gateways that are kept, for as many different sets of connection parameters."""
_FOREVER = Limits(first_byte=7 * 24 * 3600.0)
"""The caller's `timeout` decides; there is no front end that would end a call."""


class InvalidParameter(ValueError):
    """Connection parameters that cannot work. `param` names the first of them, the text says what to give instead."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Made:
    """A gateway, and what it was made of that may change under it."""

    gateway: Gateway
    notes: Notes
    seen: Mapping[str, str | None]
    """Environment variables that were asked for, with what they said."""
    open: weakref.WeakSet[Open]
    """What is being read of answers."""
    clients: dict[int, Any] = field(default_factory=dict[int, Any])
    """Clients of the OpenAI SDK that ask this gateway, by how often they retry."""


class Open(Protocol):
    """An answer that somebody still reads."""

    async def close(self) -> None: ...


class Gateways:
    """The gateways of one event loop, by what they were made of; the most recently used ones. Thread-safe."""

    def __init__(
        self, environ: Mapping[str, str], upstream: Upstream, notes: Notes, on_usage: Callable[[], OnUsage | None]
    ) -> None:
        self._environ = environ
        self._upstream = upstream
        self._notes = notes
        self._usage = Callback(on_usage)
        self._prices = AskedPrices(on_usage)
        self._made: OrderedDict[bytes, Made] = OrderedDict()
        self._open: weakref.WeakSet[Open] = weakref.WeakSet()
        self._turn = threading.Lock()

    def of(self, document: Json) -> Made:
        """Raises InvalidParameter."""
        try:
            key = orjson.dumps(document)
        except TypeError as error:
            raise InvalidParameter(f"a connection parameter is no JSON value: {error}") from error
        with self._turn:
            made = self._made.get(key)
            if made is None or any(self._environ.get(name) != value for name, value in made.seen.items()):
                made = self._made[key] = self._make(document)
                if len(self._made) > MOST:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
        return made

    def _make(self, data: Json) -> Made:
        environ = _Seen(self._environ)
        catalog = _catalog(Document(_with_versions(data, environ), {}), environ)
        registry = RawIds(catalog)
        owners = Owners(NoIndex(), registry, self._notes, time.time)
        spillover = Spillover(catalog)
        accounts = Accounts(
            self._usage, Unlimited(), self._prices, owners, spillover, self._notes, time.monotonic, time.time
        )
        gateway = assembled(
            catalog, registry, accounts, self._upstream, _FOREVER, NoKeys(),
            states=States(), capacity=FreeCapacity(), rng=SystemRandom(),
        )  # fmt: skip
        return Made(gateway, self._notes, environ.seen, self._open)

    async def close(self) -> None:
        """End what is still being read, so that each call has its record."""
        for answer in list(self._open):
            await answer.close()


class _Seen(Mapping[str, str]):
    """An environment that notes what it was asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.seen: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        value = self.seen[name] = self._environ.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def _with_versions(data: Json, environ: Mapping[str, str]) -> Json:
    """-> the document, with an api-version where a base URL cannot do without one and nobody has given any."""
    if environ.get("AZURE_API_VERSION"):
        return data
    entries: list[Any] = []
    for entry in data["model_list"]:
        params = (entry.get("litellm_params") or entry.get("params")) if isinstance(entry, dict) else None
        if isinstance(params, dict) and not params.get("api_version"):
            base = next((str(params[name]) for name in BASE_NAMES if params.get(name)), "")
            base = base or environ.get("AZURE_API_BASE", "")
            if "/openai/deployments/" in base and "api-version=" not in base:
                entry = {**entry, "litellm_params": {**params, "api_version": DEPLOYMENT_VERSION}}
        entries.append(entry)
    return {**data, "model_list": entries}


def _catalog(document: Document, environ: Mapping[str, str]) -> Catalog:
    """Raises InvalidParameter."""
    try:
        checked = parse(document, environ, {})
        return resolve(checked, document, environ, _hosts(checked, environ))
    except ConfigError as error:
        first = error.problems[0]
        several = len(document.data["model_list"]) > 1
        texts = [f"{p.where if several else _name(p.where)}: {p.message} → {p.remedy}" for p in error.problems]
        raise InvalidParameter("\n".join(texts), _name(first.where)) from error


def _name(where: str) -> str:
    return where.rpartition(".")[2]


def _hosts(checked: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """In a program of their own, callers choose the hosts: each is trusted with the token that is meant for it."""
    for base in (*(entry.params.api_base for entry in checked.entries.values()), environ.get("AZURE_API_BASE")):
        with contextlib.suppress(ValueError):  # what is no URL is told in better words by `resolve`
            yield urlsplit(base or "").hostname or ""
