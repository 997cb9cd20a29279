"""Entra tokens, really signed by the fake authority and checked by keys that are fetched from it over TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.fake_azure import FakeAzure
from shared.adapters.entra_signers import AGAIN_SECONDS, KEEP_SECONDS, RETRY_SECONDS
from shared.adapters.entra_tokens import LEEWAY_SECONDS, Claims, EntraVerifier
from shared.errors import ApiError, invalid_key
from tests.support.doubles import Clock, Lines

AUDIENCE = "api://tollgate"
APP = str(uuid.uuid4())
PERSON = str(uuid.uuid4())


class Scene:
    """A verifier with everything around it."""

    def __init__(self, fake: FakeAzure, *more_tenants: str) -> None:
        self.fake, self.clock, self.timer, self.log = fake, Clock(time.time()), Clock(0.0), Lines()
        self.context = ssl.create_default_context(cafile=fake.state.ca_file)
        self.verifier = EntraVerifier(
            [fake.state.tenant_id.upper(), *more_tenants], [AUDIENCE, "7" * 8], fake.state.authority_url, self.client,
            self.clock, self.log, self.timer,
        )  # fmt: skip

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self.context, trust_env=False)

    def token(self, **claims: Any) -> str:
        said: dict[str, Any] = {"azp": APP, "oid": "sp", **claims}
        return self.fake.issue_token(AUDIENCE, **said)

    async def claims(self, **claims: Any) -> Claims:
        return await self.verifier.verify(self.token(**claims))

    async def refused(self, token: str) -> None:
        """With the same answer as any other bad key."""
        with pytest.raises(ApiError) as caught:
            await self.verifier.verify(token)
        assert (caught.value.status, caught.value.body()) == (401, invalid_key().body())

    async def unavailable(self, token: str) -> None:
        with pytest.raises(ApiError) as caught:
            await self.verifier.verify(token)
        assert (caught.value.status, caught.value.code) == (503, "entra_unavailable")

    def published(self) -> list[dict[str, Any]]:
        address = f"{self.fake.state.authority_url}/{self.fake.state.tenant_id}/discovery/v2.0/keys"
        return httpx.get(address, verify=self.context).json()["keys"]

    @property
    def fetches(self) -> int:
        return len([r for r in self.fake.requests if r.path.endswith("/discovery/v2.0/keys")])


@pytest.fixture
def scene(fake: FakeAzure) -> Scene:
    return Scene(fake)


def play(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_what_a_token_says(scene: Scene, fake: FakeAzure) -> None:
    tenant = fake.state.tenant_id
    old = {"iss": f"https://sts.windows.net/{tenant}/", "azp": None, "ver": "1.0"}

    async def work() -> None:
        claims = await scene.claims(roles=["Tollgate.Data", "b"])
        assert claims == Claims(tenant, "sp", APP, frozenset({"Tollgate.Data", "b"}), APP, claims.expires_at)
        assert scene.clock() + 3500 < claims.expires_at < scene.clock() + 3700
        assert (await scene.claims(**old, appid=APP.upper())).app_id == APP
        assert (await scene.claims(aud="77777777")).app_id == APP
        person = await scene.claims(oid=PERSON, scp="calls", preferred_username="ana@example.com")
        assert (person.user, person.name, person.subject, person.app_id) == (PERSON, "ana@example.com", PERSON, APP)
        assert (await scene.claims(**old, appid=APP, oid=PERSON, scp="x", upn="a@b")).name == "a@b"
        assert (await scene.claims(oid=PERSON, idtyp="user")).name == PERSON
        assert (await scene.claims(idtyp="app")).user == ""
        assert scene.fetches == 1
        assert person.key_id != claims.key_id
        assert (await scene.claims(oid="other")).key_id == claims.key_id

    play(work)


def test_what_is_wrong_with_a_token_that_entra_has_signed(scene: Scene) -> None:
    other = str(uuid.uuid4())
    host = scene.fake.state.authority_url

    async def work() -> None:
        now = scene.clock()
        for claims in (
            {"aud": "api://other"}, {"aud": AUDIENCE + "/"}, {"aud": [AUDIENCE]}, {"aud": None}, {"aud": AUDIENCE.upper()},
            {"exp": now - LEEWAY_SECONDS - 1}, {"exp": "soon"}, {"exp": None}, {"exp": True}, {"nbf": now + LEEWAY_SECONDS + 5},
            {"nbf": "x"}, {"iss": f"{host}/{other}/v2.0"}, {"iss": f"{host}/v2.0"}, {"iss": None}, {"iss": ""},
            {"iss": f"https://sts.windows.net/{other}/"}, {"iss": f"https://evil.example/{scene.fake.state.tenant_id}/v2.0"},
            {"tid": other}, {"tid": None}, {"azp": None},
        ):  # fmt: skip
            await scene.refused(scene.token(**claims))
        assert (await scene.claims(exp=now - LEEWAY_SECONDS + 5, nbf=now + LEEWAY_SECONDS - 5)).app_id == APP

    play(work)
    problems = [fields["problem"] for _, fields in scene.log.warnings]
    assert len(problems) == len(set(problems))  # each once a minute
    assert any("'api://other' is not in ENTRA_AUDIENCES" in problem for problem in problems)
    assert "ey" not in str(scene.log.warnings)


def test_what_entra_has_not_signed(scene: Scene) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    async def work() -> None:
        good = scene.token()
        head, body, signature = good.split(".")
        header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
        (published,) = scene.published()
        public = jwt.PyJWK(published, "RS256").key
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert (await scene.verifier.verify(good)).app_id == APP
        by_public_key = encoded({**header, "alg": "HS256"}) + "." + body
        by_public_key += "." + base64.urlsafe_b64encode(_hmac(pem, by_public_key.encode())).rstrip(b"=").decode()
        changed = encoded({**claims, "roles": ["Tollgate.Admin"]})
        forged = [
            by_public_key,
            f"{encoded({**header, 'alg': 'none'})}.{body}.",
            f"{encoded({**header, 'alg': 'None'})}.{body}.",
            f"{head}.{changed}.{signature}",
            f"{head}.{body}.",
            f"{head}.{body}.{signature[:-4]}AAAA",
            f"{head}.{body}.{encoded({})}",
            jwt.encode(claims, own, "RS256", headers={"kid": header["kid"]}),
            jwt.encode(claims, own, "RS512", headers={"kid": header["kid"]}),
            jwt.encode(claims, own, "PS256", headers={"kid": header["kid"]}),
            jwt.encode(claims, own, "RS256"),
            jwt.encode(claims, own, "RS256", headers={"kid": header["kid"], "jwk": json.loads(_jwk(own))}),
            f"{encoded({**header, 'kid': 5})}.{body}.{signature}",
            f"{encoded({'alg': 'RS256'})}.{body}.{signature}",
            f"{encoded({**header, 'crit': ['exp'], 'exp': 1})}.{body}.{signature}",
            f"{head}.{encoded([1])}.{signature}",
            f"eyJ.{body}.{signature}", "ey.ey.ey", f"{head}.{'A' * 20_000}.{signature}", "ey" + "." * 5,
        ]  # fmt: skip
        for token in forged:
            await scene.refused(token)
        assert (await scene.verifier.verify(good)).app_id == APP

    play(work)
    assert scene.log.warnings == []  # strangers write nothing into the log
    assert scene.fetches == 2  # one of them by this test: names of keys that are there cost nothing


def _hmac(key: bytes, text: bytes) -> bytes:
    import hashlib
    import hmac

    return hmac.digest(key, text, hashlib.sha256)


def _jwk(key: rsa.RSAPrivateKey) -> str:
    return RSAAlgorithm.to_jwk(key.public_key())


def test_50_cold_calls_fetch_the_keys_once_and_a_warm_token_costs_nothing(scene: Scene) -> None:
    async def work() -> None:
        tokens = [scene.token() for _ in range(50)]
        await asyncio.gather(*(scene.verifier.verify(token) for token in tokens))
        assert scene.fetches == 1
        scene.fake.add_fault("jwks_status", status=500, times=-1)
        for token in tokens:
            assert (await scene.verifier.verify(token)).app_id == APP
        scene.clock.forward(3600 + LEEWAY_SECONDS + 5)
        await scene.refused(tokens[0])  # remembered, and over

    play(work)


def test_an_unknown_key_is_asked_for_once_a_minute(scene: Scene, fake: FakeAzure) -> None:
    async def work() -> None:
        old = scene.token()
        await scene.verifier.verify(old)
        fake.rotate_signing_key()
        new = scene.token()
        await scene.refused(new)  # the keys were fetched just now
        assert scene.fetches == 1
        scene.timer.forward(AGAIN_SECONDS)
        await asyncio.gather(*(scene.verifier.verify(token) for token in [new] * 20))
        assert scene.fetches == 2
        stranger = jwt.encode({"iss": f"{fake.state.authority_url}/{fake.state.tenant_id}/v2.0"},
                              rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", headers={"kid": "x"})  # fmt: skip
        for _ in range(5):
            await scene.refused(stranger)
        assert scene.fetches == 2
        scene.timer.forward(AGAIN_SECONDS)
        for _ in range(5):
            await scene.refused(stranger)
        assert scene.fetches == 3
        assert (await scene.claims(roles=["x"])).roles == {"x"}  # by the new key, and the old one is published still

    play(work)


def test_keys_are_asked_for_again_after_a_day_and_withdrawn_ones_end(scene: Scene, fake: FakeAzure) -> None:
    async def work() -> None:
        await scene.claims()
        before, late = scene.token(oid="before"), scene.token(oid="late")
        fake.rotate_signing_key(keep=False)
        assert (await scene.verifier.verify(before)).subject == "before"
        scene.timer.forward(KEEP_SECONDS)
        await scene.refused(late)
        assert (await scene.claims()).app_id == APP
        assert scene.fetches == 2

    play(work)


def test_the_old_keys_serve_while_the_authority_is_down(scene: Scene, fake: FakeAzure) -> None:
    async def work() -> None:
        await scene.claims()
        fake.add_fault("jwks_status", status=503, times=-1)
        scene.timer.forward(KEEP_SECONDS + 1)
        for _ in range(5):
            assert (await scene.claims()).app_id == APP
        assert scene.fetches == 2  # once a minute
        assert [message for message, _ in scene.log.warnings] == ["Entra's signing keys could not be fetched"]
        fake.rotate_signing_key()
        new = scene.token()
        await scene.unavailable(new)  # it may be good: nobody can say
        fake.faults.clear()
        scene.timer.forward(AGAIN_SECONDS)
        assert (await scene.verifier.verify(new)).app_id == APP

    play(work)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 200, "body": {"keys": []}}, {"status": 200, "body": "<html>"},
                                   {"status": 200, "body": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "fake-azure-1"}]}}])  # fmt: skip
def test_without_any_keys_nobody_is_let_in(scene: Scene, fake: FakeAzure, fault: dict[str, Any]) -> None:
    fake.add_fault("jwks_status", times=-1, **fault)

    async def work() -> None:
        token = scene.token()
        await asyncio.gather(*(scene.unavailable(token) for _ in range(5)))
        await scene.unavailable(token)
        assert scene.fetches == 1  # nobody waits for an authority that has just failed
        await scene.refused("ey.ey.ey")
        fake.faults.clear()
        scene.timer.forward(RETRY_SECONDS)
        assert (await scene.verifier.verify(token)).app_id == APP

    play(work)


def test_keys_of_another_tenant_are_left_out(fake: FakeAzure) -> None:
    other = str(uuid.uuid4())
    scene = Scene(fake, other)
    keys = scene.published()
    fake.clear()
    foreign = [{**key, "issuer": f"https://login.microsoftonline.com/{other}/v2.0"} for key in keys]
    fake.add_fault("jwks_status", status=200, body={"keys": foreign}, times=1)

    async def work() -> None:
        await scene.unavailable(scene.token())
        # the other tenant's keys are fetched at its own address: the fake does not know it
        await scene.unavailable(scene.token(iss=f"{fake.state.authority_url}/{other}/v2.0", tid=other))
        assert [r.path.split("/")[1] for r in fake.requests] == [fake.state.tenant_id, other]

    play(work)


def test_caller_that_leaves_takes_nobody_with_it(scene: Scene, fake: FakeAzure) -> None:
    fake.add_fault("jwks_slow", seconds=0.2)

    async def work() -> None:
        first, second = (asyncio.ensure_future(scene.claims()) for _ in range(2))
        await asyncio.sleep(0.1)
        first.cancel()
        assert (await second).app_id == APP
        assert scene.fetches == 1

    play(work)
