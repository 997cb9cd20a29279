"""What the doctor must not do to others: no order to a terminal, no secret told, no load, nothing left behind; and that it
speaks where little works."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.adapters.resource_manager import ResourceManager
from shared.adapters.tables import STATE_TABLE, Tables
from shared.operations import doctor as doctoring
from shared.operations.checkup import scene
from shared.operations.checkup.claims import TokenClaims
from shared.operations.checkup.refusals import lacking, role_named
from shared.operations.doctor import DoctorAsked, doctor
from tests.support.desk import READER, TestDesk
from tests.support.examined import AZURE, Examined
from tests.support.manage import run_quietly
from tests.support.stack import app_settings

CHAT = {"model": "azure/gpt-4o", "api_version": "2024-10-21"}
ORDER = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe \x9b31m"


@pytest.fixture
def examined(azurite: Any, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Examined:
    return Examined(azurite.connection_string, fake, monkeypatch)


def test_what_others_say_orders_no_terminal_and_opens_nothing(examined: Examined, fake: FakeAzure) -> None:
    said = f"no {ORDER} with sk-0123456789abcdef and eyJhbGciOiJSUzI1NiJ9.e30.xyz"
    fake.add_fault("status", resource="main", status=418, body={"error": {"code": "Teapot", "message": said}}, times=-1)
    row = examined.one("models", config=examined.config(CHAT))
    assert row.text.startswith("status 418: no ")
    assert row.text.isprintable()
    assert ("sk-0123" in row.text, "eyJ" in row.text, row.text.count("[hidden]")) == (False, False, 2)


def test_the_command_line_prints_no_orders_of_a_gateway_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(*_: Any) -> dict[str, Any]:
        row = {"subject": "config", "about": ORDER, "verdict": "ok", "text": ORDER, "fix": ORDER}
        return {"rows": [row], "ok": 1, "warning": 0, "failed": 0, "skipped": 0}

    monkeypatch.setattr("shared.manage.remote.perform", told)
    done = run_quietly({"ADMIN_KEY": "k"}, "doctor", "--url", "https://h")
    assert done.code == 0
    assert "".join(done.out.splitlines()).isprintable()


def test_azure_that_wants_no_more_questions_fails_no_deployment(
    examined: Examined, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = examined.config(
        *[
            {
                **CHAT,
                "azure_resource_id": f"/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/{n}",
            }
            for n in "abc"
        ]
    )
    asked: list[str] = []

    async def never(_self: Any, resource_id: str) -> Any:
        asked.append(resource_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(ResourceManager, "account", never)
    monkeypatch.setattr(scene, "ARM_SECONDS", 0.3)
    monkeypatch.setattr(doctoring, "AT_ONCE", 1)
    rows = examined.run("models", config=config)
    assert {(row.verdict, row.text) for row in rows} == {("ok", "answers, SKU and quota not read: NotInTime")}
    assert len(rows) == 3
    assert len(asked) == 1, "it was asked again"


def test_a_probe_is_taken_away_when_the_time_is_over(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = Tables.get, list[str]()

    async def slow(self: Tables, table: str, partition: str, key: str) -> Any:
        if partition == "doctor":
            await asyncio.Event().wait()
        return await real(self, table, partition, key)

    async def look(desk: TestDesk) -> None:
        left.extend([row["RowKey"] async for row in desk.tables.query(STATE_TABLE, "PartitionKey eq 'doctor'")])

    monkeypatch.setattr(Tables, "get", slow)
    monkeypatch.setattr(doctoring, "CHECK_SECONDS", 0.5)
    rows = examined.run("roles")
    assert next(row.text for row in rows if row.about == "tables") == "no answer within 0.5 s"
    examined.run("worker", before=look)
    assert left == []


def test_many_readers_at_once_are_one_examination(examined: Examined, fake: FakeAzure) -> None:
    async def ask_often(desk: TestDesk) -> None:
        told = await asyncio.gather(*(doctor(DoctorAsked(only=["models"]), READER, desk) for _ in range(5)))
        assert all(one == told[0] for one in told)

    examined.run("models", config=examined.config(CHAT), before=ask_often)
    assert len([one for one in fake.requests if one.resource == "main"]) == 1


def test_no_length_of_a_secret_is_told(examined: Examined) -> None:
    short = examined.run("worker", environ=AZURE, ADMIN_KEY="a" * 7)
    longer = examined.run("worker", environ=AZURE, ADMIN_KEY="a" * 9)
    assert short == longer


def test_a_person_is_given_no_more_than_a_person_needs(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    async def ask(desk: TestDesk) -> None:
        looked = scene.Scene(desk)
        credential = looked.credential(scene.STORAGE_SCOPE)
        role = role_named("Storage Blob Data Owner")
        found.append(await lacking(looked, "blobs", role, credential, "$", "x"))

    examined.run("clock", before=ask)
    person = TokenClaims("", "0000-jo", "", "", 0, "jo@example.com", "")
    monkeypatch.setattr(scene, "claims_of", lambda _: person)
    examined.run("clock", before=ask)
    of_the_app, of_jo = (one.fix for one in found)
    assert '--role "Storage Blob Data Owner"' in of_the_app
    assert '--role "Storage Blob Data Contributor"' in of_jo
    assert "--assignee-object-id 0000-jo --assignee-principal-type User" in of_jo


def test_settings_that_are_refused_are_told_as_findings(azurite: Any, fake: FakeAzure, tmp_path: Any) -> None:
    good = app_settings(fake, azurite.connection_string, tmp_path / "none.yaml")
    reference = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/p)"
    bad = good | AZURE | {"RETENTION_MONTHS": "abc", "KEY_PEPPER": reference}
    done = run_quietly(bad, "doctor", "--only", "worker,clock", "--json")
    rows = json.loads(done.out)
    assert (done.code, done.err) == (1, "")
    assert [(row["subject"], row["verdict"]) for row in rows] == [
        ("worker", "failed"), ("worker", "failed"), ("clock", "skipped"),
    ]  # fmt: skip
    assert "RETENTION_MONTHS" in rows[0]["text"]
    assert rows[0]["fix"].startswith("write a number")
    assert "KEY_PEPPER was not resolved" in rows[1]["text"]
    assert rows[1]["fix"].startswith("az functionapp update --resource-group rg-test")
    assert good["ADMIN_KEY"] not in done.out
    nothing = run_quietly({}, "doctor")
    assert (nothing.code, nothing.err) == (1, "")
    assert "✗ worker    settings: app setting KEY_PEPPER: not set" in nothing.out
    assert run_quietly({}, "keys", "list").err.startswith("app setting KEY_PEPPER: not set")
