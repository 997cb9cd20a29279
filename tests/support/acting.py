"""Operations on keys and teams by their names, as the command line and the API carry them out."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import Any

import pytest

from shared.adapters.key_store import TableKeys
from shared.auth import key_digest
from shared.errors import ApiError
from shared.operations import keys, teams
from shared.operations.key_forms import KeyMade
from shared.principals import Principal
from tests.support.desk import ADMIN, TestDesk

OPERATIONS = {row.name: row for row in (*keys.OPERATIONS, *teams.OPERATIONS)}


async def do(desk: TestDesk, operation: str, /, **asked: Any) -> Any:
    row = OPERATIONS[operation]
    told = await row.act(row.asks.model_validate(asked), ADMIN, desk)
    assert type(told) is row.answers
    return told


async def new_key(desk: TestDesk, **asked: Any) -> KeyMade:
    return await do(desk, "keys_create", **{"name": f"k{uuid.uuid4().hex}", **asked})


async def caller(desk: TestDesk, text: str) -> Principal | None:
    """Who the gateway takes a key for."""
    return await TableKeys(desk.tables).get(key_digest(desk.settings.key_pepper.reveal().encode(), text))


async def refused(work: Awaitable[Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await work
    return caught.value
