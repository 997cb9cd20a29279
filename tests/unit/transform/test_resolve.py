"""Which entry becomes which deployment, and what is refused: precedence, problems, warnings."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.errors import ConfigError
from tests.unit.given import AT, NOTHING, catalog, entry

RES = "https://res.openai.azure.com"


def one(params: str, environ: dict[str, str] | None = None, trusted: tuple[str, ...] = ()) -> Any:
    return catalog(entry(params), environ, trusted=trusted).of("alias")[0]


def refused(text: str, environ: dict[str, str] | None = None, trusted: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        catalog(text, environ, trusted=trusted)
    assert all(p.remedy for p in caught.value.problems)
    return [str(p) for p in caught.value.problems]


class Model(NamedTuple):
    params: str
    provider: str
    name: str
    family: str
    surface: str = "v1"
    environ: dict[str, str] = NOTHING


OPEN = {"OPENAI_API_KEY": "k", "AZURE_API_BASE": RES, "AZURE_API_VERSION": "2024-10-21"}
MODELS = [
    Model(f"model: azure/dep, {AT}", "azure", "dep", "ordinary"),
    Model(f"model: azure/responses/gpt-5-pro, {AT}", "azure", "gpt-5-pro", "gpt-5"),
    Model(f"model: azure/o_series/dep, {AT}", "azure", "dep", "o_series"),
    Model(f"model: azure/gpt5_series/gpt-5.1, {AT}", "azure", "gpt-5.1", "gpt-5.1"),
    Model(f"model: azure/gpt5_series/dep, base_model: gpt-5.4, {AT}", "azure", "dep", "gpt-5.4"),
    Model(f"model: azure/dep, base_model: azure/o3-mini, {AT}", "azure", "dep", "o_series"),
    Model(f"model: azure/o3, base_model: gpt-4o, {AT}", "azure", "o3", "ordinary"),
    Model(f"model: azure/o3, base_model: azure/eu/gpt-5.1, {AT}", "azure", "o3", "gpt-5.1"),
    Model(f"model: azure/o3, family: gpt-5, {AT}", "azure", "o3", "gpt-5"),
    Model(f"model: azure/o_series/x, family: open, base_model: gpt-5, {AT}", "azure", "x", "open"),
    Model(f"model: azure/grok-4, {AT}", "azure", "grok-4", "open"),
    Model(
        "model: azure_ai/gpt-4o, api_key: k, api_base: 'https://res.openai.azure.com'", "azure_ai", "gpt-4o", "ordinary", "v1"
    ),
    Model(
        "model: azure/Llama-4, api_key: k, api_base: 'https://x.eastus.models.ai.azure.com'", "azure", "Llama-4", "open", "serverless"
    ),
    Model(f"model: azure_text/gpt-35-turbo-instruct, {AT}", "azure_text", "gpt-35-turbo-instruct", "gpt-35"),
    Model(
        "model: azure_ai/grok-4, api_key: k, api_base: 'https://res.services.ai.azure.com'",
        "azure_ai", "grok-4", "open", "foundry",
    ),
    Model(
        "model: azure_ai/meta/Llama-4, api_key: k, api_base: 'https://x.eastus.models.ai.azure.com'",
        "azure_ai", "meta/Llama-4", "open", "serverless",
    ),
    Model("model: gpt-4o", "openai", "gpt-4o", "ordinary", "openai", OPEN),
    Model("model: openai/gpt-5", "openai", "gpt-5", "gpt-5", "openai", OPEN),
    Model(
        "model: openai/qwen3, api_key: k, api_base: 'http://localhost:8000/v1'", "openai", "qwen3", "open", "openai", OPEN
    ),
    Model(
        "model: meta-llama/Llama-4, api_key: k, api_base: 'https://llm.example.com/v1'",
        "openai", "meta-llama/Llama-4", "open", "openai",
    ),
    Model(f"model: dep, {AT}", "azure", "dep", "ordinary"),
    Model(f"model: azure/name, api_key: k, api_base: '{RES}/openai/deployments/o3', api_version: 2024-10-21", "azure",
          "o3", "ordinary", "dated"),
]  # fmt: skip


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.params)
def test_model_says_provider_deployment_and_family(case: Model) -> None:
    found = one(case.params, case.environ)
    assert (found.provider, found.name, found.family.name, found.surface.name) == (
        case.provider, case.name, case.family, case.surface,
    )  # fmt: skip


class Bad(NamedTuple):
    params: str
    expect: str
    environ: dict[str, str] = NOTHING


PLACE = "line 3: model_list[0].litellm_params"
BAD = [
    Bad(f"model: azure/*, {AT}", f"{PLACE}.model: wildcards are not served → write one entry for each deployment"),
    Bad(f"model: azure/, {AT}", f"{PLACE}.model: 'azure/' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad(f"model: azure/.., {AT}", f"{PLACE}.model: 'azure/..' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad(f"model: azure/a/b, {AT}", f"{PLACE}.model: 'azure/a/b' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad(f"model: azure/../b, {AT}", f"{PLACE}.model: 'azure/../b' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad(f"model: azure/o_series/, {AT}", f"{PLACE}.model: 'azure/o_series/' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad(f"model: azur/dep, {AT}", f"{PLACE}.model: 'azur/dep' names no deployment → write azure/DEPLOYMENT-NAME"),
    Bad("model: azur/dep, api_key: k", f"{PLACE}.model: 'azur' is not served by this gateway → "
        "write one of azure, azure_text, azure_ai, openai, content_safety", {"AZURE_API_BASE": RES}),
    Bad(f"model: bedrock/x, {AT}", f"{PLACE}.model: 'bedrock' is not served by this gateway → "
        "write one of azure, azure_text, azure_ai, openai, content_safety"),
    Bad("model: azure/dep", f"{PLACE}.model: there is no api_base → "
        "add 'api_base: https://NAME.openai.azure.com' or set AZURE_API_BASE"),
    Bad("model: openai/gpt-4o", f"{PLACE}.api_key: there is no api_key → "
        "add 'api_key: os.environ/OPENAI_API_KEY' or set OPENAI_API_KEY"),
    Bad(f"model: azure/dep, family: gpt5, {AT}", f"{PLACE}.family: 'gpt5' is not a family → write one of ordinary, "
        "gpt-35, audio, o_series, o1-mini, gpt-5, gpt-5.1, gpt-5.2, gpt-5.4, gpt-5.5, gpt-5-chat, open"),
    Bad(f"model: azure/dep, capabilities: {{effort: [low]}}, {AT}",
        f"{PLACE}.capabilities: there is no capability 'effort' → write 'efforts'"),
    Bad(f"model: azure/dep, api_version: '2024', {AT}", f"{PLACE}.api_version: '2024' is not an api-version → "
        "write a date such as 2024-10-21, or v1, or preview"),
    Bad(f"model: azure/dep, client_secret: s, api_base: '{RES}'",
        f"{PLACE}.client_secret: client_secret needs tenant_id and client_id beside it → add tenant_id, client_id"),
    Bad(f"model: azure/dep, temprature: 0, {AT}",
        f"{PLACE}.temprature: unknown setting → write 'temperature', or put it under extra_body to send it"),
    Bad(f"model: azure/dep, xyzzy: 0, {AT}",
        f"{PLACE}.xyzzy: unknown setting → remove it, or put it under extra_body to send it"),
    Bad("model: azure/dep, base_ur: 'https://x.openai.azure.com', api_key: k",
        f"{PLACE}.base_ur: unknown setting → write 'base_url', or put it under extra_body to send it", {"AZURE_API_BASE": RES}),
    Bad("model: azure/dep, base_url: nonsense, api_key: k",
        f"{PLACE}.base_url: 'nonsense' is not a URL → write https://NAME.openai.azure.com"),
    Bad("model: azure/dep, api_base: 'http://res.openai.azure.com', api_key: k",
        f"{PLACE}.api_base: http would send credentials in clear text → write https://…"),
    Bad("model: azure/dep, api_base: 'https://llm.example.com'",
        f"{PLACE}.api_base: Entra tokens are not sent to llm.example.com, which is not one of Azure's domains → "
        "give an api_key, or add the host to the app setting TRUSTED_HOSTS"),
    Bad("model: azure/dep, azure_ad_token: t, api_base: 'http://127.0.0.1:81'",
        f"{PLACE}.api_base: Entra tokens are not sent to 127.0.0.1, which is not one of Azure's domains → "
        "give an api_key, or add the host to the app setting TRUSTED_HOSTS"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.params)
def test_entry_that_cannot_work_is_refused_with_its_place_and_a_remedy(case: Bad) -> None:
    assert refused(entry(case.params), case.environ) == [case.expect]


def test_wildcard_alias_is_refused() -> None:
    assert "wildcards are not served" in refused(entry(f"model: azure/dep, {AT}", "'azure-*'"))[0]


@pytest.mark.parametrize(
    "params",
    [
        "model: azure/dep, api_key: k, api_base: os.environ/SWAPPED",
        "model: azure/dep, api_key: k, base_url: os.environ/SWAPPED",
        "model: azure/dep, api_key: k, azure_endpoint: os.environ/SWAPPED",
        f"model: azure/dep, api_version: os.environ/SWAPPED, {AT}",
        f"model: os.environ/SWAPPED, {AT}",
        f"model: azure/dep, family: os.environ/SWAPPED, {AT}",
        f"model: azure/dep, tpm: os.environ/SWAPPED, {AT}",
    ],
)
def test_value_of_a_reference_never_shows_in_a_problem(params: str) -> None:
    problems = refused(entry(params), {"SWAPPED": "very/*secret"})
    assert len(problems) == 1
    assert "secret" not in problems[0].replace("secret-key", "")


def test_problems_of_all_entries_are_reported_at_once_in_file_order() -> None:
    text = """\
model_list:
- model_name: a
  litellm_params:
    model: azure/dep
    api_base: nonsense
    api_key: k
- model_name: b
  litellm_params:
    model: azure/dep
    api_base: os.environ/NOT_SET
    api_key: keyvault/bad!name
    temprature: 1
- model_nam: c
  litellm_params:
    model: azure/dep
    tpm: many
    api_vershun: v1
litellm_settings:
  drop_params: maybe
"""
    with pytest.raises(ConfigError) as caught:
        catalog(text)
    assert [(p.line, p.where) for p in caught.value.problems] == [
        (10, "model_list[1].litellm_params.api_base"),
        (11, "model_list[1].litellm_params.api_key"),
        (13, "model_list[2]"),
        (13, "model_list[2].model_nam"),
        (16, "model_list[2].litellm_params.tpm"),
        (19, "litellm_settings.drop_params"),
    ]
    assert [(p.line, p.where) for p in _without_settings(text)] == [
        (5, "model_list[0].litellm_params.api_base"),
        (10, "model_list[1].litellm_params.api_base"),
        (11, "model_list[1].litellm_params.api_key"),
        (12, "model_list[1].litellm_params.temprature"),
        (13, "model_list[2]"),
        (13, "model_list[2].model_nam"),
        (16, "model_list[2].litellm_params.tpm"),
        (17, "model_list[2].litellm_params.api_vershun"),
    ]


def _without_settings(text: str) -> Any:
    with pytest.raises(ConfigError) as caught:
        catalog(text.partition("litellm_settings")[0])
    return caught.value.problems


@pytest.mark.parametrize(
    ("base", "trusted", "resource"),
    [
        (RES, (), "res"),
        ("https://llm.example.com", ("LLM.example.com",), "llm.example.com"),
        ("http://127.0.0.1:81", ("127.0.0.1",), "127.0.0.1:81"),
    ],
)
def test_entra_tokens_go_to_azure_and_to_trusted_hosts(base: str, trusted: tuple[str, ...], resource: str) -> None:
    found = one(f"model: azure/dep, api_base: '{base}'", trusted=trusted)
    assert found.credential.kind == "default"
    assert (found.resource, found.id) == (resource, f"{resource}/dep")


def test_api_keys_go_where_the_operator_says() -> None:
    assert one("model: azure/dep, api_key: k, api_base: 'https://llm.example.com'").resource == "llm.example.com"


def test_resource_of_a_plain_host_is_the_whole_host() -> None:
    """So that the name `api` of api.openai.com does not hide the word in every message."""
    assert one("model: gpt-4o", OPEN).hidden_names() == {"gpt-4o": "alias", "api.openai.com": "the resource"}


@pytest.mark.parametrize(
    ("params", "expect"),
    [
        (f"model: azure/d, {AT}", False),
        (f"model: azure/d, drop_params: true, {AT}", True),
    ],
)
def test_drop_params_of_the_entry_stands_before_the_setting(params: str, expect: bool) -> None:
    assert one(params).drop_params is expect
    text = entry(params) + "litellm_settings: {drop_params: true}\n"
    assert catalog(text).of("alias")[0].drop_params is True
    text = entry(f"model: azure/d, drop_params: false, {AT}") + "litellm_settings: {drop_params: true}\n"
    assert catalog(text).of("alias")[0].drop_params is False


def test_rates_may_stand_in_either_place_and_the_parameters_win() -> None:
    text = entry(f"model: azure/d, {AT}, tpm: 1, weight: 0.5") + "  tpm: 2\n  rpm: 3\n  order: 4\n"
    found = catalog(text).of("alias")[0]
    assert (found.tpm, found.rpm, found.weight, found.order) == (1, 3, 0.5, 4)


def test_order_and_weight_have_defaults() -> None:
    found = one(f"model: azure/d, {AT}")
    assert (found.order, found.weight, found.tpm, found.rpm, found.timeout) == (1, None, None, None, None)


def test_defaults_are_body_fields_and_extra_body() -> None:
    found = one(f"model: azure/d, {AT}, temperature: 0.5, data_sources: [], extra_body: {{top_k: 3, temperature: 0.7}}")
    assert found.defaults == {"temperature": 0.7, "data_sources": [], "top_k": 3}


def test_lists_of_parameters_arrive() -> None:
    found = one(f"model: azure/d, {AT}, additional_drop_params: [a], allowed_openai_params: [b], timeout: 2.5")
    assert (found.dropped_params, found.allowed_params, found.timeout) == (frozenset({"a"}), frozenset({"b"}), 2.5)


def test_capabilities_of_the_parameters_stand_before_those_of_the_info() -> None:
    info = "  model_info: {capabilities: {sampling: fixed, json_schema: false}, family: gpt-35}\n"
    found = catalog(entry(f"model: azure/d, {AT}, capabilities: {{sampling: any}}") + info).of("alias")[0]
    assert (found.family.name, found.family.sampling, found.family.json_schema) == ("gpt-35", "any", False)


def test_version_of_the_environment_is_not_for_plain_hosts() -> None:
    assert one("model: gpt-4o", OPEN).api_version == ""
    assert one("model: azure/d, api_key: k", OPEN).api_version == "2024-10-21"


def test_settings_that_mean_nothing_here_are_warnings() -> None:
    text = entry(f"model: azure/d, {AT}, max_retries: 3, max_budget: 1")
    text += "litellm_settings: {callbacks: [x], drop_params: true}\nrouter_settings: {num_retries: 2}\ngeneral_settings: {}\n"
    assert catalog(text).warnings == (
        "line 6: the section general_settings is not read",
        "line 4: litellm_settings.callbacks is not read",
        "line 3: max_retries has no effect here yet",
        "line 3: max_budget has no effect here yet",
    )
    short = text.replace("litellm_settings", "settings").replace("litellm_params", "params")
    assert catalog(short).warnings[1] == "line 4: settings.callbacks is not read"


def test_catalog_keeps_the_order_of_the_file() -> None:
    text = entry(f"model: azure/x, {AT}", "b") + f"- model_name: a\n  params: {{model: azure/y, {AT}}}\n"
    text += f"- model_name: b\n  params: {{model: azure/z, {AT}}}\n"
    found = catalog(text)
    assert found.aliases() == ("b", "a")
    assert [(d.name, d.number, d.label) for d in found.of("b")] == [("x", 1, "b#1"), ("z", 2, "b#2")]


def test_secrets_never_show_in_the_catalog() -> None:
    text = entry(f"model: azure/d, {AT}, extra_body: {{key: os.environ/K}}")
    assert "secret-key" not in repr(catalog(text, {"K": "other-secret-key"}))
