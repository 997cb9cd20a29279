"""Prices that Azure has published, one by one: what a call costs, by which meter, and since when.

The figures are dollars per million tokens. The shipped book is held against them, and they against the rows of the Retail
Prices API, fetched on 2026-08-11 and carried by azure-genai-prices: the meter named in each row is the source.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.prices.rates import Rates
from tests.unit.prices.given_prices import NOW, published, shipped_prices, sold

GLOBAL, ZONE, REGIONAL = "GlobalStandard", "DataZoneStandard", "Standard"

# model, SKU, region, tier (or `long` for long contexts), class, dollars per million, meter, in force since
ROWS = (
    ("gpt-4o-2024-05-13", GLOBAL, "", "", "input", "5", "gpt 4o 0513 Input global Tokens", "2024-07-01"),
    ("gpt-4o-2024-05-13", GLOBAL, "", "", "output", "15", "gpt 4o 0513 Output global Tokens", "2024-07-01"),
    ("gpt-4o-2024-08-06", GLOBAL, "", "", "input", "2.5", "gpt-4o-0806-Inp-glbl Tokens", "2024-08-01"),
    ("gpt-4o-2024-08-06", GLOBAL, "", "", "cached", "1.25", "gpt 4o 0806 cached Inp glbl Tokens", "2024-10-01"),
    ("gpt-4o-2024-08-06", ZONE, "swedencentral", "", "input", "2.75", "gpt 4o 0806 Inp Data Zone Tokens", "2024-10-01"),
    ("gpt-4o-2024-11-20", GLOBAL, "", "", "input", "2.5", "gpt 4o 1120 Inp glbl Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", GLOBAL, "", "", "cached", "1.25", "gpt 4o 1120 cached Inp glbl Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", GLOBAL, "", "", "output", "10", "gpt 4o 1120 Outp glbl Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", ZONE, "swedencentral", "", "output", "11", "gpt 4o 1120 Outp Data Zone Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", REGIONAL, "eastus2", "", "input", "2.75", "gpt 4o 1120 Inp regnl Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", "GlobalBatch", "", "", "input", "1.25", "gpt 4o 1120 Batch Inp glbl Tokens", "2024-12-01"),
    ("gpt-4o-2024-11-20", "GlobalBatch", "", "", "output", "5", "gpt 4o 1120 Batch Outp glbl Tokens", "2024-12-01"),
    ("gpt-4o-mini-2024-07-18", GLOBAL, "", "", "input", "0.15", "gpt-4o-mini-0718-Inp-glbl Tokens", "2024-07-01"),
    ("gpt-4o-mini-2024-07-18", GLOBAL, "", "", "output", "0.6", "gpt-4o-mini-0718-Outp-glbl Tokens", "2024-07-01"),
    ("gpt-4o-mini-2024-07-18", ZONE, "eastus", "", "input", "0.165", "gpt 4o mini 0718 Inp Data Zone Tokens", "2024-10-01"),
    ("gpt-4.1-2025-04-14", GLOBAL, "", "", "input", "2", "gpt 4.1 Inp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-2025-04-14", GLOBAL, "", "", "cached", "0.5", "gpt 4.1 cached Inp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-2025-04-14", GLOBAL, "", "", "output", "8", "gpt 4.1 Outp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-2025-04-14", REGIONAL, "swedencentral", "", "input", "2.42", "gpt 4.1 Inp regnl Tokens", "2025-11-01"),
    ("gpt-4.1", GLOBAL, "", "priority", "input", "3.5", "4.1 pp inp Gl Tokens", "2026-03-01"),
    ("gpt-4.1", ZONE, "eastus2", "priority", "output", "15.4", "4.1 pp opt Dz Tokens", "2026-03-01"),
    ("gpt-4.1-mini", GLOBAL, "", "", "input", "0.4", "gpt 4.1 mini Inp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-mini", GLOBAL, "", "", "output", "1.6", "gpt 4.1 mini Outp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-nano", GLOBAL, "", "", "input", "0.1", "gpt 4.1 nano Inp glbl Tokens", "2025-04-01"),
    ("gpt-4.1-nano", GLOBAL, "", "", "cached", "0.025", "gpt 4.1 nano cached Inp glbl Tokens", "2025-04-01"),
    ("o1-2024-12-17", GLOBAL, "", "", "input", "15", "o1 1217 Inp glbl Tokens", "2024-12-01"),
    ("o1-2024-12-17", GLOBAL, "", "", "output", "60", "o1 1217 Outp glbl Tokens", "2024-12-01"),
    ("o3-2025-04-16", GLOBAL, "", "", "input", "2", "o3 0416 Inp glbl Tokens", "2025-06-01"),
    ("o3-2025-04-16", GLOBAL, "", "", "cached", "0.5", "o3 0416 cached Inp glbl Tokens", "2025-06-01"),
    ("o3-2025-04-16", GLOBAL, "", "", "output", "8", "o3 0416 Outp glbl Tokens", "2025-06-01"),
    ("o3-mini-2025-01-31", GLOBAL, "", "", "input", "1.1", "o3 mini 0131 input glbl Tokens", "2025-02-01"),
    ("o3-mini-2025-01-31", ZONE, "eastus", "", "output", "4.84", "o3 mini 0131 output Data Zone Tokens", "2025-02-01"),
    ("o4-mini-2025-04-16", GLOBAL, "", "", "input", "1.1", "o4-mini 0416 Inp glbl Tokens", "2025-04-01"),
    ("o4-mini-2025-04-16", GLOBAL, "", "", "cached", "0.275", "o4-mini 0416 cached Inp glbl Tokens", "2025-12-01"),
    ("o3-pro", GLOBAL, "", "", "output", "80", "o3-pro Outp glbl Tokens", "2025-06-01"),
    ("codex-mini", GLOBAL, "", "", "input", "1.5", "codex mini inp glbl Tokens", "2025-06-01"),
    ("gpt-5-2025-08-07", GLOBAL, "", "", "input", "1.25", "GPT 5 Inpt Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5-2025-08-07", GLOBAL, "", "", "cached", "0.125", "GPT 5 cchd Inpt Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5-2025-08-07", GLOBAL, "", "", "output", "10", "GPT 5 outpt Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5", ZONE, "eastus2", "", "input", "1.375", "GPT 5 Inpt DZone 1M Tokens", "2025-08-01"),
    ("gpt-5", "GlobalBatch", "", "", "cached", "0.0625", "GPT 5 Batch Inpt cchd Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5", GLOBAL, "", "priority", "input", "2.5", "5 pp inp Gl 1M Tokens", "2026-03-01"),
    ("gpt-5-mini", GLOBAL, "", "", "input", "0.25", "GPT 5 Mini Inpt Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5-nano", GLOBAL, "", "", "input", "0.05", "GPT 5 Nano Inpt Glbl 1M Tokens", "2025-08-01"),
    ("gpt-5-pro", GLOBAL, "", "", "input", "15", "gpt 5 pro inp glbl Tokens", "2025-10-01"),
    ("gpt-5-codex", GLOBAL, "", "", "cached", "0.125", "gpt-5-codex-ccchd-inp-glbl Tokens", "2025-09-01"),
    ("gpt-5.1", GLOBAL, "", "", "input", "1.25", "GPT 5.1 inp Gl 1M Tokens", "2025-11-01"),
    ("gpt-5.1-codex-mini", GLOBAL, "", "", "output", "2", "5.1 codex mini opt Gl 1M Tokens", "2025-11-01"),
    ("gpt-5.2", ZONE, "japaneast", "", "input", "2.1", "GPT 5.2 inp Dz 1M Tokens", "2026-06-01"),
    ("gpt-5.4", ZONE, "japaneast", "", "cached", "0.3", "5.4 cd inp Dz 1M Tokens", "2026-06-01"),
    ("gpt-5.4-mini", "GlobalBatch", "", "", "input", "0.375", "5.4 mini Batch Inp Gl 1M Tokens", "2026-03-01"),
    ("gpt-5.5", GLOBAL, "", "", "input", "5", "5.5 ShortCo inp Gl 1M Tokens", "2026-05-01"),
    ("gpt-5.5", GLOBAL, "", "long", "input", "10", "5.5 LongCo inp Gl 1M Tokens", "2026-05-01"),
    ("gpt-5.5", GLOBAL, "", "long", "output", "45", "5.5 LongCo opt Gl 1M Tokens", "2026-05-01"),
    ("gpt-5.6-sol", GLOBAL, "", "", "cache_write", "6.25", "5.6 sol ShortCo Cd Wr Std Gl 1M Tokens", "2026-07-01"),
    ("text-embedding-3-large", GLOBAL, "", "", "input", "0.13", "text-embedding-3-large-glbl Tokens", "2024-06-01"),
    ("text-embedding-3-small", GLOBAL, "", "", "input", "0.02", "text-embedding-3-small-glbl Tokens", "2024-06-01"),
    ("text-embedding-ada-002", ZONE, "eastus", "", "input", "0.11", "embedding-ada-datazone Tokens", "2025-03-01"),
    ("gpt-4o-audio-preview-2024-12-17", GLOBAL, "", "", "audio_input", "40", "gpt-4o-aud-1217 Inp glbl Tokens", "2025-01-01"),
    ("gpt-4o-transcribe", GLOBAL, "", "", "audio_input", "6", "gpt-4o-transcribe-aud-inp-glbl Tokens", "2025-04-01"),
    ("gpt-4o-mini-tts", GLOBAL, "", "", "audio_output", "12", "gpt-4o-mini-tts-aud-out-glbl Tokens", "2025-04-01"),
    ("gpt-realtime-2025-08-28", GLOBAL, "", "", "audio_output", "64", "gpt rt aud 0828 Outp glbl Tokens", "2025-09-01"),
    ("gpt-image-1", GLOBAL, "", "", "image_output", "40", "gpt-image-1-output-img-glbl Tokens", "2025-04-01"),
    ("gpt-image-1", GLOBAL, "", "", "input", "5", "gpt-image-1-inp-txt-glbl Tokens", "2025-04-01"),
    ("gpt-image-1.5", GLOBAL, "", "", "image_cached", "2", "gpt img 1.5 in cd img gl 1M Tokens", "2025-12-01"),
    ("gpt-4o-2024-08-06", GLOBAL, "", "", "training", "25", "gpt-4o-0806-FT-Trng-glbl tkn Tokens", "2024-12-01"),
    ("ft:gpt-4.1", GLOBAL, "", "", "output", "8", "gpt-4.1-ft output global Tokens", "2025-04-01"),
    ("DeepSeek-R1", GLOBAL, "", "", "input", "1.35", "R1 Inp glbl Tokens", "2025-02-01"),
    ("grok-4", GLOBAL, "", "", "output", "15", "Grok-4 Outp glbl Tokens", "2026-01-01"),
    ("Llama-3.3-70B-Instruct", GLOBAL, "", "", "input", "0.71", "Llama 3.3 70B Inp glbl Tokens", "2026-01-01"),
    ("mistral-large-3", GLOBAL, "", "", "input", "0.5", "Large 3 Inp glbl Tokens", "2025-12-01"),
    ("gpt-oss-120b", GLOBAL, "", "", "output", "0.6", "gpt-oss-120B Outp glbl Tokens", "2026-03-01"),
)  # fmt: skip
IDS = [" ".join(part for part in row[:5] if part) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_price_of_the_shipped_book(row: tuple[str, ...]) -> None:
    model, sku, region, tier, of, dollars, _, _ = row
    table = shipped_prices().table(sold(model=model, sku=sku, sku_given=True, region=region), NOW, tier)
    rates: Rates = table.longer[0][1] if tier == "long" else table.rates
    assert Decimal(getattr(rates, of)) / 10**6 == Decimal(dollars)
    assert table.source == "azure-retail"


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_price_as_azure_publishes_it(row: tuple[str, ...]) -> None:
    _, _, region, _, _, dollars, meter, since = row
    count = {"1K": 1_000, "1M": 1}
    found = {
        (given["effectiveStartDate"][:10], Decimal(str(given["retailPrice"])) * count[given["unitOfMeasure"]])
        for given in published()["items"]
        if given["meterName"] == meter and (not region or region in given["regions"])
    }
    assert (since, Decimal(dollars)) in found


def test_claude_costs_what_anthropic_publishes() -> None:
    """Sold through the marketplace, it is in no list of Azure's: prices of genai-prices 0.2.3, dated 2026-10-14."""
    package = pytest.importorskip("genai_prices", reason="see requirements-dev.txt")
    usage = package.Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    for model in ("claude-opus-4-1", "claude-opus-4-5", "claude-haiku-4-5", "claude-sonnet-5", "claude-opus-5-5"):
        expected = package.calc_price(usage, model_ref=model, provider_id="anthropic").total_price
        rates = shipped_prices().table(sold(model=model), NOW).rates
        assert rates.input is not None
        assert rates.output is not None
        assert Decimal(rates.input + rates.output) / 10**6 == expected
