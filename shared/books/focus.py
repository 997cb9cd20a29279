"""Charges as rows of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2 (ratified 29 May 2025). Pure.

FOCUS-shaped rather than conformant: the gateway is no biller. What it knows are list prices applied to measured use,
so the four costs are one number, and invoices, discounts and unit prices are empty. All columns that 1.2 calls
mandatory are there, and those of its conditional and recommended ones of which something is known; what has no column
there begins with x_. Looked up in the specification's repository, columns of v1.2, in November 2026.

Costs are the gateway's own; what Microsoft bills is in Azure's own export. Compare them, do not add them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from shared.books.charges import NUMBERS, Bought, Charge
from shared.books.days import midnight, named_day, next_month
from shared.books.reports import IDLE
from shared.money import in_usd

VERSION = "1.2"
_OURS = {name: "x_" + "".join(part.capitalize() for part in name.split("_")) for name in NUMBERS}
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity",
    "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName",
    "ListCost", "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
    "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId",
    "SubAccountName", "SubAccountType", "Tags", "x_KeyId", "x_KeyName", "x_Model", "x_Deployment", "x_Endpoint",
    "x_ServiceTier", "x_Capacity", "x_ServedModel", "x_Engine", "x_PriceBasis", "x_SpillCost", *_OURS.values(),
)  # fmt: skip
_MEASURES = (
    # what was bought, by the first of these that there is: counter, unit, divisor
    (("input_tokens", "output_tokens", "training_tokens"), "Tokens", 1),
    (("images",), "Images", 1),
    (("characters",), "Characters", 1),
    (("audio_ms", "video_ms"), "Seconds", 1000),
    (("requests",), "Requests", 1),
)


@dataclass(frozen=True, slots=True)
class Place:
    """What the configuration says of a deployment."""

    label: str = ""
    """Its public name: neither host nor deployment name."""
    region: str = ""
    sku: str = ""
    provisioned: bool = False


NOWHERE = Place()


def focus_rows(charges: Iterable[Charge], places: Mapping[str, Place]) -> Iterator[dict[str, Any]]:
    """Rows of COLUMNS. places: by the deployment's id; of one that is not configured any more nothing is known."""
    for charge in charges:
        place = places.get(charge.bought.deployment, NOWHERE)
        quantity, unit = _quantity(charge)
        yield {
            **_account(charge.bought),
            **_periods(named_day(charge.day)),
            **_costs(charge),
            **_kind(charge, place),
            **_resource(charge.bought, place),
            "ConsumedQuantity": quantity,
            "ConsumedUnit": unit,
            "PricingQuantity": quantity or 0,
            "PricingUnit": unit or "Tokens",
            "SkuMeter": "Provisioned throughput" if charge.bought.fixed else unit,
            "x_SpillCost": in_usd(charge.sums["spill_nanos"]),
            **{column: charge.sums[name] for name, column in _OURS.items()},
        }


def _account(bought: Bought) -> dict[str, Any]:
    return {
        "BillingAccountId": "tollgate",
        "BillingAccountName": "Tollgate",
        "BillingAccountType": "Gateway",
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "InvoiceIssuerName": "Microsoft",
        "ProviderName": "Microsoft",
        "PublisherName": "Microsoft",
        "SubAccountId": bought.team or None,
        "SubAccountName": bought.team or None,
        "SubAccountType": "Team" if bought.team else None,
        "Tags": _tags(bought),
        "x_KeyId": bought.key_id or None,
        "x_KeyName": IDLE if bought.idle else bought.key_name,
    }


def _periods(day: date) -> dict[str, str]:
    month = day.replace(day=1)
    return {
        "BillingPeriodStart": _time(month),
        "BillingPeriodEnd": _time(next_month(month)),
        "ChargePeriodStart": _time(day),
        "ChargePeriodEnd": _time(day + timedelta(days=1)),
    }


def _costs(charge: Charge) -> dict[str, str]:
    cost = in_usd(charge.nanos)
    return {"BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost}


def _kind(charge: Charge, place: Place) -> dict[str, Any]:
    bought = charge.bought
    reserved = {
        "CapacityReservationId": place.label or bought.deployment,
        "CapacityReservationStatus": "Unused" if bought.idle else "Used",
    }
    what = bought.alias or bought.endpoint or place.label
    description = f"Share of provisioned throughput, {what}" if bought.fixed else f"{what} ({bought.endpoint})"
    return {
        "ChargeCategory": "Usage",
        "ChargeDescription": "Provisioned throughput that nobody used" if bought.idle else description,
        "ChargeFrequency": "Recurring" if bought.fixed else "Usage-Based",
        "PricingCategory": "Standard",
        **(reserved if bought.fixed else {}),
    }


def _resource(bought: Bought, place: Place) -> dict[str, Any]:
    # Azure has moved it to a deployment that nothing here is known of: the SKU of the one that was asked is not its
    sku = "" if bought.capacity == "azure-spill" and place.provisioned else place.sku
    return {
        "RegionId": place.region or None,
        "RegionName": place.region or None,
        "ResourceId": place.label or bought.alias or None,
        "ResourceName": bought.alias or place.label or None,
        "ResourceType": "Deployment",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Azure OpenAI",
        "ServiceSubcategory": "Generative AI",
        "SkuId": " ".join(filter(None, (bought.upstream_model or bought.alias, sku, bought.tier))) or None,
        "x_Model": bought.upstream_model or None,
        "x_Deployment": bought.deployment or None,
        "x_Endpoint": bought.endpoint or None,
        "x_ServiceTier": bought.tier or None,
        "x_Capacity": bought.capacity or None,
        "x_ServedModel": bought.served_alias or None,
        "x_Engine": bought.engine or None,
        "x_PriceBasis": bought.price or ("ptu" if bought.fixed else None),
    }


def _quantity(charge: Charge) -> tuple[int | str | None, str | None]:
    """Nothing is consumed of what is idle."""
    if charge.bought.idle:
        return None, None
    if charge.bought.fixed:
        return charge.ptu_tokens, "Tokens"
    for names, unit, divisor in _MEASURES:
        if count := sum(charge.sums[name] for name in names):
            return (count if divisor == 1 else _thousandths(count)), unit
    return 0, "Requests"


def _thousandths(count: int) -> str:
    return f"{count // 1000}.{count % 1000:03d}".rstrip("0").rstrip(".")


def _tags(bought: Bought) -> dict[str, str | bool]:
    """`name=value` and `name:value` are a name and a value; other tags are names whose value is true."""
    tags: dict[str, str | bool] = {}
    for tag in bought.tags:
        name, mark, value = tag.partition("=") if "=" in tag else tag.partition(":")
        tags[name if mark and name else tag] = value if mark and name else True
    return {**tags, "tollgate/key": bought.key_name} if bought.key_name else tags


def _time(day: date) -> str:
    return midnight(day).strftime("%Y-%m-%dT%H:%M:%SZ")
