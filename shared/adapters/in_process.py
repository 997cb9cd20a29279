"""The adapters of a program that imports the gateway, and how they end. What they are made from is bootstrap.py's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.adapters.identity import EntraTokens
from shared.adapters.telemetry import JsonLog
from shared.adapters.upstream import HttpUpstream
from shared.adapters.vault import VaultSecrets


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
