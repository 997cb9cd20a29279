"""What is in Azure, as far as whoever runs a command can see it: accounts of models and what is deployed in them.

Owns the sign-in of the command line (az login, managed identity, whatever DefaultAzureCredential finds) and what is
looked at. Knows nothing of config.yaml.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import SystemRandom

from shared.adapters.resource_manager import ArmFailed, ResourceManager
from shared.addresses import is_safe_url
from shared.inventory import Account, Deployed
from shared.manage.context import CommandError
from shared.settings import RESOURCE_MANAGER
from shared.types import UsageRecord

KINDS = ("OpenAI", "AIServices", "ContentSafety")
"""Kinds of accounts that serve what a gateway can pass on."""
_AT_ONCE = 8
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accounts; what is empty means all that can be seen."""

    subscriptions: tuple[str, ...] = ()
    """Ids or names."""
    group: str = ""
    accounts: tuple[str, ...] = ()
    """Names."""


@dataclass(frozen=True, slots=True)
class Found:
    accounts: tuple[Account, ...]
    deployments: Mapping[str, tuple[Deployed, ...]]
    """By the account's id."""
    subscriptions: Mapping[str, str]
    """Name by id, of those that were looked at."""
    notes: tuple[str, ...] = ()
    """What could not be read."""


class _Unlogged:
    """A log for a command, which says itself what has failed."""

    def call(self, record: UsageRecord) -> None: ...

    def warning(self, message: str, **fields: object) -> None: ...


@dataclass(slots=True)
class _Look:
    """One look at Azure: what fails in part is noted, and the rest goes on."""

    arm: ResourceManager
    notes: list[str] = field(default_factory=list[str])
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def all_of[K, T](self, what: str, keys: Iterable[K], ask: Callable[[K], Awaitable[T]]) -> dict[K, T]:
        """What was answered, by key. Raises ArmFailed when nothing was."""

        async def one(key: K) -> T | ArmFailed:
            async with self.turns:
                try:
                    return await ask(key)
                except ArmFailed as error:
                    return error

        wanted = list(keys)
        answers = await asyncio.gather(*map(one, wanted))
        failed = [(key, answer) for key, answer in zip(wanted, answers, strict=True) if isinstance(answer, ArmFailed)]
        if failed and len(failed) == len(wanted):
            raise failed[0][1]
        self.notes += [f"{what} {str(key).rpartition('/')[2]}: {error}" for key, error in failed]
        return {k: answer for k, answer in zip(wanted, answers, strict=True) if not isinstance(answer, ArmFailed)}


@asynccontextmanager
async def resource_manager(environ: Mapping[str, str]) -> AsyncGenerator[ResourceManager]:
    """Azure Resource Manager for one command. Raises CommandError for what goes wrong with it."""
    import httpx

    from shared.adapters.identity import EntraTokens
    from shared.adapters.telemetry import quiet_libraries

    async def no_secret(name: str) -> str:
        raise KeyError(name)

    quiet_libraries()
    url = (environ.get("RESOURCE_MANAGER_URL") or RESOURCE_MANAGER).rstrip("/")
    if not is_safe_url(url):
        raise CommandError(f"RESOURCE_MANAGER_URL is {url!r}: remove the setting to ask Azure Resource Manager.")
    tokens = EntraTokens(environ, time.time, _Unlogged(), SystemRandom(), no_secret)
    async with httpx.AsyncClient(timeout=_SECONDS) as http:
        try:
            yield ResourceManager(http, url, tokens)
        except ArmFailed as error:
            raise CommandError(_advised(error)) from error
        finally:
            await tokens.close()


def _advised(error: ArmFailed) -> str:
    if error.code == "NoToken":
        return (
            "Nobody is signed in to Azure here. Run 'az login' (with --tenant TENANT, if you have several), then this "
            f"command again.\n{error}"
        )
    if error.status == 0:
        return f"{error}. Check the network, HTTPS_PROXY, and RESOURCE_MANAGER_URL if it is set."
    if error.status == 403:
        return f"{error}\nAsk for the role Reader on the resource group of the accounts."
    return str(error)


async def discover(arm: ResourceManager, wanted: Wanted) -> Found:
    """Raises ArmFailed, and CommandError when a subscription or an account is named that nobody sees."""
    look = _Look(arm)
    subscriptions = _chosen(await arm.subscriptions(), wanted.subscriptions)
    listed = await look.all_of("subscription", subscriptions, lambda one: arm.accounts(one, wanted.group))
    accounts = [one for rows in listed.values() for one in rows if one.kind in KINDS]
    if wanted.accounts:
        names = {one.name.lower() for one in accounts}
        if missing := [name for name in wanted.accounts if name.lower() not in names]:
            seen = ", ".join(sorted(one.name for one in accounts)) or "none"
            raise CommandError(f"There is no account {missing[0]!r} of AI models that you can see. There are: {seen}.")
        accounts = [one for one in accounts if one.name.lower() in {name.lower() for name in wanted.accounts}]
    return await _with_deployments(look, accounts, subscriptions)


async def _with_deployments(look: _Look, accounts: list[Account], subscriptions: Mapping[str, str]) -> Found:
    ids = [one.id for one in accounts if one.kind != "ContentSafety"]
    deployments = await look.all_of("account", ids, look.arm.deployments)
    ordered = tuple(sorted(accounts, key=lambda one: (one.subscription, one.name.lower())))
    return Found(ordered, {k: tuple(rows) for k, rows in deployments.items()}, subscriptions, tuple(look.notes))


def _chosen(seen: list[tuple[str, str]], wanted: tuple[str, ...]) -> dict[str, str]:
    if not seen:
        raise CommandError("You see no subscription. Run 'az login --tenant TENANT', or ask for the role Reader.")
    if not wanted:
        return dict(seen)
    found: dict[str, str] = {}
    for text in wanted:
        own = {one: name for one, name in seen if text.lower() in (one.lower(), name.lower())}
        if not own:
            names = ", ".join(f"{name} ({one})" for one, name in seen)
            raise CommandError(f"You see no subscription {text!r}. There are: {names}.")
        found |= own
    return found
