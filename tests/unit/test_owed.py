"""Work in the background: what is charged for it, once, whoever finds its end and whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.owed import Charges, Owed, has_ended
from shared.ports import Prices, StoreUnavailable
from shared.types import Cost, Json, Usage, UsageRecord
from tests.support.doubles import KeptUsage, MemoryOwed
from tests.unit.stored import two_resources

WORK = Owed(
    resource="east", upstream_id="resp_1", at=1_700_000_000.5, endpoint="responses_create", key_id="a" * 64,
    key_name="alice", team="search", alias="both", deployment="east/gpt-4o", tags=("x", "y"), user="u",
)  # fmt: skip
DONE: Json = {
    "id": "resp_1",
    "status": "completed",
    "usage": {"input_tokens": 5, "output_tokens": 7},
    "service_tier": "flex",
}


class ByAlias(Prices):
    """A nano-dollar for each token, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def cost(self, deployment: Any, usage: Usage, at: float) -> Cost:
        self.asked.append((deployment.alias, at))
        return Cost(usage.total_tokens, basis="config")

    def figures(self, deployment: Any, at: float) -> dict[str, float]:
        raise AssertionError("nobody shows a list")


class Given:
    def __init__(self, *works: Owed) -> None:
        self.store, self.usage, self.prices = MemoryOwed(*works), KeptUsage(), ByAlias()
        self.charges = Charges(self.store, self.usage, self.prices, two_resources())

    def found(self, said: Json, upstream_id: str = "resp_1") -> None:
        asyncio.run(self.charges.found("east", upstream_id, said))

    @property
    def record(self) -> UsageRecord:
        (record,) = self.usage.once.values()
        return record


def test_the_record_is_made_of_the_work_and_its_end() -> None:
    given = Given(WORK)
    given.found(DONE)
    record = given.record
    assert (record.request_id, record.at, record.tags, record.user) == (WORK.name, WORK.at, ("x", "y"), "u")
    assert (record.alias, record.deployment, record.upstream_model) == ("both", "east/gpt-4o", "gpt-4o")
    assert record.usage == Usage(input_tokens=5, output_tokens=7, tier="flex")
    assert (record.cost, given.prices.asked) == (Cost(12, basis="config"), [("both", WORK.at)])
    assert (record.status, record.outcome) == (200, "ok")
    assert WORK.name.startswith("work-")
    assert len({WORK.name, replace(WORK, resource="west").name, replace(WORK, upstream_id="resp_2").name}) == 3


@pytest.mark.parametrize(
    "said", [{}, {"status": "queued"}, {"status": "in_progress"}, {"status": ["completed"]}, {"status": None}]
)
def test_what_has_not_ended_stays_owed(said: Json) -> None:
    given = Given(WORK)
    given.found(DONE | {"status": said.get("status")})
    assert not has_ended(said)
    assert (given.usage.times, given.store.names()) == (0, ["east/resp_1"])


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_ended_without_usage_costs_nothing_and_is_forgotten(status: str) -> None:
    given = Given(WORK)
    given.found({"id": "resp_1", "status": status, "usage": None})
    assert (given.usage.times, given.store.names()) == (0, [])


def test_a_failure_that_was_paid_for_is_one() -> None:
    given = Given(WORK)
    given.found(DONE | {"status": "failed"})
    assert (given.record.outcome, given.record.usage.output_tokens) == ("upstream_error", 7)


def test_what_somebody_else_has_charged_is_not_charged_again() -> None:
    given = Given(WORK)
    for _ in range(3):
        given.found(DONE)
        given.found(DONE, "resp_of_nobody")
    assert given.usage.times == 1


@pytest.mark.parametrize("fails", ["usage", "remove"])
def test_what_fails_is_still_owed_and_counts_once(fails: str) -> None:
    """A process that dies between the two leaves the same behind as a removal that fails."""
    given = Given(WORK)
    given.usage.down, given.store.down = fails == "usage", fails == "remove"
    with pytest.raises(StoreUnavailable):
        given.found(DONE)
    assert given.store.names() == ["east/resp_1"]
    given.usage.down = given.store.down = False
    given.found(DONE)
    assert given.store.names() == []
    assert list(given.usage.once) == [WORK.name]
    assert given.record.usage.output_tokens == 7


@pytest.mark.parametrize(("alias", "priced_as"), [("gpt-4o", "gpt-4o"), ("gone", "both"), ("", "both")])
def test_prices_are_those_of_the_alias_that_was_asked(alias: str, priced_as: str) -> None:
    given = Given(replace(WORK, alias=alias))
    given.found(DONE)
    assert [asked for asked, _ in given.prices.asked] == [priced_as]


def test_work_of_no_deployment_is_flagged_as_unpriced() -> None:
    given = Given(replace(WORK, deployment="", alias="", endpoint="fine_tuning_jobs_create"))
    given.found({"id": "resp_1", "status": "succeeded", "trained_tokens": 90})
    assert given.record.usage == Usage(training_tokens=90)
    assert given.record.cost == Cost(priced=False)
    assert given.prices.asked == []
