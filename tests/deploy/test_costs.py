"""What `dev.py costs` works out: sums that can be checked by hand, and figures that stand elsewhere as well."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from deploy.costs import (
    ENDPOINTS,
    QUEUES,
    RULES_5,
    RULES_15,
    TIMER_RUNS,
    ZONES,
    Use,
    active,
    at_least,
    granted,
    items,
    sum_of,
)
from deploy.costs_options import main
from deploy.price_list import GRANTS, PRICES
from tests.support.stack import ROOT

MONTH = 730 * 3600


def of(use: Use, price: str) -> float:
    return sum(line.usd for line in items(use) if line.price == price and line.name != "timers")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_one_call_an_instance_costs_calls_times_seconds() -> None:
    assert of(Use(concurrency=1), "execution") == pytest.approx(1e6 * 5 * 2 * 0.000026)


def test_an_instance_that_begins_to_work_counts_a_second() -> None:
    assert active(Use(calls=1e4, seconds=0.01)) == active(Use(calls=1e4, seconds=1))
    assert active(Use(calls=1e4, seconds=1.5)).on_demand > active(Use(calls=1e4, seconds=1)).on_demand


def test_thin_traffic_costs_the_time_in_which_anything_is_under_way() -> None:
    """Two calls on average: an instance with many places is at work unless none is."""
    use = Use(calls=2 * MONTH / 5, concurrency=1000)
    assert active(use).on_demand == pytest.approx(MONTH * (1 - 2.718281828**-2))


@pytest.mark.parametrize("concurrency", [1, 7, 32, 1000])
@pytest.mark.parametrize("calls", [1, 1e4, 1e7, 1e9])
def test_between_the_least_possible_and_one_place_each(calls: float, concurrency: int) -> None:
    use = Use(calls=calls, concurrency=concurrency)
    least, most = at_least(use), at_least(Use(calls=calls, concurrency=1))
    assert least * 0.999999 <= of(use, "execution") <= most * 1.000001


def test_crowded_instances_cost_what_their_places_cost() -> None:
    use = Use(calls=1e11, concurrency=32)
    assert of(use, "execution") == pytest.approx(at_least(use), rel=0.001)


def test_calls_go_to_instances_that_are_always_ready_first() -> None:
    busy = Use(calls=1e8, concurrency=32)
    alone, two = active(busy), active(Use(calls=1e8, concurrency=32, always_ready=2))
    assert two.ready == pytest.approx(2 * MONTH, rel=0.001)
    assert two.ready + two.on_demand == pytest.approx(alone.on_demand)
    assert active(Use(calls=1e8, concurrency=32, always_ready=500)).on_demand == pytest.approx(0)


def test_always_ready_pays_from_two_fifths_of_the_time_on() -> None:
    """As docs/operations.md says."""
    share = PRICES["baseline"].usd / (PRICES["execution"].usd - PRICES["ready_execution"].usd)
    assert share == pytest.approx(0.4)


def test_peak_is_rarely_exceeded() -> None:
    assert active(Use(calls=0)).peak == 0
    assert active(Use(calls=1e6, concurrency=32)).peak == 1
    assert active(Use(calls=1e7, concurrency=1)).peak > 10e6 * 5 / MONTH


def test_nothing_is_free_that_is_not_used() -> None:
    lines = items(Use(calls=0))
    assert sum_of(granted(lines)) > -sum_of(lines)
    lines = items(Use(calls=1e8))
    assert {line.price: -line.quantity for line in granted(lines)} == pytest.approx(GRANTS | {"events": 0.001})


def test_what_is_counted_is_what_is_deployed() -> None:
    triggers = read("function_app.py")
    assert len(re.findall(r"@app\.queue_trigger", triggers)) == QUEUES
    assert len(re.findall(r"@app\.timer_trigger", triggers)) == 3
    assert pytest.approx(730 * (60 / 5) + 730 + 730 / 24) == TIMER_RUNS
    assert 'schedule="0 */5 * * * *"' in triggers
    rules = re.findall(r"every: 'P\w*?(\d+\w)'(?:\n.*?)+?\n    on: (\w+)", read("infra/modules/alerts.bicep"))
    on = [every for every, whether in rules if whether == "true"]
    assert (on.count("5M"), len(on) - on.count("5M")) == (RULES_5, RULES_15)
    network = read("infra/modules/network.bicep")
    services = re.findall(r"var services = \[(.+?)\]", network)[0].count("'") // 2
    accounts = len(re.findall(r"^  'privatelink\.", network, re.M))
    assert (services + 1, services + 1 + accounts) == (ENDPOINTS, ZONES)
    assert len(re.findall(r"module \w+ 'private-endpoint.bicep'", network)) == 3


def test_operations_of_a_call_are_not_fewer_than_measured() -> None:
    table = read("docs/benchmarks.md").partition("## Keys, limits and the ledger")[2]
    rows = [
        [cell.strip() for cell in row.split("|")]
        for row in table.splitlines()
        if "| interval" in row or "| request" in row
    ]
    measured = [int(row[6].replace(",", "")) for row in rows]
    assert len(measured) == 6
    assert max(measured) / 1000 <= Use().operations_per_call


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--calls", "1e6", "--json", "--free-grants"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    parts = [row["usd"] for row in told["items"] + told["free_grants"]]
    assert told["sum_usd"] == pytest.approx(sum(parts))
    assert told["use"]["calls"] == 1e6


def test_text_warns_of_too_few_instances(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--calls", "1e9"]) == 0
    assert "more than maximumInstanceCount, 40" in capsys.readouterr().out
    assert main(["--calls", "1e9", "--max-instances", "1000"]) == 0
    assert "maximumInstanceCount" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--calls", "many"], "'many' is no number"),
        (["--calls", "-1"], "must be a number from 0 to"),
        (["--calls", "nan"], "must be a number from 0 to"),
        (["--concurrency", "0"], "must be a whole number from 1 to 1,000"),
        (["--concurrency", "2.5"], "must be a whole number"),
        (["--memory", "1024"], "invalid choice"),
        (["--log-share", "2"], "must be a number from 0 to 1"),
        (["--calls", "1e11", "--seconds", "3600"], "more than ten million calls at once"),
    ],
)
def test_bad_input_is_told(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_examples_of_the_help_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    examples = re.findall(r"^  python3 dev\.py costs (.+?)  ", capsys.readouterr().out, re.M)
    assert len(examples) == 6
    for example in examples:
        assert main(example.split()) == 0
        assert capsys.readouterr().out
