"""SURFACES: how Azure serves a model. One row per way, one URL builder, one version rule, one auth rule for all.

Knows nothing of bodies or of models. Evidence: Azure "API version lifecycle" and "Endpoints" pages (2026-10);
base URLs that the portal and Foundry show (issue reports collected 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from shared.addresses import is_loopback
from shared.catalog import Deployment, Provider, Surface
from shared.errors import BadSetting

SURFACES: Mapping[str, Surface] = {
    row.name: row
    for row in (
        Surface("dated", "/openai/deployments/{deployment}/{operation}", "dated", "api-key", entra=True),
        Surface(
            "extensions", "/openai/deployments/{deployment}/extensions/{operation}", "dated", "api-key", entra=True
        ),
        # v1 (GA 2025-08): the deployment is the body's model; ?api-version only for `preview`
        Surface("v1", "/openai/v1/{operation}", "named", "api-key", entra=True),
        # Foundry model inference: model in the body, every maker's models
        Surface("foundry", "/models/{operation}", "dated", "api-key", entra=True),
        # Claude on Foundry (2025-11): Anthropic's own API below the resource
        Surface("anthropic", "/anthropic/v1/{operation}", "none", "x-api-key", entra=True, keeps=False),
        # Foundry serverless endpoints: a host of their own per deployment, key as a bearer token
        Surface("serverless", "/{operation}", "none", "bearer", entra=True, keeps=False),
        # Azure AI Content Safety: what moderations are asked of
        Surface(
            "content_safety",
            "/contentsafety/{operation}",
            "dated",
            "ocp-apim-subscription-key",
            entra=True,
            keeps=False,
        ),
        # OpenAI itself and hosts that speak like it
        Surface("openai", "/{operation}", "none", "bearer", entra=False),
    )
}

OPENAI_ROOT = "https://api.openai.com/v1"
FOUNDRY_VERSION = "2024-05-01-preview"
"""The api-version of Foundry's /models route when none is configured (azure-ai-inference 2024-05-01-preview)."""
CONTENT_SAFETY_VERSION = "2024-09-01"
"""The newest api-version of Content Safety that is not a preview (2026-08)."""
NAMED_VERSIONS = frozenset({"v1", "preview", "latest"})
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
AZURE_HOSTS = re.compile(
    r"\.(?:openai\.azure|cognitiveservices\.azure|services\.ai\.azure|api\.cognitive\.microsoft|models\.ai\.azure|"
    r"inference\.ai\.azure|azure-api)\.(?:com|us|cn|net)$"
)
_OPERATION = re.compile(  # but a deployment may be called `embeddings`
    r"(?<!/deployments)/(?:chat/completions|completions|embeddings|responses|images/\w+|audio/\w+|messages|"
    r"contentsafety/\w+:\w+)$"
)
_PROJECT = re.compile(r"/api/projects/[^/]+(?=/|$)|/anthropic(?:/v1)?$")
"""Foundry shows a project's address, or Claude's: inference is the resource's."""
_SERVERLESS = (".models.ai.azure.com", ".inference.ai.azure.com")
_OPENAI_ONLY = (".openai.azure.com", ".openai.azure.us", ".openai.azure.cn")
"""Resources that have no /models route."""
_DEPLOYMENT = re.compile(r"(?P<root>.*)/openai/deployments/(?P<name>[^/]+)(?P<extensions>/extensions)?$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is: what a base URL and an api-version come to."""

    surface: Surface
    root: str
    host: str
    api_version: str
    deployment: str | None = None
    """Named by the base URL itself."""


def locate(base: str, version: str, provider: Provider, *, version_given: bool = True) -> Place:
    """Understand a base URL as the portal, Foundry or a person writes it. Raises BadSetting.

    version: the configured api-version, or one from the environment when `version_given` is false: a version
    inside the URL then wins over it.
    """
    split = _split(base.strip())
    if not split or split.scheme not in ("https", "http") or not split.hostname:
        raise BadSetting("api_base", f"{base!r} is not a URL", "write https://NAME.openai.azure.com")
    if split.scheme == "http" and not is_loopback(split.hostname):
        raise BadSetting("api_base", "http would send credentials in clear text", "write https://…")
    if split.username or split.password or split.fragment:
        raise BadSetting("api_base", "a base URL holds no user, password or fragment", "write https://HOST/PATH only")
    in_url = (parse_qs(split.query).get("api-version") or [""])[0]
    if in_url and not (version and version_given):
        version = in_url
    check_version(version)
    path = _OPERATION.sub("", split.path.rstrip("/"))
    surface, prefix, name = _surface_of(path, split.hostname, version, provider)
    return Place(
        surface, f"{split.scheme}://{split.netloc}{prefix}", split.hostname, _version_for(surface, version), name
    )


def _split(base: str) -> SplitResult | None:
    try:
        split = urlsplit(base)
        return split if split.port is None or split.port else None
    except ValueError:  # a port that is no number, half an IPv6 address
        return None


def check_version(version: str) -> None:
    """Raises BadSetting unless the version is empty, a date (-preview), v1, preview or latest."""
    if version and version not in NAMED_VERSIONS and not _DATED.fullmatch(version):
        raise BadSetting(
            "api_version", f"{version!r} is not an api-version", "write a date such as 2024-10-21, or v1, or preview"
        )


def _surface_of(path: str, host: str, version: str, provider: Provider) -> tuple[Surface, str, str | None]:
    """-> (surface, path prefix of the root, deployment named in the path)."""
    if provider == "openai":
        return SURFACES["openai"], path, None
    path = _PROJECT.sub("", path)
    if provider == "content_safety":
        return SURFACES["content_safety"], path, None
    if host.lower().endswith(_SERVERLESS):
        return SURFACES["serverless"], path, None
    if found := _DEPLOYMENT.fullmatch(path):
        row = SURFACES["extensions" if found["extensions"] else "dated"]
        if version in NAMED_VERSIONS:
            raise BadSetting(
                "api_base",
                f"a base URL with /openai/deployments/ needs a dated api_version, not {version!r}",
                "write the resource's root (https://NAME.openai.azure.com), or a dated api_version",
            )
        return row, found["root"], unquote(found["name"])
    for ending, name in (("/openai/v1", "v1"), ("/models", "foundry")):
        if path.endswith(ending):
            return SURFACES[name], path.removesuffix(ending), None
    path = path.removesuffix("/openai")
    if provider == "azure_ai" and not host.lower().endswith(_OPENAI_ONLY):
        if not (is_azure_host(host) or is_loopback(host)):
            return SURFACES["serverless"], path, None
        return (SURFACES["v1"] if version in NAMED_VERSIONS else SURFACES["foundry"]), path, None
    return (SURFACES["dated"] if _DATED.fullmatch(version) else SURFACES["v1"]), path, None


def _version_for(surface: Surface, version: str) -> str:
    """The version as the surface takes it: a date on v1 (left over from a dated route) says nothing there."""
    if surface.version == "none":
        return ""
    if surface.version == "named":
        return version if version in NAMED_VERSIONS else "v1"
    if surface.name in _OWN_VERSION:
        return version if _DATED.fullmatch(version) else _OWN_VERSION[surface.name]
    if not version:
        raise BadSetting(
            "api_version",
            "a base URL with /openai/deployments/ needs an api-version",
            'write api_version: "2024-10-21", or give the resource\'s root as api_base',
        )
    return version


def for_claude(place: Place) -> Place:
    """The same resource, asked for Claude: Anthropic's API whatever else the base URL says."""
    return replace(place, surface=SURFACES["anthropic"], api_version="")


def url_of(deployment: Deployment, operation: str, *, stored: bool = False, query: str = "") -> str:
    """The whole URL of one operation on one deployment, or on its resource when it is about what Azure stores."""
    surface, version = deployment.surface, deployment.api_version
    if stored or not _at_deployment(surface, version, operation):
        surface, version, path = _at_resource(surface, version, operation)
    else:
        path = surface.path
    path = path.format(deployment=quote(deployment.name, safe=""), operation=operation)
    asked = "&".join(part for part in (_version_query(surface, version, operation), query) if part)
    return deployment.root + path + (f"?{asked}" if asked else "")


def _at_deployment(surface: Surface, version: str, operation: str) -> bool:
    """Whether the surface's own path has the operation."""
    if surface.name in ("dated", "extensions"):
        return version >= _DEPLOYED_SINCE.get(operation, "")
    return surface.name != "foundry" or operation in _FOUNDRY_OPERATIONS


def _at_resource(surface: Surface, version: str, operation: str) -> tuple[Surface, str, str]:
    """-> (surface, version, path) of an operation of the resource itself: dated where that version has it, else v1."""
    if surface.name in ("dated", "extensions"):
        head = "" if operation.startswith(_V1_BELOW) else operation.partition("/")[0]
        since = _STORED_SINCE.get(operation) or _STORED_SINCE.get(head)
        if since and version >= since:
            return surface, version, "/openai/{operation}"
    elif surface.name in ("v1", "openai", "serverless"):
        return surface, version, surface.path
    return SURFACES["v1"], "v1", SURFACES["v1"].path


# First dated api-version that has an operation (Azure "API version lifecycle" and REST changes, 2026-10). What is not
# named here exists on v1 only: conversations, containers, evals, uploads, videos, realtime.
_STORED_SINCE = {
    "responses": "2025-03-01-preview",
    "files": "2023-05-15",
    "fine_tuning": "2023-12-01-preview",
    "vector_stores": "2024-05-01-preview",
    "images/generations:submit": "2023-06-01-preview",
}
_V1_BELOW = "fine_tuning/alpha/"
_DEPLOYED_SINCE = {"images/edits": "2025-04-01-preview", "audio/speech": "2024-02-15-preview"}
_FOUNDRY_OPERATIONS = frozenset({"chat/completions", "embeddings", "images/embeddings"})
_ONLY_PREVIEW = frozenset({"videos"})
"""Operations that v1 serves as a preview only (Azure "Sora video generation", 2026-08)."""


def _version_query(surface: Surface, version: str, operation: str) -> str:
    if surface.version == "dated":
        return f"api-version={version}"
    preview = version == "preview" or operation.partition("/")[0] in _ONLY_PREVIEW
    return "api-version=preview" if surface.version == "named" and preview else ""


_OWN_VERSION = {"foundry": FOUNDRY_VERSION, "content_safety": CONTENT_SAFETY_VERSION}


def is_azure_host(host: str) -> bool:
    """Whether an Entra token may be sent there without the operator's saying so."""
    return AZURE_HOSTS.search(host.lower()) is not None
