"""Callbacks: signed, tried again for a day, and never to a private address. Real sockets, real TLS."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from local.fake_azure.tls import server_context
from shared.adapters.callback_client import SafeCallbacks
from shared.batches.batch import Batch, Payer, new_batch_id
from shared.batches.callback_addresses import Place, place_of
from shared.batches.callbacks import PAUSES, Callbacks, NotTaken, callback_secret, event_id, signed_headers
from shared.errors import ApiError
from shared.ids import Keyring
from shared.objects import Registry
from shared.ports import StoreUnavailable
from tests.support.azure_batches import KeptWork
from tests.support.doubles import Clock, Lines
from tests.unit.given import AT, catalog, entry

NOW = 1_790_000_000.0
OWNER = "team:search"
NAME = "hooks.example.com"


# What is sent, and when.


class Rows:
    """One batch (of batches.ports.BatchRows what callbacks need)."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.down = 0

    async def get(self, batch_id: str) -> Batch | None:
        if self.down:
            self.down -= 1
            raise StoreUnavailable("down")
        return self.batch if batch_id == self.batch.id else None

    async def change(self, batch_id: str, edit: Callable[[Batch], Batch | None]) -> Batch | None:
        self.batch = edit(self.batch) or self.batch
        return self.batch


class Receiver:
    """Answers as it was told to; the last answer goes on."""

    def __init__(self, *answers: int | str) -> None:
        self.answers = list(answers)
        self.taken: list[tuple[Place, dict[str, str], bytes]] = []

    async def post(self, place: Place, headers: Mapping[str, str], body: bytes) -> int:
        self.taken.append((place, dict(headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise NotTaken(answer)
        return answer


class World:
    def __init__(self, *answers: int | str, url: str = f"https://{NAME}/x", **changed: Any) -> None:
        payer = Payer("k" * 64, "search-ci", "search", OWNER)
        batch = Batch(
            new_batch_id(NOW), payer, "gpt-4o", "/v1/chat/completions", "file-" + "0" * 32, 3, 300, 30, "own", "api",
            NOW, NOW + 86400, callback_url=url, metadata={"a": "b"},
        )  # fmt: skip
        self.rows = Rows(batch.to("completed", NOW + 60.5, completed=3, output_file="file-" + "1" * 32, **changed))
        self.work, self.log, self.clock, self.receiver = KeptWork(), Lines(), Clock(NOW + 61), Receiver(*answers)
        registry = Registry(catalog(entry(f"model: azure/x, {AT}")), Keyring({1: b"k" * 16}))
        rows: Any = self.rows
        self.callbacks = Callbacks(
            rows, self.work, registry, self.log, self.clock, b"pepper", (), self.receiver, "/tollgate/me"
        )

    async def through(self, most: int = 30) -> list[float]:
        """All messages one after the other. -> after how many seconds each try was made."""
        begun, times = self.clock(), list[float]()
        await self.callbacks.after_end(self.rows.batch)
        while self.work.sent:
            assert len(times) < most
            message, delay = self.work.sent.pop(0)
            self.clock.forward(delay)
            times.append(self.clock() - begun)
            await self.callbacks.send(message["batch"], message["tries"])
        return times


def test_an_event_that_openais_sdk_verifies() -> None:
    world = World(204)
    asyncio.run(world.through())
    ((place, headers, body),) = world.receiver.taken
    assert (place.host, headers["content-type"].partition(";")[0]) == (NAME, "application/cloudevents+json")
    with OpenAI(api_key="none") as client:
        secret = callback_secret(b"pepper", OWNER)
        # the SDK has a clock of its own, and takes what is from now
        client.webhooks.verify_signature(body, headers, secret=secret, tolerance=10**9)
        for wrong in (callback_secret(b"pepper", "team:other"), callback_secret(b"other", OWNER)):
            with pytest.raises(InvalidWebhookSignatureError):
                client.webhooks.verify_signature(body, headers, secret=wrong, tolerance=10**9)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(body + b" ", headers, secret=secret, tolerance=10**9)
    told, batch = json.loads(body), world.rows.batch
    data = told.pop("data")
    assert told == {
        "specversion": "1.0",
        "id": event_id(batch.id),
        "source": "/tollgate/me",
        "type": "tollgate.batch.ended",
        "subject": f"batches/{data['id']}",
        "time": "2026-09-21T14:14:20.500Z",
        "datacontenttype": "application/json",
    }
    assert (data["status"], data["metadata"], data["request_counts"]["completed"]) == ("completed", {"a": "b"}, 3)
    hidden = (batch.id, batch.input_file, batch.output_file)
    assert not any(own in body.decode() for own in hidden), "ids are sealed for their owner"
    assert headers["webhook-id"] == told["id"]
    assert batch.callback == "sent"


def test_it_is_tried_for_a_day_with_pauses_that_grow() -> None:
    world = World("no connection", 500, 302, 404)
    times = asyncio.run(world.through())
    assert times == [sum(PAUSES[:n]) for n in range(len(PAUSES) + 1)]
    assert (times[1], times[-1]) == (10, 86400)
    assert world.rows.batch.callback == "given_up"
    assert len({headers["webhook-id"] for _, headers, _ in world.receiver.taken}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in world.receiver.taken}) == len(times)
    assert world.log.warnings[-1][0] == "a callback was given up"
    assert NAME not in str(world.log.warnings)


@pytest.mark.parametrize(
    ("answers", "tries", "ends"), [((200,), 1, "sent"), ((503, 503, 202), 3, "sent"), ((410,), 1, "given_up")]
)
def test_when_it_is_over(answers: tuple[int, ...], tries: int, ends: str) -> None:
    world = World(*answers)
    assert len(asyncio.run(world.through())) == tries
    assert world.rows.batch.callback == ends


def test_messages_that_come_twice_or_to_nothing_do_nothing() -> None:
    async def work() -> None:
        world = World(200)
        for _ in range(3):
            await world.callbacks.send(world.rows.batch.id, 0)
        await world.callbacks.send("batch_" + "0" * 32, 0)
        await world.callbacks.after_end(world.rows.batch)
        assert (len(world.receiver.taken), world.work.sent) == (1, [])
        without = World(200, url="")
        await without.through()
        assert without.receiver.taken == []

    asyncio.run(work())


def test_a_storage_that_is_down_loses_no_callback() -> None:
    world = World(200)
    world.rows.down = 7  # a message is handed out five times
    assert len(asyncio.run(world.through())) == 8
    assert (world.rows.batch.callback, len(world.receiver.taken)) == ("sent", 1)


def test_a_host_that_is_no_longer_listed_is_not_called() -> None:
    world = World(200, url="http://localhost:9/x")
    assert len(asyncio.run(world.through())) == len(PAUSES) + 1
    assert (world.receiver.taken, world.rows.batch.callback) == ([], "given_up")


def test_check_says_what_to_write() -> None:
    callbacks = World(200).callbacks
    callbacks.check(f"https://{NAME}/x")
    for url, words in (
        ("http://x.example.com", "https://"),
        ("https://10.0.0.1", "private"),
        ("https://intranet", "full name"),
    ):
        with pytest.raises(ApiError, match=words) as refused:
            callbacks.check(url)
        assert (refused.value.status, refused.value.code, refused.value.param) == (
            400,
            "invalid_callback_url",
            "callback_url",
        )


# Where it goes.

type Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(play: Play, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncGenerator[int]:
    """-> its port."""
    server = await asyncio.start_server(play, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def answering(taken: list[bytes], answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> Play:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        taken.append(head + await reader.readexactly(length))
        writer.write(answer)
        writer.close()

    return play


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server whose certificate is for `localhost`, and whom to trust for it."""
    return server_context(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's context; clients in this process trust it."""
    context = ssl.create_default_context(cafile=str(tls[1]))
    monkeypatch.setattr("shared.adapters.dialing.certificates", lambda: context)
    return tls[0]


class Names:
    """DNS as a test wants it; of each name the lookups."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in self.names[host]
        ]


def post(url: str, *listed: str, body: bytes = b"{}") -> int:
    async def whole() -> int:
        return await SafeCallbacks().post(place_of(url, listed), {"x-y": "z"}, body)

    return asyncio.run(whole())


def play_at(
    tls: ssl.SSLContext | None, taken: list[bytes], ask: Callable[[int], str], *listed: str, **options: Any
) -> int:
    async def whole() -> int:
        async with serving(answering(taken, **options), tls) as port:
            names = [name.replace("PORT", str(port)) for name in listed]
            return await SafeCallbacks().post(place_of(ask(port), names), {"x-y": "z"}, b'{"a": 1}')

    return asyncio.run(whole())


def test_by_tls_to_a_listed_host(trusted: ssl.SSLContext) -> None:
    taken: list[bytes] = []
    assert play_at(trusted, taken, lambda port: f"https://localhost:{port}/hook?x=1", "localhost:PORT") == 204
    ((head, _, body),) = [request.partition(b"\r\n\r\n") for request in taken]
    assert head.startswith(b"POST /hook?x=1 HTTP/1.1\r\nhost: localhost:")
    assert b"x-y: z" in head
    assert b"authorization" not in head.lower()
    assert body == b'{"a": 1}'


def test_without_tls_to_a_listed_host() -> None:
    taken: list[bytes] = []
    assert play_at(None, taken, lambda port: f"http://127.0.0.1:{port}/", "127.0.0.1") == 204
    assert len(taken) == 1


def test_a_name_is_looked_up_once_and_its_address_is_the_one_that_is_called(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(localhost=["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    monkeypatch.setattr("shared.adapters.callback_client.is_public", {"127.0.0.1"}.__contains__)
    place = functools.partial(Place, host="localhost", tls=True, listed=False)
    taken: list[bytes] = []

    async def whole() -> int:
        async with serving(answering(taken), trusted) as port:
            return await SafeCallbacks().post(place(url=f"https://localhost:{port}/", port=port), {}, b"{}")

    assert asyncio.run(whole()) == 204
    assert names.asked == ["localhost"]


def test_the_certificate_has_to_be_the_names(trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(hooks_example_com=["127.0.0.1"]).getaddrinfo)
    monkeypatch.setattr("shared.adapters.callback_client.is_public", {"127.0.0.1"}.__contains__)
    taken: list[bytes] = []
    with pytest.raises(NotTaken, match="certificate"):
        play_at(trusted, taken, lambda port: f"https://{NAME}:{port}/")
    assert taken == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["168.63.129.16"], ["0.0.0.0"]],
    ids="-".join,
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_not_called(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(hooks_example_com=addresses).getaddrinfo)
    reached: list[object] = []

    async def play(*streams: object) -> None:
        reached.append(streams)

    async def whole() -> None:
        async with serving(play) as port:
            with pytest.raises(NotTaken, match="private") as refused:
                await SafeCallbacks().post(place_of(f"https://{NAME}:{port}/", ()), {}, b"{}")
        assert not any(address in str(refused.value) for address in addresses)

    asyncio.run(whole())
    assert reached == []


def test_redirects_are_not_followed() -> None:
    taken: list[bytes] = []
    answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    assert play_at(None, taken, lambda port: f"http://127.0.0.1:{port}/", "127.0.0.1:PORT", answer=answer) == 302
    assert len(taken) == 1


def test_a_body_without_end_is_not_read() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"5\r\nabcde\r\n")
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            writer.close()

    async def whole() -> None:
        async with serving(play) as port:
            place = place_of(f"http://127.0.0.1:{port}/", ("127.0.0.1",))
            assert await SafeCallbacks().post(place, {}, b"{}") == 200

    asyncio.run(whole())


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.callback_client.SECONDS", 0.1)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async def whole() -> None:
        async with serving(play) as port:
            with pytest.raises(NotTaken, match=r"0\.1 s|silent|answer"):
                await SafeCallbacks().post(place_of(f"http://127.0.0.1:{port}/", ("127.0.0.1",)), {}, b"{}")

    asyncio.run(whole())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://localhost:9/"])
def test_nobody_there(url: str) -> None:
    with pytest.raises(NotTaken) as failed:
        post(url, "127.0.0.1", "localhost")
    assert "127.0.0.1" not in str(failed.value)


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names().getaddrinfo)
    with pytest.raises(NotTaken, match="no connection"):
        post(f"https://{NAME}/")


def test_the_form_of_a_signature() -> None:
    headers = signed_headers("whsec_a2V5", "msg_1", 1_700_000_000.9, b"{}")
    by_hand = hmac.new(b"key", b"msg_1.1700000000.{}", hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1," + base64.b64encode(by_hand).decode(),
    }
