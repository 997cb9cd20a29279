"""A chat client in front of a Claude deployment: its request as an Anthropic message, and the answer back.

Owns the parameters. The conversation is chat_on_messages_turns.py's, thought chat_on_messages_thinking.py's, answers
chat_on_messages_answer.py's and streams chat_on_messages_stream.py's. Every parameter of chat is named in one table
here or there; docs/translation-claude.md says the same to clients. Sources: OpenAI OpenAPI 2026-08-21, Anthropic
OpenAPI 2026-01, the types of anthropic 2.12 (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.transform.chat_on_messages_answer import answer
from shared.transform.chat_on_messages_stream import Events
from shared.transform.chat_on_messages_thinking import add_thinking
from shared.transform.chat_on_messages_turns import conversation
from shared.transform.refuse import a_count, a_list, a_string, an_object, unsupported, wrong_type
from shared.types import Json

__all__ = ["DEFAULT_MAX_TOKENS", "Events", "answer", "refusals", "request"]

DEFAULT_MAX_TOKENS = 32_000
"""Sent when the client gives no limit, for Anthropic demands one: the least output limit of any Claude model that
Foundry has had (Opus 4.1; 4.5 has 64,000, later ones 128,000; read 2026-11), so that no model refuses it."""

_TRANSLATED = frozenset(
    "messages max_tokens max_completion_tokens temperature top_p stop tools tool_choice parallel_tool_calls user "
    "safety_identifier response_format reasoning_effort service_tier stream model".split()
)
_HINTS = frozenset(
    "metadata prompt_cache_key prompt_cache_options prompt_cache_retention stream_options".split()
)  # fmt: skip
"""Left out: they change nothing in the answer. `stream_options` is obeyed by the gateway itself."""
_ANTHROPICS = frozenset({"thinking", "top_k", "cache_control"})
"""Anthropic's own fields, for clients that know what they talk to; `thinking` is set with the effort."""
_NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "n": (1,),
    "modalities": (["text"],),
    "store": (False,),
    "verbosity": ("medium",),
    "functions": ([],),
    "function_call": (),
    "audio": (),
    "moderation": (),
    "prediction": (),
    "seed": (),
    "web_search_options": (),
}
"""What Claude has not, with the values that ask for nothing: those are left out instead of refused."""
_REMEDIES: Mapping[str, str] = {
    "functions": "Use 'tools'.",
    "function_call": "Use 'tool_choice'.",
    "n": "Send one call for each answer.",
    "verbosity": "Say in the prompt how long the answer shall be.",
}
_TIERS: Mapping[str, str | None] = {"auto": None, "default": "standard_only"}


def refusals(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """-> (parameter, why) for each top-level parameter that no Claude model takes, whatever its value's shape."""
    found: list[tuple[str, str]] = []
    for name, value in body.items():
        if value is None or name in _TRANSLATED or name in _HINTS or name in _ANTHROPICS:
            continue
        if name not in _NO_OPS:
            found.append((name, "is not known for Claude models. Leave it out."))
        elif value not in _NO_OPS[name]:
            found.append((name, f"is not served by Claude models. {_REMEDIES.get(name, 'Leave it out.')}"))
    return found


def request(body: Json, model: str = "") -> Json:
    """-> the body for /v1/messages. Raises ApiError (400) naming the parameter that Claude cannot be told.

    `model`: what the upstream's model is called, which decides how it is told to think; else the client's name for it.
    """
    for name, why in refusals(body):
        raise unsupported(name, why)
    system, turns = conversation(body.get("messages"))
    out: Json = {"model": body.get("model"), "max_tokens": _max_tokens(body), "messages": turns}
    if system:
        out["system"] = system
    _add_sampling(out, body)
    _add_tools(out, body)
    _add_format(out, body)
    add_thinking(out, body, model or str(body.get("model") or ""))
    user = body.get("safety_identifier") or body.get("user")
    if user is not None:
        out["metadata"] = {"user_id": a_string(user, "user")}
    if body.get("cache_control") is not None:
        out["cache_control"] = body["cache_control"]
    if body.get("stream") is not None:
        out["stream"] = body["stream"]
    return out


def _max_tokens(body: Mapping[str, Any]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return a_count(body[name], name)
    return DEFAULT_MAX_TOKENS


def _add_sampling(out: Json, body: Mapping[str, Any]) -> None:
    """Values that are the default anyway are left out: Claude 4.7 and later refuse these parameters altogether."""
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None or value == 1:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise wrong_type(name, "a number from 0 to 1")
        if value > 1:
            raise unsupported(name, "above 1 is not served by Claude models, which take 0 to 1.")
        out[name] = value
    if body.get("top_k") is not None:
        out["top_k"] = a_count(body["top_k"], "top_k")
    stop = body.get("stop")
    if stop:
        out["stop_sequences"] = [
            a_string(s, "stop") for s in ([stop] if isinstance(stop, str) else a_list(stop, "stop"))
        ]
        if not all(sequence.strip() for sequence in out["stop_sequences"]):
            raise unsupported("stop", "of white space only is not served by Claude models. Send other characters too.")
    tier = body.get("service_tier")
    if tier is not None and (not isinstance(tier, str) or tier not in _TIERS):
        raise unsupported("service_tier", "must be 'auto' or 'default' for Claude models.")
    if tier is not None and _TIERS[tier]:
        out["service_tier"] = _TIERS[tier]


def _add_tools(out: Json, body: Mapping[str, Any]) -> None:
    given = a_list(body.get("tools") or [], "tools")
    tools = [_tool(entry, f"tools[{index}]") for index, entry in enumerate(given)]
    choice = body.get("tool_choice")
    if not tools:
        if choice not in (None, "auto", "none"):
            raise unsupported("tool_choice", "is allowed only together with 'tools'.")
        return
    wanted = _tool_choice(choice)
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        tools = _allowed(tools, choice["allowed_tools"])
    if body.get("parallel_tool_calls") is False and wanted.get("type") != "none":
        wanted = {"type": "auto", **wanted, "disable_parallel_tool_use": True}
    out["tools"] = tools
    if wanted:
        out["tool_choice"] = wanted


def _tool(entry: Any, where: str) -> Json:
    tool = an_object(entry, where)
    if tool.get("type") != "function":
        raise unsupported(
            f"{where}.type", f"{str(tool.get('type'))[:40]!r} is not served by Claude models. Use 'function'."
        )
    function = an_object(tool.get("function"), f"{where}.function")
    schema = an_object(function.get("parameters") or {"properties": {}}, f"{where}.function.parameters")
    out: Json = {
        "name": a_string(function.get("name"), f"{where}.function.name"),
        "input_schema": schema if "type" in schema else {"type": "object", **schema},
    }
    if function.get("description"):
        out["description"] = a_string(function["description"], f"{where}.function.description")
    if function.get("strict") is True:
        out["strict"] = True
    if mark := tool.get("cache_control") or function.get("cache_control"):
        out["cache_control"] = mark
    return out


def _tool_choice(choice: Any) -> Json:
    if choice is None:
        return {}
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    given = an_object(choice, "tool_choice")
    kind = given.get("type")
    if kind == "function":
        function = an_object(given.get("function"), "tool_choice.function")
        return {"type": "tool", "name": a_string(function.get("name"), "tool_choice.function.name")}
    if kind == "allowed_tools":
        allowed = an_object(given.get("allowed_tools"), "tool_choice.allowed_tools")
        if allowed.get("mode") not in ("auto", "required"):
            raise wrong_type("tool_choice.allowed_tools.mode", "auto or required")
        return {"type": _CHOICES[allowed["mode"]]}
    raise unsupported("tool_choice.type", "must be 'function' or 'allowed_tools' for Claude models.")


_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def _allowed(tools: list[Json], allowed: Json) -> list[Json]:
    """Anthropic has no such choice: the model is shown the tools that it may call, and no others."""
    names: set[str] = set()
    for index, entry in enumerate(a_list(allowed.get("tools"), "tool_choice.allowed_tools.tools")):
        where = f"tool_choice.allowed_tools.tools[{index}]"
        function = an_object(an_object(entry, where).get("function"), f"{where}.function")
        names.add(a_string(function.get("name"), f"{where}.function.name"))
    kept = [tool for tool in tools if tool["name"] in names]
    if not kept:
        raise unsupported("tool_choice.allowed_tools.tools", "names no tool of 'tools'.")
    return kept


def _add_format(out: Json, body: Mapping[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None or (kind := an_object(wanted, "response_format").get("type")) == "text":
        return
    if kind != "json_schema":
        raise unsupported(
            "response_format",
            f"of type {str(kind)[:40]!r} is not served by Claude models. Use 'json_schema', or ask for it in words.",
        )
    given = an_object(wanted.get("json_schema"), "response_format.json_schema")
    schema = an_object(given.get("schema"), "response_format.json_schema.schema")
    out["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
