"""What Azure says of the accounts that serve models: plain values, in Azure's words.

Owns their form alone. How they are read is adapters/resource_manager.py's; what is made of them, the doctor's
(operations) and `manage init`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A resource of Azure OpenAI or Foundry (Microsoft.CognitiveServices/accounts)."""

    id: str
    """Azure's resource id, from /subscriptions on."""
    name: str
    group: str
    subscription: str
    location: str
    kind: str
    """`OpenAI`, `AIServices`, …"""
    endpoints: Mapping[str, str]
    """Addresses by Azure's name for them, and the account's own under the name ""."""
    custom_domain: bool
    """Without a domain of its own it refuses Entra tokens."""
    local_auth: bool
    """Whether it takes keys."""
    public: bool
    """Whether it can be reached from the internet."""
    private_endpoints: tuple[str, ...] = ()
    """Ids of approved private endpoint connections."""
    state: str = "Succeeded"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment of a model in an account."""

    account: str
    """The account's id."""
    name: str
    format: str
    """`OpenAI`, `Anthropic`, `xAI`, …"""
    model: str
    version: str
    sku: str
    """`Standard`, `GlobalStandard`, `GlobalBatch`, `ProvisionedManaged`, …"""
    capacity: int
    """Thousands of tokens a minute, or PTUs."""
    state: str
    upgrades: str = ""
    """Azure's versionUpgradeOption."""
    tpm: int = 0
    rpm: int = 0
    """What Azure allows a minute, by `rateLimits`; 0: not said."""
    retires: str = ""
    """The date (YYYY-MM-DD) on which Azure takes the model's inference away; empty: not said."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a subscription's quota in one region is taken."""

    name: str
    """As `OpenAI.GlobalStandard.gpt-4o`."""
    used: float
    limit: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role that a principal has."""

    role: str
    """The role definition's GUID."""
    scope: str
    principal: str
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a Flex Consumption app scales, and what the platform knows of it."""

    per_instance: int | None
    """Calls that one instance is given at once; None: the platform's default, which is 1 for Python."""
    memory_mb: int
    most_instances: int
    always_ready: Mapping[str, int] = field(default_factory=dict[str, int])
    runtime: str = ""
    """As `python 3.13`."""
    https_only: bool = True
