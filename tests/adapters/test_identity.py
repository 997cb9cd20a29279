"""Tokens from the fake Entra ID over TLS, through azure-identity's own classes; only the clock is ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport

from local.fake_azure import FakeAzure
from shared.adapters.identity import RETRY_SECONDS, EntraTokens
from shared.errors import UpstreamFailed
from shared.types import Credential, Secret
from tests.support.doubles import Clock, Lines
from tests.support.polling import eventually, until

SCOPE = "https://cognitiveservices.azure.com/.default"


class KeepsThePort(RequestsTransport):
    """MSAL asks for a user's realm at the authority's host name without its port: this puts the port back."""

    def __init__(self, authority: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._authority = authority

    def send(self, request: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://localhost/", f"{self._authority}/")
        return super().send(request, **kwargs)


def credential(fake: FakeAzure, kind: Any = "client_secret", secret: str = "", **changed: Any) -> Credential:
    state = fake.state
    ((client, client_secret),) = state.clients.items()
    ((username, password),) = state.users.items()
    given: dict[str, Any] = {
        "kind": kind, "tenant_id": state.tenant_id, "client_id": client, "authority": state.authority_url, "scope": SCOPE,
    }  # fmt: skip
    match kind:
        case "client_secret":
            given["secret"] = Secret(secret or client_secret)
        case "password":
            given |= {"secret": Secret(secret or password), "username": username}
        case "federated":
            given["token_file"] = state.federated_token_file
        case _:
            given |= {"tenant_id": "", "client_id": "", "authority": ""}
    return Credential(**(given | changed))


class Scene:
    """An EntraTokens with everything around it."""

    def __init__(self, fake: FakeAzure, kind: str = "client_secret") -> None:
        self.clock, self.log = Clock(time.time()), Lines()
        options: dict[str, Any] = {"connection_verify": fake.state.ca_file, "retry_total": 0}
        if kind == "password":
            options["transport"] = KeepsThePort(fake.state.authority_url, connection_verify=fake.state.ca_file)
        environ = {"ASSERTION": fake.state.federated_assertion}
        self.tokens = EntraTokens(environ, self.clock, self.log, Random(1), self.secret_of, options)

    async def secret_of(self, name: str) -> str:
        return f"value of {name}"


def play(fake: FakeAzure, work: Callable[[Scene], Awaitable[None]], kind: str = "client_secret") -> Scene:
    scene = Scene(fake, kind)

    async def whole() -> None:
        try:
            await work(scene)
        finally:
            await scene.tokens.close()

    asyncio.run(whole())
    return scene


async def newer(scene: Scene, wanted: Credential, old: str) -> str:
    """The next token, which comes in the background."""

    async def changed() -> bool:
        return await scene.tokens.get(wanted) != old

    await eventually(changed)
    return await scene.tokens.get(wanted)


@pytest.fixture
def identity(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> FakeAzure:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", fake.state.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", fake.state.identity_header)
    return fake


def counted(fake: FakeAzure) -> dict[str, int]:
    return {kind: n for kind, n in fake.describe()["counters"]["token_requests"].items() if n}


KINDS = [
    ("client_secret", {}, "client_secret"),
    ("password", {}, "password"),
    ("federated", {}, "client_assertion"),
    ("federated", {"token_file": "env:ASSERTION"}, "client_assertion"),
    ("default", {}, "managed_identity"),
]


@pytest.mark.filterwarnings("ignore:.*public client flows:DeprecationWarning")  # of the password flow, still in use
@pytest.mark.parametrize(("kind", "changed", "counter"), KINDS, ids=["secret", "password", "file", "env", "managed"])
def test_50_cold_calls_make_one_request(identity: FakeAzure, kind: str, changed: dict[str, str], counter: str) -> None:
    async def work(scene: Scene) -> None:
        wanted = credential(identity, kind, **changed)
        tokens = await asyncio.gather(*(scene.tokens.get(wanted) for _ in range(50)))
        assert len(set(tokens)) == 1
        assert tokens[0].startswith("eyJ")
        assert await scene.tokens.get(wanted) == tokens[0]

    play(identity, work, kind)
    assert counted(identity) == {counter: 1}


def test_two_credentials_have_two_tokens(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        one, other = credential(fake), credential(fake, scope="https://ai.azure.com/.default")
        assert await scene.tokens.get(one) != await scene.tokens.get(other)
        assert await scene.tokens.get(credential(fake)) == await scene.tokens.get(one)

    play(fake, work)
    assert counted(fake) == {"client_secret": 2}


def test_token_is_renewed_ahead_and_nobody_waits(fake: FakeAzure) -> None:
    fake.add_fault("token_lifetime", seconds=100)

    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        first = await scene.tokens.get(wanted)
        scene.clock.forward(70)  # renewal is due 20 s before the end, give or take a tenth
        assert await scene.tokens.get(wanted) == first
        await asyncio.sleep(0.05)
        assert counted(fake) == {"client_secret": 1}
        scene.clock.forward(20)
        fake.add_fault("token_slow", seconds=0.3)
        began = time.monotonic()
        assert await asyncio.gather(*(scene.tokens.get(wanted) for _ in range(50))) == [first] * 50
        assert time.monotonic() - began < 0.2
        assert await newer(scene, wanted, first) != first

    play(fake, work)
    assert counted(fake) == {"client_secret": 2}


def test_old_token_is_served_while_the_authority_is_down(fake: FakeAzure) -> None:
    fake.add_fault("token_lifetime", seconds=200)

    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        first = await scene.tokens.get(wanted)
        fake.add_fault("token_status", status=503, times=-1)
        scene.clock.forward(165)
        assert await scene.tokens.get(wanted) == first
        await asyncio.to_thread(until, lambda: scene.log.warnings)
        attempts = len([r for r in fake.requests if r.path.endswith("/token")])
        for _ in range(20):  # an authority that is down is not asked at each call
            assert await scene.tokens.get(wanted) == first
        assert len([r for r in fake.requests if r.path.endswith("/token")]) == attempts == 2
        fake.faults.clear()
        scene.clock.forward(RETRY_SECONDS + 1)
        assert await newer(scene, wanted, first) != first

    scene = play(fake, work)
    assert [message for message, _ in scene.log.warnings] == ["no token from Entra ID"]


def test_without_any_token_the_failure_is_told(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            await scene.tokens.get(credential(fake, secret="wrong"))
        assert failed.value.kind == "credential"
        assert "AADSTS7000215" in failed.value.detail
        fake.add_fault("token_lifetime", seconds=50, times=1)
        wanted = credential(fake)
        await scene.tokens.get(wanted)
        fake.add_fault("token_status", status=500, times=-1)
        scene.clock.forward(60)
        with pytest.raises(UpstreamFailed):
            await scene.tokens.get(wanted)
        fake.faults.clear()
        assert await scene.tokens.get(wanted)

    play(fake, work)


def test_refused_token_is_replaced_once(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        first = await scene.tokens.get(wanted)
        scene.tokens.refuse(wanted, "another token")
        assert await scene.tokens.get(wanted) == first
        for _ in range(10):  # as ten calls do that were refused together
            scene.tokens.refuse(wanted, first)
        tokens = set(await asyncio.gather(*(scene.tokens.get(wanted) for _ in range(10))))
        assert len(tokens) == 1
        assert first not in tokens
        scene.tokens.refuse(wanted, first)
        assert await scene.tokens.get(wanted) in tokens

    play(fake, work)
    assert counted(fake) == {"client_secret": 2}


def test_caller_that_leaves_takes_nobody_with_it(fake: FakeAzure) -> None:
    fake.add_fault("token_slow", seconds=0.2)

    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        first, second = (asyncio.ensure_future(scene.tokens.get(wanted)) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).startswith("eyJ")
        with pytest.raises(asyncio.CancelledError):
            await first

    play(fake, work)
    assert counted(fake) == {"client_secret": 1}


def test_static_tokens_are_given_as_they_are(fake: FakeAzure) -> None:
    async def work(scene: Scene) -> None:
        assert await scene.tokens.get(Credential("static_token", Secret("token"))) == "token"
        assert await scene.tokens.get(Credential("static_token", Secret(vault_name="n"))) == "value of n"

    play(fake, work)
    assert counted(fake) == {}


def test_secret_that_was_rotated_in_the_vault_is_read_anew(fake: FakeAzure) -> None:
    ((_, right),) = fake.state.clients.items()
    asked: list[str] = []

    async def work(scene: Scene) -> None:
        async def secret_of(name: str, refused: str = "") -> str:
            asked.append(refused)
            return right if refused else "an old one"

        scene.tokens._secret_of = secret_of  # pyright: ignore[reportPrivateUsage]
        wanted = replace(credential(fake), secret=Secret(vault_name="n"))
        assert (await scene.tokens.get(wanted)).startswith("eyJ")

    play(fake, work)
    assert asked == ["", "an old one"]


def test_refusals_in_a_row_fetch_no_more_tokens(fake: FakeAzure) -> None:
    """An identity without a role is refused at every call, and its next token would be, too."""

    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        for _ in range(10):
            scene.tokens.refuse(wanted, await scene.tokens.get(wanted))
        assert counted(fake) == {"client_secret": 2}
        scene.clock.forward(RETRY_SECONDS)
        token = await scene.tokens.get(wanted)
        scene.tokens.refuse(wanted, token)
        assert await scene.tokens.get(wanted) != token

    play(fake, work)


def test_token_is_not_used_in_its_last_seconds(fake: FakeAzure) -> None:
    fake.add_fault("token_lifetime", seconds=100)

    async def work(scene: Scene) -> None:
        wanted = credential(fake)
        token, ends = await scene.tokens.living(wanted)
        assert ends < scene.clock.now + 100
        scene.clock.now = ends
        assert await scene.tokens.get(wanted) != token

    play(fake, work)
    assert counted(fake) == {"client_secret": 2}
