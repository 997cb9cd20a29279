"""Puts the app together: the only place that reads the environment and builds adapters, all of it on first use.

`serve` is what every trigger calls. Nothing here runs at import: an exception while function_app.py is imported makes
functions vanish without a word, and 10 s is the limit.
"""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from shared.settings import Settings

if TYPE_CHECKING:
    import httpx
    from starlette.requests import Request
    from starlette.responses import Response

    from shared.adapters.catalog_reader import CatalogReader
    from shared.adapters.config_source import ConfigSource
    from shared.adapters.entra_callers import EntraCallers
    from shared.adapters.identity import EntraTokens
    from shared.adapters.in_process import InProcess
    from shared.adapters.observed_usage import ObservedUsage
    from shared.adapters.outbox import Outbox
    from shared.adapters.storage import Storage
    from shared.adapters.tables import Tables
    from shared.adapters.telemetry import JsonLog
    from shared.adapters.upstream import HttpUpstream
    from shared.adapters.vault import VaultSecrets
    from shared.errors import ConfigError
    from shared.limits import LeaseLimiter
    from shared.operations.api import Api
    from shared.operations.desk import LazyDesk
    from shared.operations.timers import Timer
    from shared.prices import PriceBook
    from shared.service import Service

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE_SECONDS = 30.0
"""How long something outside that is no deployment may take: prices, metrics, events."""


async def serve(endpoint: str, request: Request) -> Response:
    """Answer one HTTP request. Never raises: whatever goes wrong is an answer in OpenAI's error shape."""
    return await _service().serve(endpoint, request)


async def run_timer(timer: Timer) -> None:
    """Do what a timer is for. Never raises: what fails is in the log, and in `jobs list`."""
    if (desk := _timers_desk()) is not None:
        from shared.operations import timers

        await desk.price_store.refresh_if_due()
        await timers.run_timer(desk, timer)


async def run_queue(function: str, body: bytes, tries: int | None) -> None:
    """Do what a message asks. Raises what makes the host hand it out again."""
    await _service().work(function, body, tries or 1)


@functools.cache
def _service() -> Service:
    """Settings that cannot work make every answer a 503 that says so."""
    from shared.errors import ConfigError
    from shared.parts import Unconfigured
    from shared.service import Service

    settings, log = _settings(os.environ)
    if isinstance(settings, ConfigError):
        return Service(Unconfigured(settings), log, settings=None)
    return Service(_parts(settings, os.environ, log), log, settings)


@functools.cache
def _timers_desk() -> LazyDesk | None:
    """Timers run on instances of their own, where nothing else is open."""
    settings, log = _settings(os.environ)
    return make_desk(settings, os.environ, log) if isinstance(settings, Settings) else None


def _settings(environ: Mapping[str, str]) -> tuple[Settings | ConfigError, JsonLog]:
    from shared.adapters.telemetry import JsonLog, begin_logging
    from shared.errors import ConfigError

    begin_logging(on_azure="WEBSITE_SITE_NAME" in environ)
    try:
        settings = Settings.from_mapping(environ)
    except ConfigError as error:
        log = JsonLog()
        log.error("app settings refused", problems=[str(p) for p in error.problems])
        return error, log
    return settings, JsonLog(settings.log_level)


def _parts(settings: Settings, environ: Mapping[str, str], log: JsonLog) -> Any:
    from shared.adapters.entra_callers import entra_callers
    from shared.adapters.key_cache import CachedKeys
    from shared.adapters.key_store import TableKeys
    from shared.adapters.late_costs import BudgetedOnce
    from shared.adapters.objects import TableObjects
    from shared.adapters.owed_store import TableOwed
    from shared.adapters.price_store import shipped_book
    from shared.adapters.route_board import RouteBoard
    from shared.delivery import Limits
    from shared.limits import LeasedCapacity
    from shared.parts import Parts
    from shared.routing import States

    desk = make_desk(settings, environ, log, shipped_book)  # refreshed prices come later: no call waits for them
    keys = TableKeys(desk.tables, log)
    callers = entra_callers(settings, environ.get("AZURE_AUTHORITY_HOST", ""), keys, log)
    instance = secrets.token_hex(8)
    usage = _usage(settings, desk, instance, log)
    limiter, states = _limiter(settings, desk, instance, log), States()
    return Parts(
        environ=environ,
        config=config_source(settings),
        vault=desk.vault,
        keys=CachedKeys(keys, settings.key_cache_seconds, time.monotonic, log),
        callers=callers,
        upstream=desk.upstream,
        usage=usage,
        once=BudgetedOnce(usage, desk.tables),
        limiter=limiter,
        capacity=LeasedCapacity(limiter.flights),
        states=states,
        board=RouteBoard(desk.tables, instance, states, time.time, log),
        prices=desk.prices,
        price_store=desk.price_store,
        owed=TableOwed(desk.tables),
        objects=TableObjects(desk.tables),
        batches=functools.partial(_batch_parts, desk, usage, keys),
        limits=Limits(
            first_byte=settings.first_byte_seconds,
            drain=settings.first_byte_seconds if settings.on_disconnect == "drain" else 0.0,
        ),
        manage=functools.cache(functools.partial(_manage_api, settings, desk, callers)),
    )


def _batch_parts(desk: LazyDesk, usage: ObservedUsage, keys: Any) -> Any:
    from shared.adapters.batch_parts import batch_parts

    return batch_parts(desk.tables, desk.folders, desk.queue, desk.outbox, usage, keys)


def _usage(settings: Settings, desk: LazyDesk, instance: str, log: JsonLog) -> ObservedUsage:
    """What is owed to the ledger is written when the process ends in good order, too."""
    from shared.adapters.event_reports import UnpricedModels
    from shared.adapters.observed_usage import ObservedUsage
    from shared.adapters.usage_at_exit import flush_at_exit
    from shared.adapters.usage_log import TableUsageLog

    usage = TableUsageLog(desk.tables, instance, time.time, log)
    service_at_exit = functools.partial(_storage(settings).table_service_at_exit, _credential_at_exit)
    atexit.register(flush_at_exit, usage, service_at_exit, log)
    return ObservedUsage(usage, UnpricedModels(desk.outbox).observe)


def _limiter(settings: Settings, desk: LazyDesk, instance: str, log: JsonLog) -> LeaseLimiter:
    """instance: that of the usage log, by which the sweep finds what a process that is gone has spent."""
    from shared.adapters.event_reports import BudgetThresholds
    from shared.adapters.lease_store import TableLeases
    from shared.limits import LeaseLimiter

    return LeaseLimiter(
        TableLeases(desk.tables, SystemRandom()),
        instance,
        time.time,
        log,
        closed=settings.storage_down == "closed",
        contact=settings.contact,
        on_threshold=BudgetThresholds(desk.outbox).observe,
    )


def _manage_api(settings: Settings, desk: LazyDesk, callers: EntraCallers | None) -> Api:
    from shared.operations.access import Access
    from shared.operations.api import Api

    verifier = callers.verifier if callers else None
    return Api(Access(settings.admin_key.reveal(), verifier, time.monotonic, time.time), desk)


def make_desk(
    settings: Settings, environ: Mapping[str, str], log: JsonLog, book: Callable[[], PriceBook] | None = None
) -> LazyDesk:
    """What operations work with, for one process or one command. Nothing is opened before it is used. `book`: prices to
    begin with; else the refreshed ones, for which whoever asks for prices first waits."""
    from shared.operations.desk import LazyDesk, Makers

    storage = _storage(settings)
    makers = Makers(
        tables=lambda: make_tables(settings),
        blobs=storage.blobs,
        book=book,
        vault=lambda: _vault(settings.key_vault_uri, log),
        tokens=lambda vault: _tokens(environ, vault, log),
        upstream=lambda tokens, vault: _upstream(environ, tokens, vault),
        outbox=lambda tables: _outbox(settings, tables, log),
        folders=storage.folders,
        queue=storage.queue,
        http=_http,
        reader=lambda vault: _reader(settings, environ, vault),
    )
    return LazyDesk(settings, log, time.time, makers, environ)


def _vault(uri: str, log: JsonLog) -> VaultSecrets:
    from shared.adapters.vault import VaultSecrets

    return VaultSecrets(uri, functools.partial(_credential, ""), time.time, log)


def _tokens(environ: Mapping[str, str], vault: VaultSecrets, log: JsonLog) -> EntraTokens:
    from shared.adapters.identity import EntraTokens

    return EntraTokens(environ, time.time, log, SystemRandom(), vault.get)


def _upstream(environ: Mapping[str, str], tokens: EntraTokens, vault: VaultSecrets) -> HttpUpstream:
    from shared.adapters.upstream import HttpUpstream

    return HttpUpstream(tokens, vault, use_proxy=_use_proxy(environ))


def _use_proxy(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in ("HTTPS_PROXY", "https_proxy"))


def _outbox(settings: Settings, tables: Tables, log: JsonLog) -> Outbox:
    from shared.adapters.outbox import Outbox, source_of

    return Outbox(tables, time.time, log, source_of(settings.key_pepper.reveal()), sending=bool(settings.events))


def _http() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=OUTSIDE_SECONDS)


def _reader(settings: Settings, environ: Mapping[str, str], vault: VaultSecrets) -> CatalogReader:
    from shared.adapters.catalog_reader import CatalogReader

    return CatalogReader(config_source(settings), environ, vault, settings.trusted_hosts)


def in_process() -> InProcess:
    """The adapters of shared.client. Nothing is opened before it is used."""
    from shared.adapters.in_process import InProcess
    from shared.adapters.telemetry import JsonLog

    log, environ = JsonLog("WARNING"), os.environ
    vault = _vault(environ.get("AZURE_KEY_VAULT_URI", ""), log)
    tokens = _tokens(environ, vault, log)
    return InProcess(environ, _upstream(environ, tokens, vault), tokens, vault, log)


def _storage(settings: Settings) -> Storage:
    from shared.adapters.storage import Storage

    return Storage(settings, _credential, _use_proxy(os.environ))


def make_tables(settings: Settings) -> Tables:
    """The app's table service: by connection string, else by identity."""
    from shared.adapters.tables import Tables

    return Tables(_storage(settings).table_service)


def config_source(settings: Settings) -> ConfigSource:
    from shared.adapters.config_place import source_of

    return source_of(settings.config_source, ROOT, _storage(settings))


def _credential(client_id: str) -> Any:
    from shared.adapters.own_identity import own_credential
    from shared.adapters.platform_identity import told

    return own_credential(os.environ.get("AZURE_AUTHORITY_HOST", ""), client_id, told(os.environ))


def _credential_at_exit(client_id: str) -> Any:
    from shared.adapters.own_identity import own_credential_at_exit

    return own_credential_at_exit(os.environ.get("AZURE_AUTHORITY_HOST", ""), client_id)
