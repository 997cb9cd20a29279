"""The body that goes up: the client's own, with only what has to change."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import pytest

from shared.errors import ApiError
from shared.transform.chat import chat_request
from tests.unit.given import NOTHING, deployment

HELLO = [{"role": "user", "content": "Hello"}]


def sent(given: dict[str, Any], *, ask_usage: bool = True, **how: Any) -> Any:
    body = MappingProxyType({"model": "alias", "messages": HELLO, **given})
    return orjson.loads(chat_request(body, deployment(**how), ask_usage=ask_usage))


def test_request_names_the_deployment_and_keeps_what_it_does_not_know() -> None:
    given = {"top_k": 3, "data_sources": [{"a": None}], "nested": {"api_key": "the client's own"}}
    assert sent(given) == {"model": "dep-1", "messages": HELLO, **given}


def test_request_leaves_the_clients_body_as_it_was() -> None:
    body: dict[str, Any] = {"model": "alias", "messages": [{"role": "developer", "content": "x"}], "max_tokens": 3}
    before = orjson.dumps(body)
    chat_request(body, deployment("o1-mini"))
    assert orjson.dumps(body) == before


class Options(NamedTuple):
    id: str
    given: dict[str, Any]
    expect: Any
    ask_usage: bool = True
    defaults: dict[str, Any] = NOTHING


ASKED = {"include_usage": True}
NONE = "no stream_options"


@pytest.mark.parametrize(
    "case",
    [
        Options("not streamed", {}, NONE),
        Options("streamed", {"stream": True}, ASKED),
        Options("streamed: false", {"stream": False}, NONE),
        Options("asked", {"stream": True, "stream_options": ASKED}, ASKED),
        Options("not wanted", {"stream": True, "stream_options": {"include_usage": False}}, ASKED),
        Options("null", {"stream": True, "stream_options": None}, ASKED),
        Options(
            "others survive",
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        Options("old api-version", {"stream": True}, NONE, ask_usage=False),
        Options("old api-version, asked", {"stream": True, "stream_options": ASKED}, NONE, ask_usage=False),
        Options("default, not streamed", {}, NONE, defaults={"stream_options": ASKED}),
        Options(
            "default, streamed",
            {"stream": True},
            {"include_obfuscation": False, "include_usage": True},
            defaults={"stream_options": {"include_obfuscation": False}},
        ),
    ],
    ids=lambda case: case.id,
)
def test_request_asks_for_usage_in_streams_alone(case: Options) -> None:
    found = sent(case.given, ask_usage=case.ask_usage, defaults=case.defaults)
    assert found.get("stream_options", NONE) == case.expect


def test_request_is_edited_for_the_family() -> None:
    assert sent({"max_tokens": 5, "temperature": 1}, family="gpt-5") == {
        "model": "dep-1",
        "messages": HELLO,
        "max_completion_tokens": 5,
    }
    with pytest.raises(ApiError, match="'stop' is not supported"):
        sent({"stop": "x"}, family="gpt-5")


def test_request_that_cannot_be_written_is_the_clients_fault() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ApiError, match="nested too deeply") as caught:
        sent({"deep": deep})
    assert (caught.value.status, caught.value.code) == (400, "too_deep")
