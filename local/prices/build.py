"""Makes shared/prices/book.json: Azure's rows from a file or from azure-genai-prices, Claude's from genai-prices.

    python3 -m local.prices.build [--from ROWS.json] [--output BOOK.json]

ROWS.json: `{"fetched_at": "2026-08-11…", "items": […]}` with items as the Retail Prices API sends them. Both packages
are in requirements-dev.txt; the gateway itself never imports them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from shared.prices.book import PriceBook, price_of
from shared.prices.meters import Price

BOOK = Path(__file__).resolve().parents[2] / "shared/prices/book.json"
_CLASSES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
}
CLAUDE_CHECKED = "2026-10-14"
"""The day to which genai-prices 0.2.3 dates Anthropic's price table."""
FIRST = "2023-03-14"
"""When Anthropic's API began: from then on holds the first of several prices of which the second has a date."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the price book of the package.")
    parser.add_argument("--from", dest="rows", type=Path, default=snapshot_file())
    parser.add_argument("--output", type=Path, default=BOOK)
    given = parser.parse_args()
    source: dict[str, Any] = orjson.loads(given.rows.read_bytes())
    book = PriceBook()
    report = build_book(book, source["items"], str(source["fetched_at"])[:10])
    given.output.write_bytes(book.to_bytes())
    print(report)


def build_book(book: PriceBook, rows: list[dict[str, Any]], fetched: str) -> str:
    """Fill a book. -> what was read, for the one who made it."""
    merged = book.merge(rows, "azure-retail", fetched)
    skipped = ", ".join(f"{reason}: {count}" for reason, count in sorted(merged.skipped.items()))
    azure = len(book.models())
    book.take(claude_prices(), f"anthropic {CLAUDE_CHECKED}", CLAUDE_CHECKED, type(merged)())
    return (
        f"{merged.read} rows, {len(merged.new)} meters, {azure} models of Azure, "
        f"{len(book.models()) - azure} of Anthropic\nskipped: {skipped}\nunknown: {', '.join(merged.unknown) or 'none'}"
    )


def snapshot_file() -> Path:
    """The rows that azure-genai-prices carries."""
    files = metadata.files("azure-genai-prices") or []
    return next(Path(str(f.locate())) for f in files if f.name == "snapshot.json")


def claude_prices() -> Iterator[Price]:
    """Anthropic's published prices, by which Claude on Foundry is sold; batches cost half (Anthropic pricing page)."""
    from genai_prices.data import providers
    from genai_prices.types import StartDateConstraint

    anthropic = next(p for p in providers if p.id == "anthropic")
    for model in anthropic.models:
        versions = model.prices if isinstance(model.prices, list) else [None]
        for conditional in versions:
            limit = getattr(conditional, "constraint", None)
            if limit is not None and not isinstance(limit, StartDateConstraint):
                continue
            undated = FIRST if conditional else CLAUDE_CHECKED
            since = limit.start_date.isoformat() if limit else undated
            yield from _of_model(model.id.removesuffix("-latest"), getattr(conditional, "prices", model.prices), since)


def _of_model(model: str, prices: Any, since: str) -> Iterator[Price]:
    for name, of in _CLASSES.items():
        amount = getattr(prices, name, None)
        if amount is None:
            continue
        tiers = [(0, getattr(amount, "base", amount))]
        tiers += [(tier.start, tier.price) for tier in getattr(amount, "tiers", ())]
        for context, dollars in tiers:
            yield price_of(model, of, dollars, since, context=context)
            yield price_of(model, of, dollars / 2, since, context=context, tier="batch")


if __name__ == "__main__":
    main()
