"""Azure OpenAI's webhooks: a batch has ended there. Only the id is believed, and only with a good signature.

Signed as Standard Webhooks has it (standard-webhooks specification, 2023; OpenAI "Webhooks", 2026-08). What it brings
about is one look more, so that twice, late or out of order does no harm.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared import errors
from shared.batches.looking import Looking
from shared.batches.ports import BatchRows
from shared.batches.signing import PREFIX, signature
from shared.errors import ApiError, UpstreamFailed
from shared.ports import CallLog, Secrets, StoreUnavailable
from shared.types import Secret

UPSTREAM_BATCH = "upstream batch"
"""The kind of reference from a resource's id of a batch to our own."""
TOLERANCE_SECONDS = 300.0
"""How old or young a signature may be (the specification's own suggestion)."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    rows: BatchRows
    looking: Looking
    secrets: tuple[Secret, ...]
    vault: Secrets
    log: CallLog
    clock: Callable[[], float]

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises ApiError 401 (no good signature), 404 (none is configured), 503: it is sent again."""
        if not self.secrets:
            raise ApiError(
                404,
                "No webhooks are taken here. Set batch_webhook_secrets in the gateway's configuration first.",
                code="no_webhooks",
            )
        if not await self._is_signed(headers, body):
            raise ApiError(
                401,
                "The signature is not valid. Sign with a secret of batch_webhook_secrets, and with the present time.",
                code="invalid_signature",
            )
        upstream_batch = _batch_of(body)
        try:
            batch_id = await self.rows.referred(UPSTREAM_BATCH, upstream_batch) if upstream_batch else None
            if batch_id is not None:
                await self.looking.soon(batch_id)
        except StoreUnavailable as error:
            self.log.warning("storage unavailable", webhook=headers.get("webhook-id", "")[:100], error=str(error))
            raise errors.unavailable("The webhook could not be taken. Send it again.", "storage_unavailable") from error

    async def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        at = headers.get("webhook-timestamp", "")
        if not (at.isascii() and at.isdigit() and len(at) <= 12):
            return False
        if abs(self.clock() - int(at)) > TOLERANCE_SECONDS:
            return False
        given = [part[3:] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
        for secret in self.secrets:
            key = await self._key(secret)
            wanted = signature(key, headers.get("webhook-id", ""), at, body).encode() if key else b""
            if wanted and any(hmac.compare_digest(wanted, each.encode()) for each in given):
                return True
        return False

    async def _key(self, secret: Secret) -> bytes:
        """Empty: it cannot be used, and the log says so."""
        try:
            text = await self.vault.get(secret.vault_name) if secret.vault_name else secret.reveal()
            return base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
        except (UpstreamFailed, binascii.Error, ValueError) as error:
            self.log.warning("a secret of batch_webhook_secrets cannot be used", error=type(error).__name__)
            return b""


def _batch_of(body: bytes) -> str:
    """The resource's id of the batch that an event is about; empty: it is about something else."""
    try:
        event: Any = orjson.loads(body)
        kind, batch_id = event["type"], event["data"]["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return batch_id if isinstance(kind, str) and kind.startswith("batch.") and isinstance(batch_id, str) else ""
