"""Each kind of fault once, as a client on a real socket meets it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from tests.support.tls import NO_TLS

PATH = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
TEXT = "count to 9"


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.wait_idle()
    azure.clear()


@pytest.fixture
def http(azure: FakeAzure) -> Iterator[httpx.Client]:
    row = azure.state.resources["main"]
    with httpx.Client(base_url=row.url, headers={"api-key": row.key}, timeout=5, verify=NO_TLS) as client:
        yield client


def body(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": TEXT}], **more}


def pieces(http: httpx.Client) -> tuple[bytes, Exception | None]:
    """What arrives of a stream, and how it ends."""
    arrived = b""
    try:
        with http.stream("POST", PATH, json=body(stream=True)) as answer:
            for piece in answer.iter_raw():
                arrived += piece
    except httpx.TransportError as error:
        return arrived, error
    return arrived, None


def frames(arrived: bytes) -> list[bytes]:
    return [frame for frame in arrived.split(b"\n\n") if frame]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 429, 500, 502, 503, 504])
def test_status_has_azures_wording(azure: FakeAzure, http: httpx.Client, status: int) -> None:
    azure.add_fault("status", status=status)
    answer = http.post(PATH, json=body())
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert http.post(PATH, json=body()).status_code == 200


def test_status_takes_body_headers_and_times(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("status", status=418, body={"a": 1}, headers={"X-Why": "tea"}, times=2)
    for _ in range(2):
        answer = http.post(PATH, json=body())
        assert (answer.status_code, answer.json(), answer.headers["x-why"]) == (418, {"a": 1}, "tea")
    assert http.post(PATH, json=body()).status_code == 200
    azure.add_fault("status", status=500, body="plain", headers={"Content-Type": "text/plain"}, times=-1)
    for _ in range(3):
        assert http.post(PATH, json=body()).text == "plain"


def test_status_429_says_when_to_come_back(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("status", status=429, retry_after=17, retry_after_ms=16_500, x_ms_retry_after_ms=16_400)
    answer = http.post(PATH, json=body())
    assert "retry after 17 seconds" in answer.json()["error"]["message"]
    names = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms")
    assert [answer.headers[name] for name in names] == ["17", "16500", "16400"]


def test_fault_waits_for_its_resource_and_deployment(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("status", status=500, resource="second")
    azure.add_fault("status", status=502, deployment="gpt-4.1-mini")
    azure.add_fault("status", status=503)
    assert http.post(PATH, json=body()).status_code == 503
    assert http.post(PATH, json=body()).status_code == 200
    assert http.post(PATH.replace("gpt-4o", "gpt-4.1-mini"), json=body()).status_code == 502
    row = azure.state.resources["second"]
    assert httpx.post(row.url + PATH, json=body(), headers={"api-key": row.key}).status_code == 500


def test_content_filter(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("content_filter")
    assert http.post(PATH, json=body()).json()["error"]["code"] == "content_filter"


def test_foundry_429_keeps_the_broken_milliseconds(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("foundry_429")
    answer = http.post(PATH, json=body())
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (429, "1", "0")


@pytest.mark.parametrize("stream", [False, True])
def test_slow_first_byte_delays_the_headers(azure: FakeAzure, http: httpx.Client, stream: bool) -> None:
    azure.add_fault("slow_first_byte", seconds=0.15)
    start = time.monotonic()
    with http.stream("POST", PATH, json=body(stream=stream)) as answer:
        assert time.monotonic() - start >= 0.15
        answer.read()


@pytest.mark.parametrize("stream", [False, True])
def test_headers_come_before_a_silence(azure: FakeAzure, http: httpx.Client, stream: bool) -> None:
    azure.add_fault("slow_headers_then_silence", seconds=0.5)
    start = time.monotonic()
    with http.stream("POST", PATH, json=body(stream=stream)) as answer:
        assert time.monotonic() - start < 0.45
        answer.read()
    assert time.monotonic() - start >= 0.5


def test_slow_chunks(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("slow_chunks", seconds=0.01)
    start = time.monotonic()
    arrived, error = pieces(http)
    assert error is None
    assert time.monotonic() - start >= 0.01 * (len(frames(arrived)) - 1)


@pytest.mark.parametrize("stream", [False, True])
def test_pause_in_the_middle(azure: FakeAzure, http: httpx.Client, stream: bool) -> None:
    azure.add_fault("pause", after=4, seconds=0.5)
    start = time.monotonic()
    early = b""
    with http.stream("POST", PATH, json=body(stream=stream)) as answer:
        for piece in answer.iter_raw():
            if time.monotonic() - start < 0.45:
                early += piece
    assert time.monotonic() - start >= 0.5
    if stream:
        assert len(frames(early)) == 4


def test_cut_drops_the_connection_inside_a_chunk(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("cut", after=4)
    arrived, error = pieces(http)
    assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    assert len(frames(arrived)) == 5
    with pytest.raises(json.JSONDecodeError):
        json.loads(frames(arrived)[-1].removeprefix(b"data: "))
    azure.add_fault("cut")
    with pytest.raises(httpx.TransportError):
        http.post(PATH, json=body())
    azure.wait_idle()
    assert [(r.completed, r.closed_early) for r in azure.requests] == [(False, False)] * 2


def test_clean_cut_ends_without_an_end(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("clean_cut", after=4)
    arrived, error = pieces(http)
    assert error is None
    assert len(frames(arrived)) == 4
    azure.add_fault("clean_cut", after=1_000)
    arrived, error = pieces(http)
    assert b'"finish_reason":"' not in arrived
    assert b"[DONE]" not in arrived
    azure.add_fault("clean_cut")
    with pytest.raises(json.JSONDecodeError):
        http.post(PATH, json=body()).json()


def test_malformed_event_and_then_on(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("malformed", after=3)
    arrived, _ = pieces(http)
    broken: list[int] = []
    for place, frame in enumerate(frames(arrived)[:-1]):
        try:
            json.loads(frame.removeprefix(b"data: "))
        except json.JSONDecodeError:
            broken.append(place)
    assert broken == [3]
    assert frames(arrived)[-1] == b"data: [DONE]"


@pytest.mark.parametrize("after", [0, 3])
def test_error_event_is_the_last(azure: FakeAzure, http: httpx.Client, after: int) -> None:
    azure.add_fault("error_event", after=after)
    arrived, error = pieces(http)
    assert error is None
    assert len(frames(arrived)) == after + 1
    assert json.loads(frames(arrived)[-1].removeprefix(b"data: "))["error"]["type"] == "server_error"
    azure.add_fault("error_event", after=after)
    assert http.post(PATH, json=body()).status_code == 500


def test_reset_before_any_byte(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("reset")
    with pytest.raises(httpx.ReadError, match="reset"):
        http.post(PATH, json=body())


@pytest.mark.parametrize("stream", [False, True])
def test_empty_body(azure: FakeAzure, http: httpx.Client, stream: bool) -> None:
    azure.add_fault("empty_body")
    answer = http.post(PATH, json=body(stream=stream))
    assert (answer.status_code, answer.content) == (200, b"")


def test_html_page_names_hosts_that_nobody_should_see(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("html")
    answer = http.post(PATH, json=body())
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert "internal.cloudapp.net" in answer.text


def test_no_usage(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("no_usage", times=2)
    assert "usage" not in http.post(PATH, json=body()).json()
    answer = http.post(PATH, json=body(stream=True, stream_options={"include_usage": True}))
    assert '"usage":{' not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_reject_stream_options(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("reject_stream_options", times=2)
    answer = http.post(PATH, json=body(stream=True, stream_options={"include_usage": True}))
    assert answer.json()["error"]["message"] == "Unrecognized request argument supplied: stream_options"
    assert http.post(PATH, json=body(stream=True)).status_code == 200


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_split_cuts_anywhere_and_loses_nothing(azure: FakeAzure, http: httpx.Client, size: int) -> None:
    azure.add_fault("split", size=size)
    with http.stream("POST", PATH, json={**body(), "stream": True, "seed": 1}) as answer:
        arrived = [piece for piece in answer.iter_raw()]
    assert max(map(len, arrived)) <= size
    assert b"".join(arrived).endswith(b"data: [DONE]\n\n")


def test_crlf_line_ends(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("crlf")
    arrived, _ = pieces(http)
    assert arrived.count(b"\r\n\r\n") == arrived.count(b"\n") / 2
    assert arrived.endswith(b"data: [DONE]\r\n\r\n")


def test_faults_combine_with_framing(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("cut", after=3, size=5, crlf=True)
    arrived, error = pieces(http)
    assert error is not None
    assert arrived.count(b"\r\n\r\n") == 3


def test_models_list_meets_faults_too(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("status", status=503)
    assert http.get("/openai/models?api-version=2024-10-21").status_code == 503


@pytest.mark.parametrize("given", [{"kind": "nothing"}, {"kind": "cut", "wrong": 1}, {"kind": "cut", "times": 0}])
def test_fault_that_means_nothing_is_refused(azure: FakeAzure, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown fault|times must be"):
        azure.add_fault(**given)


@pytest.mark.parametrize("fault", [None, {"kind": "slow_chunks", "seconds": 5}, {"kind": "pause", "seconds": 5}])
def test_client_that_leaves_a_stream_is_noticed(
    azure: FakeAzure, http: httpx.Client, fault: dict[str, Any] | None
) -> None:
    if fault:
        azure.add_fault(**fault)
    request = {"messages": [{"role": "user", "content": "long 200000"}], "stream": True}
    with http.stream("POST", PATH, json=request) as answer:
        pieces = answer.iter_raw()  # kept: httpx closes the connection with it
        next(pieces)
        record = azure.requests[-1]
        assert (record.status, record.completed, record.closed_early) == (200, False, False)
    assert azure.wait_idle()
    assert (record.completed, record.closed_early) == (False, True)


def test_client_that_gives_up_waiting_is_noticed(azure: FakeAzure, http: httpx.Client) -> None:
    azure.add_fault("slow_first_byte", seconds=5)
    with pytest.raises(httpx.ReadTimeout):
        http.post(PATH, json=body(), timeout=0.1)
    assert azure.wait_idle()
    assert azure.requests[-1].closed_early


def test_client_that_leaves_after_the_last_event_is_no_early_end(azure: FakeAzure, http: httpx.Client) -> None:
    for _ in range(20):
        with http.stream("POST", PATH, json=body(stream=True)) as answer:
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    break
    assert azure.wait_idle()
    assert all(record.completed and not record.closed_early for record in azure.requests)
