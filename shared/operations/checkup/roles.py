"""Whether the gateway may do what it has to: with storage and vault by doing it, with accounts by what is assigned.

A probe is a row, a blob and a message of the doctor's own, taken away at once; nobody else sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from shared.adapters.blob_folder import FILES
from shared.adapters.resource_manager import ArmFailed
from shared.adapters.secret_facts import VaultRefused, vault_scope
from shared.adapters.tables import STATE_TABLE
from shared.adapters.work_queue import QUEUES
from shared.catalog import Deployment
from shared.inventory import Account
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, ok, skipped, warning
from shared.operations.checkup.model_calls import called
from shared.operations.checkup.refusals import PARTNERS, Role, app_roles, gives, lacking, role_named, wrong_of
from shared.operations.checkup.scene import Scene, host_of
from shared.operations.checkup.vault import facts_of, referenced
from shared.ports import StoreUnavailable
from shared.types import Row

TIDY_SECONDS = 3.0
HIDDEN_SECONDS = 300
"""A message that could not be taken away is seen by nobody: it ends a second after it would appear."""


def checks(scene: Scene) -> list[Check]:
    tables, blobs, queues = (
        "Storage Table Data Contributor",
        "Storage Blob Data Owner",
        "Storage Queue Data Contributor",
    )
    found = [
        Check("tables", lambda: _probe(scene, "tables", tables, _row)),
        Check("blobs", lambda: _probe(scene, "blobs", blobs, _blob)),
        Check("queues", lambda: _probe(scene, "queues", queues, _message)),
        Check("vault", lambda: _vault(scene)),
    ]
    found += [Check(urlsplit(one.root).netloc, lambda one=one: _on_account(scene, one)) for one in _one_of_each(scene)]
    return [*found, Check("Application Insights", lambda: _insights(scene))]


# Storage, by doing.


async def _probe(scene: Scene, about: str, role: str, act: Callable[[Scene], Awaitable[None]]) -> list[Finding]:
    from azure.core.exceptions import AzureError

    try:
        await act(scene)
    except (StoreUnavailable, AzureError) as error:
        return [await _refused(scene, about, role, error)]
    return [ok(about, "written, read and deleted")]


async def _refused(scene: Scene, about: str, role: str, error: BaseException) -> Finding:
    wrong, account, credential = wrong_of(error), scene.storage_account, scene.storage_credential
    if wrong.status in (401, 403) and credential is None:
        text = f"the connection string in AzureWebJobsStorage is refused ({wrong.code or wrong.status})"
        return failed(about, text, "use the identity: AzureWebJobsStorage__accountName (docs/configuration.md)")
    if wrong.wall:
        text = "the storage account's network rules keep the gateway out"
        return failed(about, text, commands.open_storage(account))
    if wrong.denied and credential is not None:
        return await lacking(
            scene, about, role_named(role), credential, commands.storage_id(account), f"storage account {account}"
        )
    return failed(about, f"not done: {wrong.code or wrong.text}", commands.again("network,identity"))


async def _row(scene: Scene) -> None:
    key, tables = secrets.token_hex(8), scene.desk.tables
    await tables.write([Row(STATE_TABLE, {"PartitionKey": "doctor", "RowKey": key})])
    async with _taken_away(lambda: tables.delete(STATE_TABLE, "doctor", key)):
        if await tables.get(STATE_TABLE, "doctor", key) is None:
            raise StoreUnavailable("the row that was written is not there")


async def _blob(scene: Scene) -> None:
    folder, name = scene.desk.folders.folder(FILES), f"doctor/{secrets.token_hex(8)}"

    async def content() -> AsyncIterator[bytes]:
        yield b"probe"

    await folder.write(name, content(), "text/plain")
    async with _taken_away(lambda: folder.delete(name)):
        if b"".join([piece async for piece in folder.read(name)]) != b"probe":
            raise StoreUnavailable("the blob that was written is another one")


async def _message(scene: Scene) -> None:
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    queue = scene.desk.queue(QUEUES["queue_batch_looks"])
    hidden = {"visibility_timeout": HIDDEN_SECONDS, "time_to_live": HIDDEN_SECONDS + 1}
    try:
        sent = await queue.send_message("", **hidden)
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):  # somebody else was quicker
            await queue.create_queue()
        sent = await queue.send_message("", **hidden)
    async with _taken_away(lambda: queue.delete_message(sent.id, sent.pop_receipt)):
        await queue.get_queue_properties()


@contextlib.asynccontextmanager
async def _taken_away(delete: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Also when the time is over, or whoever asked has gone."""
    try:
        yield
    finally:
        async with asyncio.timeout(TIDY_SECONDS):
            await delete()


# The vault, by doing.


async def _vault(scene: Scene) -> list[Finding]:
    url = scene.desk.settings.key_vault_uri
    names = referenced(scene)
    if not url or not names:
        text = "AZURE_KEY_VAULT_URI is not set" if not url else "the configuration names no secret (keyvault/NAME)"
        return [skipped("vault", text)]
    credential = scene.credential(vault_scope(url))
    vault = (urlsplit(url).hostname or "").partition(".")[0]
    try:
        await facts_of(scene, names[0])
    except VaultRefused as error:
        wrong = wrong_of(error)
        if wrong.wall:
            return [failed("vault", "the vault's network rules keep the gateway out", commands.show_vault_rules(vault))]
        if wrong.denied and wrong.code != "SecretDisabled":
            role, scope = role_named("Key Vault Secrets User"), commands.vault_id(vault)
            return [await lacking(scene, "vault", role, credential, scope, f"vault {vault}")]
        if wrong.status == 0:
            return [failed("vault", wrong.text, commands.again("network,identity"))]
    return [ok("vault", "secrets can be read")]


# Accounts, by what is assigned.


def _one_of_each(scene: Scene) -> list[Deployment]:
    """A deployment for each resource that an identity signs in to."""
    found: dict[str, Deployment] = {}
    for one in scene.catalog.every():
        if one.credential.kind not in ("api_key", "static_token"):
            found.setdefault(host_of(one.root), one)
    return list(found.values())


async def _on_account(scene: Scene, one: Deployment) -> list[Finding]:
    about = urlsplit(one.root).netloc
    try:
        account = await scene.account_of(one)
    except ArmFailed as error:
        return [skipped(about, f"its roles cannot be read: {error.message[:200]}", commands.roles_of(""))]
    if account is None:
        return [skipped(about, "its roles are not looked up: add azure_resource_id in config.yaml")]
    who = await scene.principal(one.credential)
    principal = who.object_id if who else ""
    assigned = await scene.assignments(account.id, principal)
    if assigned is None:
        return [skipped(about, "the roles assigned there cannot be read", commands.roles_of(principal))]
    lacks = [role for role in _wanted(scene, one) if not any(gives(role, each) for each in assigned)]
    found = [await _missing(scene, account, role, one, principal, who.kind if who else "") for role in lacks]
    return found or [ok(account.name, "every role that is needed is assigned")]


def _wanted(scene: Scene, one: Deployment) -> Iterable[Role]:
    there = [each for each in scene.catalog.every() if host_of(each.root) == host_of(one.root)]
    openai = any(each.surface.name not in PARTNERS for each in there)
    partners = any(each.surface.name in PARTNERS for each in there)
    for role in app_roles():
        if role.on != "account":
            continue
        needed = {"partners": partners, "files": openai, "always": openai or "OpenAI" not in role.name}
        if needed.get(role.when):
            yield role


async def _missing(scene: Scene, account: Account, role: Role, one: Deployment, principal: str, kind: str) -> Finding:
    about, fix = account.name, commands.give_role(role.name, principal, kind or "ServicePrincipal", account.id)
    if role.name == "Monitoring Reader":
        return warning(about, f"the role {role.name} is missing: {role.why[:1].lower()}{role.why[1:]}", fix)
    if role.when == "files":
        batches = any(each.only_batches and host_of(each.root) == host_of(one.root) for each in scene.catalog.every())
        text = f"the role {role.name} is missing: needed for files, batches and fine-tuning there"
        return (failed if batches else warning)(about, text, fix)
    answer = await called(scene, one)
    if answer is not None and answer.understood:  # by another role, which we do not know
        return ok(about, f"calls are accepted, though {role.name} is not assigned by name")
    return failed(about, f"the role {role.name} is missing: {role.why[:1].lower()}{role.why[1:]}", fix)


async def _insights(scene: Scene) -> list[Finding]:
    about = "Application Insights"
    if not scene.environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        return [skipped(about, "not used here")]
    if "Authorization=AAD" not in scene.environ.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", ""):
        return [skipped(about, "it is sent to by key: no role is needed")]
    who = await scene.principal(scene.storage_credential or scene.credential("https://monitor.azure.com/.default"))
    text = "cannot be tried out; where no log arrives, look whether Monitoring Metrics Publisher is in this list"
    return [skipped(about, text, commands.roles_of(who.object_id if who else ""))]
