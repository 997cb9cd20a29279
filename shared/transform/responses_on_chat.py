"""CLIENT SPEAKS RESPONSES, UPSTREAM SERVES CHAT: the request. The answer and the stream are the modules beside it.

    request   the body of POST /responses → a chat body (the input: responses_on_chat_input.py)
    answer    a chat completion → a whole response (responses_on_chat_answer.py)
    Events    a stream of chat chunks → response events (responses_on_chat_stream.py)

Pure: parsed JSON in and out; knows nothing of deployments, of bytes or of ids that route. Chat completions keep no
state and run no tools of their own: whatever would need either is refused by name. Nothing is stored, whatever
`store` says; the answer says so with `store: false`. The tables are in docs/translation-responses.md. Source of both
dialects: OpenAI's OpenAPI description of 2026-08-21; recorded answers of 2026-02 to 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import ApiError, bad_request
from shared.transform.responses_on_chat_answer import answer
from shared.transform.responses_on_chat_input import messages
from shared.transform.responses_on_chat_stream import Events
from shared.types import Json

__all__ = ["DROPPED", "FOREIGN", "REFUSED", "Events", "answer", "request"]

REFUSED: Mapping[str, str] = {
    "previous_response_id": "which keep no state: send the whole conversation as 'input'",
    "conversation": "which keep no state: send the whole conversation as 'input'",
    "prompt": "which know no prompt templates: send 'instructions' and 'input'",
    "background": "which answer at once: leave it out, or send 'stream': true",
    "context_management": "which keep no state and compact nothing: shorten 'input' yourself",
}
"""Parameter → what to say of chat completions, when the value is more than null, false or empty."""

DROPPED = frozenset({"store", "metadata", "truncation", "max_tool_calls", "background_options"})
"""Hints, and what has nothing to act on. `metadata` would be refused by chat, which stores nothing here."""

FOREIGN: Mapping[str, str] = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "include: ['message.output_text.logprobs']",
    "n": "several calls",
    "modalities": "text alone",
    "audio": "text alone",
}
"""Parameters of chat completions that /v1/responses does not know → what it has instead."""

INCLUDABLE = ("message.output_text.logprobs", "reasoning.encrypted_content")
"""What `include` may ask for. Encrypted reasoning is a part of items that never occur here: there is none to add."""

_TRANSLATED = frozenset(
    "input instructions tools tool_choice parallel_tool_calls text reasoning max_output_tokens include top_logprobs "
    "stream_options".split()
)


def request(body: Json) -> Json:
    """-> the chat body. Raises ApiError (400) naming the parameter that chat completions cannot be told.

    What both dialects know passes unchanged, and so does what no table here knows: the upstream judges it.
    """
    _refuse(body)
    left_out = _TRANSLATED | DROPPED | REFUSED.keys() | FOREIGN.keys()
    out: Json = {k: v for k, v in body.items() if k not in left_out and v is not None}
    out["messages"] = messages(body)
    if body.get("max_output_tokens") is not None:
        out["max_completion_tokens"] = body["max_output_tokens"]
    _tools(body, out)
    _text(body, out)
    _logprobs(body, out)
    if _object(body, "reasoning").get("effort") is not None:
        out["reasoning_effort"] = body["reasoning"]["effort"]
    obfuscation = _object(body, "stream_options").get("include_obfuscation")
    if body.get("stream") is True and obfuscation is not None:
        out["stream_options"] = {"include_obfuscation": obfuscation}
    return out


def _refuse(body: Json) -> None:
    for name, why in REFUSED.items():
        if body.get(name):
            raise _refused(name, f"This model is served by chat completions, {why}.")
    for name, instead in FOREIGN.items():
        if body.get(name) is not None:
            raise _refused(name, f"It belongs to chat completions; /v1/responses has {instead}.")
    mode = _object(body, "reasoning").get("mode")
    if mode not in (None, "standard"):
        raise _refused("reasoning.mode", "This model is served by chat completions, which reason in one way only.")
    include = body.get("include")
    if not isinstance(include, list | None):
        raise _wrong_type("include", "a list")
    for index, wanted in enumerate(include or []):
        if wanted not in INCLUDABLE:
            raise _refused(f"include[{index}]", f"The answer has nothing for {str(wanted)[:60]!r}: {_NO_TOOLS}")


_NO_TOOLS = (
    "this model is served by chat completions, which run no tools themselves. Use a model that serves the Responses "
    "API for that."
)


def _tools(body: Json, out: Json) -> None:
    tools = body.get("tools")
    if not isinstance(tools, list | None):
        raise _wrong_type("tools", "a list")
    if not tools:  # chat refuses the other two without tools, where the Responses API lets them pass
        if body.get("tool_choice") not in (None, "auto", "none"):
            raise _refused("tool_choice", "It demands a tool, and 'tools' is empty.")
        return
    out["tools"] = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    if body.get("tool_choice") is not None:
        out["tool_choice"] = _tool_choice(body["tool_choice"])
    if body.get("parallel_tool_calls") is not None:
        out["parallel_tool_calls"] = body["parallel_tool_calls"]


def _tool(tool: Any, where: str) -> Json:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in ("function", "custom"):
        raise _refused(f"{where}.type", f"The tool {str(kind)[:60]!r} cannot be run: {_NO_TOOLS}")
    if isinstance(tool.get(kind), dict):  # in chat's own form already
        return tool
    for name in ("defer_loading", "async", "allowed_callers"):
        if tool.get(name) not in (None, False, [], ["direct"]):
            raise _refused(f"{where}.{name}", "This model is served by chat completions, which call tools directly.")
    if kind == "function":
        names = ("name", "description", "parameters", "strict")
        return {"type": "function", "function": {k: tool[k] for k in names if tool.get(k) is not None}}
    inner: Json = {k: tool[k] for k in ("name", "description") if tool.get(k) is not None}
    form = tool.get("format")
    if isinstance(form, dict) and form.get("type") == "grammar":
        form = {"type": "grammar", "grammar": {k: v for k, v in form.items() if k != "type"}}
    return {"type": "custom", "custom": inner if form is None else {**inner, "format": form}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("function", "custom"):
        return choice if isinstance(choice.get(kind), dict) else {"type": kind, kind: {"name": choice.get("name")}}
    if kind == "allowed_tools" and isinstance(choice.get("tools"), list):
        allowed = {"mode": choice.get("mode"), "tools": [_tool_choice(tool) for tool in choice["tools"]]}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    raise _refused("tool_choice", f"{str(kind)[:60]!r} cannot be chosen: {_NO_TOOLS}")


def _text(body: Json, out: Json) -> None:
    text = _object(body, "text")
    if text.get("verbosity") is not None:
        out["verbosity"] = text["verbosity"]
    wanted = text.get("format")
    if not isinstance(wanted, dict | None):
        raise _wrong_type("text.format", "an object")
    if not wanted or wanted.get("type") == "text":
        return
    if wanted.get("type") == "json_schema":
        inner = {k: v for k, v in wanted.items() if k != "type" and v is not None}
        out["response_format"] = {"type": "json_schema", "json_schema": inner}
    else:
        out["response_format"] = wanted


def _logprobs(body: Json, out: Json) -> None:
    """`top_logprobs` asks by itself here; in chat it needs `logprobs`."""
    top = body.get("top_logprobs")
    if top or "message.output_text.logprobs" in (body.get("include") or ()):
        out["logprobs"] = True
        if top is not None:
            out["top_logprobs"] = top


def _object(body: Json, name: str) -> Json:
    value = body.get(name)
    if not isinstance(value, dict | None):
        raise _wrong_type(name, "an object")
    return value or {}


def _refused(param: str, why: str) -> ApiError:
    return bad_request(f"Unsupported parameter: '{param}'. {why}", param=param, code="unsupported_parameter")


def _wrong_type(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")
