"""A whole chat completion as a response, and what the stream needs of it as well: the envelope, usage, verdicts.

A response repeats what the client asked for; what it did not ask for is given as the Responses API's own default, or
as null where only the model knows. `store` is false whatever was asked: chat completions keep nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.errors import bad_answer
from shared.transform.responses_on_chat_items import (
    call_item,
    item_id,
    message_item,
    reasoning_item,
    refusal_part,
    tail_of,
    text_part,
)
from shared.types import Json


def answer(answer: Json, body: Json) -> Json:
    """-> the response. Raises ApiError (502) when the upstream's answer has no choice."""
    choice = next(iter(_objects(answer.get("choices"))), None)
    if choice is None:
        raise bad_answer()
    message = _object(choice, "message")
    status, details = ending(choice.get("finish_reason"))
    output = _output(message, choice, tail_of(answer), status)
    out = envelope(answer, body, status)
    out["incomplete_details"] = details
    out["output"] = output
    if counted := usage(answer.get("usage")):
        out["usage"] = counted
    filters = content_filters(prompt_verdict(answer), _object(choice, "content_filter_results"))
    return {**out, "content_filters": filters} if filters else out


def _output(message: Json, choice: Json, tail: str, status: str) -> list[Json]:
    output: list[Json] = []
    if reasoning := reasoning_of(message):
        output.append(reasoning_item(item_id("rs", tail, 0), reasoning))
    parts: list[Json] = []
    if isinstance(message.get("content"), str) and message["content"]:
        parts.append(text_part(message["content"], token_logprobs(choice), citations(message)))
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append(refusal_part(message["refusal"]))
    if parts:
        said = "completed" if message.get("tool_calls") else status  # what came last is what is incomplete
        output.append(message_item(item_id("msg", tail, len(output)), parts, said))
    for call in _objects(message.get("tool_calls")):
        custom = call.get("type") == "custom"
        inner = _object(call, "custom" if custom else "function")
        name, text = str(inner.get("name") or ""), str(inner.get("input" if custom else "arguments") or "")
        output.append(call_item(custom, tail, len(output), (call.get("id"), name, text), status))
    return output


def envelope(answer: Json, body: Json, status: str) -> Json:
    """A response without its output. `answer` is a chat completion or one of its chunks."""
    text, reasoning, tools = _object(body, "text"), _object(body, "reasoning"), _objects(body.get("tools"))
    given = {name: body.get(name) for name in ("instructions", "max_output_tokens", "temperature", "top_p")}
    kept = {name: body.get(name) for name in ("max_tool_calls", "prompt_cache_key", "safety_identifier")}
    user = {} if body.get("user") is None else {"user": body["user"]}  # the one field that must not be null
    return {
        "id": "resp_" + tail_of(answer),
        "object": "response",
        "created_at": answer.get("created") or 0,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **given,
        **kept,
        **user,
        "model": answer.get("model") or body.get("model") or "",
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": answer.get("service_tier") or body.get("service_tier") or "default",
        "store": False,
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in tools],
        "top_logprobs": body.get("top_logprobs") or 0,
        "truncation": "disabled",
        "metadata": body.get("metadata") or {},
    }


def _tool(tool: Json) -> Json:
    """A tool as it is in force: chat's `strict` is false when it is left out."""
    kind = str(tool.get("type"))
    flat = {"type": kind, **tool[kind]} if isinstance(tool.get(kind), dict) else tool
    if kind != "function":
        return flat
    return {**flat, "parameters": flat.get("parameters"), "strict": flat.get("strict") is True}


def ending(finish_reason: Any) -> tuple[str, Json | None]:
    """-> the response's status and its incomplete_details."""
    if finish_reason == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if finish_reason == "content_filter":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def usage(given: Any) -> Json | None:
    """A chat's tokens by the names of a response, the details always present; None when there are none."""
    if not isinstance(given, dict):
        return None
    received, produced = _object(given, "prompt_tokens_details"), _object(given, "completion_tokens_details")
    inputs, outputs = given.get("prompt_tokens") or 0, given.get("completion_tokens") or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {
            "cached_tokens": received.get("cached_tokens") or 0,
            "cache_write_tokens": received.get("cache_write_tokens") or 0,
        },
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": produced.get("reasoning_tokens") or 0},
        "total_tokens": given.get("total_tokens") or inputs + outputs,
    }


def reasoning_of(message: Json) -> str:
    """What a model behind a chat route shows of its reasoning: one field by two names, depending on the maker."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return message[name]
    return ""


def token_logprobs(choice: Json) -> list[Json]:
    """The entries of `logprobs.content`, with the lists that a response always has."""
    return [
        {
            "token": entry.get("token", ""),
            "bytes": entry.get("bytes") or [],
            "logprob": entry.get("logprob", 0.0),
            "top_logprobs": [{**top, "bytes": top.get("bytes") or []} for top in _objects(entry.get("top_logprobs"))],
        }
        for entry in _objects(_object(choice, "logprobs").get("content"))
    ]


def citations(message: Json) -> list[Json]:
    """The citations of web pages of a message or of a delta."""
    return [
        {"type": "url_citation", **entry["url_citation"]}
        for entry in _objects(message.get("annotations"))
        if isinstance(entry.get("url_citation"), dict)
    ]


def prompt_verdict(answer: Json) -> Json:
    """Azure's verdict on the prompt, from a chat completion or from the chunk that has it."""
    entry = next(iter(_objects(answer.get("prompt_filter_results"))), {})
    return _object(entry, "content_filter_results")


def content_filters(prompt: Json, completion: Json) -> list[Json]:
    """Azure's verdicts as its responses carry them; empty when there are none."""
    return [
        {
            "blocked": any(entry.get("filtered") is True for entry in verdict.values() if isinstance(entry, dict)),
            "source_type": source,
            "content_filter_results": verdict,
        }
        for source, verdict in (("prompt", prompt), ("completion", completion))
        if verdict
    ]


def _objects(value: Any) -> Iterable[Json]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()


def _object(value: Json, name: str) -> Json:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
