"""The arithmetic, by hand: what each class of token and each unit costs, in every tier, zone and length of context."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.prices.cost import cost_of
from shared.prices.rates import Rates, Table
from shared.types import NO_COST, Cost, Usage
from tests.unit.prices.given_prices import costs, shipped_prices, sold

GLOBAL, ZONE, REGIONAL = "GlobalStandard", "DataZoneStandard", "Standard"


class Case(NamedTuple):
    name: str
    terms: dict[str, Any]
    usage: Usage
    nanos: int
    """By hand, from the dollars per million in the comment."""
    priced: bool = True


def at(model: str, sku: str = GLOBAL, **more: Any) -> dict[str, Any]:
    return {"model": model, "sku": sku, "sku_given": True, **more}


CASES = [
    # gpt-4o 2024-11-20 Global: 2.50 / 1.25 / 10
    Case("plain", at("gpt-4o-2024-11-20"), Usage(input_tokens=1000, output_tokens=100), 3_500_000),
    Case(
        "cached",
        at("gpt-4o-2024-11-20"),
        Usage(input_tokens=1000, cached_input_tokens=400, output_tokens=100),
        3_000_000,
    ),
    Case("all cached", at("gpt-4o-2024-11-20"), Usage(input_tokens=1000, cached_input_tokens=1000), 1_250_000),
    Case(
        "reasoning costs what output costs",
        at("o3-2025-04-16"),  # 2 / 0.5 / 8
        Usage(input_tokens=10, output_tokens=1000, reasoning_tokens=960),
        20_000 + 8_000_000,
    ),
    Case("one token", at("gpt-5-nano"), Usage(input_tokens=1), 50),  # 0.05
    Case("one cached token", at("gpt-5-nano"), Usage(input_tokens=1, cached_input_tokens=1), 5),  # 0.005
    Case(
        "rounded up at the half", at("gpt-5-nano", "GlobalBatch"), Usage(input_tokens=1, cached_input_tokens=1), 3
    ),  # 0.0025: 2.5 nanos
    Case(
        "rounded once, not by class", at("gpt-5-nano", "GlobalBatch"), Usage(input_tokens=3, cached_input_tokens=3), 8
    ),  # 7.5 nanos
    # tiers
    Case(
        "batch by SKU", at("gpt-4o-2024-11-20", "GlobalBatch"), Usage(input_tokens=1000, output_tokens=100), 1_750_000
    ),
    Case(
        "batch by what was served",
        at("gpt-4o-2024-11-20"),
        Usage(input_tokens=1000, output_tokens=100, tier="batch"),
        1_750_000,
    ),
    Case(
        "batch cached without a meter costs what batch input costs",
        at("gpt-4o-2024-11-20", "GlobalBatch"),
        Usage(input_tokens=1000, cached_input_tokens=400),
        1_250_000,
    ),
    Case(
        "data zone batch",
        at("gpt-5.4", "DataZoneBatch", region="swedencentral"),  # 1.375 / 0.143 / 8.25
        Usage(input_tokens=1000, cached_input_tokens=1000, output_tokens=100),
        143_000 + 825_000,
    ),
    Case(
        "priority",
        at("gpt-5"),
        Usage(input_tokens=1000, cached_input_tokens=400, output_tokens=100, tier="priority"),  # 2.5 / 0.25 / 20
        1_500_000 + 100_000 + 2_000_000,
    ),
    Case(
        "a priority call that was served by default",
        at("gpt-5"),
        Usage(input_tokens=1000, output_tokens=100, tier="default"),
        1_250_000 + 1_000_000,
    ),
    Case(
        "priority without meters costs the standard price",
        at("gpt-4o-2024-11-20"),
        Usage(input_tokens=1000, tier="priority"),
        2_500_000,
    ),
    Case("flex has no meters", at("gpt-5"), Usage(input_tokens=1000, tier="flex"), 1_250_000),
    # zones
    Case(
        "data zone",
        at("gpt-4o-2024-11-20", ZONE, region="swedencentral"),
        Usage(input_tokens=1000, output_tokens=100),
        2_750_000 + 1_100_000,
    ),
    Case("data zone of Asia", at("gpt-5.4", ZONE, region="japaneast"), Usage(input_tokens=1000), 3_000_000),
    Case("data zone of Europe by base_model", at("gpt-5.4", ZONE, area="eu"), Usage(input_tokens=1000), 2_750_000),
    Case(
        "regional",
        at("gpt-4.1", REGIONAL, region="swedencentral"),
        Usage(input_tokens=1000, output_tokens=100),
        2_420_000 + 968_000,
    ),
    Case(
        "another region",
        at("gpt-4.1", REGIONAL, region="eastus2"),
        Usage(input_tokens=1000, output_tokens=100),
        2_200_000 + 880_000,
    ),
    Case("regions disagree: the dearest", at("gpt-4.1", REGIONAL), Usage(input_tokens=1000), 2_640_000),
    Case("government", at("gpt-4.1", REGIONAL, region="usgovvirginia"), Usage(input_tokens=1000), 2_750_000),
    # long contexts: the whole call
    Case(
        "up to 272k", at("gpt-5.5"), Usage(input_tokens=272_000, output_tokens=100), 1_360_000_000 + 3_000_000
    ),  # 5 / 30
    Case(
        "above 272k", at("gpt-5.5"), Usage(input_tokens=272_001, output_tokens=100), 2_720_010_000 + 4_500_000
    ),  # 10 / 45
    Case(
        "above 272k, cached", at("gpt-5.5"), Usage(input_tokens=300_000, cached_input_tokens=300_000), 300_000_000
    ),  # 1
    Case(
        "above 272k, batch",
        at("gpt-5.5", "GlobalBatch"),
        Usage(input_tokens=300_000, output_tokens=100),
        1_500_000_000 + 2_250_000,
    ),
    Case(
        "above 272k with priority, which has no meter: the dearer of both",
        at("gpt-5.5"),
        Usage(input_tokens=300_000, tier="priority"),
        3_750_000_000,
    ),  # 12.5 against 10
    Case(
        "Grok above 200k", at("grok-4.3"), Usage(input_tokens=200_001, output_tokens=1), 500_002_500 + 5_000
    ),  # 2.5 / 5
    Case("a model with one price for all lengths", at("gpt-4.1"), Usage(input_tokens=900_000), 1_800_000_000),
    # cache writes
    Case(
        "cache write",
        at("gpt-5.6-sol"),
        Usage(input_tokens=1000, cache_write_tokens=600, cached_input_tokens=300),  # 5 / 6.25 / 0.5
        500_000 + 3_750_000 + 150_000,
    ),
    Case("cache write without a meter", at("gpt-5"), Usage(input_tokens=1000, cache_write_tokens=600), 1_250_000),
    Case(
        "Claude",
        at("claude-sonnet-4-5-20250929"),
        Usage(input_tokens=1000, output_tokens=100, cached_input_tokens=300, cache_write_tokens=500),
        600_000 + 90_000 + 1_875_000 + 1_500_000,
    ),  # 3 / 0.3 / 3.75 / 15
    Case(
        "Claude, written for an hour",
        at("claude-sonnet-4-5"),
        Usage(input_tokens=1000, cache_write_tokens=500, cache_write_1h_tokens=200),
        1_500_000 + 1_125_000 + 1_200_000,
    ),  # 3 / 3.75 / 6
    Case(
        "Claude batch",
        at("claude-sonnet-4-5", "GlobalBatch"),
        Usage(input_tokens=1000, output_tokens=100),
        1_500_000 + 750_000,
    ),
    Case(
        "Claude above 200k",
        at("claude-sonnet-4-5"),
        Usage(input_tokens=200_001, output_tokens=100),
        1_200_006_000 + 2_250_000,
    ),
    # sound and images
    Case(
        "audio in and out",
        at("gpt-4o-audio-preview-2024-12-17"),  # 2.5 / 10 text, 40 / 80 audio
        Usage(input_tokens=1000, audio_input_tokens=800, output_tokens=500, audio_output_tokens=400),
        500_000 + 32_000_000 + 1_000_000 + 32_000_000,
    ),
    Case(
        "cached is text first",
        at("gpt-realtime-2025-08-28"),  # 4 / 0.4 text, 32 / 0.4 audio
        Usage(input_tokens=1000, audio_input_tokens=600, cached_input_tokens=500),
        400 * 400 + 100 * 400 + 500 * 32_000,
    ),
    Case(
        "transcription by tokens",
        at("gpt-4o-transcribe"),
        Usage(input_tokens=110, audio_input_tokens=100, output_tokens=20),
        25_000 + 600_000 + 200_000,
    ),  # 2.5 / 6 / 10
    Case(
        "gpt-image-1, its output undivided",
        at("gpt-image-1"),
        Usage(input_tokens=10, output_tokens=100, images=1, image_kind="1024x1024 high"),
        4_050_000,
    ),
    Case(
        "gpt-image-1 with an image to edit",
        at("gpt-image-1"),  # 5 / 10 / 40
        Usage(input_tokens=300, image_input_tokens=200, output_tokens=1000, image_output_tokens=1000, images=1),
        500_000 + 2_000_000 + 40_000_000,
    ),
    Case(
        "gpt-image-1.5 that also wrote",
        at("gpt-image-1.5"),  # 10 text, 32 images
        Usage(input_tokens=0, output_tokens=1100, image_output_tokens=1000, images=1),
        1_000_000 + 32_000_000,
    ),
    Case(
        "images in a chat cost what its text costs",
        at("gpt-4o-2024-11-20"),
        Usage(input_tokens=1000, image_input_tokens=765),
        2_500_000,
    ),
    Case("dall-e-3, standard", at("dall-e-3"), Usage(images=1, image_kind="1024x1024 standard"), 40_000_000),
    Case("dall-e-3, nothing said", at("dall-e-3"), Usage(images=2), 80_000_000),
    Case("dall-e-3, wide", at("dall-e-3"), Usage(images=1, image_kind="1792x1024"), 80_000_000),
    Case("dall-e-3, HD", at("dall-e-3"), Usage(images=1, image_kind="1024x1024 hd"), 80_000_000),
    Case("dall-e-3, HD and tall", at("dall-e-3"), Usage(images=3, image_kind="1024x1792 hd"), 360_000_000),
    Case("tts", at("tts-1"), Usage(characters=11), 165_000),  # 15 a million; blanks are characters
    Case("tts HD", at("tts-hd"), Usage(characters=1000), 30_000_000),
    Case(
        "speech by tokens",
        at("gpt-4o-mini-tts"),
        Usage(input_tokens=100, output_tokens=200, audio_output_tokens=200, characters=500),
        60_000 + 2_400_000,
    ),  # 0.6 / 12
    Case(
        "speech by tokens, its output undivided",
        at("gpt-4o-mini-tts"),
        Usage(input_tokens=100, output_tokens=200),
        60_000 + 2_400_000,
    ),
    Case("whisper", at("whisper"), Usage(audio_seconds=61.5), 6_150_000),  # 0.36 an hour
    Case("a tenth of a second, exactly", at("whisper"), Usage(audio_seconds=0.1), 10_000),
    Case("sora-2", at("sora-2"), Usage(video_seconds=8.0), 800_000_000),
    Case("sora-2-pro, 720p", at("sora-2-pro"), Usage(video_seconds=4.0, image_kind="720x1280"), 1_200_000_000),
    Case("sora-2-pro, larger", at("sora-2-pro"), Usage(video_seconds=4.0, image_kind="1024x1792"), 2_000_000_000),
    Case("sora-2-pro, of unknown size", at("sora-2-pro"), Usage(video_seconds=4.0), 2_000_000_000),
    Case("sora, square", at("sora"), Usage(video_seconds=7.0, image_kind="1080x1080"), 5_250_000_000),  # 0.75 a second
    # embeddings, fine-tuning, provisioned
    Case("embeddings", at("text-embedding-3-small"), Usage(input_tokens=1000), 20_000),
    Case("ada", at("text-embedding-ada-002"), Usage(input_tokens=10), 1_000),
    Case(
        "fine-tuned",
        at("gpt-4o-2024-08-06.ft-0123456789abcdef"),
        Usage(input_tokens=1000, output_tokens=100),
        2_500_000 + 1_000_000,
    ),
    Case(
        "fine-tuned, by OpenAI's name",
        at("ft:gpt-4.1-mini-2025-04-14:acme::abc", ZONE),
        Usage(input_tokens=1000),
        440_000,
    ),
    Case(
        "developer tier",
        at("ft:gpt-4.1", "DeveloperTier"),
        Usage(input_tokens=1000, output_tokens=100),
        2_000_000 + 800_000,
    ),
    Case("training", at("gpt-4o-2024-08-06"), Usage(training_tokens=1_000_000), 25_000_000_000),
    Case("provisioned", at("gpt-4o", "GlobalProvisionedManaged"), Usage(input_tokens=1000, output_tokens=100), 0),
    # what is not known is never taken for free
    Case("unknown model", at("my-deployment"), Usage(input_tokens=1000), 0, False),
    Case("no model", {}, Usage(input_tokens=1000), 0, False),
    Case("unknown version", at("gpt-4o-2031-01-01"), Usage(input_tokens=1000), 0, False),
    Case("not sold so", at("o3-pro", ZONE), Usage(input_tokens=1000), 0, False),
    Case("sound without a price", at("gpt-5"), Usage(input_tokens=1000, audio_input_tokens=900), 125_000, False),
    Case("an image model that said no tokens", at("gpt-image-1"), Usage(images=1, image_kind="1024x1024"), 0, False),
    Case("characters of a model that is paid by tokens", at("gpt-4o-mini-tts"), Usage(characters=100), 0, False),
    Case("training without a price", at("gpt-5"), Usage(training_tokens=10), 0, False),
    Case("seconds of a chat model", at("gpt-5"), Usage(audio_seconds=3.0), 0, False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_cost(case: Case) -> None:
    found = costs(case.usage, **case.terms)
    assert (found.nanos, found.priced) == (case.nanos, case.priced)


def test_nothing_used_costs_nothing_and_is_not_unpriced() -> None:
    assert costs(Usage(), model="unheard-of") == NO_COST
    assert costs(Usage(tier="priority", image_kind="1024x1024"), model="gpt-5") == NO_COST
    assert costs(Usage(), model="gpt-4o", sku="GlobalProvisionedManaged") == NO_COST


def test_upstream_that_contradicts_itself_never_makes_a_negative_price() -> None:
    table = Table(Rates(input=1_000_000, cached=100_000, output=2_000_000, reasoning=2_000_000, audio_input=5_000_000,
                        audio_cached=5_000_000, audio_output=6_000_000, image_input=1, image_output=1, cache_write=7_000,
                        cache_write_1h=9_000), "x")  # fmt: skip
    for usage in (
        Usage(input_tokens=10, cached_input_tokens=100),
        Usage(output_tokens=10, reasoning_tokens=100),
        Usage(input_tokens=10, audio_input_tokens=100, cached_input_tokens=500),
        Usage(output_tokens=10, audio_output_tokens=100),
        Usage(input_tokens=5, cache_write_tokens=10, cache_write_1h_tokens=100),
    ):
        assert cost_of(usage, table).nanos > 0


@pytest.mark.parametrize(("pico", "nanos"), [(499, 0), (500, 1), (1_499, 1), (1_500, 2), (2_500, 3)])
def test_half_a_nano_is_rounded_up(pico: int, nanos: int) -> None:
    assert cost_of(Usage(input_tokens=1), Table(Rates(input=pico))).nanos == nanos


def test_basis_says_where_a_price_is_from_and_what_was_assumed() -> None:
    usage = Usage(input_tokens=1)
    assert costs(usage, **at("gpt-4o-2024-11-20")).basis == "azure-retail 2024-12-01 GlobalStandard"
    assert costs(usage, model="gpt-4o").basis == "azure-retail 2024-12-01 GlobalStandard (assumed: version 1120, sku)"
    assert costs(usage, **at("gpt-5.4", ZONE)).basis == "azure-retail 2026-06-01 DataZoneStandard (assumed: region)"
    assert (
        costs(usage, **at("gpt-5.4", ZONE, region="swedencentral")).basis == "azure-retail 2026-03-01 DataZoneStandard"
    )
    assert costs(usage, **at("claude-opus-4-5")).basis == "anthropic 2026-10-14 GlobalStandard"
    assert costs(usage, model="FW-GLM-5").basis == "azure-retail 2026-06-01 DataZoneStandard (assumed: sku)"
    assert costs(usage, model="gpt-4o", sku="ProvisionedManaged") == Cost(0, True, "ptu")
    assert costs(usage, model="unheard-of") == Cost(0, False, "")


def test_unpriced_says_what_to_do() -> None:
    def why(**terms: Any) -> str:
        return shipped_prices().table(sold(**terms), 0).missing

    assert why() == "it is not known which model this is: set base_model, or rates such as input_cost_per_token"
    assert why(model="dep") == "the price book has no model dep: set base_model to its name in Azure, or set rates"
    assert why(**at("gpt-4o-2031-01-01")) == (
        "gpt-4o has prices for the versions 0513, 0806, 1120: correct model_version, or set rates"
    )
    assert why(**at("o3-pro", ZONE)) == (
        "o3-pro has no price as DataZoneStandard, only as GlobalStandard: correct sku, or set rates"
    )
    assert why(model="gpt-4o") == ""
