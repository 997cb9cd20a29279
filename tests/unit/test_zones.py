"""Which data zone a region is in, also for a deployment."""

from __future__ import annotations

import pytest

from shared.catalog import Terms
from shared.zones import apart, zone_of


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("swedencentral", "eu"), ("westeurope", "eu"), ("eastus2", "us"), ("southcentralus", "us"),
        ("uksouth", ""), ("switzerlandnorth", ""), ("norwayeast", ""), ("australiaeast", ""), ("usgovvirginia", ""), ("", ""),
    ],
)  # fmt: skip
def test_zone_of_a_region(region: str, zone: str) -> None:
    assert zone_of(region) == zone


@pytest.mark.parametrize(("region", "expect"), [("usgovarizona", True), ("chinaeast2", True), ("eastus", False)])
def test_clouds_of_their_own(region: str, expect: bool) -> None:
    assert apart(region) is expect


def test_zone_that_is_given_stands_before_that_of_the_region() -> None:
    assert Terms(region="eastus", area="eu").zone == "eu"
    assert Terms(region="eastus").zone == "us"
    assert Terms().zone == ""
