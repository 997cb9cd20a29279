"""Which deployment a batch goes to."""

from __future__ import annotations

import random
from typing import Any

import pytest

from shared.batches.azure.placing import (
    NOT_NOW,
    Standing,
    file_kept_by,
    fit_for,
    for_batches,
    last_refusal,
    ranked,
    refused_for_good,
    with_try,
)
from shared.batches.batch import Batch, Payer, Try
from shared.catalog import Catalog, Deployment
from shared.routing import NothingFits
from tests.unit import given

ROW = """
- model_name: night
  litellm_params: {model: azure/%s, api_base: 'https://%s.openai.azure.com', api_key: k, sku: %s, order: %d}
"""


def _catalog(*rows: tuple[str, str, str, int]) -> Catalog:
    return given.catalog("model_list:" + "".join(ROW % row for row in rows))


CATALOG = _catalog(
    ("a", "east", "GlobalBatch", 1), ("b", "west", "GlobalBatch", 1), ("c", "north", "DataZoneBatch", 2),
    ("d", "east", "GlobalStandard", 1),
)  # fmt: skip
EAST, WEST, NORTH, _ = CATALOG.of("night")


def a_batch(**changed: Any) -> Batch:
    usual: dict[str, Any] = {
        "id": "batch_" + "0" * 32, "payer": Payer("k", "name", "", "key:k"), "alias": "night",
        "endpoint": "/v1/chat/completions", "input_file": "file-1", "lines": 1, "input_bytes": 1, "tokens": 1,
        "engine": "azure", "source": "api", "created_at": 1.0, "expires_at": 2.0,
    }  # fmt: skip
    return Batch(**(usual | changed))


def first(*standings: Standing, balanced: bool = True) -> Deployment:
    return ranked(standings, balanced=balanced, rng=random.Random(1))[0]


def test_only_batch_deployments_whose_resource_keeps_the_ids() -> None:
    keepers = CATALOG.keepers()
    assert for_batches(CATALOG, keepers, a_batch()) == [EAST, WEST, NORTH]
    assert for_batches(CATALOG, keepers, a_batch(bound="west")) == [WEST]
    assert for_batches(CATALOG, {"north"}, a_batch()) == [NORTH]
    assert for_batches(CATALOG, keepers, a_batch(alias="other")) == []


def test_tags_and_regions_hold_for_batches_as_for_calls() -> None:
    rows = "".join(ROW % row for row in (("a", "east", "GlobalBatch", 1), ("b", "west", "GlobalBatch", 1)))
    tagged = rows.replace("order: 1}", "order: 1, tags: [red]}", 1)
    catalog = given.catalog("model_list:" + tagged)
    keepers, (east, west) = catalog.keepers(), catalog.of("night")
    payer = Payer("k", "name", "", "key:k", tags=("red", "label"))
    assert for_batches(catalog, keepers, a_batch()) == [west]
    assert for_batches(catalog, keepers, a_batch(payer=payer)) == [east]
    only_red = given.catalog("model_list:" + rows.replace("order: 1}", "order: 1, tags: [red]}"))
    assert for_batches(only_red, only_red.keepers(), a_batch()) == []
    with pytest.raises(NothingFits, match="tags"):
        fit_for(only_red, only_red.keepers(), a_batch())
    placed = rows.replace("order: 1}", "order: 1, region: westeurope}", 1)
    placed = placed.replace("order: 1}", "order: 1, region: eastus}") + "router_settings: {regions: [us]}\n"
    american = given.catalog("model_list:" + placed)
    assert [d.resource for d in for_batches(american, american.keepers(), a_batch())] == ["west"]


def test_the_shorter_queue_is_taken_and_the_cheaper_of_two_alike() -> None:
    assert first(Standing(EAST, 9_000_000, 1.0), Standing(WEST, 1_000_000, 2.0)) is WEST
    assert first(Standing(EAST, 900_000, 2.0), Standing(WEST, 100_000, 2.0)) is WEST
    assert first(Standing(EAST, 100_000, 2.0), Standing(WEST, 900_000, 1.0)) is WEST
    assert first(Standing(EAST, 0, 1.0), Standing(NORTH, 0, 0.1)) is EAST, "the operator's order comes first"
    assert first(Standing(EAST, 50_000_000, 1.0), Standing(NORTH, 0, 0.1)) is EAST


def test_who_is_ill_or_has_refused_comes_last() -> None:
    assert first(Standing(EAST, ill=True), Standing(WEST, 9_000_000, refused=1)) is WEST
    assert first(Standing(EAST, refused=1), Standing(WEST, refused=2)) is EAST
    assert first(Standing(EAST, refused=1), Standing(NORTH)) is NORTH
    assert first(Standing(EAST, ill=True), Standing(WEST), balanced=False) is WEST
    assert first(Standing(EAST, refused=1), Standing(WEST), balanced=False) is WEST


def test_without_balancing_neither_queue_nor_price_counts() -> None:
    assert first(Standing(EAST, 9_000_000, 9.0), Standing(WEST), balanced=False) is EAST
    assert first(Standing(NORTH), Standing(WEST, 9_000_000, 9.0), balanced=False) is WEST


def test_ties_are_broken_by_chance() -> None:
    rng = random.Random(7)
    chosen = {ranked([Standing(EAST), Standing(WEST)], balanced=True, rng=rng)[0].id for _ in range(50)}
    assert chosen == {EAST.id, WEST.id}


def test_tries_tell_who_is_asked_no_more_and_what_lies_where() -> None:
    tries = with_try((), Try("e", f"{NOT_NOW}429", upstream_file="file-1"))
    tries = with_try(tries, Try("w", "400 model_not_found"))
    batch = a_batch(tries=tries)
    assert refused_for_good(batch) == {"w"}
    assert [last_refusal(batch, name) for name in ("e", "w", "n")] == [1, 2, 0]
    assert (file_kept_by(tries, "e"), file_kept_by(tries, "w")) == ("file-1", "")


def test_the_same_reason_is_kept_once_unless_something_was_left() -> None:
    tries: tuple[Try, ...] = ()
    for _ in range(200):
        tries = with_try(tries, Try("e", f"{NOT_NOW}429"))
    assert tries == (Try("e", f"{NOT_NOW}429"),)
    left = Try("e", f"{NOT_NOW}429", "batch_1", "file-1")
    assert with_try(with_try(tries, left), Try("e", f"{NOT_NOW}429")) == (left, Try("e", f"{NOT_NOW}429"))
