"""What is owed to the ledger when the process ends in good order, written while the interpreter ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from shared.ports import CallLog
from shared.types import Row


class Owing(Protocol):
    """A usage log, as far as its last seconds matter."""

    def pending(self) -> bool: ...

    def owed(self) -> Iterable[Row]: ...


def flush_at_exit(usage: Owing, service: Callable[[], Any], log: CallLog) -> None:
    """service: makes the SDK's synchronous client, a context manager: an event loop that ends opens no connections.
    Never fails."""
    if not usage.pending():
        return
    from shared.adapters.tables import write_at_exit

    try:
        with service() as client:
            write_at_exit(client, usage.owed())
    except Exception as error:
        log.warning("usage of the last seconds was not written", error=str(error))
