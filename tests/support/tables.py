"""Table Storage for a test: real tables, and a loop of its own to use them in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from azure.data.tables.aio import TableServiceClient

from shared.adapters.tables import Tables


def play(connection: str, work: Callable[[Tables], Awaitable[None]]) -> None:
    async def whole() -> None:
        tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
        try:
            await work(tables)
        finally:
            await tables.close()

    asyncio.run(whole())
