"""What stands in for the app's storage when the gateway runs inside a program: one caller, no keys, no ledger, raw ids.

Whoever runs the program owns the resource: ids pass as Azure gave them, so that they can be kept and used by another
process. Knows nothing of HTTP.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from shared import errors
from shared.catalog import Catalog, Deployment
from shared.ids import Keyring
from shared.objects import Registry
from shared.ports import CallLog, OwnedObject, Prices
from shared.principals import Principal
from shared.transform.owned import Sealer
from shared.types import NO_COST, Cost, Usage, UsageRecord

CALLER = Principal(key_id="0" * 64, name="in-process")
type OnUsage = Callable[[UsageRecord], None]
_LOGGER = logging.getLogger("tollgate")


class NoKeys:
    """ports.KeyStore: nobody is asked for a key."""

    async def get(self, digest: str) -> Principal | None:
        return CALLER


class Callback:
    """ports.UsageLog: each record goes to the program, if it wants it, on the event loop that made the call."""

    def __init__(self, told: Callable[[], OnUsage | None]) -> None:
        self._told = told

    def begin(self) -> None:
        return None

    def add(self, record: UsageRecord | None) -> None:
        told = self._told()
        if record is None or told is None:
            return
        try:
            told(record)
        except Exception:  # a mistake in the program's own function must not take the answer away
            _LOGGER.exception("on_usage failed")

    async def intend(self, record: UsageRecord) -> None:
        return None

    async def add_once(self, record: UsageRecord) -> None:
        self.add(record)

    async def flush(self) -> None:
        return None


class AskedPrices:
    """ports.Prices for a program that wants records: until it does, no price book is loaded and nothing is reckoned."""

    def __init__(self, told: Callable[[], OnUsage | None]) -> None:
        self._told = told

    def cost(self, deployment: Deployment, usage: Usage, at: float) -> Cost:
        return NO_COST if self._told() is None else _price_list().cost(deployment, usage, at)

    def figures(self, deployment: Deployment, at: float) -> Mapping[str, float]:
        """Nobody lists models here."""
        return {}


@functools.cache
def _price_list() -> Prices:
    """Azure's list prices, as this package was shipped with: one list for all event loops."""
    from shared.adapters.price_store import shipped_book
    from shared.prices import PriceList

    return PriceList(shipped_book)


class NoIndex:
    """ports.ObjectIndex: nothing is listed, so nothing is noted."""

    async def add(self, owner: str, kind: str, made: OwnedObject) -> None:
        return None

    async def remove(self, owner: str, kind: str, resource: str, upstream_id: str) -> OwnedObject | None:
        return None

    async def page(self, owner: str, kind: str, **_: Any) -> tuple[list[OwnedObject], bool]:
        return [], False


class Notes:
    """ports.CallLog: warnings go on to the operator's log; why an upstream failed is kept for the exception."""

    def __init__(self, log: CallLog) -> None:
        self._log = log
        self._details: dict[str, str] = {}
        if not _LOGGER.handlers:  # as libraries do: what a program does not listen to is not on its terminal
            _LOGGER.addHandler(logging.NullHandler())

    def call(self, record: UsageRecord) -> None:
        return None  # Callback has it

    def warning(self, message: str, **fields: object) -> None:
        self._log.warning(message, **fields)
        if (request_id := fields.get("request_id")) and fields.get("detail"):
            self._details[str(request_id)] = str(fields["detail"])

    def take(self, request_id: str) -> str:
        """-> what was said of a call last; forgotten with that."""
        return self._details.pop(request_id, "")


class Waiting:
    """ports.Client: a caller who may run out of patience."""

    def __init__(self) -> None:
        self.gone = False
        self._act: Callable[[], None] | None = None

    def when_gone(self, act: Callable[[], None]) -> Callable[[], None]:
        self._act = act
        if self.gone:
            act()
        return self._stay

    def leave(self) -> None:
        self.gone = True
        if self._act:
            self._act()

    def _stay(self) -> None:
        self._act = None


class RawIds(Registry):
    """Ids as the only resource gives them."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, _NO_KEYS)

    def open(self, public_id: str, principal: Principal) -> tuple[str, str]:
        if len(self.keepers) != 1:
            raise errors.bad_request(
                "Ids of stored objects say nothing of the resource that keeps them, and this call knows "
                f"{len(self.keepers)} such resources. Name the api_base that made them, instead of using a Router.",
                code="objects_elsewhere",
            )
        (resource,) = self.keepers
        return resource, public_id

    def sealer(self, resource: str, principal: Principal) -> Sealer:
        return _Same(_NO_KEYS, resource, principal.owner)


class _Same(Sealer):
    def __call__(self, upstream_id: str) -> str:
        return upstream_id


_NO_KEYS = Keyring({1: bytes(32)})
"""Signs nothing."""
