"""Every configuration that the seed page shows, and what it must come to: keys and values as facts, in our own form."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.transform.surfaces import url_of
from tests.unit.given import catalog

CHAT = "chat/completions"
TEST_V1 = "https://openai-gpt-4-test-v-1.openai.azure.com"
SCOPE = "https://cognitiveservices.azure.com/.default"


class Expect(NamedTuple):
    alias: str
    url: str
    family: str
    credential: str
    auth_header: str = "api-key"
    mode: str = ""
    model: str = ""
    operation: str = CHAT


class Case(NamedTuple):
    id: str
    text: str
    environ: dict[str, str]
    expect: tuple[Expect, ...]


KEY = {"AZURE_API_KEY": "key-1"}
BASE = {**KEY, "AZURE_API_BASE": "https://res.openai.azure.com"}
RES = "https://res.openai.azure.com"
REFRESH = """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/your-deployment-name
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
litellm_settings: {enable_azure_ad_token_refresh: true}
"""
REFRESHED = Expect("gpt-3.5-turbo", f"{TEST_V1}/openai/v1/{CHAT}", "ordinary", "default", model="your-deployment-name")

CASES = [
    Case(
        "key from the environment",
        """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-v-2
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
    api_version: "2023-05-15"
    api_key: os.environ/AZURE_API_KEY
""",
        KEY,
        (
            Expect(
                "gpt-3.5-turbo",
                f"{TEST_V1}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-05-15",
                "ordinary",
                "api_key",
                model="chatgpt-v-2",
            ),
        ),
    ),
    Case(
        "version per model",
        """
model_list:
- model_name: gpt-4
  litellm_params:
    model: azure/my-gpt4-deployment
    api_base: https://your-resource.openai.azure.com/
    api_version: "2024-08-01-preview"
    api_key: os.environ/AZURE_API_KEY
""",
        KEY,
        (
            Expect(
                "gpt-4",
                f"https://your-resource.openai.azure.com/openai/deployments/my-gpt4-deployment/{CHAT}"
                "?api-version=2024-08-01-preview",
                "ordinary",
                "api_key",
                model="my-gpt4-deployment",
            ),
        ),
    ),
    Case(
        "o-series by name",
        """
model_list:
- model_name: o3-mini
  litellm_params: {model: azure/o3-model, api_base: os.environ/AZURE_API_BASE, api_key: os.environ/AZURE_API_KEY}
""",
        BASE,
        (Expect("o3-mini", f"{RES}/openai/v1/{CHAT}", "o_series", "api_key", model="o3-model"),),
    ),
    Case(
        "o-series by prefix",
        """
model_list:
- model_name: o3-mini
  litellm_params:
    model: azure/o_series/my-random-deployment-name
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
""",
        {**BASE, "AZURE_API_VERSION": "2024-12-01-preview"},
        (
            Expect(
                "o3-mini",
                f"{RES}/openai/deployments/my-random-deployment-name/{CHAT}?api-version=2024-12-01-preview",
                "o_series",
                "api_key",
                model="my-random-deployment-name",
            ),
        ),
    ),
    Case(
        "gpt-5 by prefix",
        """
model_list:
- model_name: gpt-5
  litellm_params:
    model: azure/gpt5_series/my-gpt-5-deployment
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
""",
        BASE,
        (Expect("gpt-5", f"{RES}/openai/v1/{CHAT}", "gpt-5", "api_key", model="my-gpt-5-deployment"),),
    ),
    Case(
        "gpt-5 by name",
        """
model_list:
- model_name: gpt-5-mini
  litellm_params:
    model: azure/my-gpt-5-deployment
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
""",
        BASE,
        (Expect("gpt-5-mini", f"{RES}/openai/v1/{CHAT}", "gpt-5", "api_key", model="my-gpt-5-deployment"),),
    ),
    Case(
        "audio, version from the environment",
        """
model_list:
- model_name: azure-openai-4o-audio
  litellm_params:
    model: azure/azure-openai-4o-audio
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
    api_version: os.environ/AZURE_API_VERSION
""",
        {**BASE, "AZURE_API_VERSION": "2025-01-01-preview"},
        (
            Expect(
                "azure-openai-4o-audio",
                f"{RES}/openai/deployments/azure-openai-4o-audio/{CHAT}?api-version=2025-01-01-preview",
                "audio",
                "api_key",
                model="azure-openai-4o-audio",
            ),
        ),
    ),
    Case(
        "Entra token",
        """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-v-2
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
    api_version: "2023-05-15"
    azure_ad_token: os.environ/AZURE_AD_TOKEN
""",
        {"AZURE_AD_TOKEN": "token-1", "AZURE_API_KEY": "not-this"},
        (
            Expect(
                "gpt-3.5-turbo",
                f"{TEST_V1}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-05-15",
                "ordinary",
                "static_token",
                model="chatgpt-v-2",
            ),
        ),
    ),
    Case(
        "Entra tenant, client and secret",
        """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-v-2
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
    api_version: "2023-05-15"
    tenant_id: os.environ/AZURE_TENANT_ID
    client_id: os.environ/AZURE_CLIENT_ID
    client_secret: os.environ/AZURE_CLIENT_SECRET
    azure_scope: os.environ/AZURE_SCOPE
""",
        {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s", "AZURE_SCOPE": SCOPE},
        (
            Expect(
                "gpt-3.5-turbo",
                f"{TEST_V1}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-05-15",
                "ordinary",
                "client_secret",
                model="chatgpt-v-2",
            ),
        ),
    ),
    Case(
        "Entra client, username and password",
        """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-v-2
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
    api_version: "2023-05-15"
    client_id: os.environ/AZURE_CLIENT_ID
    azure_username: os.environ/AZURE_USERNAME
    azure_password: os.environ/AZURE_PASSWORD
    azure_scope: os.environ/AZURE_SCOPE
""",
        {"AZURE_CLIENT_ID": "c", "AZURE_USERNAME": "u", "AZURE_PASSWORD": "p", "AZURE_SCOPE": SCOPE},
        (
            Expect(
                "gpt-3.5-turbo",
                f"{TEST_V1}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-05-15",
                "ordinary",
                "password",
                model="chatgpt-v-2",
            ),
        ),
    ),
    Case(
        "refresh, with a service principal in the environment",
        REFRESH,
        {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"},
        (REFRESHED,),
    ),
    Case("refresh, managed identity or az login", REFRESH, {}, (REFRESHED,)),
    Case(
        "batch",
        """
model_list:
- model_name: "batch-gpt-4o-mini"
  litellm_params:
    model: "azure/gpt-4o-mini"
    api_key: os.environ/AZURE_API_KEY
    api_base: os.environ/AZURE_API_BASE
  model_info: {mode: batch}
litellm_settings: {enable_loadbalancing_on_batch_endpoints: true}
""",
        BASE,
        (
            Expect(
                "batch-gpt-4o-mini", f"{RES}/openai/v1/{CHAT}", "ordinary", "api_key", mode="batch", model="gpt-4o-mini"
            ),
        ),
    ),
    Case(
        "load balancing, with OpenAI itself beside Azure",
        """
model_list:
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-v-2
    api_key: os.environ/AZURE_API_KEY
    api_version: os.environ/AZURE_API_VERSION
    api_base: os.environ/AZURE_API_BASE
  tpm: 240000
  rpm: 1800
- model_name: gpt-3.5-turbo
  litellm_params:
    model: azure/chatgpt-functioncalling
    api_key: os.environ/AZURE_API_KEY
    api_version: os.environ/AZURE_API_VERSION
    api_base: os.environ/AZURE_API_BASE
  tpm: 240000
  rpm: 1800
- model_name: gpt-3.5-turbo
  litellm_params: {model: gpt-3.5-turbo, api_key: os.environ/OPENAI_API_KEY}
  tpm: 1000000
  rpm: 9000
""",
        {**BASE, "AZURE_API_VERSION": "2023-07-01-preview", "OPENAI_API_KEY": "key-2"},
        (
            Expect(
                "gpt-3.5-turbo",
                f"{RES}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-07-01-preview",
                "ordinary",
                "api_key",
                model="chatgpt-v-2",
            ),
            Expect(
                "gpt-3.5-turbo",
                f"{RES}/openai/deployments/chatgpt-functioncalling/{CHAT}?api-version=2023-07-01-preview",
                "ordinary",
                "api_key",
                model="chatgpt-functioncalling",
            ),
            Expect(
                "gpt-3.5-turbo",
                f"https://api.openai.com/v1/{CHAT}",
                "gpt-35",
                "api_key",
                auth_header="bearer",
                model="gpt-3.5-turbo",
            ),
        ),
    ),
    Case(
        "tool calling",
        """
model_list:
- model_name: azure-gpt-3.5
  litellm_params:
    model: azure/chatgpt-functioncalling
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
    api_version: "2023-07-01-preview"
""",
        BASE,
        (
            Expect(
                "azure-gpt-3.5",
                f"{RES}/openai/deployments/chatgpt-functioncalling/{CHAT}?api-version=2023-07-01-preview",
                "ordinary",
                "api_key",
                model="chatgpt-functioncalling",
            ),
        ),
    ),
    Case(
        "images, with base_model among the parameters and an unquoted version",
        """
model_list:
- model_name: dall-e-3
  litellm_params:
    model: azure/dall-e-3-test
    api_version: 2023-06-01-preview
    api_base: https://openai-gpt-4-test-v-1.openai.azure.com/
    api_key: os.environ/AZURE_API_KEY
    base_model: dall-e-3
  model_info: {mode: image_generation}
""",
        KEY,
        (
            Expect(
                "dall-e-3",
                f"{TEST_V1}/openai/deployments/dall-e-3-test/images/generations?api-version=2023-06-01-preview",
                "ordinary",
                "api_key",
                mode="image_generation",
                model="dall-e-3",
                operation="images/generations",
            ),
        ),
    ),
    Case(
        "base_model in model_info",
        """
model_list:
- model_name: azure-gpt-3.5
  litellm_params:
    model: azure/chatgpt-v-2
    api_base: os.environ/AZURE_API_BASE
    api_key: os.environ/AZURE_API_KEY
    api_version: "2023-07-01-preview"
  model_info: {base_model: azure/gpt-4-1106-preview}
""",
        BASE,
        (
            Expect(
                "azure-gpt-3.5",
                f"{RES}/openai/deployments/chatgpt-v-2/{CHAT}?api-version=2023-07-01-preview",
                "ordinary",
                "api_key",
                model="gpt-4-1106-preview",
            ),
        ),
    ),
    # what the page shows as calls of its library, as the entry that says the same
    Case(
        "everything from the environment",
        "model_list: [{model_name: a, litellm_params: {model: azure/your-deployment-name}}]",
        {**BASE, "AZURE_API_VERSION": "2023-05-15"},
        (
            Expect(
                "a",
                f"{RES}/openai/deployments/your-deployment-name/{CHAT}?api-version=2023-05-15",
                "ordinary",
                "api_key",
                model="your-deployment-name",
            ),
        ),
    ),
    Case(
        "token from the environment",
        "model_list: [{model_name: a, litellm_params: {model: azure/your-deployment-name}}]",
        {"AZURE_API_BASE": RES, "AZURE_AD_TOKEN": "token-1"},
        (Expect("a", f"{RES}/openai/v1/{CHAT}", "ordinary", "static_token", model="your-deployment-name"),),
    ),
    Case(
        "instruct model",
        "model_list: [{model_name: a, litellm_params: {model: azure_text/gpt-3.5-turbo-instruct}}]",
        {**BASE, "AZURE_API_VERSION": "2024-10-21"},
        (
            Expect(
                "a",
                f"{RES}/openai/deployments/gpt-3.5-turbo-instruct/completions?api-version=2024-10-21",
                "gpt-35",
                "api_key",
                mode="completion",
                model="gpt-3.5-turbo-instruct",
                operation="completions",
            ),
        ),
    ),
    Case(
        "vision enhancements",
        """
model_list:
- model_name: gpt-4-vision
  litellm_params:
    model: azure/gpt-4-vision
    base_url: https://gpt-4-vision-resource.openai.azure.com/openai/deployments/gpt-4-vision/extensions
    api_version: 2023-12-01-preview
    api_key: os.environ/AZURE_VISION_API_KEY
    timeout: 5
    enhancements: {ocr: {enabled: true}, grounding: {enabled: true}}
    dataSources:
    - type: AzureComputerVision
      parameters:
        endpoint: https://gpt-4-vision-enhancement.cognitiveservices.azure.com/
        key: os.environ/AZURE_VISION_ENHANCE_KEY
""",
        {"AZURE_VISION_API_KEY": "key-3", "AZURE_VISION_ENHANCE_KEY": "key-4"},
        (
            Expect(
                "gpt-4-vision",
                "https://gpt-4-vision-resource.openai.azure.com/openai/deployments/gpt-4-vision/extensions/"
                f"{CHAT}?api-version=2023-12-01-preview",
                "ordinary",
                "api_key",
                model="gpt-4-vision",
            ),
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_seed_config_comes_to_the_right_call(case: Case) -> None:
    found = catalog(case.text, case.environ)
    assert [
        Expect(
            d.alias,
            url_of(d, expect.operation),
            d.family.name,
            d.credential.kind,
            d.surface.auth_header,
            d.mode,
            d.model,
            expect.operation,
        )
        for (d, expect) in zip([d for a in found.aliases() for d in found.of(a)], case.expect, strict=True)
    ] == list(case.expect)
    assert found.warnings == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_seed_config_runs_also_with_the_shorter_section_names(case: Case) -> None:
    short = case.text.replace("litellm_params:", "params:").replace("litellm_settings:", "settings:")
    assert catalog(short, case.environ) == catalog(case.text, case.environ)


def seed(name: str):
    case = next(case for case in CASES if case.id == name)
    return next(iter(catalog(case.text, case.environ).deployments.values()))


def test_seed_keys_come_from_the_environment() -> None:
    assert seed("key from the environment")[0].credential.secret.reveal() == "key-1"
    assert [d.credential.secret.reveal() for d in seed("load balancing, with OpenAI itself beside Azure")] == [
        "key-1",
        "key-1",
        "key-2",
    ]


def test_seed_entra_fields_arrive() -> None:
    secret = seed("Entra tenant, client and secret")[0].credential
    assert (secret.tenant_id, secret.client_id, secret.secret.reveal(), secret.scope) == ("t", "c", "s", SCOPE)
    password = seed("Entra client, username and password")[0].credential
    assert (password.username, password.client_id, password.secret.reveal()) == ("u", "c", "p")
    assert seed("Entra token")[0].credential.secret.reveal() == "token-1"


def test_seed_rates_become_weights() -> None:
    found = seed("load balancing, with OpenAI itself beside Azure")
    assert [(d.tpm, d.rpm, d.weight, d.number) for d in found] == [
        (240000, 1800, None, 1),
        (240000, 1800, None, 2),
        (1000000, 9000, None, 3),
    ]


def test_seed_vision_fields_are_sent_with_each_call() -> None:
    found = seed("vision enhancements")[0]
    assert found.timeout == 5
    assert found.defaults == {
        "enhancements": {"ocr": {"enabled": True}, "grounding": {"enabled": True}},
        "dataSources": [
            {
                "type": "AzureComputerVision",
                "parameters": {
                    "endpoint": "https://gpt-4-vision-enhancement.cognitiveservices.azure.com/",
                    "key": "key-4",
                },
            }
        ],
    }
    assert "key-4" not in repr(found)
