"""What the doctor says, over real sockets: each thing that can be wrong is made wrong, and its command named."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from local.stack.fake_config import config_text
from shared.adapters.resource_manager import ResourceManager
from shared.inventory import Account
from shared.manage.cli import run
from shared.operations import doctor as doctoring
from shared.operations.checkup import clock, network
from shared.operations.checkup.lines import MARKS
from shared.operations.checkup.refusals import app_roles
from shared.operations.doctor import SUBJECTS
from tests.support.desk import TestDesk
from tests.support.examined import AZURE, Examined
from tests.support.oauth_storage import OAuthStorage
from tests.support.own_azurite import dead_connection_string
from tests.support.stack import ADMIN, ROOT, Stack, app_settings, clean_environment

CHAT = {"model": "azure/gpt-4o", "api_version": "2024-10-21"}
DENIED = {"error": {"code": "PermissionDenied", "message": "The principal lacks the required data action."}}
CLOSED = {"error": {"code": "403", "message": "Public access is disabled. Please configure private endpoint."}}


@pytest.fixture
def examined(azurite: Any, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Examined:
    return Examined(azurite.connection_string, fake, monkeypatch)


def command_line(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shared.manage", "doctor", *arguments],
        cwd=ROOT, env={**clean_environment(), **settings, "PYTHONIOENCODING": "utf-8"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


# Everything together.


def test_the_local_stack_is_well(tmp_path: Path, azurite: Any, fake: FakeAzure) -> None:
    state = fake.state
    config = tmp_path / "config.yaml"
    resources = {name: dataclasses.asdict(one) for name, one in state.resources.items()}
    config.write_text(config_text(resources, state.resource_ids), "utf-8")
    settings = app_settings(fake, azurite.connection_string, config)
    done = command_line(settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(", 0 failed, 3 skipped"), done.stdout
    assert {line.split()[1] for line in done.stdout.splitlines() if line[:1] in MARKS.values()} == set(SUBJECTS)
    shown = done.stdout + done.stderr
    secrets = [
        settings["KEY_PEPPER"],
        ADMIN,
        *state.secrets.values(),
        *(r.key for r in state.resources.values()),
        "eyJ",
    ]
    assert [text for text in secrets if text in shown] == []


def test_what_is_wrong_is_told_by_the_api_as_well(stack: Stack) -> None:
    answer = stack.http.get("/manage/doctor", headers={"authorization": f"Bearer {ADMIN}"}, timeout=60)
    assert answer.status_code == 200
    told = answer.json()
    failed = {row["about"].partition(" ")[0]: row["text"] for row in told["rows"] if row["verdict"] == "failed"}
    assert set(failed) == {"wrong-key#1", "unreachable#1", "dead-deployment#1", "no-chat#1"}
    assert "there is no deployment no-such-deployment on main" in failed["dead-deployment#1"]
    assert told["failed"] == 4
    assert "traceback" not in answer.text.lower()
    some = stack.http.get("/manage/doctor?only=clock,queues", headers={"authorization": f"Bearer {ADMIN}"}).json()
    assert {row["subject"] for row in some["rows"]} == {"clock", "queues"}
    wrong = stack.http.get("/manage/doctor?only=weather", headers={"authorization": f"Bearer {ADMIN}"})
    assert wrong.status_code == 400


def test_roles_on_storage_and_the_exit_code(tmp_path: Path, fake: FakeAzure) -> None:
    with OAuthStorage(tmp_path / "storage", fake) as storage:
        settings = app_settings(fake, "", tmp_path / "none.yaml") | storage.settings
        storage.denied = {"queue"}
        bad = command_line(settings, "--only", "identity,roles")
    assert bad.returncode == 1
    client = fake.state.managed_client_id
    assert "✗ roles     queues: the role Storage Queue Data Contributor on storage account" in bad.stdout
    for well in ("identity  storage.azure.com: a token", "roles     tables: written", "roles     blobs: written"):
        assert f"✓ {well}" in bad.stdout
    assert f'--role "Storage Queue Data Contributor" --assignee-object-id {client}' in bad.stdout
    assert bad.stdout.count("✗") == 1


def test_a_storage_account_that_is_gone_keeps_no_other_check(examined: Examined) -> None:
    rows = examined.run(config=examined.config(CHAT), connection=dead_connection_string())
    failed = {(row.subject, row.about) for row in rows if row.verdict == "failed"}
    assert failed == {
        *(("roles", name) for name in ("tables", "blobs", "queues")),
        *(("storage", name) for name in ("tables", "queues", "containers")),
    }
    assert next(row for row in rows if row.subject == "models").verdict == "ok"
    assert next(row for row in rows if row.subject == "clock").verdict == "skipped"


def test_a_check_that_hangs_or_breaks_stops_no_other(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_self: Any, _site: str) -> Any:
        await asyncio.Event().wait()

    def broken(_scene: Any) -> Any:
        raise RuntimeError("cannot even begin")

    monkeypatch.setattr(ResourceManager, "scaling", never)
    monkeypatch.setattr(doctoring, "CHECK_SECONDS", 1.0)
    monkeypatch.setitem(doctoring._CHECKS, "network", broken)  # type: ignore[index]  # pyright: ignore[reportPrivateUsage]
    rows = examined.run("scaling", "network", "worker", environ={**AZURE})
    by_subject = {row.subject: row for row in rows}
    assert by_subject["scaling"].text == "no answer within 1 s"
    assert "RuntimeError cannot even begin" in by_subject["network"].text
    assert by_subject["worker"].verdict == "ok"

    async def slow(_scene: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(doctoring, "WHOLE_SECONDS", 0.2)
    monkeypatch.setattr(clock, "_look", slow)
    (row,) = examined.run("clock")
    assert (row.verdict, "no time" in row.text) == ("skipped", True)


def test_probes_leave_nothing(examined: Examined) -> None:
    left: list[str] = []
    waiting: list[int] = []  # others' messages may be there already

    async def look(desk: TestDesk) -> None:
        queue = desk.queue("tollgate-batch-looks")
        waiting.append((await queue.get_queue_properties()).approximate_message_count or 0)
        left.extend([row["RowKey"] async for row in desk.tables.query("tollgatestate", "PartitionKey eq 'doctor'")])
        left.extend([blob.name async for blob in desk.folders.folder("tollgate-files").list("doctor/")])

    examined.run("roles")  # the queue is there from now on
    examined.run("worker", before=look)
    rows = examined.run("roles")
    assert [row.verdict for row in rows if row.about in ("tables", "blobs", "queues")] == ["ok"] * 3
    examined.run("worker", before=look)
    assert left == []
    assert waiting[0] == waiting[1]


# Identity.


def test_who_we_are_and_what_is_wrong_with_signing_in(examined: Examined, fake: FakeAzure) -> None:
    config = examined.config(CHAT)
    who = examined.one("identity", about="who", config=config)
    client = fake.state.managed_client_id
    assert f"object id {client}" in who.text
    fake.give_claims(client, xms_mirid="/x/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-gw")
    try:
        assert (
            f"managed identity id-gw, object id {client}" in examined.one("identity", about="who", config=config).text
        )
        fake.give_claims(client, aud="https://elsewhere.example")
        wrong = examined.one("identity", about="cognitiveservices", config=config)
        assert (wrong.verdict, "the token is for https://elsewhere.example" in wrong.text) == ("warning", True)
    finally:
        fake.give_claims(client)
    fake.add_fault("identity_status", status=400, times=-1)
    rows = examined.run("identity", config=config, environ=AZURE)
    bad = next(row for row in rows if row.about == "cognitiveservices.azure.com")
    assert bad.verdict == "failed"
    assert bad.fix.startswith("az functionapp config appsettings set --resource-group rg-test --name func-test")
    without = {name: value for name, value in AZURE.items() if name != "IDENTITY_ENDPOINT"}
    rows = examined.run("identity", config=config, environ=without)
    assert next(r.fix for r in rows if r.verdict == "failed").startswith("az functionapp identity assign")
    rows = examined.run("identity", config=config)
    assert {row.fix for row in rows if row.verdict == "failed"} == {"az login"}


def test_a_token_in_the_configuration_ends(examined: Examined, fake: FakeAzure) -> None:
    for lifetime, verdict in ((-60, "failed"), (600, "warning")):
        token = fake.issue_token("https://cognitiveservices.azure.com", lifetime)
        row = examined.one(
            "identity", about="azure_ad_token", config=examined.config({**CHAT, "azure_ad_token": token})
        )
        assert row.verdict == verdict
        assert "leave azure_ad_token out" in row.fix


# Models and roles on accounts.


def test_a_deployment_that_denies_us(examined: Examined, fake: FakeAzure) -> None:
    config, account = examined.config(CHAT), fake.state.resource_ids["main"]
    client = fake.state.managed_client_id

    def denied(roles: list[Any]) -> Any:
        fake.arm.set_roles(roles)
        # twice: a 401 is tried once more with a new token
        fake.add_fault("status", resource="main", status=401, body=DENIED, times=2)
        return examined.one("models", config=config)

    row = denied(["Monitoring Reader"])
    assert (row.verdict, "the role Cognitive Services OpenAI User on main is missing" in row.text) == ("failed", True)
    assert row.fix == (
        f'az role assignment create --role "Cognitive Services OpenAI User" --assignee-object-id {client} '
        f"--assignee-principal-type ServicePrincipal --scope {account}"
    )
    user = "Cognitive Services OpenAI User"
    row = denied([{"role": user, "created": (datetime.now(UTC) - timedelta(minutes=4)).isoformat()}])
    assert (row.verdict, "was given 4 min ago" in row.text) == ("warning", True)
    row = denied([user])
    assert (row.verdict, "up to 24 hours" in row.text) == ("failed", True)
    fake.add_fault("status", resource="arm", status=403, times=-1)
    row = denied([user])
    assert "is missing, or was given less than 10 minutes ago" in row.text


def test_a_deployment_behind_a_wall(examined: Examined, fake: FakeAzure) -> None:
    fake.add_fault("status", resource="main", status=403, body=CLOSED, times=2)
    row = examined.one("models", config=examined.config(CHAT))
    assert "network rules" in row.text
    assert row.fix == "az cognitiveservices account show --resource-group fake-azure --name main"


def test_a_key_where_keys_are_refused(examined: Examined, fake: FakeAzure) -> None:
    config = examined.config({**CHAT, "api_key": "not-the-key"})
    assert "its api_key is refused (401)" in examined.one("models", config=config).text
    fake.arm.set_account("main", local_auth=False)
    row = examined.one("models", config=config)
    assert ("takes no keys" in row.text, "leave api_key out" in row.fix) == (True, True)


def test_a_deployment_that_is_not_there(examined: Examined) -> None:
    config = examined.config(
        {"model": "azure/gone", "sku": "DataZoneStandard"}, base_model="azure/gpt-4.1-mini-2025-04-14"
    )
    row = examined.one("models", config=config)
    assert "there is no deployment gone on main; there are: " in row.text
    assert row.fix == (
        "az cognitiveservices account deployment create --resource-group fake-azure --name main --deployment-name gone "
        "--model-format OpenAI --model-name gpt-4.1-mini --model-version 2025-04-14 --sku-name DataZoneStandard "
        "--sku-capacity 10"
    )


def test_an_api_version_that_is_not_served(examined: Examined) -> None:
    row = examined.one("models", config=examined.config({**CHAT, "api_version": "2022-01-01"}))
    assert (row.verdict, "api-version 2022-01-01 is not served there" in row.text) == ("failed", True)
    assert "the v1 API" in row.fix


def test_what_azure_has_otherwise(examined: Examined, fake: FakeAzure) -> None:
    fake.arm.set_deployment("main", "gpt-4o", model="gpt-4.1", sku="Standard", state="Disabled", retires="2020-01-01")
    fake.arm.set_usage("eastus2", "OpenAI.Standard.gpt-4.1", 95, 100)
    rows = examined.run("models", config=examined.config({**CHAT, "region": "swedencentral", "sku": "GlobalStandard"}))
    found = {row.text: row for row in rows if row.verdict != "ok"}
    text = "\n".join(f"{row.verdict} {row.text} → {row.fix}" for row in found.values())
    for said in (
        "failed its provisioning state is Disabled",
        "warning config.yaml takes it for gpt-4o, Azure has gpt-4.1 → set model_info.base_model: azure/gpt-4.1",
        "warning config.yaml says sku GlobalStandard; Azure has Standard",
        "warning config.yaml says region swedencentral; the account is in eastus2",
        "failed Azure has retired gpt-4.1 2024-11-20 on 2020-01-01",
        "warning 95 of 100 of the quota OpenAI.Standard.gpt-4.1 in eastus2 are taken",
    ):
        assert said in text
    assert len(found) == 6
    fake.clear()
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    fake.arm.set_deployment("main", "gpt-4o", retires=soon)
    assert f"on {soon}, in 30 days" in examined.one("models", config=examined.config(CHAT)).text


def test_calls_cost_nothing(examined: Examined, fake: FakeAzure) -> None:
    """Each kind of deployment is asked what it refuses before it does anything."""
    main = [
        CHAT, {"model": "azure/text-embedding-3-small", "api_version": "v1"}, {"model": "azure/o3-pro", "api_version": "v1"},
        {"model": "azure/gpt-image-1", "api_version": "v1"}, {"model": "azure/gpt-4o-mini-tts", "api_version": "v1"},
        {"model": "azure/sora-2", "api_version": "v1"},
    ]  # fmt: skip
    config = examined.config(*main)
    assert {row.verdict for row in examined.run("models", config=config)} == {"ok"}
    claude = examined.config({"model": "azure/claude-sonnet-4-5"}, account="foundry")
    assert {row.verdict for row in examined.run("models", config=claude)} == {"ok"}
    sent = [record.status for record in fake.requests if record.resource in ("main", "foundry")]
    assert sent
    assert set(sent) == {400}


def test_roles_on_accounts(examined: Examined, fake: FakeAzure) -> None:
    config = examined.config(CHAT)
    assert examined.one("roles", about="main", config=config).verdict == "ok"
    fake.arm.set_roles(["Cognitive Services OpenAI User"])
    rows = [row for row in examined.run("roles", config=config) if row.about == "main"]
    assert {(row.verdict, row.text.partition(" is missing")[0]) for row in rows} == {
        ("warning", "the role Cognitive Services OpenAI Contributor"), ("warning", "the role Monitoring Reader"),
    }  # fmt: skip
    assert all(row.fix.endswith(fake.state.resource_ids["main"]) for row in rows)
    fake.arm.set_roles([])
    rows = [row for row in examined.run("roles", config=config) if row.about == "main"]
    assert "calls are accepted, though Cognitive Services OpenAI User" in next(
        r.text for r in rows if r.verdict == "ok"
    )
    fake.add_fault("status", resource="arm", status=403, times=-1)
    row = examined.one("roles", about="127.0.0.1", config=config)
    assert (row.verdict, row.fix.startswith("az role assignment list")) == ("skipped", True)


def test_the_doctor_knows_every_role_of_the_app() -> None:
    named = {"storage", "vault", "insights", "site", "account"}
    assert {role.on for role in app_roles()} == named


# Storage, queues, vault.


def test_what_has_to_be_there_before_somebody_needs_it(examined: Examined, fake: FakeAzure) -> None:
    config = examined.config(
        {"model": "azure/gpt-4o-batch", "sku": "GlobalBatch", "batch_storage": "left-here"}, mode="batch"
    )
    rows = examined.run(
        "storage", config=config, environ=AZURE, EXPORT_CONTAINER="an-export", EVENTS="queue:some-events"
    )
    failed = next(row for row in rows if row.verdict == "failed")
    assert failed.text == "the container left-here is missing: a#1 leaves its batches there"
    assert (
        failed.fix == "az storage container create --account-name devstoreaccount1 --name left-here --auth-mode login"
    )
    text = " ".join(row.text for row in rows)
    assert "an-export" in text
    assert "some-events" in text
    for row in rows:
        if "started by dropping" in row.text:
            assert (row.verdict, row.fix.split()[:2]) == ("warning", ["az", "storage"])


def test_messages_that_could_not_be_worked_on(examined: Examined) -> None:
    name = "tollgate-batch-drops-poison"

    async def poisoned(desk: TestDesk) -> None:
        await desk.queue(name).create_queue()
        await desk.queue(name).send_message("x")

    async def mended(desk: TestDesk) -> None:
        await desk.queue(name).delete_queue()

    row = examined.one("queues", before=poisoned)
    assert (row.about, row.text.startswith("1 message could not be worked on")) == (name, True)
    assert (
        row.fix
        == f"az storage message peek --account-name devstoreaccount1 --queue-name {name} --num-messages 32 --auth-mode login"
    )
    assert {row.verdict for row in examined.run("queues", before=mended)} == {"ok"}


def test_secrets_of_the_vault(examined: Examined, fake: FakeAzure) -> None:
    config = examined.config({**CHAT, "api_key": "keyvault/main-api-key"}, {**CHAT, "api_key": "keyvault/gone-key"})
    rows = {row.about: row for row in examined.run("vault", config=config)}
    assert (rows["keyvault/main-api-key"].verdict, rows["keyvault/gone-key"].text) == ("ok", "there is no such secret")
    assert rows["keyvault/gone-key"].fix.startswith("az keyvault secret set --vault-name localhost --name gone-key")
    assert "of-the-vault" not in str(rows)
    only = examined.config({**CHAT, "api_key": "keyvault/main-api-key"})
    for code, said in (("ForbiddenByRbac", "Key Vault Secrets User"), ("ForbiddenByFirewall", "network rules")):
        body = {"error": {"code": "Forbidden", "message": "no", "innererror": {"code": code}}}
        fake.add_fault("vault_status", status=403, body=body)
        assert said in examined.one("vault", config=only).text
    row = examined.one("vault", config=only, AZURE_KEY_VAULT_URI="https://vault.example")
    assert "no token is sent there" in row.text


# Names, clock, worker, scaling, configuration.


def test_names(examined: Examined, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"open": ["20.1.2.3"], "closed": ["20.1.2.3"], "inside": ["10.0.0.5"], "both": ["10.0.0.5", "20.1.2.3"]}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = str(host).partition(".")[0]
        if str(host).endswith(".openai.azure.com"):
            if name not in known:
                raise socket.gaierror(-2, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[name]]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    hosts = {name: f"https://{name}.openai.azure.com" for name in (*known, "misspelt")}
    for name, url in hosts.items():
        fake.arm.set_account(name, url=url, public=name != "closed")
    deployments = [{**CHAT, "api_base": url, "api_key": "k", "azure_resource_id": ""} for url in hosts.values()]
    rows = {
        row.about.partition(".")[0]: row
        for row in examined.run("network", config=examined.config(*deployments), environ=AZURE)
    }
    assert {name: rows[name].verdict for name in hosts} == {
        "open": "ok", "closed": "failed", "inside": "ok", "both": "warning", "misspelt": "failed",
    }  # fmt: skip
    assert rows["closed"].fix.startswith(
        "az network private-dns link vnet create --resource-group rg-test --zone-name privatelink.openai.azure.com"
    )
    assert (rows["inside"].text, rows["127"].text) == ("10.0.0.5, private", "127.0.0.1, on this machine")
    assert network.zone_of("v.vault.azure.net") == "privatelink.vaultcore.azure.net"


@pytest.mark.parametrize(("seconds", "verdict"), [(0, "ok"), (100, "warning"), (-100, "warning"), (400, "failed")])
def test_the_clock(examined: Examined, seconds: float, verdict: str) -> None:
    async def shifted(desk: TestDesk) -> None:
        desk.clock.now += time.time() - desk.clock.now + seconds

    row = examined.one("clock", about="clock", before=shifted)
    assert row.verdict == verdict
    if seconds:
        assert ("fast" if seconds > 0 else "slow") in row.text


def test_settings_of_the_platform(examined: Examined) -> None:
    environ = {
        **AZURE, "FUNCTIONS_WORKER_PROCESS_COUNT": "4", "FUNCTIONS_WORKER_RUNTIME": "python",
        "APPSETTING_WEBSITE_RUN_FROM_PACKAGE": "1", "KEY_PEPPER": "@Microsoft.KeyVault(SecretUri=https://v/secrets/p)",
    }  # fmt: skip
    rows = examined.run("worker", environ=environ, ADMIN_KEY="short")
    text = "\n".join(f"{row.verdict} {row.text} → {row.fix}" for row in rows if row.verdict != "ok")
    assert (
        "failed not valid on Flex Consumption: FUNCTIONS_WORKER_PROCESS_COUNT, WEBSITE_RUN_FROM_PACKAGE → az functionapp "
        "config appsettings delete --resource-group rg-test --name func-test --setting-names "
        "FUNCTIONS_WORKER_PROCESS_COUNT WEBSITE_RUN_FROM_PACKAGE"
    ) in text
    assert "warning AzureWebJobsStorage is a connection string" in text
    assert "failed the Key Vault reference in KEY_PEPPER was not resolved" in text
    assert "warning ADMIN_KEY is shorter than 24 characters" in text
    assert {row.about: row.verdict for row in examined.run("worker")} == {
        "settings": "skipped", "secrets": "ok", "Python": "ok",
    }  # fmt: skip


def test_scaling(examined: Examined, fake: FakeAzure) -> None:
    assert "32 calls an instance, 2048 MB" in examined.one("scaling", about="app", environ=AZURE).text
    fake.arm.set_scaling(per_instance=None, memory_mb=512, python="3.12", https_only=False)
    rows = {row.about: row for row in examined.run("scaling", environ=AZURE)}
    assert rows["calls at once"].verdict == "failed"
    at = "--resource-group rg-test --name func-test"
    assert rows["calls at once"].fix == (
        f"az functionapp scale config set {at} --trigger-type http --trigger-settings perInstanceConcurrency=32"
    )
    assert rows["memory"].fix == f"az functionapp scale config set {at} --instance-memory 2048"
    assert rows["https"].fix == f"az functionapp update {at} --set httpsOnly=true"
    assert rows["runtime"].fix == f"az functionapp runtime config set {at} --runtime-version 3.13"
    fake.add_fault("status", resource="arm", status=403, times=-1)
    row = examined.one("scaling", about="app", environ=AZURE)
    assert (row.verdict, row.fix) == ("skipped", f"az functionapp scale config show {at}")


def test_a_configuration_that_cannot_be_read(azurite: Any, fake: FakeAzure, capsys: pytest.CaptureFixture[str]) -> None:
    settings = app_settings(fake, azurite.connection_string, "blob:no-such-place/config.yaml")
    assert run(["doctor", "--only", "config,storage"], settings) == 1
    told = capsys.readouterr().out
    assert "there is no such blob" in told
    assert (
        "az storage blob upload --account-name devstoreaccount1 --container-name no-such-place --name config.yaml --file "
        "config.yaml --auth-mode login --overwrite"
    ) in told
    assert "the container no-such-place is missing" in told
    assert run(["doctor", "--only", "config", "--json"], settings) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["subject"], row["verdict"]) == ("config", "failed")


def test_a_configuration_that_is_refused(examined: Examined) -> None:
    row = examined.one("config", config="model_list:\n- model_name: x\n  litellm_params: {modle: azure/x}\n")
    assert (row.verdict, row.fix) == ("failed", "python3 -m shared.manage config check")
    assert "refused: line 3" in row.text


def test_an_account_is_found_by_its_address(examined: Examined, fake: FakeAzure) -> None:
    """An operator sees subscriptions; then no azure_resource_id is needed."""
    config = examined.config({**CHAT, "azure_resource_id": ""})
    row = examined.one("models", about="a#1", config=config)
    assert "GlobalStandard 120 in eastus2" in row.text
    assert isinstance(next(iter(asyncio.run(_accounts(examined)))), Account)


async def _accounts(examined: Examined) -> list[Account]:
    async with examined._desk("model_list: []\n", dead_connection_string()) as desk:  # pyright: ignore[reportPrivateUsage]
        manager = ResourceManager(desk.http, desk.settings.resource_manager_url, desk.tokens)
        ((subscription, _),) = await manager.subscriptions()
        return await manager.accounts(subscription)
