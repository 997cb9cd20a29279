"""Which of the book's prices, or of the configuration's own, hold for a deployment's calls at a time. Pure.

The rules for what has no price of its own are here and in docs/prices.md: never one that is lower than what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.catalog import Terms
from shared.prices.book import Dated, PriceBook
from shared.prices.meters import key_of
from shared.prices.places import dearest, zones_of

TIERS = {"priority": "priority", "flex": "flex", "batch": "batch"}
"""Tiers that have rates of their own, by what upstreams call them; every other word means the standard tier."""
CACHED = ("cached_input", "cache_write", "cache_write_1h")


@dataclass(slots=True)
class Rates:
    """Pico-dollars for one unit each. None: it has no price."""

    input: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_cached: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_cached: int | None = None
    image_output: int | None = None
    training: int | None = None
    character: int | None = None
    audio_second: int | None = None
    images: Mapping[str, int] = field(default_factory=dict[str, int])
    """By kind; the empty kind is any."""
    videos: Mapping[str, int] = field(default_factory=dict[str, int])
    """A second of video, by kind."""


@dataclass(slots=True)
class Table:
    """The rates of one deployment in one tier, and for how long they hold."""

    rates: Rates
    basis: str = ""
    longer: tuple[tuple[int, Rates], ...] = ()
    """For calls with more input tokens than this; the longest first."""
    model: str = ""
    version: str = ""
    sku: str = ""
    since: str = ""
    source: str = ""
    assumed: tuple[str, ...] = ()
    missing: str = ""
    """Why there are no rates, and what to do about it."""
    begins: str = ""
    ends: str = "9999"
    """The days between which it holds."""


type Look = Callable[[str, int, str], int | None]
"""(tier, context, class) -> a rate."""


def table_of(book: PriceBook, terms: Terms, tier: str, day: str) -> Table:
    """tier: as the upstream served, one of TIERS or anything for standard; a batch deployment makes it `batch`."""
    tier = "batch" if terms.sku.endswith("Batch") else TIERS.get(tier, "standard")
    return _configured(terms, tier) if terms.rates else _from_book(book, terms, tier, day)


def _configured(terms: Terms, tier: str) -> Table:
    """Rates of the configuration: missing batch rates are half of the standard ones, other tiers' the standard ones."""
    given = terms.rates

    def look(tier: str, context: int, of: str) -> int | None:
        own = given.get(f"{tier}.{context}.{of}")
        if own is None and tier != "standard":
            own = given.get(f"standard.{context}.{of}")
            if own is not None and tier == "batch":
                if of in ("input", "output", "reasoning"):
                    own = (own + 1) // 2
                elif of in CACHED and (whole := look(tier, context, "input")) is not None:
                    own = min(own, whole)
        return own

    contexts = sorted({int(key.split(".")[1]) for key in given} - {0}, reverse=True)

    def up_to(context: int) -> Look:
        """Its own rates of a context first, then those of the shorter ones."""
        steps = [c for c in contexts if c <= context] + [0]

        def found(tier: str, _: int, of: str) -> int | None:
            return next((rate for c in steps if (rate := look(tier, c, of)) is not None), None)

        return found

    rates = _filled(up_to(0), tier, 0, strict=False)
    for rate, of in ((rates.images, "image"), (rates.videos, "video_second")):
        if (one := look(tier, 0, of)) is not None:
            assert isinstance(rate, dict)
            rate[""] = one
    longer = tuple((c, _filled(up_to(c), tier, c, strict=False)) for c in contexts)
    return Table(rates, "config", longer, terms.model, terms.version, terms.sku, source="config")


def _from_book(book: PriceBook, terms: Terms, tier: str, day: str) -> Table:
    found = book.find(terms.model, terms.version) if terms.model else None
    if found is None:
        return Table(Rates(), model=terms.model, version=terms.version, sku=terms.sku, missing=_unknown(terms))
    model, version = found
    if terms.sku == "DeveloperTier":
        model = f"ft-dev:{model.removeprefix('ft:')}"
    assumed: list[str] = []
    if not version and (version := book.newest(model)):
        assumed.append(f"version {version}")
    rows = book.rows(model, version)
    zone = next((zone for zone in zones_of(terms) if any(key.startswith(f"{zone}.") for key in rows)), "")
    if not rows or not zone:
        return Table(Rates(), model=model, version=version, sku=terms.sku, missing=_not_sold(book, model, terms, rows))
    if not terms.sku_given:
        assumed.append("sku")
    chosen = _Chosen(rows, zone, terms, day, tier)
    table = chosen.table(tier)
    table.model, table.version, table.assumed = model, version, (*assumed, *chosen.assumed)
    notes = f" (assumed: {', '.join(table.assumed)})" if table.assumed else ""
    table.basis = f"{table.source} {table.since} {table.sku}{notes}"
    days = sorted({entry.since for entries in rows.values() for entry in entries})
    table.begins = max((d for d in days if d <= day), default="")
    table.ends = min((d for d in days if d > day), default="9999")
    return table


class _Chosen:
    """The prices of one model, version and zone; keeps what had to be assumed to choose among them."""

    def __init__(self, rows: Mapping[str, list[Dated]], zone: str, terms: Terms, day: str, tier: str) -> None:
        self._rows, self._zone, self._terms, self._day = rows, zone, terms, day
        self.assumed: list[str] = []
        self._used: list[Dated] = []
        self._tiers = {key.split(".")[1] for key in rows if key.startswith(f"{zone}.")}
        if tier not in self._tiers:
            self._note(tier if tier != "standard" else "tier")

    def table(self, tier: str) -> Table:
        rates = _filled(self._look, tier, 0, strict=True)
        rates.images, rates.videos = self._kinds(tier, "image"), self._kinds(tier, "video_second")
        # the rows of a zone that have a context are those of its long calls
        contexts = {int(key.split(".")[2]) for key in self._rows if key.startswith(f"{self._zone}.")} - {0}
        longer = tuple((c, _filled(self._look, tier, c, strict=True)) for c in sorted(contexts, reverse=True))
        since = max((entry.since for entry in self._used), default="")
        source = self._used[0].source.split()[0] if self._used else ""
        sku = self._terms.sku if self._terms.sku_given else _SKUS[self._zone]
        return Table(rates, longer=longer, since=since, source=source, sku=sku)

    def _look(self, tier: str, context: int, of: str) -> int | None:
        own = self._price(tier, context, of)
        if own is None and (context or tier != "standard"):
            if of in CACHED and self._price(tier, context, "input") is not None:
                return None  # the tier has prices, none of its own for this: it costs what its input costs
            others = [self._look("standard", context, of)] if tier != "standard" else []
            others += [self._look(tier, 0, of)] if context else []
            own = max((rate for rate in others if rate is not None), default=None)
        return own

    def _price(self, tier: str, context: int, of: str, kind: str = "") -> int | None:
        entries = self._rows.get(key_of(self._zone, tier, context, of, kind))
        if not entries:
            return None
        entry, sure = dearest(entries, self._terms, self._day)
        self._used.append(entry)
        if not sure:
            self._note("region")
        return entry.pico

    def _kinds(self, tier: str, of: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for key in self._rows:
            zone, _, _, unit, kind = key.split(".", 4)
            if (zone, unit) == (self._zone, of):
                price = self._price(tier, 0, of, kind)
                found[kind] = price if price is not None else self._price("standard", 0, of, kind) or 0
        return found

    def _note(self, what: str) -> None:
        if what not in self.assumed:
            self.assumed.append(what)


_SKUS = {"global": "GlobalStandard", "datazone": "DataZoneStandard", "regional": "Standard"}


def _filled(look: Look, tier: str, context: int, *, strict: bool) -> Rates:
    """All classes of one tier and context. strict: sound without a price of its own has none; text's is far lower."""

    def of(name: str) -> int | None:
        return look(tier, context, name)

    token = of("token")
    entered = _or(of("input"), token)
    sound, picture = of("audio_input"), of("image_input")
    spoken, drawn = of("audio_output"), of("image_output")
    written = _or(of("output"), token, drawn, spoken)
    cached, cache_write = _or(of("cached_input"), entered), _or(of("cache_write"), entered)
    if not strict:
        sound, spoken = _or(sound, entered), _or(spoken, written)
    return Rates(
        input=entered,
        cached=cached,
        cache_write=cache_write,
        cache_write_1h=_or(of("cache_write_1h"), cache_write),
        output=written,
        reasoning=_or(of("reasoning"), written),
        audio_input=sound,
        audio_cached=_or(of("audio_cached_input"), sound),
        audio_output=spoken,
        image_input=_or(picture, entered),
        image_cached=_or(of("image_cached_input"), picture, cached),
        image_output=_or(drawn, written),
        training=of("training"),
        character=of("character"),
        audio_second=of("audio_second"),
    )


def _or(*rates: int | None) -> int | None:
    return next((rate for rate in rates if rate is not None), None)


def _unknown(terms: Terms) -> str:
    if not terms.model:
        return "it is not known which model this is: set base_model, or rates such as input_cost_per_token"
    return f"the price book has no model {terms.model}: set base_model to its name in Azure, or set rates"


def _not_sold(book: PriceBook, model: str, terms: Terms, rows: Mapping[str, list[Dated]]) -> str:
    if rows:
        zones = ", ".join(_SKUS[zone] for zone in sorted({key.split(".")[0] for key in rows}))
        return f"{model} has no price as {terms.sku}, only as {zones}: correct sku, or set rates"
    versions = ", ".join(version for version in book.versions(model) if version)
    return f"{model} has prices for the versions {versions}: correct model_version, or set rates"
