"""`init`: what is deployed in the fake Azure becomes a config.yaml that the gateway takes, and serves by."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.fake_azure import FakeAzure
from local.fake_azure.management.monitor import SUBSCRIPTION
from shared.manage import init
from tests.support.manage import SignedIn
from tests.support.stack import ROOT, clean_environment

SOON = (datetime.now(UTC).date() + timedelta(days=53)).isoformat()
NO_DOMAIN = "az cognitiveservices account update --resource-group fake-azure --name bare --custom-domain bare"


@pytest.fixture
def signed_in(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> SignedIn:
    return SignedIn(fake, monkeypatch)


@pytest.fixture
def varied(fake: FakeAzure) -> FakeAzure:
    """All ways in which something is sold, and what cannot be used."""
    fake.arm.set_account("second", location="swedencentral", public=False)
    fake.arm.set_deployment("second", "ptu", model="gpt-4o", version="2024-11-20", sku="GlobalProvisionedManaged",
                            capacity=50, tpm=0, rpm=0)  # fmt: skip
    fake.arm.set_deployment("second", "old", model="gpt-4o", version="2024-05-13", sku="Standard", retires=SOON)
    fake.arm.set_deployment("second", "odd", model="new-model", version="1", sku="SomethingNew")
    fake.arm.set_deployment("second", "ranker", model="cohere-rerank-v4", version="1", format="Cohere")
    fake.arm.set_deployment("second", "dead", model="gpt-5", version="2025-08-07", state="Disabled")
    fake.arm.set_account("safety", kind="ContentSafety", url=f"{fake.state.resources['main'].url}/")
    fake.arm.set_account("bare", kind="ContentSafety", custom_domain=False, url="https://eastus.api.example/")
    return fake


@pytest.fixture
def written(signed_in: SignedIn, varied: FakeAzure, tmp_path: Path) -> Callable[..., tuple[str, Any]]:
    def write(*options: str) -> tuple[str, Any]:
        file = tmp_path / "config.yaml"
        told = signed_in("init", "--out", str(file), *options)
        assert (told.code, told.err) == (0, "")
        text = file.read_text("utf-8")
        return text, yaml.safe_load(text)

    return write


def of(config: Any, alias: str) -> list[dict[str, Any]]:
    return [row for row in config["model_list"] if row["model_name"] == alias]


def test_provisioned_throughput_goes_first_and_the_rest_takes_what_is_over(written: Any) -> None:
    text, config = written()
    first, *others = of(config, "gpt-4o")
    assert first["litellm_params"]["model"] == "azure/ptu"
    assert first["litellm_params"]["ptu"] == {"units": 50}
    assert "tpm" not in first["litellm_params"]
    assert {row["litellm_params"]["order"] for row in others} == {2}
    assert first["litellm_params"]["order"] == 1
    assert first["model_info"] == {"base_model": "azure/gpt-4o"}
    assert "# 50 units: 50 USD an hour by Azure's list" in text
    assert len({row["litellm_params"]["api_base"] for row in others}) == 3
    assert "order" not in of(config, "gpt-5")[0]["litellm_params"]


def test_what_an_entry_says(written: Any, fake: FakeAzure) -> None:
    text, config = written("--account", "main")
    (entry,) = of(config, "gpt-5")
    assert entry == {
        "model_name": "gpt-5",
        "litellm_params": {
            "model": "azure/my-gpt-5-deployment",
            "api_base": fake.state.resources["main"].url,
            "sku": "GlobalStandard",
            "region": "eastus2",
            "model_version": "2025-08-07",
            "tpm": 120_000,
            "rpm": 120,
            "azure_resource_id": fake.state.resource_ids["main"],
        },
        "model_info": {"base_model": "azure/gpt-5"},
    }
    assert "# list price: $1.25 in, $0.125 cached, $10 out for a million tokens (azure-retail 20" in text
    assert "# list price: $0.0001 audio_second for one image or second, or a million characters (azure-retail" in text
    modes = {row["model_name"]: (row.get("model_info") or {}).get("mode") for row in config["model_list"]}
    for alias, mode in {
        "gpt-4o": None, "text-embedding-3-small": "embedding", "gpt-image-1": "image_generation", "tts": "audio_speech",
        "whisper": "audio_transcription", "gpt-5-codex": "responses", "gpt-35-turbo-instruct": "completion",
        "gpt-realtime": "realtime", "sora-2": "video_generation", "gpt-4o-batch": "batch",
    }.items():  # fmt: skip
        assert modes[alias] == mode, alias
    assert config["litellm_settings"] == {"enable_loadbalancing_on_batch_endpoints": True}
    assert "tpm" not in of(config, "gpt-4o-batch")[0]["litellm_params"]


def test_other_makers_models(written: Any, fake: FakeAzure) -> None:
    url = fake.state.resources["foundry"].url
    text, config = written("--account", "FOUNDRY")
    (claude,), (grok,) = of(config, "claude-opus-4-1"), of(config, "grok-4-1-fast-non-reasoning")
    assert claude["litellm_params"]["model"] == "azure/my-claude"
    assert claude["litellm_params"]["api_base"] == f"{url}/anthropic"
    assert claude["model_info"] == {"mode": "messages", "base_model": "azure/claude-opus-4-1"}
    assert grok["litellm_params"]["model"] == "azure_ai/grok-4"
    assert grok["litellm_params"]["api_base"] == url
    assert "  # Moderations: a Foundry account serves Content Safety as well\n  # - model_name: omni-" in text


def test_versions_do_not_mix_and_what_is_peculiar_is_said(written: Any, fake: FakeAzure) -> None:
    text, config = written("--account", "second", "--account", "safety", "--account", "bare")
    (old,), (odd,) = of(config, "gpt-4o-2024-05-13"), of(config, "new-model")
    assert (old["litellm_params"]["sku"], old["litellm_params"]["region"]) == ("Standard", "swedencentral")
    before = text[: text.index("  - model_name: gpt-4o-2024-05-13\n")].splitlines()[-3:]
    assert before[1:] == [
        "  # second is reached by its private endpoint only",
        f"  # Azure retires this model on {SOON}",
    ]
    assert text.count("Azure retires") == 1
    assert "sku" not in odd["litellm_params"]
    assert "  # no price is known: its calls cost 0" in text
    assert "  # its SKU, SomethingNew, is not known here\n  - model_name: new-model\n" in text
    assert "      # input_cost_per_token: 0.0000025" in text
    (moderation,) = of(config, "omni-moderation-latest")
    assert moderation["litellm_params"]["model"] == "content_safety/text"
    left = text[text.index("# Left out:") :]
    assert left.splitlines() == [
        "# Left out:",
        "# - second / ranker: models that rerank are not served",
        "# - second / dead: its state is Disabled",
        f"# - bare: the account has no domain of its own, and so takes no Entra tokens: {NO_DOMAIN}",
    ]


def test_what_is_written_is_taken_without_a_warning(signed_in: SignedIn, varied: FakeAzure, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    told = signed_in("init", "--out", str(file), "--json").json
    found = signed_in("config", "check", str(file), "--json").json
    assert (found["ok"], found["warnings"]) == (True, [])
    assert len(found["deployments"]) == len(told["entries"]) > 90
    families = {row["model"].partition("#")[0]: row["family"] for row in found["deployments"]}
    assert (families["gpt-5"], families["o3-mini"], families["gpt-35-turbo"]) == ("gpt-5", "o_series", "gpt-35")
    assert {row["credential"] for row in found["deployments"]} == {"default"}
    assert [one["deployment"] for one in told["left_out"]] == ["ranker", "dead", ""]
    assert told["entries"][0].keys() >= {"model", "deployment", "account", "sku", "input_usd", "price", "retires"}


def test_a_gateway_serves_by_it(
    signed_in: SignedIn, fake: FakeAzure, tmp_path: Path, new_stack: Callable[..., Any]
) -> None:
    file = tmp_path / "config.yaml"
    assert signed_in("init", "--out", str(file), "--account", "foundry").code == 0
    stack = new_stack(config=file.read_text("utf-8"))
    key = stack.key()
    for alias in ("gpt-5", "claude-opus-4-1", "grok-4-1-fast-non-reasoning"):
        body = {"model": alias, "messages": [{"role": "user", "content": "hi"}]}
        assert stack.post(key, body).status_code == 200, alias


def test_what_is_printed(signed_in: SignedIn, varied: FakeAzure, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    told = signed_in("init", "--out", str(file), "--account", "second")
    head, *rows = told.out.splitlines()
    assert head.split()[:6] == ["MODEL", "DEPLOYMENT", "ACCOUNT", "REGION", "SKU", "CAPACITY"]
    (line,) = [row for row in rows if " ptu " in row]
    assert "50 an hour" in line
    assert "left out: second / dead: its state is Disabled" in rows
    assert rows[-3].endswith("deployments. Read it, then:")
    assert rows[-2] == f"  python3 -m shared.manage config check {file}"


def test_strange_names_are_text_and_no_commands(signed_in: SignedIn, fake: FakeAzure, tmp_path: Path) -> None:
    """What Azure would hardly allow must not be more than text either."""
    odd = "yes: [x] # \x1b[2J\x85\u2028 '\"$(reboot)"
    fake.arm.set_account("bare", kind="ContentSafety", group="rg (a) $(reboot)", custom_domain=False)
    fake.arm.set_deployment("main", odd, model=f"m {odd}", version="off", sku="1e3")
    fake.arm.set_deployment("main", "on", model="null", version="12:30:45", sku="Standard")
    file = tmp_path / "my config.yaml"
    told = signed_in("init", "--out", str(file), "--account", "main", "--account", "bare")
    assert told.code == 0, told.err
    config = yaml.safe_load(file.read_text("utf-8"))
    (entry,) = of(config, f"m {odd}")
    assert entry["litellm_params"]["model"] == f"azure/{odd}"
    (other,) = of(config, "null")
    assert other["litellm_params"]["model_version"] == "12:30:45"
    assert "".join((told.out + told.err).splitlines()).isprintable()
    assert "--resource-group 'rg (a) $(reboot)' --name bare" in told.out
    assert f"config check '{file}'" in told.out


def test_a_file_that_is_made_meanwhile_is_not_lost(
    signed_in: SignedIn, fake: FakeAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = tmp_path / "config.yaml", init.discover

    async def slow(*arguments: Any) -> Any:
        file.write_text("mine", "utf-8")
        return await real(*arguments)

    monkeypatch.setattr(init, "discover", slow)
    told = signed_in("init", "--out", str(file), "--account", "main")
    assert (told.code, file.read_text("utf-8")) == (1, "mine")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.example.com", "http://localhost.example.com", "http://management.azure.com"]
)
def test_no_token_goes_over_plain_http(signed_in: SignedIn, tmp_path: Path, url: str) -> None:
    told = signed_in("init", "--out", str(tmp_path / "c.yaml"), RESOURCE_MANAGER_URL=url)
    assert (told.code, "RESOURCE_MANAGER_URL is" in told.err) == (1, True)


def test_a_file_is_not_lost(signed_in: SignedIn, fake: FakeAzure, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mine", "utf-8")
    told = signed_in("init", "--out", str(file))
    assert (told.code, file.read_text("utf-8"), fake.requests) == (1, "mine", [])
    assert "--force writes over it" in told.err
    assert signed_in("init", "--out", str(file), "--force", "--account", "main").code == 0
    assert file.read_text("utf-8").startswith("# Written on ")
    assert list(tmp_path.iterdir()) == [file]
    told = signed_in("init", "--out", str(tmp_path / "none" / "config.yaml"), "--account", "main")
    assert (told.code, "Name another file with --out." in told.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--account", "nobody"], "There is no account 'nobody' of AI models that you can see. There are: bare, fo"),
        (["--subscription", "other"], f"You see no subscription 'other'. There are: Fake Azure ({SUBSCRIPTION})."),
        (["-g", "empty"], "You see no account of Azure OpenAI or Foundry in Fake Azure."),
        (["--account", "bare"], "Nothing that is deployed can be served:\n- bare: the account has no domain"),
    ],
)
def test_nothing_found(signed_in: SignedIn, varied: FakeAzure, tmp_path: Path, options: list[str], said: str) -> None:
    told = signed_in("init", "--out", str(tmp_path / "config.yaml"), *options)
    assert (told.code, told.out) == (1, "")
    assert said in told.err
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_noted(signed_in: SignedIn, fake: FakeAzure, tmp_path: Path) -> None:
    refused = {"error": {"code": "AuthorizationFailed", "message": "may not"}}
    out = str(tmp_path / "config.yaml")
    fake.add_fault("status", resource="arm", deployment="second", status=403, body=refused, times=-1)
    told = signed_in("init", "--out", out, "--json")
    assert told.code == 0
    assert told.json["notes"] == ["account second: Azure Resource Manager answered 403: AuthorizationFailed: may not"]
    assert {row["account"] for row in told.json["entries"]} == {"main", "foundry"}
    told = signed_in("config", "diff", out, "--azure", "--account", "second")
    assert (told.code, told.out) == (2, "")
    fake.add_fault("status", resource="arm", status=403, body=refused, times=-1)
    told = signed_in("init", "--out", out, "--force")
    assert (told.code, told.out) == (1, "")
    assert "Ask for the role Reader" in told.err


def test_untrusted_hosts_are_told_and_the_file_is_written(signed_in: SignedIn, fake: FakeAzure, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    told = signed_in("init", "--out", str(file), "--account", "main", TRUSTED_HOSTS="")
    assert told.code == 1
    assert "add the host to the app setting TRUSTED_HOSTS" in told.err
    assert yaml.safe_load(file.read_text("utf-8"))["model_list"]


AZ = """\
#!{python}
import datetime, json, os, sys, urllib.request
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if not os.path.exists({session!r}):
    sys.stderr.write("ERROR: Please run 'az login' to setup account.\\n")
    sys.exit(1)
until = datetime.datetime.now() + datetime.timedelta(hours=1)
told = {{"accessToken": open({session!r}).read(), "expiresOn": until.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "subscription": "s", "tenant": "t", "tokenType": "Bearer"}}
print(json.dumps(told))
"""


def test_by_az_login(fake: FakeAzure, tmp_path: Path) -> None:
    """azure-identity's own AzureCliCredential, in a process of its own; `az` is a program that notes what it is asked."""
    log, session, program = tmp_path / "log", tmp_path / "session", tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(AZ.format(python=sys.executable, log=str(log), session=str(session)), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environ = clean_environment() | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",  # this machine's own metadata address is not asked
        "RESOURCE_MANAGER_URL": fake.state.management_url,
        "TRUSTED_HOSTS": "127.0.0.1",
        "HOME": str(tmp_path),
    }

    def init() -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "shared.manage",
            "init",
            "--out",
            str(tmp_path / "c.yaml"),
            "--account",
            "main",
        ]
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip

    ended = init()
    assert ended.returncode == 1
    assert ended.stderr.startswith("Nobody is signed in to Azure here. Run 'az login'")
    assert "Traceback" not in ended.stderr
    session.write_text(fake.issue_token("https://management.azure.com"), "utf-8")
    ended = init()
    assert (ended.returncode, ended.stderr) == (0, "")
    asked = json.loads(log.read_text("utf-8").splitlines()[-1])
    assert asked[:2] == ["account", "get-access-token"]
    assert asked[asked.index("--resource") + 1] == "https://management.azure.com"
    sent = {record.headers["authorization"] for record in fake.requests if record.resource == "management"}
    assert sent == {f"Bearer {session.read_text('utf-8')}"}
