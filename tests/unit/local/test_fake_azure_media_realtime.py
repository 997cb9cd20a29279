"""The realtime API's HTTP side of the fake: client secrets, calls, the older session routes."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure

OFFER = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
SESSION: Any = {"type": "realtime", "model": "gpt-realtime"}


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["main"]
    base = f"{row.url}/openai/v1"
    with openai.OpenAI(base_url=base, api_key=row.key, max_retries=0, _strict_response_validation=True) as made:
        yield made


def post(azure: FakeAzure, path: str, **parts: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    parts.setdefault("headers", {"api-key": row.key})
    return httpx.post(f"{row.url}{path}", **parts)


def test_client_secret_opens_a_call(azure: FakeAzure, client: openai.OpenAI) -> None:
    session: Any = {**SESSION, "instructions": "be brief"}
    given = client.realtime.client_secrets.create(
        session=session, expires_after={"anchor": "created_at", "seconds": 60}
    )
    assert given.value.startswith("ek_")
    assert given.session.type == "realtime"
    assert given.session.model == "gpt-realtime"
    assert given.session.instructions == "be brief"
    headers = {"Authorization": f"Bearer {given.value}", "Content-Type": "application/sdp"}
    answer = post(azure, "/openai/v1/realtime/calls", content=OFFER, headers=headers)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.headers["location"].startswith("/openai/v1/realtime/calls/rtc_")
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111" in answer.text
    wrong = post(azure, "/openai/v1/realtime/calls", content=OFFER, headers={**headers, "Authorization": "Bearer ek_x"})
    assert wrong.status_code == 401


def test_transcription_secret(client: openai.OpenAI) -> None:
    heard: Any = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
    given = client.realtime.client_secrets.create(session={"type": "transcription", "audio": heard})
    assert given.session.type == "transcription"


def test_call_from_offer_to_hangup(azure: FakeAzure, client: openai.OpenAI) -> None:
    answer = client.realtime.calls.create(sdp=OFFER, session=SESSION)
    again = client.realtime.calls.create(sdp=OFFER, session=SESSION)
    assert answer.text == again.text
    identity = answer.response.headers["location"].rpartition("/")[2]
    client.realtime.calls.hangup(identity)
    with pytest.raises(openai.NotFoundError, match="No session found"):
        client.realtime.calls.hangup(identity)


def test_call_by_query_with_a_key(azure: FakeAzure) -> None:
    row = azure.state.resources["main"]
    headers = {"api-key": row.key, "Content-Type": "application/sdp"}
    path = "/openai/v1/realtime/calls?model="
    assert post(azure, path + "gpt-realtime", content=OFFER, headers=headers).status_code == 201
    assert post(azure, path + "nothing", content=OFFER, headers=headers).status_code == 404
    assert post(azure, path + "gpt-realtime", content="no offer", headers=headers).status_code == 400
    assert post(azure, path + "gpt-realtime", content=OFFER, headers={}).status_code == 401


def test_incoming_call_is_accepted_and_referred(client: openai.OpenAI) -> None:
    client.realtime.calls.accept("rtc_incoming1", type="realtime", model="gpt-realtime")
    client.realtime.calls.refer("rtc_incoming1", target_uri="tel:+14155550123")
    client.realtime.calls.reject("rtc_incoming2", status_code=486)
    with pytest.raises(openai.BadRequestError):
        client.realtime.calls.reject("rtc_incoming2", status_code=200)


@pytest.mark.parametrize(
    ("session", "status"),
    [
        (None, 400),
        ({"model": "gpt-realtime"}, 400),
        ({"type": "opera"}, 400),
        ({"type": "realtime", "model": "gpt-4o"}, 400),
        ({"type": "realtime", "model": "nothing"}, 404),
    ],
)
def test_bad_sessions_are_refused(azure: FakeAzure, session: Any, status: int) -> None:
    answer = post(azure, "/openai/v1/realtime/client_secrets", json={"session": session})
    assert answer.status_code == status


def test_older_session_routes(azure: FakeAzure) -> None:
    dated = "?api-version=2025-04-01-preview"
    for path in ("/openai/v1/realtime/sessions", f"/openai/realtimeapi/sessions{dated}"):
        told = post(azure, path, json={"model": "gpt-realtime", "voice": "sage"}).json()
        assert told["client_secret"]["value"].startswith("ek_")
        assert (told["object"], told["voice"]) == ("realtime.session", "sage")
    body = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}}
    told = post(azure, "/openai/v1/realtime/transcription_sessions", json=body).json()
    assert told["client_secret"]["expires_at"] > 0
