"""The values that travel down the pipeline. Data only: no behaviour beyond what a value can say of itself, no I/O.

The order of the classes is the order in which a call meets them (DESIGN §2).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from shared.ports import Form

type Json = dict[str, Any]
type RawHeaders = list[tuple[bytes, bytes]]

Outcome = Literal[
    "ok", "client_error", "client_closed", "upstream_error", "upstream_cut", "gateway_error", "unfinished"
]
"""`unfinished`: written before the upstream was asked (USAGE_FLUSH=request), and never replaced by the outcome."""


class Secret:
    """A value that must not be seen: it hides in `repr`, in f-strings and in tracebacks.

    Either the value itself, or the name of the Key Vault secret that holds it; never both.
    """

    __slots__ = ("_value", "vault_name")

    def __init__(self, value: str = "", *, vault_name: str | None = None) -> None:
        self._value = value
        self.vault_name = vault_name

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret(keyvault/{self.vault_name})" if self.vault_name else "Secret(**********)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other.reveal() and self.vault_name == other.vault_name

    def __hash__(self) -> int:
        return hash((self._value, self.vault_name))


@dataclass(slots=True)
class ApiRequest:
    """One client call as the web adapter read it. `headers` has lower-case names."""

    id: str
    endpoint: str
    method: str
    headers: Mapping[str, str]
    path_params: Mapping[str, str]
    body: bytes
    """Complete, unless there is a form."""
    query: tuple[tuple[str, str], ...] = ()
    form: Form | None = None
    """A multipart body, read as it is needed."""


CredentialKind = Literal["api_key", "static_token", "client_secret", "password", "federated", "default"]


@dataclass(frozen=True, slots=True)
class Credential:
    """How the gateway signs in to one deployment. Equal credentials share one token cache."""

    kind: CredentialKind
    secret: Secret = field(default_factory=Secret)
    """The api key, static token, client secret or password; unused by the other kinds."""
    tenant_id: str = ""
    client_id: str = ""
    username: str = ""
    token_file: str = ""
    """federated: the file that holds the assertion; `env:NAME` for an environment variable that holds it."""
    authority: str = ""
    scope: str = ""


AuthHeader = Literal["api-key", "x-api-key", "bearer", "ocp-apim-subscription-key"]


@dataclass(slots=True)
class UpstreamRequest:
    """One HTTP request to Azure, without its credential: `adapters/upstream.py` attaches that."""

    method: str
    url: str
    body: bytes | AsyncIterable[bytes]
    credential: Credential
    auth_header: AuthHeader
    """How an api key is sent; tokens are always sent as `Authorization: Bearer`."""
    content_type: str = "application/json"
    length: int | None = None
    """Bytes of a body that is not held, when they are known."""
    headers: tuple[tuple[str, str], ...] = ()
    """What the upstream's own protocol needs besides: a version, what of it is beta."""
    connect: float = 10.0
    """Seconds until there must be a connection."""
    idle: float = 300.0
    """Seconds of silence within the answer after which it counts as broken off."""


@dataclass(slots=True)
class UpstreamReply:
    """An answer of which nothing but the head has been read. `close` must be awaited exactly once."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes the cached ones, `output_tokens` the reasoning ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cache_write_tokens: int = 0
    """Input tokens that were written to a cache; part of `input_tokens`."""
    cache_write_1h_tokens: int = 0
    """Those of them that are kept for an hour (Anthropic), which cost more."""
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    training_tokens: int = 0
    images: int = 0
    image_kind: str = ""
    """Size and quality of the images, `1024x1024 hd`."""
    characters: int = 0
    """Of text that was spoken."""
    audio_seconds: float = 0.0
    """Of audio that was transcribed."""
    video_seconds: float = 0.0
    """Of videos that were made."""
    tier: str = ""
    """The service tier by which the upstream says it has served: `priority`, `flex`, `default`; empty: it said none."""
    estimated: bool = False
    """True when Azure sent no figures and the gateway counted by its own rule (docs/usage.md)."""

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs by the prices in force when it began."""

    nanos: int = 0
    """Nano-dollars, rounded half up from exact pico-dollars."""
    priced: bool = True
    """False when something that was used has no price: it is counted, flagged and never taken for free."""
    basis: str = ""
    """Where the price is from: `azure-retail 2026-06-01 GlobalStandard`, `config`, `ptu`; empty: nothing to price."""


NO_COST = Cost()

CapacityTier = Literal["", "ptu", "spill", "azure-spill"]
"""Of an alias with provisioned throughput, what served: that; a deployment of ours that is paid by the token (`spill`);
one that Azure itself turned to (`azure-spill`). Empty for an alias without."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a call is expected to take of limits, or has taken: total tokens and nano-dollars."""

    tokens: int = 0
    nanos: int = 0


@dataclass(slots=True)
class UsageRecord:
    """One row of the ledger: a call that a known key made, whatever became of it. Times in seconds."""

    request_id: str
    at: float
    key_id: str
    key_name: str
    team: str
    alias: str
    endpoint: str
    deployment: str
    label: str
    """The deployment as logs may name it: its alias and number."""
    upstream_model: str
    status: int
    outcome: Outcome
    stream: bool
    attempts: int
    usage: Usage
    latency: float
    first_token: float | None
    cost: Cost = NO_COST
    tags: tuple[str, ...] = ()
    user: str = ""
    """The end user as the client named him, shortened."""
    shadow: str = ""
    """The limit that would have refused the call, had it not been in shadow mode."""
    capacity: CapacityTier = ""
    served_alias: str = ""
    """The alias that stood in for the one that was asked for (fallbacks); empty: none did."""
    calls: int = 1
    """Calls that it stands for: the lines of a batch, or of a part of one, are written down together."""
    calls_failed: int = 0
    """Of these, where there is more than one."""
    batch: str = ""
    """The batch that it is of; empty: of none."""
    engine: str = ""
    """What ran the batch: `azure` (its batch service) or `own` (calls of the gateway's own)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table store. `values` holds PartitionKey and RowKey."""

    table: str
    values: Mapping[str, str | int | float | bool | bytes]


class CutFile(Exception):
    """Raised by the body of a reply: a file broke off, and the client is told so by breaking off as well."""


@dataclass(slots=True)
class Reply:
    """What the web adapter sends to the client, and how it says that it is done.

    The chunks of an event stream are whole server-sent events. Whoever holds the reply awaits `finish` exactly once,
    on every path: it closes the upstream and writes the usage record.
    """

    status: int
    headers: RawHeaders
    body: bytes | AsyncIterator[bytes]
    finish: Callable[[bool], Awaitable[None]]
    """`finish(client_closed)`."""
    content_type: str = "application/json"
    drain_seconds: float = 0
    """How long the body is still read, unsent, when the client has left: so that Azure's own figures are recorded."""
