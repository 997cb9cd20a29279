"""Realtime: ephemeral tokens and calls by SDP. What needs a WebSocket is refused, and says where it is served.

Each test also looks at what was sent upstream, and at the usage record.
"""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

OFFER = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
SESSION: Any = {"type": "realtime", "model": "realtime", "audio": {"output": {"voice": "marin"}}}


def call_id(location: str) -> str:
    assert location.startswith("/v1/realtime/calls/")
    return location.rpartition("/")[2]


def test_ephemeral_token(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        made = client.realtime.client_secrets.create(session=SESSION, expires_after={"seconds": 60})
    assert made.value.startswith("ek_")
    assert made.session.type == "realtime"
    assert made.session.model == "realtime"
    sent = last_upstream(fake)
    assert sent.path == "/openai/v1/realtime/client_secrets"
    assert sent.body["session"] == SESSION | {"model": "gpt-realtime"}
    assert sent.body["expires_after"] == {"seconds": 60}
    (event,) = stack.usage(key, 1)
    assert (event["alias"], event["endpoint"], event["output_tokens"]) == ("realtime", "realtime_client_secrets", 0)


def test_call_by_plain_sdp(stack: Stack, key: Key, fake: FakeAzure) -> None:
    headers = {**key.bearer, "content-type": "application/sdp"}
    reply = stack.http.post("/v1/realtime/calls?model=realtime&secret=1", content=OFFER, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (201, "application/sdp")
    assert reply.text.startswith("v=0")
    sent = last_upstream(fake)
    assert (sent.query, sent.raw.decode(), sent.headers["content-type"]) == (
        {"model": "gpt-realtime"}, OFFER, "application/sdp",
    )  # fmt: skip
    assert "gpt-realtime" not in reply.headers["location"] + reply.text
    assert call_id(reply.headers["location"]) != ""
    assert stack.usage(key, 1)[0]["alias"] == "realtime"


def test_call_by_form_and_its_end(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        made = client.realtime.calls.create(sdp=OFFER, session=SESSION)
        assert made.response.status_code == 201
        assert made.text.startswith("v=0")
        sent = last_upstream(fake)
        assert sent.path == "/openai/v1/realtime/calls"
        assert b'"model":"gpt-realtime"' in sent.raw
        assert OFFER.encode() in sent.raw
        identity = call_id(made.response.headers["location"])
        assert identity.encode() not in sent.raw
        client.realtime.calls.hangup(identity)
        assert last_upstream(fake).path.endswith("/hangup")
        assert "rtc_" in last_upstream(fake).path
        with pytest.raises(openai.NotFoundError) as over:  # Azure knows it no more
            client.realtime.calls.hangup(identity)
        assert "rtc_" not in over.value.message
    assert [e["status"] for e in stack.usage(key, 3)] == [201, 200, 404]


@pytest.mark.parametrize(
    ("action", "body"),
    [("accept", SESSION), ("refer", {"target_uri": "tel:+1"}), ("reject", {"status_code": 486}), ("hangup", {})],
)
def test_what_can_be_done_to_a_call(stack: Stack, key: Key, fake: FakeAzure, action: str, body: Any) -> None:
    with stack.openai(key) as client, stack.openai(stack.key()) as other:
        made = client.realtime.calls.create(sdp=OFFER, session=SESSION)
        identity = call_id(made.response.headers["location"])
        asked = len(upstream_calls(fake))
        for who, wrong in ((client, "rtc_raw"), (other, identity), (client, identity[:-1] + "!")):
            with pytest.raises(openai.NotFoundError) as caught:
                getattr(who.realtime.calls, action)(wrong, **body)
            assert caught.value.code == "not_found"
        assert len(upstream_calls(fake)) == asked
        getattr(client.realtime.calls, action)(identity, **body)
    sent = last_upstream(fake)
    assert sent.path.endswith(f"/{action}")
    if action == "accept":
        assert sent.body["model"] == "gpt-realtime"
        with stack.openai(key) as client, pytest.raises(openai.NotFoundError) as caught:
            client.realtime.calls.accept(identity, **SESSION | {"model": "gpt-realtime"})
        assert caught.value.param == "model"  # a deployment's own name would pass by what a key may use
        assert len(upstream_calls(fake)) == asked + 1


def test_bad_session(stack: Stack, key: Key, fake: FakeAzure) -> None:
    def refused(body: Any, path: str = "client_secrets") -> tuple[int, str]:
        reply = stack.post(key, body, f"/v1/realtime/{path}")
        assert_nothing_leaks(fake, reply)
        return reply.status_code, reply.json()["error"]["param"] or reply.json()["error"]["code"]

    assert refused({}) == (400, "session.model")
    assert refused({"session": "x"}) == (400, "session")
    assert refused({"session": {"type": "realtime", "model": 5}}) == (400, "session.model")
    assert refused({"session": SESSION, "expires_after": 60}) == (400, "expires_after")
    assert refused({"session": SESSION | {"model": "nothing"}}) == (404, "model")
    assert refused({"session": SESSION | {"model": "gpt-realtime"}}) == (404, "model")
    assert refused({"session": SESSION | {"model": "whisper"}}) == (400, "model")
    assert refused({"session": SESSION}, "calls") == (415, "unsupported_media_type")

    def form(**fields: str) -> tuple[int, str]:
        files = {name: (None, value) for name, value in fields.items()}
        reply = stack.http.post("/v1/realtime/calls", files=files, headers=key.bearer)
        return reply.status_code, reply.json()["error"]["param"]

    assert form(sdp=OFFER) == (400, "model")
    assert form(sdp=OFFER, session="{") == (400, "session")
    assert form(sdp=OFFER, session='{"type":"realtime","model":"gpt-realtime"}') == (404, "model")
    assert not upstream_calls(fake)
    assert form(sdp="rubbish", session=orjson.dumps(SESSION).decode()) == (400, "sdp")  # Azure's own words


@pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime", "/openai/realtime", "/realtime"])
def test_websocket_is_told_where_to_go(stack: Stack, fake: FakeAzure, path: str) -> None:
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    for given in ({}, headers | {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}):
        reply = stack.http.get(f"{path}?model=realtime", headers=given)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (404, "websockets_not_served"), reply.text
        assert "/v1/realtime/client_secrets" in error["message"]
    assert not upstream_calls(fake)
