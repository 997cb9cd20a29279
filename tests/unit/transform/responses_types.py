"""What judges the two bridges to the Responses API: the openai SDK's own types and its accumulator of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParams, ResponseCreateParamsBase
from pydantic import TypeAdapter

type Json = dict[str, Any]

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_REQUEST: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)
_LAST = ("response.completed", "response.incomplete")


def is_responses_request(body: Json) -> Json:
    assert set(body) <= set(ResponseCreateParamsBase.__annotations__) | {"stream"}, sorted(body)
    _exhaust(_REQUEST.validate_python(body))
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


def is_response(answer: Json) -> Json:
    Response.model_validate(answer, strict=True)
    return answer


def response_of(events: list[Json]) -> Json:
    """The response that a stream ends with, once each event was found valid, in order, and true to its deltas."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert [event["type"] in _LAST for event in events] == [False] * (len(events) - 1) + [True]
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(_EVENT.validate_python(event, strict=True))
    last = is_response(events[-1]["response"])
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    _finished_in_order(events, last["output"])
    _true_to_deltas(events)
    return last


def _finished_in_order(events: list[Json], output: list[Json]) -> None:
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert added == list(range(len(output)))
    done = {e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.done"}
    assert [done[index] for index in added] == output


def _true_to_deltas(events: list[Json]) -> None:
    """Each `.done` says what its deltas said, and every delta has one."""
    said: dict[Any, str] = {}
    for event in events:
        kind, _, end = event["type"].rpartition(".")
        if "item_id" not in event or kind.endswith(("_part", "annotation")):
            continue
        key = (kind, event["item_id"], event.get("content_index"), event.get("summary_index"))
        if end == "delta":
            said[key] = said.get(key, "") + event["delta"]
        else:
            whole = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert said.pop(key, "") == whole
    assert said == {}
