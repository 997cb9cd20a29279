"""Every az command that the doctor can print: with all names known, and with those that az has to find out."""

from __future__ import annotations

import re
from inspect import isfunction

from shared.operations.checkup import commands
from shared.operations.checkup.place import Place

KNOWN = Place("func-x", "rg-x", "00000000-0000-0000-0000-000000000001", flex=True)
UNKNOWN = Place("func-x")
NOT_AZ = {"again", "az", "asked", "group_of", "storage_id", "vault_id", "account_id"}
"""Functions of the module that are parts of commands, or no commands of az."""
_INNER = re.compile(r"\$\((az [^()]*)\)")


def commands_of(name: str, place: Place) -> str:
    """By the function that makes it."""
    group = place.group
    principal = "00000000-0000-0000-0000-000000000002"
    arguments: dict[str, tuple[object, ...]] = {
        "give_role": ("Storage Table Data Contributor", principal if group else "", "ServicePrincipal", commands.storage_id("st")),
        "roles_of": (principal if group else "",),
        "sign_in": (principal if group else "",),
        "new_client_secret": (principal,),
        "set_concurrency": (place, 32),
        "set_memory": (place, 2048),
        "set_python": (place, "3.13"),
        "take_settings_away": (place, ["A", "B"]),
        "make_container": ("st", "batches"),
        "make_queue": ("st", "tollgate-batch-drops"),
        "upload": ("st", "config", "config.yaml"),
        "peek": ("st", "tollgate-batch-drops-poison"),
        "open_storage": ("st",),
        "put_secret": ("kv", "name"),
        "enable_secret": ("kv", "name"),
        "show_vault_rules": ("kv",),
        "make_deployment": ("ai", group, "gpt-4o", "OpenAI", "gpt-4o", "2024-11-20" if group else "", "Standard"),
        "show_deployment": ("ai", group, "gpt-4o"),
        "list_models": ("ai", group),
        "list_accounts": (),
        "show_quota": ("eastus2",),
        "give_domain": ("ai", group),
        "show_account": ("ai", group),
        "link_zone": (place if group else Place(), "privatelink.openai.azure.com"),
    }  # fmt: skip
    return getattr(commands, name)(*arguments.get(name, (place,)))


def makers() -> list[str]:
    """The functions that make commands of az."""
    return [
        name
        for name, value in vars(commands).items()
        if isfunction(value)
        and value.__module__ == commands.__name__
        and not name.startswith("_")
        and name not in NOT_AZ
    ]


def every_command() -> list[str]:
    """Also those that stand within others."""
    found = [commands_of(name, place) for name in makers() for place in (KNOWN, UNKNOWN)]
    found.append(commands.give_role("Reader", "", "User", commands.vault_id("kv")))
    found.append(commands.give_role("Reader", "", "User", commands.account_id("ai")))
    return list(dict.fromkeys([*found, *(line for one in found for line in _INNER.findall(one))]))
