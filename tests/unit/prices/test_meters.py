"""What Azure's meters are prices of: by examples of each spelling, and against an independent reading of all of them."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog import Terms
from shared.prices import PriceBook
from shared.prices.meters import PICO, Meter, Price, Skipped, read_meter, read_row
from shared.prices.places import dearest
from tests.unit.prices.given_prices import published, row

OPENAI, GPT5, MEDIA = "Azure OpenAI", "Azure OpenAI GPT5", "Azure OpenAI Media"


@pytest.mark.parametrize(
    ("name", "product", "expected"),
    [
        ("gpt 4o 1120 Inp glbl Tokens", OPENAI, Meter("gpt-4o", "input", "1120")),
        ("gpt-4o-0806-Inp-regnl Tokens", OPENAI, Meter("gpt-4o", "input", "0806", "regional")),
        ("gpt 4o mini0718 BatchOutp DataZone Tokens", OPENAI, Meter("gpt-4o-mini", "output", "0718", "datazone", "batch")),
        ("gpt-35-turbo16K-0125 Inp-glbl Tokens", OPENAI, Meter("gpt-35-turbo", "input", "0125")),
        ("gpt-35-trb16K-Batch-125-Inp-glbl Tokens", OPENAI, Meter("gpt-35-turbo", "input", "0125", "global", "batch")),
        ("gpt-35-trb16K-Batch-Inp-glbl Tokens", OPENAI, Meter("gpt-35-turbo", "input", "1106", "global", "batch")),
        ("gpt-35-turbo16K-Batch-Inp-glbl Tokens", OPENAI, Meter("gpt-35-turbo-16k", "input", "", "global", "batch")),
        ("Az-GPT35-Turbo-16K-1106 Input Tokens", OPENAI, Meter("gpt-35-turbo", "input", "1106", "regional")),
        ("GPT 5 Mini Batch Inpt cchd Dzone 1M Tokens", GPT5, Meter("gpt-5-mini", "cached_input", "", "datazone", "batch")),
        ("gpt-5-codex-ccchd-inp-dzone Tokens", GPT5, Meter("gpt-5-codex", "cached_input", "", "datazone")),
        ("5.4 pro longco batch opt Gl 1M Tokens", GPT5, Meter("gpt-5.4-pro", "output", "", "global", "batch", 272_000)),
        ("5.6 luna ShortCo Cd Wr PP DZ 1M Tokens", GPT5, Meter("gpt-5.6-luna", "cache_write", "", "datazone", "priority")),
        ("5.2 chat 0210 opt Dz 1M Tokens", GPT5, Meter("gpt-5.2-chat", "output", "0210", "datazone")),
        ("chat-latest 05282026 inp Gl 1M Tokens", GPT5, Meter("chat-latest", "input", "2026-05-28")),
        ("4.1 mini pp cd Inp Dz Tokens", "Azure OpenAI PP FT GPT4s", Meter("gpt-4.1-mini", "cached_input", "", "datazone", "priority")),
        ("4o 0806 ft opt Dz Tokens", "Azure OpenAI PP FT GPT4s", Meter("ft:gpt-4o", "output", "0806", "datazone")),
        ("gpt 4.1 dev ft training glbl Tokens", OPENAI, Meter("ft-dev:gpt-4.1", "training")),
        ("gpt-4.1-mini FT Training regional Tokens", OPENAI, Meter("gpt-4.1-mini", "training", "", "regional")),
        ("o4-mini-ft hosting regional Unit", "Azure OpenAI Reasoning", Meter("ft:o4-mini", "hosting_hour", "", "regional")),
        ("o4-mini 0416 cached Inp DataZone Tokens", "Azure OpenAI Reasoning", Meter("o4-mini", "cached_input", "0416", "datazone")),
        ("o3-deep research 0626-inp-cchd-glbl 1M Tokens", "Azure OpenAI Reasoning", Meter("o3-deep-research", "cached_input", "0626")),
        ("text embedding 3 large DZ Tokens", "Azure OpenAI Embedding", Meter("text-embedding-3-large", "input", "", "datazone")),
        ("embedding-ada-glbl Tokens", OPENAI, Meter("text-embedding-ada-002", "input")),
        ("babbage-002-base-glbl Tokens", OPENAI, Meter("babbage-002", "token")),
        ("computer-use-outp-rgnl Tokens", OPENAI, Meter("computer-use-preview", "output", "", "regional")),
        ("gpt-4o-aud-1217-txt Inp DZone Tokens", OPENAI, Meter("gpt-4o-audio-preview", "input", "1217", "datazone")),
        ("gpt4omini-aud1217 Outp glbl Tokens", OPENAI, Meter("gpt-4o-mini-audio-preview", "audio_output", "1217")),
        ("gpt aud mn in rg 1215 1M Tokens", MEDIA, Meter("gpt-audio-mini", "audio_input", "1215", "regional")),
        ("gpt4o realtimePrvwAudInp DataZone Tokens", OPENAI, Meter("gpt-4o-realtime-preview", "audio_input", "", "datazone")),
        ("gpt rt aud 0828 cchd Inp DZn Tokens", MEDIA, Meter("gpt-realtime", "audio_cached_input", "0828", "datazone")),
        ("gpt-realtime-2.1-mini Image cd inp Gl 1M Tokens", MEDIA, Meter("gpt-realtime-2.1-mini", "image_cached_input")),
        ("gpt 4o tcrb d txt out dz Tokens", MEDIA, Meter("gpt-4o-transcribe-diarize", "output", "", "datazone")),
        ("gpt4o mn tts aud out gl 1215 1M Tokens", MEDIA, Meter("gpt-4o-mini-tts", "audio_output", "1215")),
        ("gpt-image-1-inp-cached-img-glbl Tokens", OPENAI, Meter("gpt-image-1", "image_cached_input")),
        ("Image 2 txt Batch cd inp DZ 1M Tokens", MEDIA, Meter("gpt-image-2", "cached_input", "", "datazone", "batch")),
        ("Image-Dall-E-3 HD HighRes-regnl EP Images", OPENAI, Meter("dall-e-3", "image", "", "regional", kind="hd high")),
        ("Speech-Text to Speech HD-global Characters", OPENAI, Meter("tts-hd", "character")),
        ("Speech-to-Text-Batch-Whisper-regnl Unit", OPENAI, Meter("whisper", "audio_second", "", "regional")),
        ("Sora 2 pro high res dzone Second", MEDIA, Meter("sora-2-pro", "video_second", "", "datazone", kind="high")),
        ("Sora 1080p Sq 6-10s glbl Video", MEDIA, Meter("sora", "video_second", kind="1080p sq 6-10s")),
        ("Provisioned Managed Data Zone Unit", "Azure Grok Models", Meter("ptu:grok", "ptu_hour", "", "datazone")),
        ("FW DeepSeekV3.2 Cache Inp DZ Tokens", "Azure Fireworks Models", Meter("fw-deepseek-v3.2", "cached_input", "", "datazone")),
        ("FW Kimi K2.7 Code Opt DZ Tokens", "Azure Fireworks Models", Meter("fw-kimi-k2.7-code", "output", "", "datazone")),
        ("4.3 Cached Inp Glbl L Tokens", "Azure Grok Models", Meter("grok-4.3", "cached_input", "", "global", "standard", 200_000)),
        ("Grok4 Fast Inp DZone Tokens", "Azure Grok Models", Meter("grok-4-fast", "input", "", "datazone")),
        ("V3-0324 Inp regnl Tokens", "Azure Deepseek Models", Meter("deepseek-v3", "input", "0324", "regional")),
        ("MAI-DS-R1 Outp glbl Tokens", "Azure Deepseek Models", Meter("mai-ds-r1", "output")),
        ("K2.5 cached DZ Tokens", "Azure Kimi", Meter("kimi-k2.5", "cached_input", "", "datazone")),
        ("3.3 70b FT DZ Tokens", "Azure Llama Models", Meter("llama-3.3-70b", "training", "", "datazone")),
        ("Llama3.3-Out-FT Tokens", "Azure Llama Models", Meter("ft:llama-3.3-70b", "output")),
        ("MM3.5 Inp DZ Tokens", "Azure Mistral Models", Meter("mistral-medium-3.5", "input", "", "datazone")),
        ("OCR 2512 Dzone Pages", "Azure Mistral Models", Meter("mistral-ocr", "page", "2512", "datazone")),
        ("Embed v4 Img Glbl Tokens", "Cohere Models", Meter("cohere-embed-v4", "image_input")),
        ("Rerank v4 Fast DZ Search", "Cohere Models", Meter("cohere-rerank-v4-fast", "search", "", "datazone")),
        ("gpt-oss-120B Inp glbl Tokens", "Azure OpenAI OSS Models", Meter("gpt-oss-120b", "input")),
        ("OSS 20b Inp FT DZ Tokens", "Azure OpenAI OSS Models", Meter("ft:gpt-oss-20b", "input", "", "datazone")),
    ],
)  # fmt: skip
def test_meter(name: str, product: str, expected: Meter) -> None:
    assert read_meter(name, product) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Code-Interpreter-global Session", "the fee of a hosted tool"),
        ("Assistants-File Search-glbl GB", "the fee of a hosted tool"),
        ("o1 model ft grader input Tokens", "grading within a fine-tuning job"),
        ("gpt-4.1-ft mdl grdr opt Tokens", "grading within a fine-tuning job"),
        ("Provisioned Throughput - Overage Unit", "classic provisioned throughput, which is no longer sold"),
        ("gpt 9 wonder glbl Tokens", "unknown"),
        ("Tokens", "unknown"),
    ],
)
def test_meter_that_is_no_price_of_a_model_says_why(name: str, reason: str) -> None:
    assert read_meter(name, OPENAI) == Skipped(reason)


@pytest.mark.parametrize(
    ("meter", "unit", "price", "pico"),
    [
        ("gpt 4o 1120 Inp glbl Tokens", "1K", 0.0025, 2_500_000),
        ("gpt 4.1 nano cached Inp glbl Tokens", "1K", 2.5e-05, 25_000),
        ("5.4 inp Gl 1M Tokens", "1M", 2.5, 2_500_000),
        ("Image-DALL-E-2-glbl Images", "100", 2.0, 20_000_000_000),
        ("Speech-Text to Speech-global Characters", "1M", 15.0, 15_000_000),
        ("Speech-to-Text-Batch-Whisper-glbl Unit", "1 Hour", 0.36, 100_000_000),
        ("Sora 2 glbl Second", "1", 0.1, 100_000_000_000),
        ("Sora 720p 1-5s glbl Video", "1 Second", 0.45, 450_000_000_000),
        ("Provisioned Managed Global Unit", "1/Hour", 1.0, PICO),
        ("gpt-4.1-ft hosting global Unit", "1 Hour", 1.7, 1_700_000_000_000),
    ],
)
def test_price_for_one_unit(meter: str, unit: str, price: float, pico: int) -> None:
    found = read_row(row(meter, price, unitOfMeasure=unit))
    assert isinstance(found, Price)
    assert (found.pico, found.since, found.regions) == (pico, "2026-01-01", frozenset({"eastus2"}))


def test_training_by_the_hour_is_not_training_by_the_token() -> None:
    found = read_row(row("o4-mini RFT Training global Unit", 100.0, unitOfMeasure="1 Hour"))
    assert isinstance(found, Price)
    assert found.meter == Meter("o4-mini", "training_hour")


@pytest.mark.parametrize(
    "changed",
    [
        {"unitOfMeasure": "1 Hour"},
        {"unitOfMeasure": "a few"},
        {"unitOfMeasure": None},
        {"retailPrice": -1},
        {"retailPrice": "x"},
        {"retailPrice": None},
        {"retailPrice": "NaN"},
        {"effectiveStartDate": "soon"},
        {"meterName": None},
    ],
)
def test_row_that_makes_no_sense_is_unknown(changed: dict[str, Any]) -> None:
    assert read_row(row("gpt 4o 1120 Inp glbl Tokens", 0.0025, **changed)) == Skipped("unknown")


def test_price_of_nothing_is_skipped() -> None:
    assert read_row(row("gpt 4o 1120 Inp glbl Tokens", 0)) == Skipped("a price of nothing")


def test_row_as_the_api_sends_it() -> None:
    given = row("gpt 4o 1120 Inp glbl Tokens", 0.0025, armRegionName="West US 3")
    del given["regions"]
    found = read_row(given)
    assert isinstance(found, Price)
    assert found.regions == {"westus3"}


# All of Azure's list, read by azure-genai-prices as well: a second reading by somebody else.

_KINDS = {
    "input": "input",
    "output": "output",
    "cache_read": "cached_input",
    "cache_write": "cache_write",
    "search_unit": "search",
}
_ACCEPTED = (
    # it has one class of token for text, sound and images; we have three
    (r"(?i)\b(aud|img|image)|Aud(Inp|Outp)", "content"),
    # it reads `ccchd`, Azure's own slip, as part of the model's name and the price as that of plain input
    (r"gpt-5-codex-ccchd", "cached"),
    # it does not know `DZn` and `glb` for zones, and takes what names none for regional: fine-tuned models of other makers
    # cost what their Global meters say (their Data Zone and Regional meters are a tenth dearer, 2026-05)
    (r"\bDZn\b|\bglb\b|-FT Tokens$", "zone"),
)  # fmt: skip
"""Differences that are there on purpose: names of meters, and in what they differ."""


def _readings() -> list[tuple[dict[str, Any], Any, Meter | Skipped]]:
    theirs = pytest.importorskip("azure_genai_prices.meters", reason="see requirements-dev.txt")
    found: list[tuple[dict[str, Any], Any, Meter | Skipped]] = []
    for given in published()["items"]:
        name, product = given["meterName"], given["productName"]
        if product.startswith(theirs.DEFAULT_PRODUCTS) and not theirs._is_skippable(name, product):
            found.append((given, theirs.parse_meter_name(name, product), read_meter(name, product)))
    return found


def test_no_meter_of_azures_list_is_unknown() -> None:
    unknown = {given["meterName"] for given in published()["items"] if read_row(given) == Skipped("unknown")}
    assert unknown == set()


def test_every_meter_is_read_as_the_other_reader_reads_it() -> None:
    differing: set[str] = set()
    readings = _readings()
    for given, theirs, ours in readings:
        name = given["meterName"]
        if isinstance(ours, Skipped):
            assert (ours.reason, "grdr" in name) == ("grading within a fine-tuning job", True), name
            continue
        accepted = {what for pattern, what in _ACCEPTED if re.search(pattern, name)}
        content = re.sub("^(audio|image)_", "", ours.of) if "content" in accepted else ours.of
        if content != _KINDS[theirs.kind.value] and "cached" not in accepted:
            differing.add(f"{name}: {ours.of}, not {theirs.kind.value}")
        if ours.zone != theirs.deployment.value.replace("_", "") and "zone" not in accepted:
            differing.add(f"{name}: {ours.zone}, not {theirs.deployment.value}")
        if (ours.tier, bool(ours.context)) != (theirs.mode.value, theirs.context.value == "long"):
            differing.add(f"{name}: {ours.tier} {ours.context}, not {theirs.mode.value} {theirs.context.value}")
    assert differing == set()
    assert len(readings) > 2_500


def test_meters_of_one_model_are_of_one_model_for_us_too() -> None:
    ours_of: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for _, theirs, ours in _readings():
        if isinstance(ours, Meter):
            ours_of[theirs.model].add((ours.model, ours.version))
    several = {model: names for model, names in ours_of.items() if len(names) > 1}
    assert several == {}


def test_prices_are_those_of_the_other_reader_in_every_region() -> None:
    """Meter by meter and region by region, as of the day on which the list was fetched."""
    theirs = pytest.importorskip("azure_genai_prices.meters", reason="see requirements-dev.txt")
    day = published()["fetched_at"][:10]
    table, _ = theirs.parse_catalog(published()["items"], as_of=day)
    book, compared = PriceBook(), 0
    book.merge(published()["items"], "azure-retail", day)
    differing: list[str] = []
    for given, key, ours in _readings():
        if isinstance(ours, Skipped):
            continue
        entries = book.rows(ours.model, ours.version)[ours.key]
        for region in given["regions"]:
            expected = table[key.as_tuple()].region_prices[region] * PICO
            found = dearest(entries, Terms(region=region), day)[0].pico if region else entries[0].pico
            compared += 1
            if Decimal(found) != expected:
                differing.append(f"{given['meterName']} in {region}: {found}, not {expected}")
    assert differing == []
    assert compared > 20_000
