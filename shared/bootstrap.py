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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from shared.settings import Settings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from shared.adapters.config_source import ConfigSource
    from shared.adapters.identity import EntraTokens
    from shared.adapters.tables import Tables
    from shared.adapters.telemetry import JsonLog
    from shared.adapters.upstream import HttpUpstream
    from shared.adapters.vault import VaultSecrets
    from shared.service import Service

ROOT = Path(__file__).resolve().parent.parent


async def serve(endpoint: str, request: Request) -> Response:
    """Answer one HTTP request. Never raises: whatever goes wrong is an answer in OpenAI's error shape."""
    return await _service().serve(endpoint, request)


@functools.cache
def _service() -> Service:
    return build_service(os.environ)


def build_service(environ: Mapping[str, str]) -> Service:
    """The app for one process, from its environment. Settings that cannot work make every answer a 503 that says so."""
    from shared.adapters.telemetry import JsonLog, quiet_libraries
    from shared.errors import ConfigError
    from shared.service import Service, Unconfigured

    quiet_libraries()
    log = JsonLog()
    try:
        settings = Settings.from_mapping(environ)
    except ConfigError as error:
        log.error("app settings refused", problems=[str(p) for p in error.problems])
        return Service(Unconfigured(error), log, settings=None)
    log = JsonLog(settings.log_level)
    return Service(_parts(settings, environ, log), log, settings)


def _parts(settings: Settings, environ: Mapping[str, str], log: Any) -> Any:
    from shared.adapters.identity import EntraTokens
    from shared.adapters.key_cache import CachedKeys
    from shared.adapters.objects import TableObjects
    from shared.adapters.tables import TableKeys
    from shared.adapters.upstream import HttpUpstream
    from shared.adapters.usage_log import TableUsageLog
    from shared.adapters.vault import VaultSecrets
    from shared.delivery import Limits
    from shared.limits import Unlimited
    from shared.prices import NoPrices
    from shared.service import Parts

    tables = make_tables(settings)
    vault = VaultSecrets(settings.key_vault_uri, functools.partial(default_credential, ""), time.time, log)
    tokens = EntraTokens(environ, time.time, log, SystemRandom(), vault.get)
    usage = TableUsageLog(tables, secrets.token_hex(8), time.time, log)
    atexit.register(_flush_at_exit, settings, usage, log)
    return Parts(
        environ=environ,
        config=config_source(settings),
        vault=vault,
        keys=CachedKeys(TableKeys(tables), settings.key_cache_seconds, time.monotonic, log),
        upstream=HttpUpstream(tokens, vault, use_proxy=_has_proxy(environ)),
        usage=usage,
        limiter=Unlimited(),
        prices=NoPrices(),
        objects=TableObjects(tables),
        limits=Limits(
            first_byte=settings.first_byte_seconds,
            drain=settings.first_byte_seconds if settings.on_disconnect == "drain" else 0.0,
            flush_each=settings.usage_flush == "request",
            closed_when_down=settings.storage_down == "closed",
        ),
    )


@dataclass(frozen=True, slots=True)
class InProcess:
    """What a program that imports the gateway uses of it, for one event loop; no storage."""

    environ: Mapping[str, str]
    upstream: HttpUpstream
    tokens: EntraTokens
    vault: VaultSecrets
    log: JsonLog

    async def close(self) -> None:
        await self.upstream.close()
        await self.tokens.close()
        await self.vault.close()


def in_process() -> InProcess:
    """The adapters of shared.client. Nothing is opened before it is used."""
    from shared.adapters.identity import EntraTokens
    from shared.adapters.telemetry import JsonLog
    from shared.adapters.upstream import HttpUpstream
    from shared.adapters.vault import VaultSecrets

    log, environ = JsonLog("WARNING"), os.environ
    vault = VaultSecrets(
        environ.get("AZURE_KEY_VAULT_URI", ""), functools.partial(default_credential, ""), time.time, log
    )  # fmt: skip
    tokens = EntraTokens(environ, time.time, log, SystemRandom(), vault.get)
    return InProcess(environ, HttpUpstream(tokens, vault, use_proxy=_has_proxy(environ)), tokens, vault, log)


def _has_proxy(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("HTTPS_PROXY") or environ.get("https_proxy"))


def make_tables(settings: Settings) -> Tables:
    """The app's table service: by connection string, else by identity."""
    from shared.adapters.tables import Tables

    return Tables(functools.partial(_table_client, settings))


def _table_client(settings: Settings) -> Any:
    from azure.data.tables.aio import TableServiceClient

    # three retries within 1.4 s: a caller whose key is looked up waits for them (the SDK's own pace makes it 5.6 s)
    options: dict[str, Any] = {
        "retry_total": 3, "retry_backoff_factor": 0.2, "connection_timeout": 5, "read_timeout": 10,
    }  # fmt: skip
    if connection := settings.storage_connection.reveal():
        return TableServiceClient.from_connection_string(_expand(connection), **options)
    credential = default_credential(settings.storage_client_id)
    return TableServiceClient(_table_endpoint(settings), credential=credential, **options)


def _table_endpoint(settings: Settings) -> str:
    return settings.table_service_uri or f"https://{settings.storage_account}.table.core.windows.net"


def config_source(settings: Settings) -> ConfigSource:
    from shared.adapters.config_source import BlobSource, FileSource, blob_place

    source = settings.config_source
    place = blob_place(source)
    if place is None:
        path = Path(source) if source else ROOT / "config.yaml"
        return FileSource(path if path.is_absolute() else ROOT / path)
    return BlobSource(functools.partial(_blob_client, settings, *place))


def _blob_client(settings: Settings, account: str, container: str, name: str) -> Any:
    from azure.storage.blob.aio import BlobClient

    connection = settings.storage_connection.reveal()
    if connection and not account:
        return BlobClient.from_connection_string(_expand(connection), container, name)
    url = account or settings.blob_service_uri or f"https://{settings.storage_account}.blob.core.windows.net"
    return BlobClient(url, container, name, credential=default_credential(settings.storage_client_id))


def default_credential(client_id: str) -> Any:
    """Managed identity, and on a developer's machine whatever else DefaultAzureCredential finds."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(**_credential_options(client_id))


def _credential_options(client_id: str) -> dict[str, Any]:
    from shared.adapters.identity import authority_options

    options = authority_options(os.environ.get("AZURE_AUTHORITY_HOST", ""))
    if client_id:
        options["managed_identity_client_id"] = client_id
    return {"exclude_interactive_browser_credential": True, **options}


_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)
"""Azurite's published account: a constant that every installation shares, no secret."""


def _expand(connection: str) -> str:
    return _AZURITE if connection.strip().rstrip(";") == "UseDevelopmentStorage=true" else connection


def _flush_at_exit(settings: Settings, usage: Any, log: Any) -> None:
    """What is owed to the ledger when the process ends in good order."""
    if not usage.pending():
        return
    from shared.adapters.tables import write_at_exit

    try:
        with _table_client_at_exit(settings) as service:
            write_at_exit(service, usage.owed())
    except Exception as error:
        log.warning("usage of the last seconds was not written", error=str(error))


def _table_client_at_exit(settings: Settings) -> Any:
    """The SDK's synchronous half: an interpreter that ends starts no threads, and asyncio connects with their help."""
    from azure.data.tables import TableServiceClient
    from azure.identity import DefaultAzureCredential

    options: dict[str, Any] = {"retry_total": 1, "connection_timeout": 2, "read_timeout": 3}
    if connection := settings.storage_connection.reveal():
        return TableServiceClient.from_connection_string(_expand(connection), **options)
    credential = DefaultAzureCredential(**_credential_options(settings.storage_client_id))
    return TableServiceClient(_table_endpoint(settings), credential=credential, **options)
