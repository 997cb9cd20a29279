"""Azure's data zones: which region is in which. Knows nothing of prices or of deployments."""

from __future__ import annotations

from typing import Literal

type Zone = Literal["", "eu", "us"]

_EU = frozenset(
    "belgiumcentral denmarkeast francecentral francesouth germanynorth germanywestcentral italynorth northeurope "
    "polandcentral spaincentral swedencentral swedensouth westeurope".split()
)


def zone_of(region: str) -> Zone:
    """The data zone in which a region is; empty: in none that is known."""
    if region in _EU:
        return "eu"
    return "us" if "us" in region.replace("australia", "") and not apart(region) else ""


def apart(region: str) -> bool:
    """Clouds of their own."""
    return region.startswith(("usgov", "usdod", "china"))
