"""What Azure Resource Manager is to say: as it follows from what the fake serves, with what was arranged laid over it.

Owns the defaults and the orders, which `clear` forgets. Knows no HTTP.
"""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..models import Resource, model_of
from .monitor import GROUP, SUBSCRIPTION

ROLES_FILE = Path(__file__).parents[3] / "shared" / "roles.json"
LONG_AGO = "2026-01-05T09:00:00.0000000Z"
_VERSION = re.compile(r"(.+)-(\d{4}-\d\d-\d\d|\d{8}|\d{4}|\d{3}|\d\.\d)")
_FORMATS = (("claude", "Anthropic"), ("grok", "xAI"))


@dataclass(frozen=True, slots=True)
class Account:
    url: str
    kind: str
    location: str = "eastus2"
    group: str = GROUP
    custom_domain: bool = True
    local_auth: bool = True
    public: bool = True
    private_endpoints: Mapping[str, str] = field(default_factory=dict[str, str])  # name: Approved, Pending, …
    state: str = "Succeeded"


@dataclass(frozen=True, slots=True)
class Deployment:
    name: str
    model: str
    version: str
    format: str = "OpenAI"
    sku: str = "GlobalStandard"
    capacity: int = 120
    state: str = "Succeeded"
    upgrades: str = "OnceNewDefaultVersionAvailable"
    tpm: int = 120_000
    rpm: int = 120
    retires: str = "2030-12-31"

    @property
    def usage(self) -> str:
        return f"{self.format}.{self.sku}.{self.model}"


@dataclass(frozen=True, slots=True)
class Role:
    id: str
    scope: str = f"/subscriptions/{SUBSCRIPTION}"
    principal: str = ""  # empty: whoever asks
    created: str = LONG_AGO


@dataclass(frozen=True, slots=True)
class Scaling:
    per_instance: int | None = 32
    memory_mb: int = 2048
    most_instances: int = 40
    always_ready: Mapping[str, int] = field(default_factory=dict[str, int])
    python: str = "3.13"
    https_only: bool = True


class Arranged:
    """Orders may come from any thread."""

    def __init__(self, resources: Mapping[str, Resource], urls: Mapping[str, str]) -> None:
        self._resources, self._urls = resources, urls
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._accounts: dict[str, Account] = {}
            self._gone: set[str] = set()
            self._deployments: dict[tuple[str, str], dict[str, Any]] = {}
            self._quotas: dict[tuple[str, str], tuple[float, float]] = {}
            self.roles: Sequence[Role] = [Role(row["id"]) for row in _known_roles() if row["who"] == "app"]
            self.scaling = Scaling()

    # What is asked.

    @property
    def accounts(self) -> dict[str, Account]:
        served = {
            name: Account(f"{self._urls[name]}/", "AIServices" if resource.kind == "foundry" else "OpenAI")
            for name, resource in self._resources.items()
            if resource.kind != "plain"
        }
        return {name: found for name, found in {**served, **self._accounts}.items() if name not in self._gone}

    def deployments(self, account: str) -> list[Deployment]:
        resource = self._resources.get(account)
        served = {name: _deployment(name, model) for name, model in (resource.deployments if resource else {}).items()}
        for (of, name), changed in list(self._deployments.items()):
            if of == account:
                known = served.pop(name, None) or _deployment(name, name)
                if not changed.get("gone"):
                    served[name] = replace(known, **changed)
        return list(served.values())

    def quotas(self, location: str) -> dict[str, tuple[float, float]]:
        """Taken and limit. Unless it was set, the limit is ten times what deployments take: there is room for more."""
        taken: dict[str, float] = {}
        for name, account in self.accounts.items():
            if account.location == location:
                for one in self.deployments(name):
                    taken[one.usage] = taken.get(one.usage, 0.0) + one.capacity
        found = {name: (used, 10.0 * used) for name, used in taken.items()}
        return found | {name: figures for (of, name), figures in self._quotas.items() if of == location}

    # What is ordered.

    def set_account(self, name: str, gone: bool = False, **changed: Any) -> None:
        """Members of Account, of one that is served or of a new one. `gone`: it is not there."""
        _check(Account, changed)
        with self._lock:
            (self._gone.add if gone else self._gone.discard)(name)
            known = self.accounts.get(name) or Account("https://nowhere.example/", "AIServices")
            if changed or name not in self._resources:
                self._accounts[name] = replace(known, **changed)

    def set_deployment(self, account: str, name: str, **changed: Any) -> None:
        """Members of Deployment, of one that is served or of a new one. `gone`: it is not there."""
        _check(Deployment, {key: value for key, value in changed.items() if key != "gone"})
        with self._lock:
            self._deployments[account, name] = {**self._deployments.get((account, name), {}), **changed}

    def set_roles(self, roles: Sequence[str | Mapping[str, str]]) -> None:
        """These alone: a name of roles.json or an id, or members of Role with `role` for either."""
        ids = {row["name"]: row["id"] for row in _known_roles()}
        found: list[Role] = []
        for given in roles:
            row = {"role": given} if isinstance(given, str) else dict(given)
            role = row.pop("role")
            found.append(Role(ids.get(role, role), **row))
        self.roles = found

    def set_usage(self, location: str, name: str, used: float, limit: float) -> None:
        with self._lock:
            self._quotas[location, name] = (used, limit)

    def set_scaling(self, **changed: Any) -> None:
        """Members of Scaling."""
        self.scaling = replace(self.scaling, **changed)


def _known_roles() -> list[dict[str, str]]:
    return json.loads(ROLES_FILE.read_text("utf-8"))


def _deployment(name: str, served: str) -> Deployment:
    """served: what the fake's answers report as the model, version and all."""
    found = None if served.startswith("text-embedding") else _VERSION.fullmatch(served)
    model, version = (found[1], found[2]) if found else (served, "1")
    maker = next((form for prefix, form in _FORMATS if model_of(served).partner and model.startswith(prefix)), "OpenAI")
    return Deployment(name, model, version, maker, "GlobalBatch" if "batch" in name else "GlobalStandard")


def _check(form: type[Any], given: Mapping[str, Any]) -> None:
    unknown = set(given) - {member.name for member in fields(form)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
