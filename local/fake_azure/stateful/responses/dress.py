"""How a response is dressed: the members that echo the request, the filter's verdicts, the usage. Pure.

Order and values as recorded from Azure's v1 in 2026-08 (gpt-5-nano).
"""

from collections.abc import Mapping
from typing import Any

from ...asked import Asked
from ...chat.request import ChatRequest
from ...chat.shape import FILTERED_ANSWER, PROMPT_FILTER_RESULTS, SAFE_ANSWER
from ...store import Json

_NO_TOKENS: Json = {"image_tokens": 0, "text_tokens": 0}
_TOOL_USAGE: Json = {
    "image_gen": {
        "input_tokens": 0,
        "input_tokens_details": _NO_TOKENS,
        "output_tokens": 0,
        "output_tokens_details": _NO_TOKENS,
        "total_tokens": 0,
    },
    "web_search": {"num_requests": 0},
}


def response_of(asked: Asked, response_id: str, created: int) -> Json:
    body, model = asked.body, asked.model
    conversation = body.get("conversation")
    response: Json = {
        **_beginning(response_id, created, background=bool(body.get("background"))),
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": model.version if asked.surface == "plain" else asked.deployment,
        "moderation": None,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "presence_penalty": 0.0,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": body.get("prompt_cache_retention") or "in_memory",
        "reasoning": _reasoning(asked),
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": body.get("service_tier") or "auto",
        "store": body.get("store") is not False,
        "temperature": _number(body, "temperature"),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(body.get("text") or {})},
        "tool_choice": body.get("tool_choice") or "auto",
        "tool_usage": _TOOL_USAGE,
        "tools": [_tool(tool) for tool in body.get("tools") or ()],
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": _number(body, "top_p"),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }
    if conversation:
        response["conversation"] = {"id": conversation if isinstance(conversation, str) else conversation.get("id")}
    if asked.surface == "plain":
        del response["content_filters"]
    return response


def _beginning(response_id: str, created: int, *, background: bool) -> Json:
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": background,
        "completed_at": None,
        "content_filters": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
    }


def _reasoning(asked: Asked) -> Json:
    given: Mapping[str, Any] = asked.body.get("reasoning") or {}
    if not asked.model.reasons:
        return {"effort": None, "summary": None}
    effort = given.get("effort") or asked.model.default_effort
    return {"context": "current_turn", "effort": effort, "mode": "standard", "summary": given.get("summary")}


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    return 1.0 if value is None else float(value)


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return tool
    usual: Json = {"type": "function", "description": None, "name": None, "output_schema": None, "parameters": None}
    return {**usual, "strict": True, **tool}


def usage_of(chat: ChatRequest, cached: int, said: int) -> Json:
    reasoning = chat.reasoning_tokens
    return {
        "input_tokens": chat.prompt.count,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": cached},
        "output_tokens": said + reasoning,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": chat.prompt.count + said + reasoning,
    }


def verdicts(prompt_length: int, answer_length: int, *, filtered: bool) -> list[Json]:
    prompt = PROMPT_FILTER_RESULTS[0]["content_filter_results"]
    answer = FILTERED_ANSWER if filtered else SAFE_ANSWER
    return [
        _verdict("prompt", prompt, prompt_length, blocked=False),
        _verdict("completion", answer, answer_length, blocked=filtered),
    ]


def _verdict(source: str, results: Json, length: int, *, blocked: bool) -> Json:
    return {
        "blocked": blocked,
        "source_type": source,
        "content_filter_raw": [],
        "content_filter_results": results,
        "content_filter_offsets": {"start_offset": 0, "end_offset": length, "check_offset": 0},
    }
