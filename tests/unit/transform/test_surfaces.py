"""Every base URL that a portal shows, with every kind of api-version: the exact URL, or the refusal."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

from shared.catalog import Provider
from shared.errors import BadSetting
from shared.transform.surfaces import FOUNDRY_VERSION, SURFACES, Place, is_azure_host, locate, url_of
from tests.unit.given import deployment

CHAT = "chat/completions"
AZURE = "https://res.openai.azure.com"
COGNITIVE = "https://res.cognitiveservices.azure.com"
FOUNDRY = "https://res.services.ai.azure.com"
DATED = "2024-10-21"
PREVIEW = "2025-04-01-preview"


def url_at(base: str, version: str, provider: Provider = "azure") -> str:
    place = locate(base, version, provider)
    return url_of(_at(place, place.deployment or "dep"), CHAT)


def _at(place: Place, name: str):
    return deployment(name=name, surface=place.surface, root=place.root, api_version=place.api_version)


class Case(NamedTuple):
    base: str
    version: str
    expect: str
    provider: Provider = "azure"


def dated(root: str, version: str = DATED, name: str = "dep", extensions: str = "") -> str:
    return f"{root}/openai/deployments/{name}{extensions}/chat/completions?api-version={version}"


def v1(root: str) -> str:
    return f"{root}/openai/v1/chat/completions"


def models(root: str, version: str = FOUNDRY_VERSION) -> str:
    return f"{root}/models/chat/completions?api-version={version}"


ROOTS = [
    AZURE, f"{AZURE}/", f"{AZURE}/openai", f"{AZURE}/openai/", f"  {AZURE} ", COGNITIVE, f"{COGNITIVE}/", FOUNDRY,
    f"{FOUNDRY}/", f"{FOUNDRY}/api/projects/P", f"{FOUNDRY}/api/projects/my-project/",
    "https://eu.api.cognitive.microsoft.com/", "https://res.openai.azure.us", "https://res.openai.azure.cn/",
    "https://res.services.ai.azure.us", "https://apim.azure-api.net/team/openai", "https://apim.azure-api.net/team",
    "https://gateway.example.com/azure/", "http://localhost:8080", "http://127.0.0.1:8080/", "http://[::1]:8080",
]  # fmt: skip
V1_BASES = [
    f"{AZURE}/openai/v1", f"{AZURE}/openai/v1/", f"{COGNITIVE}/openai/v1", f"{FOUNDRY}/openai/v1/",
    f"{AZURE}/openai/v1/chat/completions", f"{AZURE}/openai/v1/responses", f"{AZURE}/openai/v1?api-version=preview",
    "https://res.openai.azure.us/openai/v1", "http://127.0.0.1:8080/openai/v1",
]  # fmt: skip


def root_of(base: str) -> str:
    """The resource's root as this table means it."""
    stripped = base.strip().rstrip("/").partition("?")[0]
    for ending in (
        "/chat/completions",
        "/responses",
        "/openai/v1",
        "/openai",
        "/api/projects/P",
        "/api/projects/my-project",
    ):
        stripped = stripped.removesuffix(ending)
    return stripped


@pytest.mark.parametrize("base", ROOTS)
def test_root_with_a_date_is_the_dated_route(base: str) -> None:
    assert url_at(base, DATED) == dated(root_of(base))
    assert url_at(base, PREVIEW) == dated(root_of(base), PREVIEW)


@pytest.mark.parametrize("base", ROOTS)
def test_root_without_a_date_is_the_v1_route(base: str) -> None:
    assert url_at(base, "") == v1(root_of(base))
    assert url_at(base, "v1") == v1(root_of(base))
    assert url_at(base, "latest") == v1(root_of(base))
    assert url_at(base, "preview") == v1(root_of(base)) + "?api-version=preview"


@pytest.mark.parametrize("base", V1_BASES)
def test_v1_base_is_the_v1_route_whatever_the_date(base: str) -> None:
    for version in (DATED, PREVIEW, "v1", "latest"):
        assert url_at(base, version) == v1(root_of(base))
    assert url_at(base, "preview") == v1(root_of(base)) + "?api-version=preview"


TARGET = f"{AZURE}/openai/deployments/my-dep/chat/completions?api-version=2024-12-01-preview"
DEPLOYMENT = f"{AZURE}/openai/deployments/my-dep"
EXACT = [
    # the full target URI: its own version holds unless another is configured
    Case(TARGET, "", dated(AZURE, "2024-12-01-preview", "my-dep")),
    Case(TARGET, DATED, dated(AZURE, DATED, "my-dep")),
    Case(f"{COGNITIVE}/openai/deployments/my-dep/embeddings?api-version=2023-05-15", "", dated(COGNITIVE, "2023-05-15", "my-dep")),
    Case(f"{AZURE}/openai/deployments/my-dep/images/generations?api-version={DATED}", "", dated(AZURE, DATED, "my-dep")),
    Case(f"{AZURE}/openai/deployments/my-dep/audio/transcriptions?api-version={DATED}", "", dated(AZURE, DATED, "my-dep")),
    Case(f"{AZURE}/openai/responses?api-version=2025-04-01-preview", "", dated(AZURE, "2025-04-01-preview")),
    Case(f"{AZURE}/openai/v1/chat/completions?api-version=preview", "", v1(AZURE) + "?api-version=preview"),
    Case(f"{AZURE}/openai/v1?api-version=preview", "", v1(AZURE) + "?api-version=preview"),
    Case(f"{AZURE}/?api-version={DATED}", "", dated(AZURE)),
    # the deployment's base, with what older pages add
    Case(DEPLOYMENT, DATED, dated(AZURE, DATED, "my-dep")),
    Case(f"{DEPLOYMENT}/", PREVIEW, dated(AZURE, PREVIEW, "my-dep")),
    Case(f"{DEPLOYMENT}?api-version={DATED}", "", dated(AZURE, DATED, "my-dep")),
    Case(f"{DEPLOYMENT}/extensions", DATED, dated(AZURE, DATED, "my-dep", "/extensions")),
    Case(f"{DEPLOYMENT}/extensions/chat/completions", DATED, dated(AZURE, DATED, "my-dep", "/extensions")),
    Case(f"{AZURE}/openai/deployments/my%20dep", DATED, dated(AZURE, DATED, "my%20dep")),
    Case("https://apim.azure-api.net/team/openai/deployments/x", DATED, dated("https://apim.azure-api.net/team", DATED, "x")),
    # deployments that are called like operations
    Case(f"{AZURE}/openai/deployments/embeddings", DATED, dated(AZURE, DATED, "embeddings")),
    Case(f"{AZURE}/openai/deployments/messages", DATED, dated(AZURE, DATED, "messages")),
    Case(f"{AZURE}/openai/deployments/responses/chat/completions", DATED, dated(AZURE, DATED, "responses")),
    Case(f"{AZURE}/openai/deployments/chat/chat/completions", DATED, dated(AZURE, DATED, "chat")),
    # Foundry
    Case(f"{FOUNDRY}/models", "", models(FOUNDRY)),
    Case(f"{FOUNDRY}/models/", DATED, models(FOUNDRY, DATED)),
    Case(f"{FOUNDRY}/models", "v1", models(FOUNDRY)),
    Case(f"{FOUNDRY}/models", "preview", models(FOUNDRY)),
    Case(f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview", "", models(FOUNDRY)),
    Case(f"{FOUNDRY}/api/projects/P/openai/v1", "", v1(FOUNDRY)),
    Case(f"{FOUNDRY}/anthropic/v1/messages", "", v1(FOUNDRY)),
    Case(f"{FOUNDRY}/anthropic", "", models(FOUNDRY), "azure_ai"),
    Case(FOUNDRY, "", models(FOUNDRY), "azure_ai"),
    Case(f"{FOUNDRY}/", PREVIEW, models(FOUNDRY, PREVIEW), "azure_ai"),
    Case(FOUNDRY, "v1", v1(FOUNDRY), "azure_ai"),
    Case(FOUNDRY, "preview", v1(FOUNDRY) + "?api-version=preview", "azure_ai"),
    Case(f"{FOUNDRY}/models", DATED, models(FOUNDRY, DATED), "azure_ai"),
    Case(f"{FOUNDRY}/openai/v1/", DATED, v1(FOUNDRY), "azure_ai"),
    Case(f"{FOUNDRY}/api/projects/P", "", models(FOUNDRY), "azure_ai"),
    Case("https://res.services.ai.azure.us", "", models("https://res.services.ai.azure.us"), "azure_ai"),
    Case("http://127.0.0.1:81", "", models("http://127.0.0.1:81"), "azure_ai"),
    Case(
        "https://dep.eastus2.models.ai.azure.com", "", "https://dep.eastus2.models.ai.azure.com/chat/completions",
        "azure_ai",
    ),
    Case(
        "https://dep.eastus2.models.ai.azure.com/v1/chat/completions", DATED,
        "https://dep.eastus2.models.ai.azure.com/v1/chat/completions", "azure_ai",
    ),
    # OpenAI and hosts like it
    Case("https://api.openai.com/v1", "", "https://api.openai.com/v1/chat/completions", "openai"),
    Case("https://api.openai.com/v1/", DATED, "https://api.openai.com/v1/chat/completions", "openai"),
    Case("https://api.openai.com/v1/chat/completions", "v1", "https://api.openai.com/v1/chat/completions", "openai"),
    Case("http://localhost:11434/v1", "", "http://localhost:11434/v1/chat/completions", "openai"),
    Case(AZURE, DATED, dated(AZURE), "azure_text"),
]  # fmt: skip


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"{case.provider} {case.base} {case.version}")
def test_base_url_becomes_exactly(case: Case) -> None:
    assert url_at(case.base, case.version, case.provider) == case.expect


def test_version_of_the_environment_yields_to_the_urls_own() -> None:
    assert locate(TARGET, DATED, "azure", version_given=False).api_version == "2024-12-01-preview"
    assert locate(AZURE, DATED, "azure", version_given=False).api_version == DATED


class Refusal(NamedTuple):
    base: str
    version: str
    field: Literal["api_base", "api_version"]
    message: str
    remedy: str


ROOT = "write https://NAME.openai.azure.com"
REFUSALS = [
    Refusal("res.openai.azure.com", "", "api_base", "is not a URL", ROOT),
    Refusal("", "", "api_base", "is not a URL", ROOT),
    Refusal("https://", "", "api_base", "is not a URL", ROOT),
    Refusal("https:///openai", "", "api_base", "is not a URL", ROOT),
    Refusal("ftp://res.openai.azure.com", "", "api_base", "is not a URL", ROOT),
    Refusal("https://[::1", "", "api_base", "is not a URL", ROOT),
    Refusal(f"{AZURE}:port", "", "api_base", "is not a URL", ROOT),
    Refusal(f"{AZURE}:0", "", "api_base", "is not a URL", ROOT),
    Refusal("http://res.openai.azure.com", "", "api_base", "clear text", "write https://…"),
    Refusal("http://127.evil.example.com", "", "api_base", "clear text", "write https://…"),
    Refusal("http://localhost.example.com", "", "api_base", "clear text", "write https://…"),
    Refusal("https://user@res.openai.azure.com", "", "api_base", "no user", "write https://HOST/PATH only"),
    Refusal("https://:pw@res.openai.azure.com", "", "api_base", "no user", "write https://HOST/PATH only"),
    Refusal(f"{AZURE}/#x", "", "api_base", "fragment", "write https://HOST/PATH only"),
    Refusal(DEPLOYMENT, "", "api_version", "needs an api-version", "2024-10-21"),
    Refusal(f"{DEPLOYMENT}/extensions", "", "api_version", "needs an api-version", "2024-10-21"),
    Refusal(DEPLOYMENT, "v1", "api_base", "needs a dated api_version, not 'v1'", "resource's root"),
    Refusal(DEPLOYMENT, "preview", "api_base", "needs a dated api_version", "resource's root"),
    Refusal(f"{DEPLOYMENT}/extensions", "latest", "api_base", "needs a dated api_version", "resource's root"),
    Refusal(AZURE, "V1", "api_version", "'V1' is not an api-version", "write a date such as 2024-10-21"),
    Refusal(AZURE, "2025-xx-preview", "api_version", "is not an api-version", "or v1, or preview"),
    Refusal(AZURE, "2024-10-21&x=1", "api_version", "is not an api-version", "or v1, or preview"),
    Refusal(AZURE, "2024-10", "api_version", "is not an api-version", "or v1, or preview"),
    Refusal(f"{AZURE}?api-version=nonsense", "", "api_version", "is not an api-version", "or v1, or preview"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.base} {case.version}")
def test_base_url_that_cannot_work_is_refused_with_a_remedy(case: Refusal) -> None:
    with pytest.raises(BadSetting) as caught:
        locate(case.base, case.version, "azure")
    assert caught.value.field == case.field
    assert case.message in str(caught.value)
    assert case.remedy in caught.value.remedy


class Name(NamedTuple):
    name: str
    encoded: str


@pytest.mark.parametrize(
    "case",
    [
        Name("../x", "..%2Fx"),
        Name("a/b", "a%2Fb"),
        Name("x?y", "x%3Fy"),
        Name("x#y", "x%23y"),
        Name("x&y=z", "x%26y%3Dz"),
        Name("a b", "a%20b"),
        Name("100%", "100%25"),
        Name("%2e%2e", "%252e%252e"),
        Name("a\\b", "a%5Cb"),
        Name("a\r\nb", "a%0D%0Ab"),
        Name("zażółć", "za%C5%BC%C3%B3%C5%82%C4%87"),
        Name("日本", "%E6%97%A5%E6%9C%AC"),
        Name("{operation}", "%7Boperation%7D"),
        Name("gpt-4.1_mini~x", "gpt-4.1_mini~x"),
    ],
    ids=lambda case: repr(case.name),
)
def test_deployment_name_is_one_path_segment(case: Name) -> None:
    for surface, tail in (("dated", ""), ("extensions", "/extensions")):
        there = deployment(name=case.name, surface=surface, root=AZURE, api_version=DATED)
        expect = f"{AZURE}/openai/deployments/{case.encoded}{tail}/{CHAT}?api-version={DATED}"
        assert url_of(there, CHAT) == expect


class Row(NamedTuple):
    name: str
    url: str
    auth_header: str
    entra: bool


@pytest.mark.parametrize(
    "row",
    [
        Row("dated", "/openai/deployments/dep/embeddings?api-version=2024-10-21", "api-key", True),
        Row("extensions", "/openai/deployments/dep/extensions/embeddings?api-version=2024-10-21", "api-key", True),
        Row("v1", "/openai/v1/embeddings", "api-key", True),
        Row("foundry", "/models/embeddings?api-version=2024-10-21", "api-key", True),
        Row("serverless", "/embeddings", "bearer", True),
        Row("openai", "/embeddings", "bearer", False),
    ],
    ids=lambda row: row.name,
)
def test_surface_row_is_as_pinned(row: Row) -> None:
    surface = SURFACES[row.name]
    there = deployment(name="dep", surface=row.name, root="https://h", api_version=DATED)
    assert url_of(there, "embeddings") == "https://h" + row.url
    assert (surface.auth_header, surface.entra) == (row.auth_header, row.entra)


def test_every_surface_is_pinned() -> None:
    assert list(SURFACES) == [
        "dated", "extensions", "v1", "foundry", "anthropic", "serverless", "content_safety", "openai",
    ]  # fmt: skip


class Host(NamedTuple):
    host: str
    azure: bool


@pytest.mark.parametrize(
    "case",
    [
        Host("res.openai.azure.com", True),
        Host("RES.OpenAI.Azure.Com", True),
        Host("res.openai.azure.us", True),
        Host("res.openai.azure.cn", True),
        Host("res.cognitiveservices.azure.com", True),
        Host("res.services.ai.azure.com", True),
        Host("eu.api.cognitive.microsoft.com", True),
        Host("dep.eastus2.models.ai.azure.com", True),
        Host("dep.eastus2.inference.ai.azure.com", True),
        Host("apim.azure-api.net", True),
        Host("openai.azure.com", False),
        Host("openai.azure.com.evil.example", False),
        Host("evilopenai.azure.com", False),
        Host("res.openai.azure.com.", False),
        Host("res.openai.azure.org", False),
        Host("x.azurewebsites.net", False),
        Host("api.openai.com", False),
        Host("localhost", False),
        Host("127.0.0.1", False),
        Host("", False),
    ],
    ids=lambda case: case.host,
)
def test_host_is_known_by_its_whole_ending(case: Host) -> None:
    assert is_azure_host(case.host) is case.azure
