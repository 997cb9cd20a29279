"""`dev.py deploy --clean-up`: deletes the resource group and what would outlive it.

Owns what outlives a group: roles on accounts elsewhere, deleted accounts and vaults that keep their names. Must not
know how any of it was made.
"""

from __future__ import annotations

import sys
from typing import Any

from deploy import DeployError
from deploy.azure_cli import Az, AzFailed
from deploy.deploying import Wanted


def clean_up(wanted: Wanted, az: Az) -> None:
    """Raises DeployError. What is gone already is passed over, so that it can be run again."""
    in_group = ("--resource-group", wanted.group)
    there = az.text("group", "exists", "--name", wanted.group, dry="true") == "true"
    accounts: list[dict[str, Any]] = []
    vaults: list[dict[str, Any]] = []
    elsewhere: list[str] = []
    if there:
        named = "[].{name:name, location:location}"
        accounts = az.json("cognitiveservices", "account", "list", *in_group, "--query", named, dry=_one("ACCOUNT"))
        vaults = az.json("keyvault", "list", *in_group, "--query", named, dry=_one("VAULT"))
        elsewhere = _roles_elsewhere(wanted, az)
    else:
        print(f"There is no group {wanted.group} any more: the names of what was in it are freed, if Azure keeps any.")
        here = f"'/resourceGroups/{wanted.group}/'"
        query = f"[?contains(id, {here})].{{name:name, location:location}}"
        accounts = az.json("cognitiveservices", "account", "list-deleted", "--query", query, dry=[])
        query = f"[?contains(properties.vaultId, {here})].{{name:name, location:properties.location}}"
        vaults = az.json("keyvault", "list-deleted", "--resource-type", "vault", "--query", query, dry=[])
    _confirm(wanted, az, accounts, vaults, elsewhere)
    if elsewhere:
        az.run("role", "assignment", "delete", "--ids", *elsewhere)
    if there:
        print("Deleting takes some minutes.")
        az.run("group", "delete", "--name", wanted.group, "--yes")
    for account in accounts:
        az.run(
            "cognitiveservices", "account", "purge", *in_group,
            "--name", account["name"], "--location", account["location"],
        )  # fmt: skip
    for vault in vaults:
        _purge_vault(az, vault)


def _one(name: str) -> list[dict[str, str]]:
    return [{"name": name, "location": "LOCATION"}]


def _roles_elsewhere(wanted: Wanted, az: Az) -> list[str]:
    """Roles of the gateway's identity outside the group: deleting the group would leave them without an owner."""
    query = "[].principalId"
    principals: list[str] = az.json(
        "identity", "list", "--resource-group", wanted.group, "--query", query, dry=["PRINCIPAL"]
    )
    found: list[str] = []
    for principal in principals:
        ids = az.json(
            "role", "assignment", "list", "--all", "--assignee", principal, "--query", "[].id", dry=["ASSIGNMENT-ID"]
        )
        found += [i for i in ids if f"/resourcegroups/{wanted.group}/".lower() not in i.lower()]
    return found


def _confirm(
    wanted: Wanted, az: Az, accounts: list[dict[str, Any]], vaults: list[dict[str, Any]], elsewhere: list[str]
) -> None:
    print(f"\nThis deletes the group {wanted.group} for good: keys, usage, ledger, batches, logs, and")
    for kind, found in (("account with models", accounts), ("key vault", vaults)):
        for one in found:
            print(f"  {kind} {one['name']} ({one['location']})")
    if elsewhere:
        print(f"  {len(elsewhere)} roles on resources elsewhere, which stay otherwise")
    print("Roles in other subscriptions stay: docs/deploy.md says how to find them.")
    if wanted.yes or az.dry:
        return
    if not sys.stdin.isatty():
        raise DeployError("Nobody can answer here: run this again with --yes")
    if input("Type the group's name to go on: ").strip() != wanted.group:
        raise DeployError("Nothing was deleted")


def _purge_vault(az: Az, vault: dict[str, Any]) -> None:
    """Purge protection is what it says: such a vault goes by itself, after the days that it is kept."""
    try:
        az.run("keyvault", "purge", "--name", vault["name"], "--location", vault["location"])
    except AzFailed as failed:
        if "protection" not in failed.said.lower():
            raise
        print(f"  {vault['name']} has purge protection: Azure deletes it after 7 days, and costs nothing until then.")
