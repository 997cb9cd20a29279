"""What a call is billed by that Azure itself has spilled over, by what the headers of its answer say."""

from __future__ import annotations

from typing import Any

import pytest

from shared.catalog import Deployment, Ptu, Terms
from shared.prices.spill import Spillover, by_token, is_spilled
from shared.types import Usage
from tests.unit.given import catalog, sample_headers
from tests.unit.prices.given_prices import NOW, costs, shipped_prices

USED = Usage(1_000_000, 1_000_000)
SPILLED = {
    "x-ms-spillover-from-deployment": "my-ptu",
    "x-ms-spillover-error": "429",
    "x-ms-deployment-name": "My-Standard",
}
CONFIG = """
model_list:
- model_name: chat
  litellm_params: {model: azure/my-ptu, api_base: 'https://res.openai.azure.com', api_key: k-1, sku: DataZoneProvisionedManaged,
    base_model: azure/gpt-4o-2024-11-20, region: swedencentral, ptu: {units: 50}, input_cost_per_token: 0}
- model_name: chat
  litellm_params: {model: azure/my-standard, api_base: 'https://other.openai.azure.com', api_key: k-2, input_cost_per_token: 0.001}
- model_name: second
  litellm_params: {model: azure/my-ptu, api_base: 'https://res.openai.azure.com', api_key: k-1, ptu: {units: 50}}
"""
STANDARD = """
- model_name: elsewhere
  litellm_params: {model: azure/my-standard, api_base: 'https://res.openai.azure.com', api_key: k-1, input_cost_per_token: 0.00001}
"""


def ptu(text: str, alias: str = "chat") -> tuple[Spillover, Deployment]:
    known = catalog(text)
    return Spillover(known), known.of(alias)[0]


@pytest.mark.parametrize(
    ("headers", "spilled"),
    [
        ({}, False),
        ({"x-ms-is-spilled-over": "false", "x-ms-deployment-name": "my-ptu"}, False),
        ({"x-ms-is-spilled-over": "True"}, True),
        (SPILLED, True),
        ({"X-MS-Spillover-From-my-ptu": "my-ptu"}, True),
        ({"x-ms-spillover-error": "429"}, False),
        ({"x-ms-is-spilled-over": "false", "x-ms-spillover-from-deployment": "my-ptu"}, True),
    ],
)
def test_two_headers_say_that_a_call_was_spilled_over(headers: dict[str, str], spilled: bool) -> None:
    assert is_spilled(headers) == spilled


@pytest.mark.parametrize("name", ["az-chat", "az-v1-responses-stream"])
def test_recorded_answers_were_not(name: str) -> None:
    assert not is_spilled(sample_headers(name))


def test_a_call_that_was_not_spilled_over_is_billed_by_the_deployment_itself() -> None:
    spillover, asked = ptu(CONFIG + STANDARD)
    assert spillover.billed(asked, {"x-ms-deployment-name": "my-standard"}) is asked
    standard = catalog(CONFIG + STANDARD).of("elsewhere")[0]
    assert spillover.billed(standard, SPILLED) is standard


def test_the_deployment_that_azure_names_is_billed_if_it_is_configured() -> None:
    """On the same resource: one of that name on another is another."""
    spillover, asked = ptu(CONFIG + STANDARD)
    billed = spillover.billed(asked, SPILLED)
    assert (billed.id, billed.alias) == ("res/my-standard", "elsewhere")
    assert shipped_prices().cost(billed, Usage(1000), NOW).nanos == 10_000_000


def test_of_two_entries_of_it_the_one_of_the_same_alias_is_billed() -> None:
    own = STANDARD.replace("elsewhere", "chat").replace("0.00001", "0.00002")
    spillover, asked = ptu(CONFIG + STANDARD + own)
    for deployment in (asked, asked.standing_in("third")):
        assert spillover.billed(deployment, SPILLED).alias == "chat"


def test_else_its_model_at_the_price_by_the_token() -> None:
    """A rate of 0 says that the provisioned deployment's calls cost nothing, not that the spilled ones do."""
    spillover, asked = ptu(CONFIG)
    billed = spillover.billed(asked, SPILLED)
    assert (billed.id, billed.terms.sku, billed.terms.provisioned) == ("res/my-ptu", "DataZoneStandard", False)
    cost = shipped_prices().cost(billed, USED, NOW)
    assert cost == costs(
        USED, sku="DataZoneStandard", sku_given=True, region="swedencentral", model="gpt-4o-2024-11-20"
    )
    assert cost.nanos > 0
    assert cost.priced
    assert spillover.billed(asked.standing_in("third"), SPILLED).terms is billed.terms  # one table of rates serves all


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sku": "GlobalProvisionedManaged"}, "GlobalStandard"),
        ({"sku": "ProvisionedManaged", "ptu": Ptu(1)}, "Standard"),
        ({"sku": "GlobalStandard", "ptu": Ptu(1)}, "GlobalStandard"),
    ],
)
def test_the_sku_of_the_same_kind(given: dict[str, Any], expected: str) -> None:
    terms = by_token(Terms(model="gpt-4o", **given))
    assert (terms.sku, terms.ptu, terms.provisioned) == (expected, None, False)


def test_rates_of_a_provisioned_entry_are_those_of_its_spilled_calls() -> None:
    text = CONFIG.replace("input_cost_per_token: 0}", "input_cost_per_token: 0.000003, output_cost_per_token: 0}")
    spillover, asked = ptu(text)
    assert shipped_prices().cost(asked, USED, NOW).nanos == 0
    cost = shipped_prices().cost(spillover.billed(asked, SPILLED), USED, NOW)
    assert (cost.nanos, cost.basis) == (3 * 10**9, "config")


def test_a_model_that_nobody_named_is_the_one_that_azure_says() -> None:
    spillover, asked = ptu(CONFIG, "second")
    assert not shipped_prices().cost(spillover.billed(asked, SPILLED), USED, NOW).priced
    said = {**SPILLED, "x-ms-served-model": "gpt-4o-mini-2024-07-18"}
    billed = spillover.billed(asked, said)
    assert shipped_prices().cost(billed, USED, NOW) == costs(USED, model="gpt-4o-mini-2024-07-18")
    assert spillover.billed(asked, said).terms is billed.terms
    named, chat = ptu(CONFIG)
    assert named.billed(chat, said).terms.model == "gpt-4o-2024-11-20"  # the configuration's word holds
