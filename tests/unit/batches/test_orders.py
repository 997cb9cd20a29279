"""What a batch may be asked to be, and which engine runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.batches.kept import KeptFile
from shared.batches.orders import (
    BY_URL,
    Order,
    check_endpoint,
    check_rights,
    engine_for,
    payer_of,
    read_order,
    without_v1,
)
from shared.catalog import Catalog
from shared.config import parse
from shared.document import read_document
from shared.errors import ApiError
from shared.principals import Allowance, Principal, Team
from shared.transform.resolve import resolve
from tests.support.models import Row, config_text

CHAT, EMBEDDINGS = "/chat/completions", "/embeddings"
BATCH = {"mode": "batch"}


def catalog(*rows: Row) -> Catalog:
    document = read_document(config_text(rows))
    return resolve(parse(document, {}, {}), document, {})


def row(alias: str, resource: str, deployment: str = "gpt-4o", mode: str = "", **params: Any) -> Row:
    given = {"model": f"azure/{deployment}", "api_base": f"https://{resource}.openai.azure.com", "api_key": "k"}
    return alias, {**given, **params}, {"mode": mode} if mode else {}


TALKING = row("talk", "east")
SOLD = row("sold", "east", mode="batch")
BY_SKU = row("by-sku", "east", sku="DataZoneBatch")
MIXED = (row("mixed", "east"), row("mixed", "west", mode="batch"))
VECTORS = row("vectors", "east", "text-embedding-3-small")
PLAIN = ("plain", {"model": "openai/gpt-4o", "api_base": "https://a.example/v1", "api_key": "k"}, {"mode": "batch"})


@pytest.mark.parametrize(
    ("alias", "url", "bound", "engine"),
    [
        ("talk", CHAT, "", "own"),
        ("sold", CHAT, "", "azure"),
        ("by-sku", CHAT, "", "azure"),
        ("mixed", CHAT, "", "azure"),
        ("mixed", CHAT, "west", "azure"),
        ("mixed", CHAT, "east", "own"),
        ("mixed", "/responses", "", "own"),
        ("vectors", EMBEDDINGS, "", "own"),
        ("talk", "/messages", "", "own"),
    ],
)
def test_engine(alias: str, url: str, bound: str, engine: str) -> None:
    every = catalog(TALKING, SOLD, BY_SKU, *MIXED, VECTORS)
    assert engine_for(every, every.keepers(), alias, url, bound) == engine


@pytest.mark.parametrize(
    ("alias", "url", "bound", "status", "code"),
    [
        ("nobody", CHAT, "", 404, "model_not_found"),
        ("sold", "/responses", "", 400, "unsupported_operation"),
        ("vectors", CHAT, "", 400, "unsupported_operation"),
        ("talk", CHAT, "west", 400, "objects_elsewhere"),
        ("talk", "/files", "", 400, "unsupported_operation"),
        ("plain", CHAT, "", 400, "unsupported_operation"),
    ],
)
def test_what_nothing_runs(alias: str, url: str, bound: str, status: int, code: str) -> None:
    every = catalog(TALKING, SOLD, VECTORS, PLAIN)
    keepers = {name for name in every.keepers() if name in ("east", "west")}
    with pytest.raises(ApiError) as refused:
        engine_for(every, keepers, alias, url, bound)
    assert (refused.value.status, refused.value.code, refused.value.param) == (status, code, "input_file_id")


def order(**changed: Any) -> Order:
    return read_order({"endpoint": "/v1/embeddings", "completion_window": "24h", **changed}, {})


def test_orders_at_their_limits_are_taken() -> None:
    pairs = {f"{number:064}": "ü" * 512 for number in range(16)}
    life = {"anchor": "created_at", "seconds": 2_592_000}
    made = order(metadata=pairs, output_expires_after=life, callback_url="https://a.example/x")
    assert (made.metadata, made.output_seconds, made.callback_url) == (pairs, 2_592_000, "https://a.example/x")
    assert order(metadata=None) == order() == Order("/v1/embeddings")


@pytest.mark.parametrize(
    "life", [{}, {"seconds": 3600}, {"anchor": "created_at"}, {"anchor": "created_at", "seconds": 3599},
             {"anchor": "created_at", "seconds": 2_592_001}, {"anchor": "created_at", "seconds": True},
             {"anchor": "created_at", "seconds": 3600.5}],
)  # fmt: skip
def test_lives_that_are_none(life: Any) -> None:
    with pytest.raises(ApiError) as refused:
        order(output_expires_after=life)
    assert refused.value.param == "output_expires_after"


def test_a_region_is_not_silently_left_out() -> None:
    with pytest.raises(ApiError) as refused:
        read_order({"endpoint": CHAT, "completion_window": "24h"}, {"x-tollgate-region": "eu"})
    assert (refused.value.status, refused.value.code) == (400, "region_not_served")


def test_callback_may_be_named_by_a_header() -> None:
    body = {"endpoint": "/v1/embeddings", "completion_window": "24h"}
    header = {"x-tollgate-callback-url": "https://a.example/h"}
    assert read_order(body, header).callback_url == "https://a.example/h"
    assert read_order({**body, "callback_url": "https://a.example/b"}, header).callback_url == "https://a.example/b"


@pytest.mark.parametrize("given", ["/v1/embeddings", "/embeddings", "embeddings", "v1/embeddings", "/v1/embeddings/"])
def test_endpoints_with_and_without_v1_are_the_same(given: str) -> None:
    assert without_v1(given) == EMBEDDINGS
    check_endpoint(given, kept(EMBEDDINGS))


@pytest.mark.parametrize(
    ("given", "code"),
    [("/v1/files", "invalid_value"), ("", "invalid_value"), ("/v1", "invalid_value"), (CHAT, "mismatched_endpoint")],
)
def test_endpoint_must_be_that_of_the_lines(given: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_endpoint(given, kept(EMBEDDINGS))
    assert (refused.value.param, refused.value.code) == ("endpoint", code)


def kept(url: str) -> KeptFile:
    return KeptFile("file-1", "key:1", "a.jsonl", "batch", 1, 0.0, 9.0, url=url)


def test_rights() -> None:
    key = Principal("id", "ci")
    check_rights(key, "talk", CHAT)
    check_rights(
        replace(key, allowance=Allowance(models=frozenset({"talk"}), endpoints=frozenset({"chat"}))), "talk", CHAT
    )
    team = Team("t", Allowance(models=frozenset({"other"})))
    for narrow, code in (
        (replace(key, allowance=Allowance(models=frozenset({"other"}))), "model_not_found"),
        (replace(key, of_team=team), "model_not_found"),
        (replace(key, allowance=Allowance(endpoints=frozenset({"batches", "embeddings"}))), "endpoint_not_allowed"),
    ):
        with pytest.raises(ApiError) as refused:
            check_rights(narrow, "talk", CHAT)
        assert (refused.value.status, refused.value.code) == (403, code)


def test_payer_says_whose_it_is() -> None:
    key = Principal("id", "ci", "research", prefix="sk-abc…wxyz")
    assert payer_of(key, ("a",), "eve").owner == "team:research"
    assert (payer_of(key).entra, payer_of(key, ("a",), "eve").tags) == (False, ("a",))
    assert payer_of(Principal("id", "app", "research")).entra


def test_every_operation_of_a_line_has_an_address() -> None:
    assert {CHAT, EMBEDDINGS, "/responses", "/messages", "/completions"} <= set(BY_URL)


@pytest.mark.parametrize("balanced", [True, False])
def test_balancing_is_as_configured(balanced: bool) -> None:
    settings = f"litellm_settings: {{enable_loadbalancing_on_batch_endpoints: {str(balanced).lower()}}}\n"
    document = read_document(config_text([SOLD]) + settings)
    assert resolve(parse(document, {}, {}), document, {}).balances_batches is balanced
    assert not catalog(SOLD).balances_batches
