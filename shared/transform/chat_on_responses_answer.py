"""A whole answer of the Responses API as a chat completion, and the parts of it that the stream needs as well.

Built-in tools' own items (web searches and the like) have no place in a chat completion and are left out; what
they found is in the text and its citations. Reasoning summaries become `message.reasoning_content`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shared.errors import ApiError
from shared.types import Json

BETWEEN_SUMMARIES = "\n\n"
"""Stands between two summaries of reasoning, which the Responses API keeps apart and chat does not."""


def answer(answer: Json, body: Json) -> Json:
    """-> the chat completion. Raises ApiError (502) when the response has failed."""
    if answer.get("status") in ("failed", "cancelled") or answer.get("error"):
        raise _failed(answer)
    message = _message(answer)
    choice: Json = {"index": 0, "message": message, "logprobs": _logprobs(answer, body)}
    choice["finish_reason"] = finish_reason(answer, bool(message.get("tool_calls")))
    out: Json = {**head(answer), "object": "chat.completion", "choices": [choice]}
    prompt, completion = filter_results(answer)
    if completion is not None:
        choice["content_filter_results"] = completion
    if prompt is not None:
        out["prompt_filter_results"] = prompt
    if counted := usage(answer.get("usage")):
        out["usage"] = counted
    return out


def head(response: Json) -> Json:
    """What an answer and each of its chunks begin with. The id is the response's own under the prefix of a chat."""
    created = response.get("created_at")
    out: Json = {
        "id": "chatcmpl-" + str(response.get("id") or "").removeprefix("resp_"),
        "created": int(created) if isinstance(created, int | float) else 0,
        "model": response.get("model") or "",
    }
    if isinstance(response.get("service_tier"), str):
        out["service_tier"] = response["service_tier"]
    return out


def finish_reason(response: Json, calls: bool) -> str:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_calls" if calls else "stop"


def usage(given: Any) -> Json | None:
    """The tokens of a response by chat's names; None when there are none. Input includes what was cached."""
    if not isinstance(given, dict):
        return None
    received, produced = _object(given, "input_tokens_details"), _object(given, "output_tokens_details")
    prompt: Json = {"cached_tokens": received.get("cached_tokens") or 0, "audio_tokens": 0}
    if received.get("cache_write_tokens"):
        prompt["cache_write_tokens"] = received["cache_write_tokens"]
    inputs, outputs = given.get("input_tokens") or 0, given.get("output_tokens") or 0
    return {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": given.get("total_tokens") or inputs + outputs,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": produced.get("reasoning_tokens") or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def filter_results(response: Json) -> tuple[list[Json] | None, Json | None]:
    """-> Azure's verdicts on the prompt and on the completion, as its chat completions carry them (None: none)."""
    verdicts: dict[str, Json] = {}
    for entry in _objects(response.get("content_filters")):
        source, results = entry.get("source_type"), entry.get("content_filter_results")
        if isinstance(source, str) and isinstance(results, dict):
            verdicts.setdefault(source, {}).update(results)
    prompt = verdicts.get("prompt")
    listed: list[Json] | None = None
    if prompt is not None:
        listed = [{"prompt_index": 0, "content_filter_results": prompt}]
    return listed, verdicts.get("completion")


def token_logprobs(given: Any) -> list[Json]:
    """Entries of chat's `logprobs.content`; the Responses API may leave out bytes and the runners-up."""
    return [
        {
            "token": entry.get("token", ""),
            "bytes": entry.get("bytes"),
            "logprob": entry.get("logprob", 0.0),
            "top_logprobs": [
                {"token": top.get("token") or "", "bytes": top.get("bytes"), "logprob": top.get("logprob") or 0.0}
                for top in _objects(entry.get("top_logprobs"))
            ],
        }
        for entry in _objects(given)
    ]


def tool_call(item: Json) -> Json | None:
    """An item of the output as a call of a tool; None when it is none."""
    if item.get("type") == "function_call":
        function = {"name": item.get("name") or "", "arguments": item.get("arguments") or ""}
        return {"id": item.get("call_id") or "", "type": "function", "function": function}
    if item.get("type") == "custom_tool_call":
        custom = {"name": item.get("name") or "", "input": item.get("input") or ""}
        return {"id": item.get("call_id") or "", "type": "custom", "custom": custom}
    return None


def citations(output: Any) -> list[Json]:
    """The citations of web pages, with their places in the joined text. Other kinds have no form in chat."""
    out: list[Json] = []
    offset = 0
    for part in _parts(output):
        for given in _objects(part.get("annotations")):
            if given.get("type") == "url_citation":
                places = {name: (given.get(name) or 0) + offset for name in ("start_index", "end_index")}
                cited = {"url": given.get("url") or "", "title": given.get("title") or "", **places}
                out.append({"type": "url_citation", "url_citation": cited})
        offset += len(part.get("text") or "")
    return out


def _message(response: Json) -> Json:
    output = response.get("output")
    parts = list(_parts(output))
    texts = [part.get("text") or "" for part in parts if part.get("type") == "output_text"]
    refusal = "".join(part.get("refusal") or "" for part in parts if part.get("type") == "refusal")
    calls = [call for item in _objects(output) if (call := tool_call(item))]
    content = "".join(texts)
    message: Json = {
        "role": "assistant",
        "content": content if content or not (calls or refusal) else None,
        "refusal": refusal or None,
        "annotations": citations(output),
    }
    if reasoning := BETWEEN_SUMMARIES.join(_reasoning(output)):
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _reasoning(output: Any) -> Iterator[str]:
    for item in _objects(output):
        if item.get("type") == "reasoning":
            for part in [*_objects(item.get("summary")), *_objects(item.get("content"))]:
                if part.get("text"):
                    yield part["text"]


def _logprobs(response: Json, body: Json) -> Json | None:
    if not body.get("logprobs"):
        return None
    content = [entry for part in _parts(response.get("output")) for entry in token_logprobs(part.get("logprobs"))]
    return {"content": content, "refusal": None} if content else None


def _parts(output: Any) -> Iterator[Json]:
    """What was written: the parts of all messages of the output, in order."""
    for item in _objects(output):
        if item.get("type") == "message":
            yield from _objects(item.get("content"))


def _objects(value: Any) -> Iterable[Json]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()


def _object(value: Json, name: str) -> Json:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _failed(response: Json) -> ApiError:
    """A response that has failed although the call did not. Its own message may name a deployment: it is not shown."""
    code = _object(response, "error").get("code")
    status = {"rate_limit_exceeded": 429, "content_filter": 400, "invalid_prompt": 400}.get(str(code), 502)
    return ApiError(
        status,
        "The model's deployment failed on this call. Retry in a moment.",
        type="server_error" if status == 502 else "invalid_request_error",
        code=code if isinstance(code, str) else "server_error",
    )
