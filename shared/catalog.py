"""What the gateway can serve: the shape of a family, of a surface and of a deployment, and the look-up by alias.

Values only. Which rows exist and how a configuration becomes deployments is decided in `transform`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

from shared.endpoints import Shape
from shared.router_settings import RouterSettings
from shared.types import AuthHeader, Credential, Secret
from shared.zones import Zone, zone_of

Sampling = Literal["any", "fixed", "without_effort"]


@dataclass(frozen=True, slots=True)
class Family:
    """What a model accepts on the chat endpoint, wherever it is hosted.

    sampling: `temperature` and `top_p` may be anything; only their default 1; or anything while no reasoning is done.
    """

    name: str
    token_limit: Literal["max_tokens", "max_completion_tokens", "either"]
    sampling: Sampling
    logprobs: Sampling
    system_role: Literal["keep", "system", "user"]
    """What becomes of `system` and `developer` messages: kept; `developer` becomes `system`; both become `user`."""
    efforts: frozenset[str] | None
    """Values of `reasoning_effort` that are accepted; empty: the parameter is unknown; None: anything passes."""
    default_effort: str
    """What the model does when no effort is named: decides whether sampling parameters are accepted."""
    unsupported: frozenset[str]
    """Top-level parameters that the model refuses."""
    input_modalities: frozenset[str]
    audio_output: bool
    json_schema: bool

    @property
    def reasons(self) -> bool:
        """Whether it is one of OpenAI's reasoning models, whose rules are known."""
        return bool(self.efforts) or self.sampling != "any"


@dataclass(frozen=True, slots=True)
class Surface:
    """One way in which Azure (or a plain OpenAI-compatible host) serves models.

    path: template below the resource's root, with {deployment} and {operation}.
    version: "dated" sends ?api-version=, "named" sends it only when it is `preview`, "none" never.
    """

    name: str
    path: str
    version: Literal["dated", "named", "none"]
    auth_header: AuthHeader
    """How an api key travels. Entra tokens are always sent as a bearer token."""
    entra: bool
    """Whether Entra ID tokens are accepted: never sent to a host that is not Azure's."""
    keeps: bool = True
    """Whether its host keeps objects: files, responses, jobs."""


Provider = Literal["azure", "azure_text", "azure_ai", "openai", "content_safety"]


Sku = Literal[
    "GlobalStandard", "DataZoneStandard", "Standard", "GlobalBatch", "DataZoneBatch", "DeveloperTier",
    "GlobalProvisionedManaged", "DataZoneProvisionedManaged", "ProvisionedManaged",
]  # fmt: skip
"""Azure's names of the ways in which a deployment is sold."""


@dataclass(frozen=True, slots=True)
class Ptu:
    """Provisioned throughput: paid by the hour, used or not."""

    units: int
    hourly_nanos: int = 0
    """For all units together; 0: as the price book has it."""
    capacity_tokens_per_hour: int | None = None
    output_weight: int = 1
    """How many input tokens an output token counts for, of the capacity."""
    whole_share: float = 1.0
    """The share of calls without a stream that may be sent there; the others go to where tokens are paid for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides the price of a deployment's calls (docs/prices.md)."""

    sku: Sku = "GlobalStandard"
    sku_given: bool = False
    """False: nobody said so."""
    region: str = ""
    """Azure's name, `eastus2`; empty when it is not given."""
    area: Literal["", "eu", "us"] = ""
    """The data zone as far as base_model names one (`azure/eu/…`), or the region does (`eu`)."""
    model: str = ""
    """By which prices are looked up, without a provider; empty: there is nothing to go by."""
    version: str = ""
    """As given apart from the model; it wins over one in the model's name."""
    rates: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rates of the configuration, by `tier.context.class`, in pico-dollars per unit: they replace the price book's."""
    ptu: Ptu | None = None
    resource_id: str = ""
    """The account's id in Azure Resource Manager."""

    @property
    def provisioned(self) -> bool:
        return self.ptu is not None or self.sku.endswith("ProvisionedManaged")

    @property
    def zone(self) -> Zone:
        """The data zone, by the region where it is not given."""
        return self.area or zone_of(self.region)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One upstream that can serve an alias. `id` is `resource/deployment`: stable, and made of no secret."""

    id: str
    alias: str
    number: int
    """Its place among the alias's deployments, from 1."""
    provider: Provider
    name: str
    """Azure's deployment name, or the model name on a plain OpenAI-compatible host."""
    resource: str
    """The resource's host name without its domain, or host:port where it has none."""
    surface: Surface
    root: str
    """Scheme, host and path prefix to which the surface's path is appended."""
    api_version: str
    """A date (with or without -preview), `v1`, `preview`, `latest` or empty."""
    family: Family
    model: str
    """The model behind the deployment as far as it is known (base_model, else the deployment's name)."""
    mode: str
    """What kind of model it is (model_info.mode); empty when neither the configuration nor its name says."""
    serves: frozenset[Shape]
    """The shapes in which it can be asked without translation."""
    credential: Credential
    order: int = 1
    weight: float | None = None
    tpm: int | None = None
    rpm: int | None = None
    drop_params: bool = False
    allowed_params: frozenset[str] = frozenset()
    """Passed through although the family refuses them."""
    dropped_params: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Body fields of the configuration, sent with each call that does not set them itself. They may hold secrets (the
    key of a data source), so they hide in `repr`."""
    timeout: float | None = None
    """Seconds until the answer must have begun; None: as router_settings has it."""
    stream_timeout: float | None = None
    """The same for streams; None: as `timeout`."""
    cooldown: float | None = None
    """Seconds that it rests; None: as router_settings has it."""
    tags: frozenset[str] = frozenset()
    """Only calls with one of these tags are sent there; empty: all calls that no tag sends elsewhere."""
    terms: Terms = Terms()
    batch_storage: str = ""
    """The container of the gateway's own storage account by way of which its batches go; empty: they go as files."""

    home: str = ""
    """The alias that it belongs to, while it stands in for another one."""

    @property
    def only_batches(self) -> bool:
        """Whether Azure sells it for batches alone: such a deployment answers no call."""
        return self.mode == "batch" or self.terms.sku.endswith("Batch")

    @property
    def label(self) -> str:
        """How logs name it: neither host nor deployment name."""
        return f"{self.home or self.alias}#{self.number}"

    def standing_in(self, alias: str) -> Deployment:
        """The same for calls that asked for another alias: that is the name which their clients see."""
        return replace(self, alias=alias, home=self.alias)

    def hidden_names(self) -> dict[str, str]:
        """Names that no client may see, and what is shown in their place."""
        return (
            {self.name: self.alias, self.resource: "the resource"}
            if self.name != self.alias
            else {self.resource: "the resource"}
        )


@dataclass(frozen=True, slots=True)
class StoreRules:
    """What the configuration says of objects that Azure keeps."""

    default_resource: str = ""
    """Where objects are made that nothing binds to a resource; empty: the first that the key may use."""
    import_raw_ids: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """resource -> teams and keys whose raw ids are taken to be on it; `*` for all."""
    remove_unusable_items: bool = False
    """Whether items of an input that another resource keeps are taken out, rather than refused."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All deployments by alias, in the order of the configuration."""

    deployments: Mapping[str, tuple[Deployment, ...]]
    warnings: tuple[str, ...] = ()
    rules: StoreRules = StoreRules()
    default_models: Mapping[str, str] = field(default_factory=dict[str, str])
    """shape -> the alias that is meant when a call names none."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """alias -> what is known of its model: context window, prices, mode."""
    router: RouterSettings = field(default_factory=RouterSettings)
    balances_batches: bool = False
    """Whether a batch goes to the deployment that suits it best (enable_loadbalancing_on_batch_endpoints), rather than
    to the first in order that takes it."""
    webhook_secrets: tuple[Secret, ...] = ()
    """By which Azure OpenAI signs its webhooks; one for each resource that sends any."""

    def aliases(self) -> tuple[str, ...]:
        return tuple(self.deployments)

    def of(self, alias: str) -> tuple[Deployment, ...]:
        """-> the deployments of an alias, empty when it is unknown."""
        return self.deployments.get(alias, ())

    def every(self) -> Iterator[Deployment]:
        return chain.from_iterable(self.deployments.values())

    def find(self, deployment_id: str, alias: str) -> Deployment | None:
        """Two aliases may name one deployment, each with prices of its own: that of `alias` goes first."""
        return next((each for each in chain(self.of(alias), self.every()) if each.id == deployment_id), None)

    def keepers(self) -> dict[str, Deployment]:
        """-> for each resource that can keep objects, the deployment by whose credential it is asked."""
        found: dict[str, Deployment] = {}
        for deployments in self.deployments.values():
            for deployment in deployments:
                if deployment.surface.keeps:
                    found.setdefault(deployment.resource, deployment)
        return found
