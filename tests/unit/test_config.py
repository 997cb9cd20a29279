"""config.yaml's form: references, fields, and everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from shared.config import Config, parse, suggestion, vault_name, vault_names
from shared.document import read_document
from shared.errors import ConfigError
from shared.types import Secret
from tests.unit.given import entry


def parsed(text: str, environ: Mapping[str, str] | None = None, vault: Mapping[str, str] | None = None) -> Config:
    return parse(read_document(text), environ or {}, vault or {})


def problems(text: str, environ: Mapping[str, str] | None = None, vault: Mapping[str, str] | None = None) -> list[str]:
    return [str(p) for p in parsed(text, environ, vault).problems]


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return [str(p) for p in caught.value.problems]


FULL = """\
model_list:
- model_name: a
  litellm_params:
    model: azure/x
    azure_endpoint: https://r.openai.azure.com
    api_version: 2024-10-21
    api_key: os.environ/KEY
    timeout: 5
    temperature: 0.5
    capabilities: {sampling: any}
  model_info: {mode: chat, base_model: gpt-4o, id: my-note}
  rpm: 5
- model_name: b
  params: {model: 5, api_key: 12345, api_version: 2024}
litellm_settings: {drop_params: true, callbacks: [x]}
router_settings: {num_retries: 2}
general_settings: {}
"""


def test_config_of_every_field_is_read() -> None:
    config = parsed(FULL, {"KEY": "from-env"})
    first, second = config.entries[0], config.entries[1]
    assert (first.params.api_base, first.params.api_version) == ("https://r.openai.azure.com", "2024-10-21")
    assert first.params.api_key == Secret("from-env")
    assert first.params.model_extra == {"temperature": 0.5}
    assert (first.model_info.mode, first.model_info.base_model, first.rpm) == ("chat", "gpt-4o", 5)
    assert (second.params.model, second.params.api_key, second.params.api_version) == ("5", Secret("12345"), "2024")
    assert (config.file.settings.drop_params, config.file.router_settings) == (True, {"num_retries": 2})
    assert (config.problems, config.incomplete) == ([], frozenset())


SECRETS = ["api_key", "azure_ad_token", "client_secret", "azure_password"]


@pytest.mark.parametrize("field", SECRETS)
@pytest.mark.parametrize("section", ["litellm_params", "params"])
def test_secret_field_hides_its_value(field: str, section: str) -> None:
    text = entry(f"model: azure/x, {field}: hunter2").replace("litellm_params", section)
    config = parsed(text)
    assert getattr(config.entries[0].params, field).reveal() == "hunter2"
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("field", SECRETS)
def test_secret_field_names_a_vault_secret_that_is_read_later(field: str) -> None:
    text = entry(f"model: azure/x, {field}: keyvault/my_key-1")
    assert getattr(parsed(text).entries[0].params, field) == Secret(vault_name="my-key-1")
    assert vault_names(read_document(text)) == frozenset()


def test_secret_field_that_is_null_is_not_given() -> None:
    assert parsed(entry("model: azure/x, api_key: null")).entries[0].params.api_key is None


def test_vault_values_elsewhere_are_read_first() -> None:
    text = entry("model: azure/x, api_base: keyvault/base_url, api_key: keyvault/key, extra_body: {a: [keyvault/deep]}")
    assert vault_names(read_document(text)) == frozenset({"base-url", "deep"})
    vault = {"base-url": "https://r.openai.azure.com", "deep": "d"}
    found = parsed(text, vault=vault).entries[0].params
    assert (found.api_base, found.extra_body) == ("https://r.openai.azure.com", {"a": ["d"]})


def test_vault_name_is_made_legal() -> None:
    assert vault_name("AZURE_API_KEY") == "AZURE-API-KEY"


class Missing(NamedTuple):
    value: str
    expect: str


BASE = "line 3: model_list[0].litellm_params.api_base: "
REFERENCES = [
    Missing("os.environ/NOPE", "the environment variable NOPE is not set → "
            "set the app setting NOPE, or write the value or keyvault/NAME here"),
    Missing("os.environ/EMPTY", "the environment variable EMPTY is not set → "
            "set the app setting EMPTY, or write the value or keyvault/NAME here"),
    Missing("keyvault/nope", "the Key Vault secret nope could not be read → "
            "create the secret nope and let the app's identity read it (Key Vault Secrets User)"),
    Missing("keyvault/a.b", "'a.b' is not a name of a secret → a Key Vault secret's name has 1 to 127 letters, digits "
            "and hyphens"),
    Missing("keyvault/", "'' is not a name of a secret → a Key Vault secret's name has 1 to 127 letters, digits and "
            "hyphens"),
    Missing("keyvault/" + "x" * 128, f"{'x' * 128!r} is not a name of a secret → a Key Vault secret's name has 1 to 127 "
            "letters, digits and hyphens"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFERENCES, ids=lambda case: case.value[:20])
def test_reference_without_a_value_is_a_problem_and_leaves_the_entry_incomplete(case: Missing) -> None:
    text = entry(f"model: azure/x, api_base: {case.value}")
    assert problems(text, {"EMPTY": ""}) == [BASE + case.expect]
    assert parsed(text, {"EMPTY": ""}).incomplete == frozenset({0})


def test_reference_with_a_bad_vault_name_in_a_secret_field_is_a_problem() -> None:
    assert "is not a name of a secret" in problems(entry("model: azure/x, api_key: keyvault/a.b"))[0]


def test_reference_elsewhere_leaves_no_entry_incomplete() -> None:
    config = parsed(entry("model: azure/x") + "router_settings: {redis_host: os.environ/NOPE}\n")
    assert (len(config.problems), config.incomplete) == (1, frozenset())


class Wrong(NamedTuple):
    id: str
    text: str
    expect: str


FORM = [
    Wrong("no model", entry("api_base: x"), "line 3: model_list[0].litellm_params: model is missing → add 'model: …' here"),
    Wrong("no parameters", "model_list:\n- model_name: a\n",
          "line 2: model_list[0]: litellm_params is missing → add 'litellm_params: …' here"),
    Wrong("empty model", entry("model: ''"), "line 3: model_list[0].litellm_params.model: string should have at least 1 "
          "character (it is '') → correct the value, or leave the field out"),
    Wrong("misspelt", entry("model: azure/x") + "  model_inf: {}\n",
          "line 4: model_list[0].model_inf: unknown field → write 'model_info'"),
    Wrong("unknown", entry("model: azure/x") + "  xyzzy: {}\n", "line 4: model_list[0].xyzzy: unknown field → remove it"),
    Wrong("wrong number", entry("model: azure/x, tpm: many"), "line 3: model_list[0].litellm_params.tpm: input should be "
          "a valid integer, unable to parse string as an integer (it is 'many') → correct the value, or leave the field out"),
    Wrong("negative", entry("model: azure/x, weight: -1"), "line 3: model_list[0].litellm_params.weight: input should be "
          "greater than or equal to 0 (it is -1) → correct the value, or leave the field out"),
    Wrong("no time", entry("model: azure/x, timeout: 0"), "line 3: model_list[0].litellm_params.timeout: input should be "
          "greater than 0 (it is 0) → correct the value, or leave the field out"),
    Wrong("list for text", entry("model: azure/x, api_base: [a]"), "line 3: model_list[0].litellm_params.api_base: input "
          "should be a valid string → correct the value, or leave the field out"),
    Wrong("secret of the wrong kind", entry("model: azure/x, api_key: [hunter2]"),
          "line 3: model_list[0].litellm_params.api_key: input should be an instance of secret → correct the value, or "
          "leave the field out"),
    Wrong("unknown mode", entry("model: azure/x") + "  model_info: {mode: chta}\n",
          "line 4: model_list[0].model_info.mode: input should be 'chat', 'completion', 'embedding', 'responses', "
          "'image_generation', 'audio_transcription', 'audio_speech', 'batch', 'moderation', 'rerank', "
          "'video_generation', 'realtime' or 'messages' (it is 'chta') → correct the value, or leave the field out"),
    Wrong("no entry", "model_list:\n- a string\n", "line 2: model_list[0]: input should be a valid dictionary or instance "
          "of entry (it is 'a string') → correct the value, or leave the field out"),
]  # fmt: skip


@pytest.mark.parametrize("case", FORM, ids=lambda case: case.id)
def test_entry_of_the_wrong_form_is_a_problem_with_its_line(case: Wrong) -> None:
    assert problems(case.text) == [case.expect]


FILES = [
    Wrong("no list", "models: []", "line 1: config: there is no model_list → begin with 'model_list:' as in config.example.yaml"),
    Wrong("text", "hello", "line 1: config: there is no model_list → begin with 'model_list:' as in config.example.yaml"),
    Wrong("list", "- a", "line 1: config: there is no model_list → begin with 'model_list:' as in config.example.yaml"),
    Wrong("empty list", "model_list: []", "line 1: model_list: list should have at least 1 item after validation, not 0 → "
          "correct the value, or leave the field out"),
    Wrong("no entries", "\nmodel_list: x", "line 2: model_list: input should be a valid list (it is 'x') → correct the "
          "value, or leave the field out"),
    Wrong("wrong setting", "model_list:\n- {model_name: a, params: {model: x}}\nsettings: {drop_params: maybe}",
          "line 3: settings.drop_params: input should be a valid boolean, unable to interpret input (it is 'maybe') → "
          "correct the value, or leave the field out"),
]  # fmt: skip


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.id)
def test_file_of_the_wrong_form_is_refused(case: Wrong) -> None:
    assert refused(case.text) == [case.expect]


def test_problems_are_all_reported_at_once() -> None:
    text = """\
model_list:
- model_name: a
  litellm_params: {model: azure/x, api_base: os.environ/NOPE, tpm: x, weight: -1}
- litellm_params: {model: azure/x}
- model_name: c
  model_name: d
  litellm_params: {model: azure/x, api_key: keyvault/!}
"""
    assert sorted(line.split(" → ")[0] for line in problems(text)) == [
        "line 3: model_list[0].litellm_params.api_base: the environment variable NOPE is not set",
        "line 3: model_list[0].litellm_params.tpm: input should be a valid integer, unable to parse string as an integer "
        "(it is 'x')",
        "line 3: model_list[0].litellm_params.weight: input should be greater than or equal to 0 (it is -1)",
        "line 4: model_list[1]: model_name is missing",
        "line 6: model_list[2].model_name: given twice",
        "line 7: model_list[2].litellm_params.api_key: '!' is not a name of a secret",
    ]


def test_problems_of_settings_come_with_those_of_entries() -> None:
    text = "model_list:\n- {model_name: a}\nlitellm_settings: {drop_params: maybe}\n"
    assert [line.partition(" → ")[0] for line in refused(text)] == [
        "line 2: model_list[0]: litellm_params is missing",
        "line 3: litellm_settings.drop_params: input should be a valid boolean, unable to interpret input (it is 'maybe')",
    ]


def test_problem_shows_a_reference_and_never_its_value() -> None:
    text = entry("model: azure/x, tpm: os.environ/SWAPPED, api_key: [os.environ/SWAPPED]")
    found = "\n".join(problems(text, {"SWAPPED": "hunter2"}))
    assert "hunter2" not in found
    assert "(it is 'os.environ/SWAPPED')" in found


@pytest.mark.parametrize(
    ("name", "expect"), [("api_bas", "write 'api_base'"), ("apibase", "write 'api_base'"), ("zzz", "remove it")]
)
def test_suggestion_is_the_nearest_known_name(name: str, expect: str) -> None:
    assert suggestion(name, ["model", "api_base", "api_key"]) == expect
