"""What infra/ provisions is what the code needs: settings, tables, queues, containers, roles; and nothing forbidden.

The committed snapshots are what is looked at, so this needs no CLI; that they are current, test_bicep.py shows.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.work_queue import QUEUES
from tests.project.test_settings_example import EXAMPLE, PLATFORM

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
SNAPSHOTS = {
    file.name.removesuffix(".snapshot.json"): json.loads(file.read_text("utf-8"))["predictedResources"]
    for file in sorted((INFRA / "examples").glob("*.snapshot.json"))
}
TEMPLATE: dict[str, Any] = json.loads((INFRA / "azuredeploy.json").read_text("utf-8"))
ROLES: list[dict[str, str]] = json.loads((ROOT / "shared" / "roles.json").read_text("utf-8"))
each_snapshot = pytest.mark.parametrize("name", sorted(SNAPSHOTS))

INSTEAD_OF_A_KEY = {"AzureWebJobsStorage", "AzureWebJobsStorage__accountName"}
"""Settings that are not provisioned: the three addresses of the account stand there, and an identity."""
READ_BY_OTHERS = {
    "AzureWebJobsStorage__credential": "the Functions host",
    "AZURE_CLIENT_ID": "azure-identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the Functions host",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the Functions host",
}
NOT_ON_FLEX = {
    "FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY", "FUNCTIONS_WORKER_RUNTIME_VERSION", "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", "WEBSITE_CONTENTSHARE", "WEBSITE_CONTENTOVERVNET",
    "SCM_DO_BUILD_DURING_DEPLOYMENT", "ENABLE_ORYX_BUILD", "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_VNET_ROUTE_ALL", "WEBSITE_NODE_DEFAULT_VERSION", "AzureWebJobsDashboard", "APPINSIGHTS_INSTRUMENTATIONKEY",
}  # fmt: skip


def of_type(name: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in SNAPSHOTS[name] if one["type"].lower() == kind.lower()]


def one_of(name: str, kind: str) -> dict[str, Any]:
    (found,) = of_type(name, kind)
    return found


def names_of(name: str, kind: str) -> set[str]:
    return {one["name"].rpartition("/")[2] for one in of_type(name, kind)}


def app_settings(name: str) -> dict[str, str]:
    return one_of(name, "Microsoft.Web/sites/config")["properties"]


# App settings


@each_snapshot
def test_settings_are_those_that_are_read(name: str) -> None:
    read = set(EXAMPLE) - PLATFORM - INSTEAD_OF_A_KEY
    assert set(app_settings(name)) == read | set(READ_BY_OTHERS)


@each_snapshot
def test_no_setting_is_forbidden_and_no_storage_key_is_used(name: str) -> None:
    settings = app_settings(name)
    assert not set(settings) & NOT_ON_FLEX
    assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
    told = json.dumps(SNAPSHOTS[name])
    assert "AccountKey=" not in told
    assert "listKeys(" not in told


def test_defaults_are_those_of_the_code() -> None:
    """What nobody has set is as it is without a setting; where infra/ differs, it is on purpose."""
    given, usual = app_settings("smallest"), EXAMPLE
    shared = {name for name in usual.keys() & given.keys() if not given[name].startswith(("[", "@"))}
    assert {name: given[name] for name in shared if given[name] != usual[name]} == {
        "CONFIG_SOURCE": "blob:config/config.yaml",
        "EXPORT_CONTAINER": "tollgate-export",
        "EVENTS": "queue:tollgate-events",
        "PRICES_URL": "",  # the code knows it
    }


def test_parameters_reach_their_settings() -> None:
    """The example with everything gives each parameter that has a setting another value than its default."""
    smallest, everything = app_settings("smallest"), app_settings("everything")
    assert {name for name in smallest if smallest[name] != everything[name]} >= {
        "CONFIG_SOURCE", "ENTRA_TENANTS", "ENTRA_AUDIENCES", "CONTACT", "CORS_ORIGINS", "CALLBACK_HOSTS", "EVENTS",
        "EXPORT_CONTAINER", "RETENTION_MONTHS", "ID_KEYS", "ON_DISCONNECT", "LOG_LEVEL",
    }  # fmt: skip


@each_snapshot
def test_secrets_are_references_without_a_version(name: str) -> None:
    """A version would have to be changed with every rotation. Each secret that is named is made here, or was before."""
    settings = app_settings(name)
    made = names_of(name, "Microsoft.KeyVault/vaults/secrets")
    for setting in ("KEY_PEPPER", "ADMIN_KEY"):
        (secret,) = re.findall(r"@Microsoft\.KeyVault\(SecretUri=\{0\}secrets/([a-z-]+)\)", settings[setting])
        assert secret in made
    assert settings["EVENTS_KEY"] == ""


def test_secrets_are_made_once_and_never_overwritten() -> None:
    found = [one for one in resources(TEMPLATE) if one["type"] == "Microsoft.KeyVault/vaults/secrets"]
    assert len(found) == 2
    for one in found:
        assert "onlyIfNotExists" in one["@options"]


def resources(template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All of a compiled template, those of its modules included."""
    listed = template["resources"]
    for one in listed.values() if isinstance(listed, dict) else listed:
        yield one
        if one["type"] == "Microsoft.Resources/deployments":
            yield from resources(one["properties"]["template"])


# Storage


def constants(*folders: str) -> set[str]:
    """Every text that stands in the code, docstrings aside."""
    found: set[str] = set()
    for folder in folders:
        for file in [ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def monthly_tables() -> set[str]:
    """Prefixes to which the code adds a month: it makes these tables itself, no template can name them."""
    text = "\n".join(file.read_text("utf-8") for file in (ROOT / "shared").rglob("*.py"))
    return set(re.findall(r'f"(tollgate[a-z]+)\{', text))


@each_snapshot
def test_tables_are_those_of_the_code(name: str) -> None:
    named = {text for text in constants("shared") if re.fullmatch(r"tollgate[a-z]+", text)}
    by_month = monthly_tables() | {"tollgateaudit"}
    assert by_month >= {"tollgateusage", "tollgateledger", "tollgatedetail", "tollgateevents"}
    assert names_of(name, "Microsoft.Storage/storageAccounts/tableServices/tables") == named - by_month


@each_snapshot
def test_queues_are_those_of_the_code(name: str) -> None:
    """With the poison queue of each, which the host would make only when it needs it: alerts look at it before."""
    queues = set(QUEUES.values())
    with_poison = queues | {f"{queue}-poison" for queue in queues if not queue.endswith("-poison")}
    events = app_settings(name)["EVENTS"]
    assert events.startswith("queue:")
    made = names_of(name, "Microsoft.Storage/storageAccounts/queueServices/queues")
    assert made == with_poison | {events.removeprefix("queue:")}


@each_snapshot
def test_containers_are_those_of_the_code(name: str) -> None:
    from shared.adapters.blob_folder import DROPS, FILES

    settings = app_settings(name)
    config, export = settings["CONFIG_SOURCE"].removeprefix("blob:").partition("/")[0], settings["EXPORT_CONTAINER"]
    made = names_of(name, "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert made - {"azure-batches"} == {"app-package", FILES, DROPS, config, export}
    package = one_of(name, "Microsoft.Web/sites")["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert "/app-package'" in package["value"]


@each_snapshot
def test_dropped_files_reach_their_queue(name: str) -> None:
    """Event Grid tells of blobs below in/ by the queue that a function is bound to, as an identity of its own."""
    drops = next(
        one for one in of_type(name, "Microsoft.EventGrid/systemTopics/eventSubscriptions") if "drops" in one["name"]
    )
    told = drops["properties"]
    where = told["deliveryWithResourceIdentity"]
    assert where["identity"]["type"] == "SystemAssigned"
    assert where["destination"]["properties"]["queueName"] == QUEUES["queue_batch_drops"]
    assert told["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    assert told["filter"]["subjectBeginsWith"] == "/blobServices/default/containers/batches/blobs/in/"


# Roles


def granted(name: str) -> set[tuple[str, str]]:
    """Role and kind of resource of every assignment."""
    kinds = {
        "storageaccounts": "storage",
        "vaults": "vault",
        "components": "insights",
        "sites": "site",
        "accounts": "account",
    }
    found: set[tuple[str, str]] = set()
    for one in of_type(name, "Microsoft.Authorization/roleAssignments"):
        (role,) = re.findall(r"roleDefinitions/([0-9a-f-]{36})", one["properties"]["roleDefinitionId"])
        scope = one["id"].lower().partition("/providers/microsoft.authorization/")[0]
        found.add((role, next(kinds[part] for part in scope.split("/") if part in kinds)))
    return found


def wanted(*when: str) -> set[tuple[str, str]]:
    return {(row["id"], row["on"]) for row in ROLES if row["when"] in when}


def test_roles_are_those_of_the_list() -> None:
    assert granted("smallest") == wanted("always", "files")
    assert granted("existing-accounts") == wanted("always", "partners")
    assert granted("everything") == wanted("always", "files", "partners", "batch_storage", "operator")


def test_every_role_says_why_and_none_stands_twice() -> None:
    assert len({(row["id"], row["who"], row["on"]) for row in ROLES}) == len(ROLES)
    assert len({(row["id"], row["name"]) for row in ROLES}) == len({row["id"] for row in ROLES})
    for row in ROLES:
        assert set(row) == {"name", "id", "who", "on", "when", "why"}
        assert row["why"].endswith(".")
    assert not {row["name"] for row in ROLES} & {"Owner", "Contributor", "User Access Administrator"}


# Nothing that should not be there


@each_snapshot
def test_no_key_is_taken_anywhere(name: str) -> None:
    storage = one_of(name, "Microsoft.Storage/storageAccounts")["properties"]
    assert storage["allowSharedKeyAccess"] is False
    assert storage["allowBlobPublicAccess"] is False
    assert storage["minimumTlsVersion"] == "TLS1_2"
    for account in of_type(name, "Microsoft.CognitiveServices/accounts"):
        assert account["properties"]["disableLocalAuth"] is True
        assert account["properties"]["customSubDomainName"] == account["name"]
    assert one_of(name, "Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    vault = one_of(name, "Microsoft.KeyVault/vaults")["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    site = one_of(name, "Microsoft.Web/sites")["properties"]
    assert site["httpsOnly"] is True
    assert site["functionAppConfig"]["runtime"] == {"name": "python", "version": "3.13"}
    assert site["functionAppConfig"]["scaleAndConcurrency"]["triggers"]["http"]["perInstanceConcurrency"] > 1
    policies = of_type(name, "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {(one["name"].rpartition("/")[2], one["properties"]["allow"]) for one in policies} == {
        ("scm", False),
        ("ftp", False),
    }


# What Azure refuses although every check here passes


def test_one_change_at_a_time_where_azure_takes_no_more() -> None:
    """Deployments of an account, endpoints of the storage account, secrets of the vault, parts of the site."""
    listed = list(resources(TEMPLATE))
    for copied in ("storageEndpoints", "deployments", "subscriptions"):
        (one,) = [one for one in listed if one.get("copy", {}).get("name") == copied]
        assert (one["copy"]["mode"], one["copy"]["batchSize"]) == ("serial", 1), copied
    waits = {
        one["name"]: one["dependsOn"] for one in listed if "dependsOn" in one and isinstance(one["dependsOn"], list)
    }
    assert "pepper" in waits["[format('{0}/{1}', parameters('name'), 'admin-key')]"]
    assert "app::values" in waits["[format('{0}/{1}', parameters('name'), 'scm')]"]
    assert "app::scm" in waits["[format('{0}/{1}', parameters('name'), 'ftp')]"]


def test_a_budget_begins_in_the_month_in_which_it_is_made() -> None:
    """Azure takes no earlier start for a new budget, and no other one for a budget that is there."""
    assert one_of("everything", "Microsoft.Consumption/budgets")["properties"]["timePeriod"]["startDate"].startswith(
        "[utcNow("
    )
    (budget,) = [one for one in resources(TEMPLATE) if one["type"] == "Microsoft.Consumption/budgets"]
    assert "onlyIfNotExists" in budget["@options"]


def test_what_takes_over_is_made_before_whom_it_helps() -> None:
    made: list[str] = []
    for one in of_type("everything", "Microsoft.CognitiveServices/accounts/deployments"):
        account, _, name = one["name"].partition("/")
        helper = one["properties"].get("spilloverDeploymentName")
        assert helper is None or f"{account}/{helper}" in made
        made.append(f"{account}/{name}")
    assert "spilloverDeploymentName" in str(SNAPSHOTS["everything"])


def test_private_networking_closes_everything_but_the_gateway() -> None:
    for kind in (
        "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault/vaults",
        "Microsoft.CognitiveServices/accounts",
    ):
        for one in of_type("everything", kind):
            assert one["properties"]["publicNetworkAccess"] == "Disabled", one["name"]
    assert "virtualNetworkSubnetId" in one_of("everything", "Microsoft.Web/sites")["properties"]
    reached = {one["name"].split("-")[1] for one in of_type("everything", "Microsoft.Network/privateEndpoints")}
    assert {"blob", "queue", "table", "vault"} <= reached


def test_no_output_holds_a_secret() -> None:
    for template in [
        TEMPLATE,
        *(one["properties"]["template"] for one in resources(TEMPLATE) if "template" in one.get("properties", {})),
    ]:
        for name, output in template.get("outputs", {}).items():
            assert not re.search(r"secret|password|pepper|adminkey|token", name, re.IGNORECASE), name
            assert "secure" not in output["type"].lower()
            assert not re.search(r"list(Keys|Secrets|AccountSas)|securestring", str(output["value"]), re.IGNORECASE)


def test_every_parameter_is_described_here_and_in_the_readme() -> None:
    told = (INFRA / "README.md").read_text("utf-8")
    for name, parameter in TEMPLATE["parameters"].items():
        assert parameter["metadata"]["description"], name
        assert f"`{name}`" in told, f"infra/README.md does not explain {name}"


def test_example_parameters_are_those_of_the_smallest_example() -> None:
    """They are the same in both forms, so that the snapshot is of what the README has you deploy."""
    given = json.loads((INFRA / "main.parameters.example.json").read_text("utf-8"))["parameters"]
    assert set(given) == {"accounts"}
    (account,) = given["accounts"]["value"]
    made = one_of("smallest", "Microsoft.CognitiveServices/accounts")
    assert made["name"].startswith(f"{account['name']}-")
    assert made["location"] == account["location"]
    deployed = one_of("smallest", "Microsoft.CognitiveServices/accounts/deployments")
    (wanted_one,) = account["deployments"]
    assert deployed["name"].endswith(f"/{wanted_one['name']}")
    assert (deployed["sku"], deployed["properties"]["model"]) == (wanted_one["sku"], wanted_one["model"])
