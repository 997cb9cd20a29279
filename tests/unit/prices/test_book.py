"""The price book: names and versions, dates, regions, what a refresh keeps and changes, and its form on disk."""

from __future__ import annotations

import pytest

from shared.prices import PriceBook, PriceList
from shared.types import Usage
from tests.unit.prices.given_prices import published, row, shipped, sold

INPUT = "gpt 5 Inpt Glbl 1M Tokens"
KEY = "global.standard.0.input."


def book(*rows: dict[str, object], fetched: str = "2026-02-01") -> PriceBook:
    made = PriceBook()
    made.merge(rows, "azure-retail", fetched)
    return made


def since(found: PriceBook, region: str = "eastus2") -> list[tuple[str, int]]:
    return sorted((p.since, p.pico) for p in found.rows("gpt-5", "")[KEY] if region in p.regions)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("gpt-4o", "", ("gpt-4o", "")),
        ("GPT-4o-2024-11-20", "", ("gpt-4o", "2024-11-20")),
        ("gpt-4o", "2024-08-06", ("gpt-4o", "2024-08-06")),
        ("gpt-4o-2024-11-20", "0806", ("gpt-4o", "0806")),
        ("gpt-3.5-turbo-0125", "", ("gpt-35-turbo", "0125")),
        ("gpt-35-turbo-16k-0613", "", ("gpt-35-turbo-16k", "0613")),
        ("gpt-4-1106-preview", "", ("gpt-4-turbo", "1106")),
        ("gpt-4-turbo-2024-04-09", "", ("gpt-4-turbo", "2024-04-09")),
        ("gpt-4-32k-0613", "", ("gpt-4-32k", "0613")),
        ("gpt-5-chat-latest", "", ("gpt-5-chat", "")),
        ("chat-latest", "", ("chat-latest", "")),
        ("gpt-4o-realtime-preview-2024-12-17", "", ("gpt-4o-realtime-preview", "2024-12-17")),
        ("o1-preview", "", ("o1-preview", "")),
        ("tts-1-hd", "", ("tts-hd", "")),
        ("whisper-1", "", ("whisper", "")),
        ("claude-opus-4.1", "", ("claude-opus-4-1", "")),
        ("claude-opus-4-20250514", "", ("claude-opus-4-0", "2025-05-14")),
        ("claude-3-5-haiku-latest", "", ("claude-3-5-haiku", "")),
        ("gpt-4o-2024-08-06.ft-0123456789", "", ("ft:gpt-4o", "2024-08-06")),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "", ("ft:gpt-4o-mini", "2024-07-18")),
        ("DeepSeek-V3-0324", "", ("deepseek-v3", "0324")),
        ("Llama-3.3-70B-Instruct", "", ("llama-3.3-70b", "")),
        ("grok-4-fast-reasoning", "", ("grok-4-fast", "")),
    ],
)
def test_names_that_are_in_use(name: str, version: str, expected: tuple[str, str]) -> None:
    assert shipped().find(name, version) == expected


@pytest.mark.parametrize("name", ["", "dep", "gpt", "gpt-4o-dep", "my-gpt-4o", "claude", "gpt-4p", "ft:dep"])
def test_name_that_means_nothing_is_not_guessed(name: str) -> None:
    assert shipped().find(name) is None


@pytest.mark.parametrize(
    ("model", "version"),
    [("gpt-4o", "1120"), ("gpt-4o-mini", "0718"), ("gpt-35-turbo", "0125"), ("o1", "1217"), ("gpt-4o-realtime-preview", "0603"),
     ("gpt-audio-mini", "1215"), ("chat-latest", "2026-05-28"), ("gpt-5", ""), ("mistral-document-ai", "2512")],
)  # fmt: skip
def test_newest_version(model: str, version: str) -> None:
    assert shipped().newest(model) == version


def test_version_has_its_own_prices_before_those_of_all_versions() -> None:
    found = shipped().rows("o1", "2024-12-17")
    assert "global.standard.0.input." in found  # meters say 1217
    assert shipped().knows("gpt-5", "2025-08-07")  # meters say no version
    assert not shipped().knows("gpt-4o", "2031-01-01")


def test_price_is_that_of_the_day() -> None:
    prices = PriceList(lambda: book(row(INPUT, 0.001, "2026-01-01"), row(INPUT, 0.002, "2026-03-01")))
    deployment = sold(model="gpt-5", sku_given=True)

    def nanos(at: float) -> int:
        return prices.cost(deployment, Usage(input_tokens=1), at).nanos

    march = 1_772_323_200.0
    assert [nanos(at) for at in (march - 1, march, march - 1, march + 1)] == [1_000, 2_000, 1_000, 2_000]
    assert nanos(0) == 1_000  # what the book does not reach back to costs what came first


def test_refresh_keeps_what_is_past_and_tells_what_is_new() -> None:
    found = book(row(INPUT, 0.001, "2026-01-01"))
    merged = found.merge([row(INPUT, 0.002, "2026-03-01"), row("gpt 5 outpt Glbl", 0.01)], "azure-retail", "2026-03-02")
    assert (merged.read, merged.changed, merged.new) == (2, [INPUT], ["gpt 5 outpt Glbl"])
    assert since(found) == [("2026-01-01", 1_000_000), ("2026-03-01", 2_000_000)]


def test_refresh_without_news_changes_nothing() -> None:
    rows = [row(INPUT, 0.001, "2026-01-01"), row(INPUT, 0.002, "2026-01-15")]
    found = book(*rows)
    before = found.to_bytes()
    merged = found.merge(rows, "azure-retail", "2026-03-01")
    assert (merged.new, merged.changed, found.to_bytes()) == ([], [], before)


def test_price_that_only_got_a_new_date_is_no_change() -> None:
    found = book(row(INPUT, 0.001, "2026-01-01"))
    assert found.merge([row(INPUT, 0.001, "2026-03-01")], "azure-retail", "2026-03-02").changed == []


def test_price_that_changed_without_a_new_date_counts_from_the_day_it_was_seen() -> None:
    found = book(row(INPUT, 0.001, "2026-01-01"))
    changed = [row(INPUT, 0.002, "2026-01-01")]
    assert found.merge(changed, "azure-retail", "2026-03-05").changed == [INPUT]
    assert since(found) == [("2026-01-01", 1_000_000), ("2026-03-05", 2_000_000)]
    assert found.merge(changed, "azure-retail", "2026-03-06").changed == []
    assert found.merge([row(INPUT, 0.001, "2026-01-01")], "azure-retail", "2026-04-01").changed == [INPUT]  # and back
    assert since(found)[-1] == ("2026-04-01", 1_000_000)


def test_announced_price_waits_for_its_day() -> None:
    found = book(row(INPUT, 0.001, "2026-01-01"), row(INPUT, 0.002, "2027-01-01"), fetched="2026-03-01")
    prices = PriceList(lambda: found)
    assert prices.cost(sold(model="gpt-5"), Usage(input_tokens=1), 1_772_323_200.0).nanos == 1_000
    assert found.merge([row(INPUT, 0.001, "2026-01-01")], "azure-retail", "2026-03-02").changed == []


def test_region_that_joins_later_has_its_own_date() -> None:
    found = book(row(INPUT, 0.001, "2026-01-01", "eastus2 westus"))
    found.merge([row(INPUT, 0.001, "2026-03-01", "swedencentral")], "azure-retail", "2026-03-01")
    assert since(found, "swedencentral") == [("2026-03-01", 1_000_000)]
    assert since(found) == [("2026-01-01", 1_000_000)]


def test_of_two_prices_for_one_meter_and_day_the_dearer_counts() -> None:
    assert since(book(row(INPUT, 0.001), row(INPUT, 0.003), row(INPUT, 0.002))) == [("2026-01-01", 3_000_000)]


def test_unknown_meters_are_told_by_name_and_others_by_reason() -> None:
    merged = PriceBook().merge(
        [row("gpt 9 wonder glbl", 1.0), row("gpt 9 wonder glbl", 2.0), row("Code-Interpreter-global Session", 0.03)],
        "azure-retail", "2026-03-01",
    )  # fmt: skip
    assert (merged.unknown, merged.skipped) == (["gpt 9 wonder glbl"], {"the fee of a hosted tool": 1})


def test_book_survives_its_form_on_disk() -> None:
    data = shipped().to_bytes()
    assert PriceBook.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"x",
        b'{"format": 2}',
        b'{"format": 1}',
        b'{"format": 1, "sources": [], "groups": [5], "models": {}}',
    ],
)
def test_anything_else_is_no_price_book(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which words does not matter
        PriceBook.from_bytes(data)


def test_absorbing_a_newer_book_keeps_what_was_refreshed() -> None:
    stored = book(row(INPUT, 0.001, "2026-01-01"), row(INPUT, 0.002, "2026-03-01"))
    newer = PriceBook()
    newer.merge([row(INPUT, 0.001, "2026-01-01"), row("gpt 5.9 Inpt Glbl", 0.005)], "azure-retail", "2026-06-01")
    stored.absorb(newer)
    assert since(stored) == [("2026-01-01", 1_000_000), ("2026-03-01", 2_000_000)]
    assert stored.find("gpt-5.9") == ("gpt-5.9", "")
    assert stored.sources == ("azure-retail 2026-02-01", "azure-retail 2026-06-01")


def test_replaced_book_holds_at_once() -> None:
    prices = PriceList(lambda: book(row(INPUT, 0.001)))
    deployment = sold(model="gpt-5")
    assert prices.cost(deployment, Usage(input_tokens=1), 2e9).nanos == 1_000
    prices.replace(book(row(INPUT, 0.004)))
    assert prices.cost(deployment, Usage(input_tokens=1), 2e9).nanos == 4_000


def test_book_is_loaded_when_it_is_first_needed_and_once() -> None:
    loads: list[int] = []

    def load() -> PriceBook:
        loads.append(1)
        return book(row(INPUT, 0.001))

    prices = PriceList(load)
    assert loads == []
    for _ in range(3):
        prices.cost(sold(model="gpt-5"), Usage(input_tokens=1), 2e9)
    assert loads == [1]


def test_words_of_upstreams_fill_no_memory() -> None:
    prices = PriceList(lambda: book(row(INPUT, 0.001)))
    deployment = sold(model="gpt-5")
    for tier in ("", "scale", "whatever-1", "whatever-2"):
        assert prices.cost(deployment, Usage(input_tokens=1, tier=tier), 2e9).nanos == 1_000
    assert {tier for _, tier in prices._tables} == {""}  # pyright: ignore[reportPrivateUsage]


def test_figures_for_a_list_of_models() -> None:
    prices = PriceList(shipped)
    assert prices.figures(sold(model="gpt-4o-2024-11-20"), 2e9) == {
        "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
    }  # fmt: skip
    assert prices.figures(sold(model="whisper"), 2e9) == {"input_cost_per_second": 0.0001}
    assert prices.figures(sold(model="unheard-of"), 2e9) == {}


def test_shipped_book_is_what_its_sources_make() -> None:
    pytest.importorskip("genai_prices", reason="see requirements-dev.txt")
    from local.prices.build import build_book

    made = PriceBook()
    report = build_book(made, published()["items"], published()["fetched_at"][:10])
    assert made.to_bytes() == shipped().to_bytes(), "run: python3 -m local.prices.build"
    assert report.endswith("unknown: none")
