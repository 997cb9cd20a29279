"""From accounts and deployments in Azure to entries of config.yaml: alias, address, SKU, limits, what is known of it.

Owns the choices; config_yaml.py writes them, and the gateway's own reader judges them. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, get_args
from urllib.parse import urlsplit

from shared.catalog import Sku
from shared.inventory import Account, Deployed
from shared.manage.azure_side import Found
from shared.operations.checkup.commands import give_domain
from shared.transform.serving import mode_of

MODERATION = "omni-moderation-latest"
"""The model that OpenAI's SDKs ask for moderations."""
_SOON = timedelta(days=365)
"""So long before a model is retired its entry says so."""
_SKUS: tuple[str, ...] = get_args(Sku)
_FOUNDRY_HOSTS = {f".cognitiveservices.azure.{cloud}": f".services.ai.azure.{cloud}" for cloud in ("com", "us", "cn")}


@dataclass(frozen=True, slots=True)
class Draft:
    """One entry."""

    alias: str
    account: Account
    deployed: Deployed | None
    """None: the account itself is what is asked (moderations)."""
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    account: str
    deployment: str
    why: str

    def __str__(self) -> str:
        return f"{' / '.join(filter(None, (self.account, self.deployment)))}: {self.why}"


def drafts(found: Found, today: date) -> tuple[list[Draft], list[LeftOut]]:
    """In the order in which they are written: by alias, provisioned throughput first."""
    taken: list[tuple[Account, Deployed]] = []
    left: list[LeftOut] = []
    for account in found.accounts:
        for one in found.deployments.get(account.id, ()):
            if why := _unfit(account, one):
                left.append(LeftOut(account.name, one.name, why))
            else:
                taken.append((account, one))
    aliases = _aliases(one for _, one in taken)
    soon = (today + _SOON).isoformat()
    entries = [_entry(aliases[_named(one)], account, one, soon) for account, one in taken]
    moderators = [account for account in found.accounts if account.kind == "ContentSafety"]
    left += [LeftOut(one.name, "", _no_domain(one)) for one in moderators if not one.custom_domain]
    entries += [_moderator(account) for account in moderators if account.custom_domain]
    return list(_in_order(entries)), left


def _no_domain(account: Account) -> str:
    mend = give_domain(account.name, account.group)
    return f"the account has no domain of its own, and so takes no Entra tokens: {mend}"


def _unfit(account: Account, one: Deployed) -> str:
    if not account.custom_domain:
        return _no_domain(account)
    if one.state not in ("", "Succeeded"):
        return f"its state is {one.state}"
    if "rerank" in one.model.lower():
        return "models that rerank are not served"
    return ""


def _named(one: Deployed) -> tuple[str, str, bool]:
    return one.model.lower(), one.version, one.sku.endswith("Batch")


def _aliases(deployments: Iterable[Deployed]) -> dict[tuple[str, str, bool], str]:
    """The newest version of a model has its name alone, so that no call meets another version by chance. What is sold
    for batches has a name of its own: calls are not answered there."""
    versions: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    wanted: dict[tuple[str, str, bool], str] = {}
    for one in deployments:
        versions[one.model.lower()].add((one.retires, one.version))
        wanted.setdefault(_named(one), one.model)
    for (key, version, batch), model in list(wanted.items()):
        newest = max(versions[key])[1]
        alias = model if version == newest else f"{model}-{version}"
        wanted[key, version, batch] = f"{alias}-batch" if batch else alias
    return wanted


def _entry(alias: str, account: Account, one: Deployed, soon: str) -> Draft:
    partner, provisioned, batch = (
        one.format != "OpenAI",
        one.sku.endswith("ProvisionedManaged"),
        one.sku.endswith("Batch"),
    )
    claude = one.format == "Anthropic"
    prefix = "azure_ai" if partner and not claude else "azure"
    base = _foundry(account) if partner else _openai(account)
    limits = {} if provisioned or batch else {"tpm": one.tpm, "rpm": one.rpm}
    params: dict[str, Any] = {
        "model": f"{prefix}/{one.name}",
        "api_base": f"{base}/anthropic" if claude else base,
        "sku": one.sku if one.sku in _SKUS else None,
        "region": account.location,
        "model_version": one.version if len(one.version) > 3 else None,  # "1" and "001" are no more than one version
        **limits,
        "ptu": {"units": one.capacity} if provisioned and one.capacity else None,
        "azure_resource_id": account.id,
    }
    kind = "batch" if batch else mode_of(None, one.model, responses_prefix=False, text=False, moderates=False)
    info = {"mode": kind, "base_model": f"azure/{one.model}" if one.name.lower() != one.model.lower() else None}
    notes = [*_notes(account), *([] if one.sku in _SKUS else [f"its SKU, {one.sku}, is not known here"])]
    if one.retires and one.retires <= soon:
        notes.append(f"Azure retires this model on {one.retires}")
    return Draft(alias, account, one, _given(params), _given(info), tuple(notes))


def _moderator(account: Account) -> Draft:
    params = {"model": "content_safety/text", "api_base": account.endpoints[""].rstrip("/")}
    return Draft(MODERATION, account, None, {**params, "azure_resource_id": account.id}, {}, _notes(account))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _notes(account: Account) -> tuple[str, ...]:
    return () if account.public else (f"{account.name} is reached by its private endpoint only",)


def _openai(account: Account) -> str:
    found = account.endpoints.get("OpenAI Language Model Instance API") or account.endpoints[""]
    return found.rstrip("/")


def _foundry(account: Account) -> str:
    """Where a Foundry resource serves other makers' models."""
    if named := account.endpoints.get("AI Foundry API"):
        return named.rstrip("/")
    split = urlsplit(account.endpoints[""])
    for ending, own in _FOUNDRY_HOSTS.items():
        if split.netloc.endswith(ending):
            return f"{split.scheme}://{split.netloc.removesuffix(ending)}{own}"
    return account.endpoints[""].rstrip("/")


def _in_order(entries: list[Draft]) -> Iterator[Draft]:
    """Where some deployments of an alias are provisioned, they are asked first, and the others take what is over."""
    groups: defaultdict[str, list[Draft]] = defaultdict(list)
    for entry in entries:
        groups[entry.alias].append(entry)
    for alias in sorted(groups, key=str.lower):
        members = sorted(groups[alias], key=lambda one: not _provisioned(one))  # keeps the order of the accounts
        if 0 < sum(map(_provisioned, members)) < len(members):
            for one in members:
                order = 1 if _provisioned(one) else 2
                yield replace(one, params={**one.params, "order": order})
        else:
            yield from members


def _provisioned(entry: Draft) -> bool:
    return entry.deployed is not None and entry.deployed.sku.endswith("ProvisionedManaged")
