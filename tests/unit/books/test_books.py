"""The pure parts of the books: days, sums, the split of fixed costs, reports' order, CSV."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest

from shared.adapters import ledger_event, usage_log
from shared.books.charges import Bought, Charge
from shared.books.csv_text import csv_text
from shared.books.days import (
    between,
    day_name,
    is_closed,
    last_closed,
    months,
    months_before,
    named_day,
    next_month,
    shown_day,
    shown_hour,
)
from shared.books.focus import focus_rows
from shared.books.ptu import Payer, payer_of, split, weighted
from shared.books.reports import Only, Report, Use
from shared.books.sums import COUNTERS, add, counted, difference, hour_of, is_nothing, nothing, total
from shared.types import Cost
from tests.support.doubles import a_record


def test_days_and_months() -> None:
    day = date(2026, 12, 31)
    assert day_name(day) == "20261231"
    assert named_day("20261231") == named_day("2026-12-31") == day
    assert (shown_day("20261231"), shown_hour("20261231", 7)) == ("2026-12-31", "2026-12-31T07:00:00Z")
    assert next_month(day) == date(2027, 1, 1)
    assert months(date(2026, 11, 30), date(2027, 1, 1)) == ["202611", "202612", "202701"]
    assert [months_before(day, n) for n in (0, 11, 12, 24)] == ["202612", "202601", "202512", "202412"]
    assert len(list(between(date(2026, 1, 1), day))) == 365
    for rubbish in ("", "2026123", "2026123x", "20261301", "2026/12/31"):
        with pytest.raises(ValueError):  # noqa: PT011
            named_day(rubbish)


def test_a_day_is_closed_two_hours_after_its_end() -> None:
    day = date(2026, 11, 22)
    assert not is_closed(day, datetime(2026, 11, 23, 1, 59, tzinfo=UTC))
    assert is_closed(day, datetime(2026, 11, 23, 2, tzinfo=UTC))
    assert last_closed(datetime(2026, 11, 23, 1, 59, tzinfo=UTC)) == date(2026, 11, 21)
    assert last_closed(datetime(2026, 11, 23, 2, tzinfo=UTC)) == day


def test_counters_are_those_that_are_written() -> None:
    assert set(COUNTERS) == set(usage_log.COUNTERS)


def test_events_count_as_their_writer_counts_them() -> None:
    """The usage log adds to its totals what this reads from its events."""
    for outcome, capacity in itertools.product(
        ("ok", "client_error", "client_closed", "unfinished"), ("", "ptu", "spill", "azure-spill")
    ):
        record = a_record(outcome=outcome, latency=0.00246, capacity=capacity, served_alias="other")
        values: dict[str, Any] = nothing()
        ledger_event.count(values, record)
        event = ledger_event.ledger_event(record)
        assert counted(event) == values
        paid_by_use = capacity in ("spill", "azure-spill")
        assert (values["spilled"], values["spill_nanos"]) == ((1, record.cost.nanos) if paid_by_use else (0, 0))
        assert (event.get("capacity", ""), event["served_alias"]) == (capacity, "other")
    sums = nothing() | {
        "requests": 7,
        "failed": 2,
        "estimated": 3,
        "cost_nanos": 10**12,
        "spilled": 2,
        "spill_nanos": 9,
    }
    event = ledger_event.sum_event("sum-1", 1e9, {"key_name": "k", "team": "", "alias": "a"}, sums)
    assert counted(event) == sums


def test_events_of_before_there_was_routing_have_nothing_spilled() -> None:
    event = ledger_event.ledger_event(a_record(cost=Cost(70)))
    assert not {"capacity", "served_alias"} & set(event)
    sums = counted(event)
    assert (sums["cost_nanos"], sums["spilled"], sums["spill_nanos"]) == (70, 0, 0)
    old = {name: value for name, value in sums.items() if not name.startswith("spill")}
    assert total([old, sums]) == total([sums, sums])


def test_sums() -> None:
    one = nothing() | {"requests": 1, "cost_nanos": 5}
    both = total([one, one])
    assert (both["requests"], both["cost_nanos"]) == (2, 10)
    assert difference(both, one) == one
    assert is_nothing(difference(one, one))
    add(both, {"requests": 1, "key_name": "a row of totals has more than numbers"})
    assert both["requests"] == 3


def test_the_last_instant_of_a_day() -> None:
    assert hour_of({"at": "2026-11-23T00:00:00Z"}, "20261122") == 23
    assert hour_of({"at": "2026-11-22T05:59:59.999Z"}, "20261122") == 5


def payers(count: int) -> list[Payer]:
    return [Payer(str(n), "name", "team", "alias") for n in range(count)]


def test_shares_sum_to_the_cost_whatever_it_is() -> None:
    rng = Random(3)
    for _ in range(500):
        use = {payer: rng.randrange(0, 10 ** rng.randrange(1, 12)) for payer in payers(rng.randrange(0, 12))}
        cost, capacity = rng.randrange(10 ** rng.randrange(1, 13)), rng.choice((None, 1, 1000, 10**9))
        paid, idle = split(cost, use, capacity)
        assert sum(paid.values()) + idle == cost
        assert idle >= 0
        assert all(nanos >= 0 for nanos in paid.values())
        used = sum(use.values())
        for payer, nanos in paid.items():
            assert abs(nanos - cost * use[payer] / max(used, capacity or 0)) < 1.001
        if capacity is None:
            assert idle == (0 if used else cost)
        elif used >= capacity:
            assert idle == 0


def test_equal_users_pay_the_same_to_the_nano() -> None:
    paid, idle = split(100, dict.fromkeys(payers(3), 5), None)
    assert (sorted(paid.values()), idle) == ([33, 33, 34], 0)


def test_weighted_tokens() -> None:
    event: dict[str, Any] = {"input_tokens": 100, "cached_input_tokens": 60, "output_tokens": 10, "tags": ["b", "a"]}
    assert weighted(event, 4) == 80
    assert weighted({"input_tokens": 1, "cached_input_tokens": 5}, 4) == 0
    assert payer_of("k", event).tags == ("a", "b")


def test_csv_is_read_back_and_runs_nothing() -> None:
    rows = [
        {"name": 'a "quoted", name', "cost": "-0.5", "tags": ["x"], "more": None, "flag": True},
        {"name": "=HYPERLINK()", "cost": "12", "tags": None},
        {"name": "@user\nnext", "cost": "+1"},
    ]
    text = csv_text(("name", "cost", "tags", "flag", "more"), rows)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [
        ["name", "cost", "tags", "flag", "more"],
        ['a "quoted", name', "-0.5", '["x"]', "true", ""],
        ["'=HYPERLINK()", "12", "", "", ""],
        ["'@user\nnext", "'+1", "", "", ""],
    ]


def test_csv_of_many_rows_is_one_text() -> None:
    rows = [{"n": n, "text": "x" * 100} for n in range(2000)]
    assert [int(row[0]) for row in csv.reader(io.StringIO(csv_text(("n", "text"), rows))) if row[0] != "n"] == [
        *range(2000)
    ]


@pytest.mark.parametrize(
    ("sums", "quantity", "unit"),
    [
        ({"input_tokens": 3, "output_tokens": 2, "images": 1}, 5, "Tokens"),
        ({"images": 4}, 4, "Images"),
        ({"characters": 12}, 12, "Characters"),
        ({"audio_ms": 61_500}, "61.5", "Seconds"),
        ({"video_ms": 4000}, "4", "Seconds"),
        ({"requests": 2}, 2, "Requests"),
        ({}, 0, "Requests"),
    ],
)
def test_focus_names_what_was_bought(sums: dict[str, int], quantity: Any, unit: str) -> None:
    (row,) = focus_rows([Charge("20261122", Bought("k", "n", "", "a", "d"), nothing() | sums)], {})
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["PricingQuantity"]) == (quantity, unit, quantity)
    assert (row["SubAccountId"], row["ResourceId"]) == (None, "a")


def use(day: str, **changed: Any) -> Use:
    return Use(nothing() | {"requests": 1} | changed.pop("sums", {}), day=day, **changed)


def test_a_key_that_was_renamed_is_one_line_under_its_last_name() -> None:
    report = Report(["key"], Only())
    for day, name in (("20261103", "new"), ("20261101", "old"), ("20261102", "old")):
        report.add(use(day, key_id="k", key_name=name))
    ((values, line),) = report.lines()
    assert (values, line.sums["requests"]) == ({"key": "new", "key_id": "k"}, 3)


def test_idle_shares_are_last_and_no_part_of_what_is_filtered() -> None:
    for only, expected in ((Only(), ["a", "(idle PTU)"]), (Only(team="t"), ["a"]), (Only(model="a"), ["a"])):
        report = Report(["model"], only)
        report.add(Use({}, ptu_nanos=10**12, is_share=True, is_idle=True, day="20261101"))
        report.add(use("20261101", alias="a", team="t"))
        assert [values["model"] for values, _ in report.lines()] == expected


def test_first_characters_of_an_id_name_a_key() -> None:
    mine = use("20261101", key_id="0123456789abcdef", key_name="mine")
    assert Only(key="01234567").has(mine)
    assert not Only(key="0123456").has(mine)
    assert Only(key="mine").has(mine)
    assert Only(tag="").has(mine)
    assert not Only(tag="x").has(mine)
