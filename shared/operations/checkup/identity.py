"""Who the gateway is signed in as, and whether it gets a token for each audience that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.adapters.arm_calls import arm_scope
from shared.adapters.event_sinks import GRID_SCOPE
from shared.adapters.secret_facts import vault_scope
from shared.operations.checkup import commands
from shared.operations.checkup.claims import claims_of
from shared.operations.checkup.finding import Check, Finding, age, failed, ok, skipped, warning
from shared.operations.checkup.scene import Scene
from shared.types import Credential


def checks(scene: Scene) -> list[Check]:
    needed = dict.fromkeys(_needed(scene))
    if not needed:
        return [Check("sign-in", lambda: _nothing())]
    first = next(iter(needed))
    found = [Check("who", lambda: _who(scene, first))]
    found += [Check(_label(one), lambda one=one: _token(scene, one)) for one in needed]
    return [*found, *(Check("azure_ad_token", lambda one=one: _given(scene, one)) for one in _static(scene))]


def _needed(scene: Scene) -> Iterator[Credential]:
    settings = scene.desk.settings
    if scene.storage_credential is not None:
        yield scene.storage_credential
    if settings.key_vault_uri:
        yield scene.credential(vault_scope(settings.key_vault_uri))
    yield from (
        one.credential for one in scene.catalog.every() if one.credential.kind not in ("api_key", "static_token")
    )
    if settings.events.startswith("https://") and not settings.events_key.reveal():
        yield scene.credential(GRID_SCOPE)
    if settings.resource_manager_url and scene.place.on_azure:
        yield Credential("default", scope=arm_scope(settings.resource_manager_url))


def _static(scene: Scene) -> list[Credential]:
    return list(dict.fromkeys(o.credential for o in scene.catalog.every() if o.credential.kind == "static_token"))


def _label(credential: Credential) -> str:
    scope = credential.scope.removesuffix("/.default").removeprefix("https://")
    named = f" for {credential.client_id}" if credential.client_id else ""
    return scope if credential.kind == "default" and not named else f"{scope}, {credential.kind}{named}"


async def _nothing() -> list[Finding]:
    return [skipped("sign-in", "nothing is reached by an identity: everything has keys")]


async def _who(scene: Scene, credential: Credential) -> list[Finding]:
    claims = (await scene.signed_in(credential)).claims
    if claims is None:
        return [skipped("who", "not known: there is no token, or it cannot be looked into")]
    return [
        ok(
            "who",
            f"{claims.called}, object id {claims.object_id or 'not said'}, client id {claims.client_id or 'not said'}, "
            f"tenant {claims.tenant or 'not said'}",
        )
    ]


async def _token(scene: Scene, credential: Credential) -> list[Finding]:
    about, got = _label(credential), await scene.signed_in(credential)
    if got.problem:
        return [failed(about, f"no token: {got.problem[:300]}", _mend(scene, credential))]
    if got.claims is None:
        return [ok(about, "a token that only its audience can read")]
    said, wanted = got.claims.audience, credential.scope.removesuffix("/.default")
    if said.startswith("http") and urlsplit(said).hostname != urlsplit(wanted).hostname:
        return [warning(about, f"the token is for {said}, not for {wanted}: set azure_scope in config.yaml")]
    return [ok(about, f"a token for {age(got.claims.expires - scene.desk.clock())}")]


def _mend(scene: Scene, credential: Credential) -> str:
    place = scene.place
    if credential.kind == "client_secret":
        return commands.new_client_secret(credential.client_id)
    if credential.kind == "password":
        return "use an identity in place of azure_username (docs/credentials.md)"
    if credential.kind == "federated":
        return f"look at the file or variable that holds the assertion: {credential.token_file}"
    if not place.on_azure:
        return commands.sign_in(scene.environ.get("AZURE_TENANT_ID", ""))
    if not scene.environ.get("IDENTITY_ENDPOINT"):
        return commands.give_identity(place)
    return commands.name_identity(place)


async def _given(scene: Scene, credential: Credential) -> list[Finding]:
    """A token that stands in the configuration: nobody renews it."""
    from shared.errors import UpstreamFailed

    about = "azure_ad_token"
    try:
        claims = claims_of(await scene.desk.tokens.get(credential))
    except UpstreamFailed as error:
        return [failed(about, error.detail, commands.again("vault"))]
    left = claims.expires - scene.desk.clock() if claims and claims.expires else None
    fix = "leave azure_ad_token out, so that the gateway's identity is used"
    if left is None:
        return [skipped(about, "a token that cannot be looked into", fix)]
    if left <= 0:
        return [failed(about, f"it has ended {age(-left)} ago", fix)]
    return [warning(about, f"it ends in {age(left)}, and nobody renews it", fix)]
