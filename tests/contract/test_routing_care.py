"""What routing must not do: lose what a stand-in could serve, bill what nobody took, blame a deployment for a client,
make twice what stays, or refuse one operation for another's limit."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until
from tests.support.routed import Entries, resources_asked, served_from
from tests.support.scenarios import wav
from tests.support.stack import Key, Stack, ask, upstream_calls

PTU: dict[str, Any] = {"sku": "GlobalProvisionedManaged", "ptu": {"units": 15}}


@pytest.fixture(scope="module")
def entries(fake_azure: FakeAzure) -> Entries:
    made = Entries(fake_azure, "care")
    for alias in ("lone", "helper", "slow", "patient", "kept"):
        made.add(alias)
    made.add("far", "second")
    for alias in ("filtered", "background", "counted"):
        made.pair(alias)
    state = fake_azure.state.resources["main"]
    on_main = {"model": "azure/whisper", "api_base": state.url, "api_key": state.key, "api_version": "2024-10-21"}
    made.rows.append(("heard", on_main, {}))
    for alias in ("ill", "busy", "silent"):
        made.pair(alias)
    made.pair("seen", PTU, {"sku": "GlobalStandard"})
    made.pair("gold", {**PTU, "tags": ["gold"]}, {"sku": "GlobalStandard"})
    made.pair("fussy", {"family": "o_series", "base_model": "o3-mini"})
    return made


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any, entries: Entries
) -> Generator[Stack]:
    text = entries.text(
        fallbacks=[
            {"lone": ["helper"]},
            {"slow": ["helper"]},
            {"kept": ["far"]},
            {"ill": ["helper"]},
            {"busy": ["helper"]},
        ],
        allowed_fails=1,
    )
    with Stack(tmp_path_factory.mktemp("careful"), fake_azure, azurite.connection_string, config=text) as made:
        yield made


@pytest.fixture
def mine(gateway: Stack, fake: FakeAzure) -> Key:
    return gateway.key()


@pytest.fixture
def break_down(fake: FakeAzure, entries: Entries) -> Callable[..., None]:
    return entries.break_down


def test_stream_that_dies_before_its_content_is_given_to_another_model(
    gateway: Stack, mine: Key, break_down: Any
) -> None:
    break_down("lone", kind="cut_before_content")
    reply = gateway.post(mine, ask("count to 3", "lone", stream=True))
    assert reply.status_code == 200
    assert reply.text.rstrip().endswith("data: [DONE]")
    assert '"error"' not in reply.text
    (event,) = gateway.usage(mine, 1)
    assert (event["outcome"], event["served_alias"]) == ("ok", "helper")


def test_stand_in_is_asked_before_anything_is_waited_for(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("slow", status=429, retry_after=9)
    assert gateway.post(mine, ask("hi", "slow"), timeout=5).status_code == 200
    assert len(upstream_calls(fake)) == 2


def test_who_leaves_while_his_call_waits_is_billed_for_nothing(gateway: Stack, mine: Key, break_down: Any) -> None:
    break_down("patient", status=429, retry_after=8)
    with pytest.raises(httpx.ReadTimeout):
        gateway.post(mine, ask("a long prompt " * 100, "patient"), timeout=1)
    (event,) = gateway.usage(mine, 1)
    assert (event["outcome"], event["attempts"], event["input_tokens"]) == ("client_closed", 1, 0)
    assert event["cost_nanos"] == 0


def test_count_needs_no_deployment(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> None:
    break_down("counted", status=429, retry_after=30)
    assert gateway.post(mine, ask("hi", "counted", num_retries=0)).status_code == 429
    asked = len(upstream_calls(fake))
    for _ in range(3):
        body = {"model": "counted", "messages": [{"role": "user", "content": "hi"}]}
        reply = gateway.post(mine, body, "/v1/messages/count_tokens")
        assert (reply.status_code, set(reply.json())) == (200, {"input_tokens"})
        assert "x-tollgate-attempts" not in reply.headers
    assert len(upstream_calls(fake)) == asked
    assert gateway.post(mine, ask("hi", "counted", num_retries=0)).status_code == 429  # they have healed nobody


def test_picture_is_no_million_of_tokens(gateway: Stack, mine: Key, fake: FakeAzure, entries: Entries) -> None:
    fake.set_quota("main", entries.name("seen"), tokens=200_000)
    gateway.post(mine, ask("hi", "seen"))  # says what is left
    picture = "data:image/png;base64," + base64.b64encode(bytes(1_000_000)).decode()
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    body = {"model": "seen", "messages": [{"role": "user", "content": content}]}
    assert served_from(fake, gateway, mine, body) == "main"


def test_conversation_that_a_stand_in_began_goes_on(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("kept", status=500)
    first = gateway.post(mine, {"model": "kept", "input": "hi"}, "/v1/responses").json()
    assert first["model"] == "kept"
    fake.faults.clear()
    body = {"model": "kept", "input": "more", "previous_response_id": first["id"]}
    assert served_from(fake, gateway, mine, body, path="/v1/responses") == "second"
    assert [event["served_alias"] for event in gateway.usage(mine, 2)] == ["far", "far"]


def test_filter_in_the_middle_of_a_stream_is_no_illness(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    filtered = {"error": {"code": "content_filter", "message": "no"}}
    break_down("filtered", kind="error_event", after=4, body=filtered)
    for _ in range(4):
        assert "content_filter" in gateway.post(mine, ask("count to 9", "filtered", stream=True)).text
    assert resources_asked(fake) == ["main"] * 4


def test_what_stays_is_not_made_twice(gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any) -> None:
    break_down("background", kind="reset")
    body = {"model": "background", "input": "hi", "background": True}
    reply = gateway.post(mine, body, "/v1/responses")
    assert reply.status_code == 502
    assert len(upstream_calls(fake)) == 1
    fake.faults.clear()
    fake.clear()
    break_down("background", status=429, retry_after=20, times=1)
    assert gateway.post(mine, body, "/v1/responses").status_code == 200
    assert resources_asked(fake) == ["main", "second"]


def test_limit_of_one_operation_is_none_of_another(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    made = gateway.post(mine, {"name": "a"}, "/v1/vector_stores").json()["id"]
    fake.add_fault("status", status=429, retry_after=40, resource="main")
    assert gateway.http.get(f"/v1/vector_stores/{made}", headers=mine.bearer).status_code == 429
    other = gateway.key()
    assert gateway.post(other, {"name": "b"}, "/v1/vector_stores").status_code == 200


def test_time_that_is_over_before_anything_was_asked(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    reply = gateway.post(mine, ask("hi", "helper"), headers={"x-tollgate-timeout": "0.000001"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "upstream_timeout")
    assert upstream_calls(fake) == []


def test_call_that_was_never_meant_for_provisioned_throughput_is_no_spill(gateway: Stack, mine: Key) -> None:
    reply = gateway.post(mine, ask("hi", "gold"))
    assert reply.headers["x-tollgate-tier"] == "standard"
    assert gateway.post(mine, ask("hi", "gold", tags=["gold"])).headers["x-tollgate-tier"] == "ptu"
    assert [event.get("capacity", "") for event in gateway.usage(mine, 2)] == ["", "ptu"]


def test_deployment_that_does_not_take_a_parameter_is_passed_over(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    assert served_from(fake, gateway, mine, ask("hi", "fussy", temperature=0.3)) == "second"
    assert served_from(fake, gateway, mine, ask("hi", "fussy")) == "main"
    reply = gateway.post(mine, ask("hi", "fussy", temperature=0.3))
    assert reply.headers["x-tollgate-attempts"] == "1"
    assert until(lambda: len(upstream_calls(fake)) == 3)


def test_what_rests_is_not_asked_while_another_model_is_well(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    break_down("ill", kind="reset")
    for _ in range(2):
        assert gateway.post(mine, ask("hi", "ill")).headers["x-tollgate-fallbacks"] == "1"
    fake.clear()
    break_down("ill", kind="reset")
    reply = gateway.post(mine, ask("hi", "ill"))
    assert (reply.status_code, reply.headers["x-tollgate-attempts"]) == (200, "1")
    assert len(upstream_calls(fake)) == 1


def test_conflict_everywhere_is_given_to_another_model(gateway: Stack, mine: Key, break_down: Any) -> None:
    break_down("busy", status=409)
    assert gateway.post(mine, ask("hi", "busy")).headers["x-tollgate-fallbacks"] == "1"


def test_stream_that_stays_silent_leaves_time_for_another(
    gateway: Stack, mine: Key, fake: FakeAzure, break_down: Any
) -> None:
    fake.add_fault("slow_first_byte", seconds=30, resource="main", times=1)
    assert served_from(fake, gateway, mine, ask("hi", "silent", stream=True, timeout=1.5)) == "second"


def test_own_time_limit_is_told_as_such(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    fake.add_fault("slow_first_byte", seconds=30, resource="main", times=1)
    reply = gateway.post(mine, ask("hi", "helper", timeout=0.5))
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "upstream_timeout")
    assert "within the 0.5 s that this call allows" in reply.json()["error"]["message"]


def test_unknown_stand_in_is_told_as_such(gateway: Stack, mine: Key) -> None:
    error = gateway.post(mine, ask("hi", "helper", fallbacks=["nix"])).json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "fallbacks")


def test_words_in_a_form_never_reach_azure(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    with gateway.openai(mine) as client:
        words = {"num_retries": 0, "fallbacks": ["lone"], "tags": ["nightly"]}
        client.audio.transcriptions.create(model="heard", file=("a.wav", wav()), extra_body=words)
    sent = upstream_calls(fake)[-1].raw
    assert b"fallbacks" not in sent
    assert b"num_retries" not in sent
    assert b"tags" not in sent
    assert gateway.usage(mine, 1)[0]["tags"] == ["nightly"]


def test_list_of_what_a_dead_resource_keeps(gateway: Stack, mine: Key, fake: FakeAzure) -> None:
    assert gateway.post(mine, {"name": "a"}, "/v1/vector_stores").status_code == 200
    fake.add_fault("reset", resource="main", times=-1)
    reply = gateway.http.get("/v1/vector_stores", headers=mine.bearer)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert gateway.usage(mine, 2)[-1]["outcome"] == "upstream_error"
