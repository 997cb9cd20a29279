"""`dev.py deploy` from the first command to the first call: a recording az, a publishing site over TLS, a real gateway."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from deploy import DeployError, azure_cli
from deploy.__main__ import main
from deploy.advice import ADVICE, advice_on
from deploy.azure_cli import Az, shown
from deploy.clean_up import clean_up
from deploy.deploying import Wanted, deploy
from deploy.publishing import publish
from deploy.smoke import smoke
from tests.support.fake_az import FakeAz
from tests.support.publishing_site import PublishingSite, publishing_site
from tests.support.stack import ADMIN, ROOT, Stack

TOKEN = "the-token-that-az-gives"
ME = "7d3c0f2e-0000-4000-8000-00000000aaaa"
CONFIG = """model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o
      api_base: https://models-abc.openai.azure.com
"""
PARAMETERS = ROOT / "infra" / "main.parameters.example.json"


@pytest.fixture
def site(tmp_path: Path) -> Generator[PublishingSite]:
    with publishing_site(tmp_path / "site") as running:
        yield running


@pytest.fixture
def az(tmp_path: Path, site: PublishingSite, monkeypatch: pytest.MonkeyPatch) -> FakeAz:
    """az as it answers when everything is there and allowed; the gateway of the outputs is the test's to say."""
    made = FakeAz(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca_file))
    made.answers("account show", {"name": "Data platform", "user": {"name": "ana@contoso.com", "type": "user"}})
    made.answers("group exists", "false")
    made.answers("ad signed-in-user show", ME)
    made.answers("resource show", site.host)
    made.answers("account get-access-token", TOKEN)
    made.answers("keyvault secret show", ADMIN)
    made.answers("deployment group show", outputs("http://127.0.0.1:9"))
    return made


def outputs(url: str, source: str = "blob:config/config.yaml") -> dict[str, Any]:
    values = {
        "functionAppName": "func-abc", "gatewayUrl": url, "storageAccountName": "stabc", "keyVaultName": "kv-abc",
        "configSource": source,
    }  # fmt: skip
    return {name: {"type": "String", "value": value} for name, value in values.items()}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG, "utf-8")
    return file


type Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Deploys with a small zip instead of the package, and without long pauses."""
    zipped = tmp_path / "app.zip"
    zipped.write_bytes(b"PK" + bytes(3_000_000))

    def run(**wanted: Any) -> None:
        options: dict[str, Any] = {
            "group": "rg-gateway", "location": "swedencentral", "parameters": (str(PARAMETERS),), "yes": True,
            "pause": 0.01, "smoke": False,
        }  # fmt: skip
        deploy(Wanted(**options | wanted), Az(), lambda _: zipped, functools.partial(publish, pause=0.01))

    return run


# -- all of it


def test_from_nothing_to_a_call(
    run: Run, az: FakeAz, site: PublishingSite, stack: Stack, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    az.answers("deployment group show", outputs(stack.url))
    run(config=config, smoke=True)
    assert [" ".join(call[:3]) for call in az.calls] == [
        "account show --output", "group exists --name", "group create --name", "ad signed-in-user show",
        "deployment group what-if", "deployment group create", "deployment group show", "storage blob upload",
        "resource show --resource-group", "account get-access-token --query", "keyvault secret show",
    ]  # fmt: skip
    (create,) = az.called("deployment group create")
    assert f"operatorPrincipalId={ME}" in create
    assert create[create.index("--template-file") + 1] == "infra/main.bicep"
    (zipped,) = site.taken
    assert len(zipped) == 3_000_002
    assert site.requests[1] == ("POST", "/api/publish?RemoteBuild=false&Deployer=tollgate", f"Bearer {TOKEN}")
    said = capsys.readouterr().out
    assert "✓ it is ready" in said
    assert "answers a call with a fresh key" in said
    assert TOKEN not in said
    assert ADMIN not in said
    keys = stack.http.get("/manage/keys?limit=1000", headers={"authorization": f"Bearer {ADMIN}"}).json()["rows"]
    assert {key["state"] for key in keys if key["name"] == "deploy-smoke-test"} == {"revoked"}


def test_each_command_is_shown_before_it_runs(run: Run, az: FakeAz, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    said = capsys.readouterr().out
    places = [said.index(f"$ {shown(['az', *call])}\n") for call in az.calls]
    assert places == sorted(places)


def test_it_can_be_run_again(run: Run, az: FakeAz) -> None:
    az.answers("group exists", "true")
    run(location="")
    assert az.called("group create") == []
    assert len(az.called("deployment group create")) == 1


# -- what is asked and refused before anything is changed


def test_what_if_changes_nothing(run: Run, az: FakeAz, site: PublishingSite) -> None:
    az.answers("group exists", "true")
    run(what_if=True)
    assert az.called("deployment group what-if")
    assert not [call for call in az.calls if "create" in call or "upload" in call]
    assert site.taken == []


def test_nothing_is_created_unasked(run: Run, az: FakeAz) -> None:
    with pytest.raises(DeployError, match="--yes"):
        run(yes=False)
    assert az.called("group create") == []
    az.answers("group exists", "true")
    with pytest.raises(DeployError, match="--yes"):
        run(yes=False)
    assert az.called("deployment group what-if")
    assert az.called("deployment group create") == []


def test_not_even_a_group_is_made_to_look_what_would_be(run: Run, az: FakeAz) -> None:
    with pytest.raises(DeployError, match="--yes"):
        run(yes=False, what_if=True)
    assert [" ".join(call[:2]) for call in az.calls] == ["account show", "group exists"]


@pytest.mark.parametrize("missing", ["the sign-in", "the parameters"])
def test_what_is_missing_is_told_before_a_package_is_made(
    az: FakeAz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    parameters = (str(PARAMETERS),)
    if missing == "the sign-in":
        az.answers("account show", OSError("Please run 'az login' to setup account."))
    else:
        monkeypatch.setattr("deploy.deploying.PARAMETERS", tmp_path / "main.parameters.json")
        parameters = ()
    built: list[Any] = []
    with pytest.raises(DeployError, match=r"az login|main\.parameters\.example\.json"):
        deploy(
            Wanted("rg", "x", parameters=parameters), Az(), lambda file: built.append(file) or file or Path(), publish
        )
    assert built == []


def test_a_group_that_is_not_there_needs_a_place(run: Run, az: FakeAz) -> None:
    with pytest.raises(DeployError, match="--location swedencentral"):
        run(location="")
    assert not az.called("group create")


def test_a_configuration_that_would_be_refused_stops_it(run: Run, az: FakeAz, config: Path) -> None:
    config.write_text(CONFIG.replace("https:", "ftp:"), "utf-8")
    with pytest.raises(DeployError, match=r"line 5.*api_base"):
        run(config=config)
    assert az.calls == []


def test_app_settings_that_the_configuration_reads_are_named(
    run: Run, config: Path, az: FakeAz, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f"{CONFIG}      api_key: os.environ/MODELS_KEY\n", "utf-8")
    run(config=config)
    assert "reads these app settings: MODELS_KEY." in capsys.readouterr().out


def test_an_app_setting_is_what_this_shell_says(
    run: Run, az: FakeAz, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it does not have is taken for an address, which not every one of them is."""
    config.write_text(f"{CONFIG}      azure_resource_id: os.environ/MODELS_ID\n", "utf-8")
    with pytest.raises(DeployError, match=r"azure_resource_id.*\n.*MODELS_ID.*set it in this shell"):
        run(config=config)
    monkeypatch.setenv(
        "MODELS_ID", "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a"
    )
    run(config=config)


@pytest.mark.parametrize("sign", ["", "@"])
def test_who_deploys_is_the_operator_unless_the_parameters_say_who(
    run: Run, az: FakeAz, tmp_path: Path, sign: str
) -> None:
    file = tmp_path / "own.bicepparam"
    file.write_text("using '../main.bicep'\nparam operatorPrincipalId = 'somebody'\n", "utf-8")
    run(parameters=(f"{sign}{file}",))
    assert az.called("ad signed-in-user show") == []


def test_a_pipeline_has_no_signed_in_user(run: Run, az: FakeAz) -> None:
    az.answers("account show", {"name": "Data platform", "user": {"name": "app-id", "type": "servicePrincipal"}})
    run()
    assert az.called("ad signed-in-user show") == []
    assert az.called("deployment group create")


# -- the configuration

NO_ROLE = """
You do not have the required permissions needed to perform this operation.
Depending on your operation, you may need to be assigned one of the following roles:
    "Storage Blob Data Contributor" """
CLOSED = "\nThe request may be blocked by network rules of storage account. Please check network rule set"
"""What az writes in place of AuthorizationPermissionMismatch and AuthorizationFailure (2.91, its module storage)."""


def test_a_role_that_does_not_count_yet_is_waited_for(
    run: Run, az: FakeAz, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = OSError(NO_ROLE)
    az.answers("storage blob upload", late, late, "")
    run(config=config)
    assert len(az.called("storage blob upload")) == 3
    assert capsys.readouterr().out.count("A role is missing") == 2


def test_a_closed_network_is_not_waited_for(run: Run, az: FakeAz, config: Path) -> None:
    az.answers("storage blob upload", OSError(CLOSED))
    with pytest.raises(DeployError, match="--config-in package"):
        run(config=config)
    assert len(az.called("storage blob upload")) == 1


def test_a_configuration_in_the_package_is_not_uploaded(run: Run, az: FakeAz, config: Path, tmp_path: Path) -> None:
    packed: list[Path | None] = []
    zipped = tmp_path / "app.zip"

    def build(file: Path | None) -> Path:
        packed.append(file)
        return zipped

    az.answers("deployment group show", outputs("http://127.0.0.1:9", "config.yaml"))
    wanted = Wanted("rg", "x", parameters=(str(PARAMETERS),), yes=True, config=config, config_in="package", smoke=False)
    deploy(wanted, Az(), build, functools.partial(publish, pause=0.01))
    assert packed == [config]
    assert az.called("storage blob upload") == []
    assert "configSource=config.yaml" in az.called("deployment group create")[0]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("blob:settings/eu/gateway.yaml", ["--container-name", "settings", "--name", "eu/gateway.yaml"]),
        (
            "https://other.blob.core.windows.net/c/g.yaml",
            ["--blob-url", "https://other.blob.core.windows.net/c/g.yaml"],
        ),
    ],
)
def test_the_configuration_goes_to_where_the_gateway_reads_it(
    run: Run, az: FakeAz, config: Path, source: str, place: list[str]
) -> None:
    az.answers("deployment group show", outputs("http://127.0.0.1:9", source))
    run(config=config)
    (upload,) = az.called("storage blob upload")
    assert " ".join(place) in " ".join(upload)


@pytest.mark.parametrize(
    ("source", "config_in", "remedy"),
    [("config.yaml", "storage", "--config-in package"), ("blob:config/config.yaml", "package", "without --config-in")],
)
def test_a_configuration_that_the_gateway_would_not_read_stops_it(
    run: Run, az: FakeAz, site: PublishingSite, config: Path, source: str, config_in: str, remedy: str
) -> None:
    az.answers("deployment group show", outputs("http://127.0.0.1:9", source))
    with pytest.raises(DeployError, match=remedy):
        run(config=config, config_in=config_in, code_only=True)
    assert not az.called("storage blob upload")
    assert site.taken == []


def test_without_a_configuration_it_says_what_is_next(
    run: Run, az: FakeAz, rubbish_stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    az.answers("deployment group show", outputs(rubbish_stack.url))
    run(smoke=True)
    said = capsys.readouterr().out
    assert "shared.manage init" in said
    assert "✓ it is alive" in said
    assert "no configuration yet" in said


def test_a_gateway_that_has_its_configuration_already_is_asked_all_the_same(
    run: Run, az: FakeAz, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a pipeline deploys: the configuration is not in the checkout, and the admin key not for it to read."""
    az.answers("deployment group show", outputs(stack.url))
    az.answers("keyvault secret show", OSError("(Unauthorized) The user does not have secrets get permission."))
    run(smoke=True)
    said = capsys.readouterr().out
    assert "✓ it is ready" in said
    assert "no call was made" in said


NO_SECRET = "(Forbidden) Caller is not authorized to perform action on resource. Code: Forbidden Inner error: {}"


def test_a_pipeline_does_not_wait_for_a_role_that_it_will_never_have(run: Run, az: FakeAz, stack: Stack) -> None:
    az.answers("deployment group show", outputs(stack.url))
    az.answers("account show", {"name": "Data platform", "user": {"name": "app-id", "type": "servicePrincipal"}})
    az.answers("keyvault secret show", OSError(NO_SECRET.format('{"code": "ForbiddenByRbac"}')))
    run(smoke=True)
    assert len(az.called("keyvault secret show")) == 1


def test_whoever_has_just_got_the_role_waits_for_it_but_not_before_a_closed_vault(
    run: Run, az: FakeAz, stack: Stack
) -> None:
    az.answers("deployment group show", outputs(stack.url))
    az.answers("keyvault secret show", OSError(NO_SECRET.format('{"code": "ForbiddenByRbac"}')), ADMIN)
    run(smoke=True)
    assert len(az.called("keyvault secret show")) == 2
    az.answers("keyvault secret show", OSError(NO_SECRET.format('{"code": "ForbiddenByConnection"}')))
    run(smoke=True)
    assert len(az.called("keyvault secret show")) == 3


def test_a_gateway_that_never_gets_ready_says_why(rubbish_stack: Stack) -> None:
    with pytest.raises(DeployError, match=r"(?s)/health/ready after 0 s.*line 1.*doctor") as raised:
        smoke(rubbish_stack.url, ADMIN, wait=0)
    assert ADMIN not in str(raised.value)


# -- publishing


@pytest.mark.parametrize(
    ("statuses", "wrong"),
    [([1, 3], "failed: as the site says"), ([-1], "was cancelled"), ([5], "another one"), ([6], "in part only")],
)
def test_a_publication_that_does_not_succeed_is_told(
    run: Run, az: FakeAz, site: PublishingSite, statuses: list[int | None], wrong: str
) -> None:
    site.statuses = statuses
    with pytest.raises(DeployError, match=wrong) as raised:
        run()
    assert "--code-only" in str(raised.value)


def test_a_site_that_is_replaced_while_it_is_asked_is_done(run: Run, az: FakeAz, site: PublishingSite) -> None:
    site.statuses = [None, 1, None]
    run()
    assert [request[0] for request in site.requests] == ["GET", "POST", "GET", "GET", "GET"]


def test_the_publication_before_is_not_taken_for_this_one(run: Run, az: FakeAz, site: PublishingSite) -> None:
    """For some seconds the newest one that the site knows is the last one, which has succeeded."""
    site.older = 2
    site.statuses = [1, 3]
    with pytest.raises(DeployError, match="failed: as the site says"):
        run()


def test_an_app_that_may_not_write_its_package_yet_is_waited_for(run: Run, az: FakeAz, site: PublishingSite) -> None:
    site.text = "Failed to upload because Azure Storage responded with Forbidden : 403"
    site.statuses = [3, 3, 4]
    run()
    assert len(site.taken) == 2


@pytest.mark.parametrize(("status", "advice"), [(401, "az login"), (403, "Website Contributor"), (409, "under way")])
def test_a_refused_publication_says_what_to_do(
    run: Run, az: FakeAz, site: PublishingSite, status: int, advice: str
) -> None:
    site.accepts = status
    with pytest.raises(DeployError, match=advice) as raised:
        run()
    assert TOKEN not in str(raised.value)


def test_code_only_leaves_the_infrastructure_alone(run: Run, az: FakeAz, site: PublishingSite) -> None:
    run(code_only=True, parameters=())
    assert not [call for call in az.calls if "create" in call or "what-if" in call]
    assert len(site.taken) == 1


def test_code_only_before_there_is_anything_is_refused(run: Run, az: FakeAz) -> None:
    az.answers("deployment group show", {})
    with pytest.raises(DeployError, match="without --code-only"):
        run(code_only=True)


# -- when az fails


def test_what_az_refuses_is_shown_with_what_to_do(run: Run, az: FakeAz) -> None:
    az.answers("deployment group create", OSError("(InsufficientQuota) This operation requires 50 new capacity."))
    with pytest.raises(DeployError) as raised:
        run()
    said = str(raised.value)
    assert "This operation requires 50 new capacity." in said
    assert "This failed: az deployment group create" in said
    assert ADVICE["InsufficientQuota"] in said


@pytest.mark.parametrize("word", ADVICE)
def test_each_word_finds_its_own_advice(word: str) -> None:
    assert advice_on(f"ERROR: ({word}) The client may not.") == ADVICE[word]


def test_the_page_shows_the_same_advice() -> None:
    table = (ROOT / "docs" / "deploy.md").read_text("utf-8").partition("<!-- advice -->")[2]
    assert dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.M)) == ADVICE


def test_no_az_at_all_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(azure_cli, "BIN", tmp_path)
    with pytest.raises(DeployError, match=r"python3 dev\.py az"):
        Az()


def test_a_dry_run_asks_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(ROOT)
    arguments = ["deploy", "-g", "rg", "-l", "x", "--dry-run", "-p", str(PARAMETERS), "--subscription", "Data platform"]
    assert main([*arguments, "--config", "config.example.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.count("$ az ") >= 9
    assert "--subscription 'Data platform'" in said
    assert "az ad signed-in-user show --query id --output tsv\n" in said  # which knows no subscription


def test_az_is_run_with_the_callers_own_arguments(az: FakeAz) -> None:
    assert main(["az", "group", "list", "--query", "[].name"]) == 0
    assert az.calls == [["group", "list", "--query", "[].name"]]


# -- clean-up

ACCOUNT = {"name": "models-abc", "location": "swedencentral"}
VAULT = {"name": "kv-abc", "location": "swedencentral"}
OUTSIDE = "/subscriptions/s/resourceGroups/rg-ai/providers/Microsoft.Authorization/roleAssignments/1"
INSIDE = "/subscriptions/s/resourceGroups/RG-Gateway/providers/Microsoft.Authorization/roleAssignments/2"


def filled(az: FakeAz) -> None:
    az.answers("group exists", "true")
    az.answers("cognitiveservices account list", [ACCOUNT])
    az.answers("keyvault list", [VAULT])
    az.answers("identity list", [ME])
    az.answers("role assignment list", [INSIDE, OUTSIDE])


def test_clean_up_deletes_the_group_and_what_outlives_it(az: FakeAz) -> None:
    filled(az)
    clean_up(Wanted("rg-gateway", yes=True), Az())
    changing = [call for call in az.calls if {"delete", "purge"} & set(call)]
    assert [call[: call.index("--name") if "--name" in call else 3] for call in changing] == [
        ["role", "assignment", "delete"], ["group", "delete"],
        ["cognitiveservices", "account", "purge", "--resource-group", "rg-gateway"], ["keyvault", "purge"],
    ]  # fmt: skip
    assert changing[0][-1] == OUTSIDE
    assert INSIDE not in changing[0]


def test_clean_up_deletes_nothing_unasked(az: FakeAz) -> None:
    filled(az)
    with pytest.raises(DeployError, match="--yes"):
        clean_up(Wanted("rg-gateway"), Az())
    assert not [call for call in az.calls if {"delete", "purge"} & set(call)]


def test_a_vault_with_purge_protection_goes_by_itself(az: FakeAz, capsys: pytest.CaptureFixture[str]) -> None:
    filled(az)
    az.answers("keyvault purge", OSError("(MethodNotAllowed) Operation is not allowed: purge protection is enabled"))
    clean_up(Wanted("rg-gateway", yes=True), Az())
    assert "kv-abc has purge protection" in capsys.readouterr().out


def test_clean_up_of_a_group_that_is_gone_frees_the_names(az: FakeAz) -> None:
    az.answers("group exists", "false")
    az.answers("cognitiveservices account list-deleted", [ACCOUNT])
    az.answers("keyvault list-deleted", [VAULT])
    clean_up(Wanted("rg-gateway", yes=True), Az())
    assert az.called("group delete") == []
    assert [call[-3] for call in az.called("cognitiveservices account purge")] == ["models-abc"]
    assert [call[-3] for call in az.called("keyvault purge")] == ["kv-abc"]
