"""Zones and regions: under which of Azure's zones a deployment is sold, and what to take where regions differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shared.catalog import Terms
from shared.prices.book import Dated
from shared.prices.meters import ANYWHERE
from shared.zones import apart, zone_of

_ZONES: dict[str, tuple[str, ...]] = {
    "GlobalStandard": ("global",),
    "GlobalBatch": ("global",),
    "DeveloperTier": ("global",),
    "GlobalProvisionedManaged": ("global",),
    "DataZoneStandard": ("datazone",),
    "DataZoneBatch": ("datazone",),
    "DataZoneProvisionedManaged": ("datazone",),
    "Standard": ("regional",),
    "ProvisionedManaged": ("regional",),
}


def zones_of(terms: Terms) -> tuple[str, ...]:
    """In which prices are looked for, in this order. An SKU that nobody gave gives way to what the model is sold as."""
    named = _ZONES[terms.sku]
    return named if terms.sku_given else (*named, *(z for z in ("global", "datazone", "regional") if z not in named))


def dearest(entries: Iterable[Dated], terms: Terms, day: str) -> tuple[Dated, bool]:
    """-> the price of the deployment's region on a day, and whether there was no choice.

    Without a region, or with one that has no price of its own, the dearest of its data zone, else of all regions of the
    public cloud.
    """
    known = list(entries)
    for region in (terms.region, ANYWHERE) if terms.region else ():
        if own := [entry for entry in known if region in entry.regions]:
            return _in_force(own, day), True
    regions = {region for entry in known for region in entry.regions}
    public = {region for region in regions if not apart(region)} or regions
    if terms.region and apart(terms.region):
        public = {region for region in regions if apart(region)} or regions
    area = terms.zone
    near = {region for region in public if area and zone_of(region) == area} or public
    found = [_in_force([entry for entry in known if region in entry.regions], day) for region in sorted(near)]
    best = max(found, key=lambda entry: entry.pico)
    return best, len({entry.pico for entry in found}) == 1


def _in_force(entries: list[Dated], day: str) -> Dated:
    """The last that began until then; what the book does not reach back to costs what came first."""
    begun = [entry for entry in entries if entry.since <= day]
    if begun:
        return max(begun, key=lambda entry: entry.since)
    return min(entries, key=lambda entry: entry.since)
