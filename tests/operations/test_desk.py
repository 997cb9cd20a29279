"""The desk that the service, the timers and the command line share: opened part by part, closed together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from azure.data.tables import TableClient

from shared.adapters.price_store import PLACE, shipped_book, store_book
from shared.adapters.tables import STATE_TABLE
from shared.adapters.telemetry import JsonLog
from shared.bootstrap import make_desk
from shared.errors import ConfigError
from shared.operations.desk import LazyDesk
from shared.prices import PriceBook
from shared.settings import Settings
from tests.support.own_azurite import dead_connection_string

ENTRY = "model_list:\n- model_name: {}\n  litellm_params: {{model: azure/x, api_base: 'https://r.openai.azure.com', api_key: k}}\n"


def desk_of(connection: str, config: Path, **settings: str) -> LazyDesk:
    environ = {"AzureWebJobsStorage": connection, "KEY_PEPPER": "p", "CONFIG_SOURCE": str(config), **settings}
    return make_desk(Settings.from_mapping(environ), environ, JsonLog("ERROR"))


def test_the_configuration_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    async def work() -> None:
        config = tmp_path / "config.yaml"
        config.write_text(ENTRY.format("one"))
        desk = desk_of(dead_connection_string(), config)
        first = await desk.catalog()
        assert (first.aliases(), await desk.catalog() is first) == (("one",), True)
        config.write_text(ENTRY.format("another"))
        assert (await desk.catalog()).aliases() == ("another",)
        config.write_text("none")
        with pytest.raises(ConfigError):
            await desk.catalog()
        await desk.close()

    asyncio.run(work())


def test_nothing_is_opened_before_it_is_used_and_everything_is_closed(azurite: Any, tmp_path: Path) -> None:
    async def work() -> None:
        desk = desk_of(azurite.connection_string, tmp_path / "none", EVENTS="queue:desk-events")
        await desk.close()
        desk = desk_of(azurite.connection_string, tmp_path / "none", EVENTS="queue:desk-events")
        assert desk.tables is desk.tables
        assert await desk.tables.get("tollgatestate", "none", "none") is None
        assert await desk.blobs.read("none", "none") is None
        assert (desk.sink is not None, desk.http is desk.http) == (True, True)
        desk.outbox.add("test", "desk", {}, "test of the desk")
        await desk.close()
        assert desk.http.is_closed
        again = desk_of(azurite.connection_string, tmp_path / "none")
        assert [r async for r in again.tables.query("tollgatestate", "PartitionKey eq 'event'")], (
            "written before closing"
        )
        await again.close()

    asyncio.run(work())


def test_prices_are_those_that_were_refreshed_last(azurite: Any, tmp_path: Path) -> None:
    """On the command line, where nothing looks for them in the background; without storage, those of the package."""

    async def work() -> None:
        desk = desk_of(azurite.connection_string, tmp_path / "none")
        book = orjson.loads(shipped_book().to_bytes())
        book["models"]["test-of-the-desk"] = next(iter(book["models"].values()))
        await store_book(desk.tables, PriceBook(book))
        assert "test-of-the-desk" in desk.prices.book.models()
        await desk.close()
        alone = desk_of(dead_connection_string(), tmp_path / "none")
        assert "test-of-the-desk" not in alone.prices.book.models()
        await alone.close()

    try:
        asyncio.run(work())
    finally:  # other tests read prices there as well
        with TableClient.from_connection_string(azurite.connection_string, STATE_TABLE) as table:
            table.delete_entity(*PLACE)
