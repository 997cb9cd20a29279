"""What judges the translators: the types and the accumulators of the anthropic and openai SDKs themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from anthropic.lib.streaming._messages import accumulate_event  # pyright: ignore[reportPrivateImportUsage]
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParams, MessageCreateParamsNonStreaming
from openai.lib.streaming._deltas import accumulate_delta  # pyright: ignore[reportPrivateImportUsage]
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams, CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

type Json = dict[str, Any]

_MESSAGES_REQUEST: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
_CHAT_REQUEST: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)
_MESSAGES_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_OLDER = {"temperature", "top_p", "top_k", "stream"}
"""Fields of the Messages API that anthropic 2.12 has taken out of its types, since new models refuse them."""


def is_messages_request(body: Json) -> Json:
    assert set(body) <= set(MessageCreateParamsNonStreaming.__annotations__) | _OLDER, sorted(body)
    _exhaust(_MESSAGES_REQUEST.validate_python(body))
    assert orjson.loads(orjson.dumps(body)) == body
    return body


def is_chat_request(body: Json) -> Json:
    assert set(body) <= set(CompletionCreateParamsNonStreaming.__annotations__) | {"stream"}, sorted(body)
    _exhaust(_CHAT_REQUEST.validate_python(body))
    assert orjson.loads(orjson.dumps(body)) == body
    return body


def _exhaust(value: Any) -> None:
    """Pydantic judges an Iterable only when it is read."""
    if isinstance(value, Mapping):
        for held in cast("Mapping[str, Any]", value).values():
            _exhaust(held)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for held in cast("Iterable[Any]", value):
            _exhaust(held)


def is_message(answer: Json) -> Json:
    Message.model_validate(answer, strict=True)
    return answer


def is_chat(answer: Json) -> Json:
    ChatCompletion.model_validate(answer, strict=True)
    return answer


def is_text(answer: Json) -> Json:
    Completion.model_validate(answer, strict=True)
    return answer


def message_of(events: Iterable[Json]) -> Json:
    """What the anthropic SDK makes of a stream, once each event was found valid and its blocks in order."""
    message: Any = None
    buffers: dict[int, bytes] = {}
    opened: list[int] = []
    closed: list[int] = []
    for event in events:
        assert not buffers or message is not None
        checked = _MESSAGES_EVENT.validate_python(event)
        if event["type"] == "content_block_start":
            assert opened == closed, "a block begins only when the one before is closed"
            assert event["index"] == len(opened)
            opened.append(event["index"])
        elif event["type"] == "content_block_delta":
            assert event["index"] == opened[-1]
            assert len(closed) < len(opened)
        elif event["type"] == "content_block_stop":
            assert event["index"] == opened[-1]
            closed.append(event["index"])
        message = accumulate_event(event=checked, current_snapshot=message, json_bufs=buffers)
    assert opened == closed
    return message.to_dict()


def chat_of(chunks: Iterable[Json]) -> Json:
    """What the openai SDK makes of a stream of one choice: the message, the reason to stop, the usage."""
    message: dict[Any, Any] = {}
    finish: Any = None
    usage: Any = None
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            assert finish is None, "nothing follows the reason to stop"
            message = accumulate_delta(message, orjson.loads(orjson.dumps(choice["delta"])))
            finish = choice["finish_reason"]
    return {"message": message, "finish_reason": finish, "usage": usage}


def sse_events(data: bytes) -> list[Json]:
    """The events of a recorded stream, parsed."""
    lines = [line for line in data.split(b"\n") if line.startswith(b"data:")]
    return [orjson.loads(line[5:]) for line in lines]
