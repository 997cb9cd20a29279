"""`dev.py deploy`: from a checkout to a gateway that answers, as the az commands of docs/deploy.md one after another.

Owns their order and what is asked before them. Each may be run again: what is there already stays. Must not know how az
is run (azure_cli.py), how a zip is made (package.py) or published (publishing.py).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import ROOT, DeployError, short
from deploy.azure_cli import Az, AzFailed
from deploy.smoke import smoke

TEMPLATE = ROOT / "infra" / "main.bicep"
PARAMETERS = ROOT / "infra" / "main.parameters.json"
CONFIG_BLOB = "blob:config/config.yaml"
OUTPUTS = ("functionAppName", "gatewayUrl", "storageAccountName", "keyVaultName", "configSource")
ROLE_TRIES, ROLE_SECONDS = 20, 30.0
"""A role counts after up to ten minutes."""
NOT_YET = ("required permissions needed", "ForbiddenByRbac", "Storage responded with Forbidden")
"""What az, the vault and the publishing site say while a role is missing. A closed network sounds different."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for."""

    group: str
    location: str = ""
    name: str = "main"
    parameters: tuple[str, ...] = ()
    config: Path | None = None
    config_in: str = "storage"
    zip: Path | None = None
    what_if: bool = False
    code_only: bool = False
    yes: bool = False
    smoke: bool = True
    pause: float = ROLE_SECONDS


type Build = Callable[[Path | None], Path]
"""Makes the zip, with a configuration in it or without."""
type Publish = Callable[[Path, str, str], None]


def deploy(wanted: Wanted, az: Az, build: Build, publish: Publish) -> None:
    """Raises DeployError; whatever was done by then stays, and the same command goes on from there."""
    _check_config(wanted)
    given = [] if wanted.code_only else _parameters(wanted)
    account = _signed_in(az)
    packed = wanted.config if wanted.config_in == "package" else None
    zipped = wanted.zip or (Path("dist/app.zip") if az.dry or wanted.what_if else build(packed))
    operator: list[str] = []
    if not wanted.code_only:
        _group(wanted, az, account)
        operator = _operator(wanted, az, account)
        given += operator
        what = ["--resource-group", wanted.group, "--name", wanted.name, "--template-file", short(TEMPLATE), *given]
        _say("What would change")
        az.run("deployment", "group", "what-if", *what)
        if wanted.what_if:
            return
        _confirm(wanted, az, f"Create or change this in {wanted.group} of {account.get('name')}?")
        _say("Creating it (three to eight minutes)")
        az.run("deployment", "group", "create", *what, "--output", "none")
    outputs = _outputs(wanted, az)
    _upload(wanted, az, outputs)
    _publish(wanted, az, outputs, zipped, publish)
    _smoke(wanted, az, outputs, new_role=bool(operator))


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _check_config(wanted: Wanted) -> None:
    """The configuration as the app will read it. App settings are what this shell says, else an address."""
    if wanted.config is None:
        return
    from shared.errors import ConfigError
    from shared.manage.check import catalog_of

    text = wanted.config.read_text("utf-8")
    names = sorted(set(re.findall(r"os\.environ/(\w+)", text)))
    missing = [name for name in names if not os.environ.get(name)]
    known = {name: os.environ[name] for name in names if name not in missing}
    try:
        catalog = catalog_of(text, known | dict.fromkeys(missing, "https://from-an-app-setting.openai.azure.com"))
    except ConfigError as error:
        told = [f"{wanted.config} would be refused:", *map(str, error.problems)]
        told += [f"{name} is unknown here, so it was taken for an address: set it in this shell" for name in missing]
        raise DeployError("\n".join(told)) from error
    print(f"{wanted.config}: {len(catalog.aliases())} aliases")
    if names:
        print(f"  It reads these app settings: {', '.join(names)}. Give them with the parameter settings.")


def _signed_in(az: Az) -> dict[str, Any]:
    _say("Who you are")
    placeholder = {"name": "YOUR SUBSCRIPTION", "user": {"name": "you", "type": "user"}}
    account: dict[str, Any] = az.json("account", "show", dry=placeholder)
    print(f"  {account['user']['name']} in the subscription {account['name']}")
    return account


def _group(wanted: Wanted, az: Az, account: dict[str, Any]) -> None:
    """Azure compares with a group that is there, so what-if needs one, too."""
    if az.text("group", "exists", "--name", wanted.group, dry="false") == "true":
        return
    if not wanted.location:
        raise DeployError(
            f"There is no group {wanted.group}: say where it is to be, as in --location swedencentral. Regions with "
            "Flex Consumption: az functionapp list-flexconsumption-locations --output table"
        )
    where = f"{wanted.location} of {account.get('name')}"
    _confirm(wanted, az, f"There is no group {wanted.group}. Make it, empty, in {where}?")
    az.run("group", "create", "--name", wanted.group, "--location", wanted.location, "--output", "none")


def _parameters(wanted: Wanted) -> list[str]:
    files = list(wanted.parameters)
    if not files:
        if not PARAMETERS.is_file():
            raise DeployError(
                "There are no parameters: copy infra/main.parameters.example.json to infra/main.parameters.json and "
                "say there which models you want (infra/README.md), or name another file with --parameters"
            )
        files = [short(PARAMETERS)]
    in_package = ["configSource=config.yaml"] if wanted.config_in == "package" else []
    return ["--parameters", *files, *in_package]


def _operator(wanted: Wanted, az: Az, account: dict[str, Any]) -> list[str]:
    """Who deploys gets the operator's roles, unless the parameters say who does."""
    files = [Path(name.removeprefix("@")) for name in wanted.parameters] or [PARAMETERS]
    said = [name for name in wanted.parameters if "=" in name]
    said += [file.read_text("utf-8") for file in files if file.is_file()]
    if any("operatorPrincipalId" in text for text in said) or account["user"].get("type") != "user":
        return []
    me = az.text("ad", "signed-in-user", "show", "--query", "id", dry="YOUR-OBJECT-ID")
    return [f"operatorPrincipalId={me}"]


def _confirm(wanted: Wanted, az: Az, question: str) -> None:
    if wanted.yes or az.dry:
        return
    if not sys.stdin.isatty():
        raise DeployError("Nobody can answer here: look at what would change, then run this again with --yes")
    if input(f"\n{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise DeployError("Nothing was changed")


def _outputs(wanted: Wanted, az: Az) -> dict[str, str]:
    placeholders = {name: {"value": CONFIG_BLOB if name == "configSource" else name} for name in OUTPUTS}
    arguments = ("deployment", "group", "show", "--resource-group", wanted.group, "--name", wanted.name)
    found = az.json(*arguments, "--query", "properties.outputs", dry=placeholders) or {}
    if missing := [name for name in OUTPUTS if name not in found]:
        raise DeployError(
            f"The deployment {wanted.name} has no output {missing[0]}: it has not succeeded. "
            "Run this without --code-only"
        )
    return {name: str(found[name]["value"]) for name in OUTPUTS}


def _upload(wanted: Wanted, az: Az, outputs: dict[str, str]) -> None:
    """To where the app reads it: the parameter configSource may say another place than ours."""
    source = outputs["configSource"]
    blob = source.startswith(("blob:", "https://"))
    if wanted.config and blob != (wanted.config_in == "storage") and not az.dry:
        remedy = "run this without --config-in" if blob else "run this again with --config-in package"
        raise DeployError(f"The gateway reads its configuration from {source} (parameter configSource): {remedy}")
    if wanted.config_in == "package":
        return
    if wanted.config is None:
        print(
            "\nThere is no config.yaml here. What is in the storage account stays; a new gateway serves nothing until"
        )
        print("there is one. Write it, then bring it there:")
        print("  python3 -m shared.manage init")
        print(f"  python3 dev.py deploy -g {wanted.group} --code-only --config config.yaml")
        return
    _say("The configuration")
    place = ["--blob-url", source]
    if source.startswith("blob:"):
        container, _, name = source.removeprefix("blob:").partition("/")
        account = outputs["storageAccountName"]
        place = ["--account-name", account, "--container-name", container, "--name", name]
    how = ["--auth-mode", "login", "--file", str(wanted.config), "--overwrite", "--no-progress", "--output", "none"]
    _as_soon_as_allowed(wanted, lambda: az.run("storage", "blob", "upload", *place, *how))


def _as_soon_as_allowed[T](wanted: Wanted, ask: Callable[[], T]) -> T:
    """A role that was given a moment ago counts some minutes later, the operator's as well as the app's."""
    for left in range(ROLE_TRIES - 1, -1, -1):
        try:
            return ask()
        except DeployError as failed:
            if not left or not any(word in str(failed) for word in NOT_YET):
                raise
            print(f"  A role is missing. A new one counts within 10 minutes: again in {wanted.pause:.0f} s", flush=True)
            time.sleep(wanted.pause)
    raise AssertionError("the last try raises")


def _publish(wanted: Wanted, az: Az, outputs: dict[str, str], zipped: Path, publish: Publish) -> None:
    _say("The app")
    query = "properties.hostNameSslStates[?hostType=='Repository'].name | [0]"
    app = ("--resource-group", wanted.group, "--name", outputs["functionAppName"])
    host = az.text("resource", "show", *app, "--resource-type", "Microsoft.Web/sites", "--query", query, dry="SCM-HOST")
    token = az.text("account", "get-access-token", "--query", "accessToken", dry="TOKEN")
    print(f"$ curl -H 'Authorization: Bearer …' --data-binary @{short(zipped)} https://{host}/api/publish", flush=True)
    if not az.dry:
        _as_soon_as_allowed(wanted, lambda: publish(zipped, host, token))
        print("✓ published")


def _smoke(wanted: Wanted, az: Az, outputs: dict[str, str], *, new_role: bool) -> None:
    url = outputs["gatewayUrl"]
    if wanted.smoke:
        _say("Does it work?")
        key = _admin_key(wanted, az, outputs["keyVaultName"], new_role)
        if az.dry:
            print("GET /health/live, GET /health/ready, a key, POST /v1/chat/completions, the key revoked")
        else:
            smoke(url, key, configured=wanted.config is not None or wanted.code_only)
    print(f"\nThe gateway is {url}\nNext: the admin key, a first key, the doctor (docs/deploy.md)")


def _admin_key(wanted: Wanted, az: Az, vault: str, new_role: bool) -> str:
    """Empty where the vault does not give it: whoever deploys need not be who operates, as a pipeline is not."""
    arguments = ("keyvault", "secret", "show", "--vault-name", vault, "--name", "admin-key", "--query", "value")
    try:
        if not new_role:
            return az.text(*arguments, dry="ADMIN-KEY")
        return _as_soon_as_allowed(wanted, lambda: az.text(*arguments))
    except AzFailed:
        return ""
