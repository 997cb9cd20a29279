"""`route status`, `route reports` and `simulate`: by what instances have really written, and by a state that is given."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import uuid
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.adapters.lease_store import LIMITS_TABLE
from shared.adapters.route_board import BoardPace, RouteBoard, posts
from shared.catalog import Catalog
from shared.errors import ApiError
from shared.limits import FreeCapacity
from shared.limits.rate_row import Cell, RateRow
from shared.limits.rates import RATE
from shared.limits.scopes import scope_id
from shared.manage.cli import run as run_cli
from shared.operations.access import Access
from shared.operations.api import Api
from shared.operations.audit import AuditAsked, list_audit
from shared.operations.operation import Actor
from shared.operations.routing import ReportsAsked, StatusAsked, reports, status
from shared.operations.simulating import SimulateAsked, SimulateTold, simulate
from shared.prices.book import PriceBook
from shared.prices.price_list import PriceList
from shared.routing import Ask, Failure, Router, States, Wish
from shared.types import ApiRequest, Row
from tests.support.desk import ADMIN, READER, TestDesk, desk_at
from tests.support.own_azurite import dead_connection_string
from tests.support.polling import eventually

NOW = 1_790_000_000.0
"""20 s after a minute began."""


def entry(alias: str, place: str, more: str = "") -> str:
    """place: resource/deployment."""
    resource, name = place.split("/")
    return (
        f"- {{model_name: {alias}, litellm_params: {{model: azure/{name}, api_base: 'https://{resource}.openai.azure.com',"
        f" api_key: k-1, base_model: azure/gpt-4o{more and ', ' + more}}}, model_info: {{mode: chat}}}}\n"
    )


def config(*entries: str, routing: str = "") -> str:
    return (f"router_settings: {{{routing}}}\n" if routing else "") + "model_list:\n" + "".join(entries)


# What instances have written.


def deed(catalog: Catalog, alias: str, number: int, states: States, wish: Wish | None = None) -> tuple[Any, Wish]:
    """A journey that has just asked one deployment, as a gateway that has no other."""
    one = tuple(d for d in catalog.of(alias) if d.number == number)
    wish = wish or Wish(tokens=100)
    router = Router(catalog.router, states, FreeCapacity(), Random(1), lambda _: 1.0)
    journey = router.begin(one, wish, NOW)
    assert isinstance(journey.next(NOW), Ask)
    return journey, wish


async def post(desk: TestDesk, instance: str, states: States) -> None:
    """As a gateway does it."""
    board = RouteBoard(desk.tables, instance, states, desk.clock, desk.log, BoardPace(look=0.005))

    async def written() -> bool:
        return instance in [one.instance for one in await posts(desk.tables, NOW)]

    board.nudge()
    await eventually(written)
    await board.close()


def test_what_instances_report_is_shown_by_deployment(azurite: Any) -> None:
    own = uuid.uuid4().hex[:8]
    text = config(
        entry(f"m-{own}", f"{own}one/p", "ptu: {units: 15}, region: swedencentral"),
        entry(f"m-{own}", f"{own}two/b", "rpm: 60, tpm: 100000, weight: 3"),
        entry(f"m-{own}", f"{own}three/c"),
        entry(f"z-{own}", f"{own}four/d"),
    )
    model = f"m-{own}"

    async def work() -> None:
        async with desk_at(azurite.connection_string, NOW, text) as desk:
            catalog = await desk.catalog()
            first, second = States(), States()
            journey, _ = deed(catalog, model, 1, first)
            journey.failed(Failure("rate_limit", 40.0), NOW)
            journey, _ = deed(catalog, model, 3, first, Wish(tokens=100, stream=True))
            headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "0"}
            journey.answered(NOW + 1, headers)
            journey.ended(NOW + 1, 80, 0.4, good=True)
            deed(catalog, model, 3, second)
            deed(catalog, model, 3, second)
            await post(desk, f"{own}-1", first)
            await post(desk, f"{own}-2", second)
            place = scope_id("deployment", f"{own}two/b")
            leased = RateRow(int(NOW // 60), Cell(15, 90_000, 1)).values()
            await desk.tables.write([Row(LIMITS_TABLE, {"PartitionKey": place, "RowKey": RATE, **leased})])

            told = await status(StatusAsked(model=model), READER, desk)
            assert [row.id for row in told.rows] == [f"{own}one/p", f"{own}two/b", f"{own}three/c"]
            ptu, limited, asked = told.rows
            assert (ptu.deployment, ptu.order, ptu.tier, ptu.region) == (f"{model}#1", 0, "ptu", "swedencentral")
            assert (ptu.health, ptu.why, ptu.instances) == ("resting", "rate limit", 1)
            assert (ptu.since, ptu.until) == ("2026-09-21T14:13:20Z", "2026-09-21T14:14:00Z")
            assert (limited.health, limited.weight, limited.tier, limited.instances) == ("well", 3.0, "spill", 0)
            assert (limited.rpm, limited.rpm_taken, limited.tpm, limited.tpm_taken) == (60, 15, 100_000, 90_000)
            assert limited.used_percent == 90.0
            assert (asked.health, asked.azure_requests, asked.azure_tokens) == ("near limit", 0, None)
            assert (asked.instances, asked.in_flight, asked.requests, asked.tokens) == (2, 2, 3, 280)
            assert (asked.first_token_ms, asked.answer_ms, asked.used_percent) == (400, None, None)

            unwell = await status(StatusAsked(model=model, unwell=True), ADMIN, desk)
            assert unwell.rows == [ptu, asked]
            page = await status(StatusAsked(model=model, limit=2), ADMIN, desk)
            rest = await status(StatusAsked(model=model, limit=2, cursor=page.next), ADMIN, desk)
            assert [*page.rows, *rest.rows] == told.rows
            assert f"z-{own}" in [row.model for row in (await status(StatusAsked(), ADMIN, desk)).rows]

            # a call would go to the one with room, and with these reports at any other time as well
            live = await simulate(SimulateAsked(model=model), READER, desk)
            assert [(row.place, row.id, row.rank) for row in live.rows] == [
                (1, f"{own}two/b", "well"), (2, f"{own}three/c", "near"), (None, f"{own}one/p", "limited"),
            ]  # fmt: skip
            kept = [
                one.model_dump() for one in (await reports(ReportsAsked(), ADMIN, desk)).rows if own in one.instance
            ]
            assert [one["instance"] for one in kept] == [f"{own}-1", f"{own}-2"]
            desk.clock.forward(3600)
            assert [row.rank for row in (await simulate(SimulateAsked(model=model), ADMIN, desk)).rows] == ["well"] * 3
            again = await simulate(SimulateAsked(model=model, state=kept), ADMIN, desk)
            assert [(row.place, row.id, row.rank) for row in again.rows] == [
                (1, f"{own}two/b", "well"), (2, f"{own}three/c", "near"), (None, f"{own}one/p", "limited"),
            ]  # fmt: skip
            assert again.at == "2026-09-21T14:13:20Z"

    asyncio.run(work())


def test_without_storage_it_says_so() -> None:
    async def work() -> None:
        async with desk_at(dead_connection_string(), NOW, config(entry("m", "one/a"))) as desk:
            api = Api(Access("the-operators-key", None, desk.clock, desk.clock), desk)  # type: ignore[arg-type]
            for method, path in (("GET", "/manage/route"), ("POST", "/manage/simulate/m")):
                answer = await ask(api, method, path)
                assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "storage_unavailable")

    asyncio.run(work())


# What is given. No storage is asked: there is none.

PTU = entry("m", "one/p", "ptu: {units: 15, whole_share: 0.25}")
WELL = {"at": NOW, "deployments": {}}


def simulated(text: str, state: Any = WELL, **asked: Any) -> SimulateTold:
    async def work() -> SimulateTold:
        async with desk_at(dead_connection_string(), NOW + 999, text) as desk:
            desk.prices = PriceList(lambda: PriceBook({}))
            return await simulate(SimulateAsked.model_validate({"model": "m", "state": state, **asked}), READER, desk)

    return asyncio.run(work())


def at(told: SimulateTold) -> list[tuple[int | None, str, float]]:
    return [(row.place, row.deployment, row.share) for row in told.rows]


def rest(why: str, seconds: float) -> dict[str, Any]:
    return {"rest": {"at": NOW - 1, "until": NOW + seconds, "why": why, "level": 0}}


def test_tiers_weights_and_health_decide() -> None:
    text = config(PTU, entry("m", "two/b", "weight: 3"), entry("m", "three/c", "weight: 1"))
    told = simulated(text, stream=True)
    assert at(told) == [(1, "m#1", 100.0), (2, "m#2", 0.0), (3, "m#3", 0.0)]
    assert [row.tier for row in told.rows] == ["ptu", "spill", "spill"]
    told = simulated(text, {"at": NOW, "deployments": {"one/p": rest("rate_limit", 9)}}, stream=True)
    assert at(told) == [(1, "m#2", 75.0), (2, "m#3", 25.0), (None, "m#1", 0.0)]
    assert "rate limit" in told.rows[2].why
    assert "among equals the strategy simple-shuffle decides" in " ".join(told.warnings)
    assert at(simulated(text))[0] == (1, "m#1", 25.0)
    assert at(simulated(text, stream=True, down=["m#1", "3"])) == [(1, "m#2", 100.0), (2, "m#1", 0.0), (3, "m#3", 0.0)]


def test_tags_and_regions_leave_deployments_out() -> None:
    text = config(entry("m", "one/a", "tags: [batch]"), entry("m", "two/b", "region: swedencentral"))
    assert at(simulated(text)) == [(1, "m#2", 100.0), (None, "m#1", 0.0)]
    assert at(simulated(text, tags=["batch"])) == [(1, "m#1", 100.0), (None, "m#2", 0.0)]
    assert at(simulated(text, region="Sweden Central")) == [(1, "m#2", 100.0), (None, "m#1", 0.0)]
    told = simulated(text, region="eastus2", calls=5)
    assert [row.rank for row in told.rows] == ["unfit", "unfit"]
    assert told.unserved == 5
    assert any("refused with 400" in note for note in told.warnings)


def test_one_prompt_goes_to_one_place() -> None:
    text = config(*(entry("m", f"r{n}/a") for n in range(4)), routing="routing_strategy: prompt-cache")
    homes = {simulated(text, cache_key=f"key-{n}").rows[0].id for n in range(20)}
    assert len(homes) > 1
    told = simulated(text, cache_key="key-1", calls=50)
    assert (told.rows[0].share, told.rows[0].served) == (100.0, 50)
    assert "without --cache-key" in " ".join(simulated(text).warnings)
    assert "without --cache-key" not in " ".join(told.warnings)


def test_many_calls_share_themselves_out() -> None:
    text = config(
        entry("m", "one/a", "rpm: 100"), entry("m", "two/b", "rpm: 300"), entry("m", "three/c", "order: 2, rpm: 1000"),
        entry("n", "four/d"), routing="fallbacks: [{m: [n]}]",
    )  # fmt: skip
    told = simulated(text, calls=200)
    served = {row.deployment: row.served or 0 for row in told.rows}
    assert sum(served.values()) == 200
    assert 30 <= served["m#1"] <= 70
    assert served["m#3"] == 0
    assert "fallbacks lead to: n" in " ".join(told.warnings)
    again = simulated(text, calls=200)
    assert again == told
    assert simulated(text, calls=200, seed=2) != told
    # more than one minute's limits hold: near them, the next tier takes over, and none is lost
    told = simulated(text, calls=1000)
    assert sum(row.served or 0 for row in told.rows) == 1000
    assert told.unserved == 0
    assert {row.deployment: (row.served or 0) > 100 for row in told.rows}["m#3"]


def test_calls_move_on_from_what_is_down_and_wait_for_what_rests() -> None:
    two = config(entry("m", "one/a"), entry("m", "two/b"), routing="disable_cooldowns: true")
    told = simulated(two, calls=100, down=["1"])
    served = {row.deployment: (row.served, row.asked) for row in told.rows}
    assert served["m#2"] == (100, 100)
    assert served["m#1"][0] == 0
    assert 20 < (served["m#1"][1] or 0) < 80
    limited = {"at": NOW, "deployments": {"one/a": rest("rate_limit", 6)}}
    told = simulated(config(entry("m", "one/a")), limited, calls=60)
    assert (told.rows[0].served, told.unserved) == (60, 0)
    assert told.waited >= 5
    assert "429" in " ".join(told.warnings)
    told = simulated(config(entry("m", "one/a")), calls=3, num_retries=0, down=["1"])
    assert (told.rows[0].served, told.unserved) == (0, 3)


def test_used_limits_are_those_of_the_reports() -> None:
    text = config(entry("m", "one/a", "rpm: 50"), entry("m", "two/b", "rpm: 50"))
    used = {"at": NOW, "deployments": {"one/a": {"requests": 49}}}
    assert at(simulated(text, used)) == [(1, "m#2", 100.0), (2, "m#1", 0.0)]
    before = {"at": NOW - 30, "deployments": {"one/a": {"requests": 49}}}  # of the minute before
    assert at(simulated(text, [before, WELL])) == [(1, "m#1", 50.0), (2, "m#2", 50.0)]


MALFORMED = [
    {"at": NOW, "deployments": {"one/a": 5, "two/b": {"rest": "long", "requests": "x", "azure": []}}},
    {"at": NOW, "deployments": []},
    [{"at": NOW}, {"at": "today"}],
]


@pytest.mark.parametrize("state", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_not_understood_is_left_out(state: Any) -> None:
    assert at(simulated(config(entry("m", "one/a")), state)) == [(1, "m#1", 100.0)]


@pytest.mark.parametrize(
    ("asked", "status", "param", "text"),
    [
        ({"model": "none"}, 404, "model", "none"),
        ({"endpoint": "chats"}, 400, "endpoint", "chat_completions"),
        ({"endpoint": "/v1/images/generations"}, 400, "endpoint", "does not serve /images/generations"),
        ({"down": ["2"]}, 400, "down", "m#1"),
        ({"state": []}, 400, "state", "route reports --json"),
        ({"state": {"deployments": {}}}, 400, "state", "`at`"),
    ],
)
def test_what_cannot_be_is_explained(asked: dict[str, Any], status: int, param: str, text: str) -> None:
    with pytest.raises(ApiError) as refused:
        simulated(config(entry("m", "one/a")), **asked)
    assert (refused.value.status, refused.value.param) == (status, param)
    assert text in refused.value.message


# The command line and the API.


async def ask(api: Api, method: str, path: str, body: Any = None) -> Any:
    headers = {"api-key": "the-operators-key", "content-type": "application/json"}
    request = ApiRequest("req_1", "manage", method, headers, {}, b"")

    async def read() -> None:
        request.body = b"" if body is None else json.dumps(body).encode()

    return await api.answer(request, path, read)


class Reader(Access):
    """Whoever asks is somebody who may only read."""

    async def actor(self, headers: Any) -> Actor:
        return READER


def test_who_only_reads_may_simulate_and_nothing_is_written_down(azurite: Any) -> None:
    async def work() -> None:
        async with desk_at(azurite.connection_string, NOW, config(entry("m", "one/a"))) as desk:
            api = Api(Reader("x", None, desk.clock, desk.clock), desk)  # type: ignore[arg-type]
            answer = await ask(api, "POST", "/manage/simulate/m", {"state": WELL, "calls": 3})
            told = json.loads(answer.body)
            assert (answer.status, told["rows"][0]["served"], told["strategy"]) == (200, 3, "simple-shuffle")
            answer = await ask(api, "POST", "/manage/simulate/m", {"calls": "3"})
            assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "calls")
            assert (await ask(api, "POST", "/manage/keys", {"name": "x"})).status == 403
            rows = (await list_audit(AuditAsked.model_validate({"operation": "simulate"}), ADMIN, desk)).rows
            assert rows == []

    asyncio.run(work())


def command(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = run_cli(arguments, environ)
    return code, said.getvalue(), complained.getvalue()


def test_a_state_is_read_from_a_file(tmp_path: Path) -> None:
    source, state = tmp_path / "config.yaml", tmp_path / "state.json"
    source.write_text(config(entry("m", "one/a"), entry("m", "two/b")), "utf-8")
    state.write_text(
        json.dumps([{"instance": "i", "at": "", "report": {"at": NOW, "deployments": {"one/a": rest("server", 5)}}}])
    )
    environ = {
        "AzureWebJobsStorage": dead_connection_string(), "KEY_PEPPER": "pepper-1", "CONFIG_SOURCE": str(source),
    }  # fmt: skip
    code, said, noted = command(environ, "simulate", "m", "--state", str(state), "--calls", "10")
    assert code == 0, noted
    head, first, second = said.splitlines()
    assert head.split() == "PLACE DEPLOYMENT ORDER TIER RANK SHARE WHY SERVED ASKED".split()
    assert first.split()[:6] == ["1", "m#2", "1", "standard", "well", "100.0"]
    assert second.split()[:5] == ["2", "m#1", "1", "standard", "resting"]
    assert "note: of 10 calls within a minute 0 could not be served" in noted
    code, _, noted = command(environ, "simulate", "m", "--state", str(state), "--region", "the moon!")
    assert (code, noted) == (2, "--region: 'the moon!' is no region of Azure: write its name, such as swedencentral.\n")
    for name, text in ((tmp_path / "none.json", "No such file"), (source, "not JSON"), (tmp_path, "Is a directory")):
        code, said, noted = command(environ, "simulate", "m", "--state", str(name))
        assert (code, said) == (2, "")
        assert text in noted
