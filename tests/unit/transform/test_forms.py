"""Multipart calls: what becomes of text fields on their way, and what an upload's answer costs. The form is a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from starlette.types import Message

from shared.adapters.form import MultipartForm, open_form
from shared.errors import ApiError
from shared.transform import exchange
from shared.transform.exchange import Asked
from shared.transform.forms import FormExchange, parse_field
from shared.types import Usage
from tests.unit.given import deployment
from tests.unit.transform.calls import asked, read, wire
from tests.unit.transform.test_sound import wav

FILE = wav(2.5)


def form_of(*fields: tuple[str, str], file: bytes = FILE) -> MultipartForm:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields]
    parts.append(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + file + b"\r\n")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"".join(parts) + b"--b--\r\n", "more_body": False}

    return open_form(receive, "multipart/form-data; boundary=b", 10_000_000)


def call(endpoint: str, form: MultipartForm, known: dict[str, str] | None = None, **given: Any) -> Asked:
    """`known`: the fields before the file, by which it was decided where the call goes."""
    return asked(endpoint, known or {}, form=form, **given)


def fields_sent(plan: FormExchange, form: MultipartForm) -> list[tuple[str, str]]:
    """The text fields that the upstream gets. Raises ApiError."""

    async def work() -> bytes:
        (part,) = plan.parts(ask_usage=True)
        assert not isinstance(part.body, bytes)
        assert part.content_type.startswith("multipart/form-data; boundary=tollgate-")
        try:
            return b"".join([chunk async for chunk in part.body])
        finally:
            await form.discard()

    found: list[tuple[str, str]] = []
    for part in asyncio.run(work()).split(b"\r\n--")[:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        if b"filename" not in head:
            found.append((head.split(b'name="')[1].split(b'"')[0].decode(), value.decode()))
        else:
            assert value == FILE
    return found


def test_model_becomes_the_deployment_and_the_rest_passes() -> None:
    form = form_of(("model", "alias"), ("stream", "true"), ("prompt", "ü"), ("include[]", "logprobs"))
    plan = FormExchange(call("audio_transcriptions", form, {"model": "alias", "stream": "true"}))
    assert plan.stored is False
    assert fields_sent(plan, form) == [
        ("model", "dep-1"), ("stream", "true"), ("prompt", "ü"), ("include[]", "logprobs"),
    ]  # fmt: skip


def test_model_of_the_path_is_written_first() -> None:
    form = form_of(("prompt", "x"))
    assert fields_sent(FormExchange(call("audio_translations", form)), form) == [("model", "dep-1"), ("prompt", "x")]


@pytest.mark.parametrize(
    ("known", "name", "value"),
    [({}, "model", "alias"), ({"model": "alias"}, "model", "other"), ({"model": "alias"}, "stream", "true")],
    ids=["beside-the-path", "another", "stream-too-late"],
)
def test_field_that_contradicts_what_was_decided_ends_the_call(known: dict[str, str], name: str, value: str) -> None:
    form = form_of(*known.items(), (name, value))
    with pytest.raises(ApiError) as refused:
        fields_sent(FormExchange(call("audio_transcriptions", form, known)), form)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, name, "field_too_late")


def test_session_of_a_call_names_the_deployment() -> None:
    session = orjson.dumps({"type": "realtime", "model": "alias", "tools": []}).decode()
    form = form_of(("sdp", "v=0"), ("session", session))
    found = dict(fields_sent(FormExchange(call("realtime_calls", form, {"session": session})), form))
    assert orjson.loads(found["session"]) == {"type": "realtime", "model": "dep-1", "tools": []}
    assert found["sdp"] == "v=0"


def test_what_chooses_the_resource_is_not_passed_on() -> None:
    form = form_of(("purpose", "batch"), ("model", "alias"), ("custom_llm_provider", "azure"))
    assert fields_sent(FormExchange(call("files_create", form)), form) == [("purpose", "batch")]


def no_such(_: str) -> str:
    raise ApiError(404, "no such object")


def upper(public_id: str) -> str:
    return public_id.upper()


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("input_reference[file_id]", True), ("file_ids[]", True), ("file_ids[0]", True), ("video[id]", True),
        ("video_id", True), ("id", True), ("prompt", False), ("metadata[name]", False), ("seconds", False),
    ],
)  # fmt: skip
def test_ids_are_opened_wherever_a_form_holds_them(name: str, opened: bool) -> None:
    def sent(open_: Callable[[str], str]) -> list[tuple[str, str]]:
        form = form_of(("model", "alias"), (name, "some"))
        return fields_sent(FormExchange(call("videos_create", form, {"model": "alias"}, open=open_)), form)[1:]

    assert sent(upper) == [(name, "SOME" if opened else "some")]
    if opened:
        with pytest.raises(ApiError):
            sent(no_such)
    else:
        assert sent(no_such) == [(name, "some")]


def test_json_without_a_form_passes_as_any_other_body() -> None:
    plan = exchange(asked("images_edits", {"model": "alias", "prompt": "x"}, deployment(serves=("images",))))
    (part,) = plan.parts(ask_usage=True)
    assert part.content_type == "application/json"


@pytest.mark.parametrize("value", ["", "{", "[]", "5", '"x"', "null"])
def test_field_that_is_no_json_object(value: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_field(value, "session")
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "session", "invalid_json")


# What answers cost.


def usage_of(data: bytes, file: bytes = FILE) -> Usage:
    async def work() -> Usage:
        form = form_of(("model", "alias"), file=file)
        await form.fields()
        try:
            answer = FormExchange(call("audio_transcriptions", form, {"model": "alias"})).answer()
            assert answer.read(data) == data
            assert answer.ended
            return answer.usage_or_estimate()
        finally:
            await form.discard()

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        (b'{"text":"x","usage":{"type":"duration","seconds":3}}', Usage(audio_seconds=3)),
        (b'{"text":"x","duration":2.25}', Usage(audio_seconds=2.25)),
        (b'{"text":"x"}', Usage(audio_seconds=2.5, estimated=True)),
        (b"only words\n", Usage(audio_seconds=2.5, estimated=True)),
        (b"", Usage(audio_seconds=2.5, estimated=True)),
        (b"WEBVTT\n\n00:00:00.000 --> 00:00:02.250\nx\n", Usage(audio_seconds=2.25, estimated=True)),
        (b"1\n00:00:00,000 --> 00:00:02,125\nx\n", Usage(audio_seconds=2.125, estimated=True)),
    ],
)
def test_seconds_as_reported_else_as_the_answer_or_the_recording_tell(data: bytes, usage: Usage) -> None:
    assert usage_of(data) == usage


def test_recording_of_another_format_is_guessed_by_its_size() -> None:
    assert usage_of(b"only words", b"ID3" + bytes(31_997)) == Usage(audio_seconds=2, estimated=True)
    assert usage_of(b"only words", b"") == Usage(estimated=True)


def test_answer_that_is_broken_is_no_answer() -> None:
    with pytest.raises(ApiError) as broken:
        usage_of(b'{"text":')
    assert broken.value.status == 502


def test_streamed_transcription() -> None:
    usage = {"type": "tokens", "input_tokens": 9, "output_tokens": 2, "input_token_details": {"audio_tokens": 8}}
    delta = {"type": "transcript.text.delta", "delta": "hi"}
    done = {"type": "transcript.text.done", "text": "hi", "usage": usage}
    stream = FormExchange(call("audio_transcriptions", form_of(("stream", "true")), {"stream": "true"})).stream()
    assert read(stream.feed(wire(delta, done))) == [delta, done]
    assert (stream.done, stream.usage_or_estimate()) == (True, Usage(9, 2, audio_input_tokens=8))
