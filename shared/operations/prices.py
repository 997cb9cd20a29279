"""Prices: what each deployment's calls cost and why, what the price book says, and how it is refreshed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from pydantic import Field

from shared.adapters.price_store import store_book, stored_book
from shared.adapters.retail_prices import PricesUnavailable, RetailPrices
from shared.catalog import Deployment
from shared.errors import ApiError
from shared.money import in_usd
from shared.operations.allowances import page
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.prices.book import Dated, Merged, PriceBook
from shared.prices.price_list import PriceList
from shared.prices.rates import Rates

_MOST_NAMES = 50


class PricesAsked(Asked):
    model: str = Field(default="", description="Only the deployments of this model_name.")
    unpriced: bool = Field(default=False, description="Only deployments that have no price.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.")


class PriceRow(Told):
    model: str = Field(description="model_name in the configuration.")
    deployment: str = Field(description="Which of its deployments, by number.")
    priced_as: str = Field(description="The model whose prices these are, with its version.")
    sku: str
    region: str = Field(description="Empty: not given.")
    input: str = Field(description="USD for a million input tokens; empty: it has none.")
    cached: str = Field(description="USD for a million cached input tokens.")
    output: str = Field(description="USD for a million output tokens.")
    others: dict[str, str] = Field(description="USD for a million other tokens, or for one image, second or character.")
    hourly_usd: str = Field(description="Of provisioned throughput, all units together.")
    source: str = Field(
        description="`config`, or the list that the price is from and the day on which it came into force."
    )
    assumed: list[str] = Field(description="What nobody said and was assumed: version, sku, region (the dearest).")
    unpriced: bool
    advice: str = Field(description="What to do about it.")


class PricesTold(Told):
    rows: list[PriceRow]
    next: str = Field(default="", description="Cursor of the next page; empty: there is none.")


class PriceAsked(Asked):
    model: str = Field(description="A model's name in Azure, gpt-4o or gpt-4o-2024-11-20.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.")


class BookRow(Told):
    version: str = Field(description="As Azure's meters say it, 1120; empty: all versions without prices of their own.")
    zone: str
    tier: str
    above_input_tokens: int = Field(description="For calls with more input tokens than this.")
    of: str = Field(description="Class of token, or unit.")
    kind: str = Field(description="Size and quality of an image or video.")
    usd: str = Field(description="For a million tokens or characters; for one image, second, hour, page or search.")
    since: str
    regions: str
    source: str = Field(description="The list it was read from, and when.")


class BookTold(Told):
    rows: list[BookRow]
    next: str = Field(default="", description="Cursor of the next page; empty: there is none.")


class RefreshAsked(Asked):
    pass


class RefreshTold(Told):
    read: int = Field(default=0, description="Rows of Azure's list.")
    new: list[str] = Field(default_factory=list[str], description="Meters that were not in the book; 50 at the most.")
    changed: list[str] = Field(default_factory=list[str], description="Meters with another price from some day on.")
    unknown: list[str] = Field(
        default_factory=list[str], description="Meters that are not understood: they price nothing, tell the makers."
    )
    new_count: int = 0
    changed_count: int = 0
    unknown_count: int = 0
    skipped: dict[str, int] = Field(default_factory=dict[str, int], description="Rows that price no model, by reason.")
    note: str = ""


async def list_prices(asked: PricesAsked, _: Actor, desk: Desk) -> PricesTold:
    catalog, now = await desk.catalog(), desk.clock()
    rows: list[PriceRow] = []
    names: list[str] = []
    for place, alias in enumerate(catalog.aliases()):
        for deployment in catalog.of(alias) if asked.model in ("", alias) else ():
            row = _row(deployment, desk.prices, now)
            if row.unpriced or not asked.unpriced:
                rows.append(row)
                names.append(f"{place:06d}-{deployment.number:06d}")
    found, end = page(rows, names, asked.limit, asked.cursor)
    return PricesTold(rows=found, next=end)


def _row(deployment: Deployment, prices: PriceList, now: float) -> PriceRow:
    table, terms = prices.table(deployment, now), deployment.terms
    shown = _figures(table.rates)
    hourly, advice = "", table.missing
    unpriced = bool(table.missing)
    if terms.provisioned:
        cost = prices.hourly(deployment, now)
        hourly, unpriced, shown = in_usd(cost.nanos) if cost.priced else "", not cost.priced, {}
        advice = "" if cost.priced else "set ptu: {units: …, hourly_cost: …}, or its idle hours cannot be shown"
        source = cost.basis
    else:
        source = "" if unpriced else f"{table.source} {table.since}".strip()
        if not unpriced and table.assumed:
            advice = "set " + ", ".join(dict.fromkeys(_SETTINGS[a.split()[0]] for a in table.assumed))
    return PriceRow(
        model=deployment.alias,
        deployment=deployment.label,
        priced_as=" ".join(part for part in (table.model, table.version) if part),
        sku=terms.sku if terms.provisioned or not table.sku else table.sku,
        region=terms.region,
        input=shown.pop("input", ""),
        cached=shown.pop("cached", ""),
        output=shown.pop("output", ""),
        others=shown,
        hourly_usd=hourly,
        source=source,
        assumed=[] if terms.provisioned else list(table.assumed),
        unpriced=unpriced,
        advice=advice,
    )


_SETTINGS = {"version": "model_version", "sku": "sku", "region": "region"} | dict.fromkeys(
    ("batch", "priority", "flex", "tier"), "sku"
)
_LIKE = {
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "audio_cached": "audio_input",
    "image_input": "input",
    "image_cached": "image_input",
    "image_output": "output",
}
"""What a class costs that has no price of its own: then it is not shown."""


def _figures(rates: Rates) -> dict[str, str]:
    """USD by class: for a million tokens or characters, for one image or second."""
    given = {name: getattr(rates, name) for name in Rates.__dataclass_fields__ if name not in ("images", "videos")}
    found = {
        name: _usd(pico, 1 if name == "audio_second" else 10**6)
        for name, pico in given.items()
        if pico is not None and (name not in _LIKE or pico != given[_LIKE[name]])
    }
    found |= {f"image {kind}".strip(): _usd(pico, 1) for kind, pico in rates.images.items()}
    return found | {f"video_second {kind}".strip(): _usd(pico, 1) for kind, pico in rates.videos.items()}


def _usd(pico: int, count: int) -> str:
    """Exact decimal text of so many units."""
    amount = Decimal(pico * count) / 10**12
    return f"{amount.normalize():f}"


async def show_prices(asked: PriceAsked, _: Actor, desk: Desk) -> BookTold:
    book = desk.prices.book
    found = book.find(asked.model)
    if found is None:
        raise ApiError(
            404,
            f"The price book has no model {asked.model}. Use the model's name in Azure, without a provider; "
            "'prices list' shows what each deployment is priced as.",
            code="price_not_found",
            param="model",
        )
    rows = [_book_row(version, key, price) for version, key, price in book.all_rows(found[0])]
    shown, end = page(rows, [f"{n:06d}" for n in range(len(rows))], asked.limit, asked.cursor)
    return BookTold(rows=shown, next=end)


def _book_row(version: str, key: str, price: Dated) -> BookRow:
    zone, tier, context, of, kind = key.split(".", 4)
    single = of in ("image", "page", "search") or of.endswith(("_second", "_hour"))
    return BookRow(
        version=version,
        zone=zone,
        tier=tier,
        above_input_tokens=int(context),
        of=of,
        kind=kind,
        usd=_usd(price.pico, 1 if single else 10**6),
        since=price.since,
        regions=" ".join(sorted(price.regions)),
        source=price.source,
    )


async def refresh(_: RefreshAsked, __: Actor, desk: Desk) -> RefreshTold:
    if not desk.settings.prices_url:
        raise ApiError(409, "Prices are not refreshed here: PRICES_URL is off. Remove the setting.", code="prices_off")
    try:
        return await refresh_prices(desk, datetime.fromtimestamp(desk.clock(), UTC))
    except PricesUnavailable as error:
        raise ApiError(
            502,
            f"Azure's price list could not be read: {error}. The prices stay as they are; try again later.",
            type="api_error",
            code="prices_unavailable",
        ) from error


async def refresh_prices(desk: Desk, now: datetime) -> RefreshTold:
    """The timer's part, once a day. Raises PricesUnavailable, StoreUnavailable."""
    if not desk.settings.prices_url:
        return RefreshTold(note="PRICES_URL is off.")
    rows = await RetailPrices(desk.http, desk.settings.prices_url).fetch()
    if not rows:
        raise PricesUnavailable("the list is empty")
    book = await stored_book(desk.tables)
    day = now.date().isoformat()
    merged = await asyncio.to_thread(book.merge, rows, "azure-retail", day)
    told = _told(merged)
    if merged.new or merged.changed:
        await store_book(desk.tables, book)
        await _tell(desk, book, told, day)
    return told


async def _tell(desk: Desk, book: PriceBook, told: RefreshTold, day: str) -> None:
    desk.prices.replace(book)
    data = told.model_dump(include={"new", "changed", "unknown", "new_count", "changed_count", "unknown_count"})
    names = ",".join(told.new + told.changed)
    await desk.outbox.add_now("prices.changed", "prices", data, f"prices.changed {day} {names}")


def _told(merged: Merged) -> RefreshTold:
    return RefreshTold(
        read=merged.read,
        new=merged.new[:_MOST_NAMES],
        changed=merged.changed[:_MOST_NAMES],
        unknown=merged.unknown[:_MOST_NAMES],
        new_count=len(merged.new),
        changed_count=len(merged.changed),
        unknown_count=len(merged.unknown),
        skipped=merged.skipped,
        note="" if merged.new or merged.changed else "Nothing has changed.",
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "prices_list", "GET", "prices", "What the calls of each deployment cost, where that is from and what to mend.",
        PricesAsked, PricesTold, list_prices,
        columns=("model", "deployment", "priced_as", "sku", "region", "input", "cached", "output", "source", "unpriced",
                 "advice"),
        example="--unpriced",
    ),
    Operation(
        "prices_show", "GET", "prices/{model}", "All that the price book says of one model, with days and sources.",
        PriceAsked, BookTold, show_prices,
        columns=("version", "zone", "tier", "above_input_tokens", "of", "kind", "usd", "since", "source"),
        example="gpt-4o",
    ),
    Operation(
        "prices_refresh", "POST", "prices/refresh", "Read Azure's price list now, and keep what is new.",
        RefreshAsked, RefreshTold, refresh,
        columns=("read", "new_count", "changed_count", "unknown_count", "note"),
    ),
)  # fmt: skip
