"""Each secret that the configuration names: whether it is there, enabled, and good for a while."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.adapters.secret_facts import SecretFacts, VaultRefused, secret_facts, vault_scope
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, age, failed, ok, skipped, warning
from shared.operations.checkup.refusals import lacking, role_named, wrong_of
from shared.operations.checkup.scene import Scene

SOON_SECONDS = 30 * 86400.0


def referenced(scene: Scene) -> list[str]:
    """Names of secrets, as the vault knows them."""
    found = [one.credential.secret.vault_name for one in scene.catalog.every()]
    found += [secret.vault_name for secret in scene.catalog.webhook_secrets]
    return sorted({name for name in found if name})


async def facts_of(scene: Scene, name: str) -> SecretFacts:
    """Asked once. Raises VaultRefused."""
    desk, url = scene.desk, scene.desk.settings.key_vault_uri
    credential = scene.credential(vault_scope(url))
    return await scene.once(("secret", name), lambda: secret_facts(desk.http, desk.tokens, credential, url, name))


def checks(scene: Scene) -> list[Check]:
    names = referenced(scene)
    if not names:
        return [Check("keyvault/…", _none)]
    return [Check(f"keyvault/{name}", lambda name=name: _secret(scene, name)) for name in names]


async def _none() -> list[Finding]:
    return [skipped("keyvault/…", "the configuration names no secret")]


async def _secret(scene: Scene, name: str) -> list[Finding]:
    about, url = f"keyvault/{name}", scene.desk.settings.key_vault_uri
    if not url:
        return [
            failed(
                about, "AZURE_KEY_VAULT_URI is not set", "set it to the vault's address: https://NAME.vault.azure.net"
            )
        ]
    vault = (urlsplit(url).hostname or "").partition(".")[0]
    try:
        facts = await facts_of(scene, name)
    except VaultRefused as error:
        return [await _refused(scene, about, name, vault, error)]
    left = None if facts.expires is None else facts.expires - scene.desk.clock()
    if not facts.enabled:
        return [failed(about, "it is disabled", commands.enable_secret(vault, name))]
    if left is not None and left <= 0:
        return [failed(about, f"its time ended {age(-left)} ago", commands.put_secret(vault, name))]
    if left is not None and left < SOON_SECONDS:
        days = max(1, round(left / 86400))
        return [warning(about, f"its time ends in {days} days", commands.put_secret(vault, name))]
    return [ok(about, "there")]


async def _refused(scene: Scene, about: str, name: str, vault: str, error: VaultRefused) -> Finding:
    wrong, credential = wrong_of(error), scene.credential(vault_scope(scene.desk.settings.key_vault_uri))
    if wrong.status == 404:
        return failed(about, "there is no such secret", commands.put_secret(vault, name))
    if wrong.code == "SecretDisabled":
        return failed(about, "it is disabled", commands.enable_secret(vault, name))
    if wrong.wall:
        return failed(about, "the vault's network rules keep the gateway out", commands.show_vault_rules(vault))
    if wrong.denied:
        role, scope = role_named("Key Vault Secrets User"), commands.vault_id(vault)
        return await lacking(scene, about, role, credential, scope, f"vault {vault}")
    return failed(about, f"not read: {wrong.text}", commands.again("network,identity"))
