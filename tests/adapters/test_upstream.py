"""The connection to a deployment, against the fake Azure: credentials, heads, and every way of not answering."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.adapters.identity import EntraTokens
from shared.adapters.upstream import HttpUpstream
from shared.errors import UpstreamFailed
from shared.types import Credential, Secret, UpstreamReply, UpstreamRequest
from tests.adapters.test_identity import SCOPE
from tests.support.doubles import Lines
from tests.support.own_azurite import free_ports
from tests.support.stack import last_upstream, upstream_calls

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"count to 3"}]}'
STREAM = BODY[:-1] + b',"stream":true}'


class Scene:
    def __init__(self, fake: FakeAzure) -> None:
        self.main = fake.state.resources["main"]
        state = fake.state
        ((client, secret),) = state.clients.items()
        options = {"connection_verify": state.ca_file, "retry_total": 0}
        self.tokens = EntraTokens({}, time.time, Lines(), Random(1), self.get, options)
        self.upstream = HttpUpstream(self.tokens, self)
        self.entra = Credential(
            "client_secret", Secret(secret), state.tenant_id, client, authority=state.authority_url, scope=SCOPE
        )
        self.key = Credential("api_key", Secret(self.main.key))

    async def get(self, name: str, refused: str = "") -> str:
        """ports.Secrets: the vault."""
        return {"main-api-key": self.main.key}[name]

    def request(self, credential: Credential | None = None, body: bytes = BODY, **changed: Any) -> UpstreamRequest:
        url = f"{self.main.url}/openai/v1/chat/completions"
        given: dict[str, Any] = {"method": "POST", "url": url, "body": body, "auth_header": "api-key"}
        return UpstreamRequest(credential=credential or self.key, **(given | changed))

    async def open(self, *given: Any, timeout: float = 5, **changed: Any) -> UpstreamReply:
        return await self.upstream.open(self.request(*given, **changed), timeout)


def play(fake: FakeAzure, work: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        scene = Scene(fake)
        try:
            await work(scene)
        finally:
            await scene.upstream.close()
            await scene.tokens.close()

    asyncio.run(whole())


async def read(reply: UpstreamReply) -> bytes:
    try:
        return b"".join([chunk async for chunk in reply.chunks])
    finally:
        await reply.close()


def test_reply_is_opened_unread_and_read_to_the_end(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        reply = await scene.open()
        assert reply.status == 200
        assert reply.headers["x-ms-region"] == "East US 2"
        assert b'"1 2 3"' in await read(reply)
        stream = await scene.open(body=STREAM)
        assert (await read(stream)).endswith(b"data: [DONE]\n\n")

    play(fake, work)
    assert all(record.completed for record in upstream_calls(fake))


def test_chunks_come_as_they_are_sent(fake: FakeAzure) -> None:
    fake.add_fault("pause", after=3, seconds=30)

    async def work(scene: Scene) -> None:
        reply = await scene.open(body=STREAM)
        seen = b""
        async for chunk in reply.chunks:
            seen += chunk
            if b'"1"' in seen:
                break
        await reply.close()

    play(fake, work)
    assert fake.wait_idle(5)
    assert last_upstream(fake).closed_early


@pytest.mark.parametrize(
    ("name", "header", "kind"),
    [("", "api-key", "api-key"), ("", "bearer", "bearer"), ("main-api-key", "api-key", "api-key")],
    ids=["key", "key-as-bearer", "key-of-the-vault"],
)
def test_key_travels_as_the_surface_wants_it(fake: FakeAzure, name: str, header: str, kind: str) -> None:
    async def work(scene: Scene) -> None:
        credential = Credential("api_key", Secret(vault_name=name)) if name else scene.key
        assert (await read(await scene.open(credential, auth_header=header))).startswith(b"{")

    play(fake, work)
    sent = last_upstream(fake)
    assert (sent.status, sent.auth) == (200, kind)
    assert ("authorization" in sent.headers) != ("api-key" in sent.headers)


def test_token_is_always_a_bearer_token(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        await read(await scene.open(scene.entra, auth_header="api-key"))

    play(fake, work)
    assert (last_upstream(fake).auth, last_upstream(fake).status) == ("bearer", 200)


def test_refused_token_is_replaced_and_the_call_made_once_more(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        await read(await scene.open(scene.entra))
        fake.expire_tokens()
        reply = await scene.open(scene.entra)
        assert reply.status == 200
        assert b'"1 2 3"' in await read(reply)
        assert (await scene.open(scene.entra)).status == 200

    play(fake, work)
    assert [r.status for r in upstream_calls(fake)] == [200, 401, 200, 200]
    assert {r.raw for r in upstream_calls(fake)} == {BODY}
    assert fake.counters["client_secret"] == 2


def test_many_calls_whose_token_is_refused_fetch_one_new_token(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        await read(await scene.open(scene.entra))
        fake.expire_tokens()
        replies = await asyncio.gather(*(scene.open(scene.entra) for _ in range(20)))
        assert {reply.status for reply in replies} == {200}
        for reply in replies:
            await reply.close()

    play(fake, work)
    assert fake.counters["client_secret"] == 2


def test_no_second_try_when_the_new_token_is_refused_as_well(fake: FakeAzure) -> None:
    fake.add_fault("status", status=401, times=-1)

    async def work(scene: Scene) -> None:
        reply = await scene.open(scene.entra)
        assert reply.status == 401
        await reply.close()

    play(fake, work)
    assert len(upstream_calls(fake)) == 2


def test_wrong_key_is_not_tried_again(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        assert (await scene.open(Credential("api_key", Secret("wrong")))).status == 401
        static = Credential("static_token", Secret("wrong"))
        assert (await scene.open(static)).status == 401

    play(fake, work)
    assert len(upstream_calls(fake)) == 2


def test_redirects_are_not_followed(fake: FakeAzure) -> None:
    """A credential goes where the configuration says, and nowhere else."""
    fake.add_fault("status", status=307, headers={"Location": fake.state.resources["second"].url + "/openai/v1/models"})

    async def work(scene: Scene) -> None:
        reply = await scene.open()
        assert reply.status == 307
        await reply.close()

    play(fake, work)
    assert [r.resource for r in upstream_calls(fake)] == ["main"]


def failing(fake: FakeAzure, **changed: Any) -> UpstreamFailed:
    found: list[UpstreamFailed] = []

    async def work(scene: Scene) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            await read(await scene.open(**changed))
        found.append(failed.value)

    play(fake, work)
    return found[0]


def test_nobody_listens(fake: FakeAzure) -> None:
    assert failing(fake, url=f"http://127.0.0.1:{free_ports(1)[0]}/x").kind == "unreachable"


def test_certificate_that_nobody_trusts(fake: FakeAzure) -> None:
    assert failing(fake, url=f"{fake.state.authority_url}/x").kind == "unreachable"


def test_reset(fake: FakeAzure) -> None:
    fake.add_fault("reset")
    assert failing(fake).kind == "reset"


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
def test_cut(fake: FakeAzure, body: bytes) -> None:
    fake.add_fault("cut")
    assert failing(fake, body=body).kind == "reset"


def test_time_out(fake: FakeAzure) -> None:
    fake.add_fault("slow_first_byte", seconds=30)
    assert failing(fake, timeout=0.3).kind == "timeout"
    assert fake.wait_idle(5)
    assert last_upstream(fake).closed_early


def test_time_limit_is_for_the_head_only(fake: FakeAzure) -> None:
    fake.add_fault("pause", after=3, seconds=0.5)

    async def work(scene: Scene) -> None:
        assert (await read(await scene.open(body=STREAM, timeout=0.3))).endswith(b"[DONE]\n\n")

    play(fake, work)


def test_silence_within_an_answer(fake: FakeAzure) -> None:
    fake.add_fault("pause", after=3, seconds=30)
    assert failing(fake, body=STREAM, idle=0.2).kind == "timeout"
    assert fake.wait_idle(5)
    assert last_upstream(fake).closed_early


def test_silence_before_an_answer_is_not_within_it(fake: FakeAzure) -> None:
    """Nor is one call's patience that of the next on the same connection."""
    fake.add_fault("slow_first_byte", seconds=0.6)

    async def work(scene: Scene) -> None:
        assert (await read(await scene.open(idle=0.2))).startswith(b"{")
        fake.add_fault("pause", after=3, seconds=0.6)
        assert (await read(await scene.open(body=STREAM))).endswith(b"[DONE]\n\n")

    play(fake, work)


def test_no_connection_in_time(fake: FakeAzure) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as queue:
        for _ in range(4):  # whoever comes after those that fill the queue is not even refused
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        assert failing(fake, url=url, connect=0.2, timeout=20).kind == "unreachable"


def test_caller_that_is_cancelled_closes_the_connection(fake: FakeAzure) -> None:
    fake.add_fault("slow_first_byte", seconds=30)

    async def work(scene: Scene) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await scene.open(timeout=60)

    play(fake, work)
    assert fake.wait_idle(5)
    assert last_upstream(fake).closed_early
