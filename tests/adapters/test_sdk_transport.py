"""Azure's SDK for tables on the gateway's own transport: real tables, and servers that behave badly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core.exceptions import (
    IncompleteReadError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.sdk_transport import SdkTransport
from shared.adapters.tables import Tables
from shared.types import Row
from tests.support.azurite import Azurite
from tests.support.own_azurite import free_ports
from tests.support.raw_server import OK, Line, serving


def service(azurite: Azurite, **options: Any) -> TableServiceClient:
    transport = SdkTransport(5.0, 10.0)
    return TableServiceClient.from_connection_string(azurite.connection_string, transport=transport, **options)


def test_rows_pages_and_transactions_of_real_tables(azurite: Azurite) -> None:
    async def play() -> None:
        tables = Tables(lambda: service(azurite))
        await tables.write(
            [Row("sdktransport", {"PartitionKey": "p", "RowKey": f"{n:03}", "n": n}) for n in range(230)]
        )
        found, place = await tables.page("sdktransport", limit=100)
        assert ([row["n"] for row in found], bool(place)) == (list(range(100)), True)
        rest, last = await tables.page("sdktransport", limit=200, cursor=place)
        assert (len(rest), rest[-1]["n"], last) == (130, 229, "")
        held = await tables.get("sdktransport", "p", "007")
        assert held is not None
        assert await tables.replace_if("sdktransport", {**held, "n": 1}, held["etag"])
        assert await tables.replace_if("sdktransport", {**held, "n": 2}, held["etag"]) is None
        assert not await tables.insert("sdktransport", {"PartitionKey": "p", "RowKey": "007"})
        assert "sdktransport" in await tables.table_names("sdk")
        await tables.delete_table("sdktransport")
        assert await tables.get("sdktransport", "p", "007") is None
        await tables.close()

    asyncio.run(play())


KEYS = ["a b", "it's", "a&b=c", "50%25", "ä€", "(x),y;z:@", "a+b", "~!*$-_.", '"quoted"|', "k" * 500]


def test_a_key_is_signed_as_it_is_sent(azurite: Azurite) -> None:
    """The SDK signs the address in yarl's spelling: in any other the account refuses the request."""

    async def play() -> None:
        async with service(azurite) as client:
            table = await client.create_table_if_not_exists("sdkkeys")
            for key in KEYS:
                await table.upsert_entity({"PartitionKey": key, "RowKey": key, "said": key})
                assert (await table.get_entity(key, key))["said"] == key
                await table.delete_entity(key, key)
                with pytest.raises(ResourceNotFoundError):
                    await table.get_entity(key, key)

    asyncio.run(play())


def test_one_transport_serves_one_event_loop_after_another() -> None:
    transport = SdkTransport(5.0, 5.0)

    async def one_answer(line: Line) -> None:
        await line.request()
        await line.send(OK)

    async def play() -> None:
        async with serving(one_answer) as server:
            assert (await transport.send(HttpRequest("GET", server.url))).text() == "whole"
            await transport.close()

    asyncio.run(play())
    asyncio.run(play())


async def answered(url: str, method: str = "GET", retries: int = 0, read: float = 5.0, **request: Any) -> Any:
    policies = [AsyncRetryPolicy(retry_total=retries, retry_backoff_factor=0.01)]
    async with AsyncPipeline[Any, Any](SdkTransport(read, read), policies) as pipeline:
        return (await pipeline.run(HttpRequest(method, url, **request))).http_response


def test_a_request_arrives_as_it_was_made() -> None:
    async def play() -> None:
        async with serving(one_answer) as server:
            headers = {"X-A": "b", "Content-Length": "99", "Host": "elsewhere"}
            response = await answered(server.url + "?a=b%20c", "POST", content=b"body", headers=headers)
            (request,) = server.lines[0].requests
        assert request.startswith(b"POST /x?a=b%20c HTTP/1.1\r\n")
        assert b"content-length: 4\r\n" in request
        assert request.lower().count(b"content-length") == 1
        assert b"elsewhere" not in request
        assert request.endswith(b"\r\n\r\nbody")
        assert (response.status_code, response.text(), response.reason) == (200, "whole", "OK")

    async def one_answer(line: Line) -> None:
        await line.request()
        await line.send(OK)

    asyncio.run(play())


def test_nobody_there_is_asked_again_and_then_an_error_of_the_sdks() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServiceRequestError, match="unreachable"):
        asyncio.run(answered(f"http://127.0.0.1:{port}/", retries=2))


def test_a_connection_that_breaks_before_the_answer_is_made_anew() -> None:
    async def play() -> None:
        async with serving(second_time) as server:
            assert (await answered(server.url, "PUT", retries=1, content=b"x")).status_code == 200
            assert len(server.lines) == 2

    async def second_time(line: Line) -> None:
        await line.request()
        if line.number:
            await line.send(OK)

    asyncio.run(play())


def test_silence_ends_in_time() -> None:
    async def silent(line: Line) -> None:
        await line.request()
        await line.gone()

    async def play() -> None:
        async with serving(silent) as server:
            await answered(server.url, read=0.1)

    with pytest.raises(ServiceResponseTimeoutError):
        asyncio.run(play())


def test_half_an_answer_is_none() -> None:
    async def half(line: Line) -> None:
        await line.request()
        await line.send(OK[:-2])

    async def play() -> None:
        async with serving(half) as server:
            await answered(server.url)

    with pytest.raises(IncompleteReadError):
        asyncio.run(play())


def test_a_stream_is_read_as_it_comes_and_can_be_left() -> None:
    async def slowly(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await line.gone()

    async def play() -> None:
        async with serving(slowly) as server:
            transport = SdkTransport(5.0, 5.0)
            response = await transport.send(HttpRequest("GET", server.url), stream=True)
            assert await anext(response.iter_bytes()) == b"abc"
            await response.close()
            await server.lines[0].lost.wait()
            await transport.close()

    asyncio.run(play())


def test_a_body_that_is_not_held_is_refused() -> None:
    async def pieces() -> Any:
        yield b"x"

    with pytest.raises(ValueError, match="held in memory"):
        asyncio.run(answered("http://127.0.0.1:1/", "POST", content=pieces()))
