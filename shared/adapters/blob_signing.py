"""Addresses by which somebody without rights may write one blob for a while: signed with the account's key, else with
one that the app's identity gets for it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_DELEGATED = timedelta(days=6)
"""Azure gives a key to an identity for 7 days at the most."""
_CLOCKS = timedelta(minutes=15)
"""What is good from this very second may not be good yet by another clock."""


class Signer:
    """For one storage account. service: the SDK's client."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._delegated: Any = None
        self._until = datetime.fromtimestamp(0, UTC)

    async def to_write(self, blob: Any, seconds: int) -> str:
        """Raises what the SDK raises, ValueError."""
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        account = (self._service.account_name or "").partition(".")[0]  # what follows is of a private address
        if not account:
            raise ValueError("the storage account's name is not known by its address: nothing can be signed for it")
        expiry = datetime.now(UTC) + timedelta(seconds=seconds)
        key = getattr(self._service.credential, "account_key", None)
        signature = generate_blob_sas(
            account_name=account,
            container_name=blob.container_name,
            blob_name=blob.blob_name,
            account_key=key,
            user_delegation_key=None if key else await self._key(expiry),
            permission=BlobSasPermissions(create=True, write=True),
            expiry=expiry,
            protocol="https" if self._service.scheme == "https" else None,
        )
        return f"{blob.url}?{signature}"

    async def _key(self, until: datetime) -> Any:
        if self._until < until:
            now = datetime.now(UTC)
            self._delegated = await self._service.get_user_delegation_key(now - _CLOCKS, now + _DELEGATED)
            self._until = now + _DELEGATED
        return self._delegated
