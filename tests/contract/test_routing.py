"""Routing as clients and operators see it: what stands in, what a client may say of it, what is told when nothing serves.

Which failure moves a call on is tests/contract/test_fault_matrix.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.routed import Entries, resources_asked, served_from
from tests.support.stack import Key, Stack, ask, last_upstream, upstream_calls

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PTU: dict[str, Any] = {"sku": "GlobalProvisionedManaged", "ptu": {"units": 15}}


@pytest.fixture(scope="module")
def entries(fake_azure: FakeAzure) -> Entries:
    made = Entries(fake_azure, "one")
    for alias in ("primary", "hopeless"):  # many tests break them: what rests would not be asked before a stand-in
        made.add(alias, cooldown_time=0)
    for alias in "picky stand-in small large strict lenient alone brief impatient left".split():
        made.add(alias)
    for alias in ("full", "down", "bound", "bound-full", "limits"):
        made.pair(alias)
    made.pair("ptu", PTU, {"sku": "GlobalStandard"})
    made.pair("ptu-full", PTU)
    made.pair("ptu-azure", PTU)
    made.pair("ptu-streams", {**PTU, "ptu": {"units": 15, "whole_share": 0}})
    made.pair("tagged", {"tags": ["paid"]}, {"tags": ["default"]})
    made.pair("resting", {"cooldown_time": 2})
    made.add("members", tags=["paid"])
    made.pair("placed", {"region": "swedencentral"}, {"region": "eastus2"})
    made.pair("counted", {"rpm": 4})
    made.add("metered", rpm=1)
    return made


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any, entries: Entries
) -> Generator[Stack]:
    text = entries.text(
        num_retries=0,
        max_retries_of_clients=1,
        cooldown_time=0.2,
        max_wait=2,
        fallbacks=[
            {"primary": ["stand-in"]},
            {"picky": ["stand-in"]},
            {"hopeless": ["primary", "stand-in"]},
            {"bound": ["stand-in"]},
        ],
        context_window_fallbacks=[{"small": ["large"]}],
        content_policy_fallbacks=[{"strict": ["lenient"]}],
    )
    with Stack(tmp_path_factory.mktemp("routed"), fake_azure, azurite.connection_string, config=text) as made:
        yield made


@pytest.fixture
def mine(gateway: Stack, fake: FakeAzure) -> Key:
    """A key of the test's own on the gateway of this module."""
    return gateway.key()


@pytest.fixture
def hidden(fake: FakeAzure, entries: Entries) -> Callable[[Any], None]:
    """Fails when an answer holds what no client may see, names of deployments among it."""

    def check(reply: Any) -> None:
        assert_nothing_leaks(fake, reply)
        seen = reply.text + repr(reply.headers)
        assert not [row[0] for row in entries.rows if entries.name(row[0]) in seen]

    return check


@pytest.fixture
def break_down(fake: FakeAzure, entries: Entries) -> Callable[..., None]:
    return entries.break_down


# What stands in.


FAILURES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("primary", "stand-in", {}, ["primary"]),
    ("primary", "stand-in", {"kind": "insufficient_quota"}, ["primary"]),
    ("primary", "stand-in", {"status": 404}, ["primary"]),
    ("small", "large", {"kind": "context_length"}, ["small"]),
    ("strict", "lenient", {"kind": "content_filter"}, ["strict"]),
    ("hopeless", "stand-in", {}, ["hopeless", "primary"]),
]


@STREAM
@pytest.mark.parametrize(("alias", "by", "fault", "broken"), FAILURES)
def test_another_model_stands_in(
    gateway: Stack, mine: Key, break_down: Any, alias: str, by: str, fault: dict[str, Any], broken: list[str],
    stream: bool, entries: Entries, fake: FakeAzure,
) -> None:  # fmt: skip
    for name in broken:
        break_down(name, **fault)
    reply = gateway.post(mine, ask("count to 3", alias, stream=stream))
    assert reply.status_code == 200, reply.text
    assert last_upstream(fake).raw.count(entries.name(by).encode()) == 1
    told = (
        reply.text.partition('"model":"')[2]
        if not stream
        else reply.text.partition('"1"')[0].rpartition('"model":"')[2]
    )
    assert told.startswith(f'{alias}"')
    assert reply.headers["x-tollgate-fallbacks"] == str(len(broken))
    assert reply.headers["x-tollgate-attempts"] == str(len(broken) + 1)
    (event,) = gateway.usage(mine, 1)
    assert (event["alias"], event["served_alias"], event["outcome"]) == (alias, by, "ok")
    assert event["output_tokens"] == 3


@pytest.mark.parametrize(
    ("alias", "fault", "status"),
    [("picky", {"status": 400}, 400), ("picky", {"kind": "content_filter"}, 400), ("strict", {}, 500),
     ("small", {"kind": "content_filter"}, 400), ("alone", {}, 500)],
)  # fmt: skip
def test_nobody_stands_in_who_was_not_meant_for_it(
    gateway: Stack,
    mine: Key,
    fake: FakeAzure,
    break_down: Any,
    alias: str,
    fault: dict[str, Any],
    status: int,
    hidden: Any,
) -> None:
    break_down(alias, **fault)
    reply = gateway.post(mine, ask("hi", alias))
    assert reply.status_code == status
    assert len(upstream_calls(fake)) == 1
    assert "x-tollgate-fallbacks" not in reply.headers
    hidden(reply)


def test_first_failure_is_told_when_nobody_can_stand_in(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("primary", kind="insufficient_quota")
    break_down("stand-in", status=503)
    reply = gateway.post(mine, ask("hi", "primary"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "insufficient_quota")
    assert [reply.headers[f"x-tollgate-{name}"] for name in ("attempts", "fallbacks")] == ["2", "1"]
    (event,) = gateway.usage(mine, 1)
    assert (event["alias"], event["attempts"], event["outcome"]) == ("primary", 2, "upstream_error")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/completions"])
@STREAM
def test_model_is_what_was_asked_for_in_every_language(
    gateway: Stack, mine: Key, break_down: Any, path: str, stream: bool
) -> None:
    break_down("primary")
    body = ask("hi", "primary", stream=stream, max_tokens=20)
    if path == "/v1/responses":
        body = {"model": "primary", "input": "hi", "stream": stream}
    elif path == "/v1/completions":
        body = {"model": "primary", "prompt": "hi", "stream": stream}
    reply = gateway.post(mine, body, path)
    assert (reply.status_code, reply.headers["x-tollgate-fallbacks"]) == (200, "1"), reply.text
    assert set(re.findall(r'"model": ?"([^"]*)"', reply.text)) == {"primary"}


# What a client says.


def test_client_names_who_stands_in(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> None:
    break_down("alone")
    reply = gateway.post(mine, ask("hi", "alone", fallbacks=["large", "stand-in"]))
    assert (reply.status_code, reply.json()["model"], reply.headers["x-tollgate-fallbacks"]) == (200, "alone", "1")
    assert gateway.usage(mine, 1)[0]["served_alias"] == "large"


def test_client_wants_nobody_to_stand_in(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> None:
    break_down("primary")
    assert gateway.post(mine, ask("hi", "primary", disable_fallbacks=True)).status_code == 500
    assert len(upstream_calls(fake)) == 1


def test_client_names_only_models_that_its_key_may_use(gateway: Stack, fake: FakeAzure, break_down: Any) -> None:
    key = gateway.key(models="alone,primary")
    for alias, status in (("large", 403), ("nobody", 404)):
        reply = gateway.post(key, ask("hi", "alone", fallbacks=[alias]))
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, "model_not_found")
    break_down("primary")
    gateway.post(key, ask("hi", "primary"))
    assert resources_asked(fake) == ["main"], "nobody stands in whom the key may not use"


OWN_WORDS: dict[str, Any] = {
    "fallbacks": ["large"], "num_retries": 1, "timeout": 20, "stream_timeout": 20, "disable_fallbacks": True,
    "tags": ["a"], "metadata": {"tags": ["b"], "project": "c"},
}  # fmt: skip
OWN_HEADERS = {
    f"{prefix}-{name}": value
    for prefix in ("x-tollgate", "x-litellm")
    for name, value in {"num-retries": "1", "timeout": "20", "stream-timeout": "20", "tags": "c", "region": ""}.items()
}


@STREAM
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"])
def test_clients_words_of_routing_never_reach_azure(
    gateway: Stack, mine: Key, fake: FakeAzure, path: str, stream: bool
) -> None:
    body = ask("hi", "alone", stream=stream, max_tokens=20) | OWN_WORDS
    if path == "/v1/responses":
        body |= {"input": "hi", "max_output_tokens": 20}
        del body["messages"], body["max_tokens"]
    elif path == "/v1/embeddings":
        body = {"model": "alone", "input": "hi"} | OWN_WORDS
    reply = gateway.post(mine, body, path, headers=OWN_HEADERS)
    sent = last_upstream(fake)
    kept = {"project": "c"} if path in ("/v1/chat/completions", "/v1/responses") else None
    if path != "/v1/embeddings":  # which the fake refuses, for the model makes none
        assert reply.status_code == 200, reply.text
        assert sent.body.get("metadata") == kept
    assert not set(sent.body) & (OWN_WORDS.keys() - {"metadata"})
    assert b"tags" not in sent.raw
    assert not [name for name in sent.headers if name.startswith(("x-tollgate", "x-litellm"))]
    assert {"a", "c"} <= set(gateway.usage(mine, 1)[0]["tags"]), "they are for the ledger"


@pytest.mark.parametrize(
    ("words", "headers"),
    [({"num_retries": 1}, {}), ({}, {"x-tollgate-num-retries": "1"}), ({}, {"x-litellm-num-retries": "1"}),
     ({"num_retries": 99}, {})],
)  # fmt: skip
def test_client_asks_for_retries_within_the_bounds(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any, words: Any, headers: dict[str, str]
) -> None:
    break_down("alone", times=2)
    reply = gateway.post(mine, ask("hi", "alone", **words), headers=headers)
    assert (reply.status_code, reply.headers["x-tollgate-attempts"]) == (500, "2")
    assert resources_asked(fake) == ["main", "main"]
    assert gateway.post(mine, ask("hi", "alone")).headers["x-tollgate-attempts"] == "1"


@pytest.mark.parametrize(
    ("words", "headers", "stream"),
    [({"timeout": 0.3}, {}, False), ({"stream_timeout": 0.3}, {}, True), ({}, {"x-tollgate-timeout": "0.3"}, False),
     ({}, {"x-litellm-stream-timeout": "0.3"}, True)],
)  # fmt: skip
def test_client_bounds_the_time(
    gateway: Stack, mine: Key, break_down: Any, words: Any, headers: dict[str, str], stream: bool
) -> None:
    break_down("alone", kind="slow_first_byte", seconds=30, times=1)
    reply = gateway.post(mine, ask("hi", "alone", stream=stream, **words), headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("status", [503, 429])
def test_wait_beyond_the_clients_time_is_not_begun(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any, status: int
) -> None:
    break_down("impatient", status=status, retry_after=2)
    reply = gateway.post(mine, ask("hi", "impatient", timeout=1, num_retries=1))
    assert (reply.status_code, reply.headers["retry-after"]) == (status, "2")
    assert len(upstream_calls(fake)) == 1


def test_client_that_leaves_while_its_call_waits_is_not_asked_for(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("left", status=429, retry_after_ms=1500)
    with RawClient(gateway) as client:
        client.post(mine, ask("hi", "left", num_retries=1))
        until(lambda: upstream_calls(fake) and last_upstream(fake).completed)
    (event,) = gateway.usage(mine, 1)
    assert (event["outcome"], event["attempts"]) == ("client_closed", 1)
    assert len(upstream_calls(fake)) == 1


def test_beginning_of_a_stream_is_not_held_back_for_long(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("limits", kind="pause", after=2, seconds=6, times=1)
    with RawClient(gateway) as client:
        client.post(mine, ask("count to 3", "limits", stream=True))
        client.read_until(b'"role":"assistant"')
        assert not last_upstream(fake).completed
        assert b'"content":"1"' not in client.seen


@pytest.mark.parametrize(
    "words",
    [{"num_retries": -1}, {"num_retries": "many"}, {"timeout": 0}, {"fallbacks": {}}, {"tags": [1]},
     {"disable_fallbacks": "perhaps"}],
)  # fmt: skip
def test_words_that_mean_nothing_are_refused(gateway: Stack, mine: Key, fake: FakeAzure, words: Any) -> None:
    reply = gateway.post(mine, ask("hi", "alone", **words))
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (400, "invalid_type", next(iter(words)))
    assert not upstream_calls(fake)


# When nothing serves.


def test_all_are_at_their_limits(gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries, hidden: Any) -> None:
    for resource in ("main", "second"):
        fake.set_quota(resource, entries.name("full"), requests=0, window=30)
    first, second = gateway.post(mine, ask("hi", "full")), gateway.post(mine, ask("hi", "full", stream=True))
    assert sorted(resources_asked(fake)) == ["main", "second"], "while they rest, nobody asks them"
    for reply in (first, second):
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 20 <= int(reply.headers["retry-after"]) <= 31
        hidden(reply)
    assert [event["outcome"] for event in gateway.usage(mine, 2)] == ["upstream_error"] * 2


def test_all_are_down(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any, hidden: Any) -> None:
    break_down("down")
    with gateway.openai(mine) as client:
        for stream in (False, True):
            reply = gateway.post(mine, ask("hi", "down", stream=stream))
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (503, "no_deployment_available")
            assert "Retry-After" in error["message"]
            assert 1 <= int(reply.headers["retry-after"]) <= 60
            hidden(reply)
        assert client.models.list().data


def test_short_wait_is_waited_for(gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries) -> None:
    fake.set_quota("main", entries.name("brief"), requests=1, window=1)
    for _ in range(3):
        reply = gateway.post(mine, ask("hi", "brief", num_retries=1))
        assert reply.status_code == 200, reply.text
    assert 429 in {call.status for call in upstream_calls(fake)}


def test_rest_ends_with_one_good_call(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> None:
    break_down("resting", status=401, times=1)
    for _ in range(2):
        assert served_from(fake, gateway, mine, ask("hi", "resting")) == "second"
    assert resources_asked(fake) == ["main", "second", "second"], "it rests after one such failure"
    until(lambda: served_from(fake, gateway, mine, ask("hi", "resting")) == "main")
    assert [served_from(fake, gateway, mine, ask("hi", "resting")) for _ in range(3)] == ["main"] * 3


# Limits of deployments, and provisioned throughput.


def test_deployment_is_passed_over_before_it_refuses(
    gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries
) -> None:
    fake.set_quota("main", entries.name("limits"), requests=20, window=60)
    for _ in range(25):
        assert gateway.post(mine, ask("hi", "limits")).status_code == 200
    asked = resources_asked(fake)
    assert [call.status for call in upstream_calls(fake)] == [200] * 25
    assert 17 <= asked.count("main") <= 20
    assert asked == ["main"] * asked.count("main") + ["second"] * asked.count("second")


def test_rpm_of_the_configuration_is_kept(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    for _ in range(12):
        assert gateway.post(mine, ask("hi", "counted")).status_code == 200
    assert 3 <= resources_asked(fake).count("main") <= 8, "4 a minute, and a minute may have begun meanwhile"


def test_lone_deployment_at_its_rpm_is_asked_all_the_same(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    """A deployment's rpm says whom to ask first; what a caller may do is a limit of his key."""
    assert [gateway.post(mine, ask("hi", "metered")).status_code for _ in range(3)] == [200] * 3
    assert len(upstream_calls(fake)) == 3


def spill_of(gateway: Stack, key: Key) -> tuple[int, int]:
    """The calls that provisioned throughput had no room for, and what they have cost, by the totals."""
    rows = gateway.ledger.totals(key.id)
    return sum(row["spilled"] for row in rows), sum(row["spill_nanos"] for row in rows)


def test_provisioned_throughput_comes_first_and_spills(
    gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries
) -> None:
    fake.set_quota("main", entries.name("ptu"), requests=4, window=60)
    replies = [gateway.post(mine, ask("count to 3", "ptu", stream=n % 2 == 1)) for n in range(6)]
    tiers = [reply.headers["x-tollgate-tier"] for reply in replies]
    assert [reply.status_code for reply in replies] == [200] * 6
    assert 3 <= tiers.count("ptu") <= 4
    assert tiers == ["ptu"] * tiers.count("ptu") + ["spill"] * tiers.count("spill")
    events = {event["request_id"]: event for event in gateway.usage(mine, 6)}
    assert [events[reply.headers["x-request-id"]]["capacity"] for reply in replies] == tiers
    spilled = [event for event in events.values() if event["capacity"] == "spill"]
    assert all(event["cost_nanos"] > 0 for event in spilled)
    assert spill_of(gateway, mine) == (len(spilled), sum(event["cost_nanos"] for event in spilled))
    assert {event["cost_nanos"] for event in events.values() if event["capacity"] == "ptu"} == {0}


def test_provisioned_throughput_that_refuses(gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries) -> None:
    fake.set_quota("main", entries.name("ptu-full"), requests=0, window=30)
    told = [gateway.post(mine, ask("hi", "ptu-full")).headers for _ in range(2)]
    assert [(h["x-tollgate-tier"], h["x-tollgate-attempts"]) for h in told] == [("spill", "2"), ("spill", "1")]


def test_azure_spills_over_itself(gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries, hidden: Any) -> None:
    fake.set_quota("main", entries.name("ptu-azure"), requests=0, spill_to="gpt-4o")
    for stream in (False, True):
        reply = gateway.post(mine, ask("count to 3", "ptu-azure", stream=stream))
        assert (reply.status_code, reply.headers["x-tollgate-tier"]) == (200, "azure-spill")
        hidden(reply)
    assert resources_asked(fake) == ["main", "main"]
    events = gateway.usage(mine, 2)
    assert all(event["capacity"] == "azure-spill" and event["cost_nanos"] > 0 for event in events)
    assert spill_of(gateway, mine) == (2, sum(event["cost_nanos"] for event in events))


def test_only_a_share_of_whole_answers_goes_to_provisioned_throughput(
    gateway: Stack, mine: Key, fake: FakeAzure
) -> None:
    for stream in (False, True, False, True):
        assert gateway.post(mine, ask("hi", "ptu-streams", stream=stream)).status_code == 200
    assert resources_asked(fake) == ["second", "main", "second", "main"]


# Tags and regions.


@pytest.mark.parametrize(
    ("words", "headers", "resource"),
    [({}, {}, "second"), ({"tags": ["paid"]}, {}, "main"), ({"metadata": {"tags": ["paid"]}}, {}, "main"),
     ({}, {"x-tollgate-tags": "team-a, paid"}, "main"), ({}, {"x-litellm-tags": "paid"}, "main"),
     ({"tags": ["else"]}, {}, "second")],
)  # fmt: skip
def test_tags_choose(
    gateway: Stack, mine: Key, fake: FakeAzure, words: Any, headers: dict[str, str], resource: str
) -> None:
    assert served_from(fake, gateway, mine, ask("hi", "tagged", **words), headers=headers) == resource


@pytest.mark.parametrize(
    ("region", "resource"), [("eu", "main"), ("us", "second"), ("eastus2", "second"), ("", "main")]
)
def test_region_chooses(gateway: Stack, mine: Key, fake: FakeAzure, region: str, resource: str) -> None:
    headers = {"x-tollgate-region": region}
    assert served_from(fake, gateway, mine, ask("hi", "placed"), headers=headers) == resource


@pytest.mark.parametrize(
    ("alias", "headers", "code"),
    [("members", {}, "tags_not_served"), ("members", {"x-tollgate-tags": "free"}, "tags_not_served"),
     ("placed", {"x-tollgate-region": "brazilsouth"}, "region_not_served")],
)  # fmt: skip
def test_nothing_fits(
    gateway: Stack, mine: Key, fake: FakeAzure, alias: str, headers: dict[str, str], code: str, hidden: Any
) -> None:
    reply = gateway.post(mine, ask("hi", alias), headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)
    assert not upstream_calls(fake)
    hidden(reply)
    assert gateway.usage(mine, 1)[0]["outcome"] == "client_error"


# Ids.


@pytest.fixture
def begin(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> Callable[[str], str]:
    """Makes a response that `second` keeps, although `main` comes first."""

    def made_by(alias: str) -> str:
        break_down(alias, status=409, times=1)
        with gateway.openai(mine) as client:
            made = client.responses.create(model=alias, input="hi").id
        assert resources_asked(fake) == ["main", "second"]
        fake.clear()
        return made

    return made_by


@pytest.fixture
def talk(begin: Callable[[str], str]) -> str:
    return begin("bound")


def test_id_wins_over_order(gateway: Stack, mine: Key, fake: FakeAzure, talk: str) -> None:
    for _ in range(3):
        body = {"model": "bound", "input": "more", "previous_response_id": talk}
        assert served_from(fake, gateway, mine, body, path="/v1/responses") == "second"


@STREAM
def test_dead_home_is_told(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any, talk: str, stream: bool, hidden: Any
) -> None:
    break_down("bound", status=503)
    body = {
        "model": "bound",
        "input": "more",
        "previous_response_id": talk,
        "fallbacks": ["stand-in"],
        "stream": stream,
    }
    reply = gateway.post(mine, body, "/v1/responses")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (503, "home_unavailable")
    assert "previous_response_id" in error["message"]
    assert int(reply.headers["retry-after"]) >= 1
    assert set(resources_asked(fake)) == {"second"}
    hidden(reply)
    fake.clear()
    kept = gateway.http.get(f"/v1/responses/{talk}", headers=mine.bearer)
    assert kept.status_code == 200


def test_full_home_is_told_as_a_limit(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any, begin: Callable[[str], str]
) -> None:
    talk = begin("bound-full")
    break_down("bound-full", status=429, retry_after=25)
    reply = gateway.post(mine, {"model": "bound-full", "input": "more", "previous_response_id": talk}, "/v1/responses")
    assert reply.status_code == 429
    assert 20 <= int(reply.headers["retry-after"]) <= 25
    assert set(resources_asked(fake)) == {"second"}


def test_dead_home_of_a_kept_object(gateway: Stack, mine: Key, fake: FakeAzure, talk: str) -> None:
    fake.add_fault("status", status=503, resource="second", times=-1)
    reply = gateway.http.get(f"/v1/responses/{talk}", headers=mine.bearer)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "home_unavailable")
