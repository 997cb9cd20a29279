"""For which provisioned deployment a spilled call counts."""

from __future__ import annotations

import pytest

from shared.books.spills import Meant
from tests.unit.given import catalog

ENTRY = (
    "- model_name: {}\n  litellm_params: {{model: azure/{}, api_base: 'https://{}.openai.azure.com', api_key: k-1{}}}\n"
)
PTU = ", ptu: {units: 1}"
CONFIG = "model_list:\n" + "".join(
    ENTRY.format(*values)
    for values in (
        ("chat", "late", "east", PTU + ", order: 1"),
        ("chat", "ptu", "east", PTU + ", order: 0"),
        ("chat", "ptu", "west", PTU + ", order: 1"),
        ("chat", "std", "west", ""),
        ("chat", "std", "north", ""),
        ("small", "ptu", "south", PTU),
        ("small", "shared", "south", ""),
        ("plain", "shared", "south", ""),
        ("plain", "alone", "east", ""),
        ("plain", "alone", "nowhere", ""),
    )
)


@pytest.mark.parametrize(
    ("alias", "served", "meant"),
    [
        ("chat", "west/ptu", "west/ptu"),  # Azure's own, to a deployment that is not configured
        ("other", "west/ptu", "west/ptu"),
        ("chat", "west/std", "west/ptu"),  # the alias's nearest
        ("chat", "north/std", "east/ptu"),  # the alias's first
        ("plain", "south/shared", "south/ptu"),  # a fallback was served by the deployment of another alias
        ("small", "east/alone", "south/ptu"),
        ("plain", "east/alone", "east/ptu"),  # Azure's own, to a deployment of another alias
        ("plain", "nowhere/alone", None),
        ("gone", "gone/gone", None),
    ],
)
def test_the_nearest_of_the_provisioned_ones(alias: str, served: str, meant: str | None) -> None:
    found = Meant(catalog(CONFIG)).of(alias, served)
    assert (found.id if found else None) == meant
