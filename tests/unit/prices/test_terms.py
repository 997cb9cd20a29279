"""What a configuration says of prices: SKU, region, version, rates by the seed's names, provisioned throughput."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shared.catalog import Ptu, Terms
from shared.errors import ConfigError
from shared.transform.terms import RATE_NAMES, is_rate
from shared.types import Usage
from tests.unit.given import AT, catalog, entry
from tests.unit.prices.given_prices import NOW, shipped_prices


def terms(more: str, model: str = "azure/dep", info: str = "") -> Terms:
    text = entry(f"model: {model}, {AT}, {more}" if more else f"model: {model}, {AT}")
    return catalog(text + (f"  model_info: {{{info}}}\n" if info else "")).of("alias")[0].terms


def cost(more: str, usage: Usage, model: str = "azure/dep") -> tuple[int, bool, str]:
    deployment = catalog(entry(f"model: {model}, {AT}, {more}")).of("alias")[0]
    found = shipped_prices().cost(deployment, usage, NOW)
    return found.nanos, found.priced, found.basis


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("base_model: azure/gpt-4o-2024-11-20", Terms(model="gpt-4o-2024-11-20")),
        ("base_model: azure/eu/gpt-4o-2024-08-06", Terms("DataZoneStandard", True, area="eu", model="gpt-4o-2024-08-06")),
        ("base_model: azure/us/gpt-4o-2024-08-06", Terms("DataZoneStandard", True, area="us", model="gpt-4o-2024-08-06")),
        ("base_model: azure/global/gpt-4o-2024-08-06", Terms("GlobalStandard", True, model="gpt-4o-2024-08-06")),
        ("base_model: azure/global-standard/gpt-4o-mini", Terms("GlobalStandard", True, model="gpt-4o-mini")),
        ("base_model: azure/eu/gpt-4o, sku: Standard", Terms("Standard", True, area="eu", model="gpt-4o")),
        ("sku: data zone standard", Terms("DataZoneStandard", True, model="dep")),
        ("sku: GlobalBatch", Terms("GlobalBatch", True, model="dep")),
        ("sku: global-provisioned-managed", Terms("GlobalProvisionedManaged", True, model="dep")),
        ("region: Sweden Central", Terms(region="swedencentral", model="dep")),
        ("region_name: eu", Terms(area="eu", model="dep")),
        ("region_name: eastus2", Terms(region="eastus2", model="dep")),
        ("model_version: 2024-11-20", Terms(version="2024-11-20", model="dep")),
        ("model_version: 1120", Terms(version="1120", model="dep")),
        ("ptu: {units: 100}", Terms("GlobalProvisionedManaged", model="dep", ptu=Ptu(100))),
        ("sku: DataZoneProvisionedManaged, ptu: {units: 15, hourly_cost: 16.5, capacity_tokens_per_hour: 9000, output_weight: 4}",
         Terms("DataZoneProvisionedManaged", True, model="dep", ptu=Ptu(15, 16_500_000_000, 9000, 4))),
    ],
)  # fmt: skip
def test_terms(given: str, expected: Terms) -> None:
    assert terms(given) == expected


def test_terms_may_stand_in_model_info_where_the_parameters_say_nothing() -> None:
    found = terms(
        "region: eastus2", info="sku: Standard, region: westus, base_model: azure/gpt-4o, input_cost_per_token: 1e-6"
    )
    assert found == Terms("Standard", True, "eastus2", model="gpt-4o", rates={"standard.0.input": 1_000_000})


ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/res"


def test_resource_id() -> None:
    assert terms(f"azure_resource_id: {ACCOUNT}").resource_id == ACCOUNT


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("input_cost_per_token", "standard.0.input"),
        ("output_cost_per_token", "standard.0.output"),
        ("cache_read_input_token_cost", "standard.0.cached_input"),
        ("cache_creation_input_token_cost", "standard.0.cache_write"),
        ("cache_creation_input_token_cost_above_1hr", "standard.0.cache_write_1h"),
        ("input_cost_per_audio_token", "standard.0.audio_input"),
        ("output_cost_per_audio_token", "standard.0.audio_output"),
        ("output_cost_per_reasoning_token", "standard.0.reasoning"),
        ("input_cost_per_image_token", "standard.0.image_input"),
        ("output_cost_per_image_token", "standard.0.image_output"),
        ("input_cost_per_token_batches", "batch.0.input"),
        ("output_cost_per_token_batches", "batch.0.output"),
        ("input_cost_per_token_priority", "priority.0.input"),
        ("output_cost_per_token_priority", "priority.0.output"),
        ("cache_read_input_token_cost_priority", "priority.0.cached_input"),
        ("input_cost_per_token_flex", "flex.0.input"),
        ("output_cost_per_token_flex", "flex.0.output"),
        ("cache_read_input_token_cost_flex", "flex.0.cached_input"),
        ("input_cost_per_token_above_128k_tokens", "standard.128000.input"),
        ("output_cost_per_token_above_200k_tokens", "standard.200000.output"),
        ("cache_read_input_token_cost_above_272k_tokens", "standard.272000.cached_input"),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", "standard.200000.cache_write_1h"),
        ("input_cost_per_token_above_272k_tokens_priority", "priority.272000.input"),
        ("input_cost_per_token_priority_above_272k_tokens", "priority.272000.input"),
        ("input_cost_per_image", "standard.0.image"),
        ("output_cost_per_image", "standard.0.image"),
        ("input_cost_per_character", "standard.0.character"),
        ("input_cost_per_second", "standard.0.audio_second"),
        ("output_cost_per_video_per_second", "standard.0.video_second"),
    ],
)
def test_names_of_rates(name: str, key: str) -> None:
    assert terms(f"{name}: 0.00000015").rates == {key: 150_000}


def test_the_output_price_of_a_pair_is_the_price_of_the_whole() -> None:
    assert (
        terms("output_cost_per_second: 0.0002, input_cost_per_second: 0.0001").rates["standard.0.audio_second"]
        == 200_000_000
    )


@pytest.mark.parametrize(
    ("written", "pico"), [("0.00000015", 150_000), ("1.5e-07", 150_000), ("'15e-8'", 150_000), ("0", 0), ("6.000000000000001e-08", 60_000)]
)  # fmt: skip
def test_prices_are_read_as_decimal_text(written: str, pico: int) -> None:
    assert terms(f"input_cost_per_token: {written}").rates == {"standard.0.input": pico}


PER_TOKEN = "write USD for one token: 2.50 for a million tokens is 0.0000025"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("sku: Globel", "sku: 'Globel' is no SKU of a deployment → write one of GlobalStandard, DataZoneStandard, Standard, GlobalBatch, "
                        "DataZoneBatch, DeveloperTier, GlobalProvisionedManaged, DataZoneProvisionedManaged, ProvisionedManaged"),
        ("region: '12'", "region: '12' is no region of Azure → write its name, such as swedencentral"),
        ("region_name: '12'", "region_name: '12' is no region of Azure → write its name, such as swedencentral"),
        ("input_cost_per_token: 2.5", f"input_cost_per_token: more than 0.01 cannot be right → {PER_TOKEN}"),
        ("input_cost_per_token: -1e-9", f"input_cost_per_token: a price cannot be negative → {PER_TOKEN}; 0 for what costs nothing"),
        ("input_cost_per_token: free", f"input_cost_per_token: this is no price → {PER_TOKEN}"),
        ("input_cost_per_token: .nan", f"input_cost_per_token: this is no price → {PER_TOKEN}"),
        ("input_cost_per_token: .inf", f"input_cost_per_token: this is no price → {PER_TOKEN}"),
        ("input_cost_per_token: true", f"input_cost_per_token: this is no price → {PER_TOKEN}"),
        ("input_cost_per_token: 1.0e-13", "input_cost_per_token: the price is below a millionth of a millionth of a dollar → correct it"),
        ("output_cost_per_image: 2000", "output_cost_per_image: more than 1000 cannot be right → write USD for one unit: "
                                        "2.50 for a million tokens is 0.0000025"),
        ("input_cost_per_tokens: 1.0e-6", "input_cost_per_tokens: unknown setting → write 'input_cost_per_token', or put it under extra_body to send it"),
        ("ptu: {units: 0}", "ptu.units: input should be greater than or equal to 1 (it is 0) → correct the value, or leave the field out"),
        ("ptu: {units: 5, price: 3}", "ptu.price: unknown field → remove it"),
        ("ptu: {units: 5, hourly_cost: much}", "ptu: this is no price → write the price of an hour of all units in USD"),
        ("ptu: {units: 5, hourly_cost: -1}", "ptu: a price cannot be negative → write the price of an hour of all units in USD; 0 for what costs nothing"),
        ("azure_resource_id: /subscriptions/x", "azure_resource_id: this is not the id of an Azure AI resource → copy it from the resource's JSON view: "
                                                "/subscriptions/…/resourceGroups/…/providers/Microsoft.CognitiveServices/accounts/NAME"),
    ],
)  # fmt: skip
def test_bad_values_are_problems_with_a_line_and_a_remedy(given: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        terms(given)
    assert [str(p) for p in raised.value.problems] == [f"line 3: model_list[0].litellm_params.{problem}"]


def test_bad_rate_in_model_info_is_told_where_it_stands() -> None:
    with pytest.raises(ConfigError) as raised:
        terms("", info="output_cost_per_token: -1")
    assert str(raised.value).startswith(
        "line 4: model_list[0].model_info.output_cost_per_token: a price cannot be negative"
    )


def test_price_from_a_reference_is_not_shown_when_it_is_none() -> None:
    text = entry(f"model: azure/d, {AT}, input_cost_per_token: os.environ/PRICE")
    with pytest.raises(ConfigError) as raised:
        catalog(text, {"PRICE": "sk-secret"})
    assert "sk-secret" not in str(raised.value)
    assert catalog(text, {"PRICE": "0.000001"}).of("alias")[0].terms.rates == {"standard.0.input": 1_000_000}


@pytest.mark.parametrize(
    ("model", "more", "expected"),
    [
        ("azure/gpt-4o", "", "gpt-4o"),
        ("azure_ai/grok-4", "api_base: 'https://f.services.ai.azure.com'", "grok-4"),
        ("openai/gpt-4o", "api_base: 'https://api.openai.com/v1'", "gpt-4o"),
        ("openai/gpt-4o", "api_base: 'http://localhost:8000/v1'", ""),
        ("openai/gpt-4o", "api_base: 'http://localhost:8000/v1', base_model: azure/gpt-4o-mini", "gpt-4o-mini"),
    ],
)
def test_only_names_that_mean_something_are_looked_up(model: str, more: str, expected: str) -> None:
    base = more or "api_base: 'https://res.openai.azure.com'"
    assert catalog(entry(f"model: {model}, api_key: secret-key-1, {base}")).of("alias")[0].terms.model == expected


# What the seed's own tests state (litellm: azure gpt-4o 2.5/1.25/10 and gpt-5 1.25/0.125/10 per million).
TEN = Usage(input_tokens=10, cached_input_tokens=4, output_tokens=5)
GPT_4O = "input_cost_per_token: 2.5e-6, cache_read_input_token_cost: 1.25e-6, output_cost_per_token: 1.0e-5"
GPT_5 = "input_cost_per_token: 1.25e-6, cache_read_input_token_cost: 1.25e-7, output_cost_per_token: 1.0e-5"
GPT_5_PRIORITY = "input_cost_per_token_priority: 2.5e-6, cache_read_input_token_cost_priority: 2.5e-7, output_cost_per_token_priority: 2.0e-5"


@pytest.mark.parametrize(
    ("given", "usage", "nanos"),
    [
        (GPT_4O, TEN, 70_000),
        (GPT_5, TEN, 58_000),
        (f"{GPT_5}, {GPT_5_PRIORITY}", Usage(input_tokens=10, cached_input_tokens=4, output_tokens=5, tier="priority"), 116_000),
        ("input_cost_per_token: 0.001, output_cost_per_token: 0.002", TEN, 20_000_000),
        ("input_cost_per_token: 5.0e-6, output_cost_per_image_token: 4.0e-5", Usage(input_tokens=10, output_tokens=100, images=1), 4_050_000),
        ("input_cost_per_character: 1.5e-5", Usage(characters=11), 165_000),
        ("input_cost_per_second: 0.0001, output_cost_per_second: 0.0001", Usage(audio_seconds=10.0), 1_000_000),
    ],
)  # fmt: skip
def test_published_examples_of_the_seed(given: str, usage: Usage, nanos: int) -> None:
    assert cost(given, usage) == (nanos, True, "config")


@pytest.mark.parametrize(("base", "nanos"), [("azure/gpt-4o-2024-11-20", 70_000), ("azure/gpt-5-2025-08-07", 58_000)])
def test_published_examples_by_the_book(base: str, nanos: int) -> None:
    assert cost(f"base_model: {base}", TEN)[:2] == (nanos, True)


def test_data_zone_of_the_seed_is_a_tenth_dearer() -> None:
    assert cost("base_model: azure/eu/gpt-4o-2024-08-06", Usage(input_tokens=1000))[0] == 2_750_000
    assert cost("base_model: azure/us/gpt-5.4", Usage(input_tokens=1000))[0] == 2_750_000


RATES = "input_cost_per_token: 2.0e-6, output_cost_per_token: 8.0e-6"


@pytest.mark.parametrize(
    ("given", "usage", "nanos"),
    [
        # what is not given: cached = input, reasoning = output, batch = half, priority and flex = standard
        (RATES, Usage(input_tokens=10, cached_input_tokens=10), 20_000),
        (RATES, Usage(input_tokens=10, cache_write_tokens=10, cache_write_1h_tokens=5), 20_000),
        (RATES, Usage(output_tokens=10, reasoning_tokens=10), 80_000),
        (RATES, Usage(input_tokens=10, output_tokens=10, tier="batch"), 50_000),
        (f"{RATES}, sku: GlobalBatch", Usage(input_tokens=10, output_tokens=10), 50_000),
        (RATES, Usage(input_tokens=10, cached_input_tokens=10, tier="batch"), 10_000),
        (f"{RATES}, cache_read_input_token_cost: 1.5e-6", Usage(input_tokens=10, cached_input_tokens=10, tier="batch"), 10_000),
        (f"{RATES}, cache_read_input_token_cost: 0.5e-6", Usage(input_tokens=10, cached_input_tokens=10, tier="batch"), 5_000),
        (RATES, Usage(input_tokens=10, tier="priority"), 20_000),
        (RATES, Usage(input_tokens=10, tier="flex"), 20_000),
        (RATES, Usage(input_tokens=10, audio_input_tokens=4, output_tokens=10, audio_output_tokens=5), 100_000),
        # what is given
        (f"{RATES}, output_cost_per_reasoning_token: 1.0e-5", Usage(output_tokens=10, reasoning_tokens=4), 88_000),
        (f"{RATES}, input_cost_per_token_batches: 1.9e-6", Usage(input_tokens=10, output_tokens=10, tier="batch"), 59_000),
        (f"{RATES}, input_cost_per_token_flex: 1.0e-6", Usage(input_tokens=10, output_tokens=10, tier="flex"), 90_000),
        (f"{RATES}, cache_creation_input_token_cost: 2.5e-6, cache_creation_input_token_cost_above_1hr: 4.0e-6",
         Usage(input_tokens=30, cache_write_tokens=20, cache_write_1h_tokens=10), 20_000 + 25_000 + 40_000),
        (f"{RATES}, input_cost_per_audio_token: 4.0e-5, output_cost_per_audio_token: 8.0e-5",
         Usage(input_tokens=10, audio_input_tokens=4, output_tokens=10, audio_output_tokens=5), 12_000 + 160_000 + 40_000 + 400_000),
        (f"{RATES}, input_cost_per_token_above_200k_tokens: 4.0e-6", Usage(input_tokens=200_000, output_tokens=1), 400_008_000),
        (f"{RATES}, input_cost_per_token_above_200k_tokens: 4.0e-6", Usage(input_tokens=200_001, output_tokens=1), 800_012_000),
        (f"{RATES}, input_cost_per_token_above_128k_tokens: 3.0e-6, input_cost_per_token_above_272k_tokens: 4.0e-6",
         Usage(input_tokens=300_000), 1_200_000_000),
        (f"{RATES}, input_cost_per_token_above_128k_tokens: 3.0e-6, output_cost_per_token_above_272k_tokens: 9.0e-6",
         Usage(input_tokens=300_000, output_tokens=1), 900_009_000),
        (f"{RATES}, input_cost_per_token_above_128k_tokens: 3.0e-6", Usage(input_tokens=200_000, tier="batch"), 300_000_000),
        ("output_cost_per_image: 0.04", Usage(images=3, image_kind="1024x1024 hd"), 120_000_000),
        ("output_cost_per_second: 0.1", Usage(video_seconds=4.0), 400_000_000),
        ("input_cost_per_token: 0, output_cost_per_token: 0", TEN, 0),
    ],
)  # fmt: skip
def test_rates_of_the_configuration(given: str, usage: Usage, nanos: int) -> None:
    assert cost(given, usage) == (nanos, True, "config")


def test_rates_of_the_configuration_win_over_base_model_as_a_whole() -> None:
    given = "base_model: azure/gpt-4o-2024-11-20, input_cost_per_token: 1.0e-6"
    assert cost(given, Usage(input_tokens=10)) == (10_000, True, "config")
    assert cost(given, Usage(input_tokens=10, output_tokens=10)) == (10_000, False, "config")


def test_base_model_wins_over_the_name_of_the_deployment() -> None:
    assert cost("base_model: azure/gpt-4o-mini-2024-07-18", Usage(input_tokens=1000), "azure/gpt-4o")[0] == 150_000
    assert cost("drop_params: true", Usage(input_tokens=1000), "azure/gpt-4o")[0] == 2_500_000


def test_version_given_apart_wins_over_that_in_the_name() -> None:
    assert (
        cost("base_model: azure/gpt-4o-2024-11-20, model_version: 2024-05-13", Usage(input_tokens=1000))[0] == 5_000_000
    )


def hourly(more: str) -> Any:
    found = catalog(entry(f"model: azure/gpt-4o, {AT}, {more}")).of("alias")[0]
    return shipped_prices().hourly(found, NOW)


def test_hour_of_provisioned_throughput() -> None:
    given = hourly("sku: GlobalProvisionedManaged, ptu: {units: 100, hourly_cost: 62.5}")
    assert (given.nanos, given.basis) == (62_500_000_000, "config")
    listed = hourly("sku: GlobalProvisionedManaged, ptu: {units: 100}")
    assert (listed.nanos, listed.priced) == (100_000_000_000, True)  # 1.00 a unit
    zone = hourly("sku: DataZoneProvisionedManaged, region: japaneast, ptu: {units: 10}")
    assert zone.nanos == 12_000_000_000  # 1.10 until 2026-08-01, 1.20 since
    assert hourly("sku: ProvisionedManaged, region: eastus2, ptu: {units: 50}").nanos == 100_000_000_000
    assert not hourly("base_model: azure/unheard-of, ptu: {units: 1}").priced
    assert not hourly("sku: ProvisionedManaged").priced


def test_examples_of_the_documentation_load() -> None:
    text = (Path(__file__).parents[3] / "docs/prices.md").read_text("utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M)
    first, rates, provisioned = (catalog(example).deployments for example in examples)
    assert shipped_prices().table(first["gpt-5.4"][0], NOW).assumed == ()
    assert len(rates["gpt-4o"][0].terms.rates) == 5
    assert shipped_prices().hourly(provisioned["gpt-4o-ptu"][0], NOW).nanos == 62_500_000_000


def test_every_rate_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs/prices.md").read_text("utf-8")
    named = set(re.findall(r"`(\w*cost\w*)`", text)) - {"hourly_cost"}
    assert {name for name in named if not is_rate(name)} == set()
    assert named == RATE_NAMES - {"input_cost_per_image", "output_cost_per_character"}
