"""A checked configuration becomes the catalog: each entry's surface, family and credential are decided once, here.

Rules of precedence live here and nowhere else: family (configuration before names), credential (docs/credentials.md),
api-version (entry, URL, environment). Pure: the environment is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.catalog import Catalog, Deployment, Family, Provider
from shared.config import BASE_NAMES, Config, Entry, File, Params, params_at
from shared.document import Document, Path
from shared.errors import BadSetting, ConfigError
from shared.transform.batch_places import with_batch_storage
from shared.transform.credentials import credential_of
from shared.transform.families import family_named, family_of_name, family_of_series, with_capabilities
from shared.transform.known_settings import (
    BODY_DEFAULTS,
    store_rules,
    unknown_params,
    unknown_resources,
    unknown_settings,
)
from shared.transform.models import facts_of
from shared.transform.router_config import matters, read_router, without_a_region
from shared.transform.serving import mode_of, shapes_of
from shared.transform.surfaces import OPENAI_ROOT, Place, for_claude, is_azure_host, locate
from shared.transform.terms import terms_of

PROVIDERS: tuple[Provider, ...] = ("azure", "azure_text", "azure_ai", "openai", "content_safety")
_FAMILY_PREFIXES = {"o_series/": "o_series", "gpt5_series/": "gpt-5"}


@dataclass(frozen=True, slots=True)
class _Named:
    """What `model: azure/o_series/my-name` says."""

    provider: Provider
    deployment: str
    family: str | None
    responses: bool = False
    """`azure/responses/NAME`: a deployment that serves Responses only."""


def resolve(
    config: Config, document: Document, environ: Mapping[str, str], trusted_hosts: Iterable[str] = ()
) -> Catalog:
    """-> the catalog. Raises ConfigError with every entry that cannot work.

    trusted_hosts: hosts outside of Azure's domains that may be given Entra tokens.
    """
    file, routing = config.file, read_router(config, document)
    problems = [*filter(matters, config.problems), *routing.problems]
    warnings = unknown_settings(file, document) + routing.warnings
    found: dict[str, list[Deployment]] = {}
    facts: dict[str, dict[str, Any]] = {}
    names = _Names(file, environ, frozenset(h.lower() for h in trusted_hosts), tags_count=routing.tags_count)
    for index in range(len(document.data["model_list"])):
        path = params_at(document, index)
        problems += unknown_params(path, document, warnings)
        if index in config.incomplete or not (entry := config.entries.get(index)):
            continue
        try:
            deployment = names.deployment(entry, 1 + len(found.get(entry.model_name, [])))
        except BadSetting as error:
            here = _place_of(error.field, path, document)
            problems.append(document.problem(here, _as_written(error, entry, document.at(here)), error.remedy))
            continue
        found.setdefault(entry.model_name, []).append(deployment)
        facts.setdefault(entry.model_name, facts_of(deployment, entry.model_info.model_dump(exclude_none=True)))
    settings = routing.settings
    for name, alias in routing.second_names.items():
        found[name] = [replace(deployment, alias=name) for deployment in found.get(alias, [])]
        facts[name] = facts.get(alias, {})
        settings = settings.also_for(name, alias)
    catalog = Catalog(
        {a: tuple(rows) for a, rows in found.items()}, tuple(warnings), store_rules(file),
        file.settings.default_models, facts, settings,
        webhook_secrets=tuple(file.settings.batch_webhook_secrets),
        balances_batches=file.settings.enable_loadbalancing_on_batch_endpoints,
    )  # fmt: skip
    if not problems:  # else an entry that keeps the objects may be among those that failed
        problems = unknown_resources(catalog, file, document) + without_a_region(catalog, document)
    if problems:
        raise ConfigError(problems)
    return catalog


class _Names:
    """Turns entries into deployments; keeps what holds for all of them."""

    def __init__(self, file: File, environ: Mapping[str, str], trusted: frozenset[str], *, tags_count: bool) -> None:
        self._settings = file.settings
        self._environ = environ
        self._trusted = trusted
        self._tags_count = tags_count

    def deployment(self, entry: Entry, number: int) -> Deployment:
        params, info = entry.params, entry.model_info
        named = _named(entry)
        model = (params.base_model or info.base_model or "").rpartition("/")[2] or named.deployment
        mode = _mode(entry, named, model)
        place = self._place(params, named)
        if mode == "messages" and named.provider in ("azure", "azure_ai"):
            place = for_claude(place)
        credential = credential_of(params, place, self._environ, self._settings.enable_azure_ad_token_refresh)
        if credential.kind != "api_key":
            self._check_trust(place)
        name = place.deployment or named.deployment
        resource = _resource(place)
        drop = self._settings.drop_params if params.drop_params is None else params.drop_params
        terms = terms_of(entry, named.deployment if _names_a_model(named, place) else "")
        made = Deployment(
            id=f"{resource}/{name}",
            alias=entry.model_name,
            number=number,
            provider=named.provider,
            name=name,
            resource=resource,
            surface=place.surface,
            root=place.root,
            api_version=place.api_version,
            family=_family(entry, named),
            model=model,
            mode=mode,
            serves=shapes_of(mode, place.surface),
            credential=credential,
            order=_first(params.order, entry.order, 0 if terms.provisioned else 1),
            weight=_first(params.weight, entry.weight, None),
            tpm=_first(params.tpm, entry.tpm, None),
            rpm=_first(params.rpm, entry.rpm, None),
            drop_params=drop,
            allowed_params=frozenset(params.allowed_openai_params),
            dropped_params=frozenset(params.additional_drop_params),
            defaults=_body_defaults(params),
            timeout=params.timeout,
            stream_timeout=params.stream_timeout,
            cooldown=params.cooldown_time,
            tags=frozenset(params.tags) if self._tags_count else frozenset(),
            terms=terms,
        )
        return with_batch_storage(made, params.batch_storage)

    def _place(self, params: Params, named: _Named) -> Place:
        base = params.api_base
        if not base and named.provider == "openai":
            base = OPENAI_ROOT
        base = base or self._environ.get("AZURE_API_BASE")
        if not base:
            raise BadSetting(
                "model", "there is no api_base", "add 'api_base: https://NAME.openai.azure.com' or set AZURE_API_BASE"
            )
        version = params.api_version or ("" if named.provider == "openai" else self._environ.get("AZURE_API_VERSION"))
        return locate(base, version or "", named.provider, version_given=bool(params.api_version))

    def _check_trust(self, place: Place) -> None:
        if not is_azure_host(place.host) and place.host.lower() not in self._trusted:
            raise BadSetting(
                "api_base",
                f"Entra tokens are not sent to {place.host}, which is not one of Azure's domains",
                "give an api_key, or add the host to the app setting TRUSTED_HOSTS",
            )


def _named(entry: Entry) -> _Named:
    """The provider, deployment and family prefix in `model`."""
    params = entry.params
    if "*" in entry.model_name or "*" in params.model:
        raise BadSetting("model", "wildcards are not served", "write one entry for each deployment")
    first, slash, rest = params.model.partition("/")
    if slash and first in PROVIDERS:
        provider = first
    elif slash and (first in _OTHER_PROVIDERS or not params.api_base):  # api.openai.com serves no model with a slash
        raise BadSetting("model", f"{first!r} is not served by this gateway", f"write one of {', '.join(PROVIDERS)}")
    else:
        # a bare name is OpenAI's own model, as in the seed; with an Azure base it is a deployment
        rest = params.model
        base = params.api_base or ""
        provider = "azure" if is_azure_host(base.split("//")[-1].split("/")[0].split(":")[0]) else "openai"
    family = None
    if provider == "azure":
        for prefix, name in _FAMILY_PREFIXES.items():
            if rest.startswith(prefix):
                rest, family = rest.removeprefix(prefix), name
    if not rest.strip("./") or (provider == "azure" and "/" in rest.removeprefix("responses/")):
        raise BadSetting("model", f"{params.model!r} names no deployment", "write azure/DEPLOYMENT-NAME")
    responses = provider == "azure" and rest.startswith("responses/")
    return _Named(provider, rest.removeprefix("responses/") if responses else rest, family, responses)


def _mode(entry: Entry, named: _Named, model: str) -> str:
    return mode_of(
        entry.model_info.mode,
        model,
        responses_prefix=named.responses,
        text=named.provider == "azure_text",
        moderates=named.provider == "content_safety",
    )


def _resource(place: Place) -> str:
    """Azure's name of the resource; any other host whole, for "api" would hide every "api" in an error."""
    host = place.root.split("//", 1)[1].split("/")[0]
    return (place.host.split(".")[0] if is_azure_host(place.host) else host).lower()


def _names_a_model(named: _Named, place: Place) -> bool:
    """Whether a deployment's name may tell its price: any other host may call its own models as it likes."""
    return named.provider != "content_safety" and (named.provider != "openai" or place.host == "api.openai.com")


def _place_of(field: str, path: Path, document: Document) -> Path:
    """Where a setting stands: under any of its names, in the parameters or in model_info."""
    spelt = {"api_base": BASE_NAMES, "region": ("region", "region_name")}.get(field, (field,))
    sections = (path, (*path[:-1], "model_info"))
    places = [(*section, name) for section in sections for name in spelt]
    return next((place for place in places if document.at(place) is not None), (*path, field))


_OTHER_PROVIDERS = frozenset(
    "anthropic bedrock vertex_ai gemini cohere mistral groq ollama huggingface together_ai".split()
)


def _as_written(error: BadSetting, entry: Entry, written: Any) -> str:
    """The complaint with the file's own words: the value of a reference may be a secret in the wrong place."""
    value: Any = getattr(entry.params, error.field, None)
    return str(error) if value is None else str(error).replace(repr(value), repr(written))


def _family(entry: Entry, named: _Named) -> Family:
    """Explicit family, then prefix, then base_model, then the deployment's name; single capabilities on top."""
    params, info = entry.params, entry.model_info
    known = params.base_model or info.base_model or named.deployment
    by_name = family_of_name(known.rpartition("/")[2], openai_models=named.provider in ("azure", "azure_text"))
    chosen = params.family or info.family
    if chosen:
        family = family_named(chosen)
    elif named.family:
        family = family_of_series(named.family, by_name)
    else:
        family = by_name
    return with_capabilities(family, {**info.capabilities, **params.capabilities})


_EACH_CALLS_OWN = ("model", "messages", "stream")


def _body_defaults(params: Params) -> dict[str, Any]:
    extra = params.model_extra or {}
    for name in _EACH_CALLS_OWN:
        if name in params.extra_body:
            raise BadSetting("extra_body", f"{name} belongs to each call", f"leave {name} out of extra_body")
    return {k: v for k, v in extra.items() if k in BODY_DEFAULTS} | params.extra_body


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), None)
