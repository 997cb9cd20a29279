"""What an entry says of its price becomes Terms: SKU, region, model, rates of its own, provisioned throughput.

The names are those of the seed's configuration where it has some (`input_cost_per_token_above_200k_tokens`). Knows
nothing of the price book: what is not said here is looked up there (docs/prices.md).
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from shared.catalog import Ptu, Sku, Terms
from shared.config import Entry, PtuGiven
from shared.errors import BadSetting
from shared.zones import Zone

_CLASSES: dict[str, tuple[str, ...]] = {
    "input_cost_per_token": ("input",),
    "output_cost_per_token": ("output",),
    "output_cost_per_reasoning_token": ("reasoning",),
    "cache_read_input_token_cost": ("cached_input",),
    "cache_read_input_audio_token_cost": ("audio_cached_input",),
    "cache_read_input_image_token_cost": ("image_cached_input",),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h",),
    "cache_creation_input_token_cost": ("cache_write",),
    "input_cost_per_audio_token": ("audio_input",),
    "output_cost_per_audio_token": ("audio_output",),
    "input_cost_per_image_token": ("image_input",),
    "output_cost_per_image_token": ("image_output",),
    # the seed's tables give whisper both of a pair, meaning one price: what comes first here gives way to what follows
    "input_cost_per_second": ("audio_second",),
    "output_cost_per_second": ("audio_second", "video_second"),
    "output_cost_per_video_per_second": ("video_second",),
    "input_cost_per_image": ("image",),
    "output_cost_per_image": ("image",),
    "output_cost_per_character": ("character",),
    "input_cost_per_character": ("character",),
}
_UNITS = frozenset({"audio_second", "video_second", "image", "character"})
_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex"}
_RATE = re.compile(
    rf"({'|'.join(sorted(_CLASSES, key=len, reverse=True))})"
    r"(?:_(batches|priority|flex))?(?:_above_(\d{1,4})k_tokens)?(?:_(batches|priority|flex))?"
)
RATE_NAMES = frozenset(_CLASSES)

_SKUS: dict[str, Sku] = {
    "globalstandard": "GlobalStandard",
    "global": "GlobalStandard",
    "datazonestandard": "DataZoneStandard",
    "datazone": "DataZoneStandard",
    "standard": "Standard",
    "regional": "Standard",
    "globalbatch": "GlobalBatch",
    "batch": "GlobalBatch",
    "datazonebatch": "DataZoneBatch",
    "developertier": "DeveloperTier",
    "globalprovisionedmanaged": "GlobalProvisionedManaged",
    "datazoneprovisionedmanaged": "DataZoneProvisionedManaged",
    "provisionedmanaged": "ProvisionedManaged",
}
_PICO = Decimal(10**12)
_MOST_PER_TOKEN, _MOST_PER_UNIT = Decimal("0.01"), Decimal(1000)
_ACCOUNT = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.CognitiveServices/accounts/[^/]+", re.I
)


def is_rate(name: str) -> bool:
    """Whether a setting is a price, by its name."""
    return _RATE.fullmatch(name) is not None


def terms_of(entry: Entry, known_model: str) -> Terms:
    """known_model: what the deployment is called, if a model can be looked up by that. Raises BadSetting."""
    params, info = entry.params, entry.model_info
    base = params.base_model or info.base_model or ""
    sku, given, area = _sku(params.sku or info.sku, base)
    region, around = place_of(params.region or info.region or "")
    ptu = params.ptu or info.ptu
    if ptu and not given:
        sku = "GlobalProvisionedManaged"
    return Terms(
        sku=sku,
        sku_given=given,
        region=region,
        area=area or around,
        model=base.rpartition("/")[2] or known_model,
        version=params.model_version or info.model_version or "",
        rates=_rates({**(info.model_extra or {}), **(params.model_extra or {})}),
        ptu=_ptu(ptu) if ptu else None,
        resource_id=_resource_id(params.azure_resource_id or info.azure_resource_id or ""),
    )


def _sku(given: str | None, base: str) -> tuple[Sku, bool, Zone]:
    """The SKU, whether somebody said so, and the data zone that base_model names (`azure/eu/gpt-4o-2024-08-06`)."""
    parts = base.lower().split("/")[:-1]
    area: Zone = "eu" if "eu" in parts else "us" if "us" in parts else ""
    if given:
        found = _SKUS.get(re.sub(r"[^a-z]", "", given.lower()))
        if found is None:
            names = ", ".join(dict.fromkeys(_SKUS.values()))
            raise BadSetting("sku", f"{given!r} is no SKU of a deployment", f"write one of {names}")
        return found, True, area
    if area:
        return "DataZoneStandard", True, area
    return "GlobalStandard", "global" in parts or "global-standard" in parts, ""


def place_of(given: str) -> tuple[str, Zone]:
    """The region, or the part of the world that the seed's `region_name: eu` means."""
    name = re.sub(r"[\s_-]+", "", given).lower()
    if name in ("eu", "us"):
        return "", "eu" if name == "eu" else "us"
    if name and not re.fullmatch(r"[a-z]{3,}[a-z0-9]{0,40}", name):
        raise BadSetting("region", f"{given!r} is no region of Azure", "write its name, such as swedencentral")
    return name, ""


def _resource_id(given: str) -> str:
    if given and not _ACCOUNT.fullmatch(given):
        raise BadSetting(
            "azure_resource_id",
            "this is not the id of an Azure AI resource",
            "copy it from the resource's JSON view: /subscriptions/…/resourceGroups/…/providers/"
            "Microsoft.CognitiveServices/accounts/NAME",
        )
    return given


def _ptu(given: PtuGiven) -> Ptu:
    hourly = 0
    if given.hourly_cost is not None:
        dollars = _dollars("ptu", given.hourly_cost, Decimal(10_000_000), "the price of an hour of all units in USD")
        hourly = int((dollars * 10**9).quantize(Decimal(1), ROUND_HALF_UP))
    return Ptu(given.units, hourly, given.capacity_tokens_per_hour, given.output_weight, given.whole_share)


def _rates(given: dict[str, Any]) -> dict[str, int]:
    """The rates by `tier.context.class`, in pico-dollars."""
    rates: dict[str, int] = {}
    order = list(_CLASSES)
    found = [(name, match) for name in given if given[name] is not None and (match := _RATE.fullmatch(name))]
    for name, match in sorted(found, key=lambda pair: order.index(pair[1][1])):
        per_token = _CLASSES[match[1]][0] not in _UNITS
        most, what = (_MOST_PER_TOKEN, "token") if per_token else (_MOST_PER_UNIT, "unit")
        dollars = _dollars(name, given[name], most, f"USD for one {what}: 2.50 for a million tokens is 0.0000025")
        tier = _TIERS.get(match[2] or match[4] or "", "standard")
        pico = int((dollars * _PICO).quantize(Decimal(1), ROUND_HALF_UP))
        if dollars and not pico:
            raise BadSetting(name, "the price is below a millionth of a millionth of a dollar", "correct it")
        for of in _CLASSES[match[1]]:
            rates[f"{tier}.{1000 * int(match[3] or 0)}.{of}"] = pico
    return rates


def _dollars(field: str, given: Any, most: Decimal, form: str) -> Decimal:
    """A price as it is written, exactly: floating point never comes into it."""
    try:
        found = Decimal(str(given).strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(given, bool) or not found.is_finite():
        raise BadSetting(field, "this is no price", f"write {form}")
    if found < 0:
        raise BadSetting(field, "a price cannot be negative", f"write {form}; 0 for what costs nothing")
    if found > most:
        raise BadSetting(field, f"more than {most} cannot be right", f"write {form}")
    return found
