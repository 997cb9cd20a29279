"""`config diff`: a file beside the one in force, and beside what the fake Azure has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local.fake_azure import FakeAzure
from tests.support.manage import Said, SignedIn, run_quietly

TODAY = datetime.now(UTC).date()
PAST, SOON = ((TODAY + timedelta(days=days)).isoformat() for days in (-3, 40))
OLD = """\
model_list:
- model_name: gpt-4o
  litellm_params: {model: azure/a, api_base: "https://one.openai.azure.com", api_key: sk-old-secret, tpm: 1000}
- model_name: gpt-4o
  litellm_params: {model: azure/b, api_base: "https://one.openai.azure.com", api_key: os.environ/ONE}
- model_name: gone
  litellm_params: {model: azure/gone, api_base: "https://one.openai.azure.com", api_key: k}
- model_name: moved
  litellm_params: {model: azure/m, api_base: "https://one.openai.azure.com", api_key: k}
litellm_settings: {drop_params: false}
router_settings: {num_retries: 2, redis_password: hidden-one}
"""
NEW = """\
model_list:
- model_name: moved
  params: {model: azure/m, base_url: "https://two.openai.azure.com/", api_key: k}
- model_name: gpt-4o
  params: {model: azure/b, api_base: "https://one.openai.azure.com/", api_key: keyvault/one, tags: [eu],
           dataSources: [{type: t, parameters: {key: deep-secret}}]}
  tpm: 500
- model_name: gpt-4o
  params: {model: azure/a, azure_endpoint: "https://one.openai.azure.com", api_key: sk-new-secret}
  model_info: {tpm: 1000, base_model: azure/gpt-4o, note: my-own-words}
- model_name: fresh
  params: {model: azure/f, api_base: "https://one.openai.azure.com", api_key: k}
settings: {drop_params: true}
router_settings: {num_retries: 3, redis_password: hidden-two, fallbacks: [{fresh: [gpt-4o]}]}
"""


def test_the_order_of_what_has_none_is_no_difference(beside: Callable[..., Said]) -> None:
    one = "- model_name: {0}\n  params: {{model: azure/{0}, api_base: https://one.openai.azure.com, tags: {1}, api_key: {2}}}\n"
    was = "model_list:\n" + one.format("a", "[x, y]", "os.environ/ONE") + one.format("b", "[]", "keyvault/k")
    now = "model_list:\n" + one.format("b", "[]", "keyvault/k") + one.format("a", "[y, x]", "os.environ/ONE")
    told = beside(was, now)
    assert (told.code, told.out.splitlines()[-1]) == (0, "the same: 2 entries"), told.out + told.err
    assert beside(was, now.replace("[y, x]", "[y]")).code == 1


@pytest.fixture
def beside(tmp_path: Path) -> Callable[..., Said]:
    def run(was: str, now: str, *options: str, **environ: str) -> Said:
        in_force, file = tmp_path / "in-force.yaml", tmp_path / "config.yaml"
        in_force.write_text(was, "utf-8")
        file.write_text(now, "utf-8")
        least = {"KEY_PEPPER": "p", "AzureWebJobsStorage": "UseDevelopmentStorage=true", "ONE": "1"}
        settings = least | {"CONFIG_SOURCE": str(in_force)} | environ
        return run_quietly(settings, "config", "diff", str(file), *options)

    return run


def test_a_line_for_each_difference(beside: Callable[..., Said]) -> None:
    told = beside(OLD, NEW)
    assert told.code == 1
    title, *lines, last = told.out.splitlines()
    assert [Path(part).name for part in title.split(" beside ")] == ["config.yaml", "in-force.yaml"]
    assert lines == [
        "~ moved azure/m at https://two.openai.azure.com: "
        "api_base: https://one.openai.azure.com → https://two.openai.azure.com",
        "~ gpt-4o azure/b at https://one.openai.azure.com: tpm: not set → 500; api_key: os.environ/ONE → keyvault/one; "
        'tags: not set → ["eu"]; dataSources: not set → (not shown)',
        "~ gpt-4o azure/a at https://one.openai.azure.com: base_model: not set → azure/gpt-4o; "
        "model_info.note: not set → (not shown); api_key: changed (not shown)",
        "+ fresh azure/f at https://one.openai.azure.com",
        "- gone azure/gone at https://one.openai.azure.com",
        "~ litellm_settings: drop_params: false → true",
        '~ router_settings: num_retries: 2 → 3; redis_password: changed (not shown); fallbacks: not set → '
        '[{"fresh": ["gpt-4o"]}]',
    ]  # fmt: skip
    assert last == "7 differences"
    assert "secret" not in told.out + told.err
    rows = beside(OLD, NEW, "--json").json
    assert rows["same"] is False
    assert rows["differences"][3] == {
        "kind": "new", "what": "fresh", "where": "azure/f at https://one.openai.azure.com", "changes": [], "why": "",
    }  # fmt: skip
    assert rows["differences"][5]["changes"] == [{"field": "drop_params", "was": "false", "now": "true"}]


def test_the_same_however_it_is_written(beside: Callable[..., Said]) -> None:
    one = OLD.replace("https://one.openai.azure.com", "https://one.openai.azure.com/").replace("api_base", "base_url")
    told = beside(OLD, one.replace("litellm_params", "params").replace("litellm_settings", "settings"))
    assert (told.code, told.out.splitlines()[-1]) == (0, "the same: 4 entries")
    assert beside(OLD, OLD, "--json").json == {"same": True, "differences": [], "notes": []}


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        (["-g", "x"], {}, "add --azure"),
        ([], {"CONFIG_SOURCE": "no-such.yaml"}, "CONFIG_SOURCE, no-such.yaml, cannot be read: no-such.yaml: No such file"),
        ([], {"KEY_PEPPER": ""}, "app setting KEY_PEPPER"),
        ([], {"ONE": ""}, "the environment variable ONE is not set"),
        (["--nonsense"], {}, "unrecognized arguments"),
    ],
)  # fmt: skip
def test_trouble_is_no_difference(
    beside: Callable[..., Said], options: list[str], environ: dict[str, str], said: str
) -> None:
    told = beside(OLD, OLD, *options, **environ)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


def test_a_file_is_not_compared_with_itself(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(OLD, "utf-8")
    least = {"KEY_PEPPER": "p", "AzureWebJobsStorage": "UseDevelopmentStorage=true", "CONFIG_SOURCE": str(file)}
    told = run_quietly(least, "config", "diff", str(file))
    assert (told.code, "itself: name another FILE" in told.err) == (2, True)
    told = run_quietly(least, "config", "diff", str(tmp_path / "none.yaml"))
    assert (told.code, told.err.startswith("none.yaml: No such file")) == (2, True)


def test_beside_a_blob(beside: Callable[..., Said], azurite: Any) -> None:
    storage = {"AzureWebJobsStorage": azurite.connection_string}
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        service.create_container("diffed").upload_blob("config.yaml", OLD)
    told = beside(NEW, OLD, CONFIG_SOURCE="blob:diffed/config.yaml", **storage)
    assert (told.code, told.out.splitlines()[-1]) == (0, "the same: 4 entries")
    assert "beside blob:diffed/config.yaml" in told.out
    told = beside(NEW, OLD, CONFIG_SOURCE="blob:diffed/none.yaml", **storage)
    assert (told.code, "CONFIG_SOURCE, blob:diffed/none.yaml, cannot be read" in told.err) == (2, True)


@pytest.fixture
def azure(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Said]:
    """The file is what `init` wrote of the account main."""
    signed_in, file = SignedIn(fake, monkeypatch), tmp_path / "config.yaml"
    fake.arm.set_deployment("main", "ptu", model="gpt-4o", version="2024-11-20", sku="GlobalProvisionedManaged",
                            capacity=50, tpm=0, rpm=0)  # fmt: skip
    assert signed_in("init", "--account", "main", "--out", str(file)).code == 0
    fake.log.clear()

    def run(*options: str, edit: Callable[[str], str] = str) -> Said:
        file.write_text(edit(file.read_text("utf-8")), "utf-8")
        return signed_in("config", "diff", str(file), "--azure", *options)

    return run


def test_what_init_wrote_is_what_is_there(azure: Callable[..., Said]) -> None:
    told = azure()
    assert told.code == 0, told.out
    assert told.out.splitlines()[0].endswith("beside 3 accounts in Azure")
    assert told.out.splitlines()[1].startswith("the same: ")
    assert "note: foundry has " in told.err
    assert azure("--account", "main", "--json").json["notes"] == []


def test_new_gone_changed_retired(azure: Callable[..., Said], fake: FakeAzure) -> None:
    change = fake.arm.set_deployment
    change("main", "fresh", model="gpt-5.1", version="2025-11-13")
    change("main", "whisper", gone=True)
    change("main", "gpt-4o", version="2024-08-06", sku="DataZoneStandard", tpm=90_000, retires=SOON)
    change("main", "gpt-5.1", model="gpt-5")
    change("main", "ptu", capacity=25)
    change("main", "o3-pro", state="Disabled", retires=PAST)
    told = azure("--account", "main")
    assert told.code == 1
    lines = {line for line in told.out.splitlines() if line.startswith(("+", "-", "~"))}
    assert lines == {
        "+ gpt-5.1 fresh in main: gpt-5.1 2025-11-13 GlobalStandard, not in the file",
        "- whisper whisper in main: Azure has no such deployment",
        "~ gpt-4o gpt-4o in main: version: 2024-11-20 → 2024-08-06; sku: GlobalStandard → DataZoneStandard; "
        "tpm: 120000 → 90000",
        "~ gpt-5.1 gpt-5.1 in main: model: gpt-5.1 → gpt-5",
        "~ gpt-4o ptu in main: ptu units: 50 → 25",
        f"~ o3-pro o3-pro in main: state: Succeeded → Disabled; model's end: in use → retired since {PAST}",
    }
    assert told.out.splitlines()[-1] == "6 differences"
    assert f"Azure retires its model on {SOON}" in told.err
    found = azure("--account", "main", "--json").json
    assert {row["kind"] for row in found["differences"]} == {"new", "gone", "changed"}


def test_accounts_of_the_file_and_others(azure: Callable[..., Said], fake: FakeAzure) -> None:
    fake.arm.set_deployment("second", "fresh", model="gpt-5.1", version="2025-11-13")
    assert azure().code == 0  # the file does not use that account
    told = azure("-g", "fake-azure")
    assert "+ gpt-5.1 fresh in second: gpt-5.1 2025-11-13 GlobalStandard, not in the file" in told.out
    fake.arm.set_account("main", gone=True)
    told = azure()
    assert told.code == 1
    assert "- gpt-4o gpt-4o in main: there is no such account that you can see" in told.out
    told = azure("--account", "second", "--json")
    assert {row["kind"] for row in told.json["differences"]} == {"new"}


def test_a_file_that_names_no_account(azure: Callable[..., Said], fake: FakeAzure) -> None:
    def bare(text: str) -> str:
        kept = [line for line in text.splitlines() if not line.strip().startswith(("azure_resource_id", "sku: Gl"))]
        other = "- {model_name: x, params: {model: azure/x, api_base: 'https://unseen.openai.azure.com', api_key: k}}"
        plain = "- {model_name: y, params: {model: openai/y, api_key: k}}"
        return "\n".join(kept).replace("model_list:", f"model_list:\n  {other}\n  {plain}", 1) + "\n"

    told = azure(edit=bare)
    assert told.code == 1
    assert "~ gpt-4o ptu in main: sku: GlobalProvisionedManaged (assumed)" not in told.out
    assert "~ gpt-4o-batch gpt-4o-batch in main: sku: GlobalStandard (assumed) → GlobalBatch" in told.out
    assert "note: x#1: you see no account of the address unseen.openai.azure.com" in told.err
    assert " y" not in told.out


def test_trouble_with_azure(azure: Callable[..., Said], fake: FakeAzure) -> None:
    fake.add_fault(
        "status", resource="arm", status=403, body={"error": {"code": "AuthorizationFailed", "message": "no"}}
    )
    told = azure()
    assert (told.code, told.out) == (2, "")
    assert "Ask for the role Reader" in told.err
    fake.add_fault("identity_status", status=400, body={"error": "x"}, times=-1)
    told = azure()
    assert (told.code, told.err.startswith("Nobody is signed in to Azure here.")) == (2, True)
