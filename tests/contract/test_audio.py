"""Speech, transcriptions and translations by the OpenAI SDK: every format, streams, uploads of every kind.

Each test also looks at what was sent upstream, and at the usage record.
"""

# pyright: reportDeprecated=false

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.sound import CONTENT_TYPES, spoken, wav
from tests.support.leaks import assert_nothing_leaks
from tests.support.memory import resident
from tests.support.raw import RawClient
from tests.support.stack import Key, Stack, last_upstream, upstream_calls, wait_for_upstream

SAID = "All that is gold does not glitter."
SECONDS = 2.5
WAV = wav(bytes(int(24_000 * 2 * SECONDS)))
MP3 = spoken(SAID, "alloy")
BOUNDARY = "of-the-client"
MB = 1024 * 1024


def part(name: str, value: bytes, filename: str = "", kind: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename else ""
    return (head + (f"\r\nContent-Type: {kind}" if kind else "") + "\r\n\r\n").encode() + value + b"\r\n"


def sent_as_form(stack: Stack, key: Key, *parts: bytes, path: str = "audio/transcriptions") -> httpx.Response:
    headers = {**key.bearer, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return stack.http.post(f"/v1/{path}", content=b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), headers=headers)


# Speech.


@pytest.mark.parametrize("alias", ["tts", "tts-v1"])
@pytest.mark.parametrize("kind", list(CONTENT_TYPES))
def test_speech_in_every_format(stack: Stack, key: Key, fake: FakeAzure, alias: str, kind: Any) -> None:
    with stack.openai(key) as client:
        answer = client.audio.speech.create(model=alias, input=SAID, voice="coral", response_format=kind)
    assert answer.content == spoken(SAID, "coral", kind)
    assert answer.response.headers["content-type"] == CONTENT_TYPES[kind]
    assert last_upstream(fake).body["model"] == {"tts": "gpt-4o-mini-tts", "tts-v1": "tts-1"}[alias]
    (event,) = stack.usage(key, 1)
    assert (event["endpoint"], event["characters"], event["estimated"]) == ("audio_speech", len(SAID), False)
    assert event["outcome"] == "ok"


def test_speech_is_passed_on_as_it_arrives(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("slow_chunks", seconds=0.05)
    create: dict[str, Any] = {"model": "tts", "input": SAID, "voice": "alloy", "instructions": "Whisper."}
    with stack.openai(key) as client, client.audio.speech.with_streaming_response.create(**create) as answer:
        pieces = answer.iter_bytes(1)
        first = next(pieces)
        assert not last_upstream(fake).completed
        assert first + b"".join(pieces) == spoken(SAID, "alloy")
    (event,) = stack.usage(key, 1)
    assert event["first_token_ms"] is not None


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_speech_that_breaks_off_is_never_a_short_file(stack: Stack, key: Key, fake: FakeAzure, fault: str) -> None:
    fake.add_fault(fault, after=4)
    with stack.openai(key) as client, pytest.raises((httpx.RemoteProtocolError, openai.APIError)) as caught:
        client.audio.speech.create(model="tts", input=SAID, voice="alloy")
    (event,) = stack.usage(key, 1)
    if fault == "cut":  # bytes had been sent: only the connection can tell
        assert not isinstance(caught.value, openai.APIStatusError)
        assert (event["outcome"], event["status"], event["characters"]) == ("upstream_cut", 200, len(SAID))
    else:
        assert isinstance(caught.value, openai.InternalServerError)
        assert (event["outcome"], event["status"]) == ("upstream_error", 502)


def test_speech_as_events(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = {"model": "tts", "input": SAID, "voice": "alloy", "stream_format": "sse"}
    with stack.http.stream("POST", "/v1/audio/speech", json=body, headers=key.bearer) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        text = reply.read().decode()
    events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    assert events[-1]["type"] == "speech.audio.done"
    assert b"".join(base64.b64decode(e["audio"]) for e in events[:-1]) == spoken(SAID, "alloy")
    (event,) = stack.usage(key, 1)
    usage = events[-1]["usage"]
    assert (event["stream"], event["characters"]) == (True, len(SAID))
    assert (event["input_tokens"], event["output_tokens"]) == (usage["input_tokens"], usage["output_tokens"])


def test_speech_by_the_azure_client(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.azure_openai(key) as client:
        assert client.audio.speech.create(model="tts", input=SAID, voice="alloy").content == MP3
    assert stack.usage(key, 1)[0]["characters"] == len(SAID)


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"input": None}, "input"),
        ({"voice": None}, "voice"),
        ({"model": None}, "model"),
        ({"input": 5}, "input"),
        ({"voice": 5}, "voice"),
        ({"speed": "fast"}, "speed"),
        ({"response_format": "midi"}, "response_format"),
    ],
)
def test_bad_speech(stack: Stack, key: Key, fake: FakeAzure, changed: Any, param: str) -> None:
    reply = stack.post(key, {"model": "tts", "input": SAID, "voice": "alloy", **changed}, "/v1/audio/speech")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert not upstream_calls(fake)


# Transcriptions.


@pytest.mark.parametrize(
    ("wanted", "milliseconds", "estimated"),
    [("json", 3_000, False), ("verbose_json", 3_000, False), ("text", 2_500, True), ("srt", 2_500, True),
     ("vtt", 2_500, True)],
)  # fmt: skip
def test_transcription_by_whisper(
    stack: Stack, key: Key, fake: FakeAzure, wanted: Any, milliseconds: int, estimated: bool
) -> None:
    given: dict[str, Any] = {"model": "whisper", "response_format": wanted, "language": "en", "temperature": 0.5}
    if wanted == "verbose_json":
        given["timestamp_granularities"] = ["word", "segment"]
    with stack.openai(key) as client:
        reply = client.audio.transcriptions.with_raw_response.create(file=("a.wav", WAV), **given)
    direct = reply.text
    assert f"Heard a.wav: {len(WAV)} bytes" in direct.replace("\n", " ") or wanted in ("srt", "vtt")
    assert reply.headers["content-type"].partition(";")[0] == ("application/json" if "json" in wanted else "text/plain")
    assert direct.startswith({"srt": "1\n00:00", "vtt": "WEBVTT", "text": "Heard"}.get(wanted, "{"))
    assert last_upstream(fake).path == "/openai/deployments/whisper/audio/transcriptions"
    (event,) = stack.usage(key, 1)
    assert (event["audio_ms"], event["estimated"]) == (milliseconds, estimated)
    assert event["endpoint"] == "audio_transcriptions"


def test_transcription_by_gpt_counts_tokens(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        answer = client.audio.transcriptions.create(
            model="transcribe", file=("a.wav", WAV), prompt="Tolkien", include=["logprobs"]
        )
    assert answer.text.endswith("[prompt: Tolkien]")
    assert answer.logprobs
    (event,) = stack.usage(key, 1)
    assert answer.usage
    assert answer.usage.type == "tokens"
    assert (event["audio_input_tokens"], event["input_tokens"]) == (25, answer.usage.input_tokens)
    assert (event["output_tokens"] > 0, event["estimated"]) == (True, False)


def test_transcription_as_a_stream(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        events = list(client.audio.transcriptions.create(model="transcribe", file=("a.wav", WAV), stream=True))
    text = "".join(e.delta for e in events if e.type == "transcript.text.delta")
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == text
    (event,) = stack.usage(key, 1)
    assert (event["stream"], event["audio_input_tokens"], event["estimated"]) == (True, 25, False)
    fake.add_fault("cut", after=2)
    with stack.openai(key) as client, pytest.raises(openai.APIError) as caught:
        list(client.audio.transcriptions.create(model="transcribe", file=("a.wav", WAV), stream=True))
    assert caught.value.code == "upstream_disconnected"
    assert stack.usage(key, 2)[1]["outcome"] == "upstream_cut"


@pytest.mark.parametrize("wanted", ["json", "text"])
def test_model_that_does_not_stream_answers_whole(stack: Stack, key: Key, wanted: str) -> None:
    """whisper overhears `stream`, as OpenAI documents."""
    data = {"model": "whisper", "stream": "true", "response_format": wanted}
    reply = stack.http.post("/v1/audio/transcriptions", data=data, files={"file": ("a.wav", WAV)}, headers=key.bearer)
    assert reply.status_code == 200, reply.text
    assert "Heard a.wav" in reply.text
    assert stack.usage(key, 1)[0]["outcome"] == "ok"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK's word on translations
@pytest.mark.parametrize("wanted", ["json", "verbose_json", "text", "srt", "vtt"])
def test_translation(stack: Stack, key: Key, fake: FakeAzure, wanted: Any) -> None:
    with stack.openai(key) as client:
        answer: Any = client.audio.translations.create(model="whisper", file=("a.wav", WAV), response_format=wanted)
    assert "Translated" in (answer if isinstance(answer, str) else answer.text)
    (event,) = stack.usage(key, 1)
    assert (event["endpoint"], event["audio_ms"]) == ("audio_translations", 2_500)
    assert event["estimated"] == (wanted != "verbose_json")


def test_length_of_what_nobody_reports_is_guessed_by_its_size(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        client.audio.transcriptions.create(model="whisper", file=("a.mp3", MP3), response_format="text")
    (event,) = stack.usage(key, 1)
    assert (event["audio_ms"], event["estimated"]) == (round(len(MP3) / 16), True)


# Forms.


def test_what_the_client_says_of_a_file_goes_along(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        client.audio.transcriptions.create(model="whisper", file=('Ä "b".wav', WAV, "audio/x-wav"))
    sent = last_upstream(fake).raw
    assert b"Content-Type: audio/x-wav" in sent
    assert 'filename="Ä %22b%22.wav"'.encode() in sent  # quotes as the client's library writes them
    assert WAV in sent
    assert BOUNDARY.encode() not in sent


def test_model_after_the_file(stack: Stack, key: Key, fake: FakeAzure) -> None:
    reply = sent_as_form(stack, key, part("file", WAV, "a.wav"), part("model", b"whisper"))
    assert reply.status_code == 200, reply.text
    sent = last_upstream(fake)
    assert b"whisper" in sent.raw
    assert sent.headers["content-length"] == str(len(sent.raw))  # all of it is known by then
    assert stack.usage(key, 1)[0]["audio_ms"] == 3_000


def test_file_after_the_model_is_passed_on_while_it_arrives(stack: Stack, key: Key, fake: FakeAzure) -> None:
    body = part("model", b"whisper") + part("file", WAV, "a.wav") + f"--{BOUNDARY}--\r\n".encode()
    with RawClient(stack) as client:
        head = client.head(key, len(body), "/v1/audio/transcriptions").replace(
            b"application/json", f"multipart/form-data; boundary={BOUNDARY}".encode()
        )
        client.send(head + body[:50_000])
        sent = wait_for_upstream(fake, lambda record: record.path.endswith("transcriptions"))
        assert sent.status is None
        client.send(body[50_000:])
        assert b"Heard a.wav" in client.read_until(b"}")
    assert sent.headers["transfer-encoding"] == "chunked"
    assert WAV in sent.raw
    assert stack.usage(key, 1)[0]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("late", "param"),
    [(part("model", b"transcribe"), "model"), (part("stream", b"true"), "stream"),
     (part("model", b"whisper", "m.txt"), "model"), (part("nothing", WAV, "b.wav"), "nothing"),
     (part("file", b"text"), "file")],
    ids=["model", "stream", "model-as-file", "file-under-another-name", "file-as-text"],
)  # fmt: skip
def test_field_that_contradicts_what_was_decided(
    stack: Stack, key: Key, fake: FakeAzure, late: bytes, param: str
) -> None:
    reply = sent_as_form(stack, key, part("model", b"whisper"), part("file", WAV, "a.wav"), late)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert_nothing_leaks(fake, reply)
    assert not any(call.completed for call in upstream_calls(fake))
    assert stack.usage(key, 1)[0]["status"] == 400


@pytest.mark.parametrize(
    ("parts", "param", "code"),
    [
        ([part("model", b"whisper")], "file", "missing_required_parameter"),
        ([part("file", WAV, "a.wav")], "model", "missing_required_parameter"),
        ([part("model", b"whisper"), part("response_format", b"mp3"), part("file", WAV, "a.wav")],
         "response_format", "invalid_value"),
        ([part("model", b"nothing"), part("file", WAV, "a.wav")], "model", "model_not_found"),
        ([part("model", b"tts"), part("file", WAV, "a.wav")], "model", "unsupported_operation"),
    ],
    ids=["no-file", "no-model", "format", "unknown-model", "wrong-kind-of-model"],
)  # fmt: skip
def test_bad_transcription(stack: Stack, key: Key, fake: FakeAzure, parts: Any, param: str, code: str) -> None:
    for path in ("audio/transcriptions", "audio/translations"):
        reply = sent_as_form(stack, key, *parts, path=path)
        error = reply.json()["error"]
        assert (error["param"], error["code"]) == (param, code), reply.text
        assert reply.status_code == (404 if code == "model_not_found" else 400)
    assert not upstream_calls(fake)


def test_broken_and_foreign_bodies(stack: Stack, key: Key, fake: FakeAzure) -> None:
    path, form = "/v1/audio/transcriptions", f"multipart/form-data; boundary={BOUNDARY}"

    def answer(content: Any, kind: str, **headers: str) -> tuple[int, str]:
        reply = stack.http.post(path, content=content, headers={**key.bearer, "content-type": kind, **headers})
        return reply.status_code, reply.json()["error"]["code"]

    assert answer(b"{}", "application/json") == (415, "unsupported_media_type")
    assert answer(b"x", "multipart/form-data") == (400, "invalid_multipart")
    assert answer(b"rubbish", form) == (400, "invalid_multipart")
    cut = part("model", b"whisper") + part("file", WAV, "a.wav")[:-50]
    assert answer(cut, form) == (400, "invalid_multipart")
    assert not any(call.completed for call in upstream_calls(fake))
    size = str(101 * MB)
    with RawClient(stack) as client:  # refused by what it announces, before any of it is read
        client.send(client.head(key, int(size), path).replace(b"application/json", form.encode()))
        assert " 413 " in client.read_head().split("\r\n")[0]
    assert {e["status"] for e in stack.usage(key, 2)} == {400}


def test_upstream_error_keeps_its_words(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="whisper", file=("a.txt", b"no sound"))
    assert caught.value.param == "file"
    assert "Invalid file format" in caught.value.message
    assert_nothing_leaks(fake, caught.value.response)


@pytest.mark.parametrize("model_first", [True, False], ids=["streamed", "spooled"])
def test_upload_is_sent_again_to_the_next_deployment(
    stack: Stack, key: Key, fake: FakeAzure, model_first: bool
) -> None:
    fake.add_fault("status", resource="main", status=429, retry_after=1)
    parts = [part("model", b"whisper-two"), part("file", WAV, "a.wav")]
    reply = sent_as_form(stack, key, *(parts if model_first else parts[::-1]))
    assert reply.status_code == 200, reply.text
    first, second = upstream_calls(fake)
    assert (first.resource, first.status, second.resource) == ("main", 429, "second")
    assert WAV in second.raw
    assert second.raw.count(b"form-data") == 2
    (event,) = stack.usage(key, 1)
    assert (event["attempts"], event["audio_ms"]) == (2, 3_000)


@pytest.mark.parametrize("model_first", [True, False], ids=["streamed", "spooled"])
def test_large_upload_is_never_held(stack_of_mode: Stack, fake: FakeAzure, model_first: bool) -> None:
    """60 MB, of which the fake refuses everything above 25 once it has all of it."""
    stack = stack_of_mode
    key, size = stack.key(), 60 * MB
    assert stack.post(key, {"model": "tts", "input": "x", "voice": "alloy"}, "/v1/audio/speech").status_code == 200
    most, done = [resident(stack.worker_pid)], threading.Event()
    before = most[0]

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], resident(stack.worker_pid))

    model = part("model", b"whisper")
    file = part("file", b"", "a.wav")[:-2]

    def body() -> Iterator[bytes]:
        yield model + file if model_first else file
        for _ in range(size // MB):
            yield bytes(MB)
        yield b"\r\n" + (b"" if model_first else model) + f"--{BOUNDARY}--\r\n".encode()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        headers = {**key.bearer, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        reply = stack.http.post("/v1/audio/transcriptions", content=body(), headers=headers)
    finally:
        done.set()
        watcher.join()
    assert reply.status_code == 413, reply.text
    assert "Maximum content size" in reply.json()["error"]["message"]
    assert len(last_upstream(fake).raw) > size
    assert most[0] - before < 20 * MB
