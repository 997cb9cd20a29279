"""CLIENT SPEAKS CHAT, UPSTREAM SERVES RESPONSES: the request. The answer and the stream are the two modules beside it.

    request   a chat body → the body of POST /responses (the messages: chat_on_responses_messages.py)
    answer    a whole response → a chat completion (chat_on_responses_answer.py)
    Events    a stream of response events → chat chunks (chat_on_responses_stream.py)

Pure: parsed JSON in and out; knows nothing of deployments, of bytes or of ids that route. What the Responses API
cannot be told is refused by name, a value that changes nothing is left out, a mere hint is dropped: the tables are in
docs/translation-responses.md. Source of both dialects: OpenAI's OpenAPI description of 2026-08-21; Azure's v1
description and recorded answers of 2026-02 to 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import ApiError, bad_request
from shared.transform.chat_on_responses_answer import answer
from shared.transform.chat_on_responses_messages import items
from shared.transform.chat_on_responses_stream import Events
from shared.types import Json

__all__ = ["LEAST_OUTPUT_TOKENS", "NO_OPS", "REFUSED", "Events", "answer", "request"]

LEAST_OUTPUT_TOKENS = 16
"""The Responses API takes no smaller `max_output_tokens`; a smaller limit of a chat client is raised to it."""

REFUSED: Mapping[str, str] = {
    "n": "gives one answer per call: send n calls",
    "stop": "knows no stop sequences: cut the text when it arrives",
    "seed": "knows no seed",
    "logit_bias": "cannot bias tokens",
    "presence_penalty": "knows no penalties",
    "frequency_penalty": "knows no penalties",
    "prediction": "takes no predicted output",
    "audio": "writes text only",
    "modalities": "writes text only",
    "functions": "knows the newer form only: send 'tools'",
    "function_call": "knows the newer form only: send 'tool_choice'",
    "data_sources": "has no Azure 'On Your Data' extension",
    "previous_response_id": "keeps state that chat completions cannot use: call /v1/responses",
    "conversation": "keeps state that chat completions cannot use: call /v1/responses",
    "background": "would answer later, which chat completions cannot: call /v1/responses",
    "prompt": "has templates that chat completions cannot use: call /v1/responses",
    "input": "is spoken to in chat here: send 'messages', or call /v1/responses",
    "instructions": "is spoken to in chat here: send a message of the role 'system', or call /v1/responses",
}
"""Parameter → what to say of the Responses API, when the value would change anything."""

NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "stop": ([], ""),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"], []),
    "functions": ([],),
    "data_sources": ([],),
    "background": (False,),
    "instructions": ("",),
}
"""Values that change nothing, besides null: such a parameter is left out."""

_TRANSLATED = frozenset(
    "messages max_tokens max_completion_tokens tools tool_choice response_format verbosity reasoning_effort logprobs "
    "top_logprobs web_search_options stream_options store include text reasoning".split()
)

_LOGPROBS = "message.output_text.logprobs"


def request(body: Json) -> Json:
    """-> the body for the Responses API. Raises ApiError (400) naming the parameter that it cannot be told.

    What both dialects know passes unchanged, and so does what neither table knows: the upstream judges it.
    """
    for name, why in REFUSED.items():
        value = body.get(name)
        if value is not None and value not in NO_OPS.get(name, ()):
            raise _refused(name, why)
    out: Json = {k: v for k, v in body.items() if k not in _TRANSLATED and k not in REFUSED and v is not None}
    out["input"] = items(body["messages"])
    out["store"] = body.get("store") is True  # the Responses API would keep the conversation if it were left out
    _limits(body, out)
    _tools(body, out)
    _format(body, out)
    _reasoning(body, out)
    _logprobs(body, out)
    obfuscation = _object(body, "stream_options").get("include_obfuscation")
    if body.get("stream") is True and obfuscation is not None:
        out["stream_options"] = {"include_obfuscation": obfuscation}
    return out


def _limits(body: Json, out: Json) -> None:
    given = body.get("max_completion_tokens")
    limit = body.get("max_tokens") if given is None else given
    if limit is None:
        return
    small = isinstance(limit, int) and 0 < limit < LEAST_OUTPUT_TOKENS
    out["max_output_tokens"] = LEAST_OUTPUT_TOKENS if small else limit


def _tools(body: Json, out: Json) -> None:
    tools = body.get("tools")
    if not isinstance(tools, list | None):
        raise _wrong_type("tools", "a list")
    flat = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools or [])]
    if body.get("web_search_options") is not None:
        flat.append(_web_search(_object(body, "web_search_options")))
    if flat:
        out["tools"] = flat
    choice = body.get("tool_choice")
    if choice is not None:
        out["tool_choice"] = _tool_choice(choice)


def _tool(tool: Any, where: str) -> Json:
    kind = tool.get("type") if isinstance(tool, dict) else None
    inner = tool.get(kind) if kind in ("function", "custom") else None
    if not isinstance(inner, dict):
        raise bad_request(
            f"'{where}' is not a tool of chat completions: send {{'type': 'function', 'function': {{…}}}} or the same "
            "with 'custom'. For web search send 'web_search_options'; other built-in tools need /v1/responses.",
            param=where,
            code="unsupported_parameter",
        )
    if kind == "function":
        # both are required here, and `strict` would be true by default, as it is not in chat
        defaults = {"parameters": {"type": "object", "properties": {}}, "strict": False}
        return {**defaults, **{k: v for k, v in inner.items() if v is not None}, "type": "function"}
    return {**inner, **_grammar(inner.get("format")), "type": "custom"}  # last: the type decides what a tool may do


def _grammar(given: Any) -> Json:
    """The format of a custom tool: chat nests what a grammar is, Responses does not."""
    if isinstance(given, dict) and isinstance(grammar := given.get("grammar"), dict):
        return {"format": {"type": "grammar", **grammar}}
    return {}


def _web_search(options: Json) -> Json:
    tool: Json = {"type": "web_search"}
    if options.get("search_context_size") is not None:
        tool["search_context_size"] = options["search_context_size"]
    location = options.get("user_location")
    if isinstance(location, dict):
        approximate = location.get("approximate")
        tool["user_location"] = {"type": "approximate", **(approximate if isinstance(approximate, dict) else {})}
    return tool


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    inner = choice.get(kind) if isinstance(kind, str) else None
    if kind in ("function", "custom") and isinstance(inner, dict):
        return {"type": kind, "name": inner.get("name")}
    if kind == "allowed_tools" and isinstance(inner, dict) and isinstance(inner.get("tools"), list):
        return {**inner, "type": "allowed_tools", "tools": [_tool_choice(tool) for tool in inner["tools"]]}
    raise bad_request(
        "'tool_choice' must be 'none', 'auto', 'required', or an object that names a function, a custom tool or "
        "allowed_tools in the form of chat completions.",
        param="tool_choice",
        code="invalid_value",
    )


def _format(body: Json, out: Json) -> None:
    text = dict(_object(body, "text"))
    if body.get("verbosity") is not None:
        text["verbosity"] = body["verbosity"]
    wanted = _object(body, "response_format")
    if wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema")
        if not isinstance(schema, dict):
            raise _wrong_type("response_format.json_schema", "an object")
        text["format"] = {"type": "json_schema", "schema": {}, **schema}
    elif wanted:
        text["format"] = wanted
    if text:
        out["text"] = text


def _reasoning(body: Json, out: Json) -> None:
    """`reasoning_effort` is a word, or {"effort", "summary"} as clients send it that know no other way to ask."""
    effort = body.get("reasoning_effort")
    given = effort if isinstance(effort, dict) else {"effort": effort} if effort is not None else {}
    reasoning = {**_object(body, "reasoning"), **given}
    if reasoning:
        out["reasoning"] = reasoning


def _logprobs(body: Json, out: Json) -> None:
    include = body.get("include") or []
    if not isinstance(include, list):
        raise _wrong_type("include", "a list")
    if body.get("logprobs"):
        include = include if _LOGPROBS in include else [*include, _LOGPROBS]
        if body.get("top_logprobs") is not None:
            out["top_logprobs"] = body["top_logprobs"]
    elif body.get("top_logprobs"):
        raise bad_request("'top_logprobs' is allowed only with 'logprobs': true.", param="top_logprobs")
    if include:
        out["include"] = include


def _object(body: Json, name: str) -> Json:
    value = body.get(name)
    if not isinstance(value, dict | None):
        raise _wrong_type(name, "an object")
    return value or {}


def _refused(name: str, why: str) -> ApiError:
    return bad_request(
        f"Unsupported parameter: '{name}'. This model is served by the Responses API, which {why}.",
        param=name,
        code="unsupported_parameter",
    )


def _wrong_type(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")
