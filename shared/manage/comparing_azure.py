"""A configuration beside what is in Azure: what is new there, what is gone, what is not as the file says.

Owns what counts as a difference. Azure's values come from azure_side.py, the file's from the gateway's own reader.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from urllib.parse import urlsplit

from shared.catalog import Catalog, Deployment
from shared.inventory import Account, Deployed
from shared.manage.azure_side import Found
from shared.manage.comparing import Change, Difference
from shared.prices.model_names import candidates, spellings
from shared.transform.surfaces import is_azure_host

_SOON = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Compared:
    differences: list[Difference]
    notes: list[str]
    """What is worth knowing and no difference."""


@dataclass(slots=True)
class _Comparison:
    catalog: Catalog
    found: Found
    today: date
    all_accounts: bool
    differences: list[Difference] = field(default_factory=list[Difference])
    notes: list[str] = field(default_factory=list[str])
    used: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Names of deployments that the file has, by the account's id."""

    def unseen(self, one: Deployment, identity: str) -> None:
        """`identity`: of its account, as the file says it."""
        if self.all_accounts:
            return  # it is in none of those that were asked for
        if identity and identity.split("/")[2] in {known.lower() for known in self.found.subscriptions}:
            where = f"{one.name} in {identity.rpartition('/')[2]}"
            self.differences.append(
                Difference("gone", one.alias, where, why="there is no such account that you can see")
            )
        else:
            self.notes.append(f"{one.label}: you see no account of the address {urlsplit(one.root).netloc}")

    def entry(self, one: Deployment, account: Account) -> None:
        known = self.used.setdefault(account.id, set())
        if one.provider == "content_safety" or account.id not in self.found.deployments:
            return
        known.add(one.name.lower())
        there = next((d for d in self.found.deployments[account.id] if d.name.lower() == one.name.lower()), None)
        where = f"{one.name} in {account.name}"
        if there is None:
            self.differences.append(Difference("gone", one.alias, where, why="Azure has no such deployment"))
            return
        if changes := _changes(one, there, account, self.today):
            self.differences.append(Difference("changed", one.alias, where, changes))
        if self.today.isoformat() < there.retires <= (self.today + _SOON).isoformat():
            self.notes.append(f"{one.label}: Azure retires its model on {there.retires}")

    def new(self) -> None:
        for account in self.found.accounts:
            if account.id in self.used or self.all_accounts:
                for one in self.found.deployments.get(account.id, ()):
                    if one.name.lower() not in self.used.get(account.id, ()):
                        what = " ".join(part for part in (one.model, one.version, one.sku) if part)
                        where = f"{one.name} in {account.name}"
                        self.differences.append(Difference("new", one.model, where, why=f"{what}, not in the file"))
            elif rows := self.found.deployments.get(account.id, ()):
                self.notes.append(f"{account.name} has {len(rows)} deployments and is not in the file")


def compare(catalog: Catalog, found: Found, today: date, *, all_accounts: bool) -> Compared:
    """all_accounts: deployments of accounts that the file does not name are new ones, too."""
    comparison = _Comparison(catalog, found, today, all_accounts)
    by_id = {one.id.lower(): one for one in found.accounts}
    by_host = {host: one for one in found.accounts for host in _hosts(one)}
    ids = {one.resource: one.terms.resource_id.lower() for one in catalog.every() if one.terms.resource_id}
    seen: set[tuple[str, str]] = set()
    for one in catalog.every():
        split = urlsplit(one.root)
        identity = ids.get(one.resource, "")
        account = by_id.get(identity) or by_host.get(split.netloc.lower())
        if (one.alias, one.id) in seen or not (account or identity or is_azure_host(split.hostname or "")):
            continue  # told already; or OpenAI itself, and whatever else is not Azure's
        seen.add((one.alias, one.id))
        if account is None:
            comparison.unseen(one, identity)
        else:
            comparison.entry(one, account)
    comparison.new()
    return Compared(comparison.differences, list(dict.fromkeys(comparison.notes)))


def _hosts(account: Account) -> Iterable[str]:
    for url in account.endpoints.values():
        if host := urlsplit(url).netloc.lower():
            yield host
            # the other addresses of the same account, whichever Azure names
            first, dot, rest = host.partition(".")
            for ending in ("openai", "cognitiveservices", "services.ai"):
                for own in ("openai.", "cognitiveservices.", "services.ai."):
                    if dot and rest.startswith(f"{own}azure."):
                        yield f"{first}.{ending}.{rest.removeprefix(own)}"


def _changes(one: Deployment, there: Deployed, account: Account, today: date) -> tuple[Change, ...]:
    terms = one.terms
    found: dict[str, tuple[object, object]] = {}
    if not _models(one.model) & _models(there.model):
        found["model"] = one.model, there.model
    version = terms.version or next((said for _, said in candidates(one.model) if said), "")
    if version and there.version and not _same_version(version, there.version):
        found["version"] = version, there.version
    if terms.sku != there.sku:
        found["sku"] = terms.sku if terms.sku_given else f"{terms.sku} (assumed)", there.sku
    if terms.region and account.location and terms.region != account.location:
        found["region"] = terms.region, account.location
    if terms.ptu is not None and there.capacity and terms.ptu.units != there.capacity:
        found["ptu units"] = terms.ptu.units, there.capacity
    for name, own, azures in (("tpm", one.tpm, there.tpm), ("rpm", one.rpm, there.rpm)):
        if own and azures and own != azures:
            found[name] = own, azures
    if one.only_batches != there.sku.endswith("Batch"):
        found["mode"] = one.mode or "calls", "batch" if there.sku.endswith("Batch") else "calls"
    if there.state not in ("", "Succeeded"):
        found["state"] = "Succeeded", there.state
    if there.retires and there.retires <= today.isoformat():
        found["model's end"] = "in use", f"retired since {there.retires}"
    return tuple(Change(name, str(was), str(now)) for name, (was, now) in found.items())


def _models(name: str) -> set[str]:
    """All names that mean the same model."""
    return {model for model, _ in candidates(name)}


def _same_version(one: str, other: str) -> bool:
    """`2024-11-20` and `1120` are one."""
    return one == other or bool((set(spellings(_dashed(one))) & set(spellings(_dashed(other)))) - {""})


def _dashed(version: str) -> str:
    """`20250929` as others write it."""
    return f"{version[:4]}-{version[4:6]}-{version[6:]}" if len(version) == 8 and version.isdigit() else version


def resource_ids(catalog: Catalog) -> Mapping[str, str]:
    """The accounts that the file names, by their id in small letters."""
    return {one.terms.resource_id.lower(): one.terms.resource_id for one in catalog.every() if one.terms.resource_id}
