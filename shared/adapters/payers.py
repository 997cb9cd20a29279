"""Who pays for a batch, found again when it runs (batches.ports.Payers).

Nothing is kept in between: a key that is disabled or has run out pays for no further line.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.adapters.key_rows import KeyRecord
from shared.adapters.key_store import TableKeys
from shared.batches.batch import Payer
from shared.principals import Principal


class TablePayers:
    def __init__(self, keys: TableKeys, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock

    async def find(self, payer: Payer) -> Principal | None:
        """An Entra caller who has no key is found by the team alone: what the token said is not known any more.
        Raises StoreUnavailable."""
        if payer.entra:
            team = await self._keys.get_team(payer.team)
            return None if team is None else _usable(Principal(payer.key_id, payer.key_name, team.name, of_team=team))
        record = await self._keys.record(payer.key_id)
        return await self._of(record) if record else None

    async def named(self, name: str) -> Principal | None:
        """None as well when several have this name. Raises StoreUnavailable."""
        if not name:
            return None
        # the name first: one may look like the beginning of somebody else's id
        found = await self._keys.named(name) or await self._keys.beginning(name)
        return await self._of(found[0]) if len(found) == 1 else None

    async def _of(self, record: KeyRecord) -> Principal | None:
        """None for a key that no call could be made with any more."""
        now, principal = self._clock(), record.principal
        if record.fault or (principal.expires_at is not None and principal.expires_at <= now):
            return None
        if not record.entra and not any(secret.live(now) for secret in record.secrets):
            return None
        return _usable(await self._keys.with_team(principal))


def _usable(principal: Principal) -> Principal | None:
    stopped = principal.disabled or (principal.of_team is not None and principal.of_team.disabled)
    return None if stopped else principal
