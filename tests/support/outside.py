"""What operations reach outside with, for tests: tokens of the fake's managed identity, an HTTP client, a desk with a
real outbox."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from shared.adapters.identity import EntraTokens
from shared.adapters.outbox import Outbox
from tests.support.desk import TestDesk, desk_at
from tests.support.doubles import Clock, Lines
from tests.support.tls import NO_TLS

_MONTHS = itertools.count(0, 3)
SOURCE = "/tollgate/test"


def own_month() -> float:
    """The 20th, noon, of a month that no other test has, nor the two after it: tables are named by month, and all tests
    share one account."""
    years, month = divmod(next(_MONTHS), 12)
    return datetime(2050 + years, month + 1, 20, 12, tzinfo=UTC).timestamp()


@asynccontextmanager
async def outside(fake: FakeAzure, patch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[httpx.AsyncClient, EntraTokens]]:
    """azure-identity reads where the managed identity is from the environment."""
    state = fake.state
    patch.setenv("IDENTITY_ENDPOINT", state.identity_endpoint)
    patch.setenv("IDENTITY_HEADER", state.identity_header)
    patch.setenv("AZURE_CLIENT_ID", state.managed_client_id)

    async def no_secret(name: str) -> str:
        raise AssertionError(name)

    tokens = EntraTokens({}, Clock(datetime.now(UTC).timestamp()), Lines(), Random(1), no_secret)
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=NO_TLS) as http:
        try:
            yield http, tokens
        finally:
            await tokens.close()


@asynccontextmanager
async def event_desk(
    connection: str, now: float, sink: Any = None, config: str = "model_list: []\n", **settings: str
) -> AsyncGenerator[TestDesk]:
    """A desk with the real outbox; events wait when there is a sink."""
    async with desk_at(connection, now, config, **settings) as desk:
        desk.sink = sink
        desk.outbox = Outbox(desk.tables, desk.clock, desk.log, SOURCE, sending=sink is not None)
        yield desk
        await desk.outbox.written()
