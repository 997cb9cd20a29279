"""What the tests of the core start from: a configuration as text, deployments, bodies, recorded samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.catalog import Catalog, Deployment, Family, Surface
from shared.config import parse
from shared.document import read_document
from shared.endpoints import Shape
from shared.transform.families import FAMILIES
from shared.transform.resolve import resolve
from shared.transform.surfaces import SURFACES
from shared.types import Credential, Secret

NOTHING: dict[str, Any] = {}
"""For rows of which a field is empty as a rule."""

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
"""Recorded answers: they lie beside the checkout, not in it."""


def sample(name: str) -> bytes:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the recorded sample {name} is not here")
    return path.read_bytes()


def sample_headers(name: str) -> dict[str, str]:
    described: Any = orjson.loads(sample(f"{name}.json"))
    return {key.lower(): value for key, value in described["response"]["headers"]}


def sample_status(name: str) -> int:
    described: Any = orjson.loads(sample(f"{name}.json"))
    return described["response"]["status"]


def catalog(
    text: str,
    environ: Mapping[str, str] | None = None,
    vault: Mapping[str, str] | None = None,
    trusted: Iterable[str] = (),
) -> Catalog:
    document = read_document(text)
    return resolve(parse(document, environ or {}, vault or {}), document, environ or {}, trusted)


def entry(params: str, name: str = "alias") -> str:
    """A configuration of one entry; `params` in YAML's flow form, without the braces."""
    return f"model_list:\n- model_name: {name}\n  litellm_params: {{{params}}}\n"


AT = "api_base: 'https://res.openai.azure.com', api_key: secret-key-1"


def deployment(
    family: Family | str = "ordinary",
    *,
    name: str = "dep-1",
    alias: str = "alias",
    surface: Surface | str = "v1",
    root: str = "https://res.openai.azure.com",
    api_version: str = "v1",
    order: int = 1,
    weight: float | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    drop_params: bool = False,
    allowed: Iterable[str] = (),
    dropped: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
    serves: Iterable[Shape] = ("chat", "responses"),
) -> Deployment:
    return Deployment(
        id=f"res/{name}",
        alias=alias,
        number=1,
        provider="azure",
        name=name,
        resource="res",
        surface=SURFACES[surface] if isinstance(surface, str) else surface,
        root=root,
        api_version=api_version,
        family=FAMILIES[family] if isinstance(family, str) else family,
        model=name,
        mode="chat",
        serves=frozenset(serves),
        credential=Credential("api_key", Secret("secret-key-1")),
        order=order,
        weight=weight,
        rpm=rpm,
        tpm=tpm,
        drop_params=drop_params,
        allowed_params=frozenset(allowed),
        dropped_params=frozenset(dropped),
        defaults=defaults or {},
    )
