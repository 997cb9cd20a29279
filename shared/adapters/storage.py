"""The clients of Azure's SDKs for one storage account: by connection string, else by identity.

Owns where the account is and how to sign in to it; each call makes a client anew, inside the running loop. Knows
nothing of what is stored. The SDKs are imported when they are first used: a call to a model needs the one for tables,
which sends its requests by the gateway's own transport (docs/adr/0015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.blob_folder import BlobFolders
    from shared.adapters.blobs import Blobs

_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)
"""Azurite's published account: a constant that every installation shares, no secret."""
_USER_AGENT = "azsdk-python-data-tables tollgate"
"""Without one of ours the SDK starts a program that tells it the machine's name."""
_OPTIONS: dict[str, Any] = {"retry_total": 3, "connection_timeout": 5, "read_timeout": 10}
_BLOB_OPTIONS: dict[str, Any] = {**_OPTIONS, "initial_backoff": 0.2, "increment_base": 1, "random_jitter_range": 0.1}
"""Blobs and queues have a policy of their own, whose pace would be 75 s: 0.2 s, and twice 1.2 s."""


@dataclass(frozen=True, slots=True)
class Storage:
    """`credential` makes the SDK's credential for an identity, by its client id."""

    settings: Settings
    credential: Callable[[str], Any]
    use_proxy: bool = False
    """The gateway's own transport goes through no proxy."""

    def table_service(self) -> Any:
        from azure.data.tables.aio import TableServiceClient

        # three retries within 1.4 s: a caller whose key is looked up waits for them (the SDK's own pace makes it 5.6 s)
        options: dict[str, Any] = {**_OPTIONS, "retry_backoff_factor": 0.2, "base_user_agent": _USER_AGENT}
        if not self.use_proxy:
            from shared.adapters.sdk_transport import SdkTransport

            options["transport"] = SdkTransport(_OPTIONS["connection_timeout"], _OPTIONS["read_timeout"])
        if connection := self._connection():
            return TableServiceClient.from_connection_string(connection, **options)
        return TableServiceClient(self._address("table"), credential=self.own_credential(), **options)

    def table_service_at_exit(self, credential: Callable[[str], Any]) -> Any:
        """The SDK's synchronous half: an interpreter that ends starts no threads, and asyncio connects with their help.
        `credential` makes a synchronous one."""
        from azure.data.tables import TableServiceClient

        options: dict[str, Any] = {"retry_total": 1, "connection_timeout": 2, "read_timeout": 3}
        if connection := self._connection():
            return TableServiceClient.from_connection_string(connection, **options)
        return TableServiceClient(
            self._address("table"), credential=credential(self.settings.storage_client_id), **options
        )

    def blob_service(self) -> Any:
        from azure.storage.blob.aio import BlobServiceClient

        if connection := self._connection():
            return BlobServiceClient.from_connection_string(connection, **_BLOB_OPTIONS)
        return BlobServiceClient(self._address("blob"), credential=self.own_credential(), **_BLOB_OPTIONS)

    def blobs(self) -> Blobs:
        from shared.adapters.blobs import Blobs

        return Blobs(self.blob_service)

    def folders(self) -> BlobFolders:
        from shared.adapters.blob_folder import BlobFolders

        return BlobFolders(self.blob_service)

    def blob_url(self, account: str, container: str, name: str) -> str:
        """Of a blob that is read with a token (config_blob.py); empty: `blob` makes the client that reads it."""
        if self.use_proxy or (not account and self._connection()):
            return ""
        return f"{account or self._address('blob')}/{container}/{quote(name)}"

    def blob(self, account: str, container: str, name: str) -> Any:
        """One blob; account: its URL, empty for this one."""
        from azure.storage.blob.aio import BlobClient

        if not account and (connection := self._connection()):
            return BlobClient.from_connection_string(connection, container, name, **_BLOB_OPTIONS)
        where = account or self._address("blob")
        return BlobClient(where, container, name, credential=self.own_credential(), **_BLOB_OPTIONS)

    def queue(self, name: str) -> Any:
        from azure.storage.queue.aio import QueueClient

        if connection := self._connection():
            return QueueClient.from_connection_string(connection, name, **_BLOB_OPTIONS)
        return QueueClient(self._address("queue"), name, credential=self.own_credential(), **_BLOB_OPTIONS)

    def _connection(self) -> str:
        given = self.settings.storage_connection.reveal()
        return _AZURITE if given.strip().rstrip(";") == "UseDevelopmentStorage=true" else given

    def _address(self, service: str) -> str:
        given = {
            "table": self.settings.table_service_uri,
            "blob": self.settings.blob_service_uri,
            "queue": self.settings.queue_service_uri,
        }[service]
        return given or f"https://{self.settings.storage_account}.{service}.core.windows.net"

    def own_credential(self) -> Any:
        return self.credential(self.settings.storage_client_id)
