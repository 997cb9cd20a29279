"""Limits as an operator sees them: of one key with its team, and of all that have any, in pages."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.operations.limits import LimitsAsked, show
from tests.support.acting import do, new_key, refused
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.support.own_azurite import OwnAzurite

NOW = 1_790_000_000.0


def test_all_limits_are_shown_in_pages(tmp_path: Any) -> None:
    """On a storage account of its own: it lists everybody's."""

    async def work(desk: TestDesk) -> None:
        await do(desk, "teams_create", name="data", budgets=["month=500"], tpm=200_000)
        await do(desk, "teams_create", name="free")
        ci = await new_key(desk, name="ci", team="data", rpm=60, parallel=4)
        await new_key(desk, name="unlimited", team="data")
        gone = await new_key(desk, name="gone", rpm=1)
        await do(desk, "keys_revoke", key=gone.id)
        whole = await show(LimitsAsked(), ADMIN, desk)
        assert [(row.scope, row.name, row.limit, row.allowed, row.taken) for row in whole.rows] == [
            ("team", "data", "tpm", "200000", "0"),
            ("team", "data", "budget month", "500", "0"),
            ("key", "ci", "rpm", "60", "0"),
            ("key", "ci", "parallel", "4", "0"),
        ]
        assert whole.next == ""
        first = await show(LimitsAsked(limit=1), ADMIN, desk)
        second = await show(LimitsAsked(limit=1, cursor=first.next), ADMIN, desk)
        assert [*first.rows, *second.rows] == whole.rows
        assert second.next == ""
        assert (await show(LimitsAsked(key=ci.id), ADMIN, desk)).rows == [*whole.rows[2:], *whole.rows[:2]]
        assert (await show(LimitsAsked(team="data"), ADMIN, desk)).rows == whole.rows[:2]
        assert (await show(LimitsAsked(team="free"), ADMIN, desk)).rows == []
        assert (await refused(show(LimitsAsked(team="nobody"), ADMIN, desk))).code == "team_not_found"
        assert (await refused(show(LimitsAsked(team="data", key="ci"), ADMIN, desk))).param == "team"

    async def whole(connection: str) -> None:
        async with desk_at(connection, NOW) as desk:
            await work(desk)

    with OwnAzurite(tmp_path) as azurite:
        asyncio.run(whole(azurite.connection_string))
