"""The commands that mend things: az's and our own, with the names filled in. Pure.

Written so that a shell and PowerShell take them as they are. A test gives each to the real az CLI's parser.
"""

from __future__ import annotations

import re

from shared.operations.checkup.place import Place

DOCTOR = "python3 -m shared.manage doctor"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=+-]+")
_HARMLESS = re.compile(r"[\w ./:=+()\[\]-]+")
"""Nothing of it means anything between double quotes, which Windows' old shell knows as well."""
_ENDS = re.compile(r"['\u2018-\u201b\x00-\x1f\x7f-\x9f]")
"""PowerShell takes typographic quotes for plain ones."""
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Printed(str):
    """Text in which `$(…)` is a command whose output is meant, so that a shell has to look into it."""


def az(command: str, **options: str) -> str:
    """`az COMMAND --option value …`; an option without a value is one that takes none."""
    parts = [f"az {command}"]
    for name, value in options.items():
        between = "=" if value.startswith("-") else " "  # else az takes the value for an option
        parts.append(f"--{name.replace('_', '-')}" + (f"{between}{_quoted(value)}" if value else ""))
    return " ".join(parts)


def _quoted(value: str) -> str:
    """One word, for a shell and PowerShell alike. Names come from Azure and the configuration: between single quotes
    nothing in them is a command. What would end the quotes stands in no name of Azure's, and is left out."""
    if _PLAIN.fullmatch(value):
        return value
    if isinstance(value, Printed) or _HARMLESS.fullmatch(value):
        return f'"{value}"'
    return f"'{_ENDS.sub('', value)}'"


def asked(command: str, query: str = "id", **options: str) -> Printed:
    """The same as part of another command: what it prints."""
    return Printed(f"$({az(command, **options, query=query, output='tsv')})")


def again(subject: str) -> str:
    return f"{DOCTOR} --only {subject}"


# Where something is, as far as it is known, else as az finds it.


def group_of(kind: str, name: str, known: str = "") -> str:
    """The resource group of what is called so. kind: `Microsoft.Web/sites`."""
    return known or asked("resource list", "[].resourceGroup", name=name, resource_type=kind)


def storage_id(account: str) -> str:
    return asked("storage account show", name=account)


def vault_id(vault: str) -> str:
    return asked("keyvault show", name=vault)


def account_id(account: str) -> str:
    return asked("resource list", "[].id", name=account, resource_type="Microsoft.CognitiveServices/accounts")


def _app(place: Place) -> dict[str, str]:
    return {"resource_group": group_of("Microsoft.Web/sites", place.site, place.group), "name": place.site}


def _account(name: str, group: str) -> dict[str, str]:
    return {"resource_group": group_of("Microsoft.CognitiveServices/accounts", name, group), "name": name}


# What mends roles and identities.


def give_role(role: str, principal: str, kind: str, scope: str) -> str:
    """kind: `ServicePrincipal` or `User`."""
    who = {"assignee_object_id": principal, "assignee_principal_type": kind} if principal else {"assignee": "OBJECT_ID"}
    return az("role assignment create", role=role, **who, scope=scope)


def roles_of(principal: str) -> str:
    return az("role assignment list", assignee=principal or "OBJECT_ID", all="", output="table")


def sign_in(tenant: str = "") -> str:
    return az("login", tenant=tenant) if _GUID.fullmatch(tenant) else az("login")


def _own_identity(place: Place, query: str, else_: str, before: str = "") -> str:
    """else_: what stands there where the group is not known: commands are not nested twice."""
    if not place.group:
        return before + else_
    return Printed(before + asked("identity list", query, resource_group=place.group))


def give_identity(place: Place) -> str:
    return az("functionapp identity assign", **_app(place), identities=_own_identity(place, "[0].id", "IDENTITY_ID"))


def name_identity(place: Place) -> str:
    """The setting by which Azure's SDKs know which identity is meant."""
    setting = _own_identity(place, "[0].clientId", "CLIENT_ID", "AZURE_CLIENT_ID=")
    return az("functionapp config appsettings set", **_app(place), settings=setting)


def references_by_identity(place: Place) -> str:
    """Key Vault references of app settings are read by this identity."""
    setting = _own_identity(place, "[0].id", "IDENTITY_ID", "keyVaultReferenceIdentity=")
    return az("functionapp update", **_app(place), set=setting)


def new_client_secret(client: str) -> str:
    return az("ad app credential reset", id=client, append="")


# What mends the app.


def restart(place: Place) -> str:
    return az("functionapp restart", **_app(place))


def set_concurrency(place: Place, calls: int) -> str:
    trigger = {"trigger_type": "http", "trigger_settings": f"perInstanceConcurrency={calls}"}
    return az("functionapp scale config set", **_app(place), **trigger)


def set_memory(place: Place, megabytes: int) -> str:
    return az("functionapp scale config set", **_app(place), instance_memory=str(megabytes))


def show_scale(place: Place) -> str:
    return az("functionapp scale config show", **_app(place))


def https_only(place: Place) -> str:
    return az("functionapp update", **_app(place), set="httpsOnly=true")


def set_python(place: Place, version: str) -> str:
    return az("functionapp runtime config set", **_app(place), runtime_version=version)


def take_settings_away(place: Place, names: list[str]) -> str:
    return f"{az('functionapp config appsettings delete', **_app(place))} --setting-names {' '.join(names)}"


# What mends storage.


def make_container(account: str, name: str) -> str:
    return az("storage container create", account_name=account, name=name, auth_mode="login")


def make_queue(account: str, name: str) -> str:
    return az("storage queue create", account_name=account, name=name, auth_mode="login")


def upload(account: str, container: str, name: str) -> str:
    where = {"account_name": account, "container_name": container, "name": name}
    return az("storage blob upload", **where, file="config.yaml", auth_mode="login", overwrite="")


def peek(account: str, queue: str) -> str:
    where = {"account_name": account, "queue_name": queue}
    return az("storage message peek", **where, num_messages="32", auth_mode="login")


def open_storage(account: str) -> str:
    """The rules that keep callers out."""
    return az("storage account network-rule list", account_name=account, output="table")


# What mends the vault.


def put_secret(vault: str, name: str) -> str:
    """The value comes from a file, so that it is in no shell's history."""
    return az("keyvault secret set", vault_name=vault, name=name, file="secret.txt", encoding="utf-8")


def enable_secret(vault: str, name: str) -> str:
    return az("keyvault secret set-attributes", vault_name=vault, name=name, enabled="true")


def show_vault_rules(vault: str) -> str:
    return az("keyvault network-rule list", name=vault)


# What mends accounts and deployments.


def make_deployment(account: str, group: str, deployment: str, maker: str, model: str, version: str, sku: str) -> str:
    """maker: Azure's `format`: OpenAI, Anthropic, …"""
    what = {"deployment_name": deployment, "model_format": maker, "model_name": model}
    what["model_version"] = version or "VERSION"
    return az(
        "cognitiveservices account deployment create",
        **_account(account, group), **what, sku_name=sku or "GlobalStandard", sku_capacity="10",
    )  # fmt: skip


def show_deployment(account: str, group: str, deployment: str) -> str:
    where = _account(account, group)
    return az("cognitiveservices account deployment show", **where, deployment_name=deployment)


def list_models(account: str, group: str) -> str:
    return az("cognitiveservices account list-models", **_account(account, group), output="table")


def list_accounts() -> str:
    return az("cognitiveservices account list", output="table")


def show_quota(location: str) -> str:
    return az("cognitiveservices usage list", location=location, output="table")


def give_domain(account: str, group: str) -> str:
    return az("cognitiveservices account update", **_account(account, group), custom_domain=account)


def show_account(account: str, group: str) -> str:
    return az("cognitiveservices account show", **_account(account, group))


# What mends names.


def link_zone(place: Place, zone: str) -> str:
    """The private zone is known in the app's network from then on."""
    group = place.group or "RESOURCE_GROUP"
    network = asked("network vnet list", "[0].id", resource_group=group)
    return az(
        "network private-dns link vnet create",
        resource_group=group, zone_name=zone, name="tollgate", virtual_network=network, registration_enabled="false",
    )  # fmt: skip
