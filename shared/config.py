"""config.yaml: a document becomes validated values, and the list of everything that is wrong with it, with lines.

Owns the file's form (DESIGN §4) and the references in it (`os.environ/NAME`, `keyvault/NAME`). How YAML is read is
document.py's; what the values mean (surface, family, credential) is decided in transform/resolve.py. Pure: the
environment is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic_core import ValidationError

from shared.checked import (
    Checked,
    after,
    anything,
    either,
    flag,
    instance,
    mapping,
    needed,
    number,
    one_of,
    optional,
    several,
    text,
    usually,
    whole,
)
from shared.document import NO_MODELS, Document, Path, where
from shared.errors import ConfigError, Problem
from shared.types import Json, Secret

SECRET_FIELDS = frozenset({"api_key", "azure_ad_token", "client_secret", "azure_password"})
BASE_NAMES = ("api_base", "base_url", "azure_endpoint")
ENV_PREFIX = "os.environ/"
VAULT_PREFIX = "keyvault/"
_VAULT_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
Mode = Literal[
    "chat", "completion", "embedding", "responses", "image_generation", "audio_transcription", "audio_speech",
    "batch", "moderation", "rerank", "video_generation", "realtime", "messages",
]  # fmt: skip
"""What a model is for, in LiteLLM's words."""


class PtuGiven(Checked, extra="forbid"):
    """Provisioned throughput of one deployment."""

    units: int = needed(whole(ge=1, le=1_000_000))
    hourly_cost: Any = usually(None, anything())
    """In USD, for all units together."""
    capacity_tokens_per_hour: int | None = optional(whole(ge=1))
    output_weight: int = usually(1, whole(ge=1, le=100))
    whole_share: float = usually(1.0, number(ge=0, le=1))
    """Of calls without a stream, how many may go there."""


class Sold(Checked):
    """What decides the price of a deployment; rates of its own (`input_cost_per_token`) are read in transform/terms.py.

    It may stand in the parameters as well as in model_info.
    """

    sku: str | None = optional(text())
    region: str | None = optional(text(), "region", "region_name")
    model_version: str | None = optional(text())
    azure_resource_id: str | None = optional(text())
    ptu: PtuGiven | None = optional(PtuGiven.kind)


class Params(Sold, extra="allow", numbers_as_text=True):
    """`litellm_params` (or `params`) of one entry. Fields that a request body may hold are kept as its defaults."""

    model: str = needed(text(min_length=1))
    api_base: str | None = optional(text(), *BASE_NAMES)
    api_version: str | None = optional(text())
    api_key: Secret | None = optional(instance(Secret))
    azure_ad_token: Secret | None = optional(instance(Secret))
    tenant_id: str | None = optional(text())
    client_id: str | None = optional(text())
    client_secret: Secret | None = optional(instance(Secret))
    azure_username: str | None = optional(text())
    azure_password: Secret | None = optional(instance(Secret))
    azure_scope: str | None = optional(text())
    azure_federated_token_file: str | None = optional(text())
    azure_authority_host: str | None = optional(text())
    base_model: str | None = optional(text())
    family: str | None = optional(text())
    capabilities: Json = usually(dict, mapping(anything()))
    batch_storage: str | None = optional(text())
    """A container: batches get their input from it and leave their output there."""
    tpm: int | None = optional(whole(ge=0))
    rpm: int | None = optional(whole(ge=0))
    weight: float | None = optional(number(ge=0, allow_inf_nan=False))
    order: int | None = optional(whole(ge=0))
    timeout: float | None = optional(number(gt=0, allow_inf_nan=False))
    stream_timeout: float | None = optional(number(gt=0, allow_inf_nan=False))
    cooldown_time: float | None = optional(number(ge=0, le=86400))
    tags: list[str] = usually(list, several(text(strip_whitespace=True, min_length=1)))
    drop_params: bool | None = optional(flag())
    additional_drop_params: list[str] = usually(list, several(text()))
    allowed_openai_params: list[str] = usually(list, several(text()))
    extra_body: Json = usually(dict, mapping(anything()))


class ModelInfo(Sold, extra="allow", numbers_as_text=True):
    """`model_info` of one entry: what is known of the model; anything else in it is the operator's own note."""

    base_model: str | None = optional(text())
    mode: Mode | None = optional(one_of(*get_args(Mode)))
    family: str | None = optional(text())
    capabilities: Json = usually(dict, mapping(anything()))


class Entry(Checked, extra="forbid"):
    """One deployment behind an alias. tpm, rpm, weight and order may stand here as well as in the parameters."""

    model_name: str = needed(text(min_length=1, max_length=200))
    params: Params = needed(Params.kind, "litellm_params", "params")
    model_info: ModelInfo = usually(ModelInfo, ModelInfo.kind)
    tpm: int | None = optional(whole(ge=0))
    rpm: int | None = optional(whole(ge=0))
    weight: float | None = optional(number(ge=0, allow_inf_nan=False))
    order: int | None = optional(whole(ge=0))


class Options(Checked, extra="allow"):
    """`litellm_settings` (or `settings`): what holds for all entries."""

    drop_params: bool = usually(False, flag())
    enable_azure_ad_token_refresh: bool = usually(False, flag())
    enable_loadbalancing_on_batch_endpoints: bool = usually(False, flag())
    default_models: dict[str, str] = usually(dict, mapping(text()))
    default_resource: str | None = optional(text())
    import_raw_ids: dict[str, Literal["*"] | list[str]] = usually(dict, mapping(either(one_of("*"), several(text()))))
    unusable_items: Literal["refuse", "remove"] = usually("refuse", one_of("refuse", "remove"))
    batch_webhook_secrets: list[Secret] = usually(list, several(instance(Secret)))
    """By which Azure OpenAI signs its webhooks."""


def _or_empty(given: Any) -> Any:
    """A section of which every line is commented out."""
    return {} if given is None else given


class File(Checked, extra="allow"):
    """The whole file but for its entries, which are checked one by one so that all problems are found at once."""

    model_list: list[Any] = needed(several(anything(), min_length=1))
    settings: Options = usually(Options, Options.kind, "litellm_settings", "settings")
    router_settings: Json = usually(dict, after(_or_empty, mapping(anything())))
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
    import difflib

    close = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f"write '{close[0]}'" if close else "remove it"
