"""The price book: dated prices by model, version and meter, each for some regions; as JSON and in memory. Pure.

The JSON is what is held: it is small, and a look-up walks it (model → version → meter → prices). What a price means is
said by `Meter`; which of several is charged is decided in rates.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from shared.prices.meters import ANYWHERE, Meter, Price, read_row
from shared.prices.model_names import candidates, spellings

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Dated:
    """A price of one meter, in force from a day on."""

    since: str
    pico: int
    regions: frozenset[str]
    source: str
    """Where it was read and when: `azure-retail 2026-08-11`."""


@dataclass(slots=True)
class Merged:
    """What a merge has found."""

    read: int = 0
    """Rows."""
    new: list[str] = field(default_factory=list[str])
    """Meters that were not in the book, by name."""
    changed: list[str] = field(default_factory=list[str])
    """Meters whose price is another one from some day on, by name."""
    unknown: list[str] = field(default_factory=list[str])
    """Meters that were not understood, by name. They price nothing until the parser learns them."""
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    """Rows that are no price of a model, by reason."""


class PriceBook:
    """Prices by model and version, a dictionary for each; `data` is what is stored."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        given: Mapping[str, Any] = data or {"sources": [], "groups": [], "models": {}}
        self._sources: list[str] = list(given["sources"])
        self._groups: list[frozenset[str]] = [frozenset(group.split()) for group in given["groups"]]
        self._numbers = {group: number for number, group in enumerate(self._groups)}
        self._models: dict[str, dict[str, dict[str, list[list[Any]]]]] = given["models"]

    @classmethod
    def from_bytes(cls, data: bytes) -> PriceBook:
        """Raises ValueError for anything that is no price book of this form."""
        found = orjson.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError("this is no price book of a form that is known here")
        try:
            return cls(found)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the price book is damaged") from error

    def to_bytes(self) -> bytes:
        groups = [" ".join(sorted(group)) for group in self._groups]
        whole = {"format": FORMAT, "sources": self._sources, "groups": groups, "models": self._models}
        return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self._sources)

    def models(self) -> list[str]:
        return sorted(self._models)

    def versions(self, model: str) -> list[str]:
        return sorted(self._models.get(model, {}))

    def find(self, name: str, version: str = "") -> tuple[str, str] | None:
        """-> the model that a name means and its version as far as that is said. None when it is not in the book."""
        for model, said in candidates(name, version):
            if model in self._models:
                return model, said
        return None

    def rows(self, model: str, version: str) -> dict[str, list[Dated]]:
        """-> all prices of a model by meter (Meter.key): those of the version, else those that hold for all."""
        versions = self._models.get(model, {})
        found: dict[str, list[list[Any]]] = {}
        for spelling in reversed(spellings(version)):
            found |= versions.get(spelling, {})
        return {key: [self._dated(entry) for entry in entries] for key, entries in found.items()}

    def knows(self, model: str, version: str) -> bool:
        """Whether a version of a model has prices, its own or those for all versions."""
        return any(spelling in self._models.get(model, {}) for spelling in spellings(version))

    def newest(self, model: str) -> str:
        """-> the version that a name without one stands for: the newest that has prices; empty: there are none apart.

        Meters give month and day. The year is that of the last such day before the end of the month in which the first
        of its prices came into force.
        """
        dates: dict[str, str] = {}
        for version, meters in self._models.get(model, {}).items():
            first = min((str(entry[0]) for entries in meters.values() for entry in entries), default="")
            if version and first:
                dates[version] = _full_date(version, first)
        return max(dates, key=lambda version: dates[version], default="")

    def all_rows(self, model: str) -> Iterator[tuple[str, str, Dated]]:
        """(version, meter, price) of everything in the book on one model."""
        for version, meters in sorted(self._models.get(model, {}).items()):
            for key, entries in sorted(meters.items()):
                for entry in sorted(entries):
                    yield version, key, self._dated(entry)

    def copy(self) -> PriceBook:
        return PriceBook(orjson.loads(self.to_bytes()))

    def merge(self, rows: Iterable[Mapping[str, object]], source: str, fetched: str) -> Merged:
        """Take in rows of Azure's list. Nothing is ever taken out, so that what is past keeps its price.

        fetched: the day on which they were read. A price that changed without a new date counts from then on.
        """
        merged = Merged()
        prices: list[Price] = []
        for row in rows:
            merged.read += 1
            found = read_row(row)
            if isinstance(found, Price):
                prices.append(found)
            elif found.reason == "unknown":
                merged.unknown.append(str(row.get("meterName") or row)[:100])
            else:
                merged.skipped[found.reason] = merged.skipped.get(found.reason, 0) + 1
        merged.unknown = sorted(set(merged.unknown))
        self.take(prices, f"{source} {fetched}", fetched, merged)
        return merged

    def take(self, prices: Iterable[Price], source: str, fetched: str, merged: Merged) -> None:
        """Take in prices; of two for one meter, day and region the dearer one counts."""
        names: dict[Meter, str] = {}
        wanted: dict[Meter, dict[str, dict[str, int]]] = {}
        for price in prices:
            names[price.meter] = price.name
            regions = wanted.setdefault(price.meter, {})
            for region in price.regions:
                dates = regions.setdefault(region, {})
                dates[price.since] = max(price.pico, dates.get(price.since, 0))
        new, changed = set[str](), set[str]()
        for meter, regions in wanted.items():
            entries = self._entries(meter.model, meter.version, meter.key)
            fresh = not entries
            if self._enter(entries, regions, source, fetched):
                (new if fresh else changed).add(names[meter])
        merged.new, merged.changed = sorted(new), sorted(changed - new)

    def absorb(self, other: PriceBook) -> None:
        """Take in all that another book knows and this one does not: a stored book when the package brings a newer."""
        for model in other.models():
            by_source: dict[tuple[str, str, str], dict[str, dict[str, int]]] = {}
            for version, key, price in other.all_rows(model):
                regions = by_source.setdefault((version, key, price.source), {})
                for region in price.regions:
                    regions.setdefault(region, {})[price.since] = price.pico
            for (version, key, source), regions in by_source.items():
                self._enter(self._entries(model, version, key), regions, source, "")

    def _entries(self, model: str, version: str, key: str) -> list[list[Any]]:
        return self._models.setdefault(model, {}).setdefault(version, {}).setdefault(key, [])

    def _enter(
        self, entries: list[list[Any]], regions: Mapping[str, dict[str, int]], source: str, fetched: str
    ) -> bool:
        """Add what is missing of one meter's prices by region and day. -> whether there was any."""
        missing: dict[tuple[str, int], set[str]] = {}
        for region, dates in regions.items():
            own = {entry[0]: entry[1] for entry in entries if region in self._groups[entry[2]]}
            for since, pico in _missing(own, dates, fetched):
                missing.setdefault((since, pico), set()).add(region)
        for (since, pico), places in sorted(missing.items()):
            entries.append([since, pico, self._group(frozenset(places)), self._source(source)])
        return bool(missing)

    def _group(self, regions: frozenset[str]) -> int:
        if regions not in self._numbers:
            self._numbers[regions] = len(self._groups)
            self._groups.append(regions)
        return self._numbers[regions]

    def _source(self, source: str) -> int:
        if source not in self._sources:
            self._sources.append(source)
        return self._sources.index(source)

    def _dated(self, entry: list[Any]) -> Dated:
        return Dated(entry[0], entry[1], self._groups[entry[2]], self._sources[entry[3]])


def _missing(own: dict[str, int], listed: dict[str, int], today: str) -> Iterator[tuple[str, int]]:
    """What one region lacks: own prices by day, and those that Azure lists. What was in force on a day stays so.

    today: empty for a list of no particular day.
    """
    for since, pico in sorted(listed.items()):
        before = max((day for day in own if day <= since), default="")
        if not before or (before < since and own[before] != pico):
            own[since] = pico
            yield since, pico
    by_list = max((day for day in listed if day <= today), default="")
    by_book = max((day for day in own if day <= today), default="")
    if today and by_list and own[by_book] != listed[by_list]:  # changed without a new date, or withdrawn
        yield today, listed[by_list]


def _full_date(version: str, first: str) -> str:
    """`1120`, first in force on 2024-12-01 -> 2024-11-20; Mistral's `2512` is a year and a month."""
    if not re.fullmatch(r"\d{4}", version):
        return version
    if int(version[:2]) > 12:
        return f"20{version[:2]}-{version[2:]}"
    year, day = int(first[:4]), f"{version[:2]}-{version[2:]}"
    return f"{year}-{day}" if day[:2] <= first[5:7] else f"{year - 1}-{day}"


def price_of(model: str, of: str, dollars_per_million: object, since: str, **more: Any) -> Price:
    """A price that is in no retail list: of tokens, in dollars per million, everywhere."""
    meter = Meter(model, of, **more)
    return Price(meter, f"{model} {of}", since, int(Decimal(str(dollars_per_million)) * 10**6), frozenset({ANYWHERE}))
