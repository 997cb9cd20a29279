"""What instances tell each other of deployments, through a real table service: news, outages, rows of the dead."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from azure.data.tables.aio import TableServiceClient

from shared.adapters.route_board import GONE_SECONDS, OLD_SECONDS, PARTITION, BoardPace, RouteBoard, posts, sweep
from shared.adapters.tables import STATE_TABLE, Tables
from shared.routing import States
from shared.routing.rest import Rest
from shared.types import Row
from tests.adapters.test_leases import in_loop
from tests.support.azurite import Azurite
from tests.support.doubles import Lines
from tests.support.own_azurite import dead_connection_string
from tests.support.polling import eventually

QUICK = BoardPace(look=0.02, read=0.04, write=0.2, idle=60.0, down=0.05)
LAZY = BoardPace(look=0.02, read=0.04, write=1000.0, idle=60.0, down=0.05)
"""Only news is written."""


def named(name: str = "dep") -> str:
    """A deployment that no other test has."""
    return f"{uuid.uuid4().hex}/{name}"


class Instance:
    """One process: what it knows, and its row."""

    def __init__(self, tables: Tables, pace: BoardPace, clock: Callable[[], float] = time.time) -> None:
        self.name, self.states, self.log = f"t{uuid.uuid4().hex[:12]}", States(), Lines()
        self.tables = tables
        self.board = RouteBoard(tables, self.name, self.states, clock, self.log, pace)

    def note(self, deployment: str, seconds: float) -> None:
        """It has seen the deployment begin to rest, or (0) that it is well again."""
        now = time.time()
        self.states.of(deployment).take(Rest(now, now + seconds if seconds else 0.0, "server"))
        self.states.changes += 1

    def knows(self, deployment: str) -> float:
        """-> until when the deployment rests."""
        return self.states.of(deployment).until

    async def row(self) -> dict[str, Any] | None:
        return await self.tables.get(STATE_TABLE, PARTITION, self.name)


class House:
    def __init__(self, connection: str) -> None:
        self.connection = connection
        options: dict[str, Any] = {"retry_total": 0, "connection_timeout": 1, "read_timeout": 5}
        self.tables = Tables(lambda: TableServiceClient.from_connection_string(self.connection, **options))
        self.instances: list[Instance] = []

    def instance(self, pace: BoardPace = QUICK, clock: Callable[[], float] = time.time) -> Instance:
        self.instances.append(Instance(self.tables, pace, clock))
        return self.instances[-1]

    async def move(self, connection: str) -> None:
        self.connection = connection
        await self.tables.close()

    async def post(self, instance: str, at: float, **columns: Any) -> None:
        values = {"PartitionKey": PARTITION, "RowKey": instance, "at": at, **columns}
        await self.tables.write([Row(STATE_TABLE, values)])

    async def there(self, instance: str) -> bool:
        return await self.tables.get(STATE_TABLE, PARTITION, instance) is not None


@asynccontextmanager
async def house_at(connection: str) -> AsyncGenerator[House]:
    house = House(connection)
    try:
        yield house
    finally:
        for instance in house.instances:
            await instance.board.close()
        await house.tables.close()


async def happens(check: Callable[[], bool]) -> None:
    async def checked() -> bool:
        return check()

    await eventually(checked)


@in_loop
async def test_rests_and_recoveries_are_known_to_all(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        one, *others = [house.instance(LAZY) for _ in range(3)]
        for instance in house.instances:
            instance.board.nudge()
        deployment = named()
        await happens(lambda: all(instance.board.wrote for instance in house.instances))
        one.note(deployment, 30)
        await happens(lambda: all(o.knows(deployment) == one.knows(deployment) for o in others))
        others[0].note(deployment, 0)
        await happens(lambda: one.knows(deployment) == others[1].knows(deployment) == 0.0)


@in_loop
async def test_an_instance_that_begins_learns_what_others_have_seen(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        old, deployment = house.instance(), named()
        old.note(deployment, 30)
        old.board.nudge()
        await happens(lambda: old.board.wrote)
        new = house.instance()
        new.board.nudge()
        await happens(lambda: new.knows(deployment) > 0)


@in_loop
async def test_figures_are_written_now_and_then(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        one, deployment = house.instance(), named()
        one.board.nudge()
        await happens(lambda: one.board.wrote)

        async def told() -> bool:
            one.states.of(deployment).sent(250, time.time())  # again and again: with the minute its figures begin anew
            found = [post for post in await posts(house.tables, time.time()) if post.instance == one.name]
            said: Any = found[0].report.get("deployments") if found else None
            return bool(said) and said.get(deployment, {}).get("tokens", 0) >= 250

        await eventually(told)


@in_loop
async def test_without_calls_the_board_is_left_alone(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        now = time.time()
        one, deployment = house.instance(clock=lambda: now), named()
        one.board.nudge()
        await happens(lambda: one.board.wrote)
        now += QUICK.idle
        await happens(lambda: not one.board.busy)
        row = await one.row()
        one.note(deployment, 30)
        await asyncio.sleep(5 * QUICK.look)
        assert await one.row() == row
        one.board.nudge()

        async def written() -> bool:
            return await one.row() != row

        await eventually(written)


@in_loop
async def test_what_the_dead_have_said_is_not_believed_and_removed(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        now, deployment = time.time(), named()
        speaker = house.instance()
        speaker.note(deployment, 30)
        text = orjson.dumps(speaker.states.report(now)).decode()
        silent, gone = f"t{uuid.uuid4().hex}", f"t{uuid.uuid4().hex}"
        await house.post(silent, now - OLD_SECONDS - 5, report0=text)
        await house.post(gone, now - GONE_SECONDS - 5, report0=text)
        assert not {silent, gone} & {post.instance for post in await posts(house.tables, now)}
        reader = house.instance()
        reader.board.nudge()
        await happens(lambda: reader.board.wrote)
        assert not reader.knows(deployment)
        await sweep(house.tables, now)
        assert await house.there(silent)
        assert not await house.there(gone)
        await house.post(silent, now, report0=text)
        await happens(lambda: reader.knows(deployment) > 0)


@in_loop
async def test_a_row_that_is_not_understood_hides_no_other(azurite: Azurite) -> None:
    async with house_at(azurite.connection_string) as house:
        one, other, deployment = house.instance(), house.instance(), named()
        for n, text in enumerate(("{", "[1]", '{"at": 1}', "")):
            await house.post(f"{uuid.uuid4().hex}-{n}", time.time(), report0=text)
        await house.post(f"{uuid.uuid4().hex}-none", time.time())
        one.note(deployment, 30)
        for instance in (one, other):
            instance.board.nudge()
        await happens(lambda: other.knows(deployment) > 0)
        assert not one.log.warnings + other.log.warnings


@in_loop
async def test_a_report_of_many_deployments(azurite: Azurite) -> None:
    """More than a column holds; then more than a row holds, where only rests are said."""
    async with house_at(azurite.connection_string) as house:
        for count in (600, 4000):
            one, prefix = house.instance(LAZY), uuid.uuid4().hex
            for n in range(count):
                one.states.of(f"{prefix}/deployment-{n}").sent(1000 + n, time.time())
            one.note(f"{prefix}/deployment-0", 30)
            one.board.nudge()
            await happens(lambda one=one: one.board.wrote)
            (post,) = [post for post in await posts(house.tables, time.time()) if post.instance == one.name]
            assert len(post.report["deployments"]) == (count if count == 600 else 1)
            assert post.report["deployments"][f"{prefix}/deployment-0"]["rest"]["why"] == "server"


@in_loop
async def test_an_outage_costs_the_news_and_nothing_else(azurite: Azurite) -> None:
    async with house_at(dead_connection_string()) as house:
        one, other, deployment = house.instance(), house.instance(), named()
        one.note(deployment, 30)
        for instance in (one, other):
            instance.board.nudge()
        await happens(lambda: bool(one.log.warnings and other.log.warnings))
        assert not other.knows(deployment)
        await house.move(azurite.connection_string)
        await happens(lambda: other.knows(deployment) > 0)
        assert [len(instance.log.warnings) for instance in house.instances] == [1, 1]
        assert "each goes by what it sees itself" in one.log.warnings[0][0]
