"""Bodies and answers that pass in the client's own language: what is changed in them, and what is not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.errors import ApiError
from shared.transform.relayed import PassedStream, RelayedExchange, dump, parse, set_model
from shared.types import Usage
from tests.unit.given import deployment
from tests.unit.transform.calls import Json, asked, read, sent, wire

RESPONSE: Json = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "dep-1", "error": None,
    "output": [{"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "12345678"}]}],
    "usage": {"input_tokens": 3, "output_tokens": 2}, "metadata": {"id": "mine"},
}  # fmt: skip


def body(endpoint: str, given: Json, **options: Any) -> Any:
    before = orjson.dumps(given)
    (part,) = RelayedExchange(asked(endpoint, given, **options)).parts(ask_usage=True)
    assert orjson.dumps(given) == before
    return sent(part)


def answered(endpoint: str, value: Json, given: Json | None = None, **options: Any) -> tuple[Any, Any]:
    answer = RelayedExchange(asked(endpoint, given, **options)).answer()
    return orjson.loads(answer.read(orjson.dumps(value))), answer


def test_deployment_stands_where_the_model_stood() -> None:
    assert body("responses_create", {"model": "alias", "input": "hi", "new": {"x": 1}}) == {
        "model": "dep-1", "input": "hi", "new": {"x": 1},
    }  # fmt: skip
    session: Json = {"session": {"model": "alias", "type": "realtime"}, "expires_after": {}}
    assert body("realtime_client_secrets", session)["session"] == {"model": "dep-1", "type": "realtime"}
    target: Json = {}
    set_model(target, ("session", "model"), "dep-1")
    assert target == {"session": {"model": "dep-1"}}


def test_usage_of_a_stream_of_completions_is_always_asked_for() -> None:
    given: Json = {"model": "alias", "prompt": [1, 2], "stream": True, "stream_options": {"include_obfuscation": False}}
    assert body("completions", given)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    (part,) = RelayedExchange(asked("completions", given)).parts(ask_usage=False)
    assert sent(part)["stream_options"] == given["stream_options"]
    assert "stream_options" not in body("completions", {"prompt": "hi"})
    assert "stream_options" not in body("responses_create", {"input": "hi", "stream": True})


def test_what_is_configured_is_kept() -> None:
    small = deployment(defaults={"dimensions": 4, "user": "gateway"}, dropped=["encoding_format"])
    given: Json = {"input": "hi", "user": "me", "encoding_format": "float"}
    assert body("embeddings", given, on=small) == {"model": "dep-1", "input": "hi", "user": "me", "dimensions": 4}
    chat = deployment(
        defaults={"max_tokens": 9, "reasoning_effort": "low", "verbosity": "low", "stop": ["x"], "top_p": 1}
    )
    assert body("responses_create", {"input": "hi", "reasoning": {"summary": "auto"}, "top_p": 0.5}, on=chat) == {
        "model": "dep-1", "input": "hi", "max_output_tokens": 9, "top_p": 0.5, "text": {"verbosity": "low"},
        "reasoning": {"summary": "auto", "effort": "low"},
    }  # fmt: skip
    assert body("responses_input_tokens", {"input": "hi"}, on=chat) == {"model": "dep-1", "input": "hi"}


def test_answer_names_the_alias_and_its_ids_are_sealed() -> None:
    out, answer = answered("responses_create", RESPONSE)
    assert (out["model"], out["id"], out["output"][0]["id"]) == ("alias", "sealed-resp_1", "sealed-msg_1")
    assert out["metadata"] == {"id": "mine"}
    assert (answer.usage_or_estimate(), answer.model, answer.ended) == (Usage(3, 2), "dep-1", True)
    assert answer.said["id"] == "resp_1"
    text, _ = answered("completions", {"id": "cmpl-1", "choices": [], "model": "dep-1"})
    assert (text["id"], text["model"]) == ("cmpl-1", "alias")


def test_why_a_response_failed_is_told_without_names() -> None:
    error = {"code": "server_error", "message": "dep-1 at https://res.openai.azure.com/openai failed, 10.0.0.1:80"}
    out, _ = answered("responses_create", {**RESPONSE, "status": "failed", "error": error})
    assert out["error"] == {"code": "server_error", "message": "alias at [hidden] failed, [hidden]"}
    names = {"other-alias": "other-dep"}
    out, _ = answered("responses_retrieve", {**RESPONSE, "error": {"message": "other-dep failed"}}, names=names)
    assert out["error"]["message"] == "other-alias failed"


@pytest.mark.parametrize(
    ("endpoint", "status", "expect"),
    [
        ("responses_create", "completed", Usage(1, 2, estimated=True)),
        ("responses_create", "queued", Usage()),
        ("responses_create", "in_progress", Usage()),
        ("responses_input_tokens", None, Usage()),
        ("responses_retrieve", "completed", Usage()),
    ],
)
def test_answer_without_usage(endpoint: str, status: str | None, expect: Usage) -> None:
    silent = {k: v for k, v in RESPONSE.items() if k != "usage"} | {"status": status}
    _, answer = answered(endpoint, silent, {"input": "1234"})
    assert answer.usage_or_estimate() == expect


def test_what_is_kept_was_paid_for_unless_it_is_charged() -> None:
    _, answer = answered("responses_retrieve", RESPONSE)
    assert answer.usage_or_estimate() == Usage()
    answer.charge(Usage(3, 2))
    assert answer.usage_or_estimate() == Usage(3, 2)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"null", b'"x"'])
def test_what_is_no_answer(data: bytes) -> None:
    answer = RelayedExchange(asked("responses_create")).answer()
    with pytest.raises(ApiError) as refused:
        answer.read(data)
    assert (refused.value.status, refused.value.code, answer.ended) == (502, "upstream_bad_response", False)
    with pytest.raises(ApiError):
        parse(data)


@pytest.mark.parametrize("data", [b"", b" \r\n"])
def test_answer_without_content(data: bytes) -> None:
    answer = RelayedExchange(asked("responses_delete")).answer()
    assert (answer.read(data), answer.ended, answer.usage_or_estimate()) == (b"", True, Usage())


def test_body_that_no_parser_would_take_back() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ApiError) as refused:
        dump({"x": deep})
    assert (refused.value.status, refused.value.code) == (400, "too_deep")


def test_stream_of_completions_begins_with_a_choice() -> None:
    """Azure's first event has only the verdict on the prompt: it goes with the next."""
    verdict = {"prompt_filter_results": [{"prompt_index": 0}]}
    said = {"id": "cmpl-1", "model": "dep-1", "choices": [{"text": "a", "finish_reason": None}]}
    stream = RelayedExchange(asked("completions", {"stream": True})).stream()
    assert stream.feed(wire({"id": "", "model": "", "choices": [], **verdict})) == b""
    assert read(stream.feed(wire(said, said))) == [{**said, "model": "alias", **verdict}, {**said, "model": "alias"}]


def test_stream_of_a_kept_response_costs_nothing() -> None:
    stream = RelayedExchange(asked("responses_retrieve")).stream()
    (event,) = read(stream.feed(wire({"type": "response.completed", "response": RESPONSE})))
    assert event["response"]["id"] == "sealed-resp_1"
    assert (stream.done, stream.usage_or_estimate()) == (True, Usage())


def test_file_passes_as_it_is_and_ends_with_its_connection() -> None:
    class Louder:
        def feed(self, chunk: bytes) -> bytes:
            return chunk.upper()

        def end(self) -> bytes:
            return b"!"

    plain = PassedStream(asked("audio_speech", {"input": "12345"}))
    assert (plain.feed(b"\x00a"), plain.ended, plain.unchanged) == (b"\x00a", False, True)
    assert (plain.end(), plain.ended, plain.usage_or_estimate()) == (b"", True, Usage(characters=5))
    changed = PassedStream(asked("files_content"), Louder())
    assert (changed.feed(b"a"), changed.end(), changed.unchanged) == (b"A", b"!", False)
