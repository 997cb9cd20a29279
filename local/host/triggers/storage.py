"""Connections to Azure Storage (or Azurite) by the names that bindings use, and their clients.

Knows the platform's settings for them; nothing of functions or messages.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from ..contract import HostError

# Azurite's well-known account: public, and the same on every machine.
DEVELOPMENT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)


def connection_string(name: str, environ: MutableMapping[str, str] = os.environ) -> str | None:
    """The connection string behind a binding's connection, if there is one."""
    for candidate in (name, f"AzureWebJobs{name}"):
        if value := environ.get(candidate, ""):
            return DEVELOPMENT if value.startswith("UseDevelopmentStorage=true") else value
    return None


def service_uri(name: str, kind: str, environ: MutableMapping[str, str] = os.environ) -> str | None:
    """The address for signing in by identity: `NAME__queueServiceUri` and the like, or `NAME__accountName`."""
    for candidate in (name, f"AzureWebJobs{name}"):
        if uri := environ.get(f"{candidate}__{kind}ServiceUri") or environ.get(f"{candidate}__serviceUri"):
            return uri
        if account := environ.get(f"{candidate}__accountName"):
            return f"https://{account}.{kind}.core.windows.net"
    return None


class Storage:
    """Clients by service and connection, made at first use and closed together."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Any] = {}
        self._credentials: dict[tuple[str, str], Any] = {}

    def blobs(self, connection: str | None) -> Any:
        return self._client("blob", connection)

    def queues(self, connection: str | None) -> Any:
        return self._client("queue", connection)

    def _client(self, kind: str, connection: str | None) -> Any:
        name = connection or "AzureWebJobsStorage"
        if (kind, name) not in self._clients:
            self._clients[kind, name] = self._make(kind, name)
        return self._clients[kind, name]

    def _make(self, kind: str, name: str) -> Any:
        service = _service(kind)
        few: dict[str, Any] = {"retry_total": 2}  # a listener tries again by itself
        if known := connection_string(name):
            return service.from_connection_string(known, **few)
        if uri := service_uri(name, kind):
            return service(uri, credential=self._identity(name), **few)
        raise HostError(
            f"The app setting {name} is missing, which a {kind} binding needs. Set it to a connection string or to "
            f"UseDevelopmentStorage=true (Azurite), or set {name}__accountName to sign in by identity."
        )

    def _identity(self, name: str) -> Any:
        client, kind = os.environ.get(f"{name}__clientId", ""), os.environ.get(f"{name}__credential", "")
        if (client, kind) not in self._credentials:
            self._credentials[client, kind] = _credential(client, kind)
        return self._credentials[client, kind]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        for credential in self._credentials.values():
            await credential.close()
        self._clients.clear()
        self._credentials.clear()


def _credential(client: str, kind: str) -> Any:
    """As the platform's host: by managed identity alone when the settings say so, else whatever signs in here."""
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    if kind == "managedidentity":
        return ManagedIdentityCredential(client_id=client or None)
    return DefaultAzureCredential(**({"managed_identity_client_id": client} if client else {}))


def _service(kind: str) -> Any:
    """The SDK's class, imported now: an app with HTTP functions only does not wait for it."""
    try:
        if kind == "blob":
            from azure.storage.blob.aio import BlobServiceClient

            return BlobServiceClient
        from azure.storage.queue.aio import QueueServiceClient

        return QueueServiceClient
    except ImportError as error:
        raise HostError(f"A {kind} binding needs the package azure-storage-{kind}: {error}.") from None


async def or_create(client: Any, act: Callable[[], Awaitable[Any]]) -> Any:
    """Do something with a queue or container, which is made when it is not there, as the host does."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    try:
        return await act()
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):
            await (client.create_queue if hasattr(client, "create_queue") else client.create_container)()
        return await act()
