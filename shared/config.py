"""config.yaml: a document becomes validated values, and the list of everything that is wrong with it, with lines.

Owns the file's form (DESIGN §4) and the references in it (`os.environ/NAME`, `keyvault/NAME`). How YAML is read is
document.py's; what the values mean (surface, family, credential) is decided in transform/resolve.py. Pure: the
environment is an argument.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from shared.document import NO_MODELS, Document, Path, where
from shared.errors import ConfigError, Problem
from shared.types import Json, Secret

SECRET_FIELDS = frozenset({"api_key", "azure_ad_token", "client_secret", "azure_password"})
BASE_NAMES = ("api_base", "base_url", "azure_endpoint")
ENV_PREFIX = "os.environ/"
VAULT_PREFIX = "keyvault/"
_VAULT_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")


class PtuGiven(BaseModel):
    """Provisioned throughput of one deployment."""

    model_config = ConfigDict(extra="forbid")

    units: int = Field(ge=1, le=1_000_000)
    hourly_cost: Any = None
    """In USD, for all units together."""
    capacity_tokens_per_hour: int | None = Field(None, ge=1)
    output_weight: int = Field(1, ge=1, le=100)
    whole_share: float = Field(1.0, ge=0, le=1)
    """Of calls without a stream, how many may go there."""


class Sold(BaseModel):
    """What decides the price of a deployment; rates of its own (`input_cost_per_token`) are read in transform/terms.py.

    It may stand in the parameters as well as in model_info.
    """

    sku: str | None = None
    region: str | None = Field(default=None, validation_alias=AliasChoices("region", "region_name"))
    model_version: str | None = None
    azure_resource_id: str | None = None
    ptu: PtuGiven | None = None


class Params(Sold):
    """`litellm_params` (or `params`) of one entry. Fields that a request body may hold are kept as its defaults."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, coerce_numbers_to_str=True)

    model: str = Field(min_length=1)
    api_base: str | None = Field(None, validation_alias=AliasChoices(*BASE_NAMES))
    api_version: str | None = None
    api_key: Secret | None = None
    azure_ad_token: Secret | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    azure_username: str | None = None
    azure_password: Secret | None = None
    azure_scope: str | None = None
    azure_federated_token_file: str | None = None
    azure_authority_host: str | None = None
    base_model: str | None = None
    family: str | None = None
    capabilities: Json = Field(default_factory=dict[str, Any])
    batch_storage: str | None = None
    """A container: batches get their input from it and leave their output there."""
    tpm: int | None = Field(None, ge=0)
    rpm: int | None = Field(None, ge=0)
    weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    order: int | None = Field(None, ge=0)
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    stream_timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    cooldown_time: float | None = Field(None, ge=0, le=86400)
    tags: list[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]] = Field(
        default_factory=list[str]
    )
    drop_params: bool | None = None
    additional_drop_params: list[str] = Field(default_factory=list[str])
    allowed_openai_params: list[str] = Field(default_factory=list[str])
    extra_body: Json = Field(default_factory=dict[str, Any])


class ModelInfo(Sold):
    """`model_info` of one entry: what is known of the model; anything else in it is the operator's own note."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    base_model: str | None = None
    mode: Literal[
        "chat", "completion", "embedding", "responses", "image_generation", "audio_transcription", "audio_speech",
        "batch", "moderation", "rerank", "video_generation", "realtime", "messages",
    ] | None = None  # fmt: skip
    family: str | None = None
    capabilities: Json = Field(default_factory=dict[str, Any])


class Entry(BaseModel):
    """One deployment behind an alias. tpm, rpm, weight and order may stand here as well as in the parameters."""

    model_config = ConfigDict(extra="forbid")

    model_name: str = Field(min_length=1, max_length=200)
    params: Params = Field(validation_alias=AliasChoices("litellm_params", "params"))
    model_info: ModelInfo = Field(default_factory=ModelInfo)
    tpm: int | None = Field(None, ge=0)
    rpm: int | None = Field(None, ge=0)
    weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    order: int | None = Field(None, ge=0)


class Options(BaseModel):
    """`litellm_settings` (or `settings`): what holds for all entries."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    drop_params: bool = False
    enable_azure_ad_token_refresh: bool = False
    enable_loadbalancing_on_batch_endpoints: bool = False
    default_models: dict[str, str] = Field(default_factory=dict[str, str])
    default_resource: str | None = None
    import_raw_ids: dict[str, Literal["*"] | list[str]] = Field(default_factory=dict[str, Any])
    unusable_items: Literal["refuse", "remove"] = "refuse"
    batch_webhook_secrets: list[Secret] = Field(default_factory=list[Secret])
    """By which Azure OpenAI signs its webhooks."""


def _or_empty(given: Any) -> Any:
    """A section of which every line is commented out."""
    return {} if given is None else given


class File(BaseModel):
    """The whole file but for its entries, which are checked one by one so that all problems are found at once."""

    model_config = ConfigDict(extra="allow")

    model_list: list[Any] = Field(min_length=1)
    settings: Options = Field(default_factory=Options, validation_alias=AliasChoices("litellm_settings", "settings"))
    router_settings: Annotated[Json, BeforeValidator(_or_empty)] = Field(default_factory=dict[str, Any])
    """Read in transform/router_config.py."""


@dataclass(frozen=True, slots=True)
class Config:
    """A checked file. `entries` holds those that are valid, by their index; `problems` what is wrong with the rest."""

    file: File
    entries: Mapping[int, Entry]
    incomplete: frozenset[int]
    """Entries that lack the value of a reference: checked so far, but of no use."""
    problems: list[Problem]


def vault_names(document: Document) -> frozenset[str]:
    """Key Vault secrets that must be read before the file can be understood: those outside of secret fields."""
    return frozenset(
        vault_name(value[len(VAULT_PREFIX) :])
        for path, value in _walk(document.data, ())
        if isinstance(value, str) and value.startswith(VAULT_PREFIX) and not _is_secret(path)
    )


def vault_name(name: str) -> str:
    """The legal form of a secret's name: Key Vault knows letters, digits and hyphens only."""
    return name.replace("_", "-")


def parse(document: Document, environ: Mapping[str, str], vault: Mapping[str, str]) -> Config:
    """References filled in, fields checked. `vault`: values of `vault_names`.

    Raises ConfigError only when there is nothing to go on with; other problems are in the answer.
    """
    problems = list(document.problems)
    data = _fill(document.data, (), document, environ, vault, problems)
    if not isinstance(data, dict) or "model_list" not in data:
        problems.append(document.problem((), "there is no model_list", NO_MODELS))
        raise ConfigError(problems)
    entries: dict[int, Entry] = {}
    unfilled = {p.where.partition(".")[0] for p in problems}
    for index, given in enumerate(data["model_list"] if isinstance(data["model_list"], list) else ()):
        path: Path = ("model_list", index)
        try:
            entry = Entry.model_validate(given)
        except ValidationError as error:
            problems += _explain(error, path, document)
        else:
            entries[index] = entry
    try:
        file = File.model_validate(data)
    except ValidationError as error:
        raise ConfigError([*problems, *_explain(error, (), document)]) from error
    incomplete = frozenset(i for i in entries if where(("model_list", i)) in unfilled)
    return Config(file, entries, incomplete, problems)


def _fill(
    value: Any, path: Path, document: Document, environ: Mapping[str, str], vault: Mapping[str, str],
    problems: list[Problem],
) -> Any:  # fmt: skip
    """The value with its references resolved; secrets become `Secret`."""
    if isinstance(value, dict):
        return {k: _fill(v, (*path, k), document, environ, vault, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, (*path, i), document, environ, vault, problems) for i, v in enumerate(value)]
    if isinstance(value, str) and value.startswith(ENV_PREFIX):
        name = value.removeprefix(ENV_PREFIX)
        if not environ.get(name):
            remedy = f"set the app setting {name}, or write the value or keyvault/NAME here"
            problems.append(document.problem(path, f"the environment variable {name} is not set", remedy))
            return None
        value = environ[name]
    elif isinstance(value, str) and value.startswith(VAULT_PREFIX):
        name = vault_name(value.removeprefix(VAULT_PREFIX))
        if not _VAULT_NAME.fullmatch(name):
            remedy = "a Key Vault secret's name has 1 to 127 letters, digits and hyphens"
            problems.append(document.problem(path, f"{name!r} is not a name of a secret", remedy))
            return None
        if _is_secret(path):
            return Secret(vault_name=name)
        if name not in vault:
            remedy = f"create the secret {name} and let the app's identity read it (Key Vault Secrets User)"
            problems.append(document.problem(path, f"the Key Vault secret {name} could not be read", remedy))
            return None
        value = vault[name]
    return Secret(str(value)) if _is_secret(path) and value is not None else value


def _is_secret(path: Path) -> bool:
    if len(path) == 3 and path[0] in ("litellm_settings", "settings") and path[1] == "batch_webhook_secrets":
        return True
    return len(path) == 4 and path[0] == "model_list" and path[3] in SECRET_FIELDS


def _walk(value: Any, path: Path) -> list[tuple[Path, Any]]:
    if isinstance(value, dict):
        return [found for k, v in value.items() for found in _walk(v, (*path, k))]
    if isinstance(value, list):
        return [found for i, v in enumerate(value) for found in _walk(v, (*path, i))]
    return [(path, value)]


def _explain(error: ValidationError, around: Path, document: Document) -> list[Problem]:
    """Pydantic's errors in the operator's words."""
    known = ["litellm_params", *Entry.model_fields]
    return [
        form_problem(
            dict(e), (*around, *e["loc"]), document, PtuGiven.model_fields if "ptu" in e["loc"][:-1] else known
        )
        for e in error.errors()
    ]


def form_problem(error: Json, path: Path, document: Document, known: Iterable[str]) -> Problem:
    """One of pydantic's errors. known: the names that may stand where an unknown one stands."""
    kind, given = error["type"], document.at(path)  # as written: the value of a reference may be a secret
    if kind == "missing":
        return document.problem(path[:-1], f"{path[-1]} is missing", f"add '{path[-1]}: …' here")
    if kind == "extra_forbidden":
        return document.problem(path, "unknown field", suggestion(str(path[-1]), known))
    shown = "" if isinstance(given, (dict, list)) or _is_secret(path) else f" (it is {given!r})"
    return document.problem(path, f"{error['msg'].lower()}{shown}", "correct the value, or leave the field out")


def params_at(document: Document, index: int) -> Path:
    """Where an entry's parameters stand."""
    section = "params" if document.at(("model_list", index, "params")) else "litellm_params"
    return ("model_list", index, section)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown field."""
    close = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f"write '{close[0]}'" if close else "remove it"
