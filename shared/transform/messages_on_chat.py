"""An Anthropic client in front of a deployment that serves chat: its request as a chat body, and the answer back.

Owns the parameters. The conversation is messages_on_chat_turns.py's, answers messages_on_chat_answer.py's, streams
messages_on_chat_stream.py's. docs/translation-claude.md says the same to clients. Sources: Anthropic OpenAPI 2026-01,
the types of anthropic 2.12 (2026-11), OpenAI OpenAPI 2026-08-21.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.transform.messages_on_chat_answer import answer
from shared.transform.messages_on_chat_stream import Events
from shared.transform.messages_on_chat_turns import chat_messages
from shared.transform.refuse import a_count, a_list, a_string, an_object, unsupported, wrong_type
from shared.types import Json
from shared.usage import estimate_input

__all__ = ["Events", "answer", "estimate_tokens", "refusals", "request"]

_TRANSLATED = frozenset(
    "model messages system max_tokens temperature top_p stop_sequences tools tool_choice thinking output_config "
    "output_format metadata service_tier stream".split()
)
_HINTS = frozenset({"cache_control", "diagnostics"})
_NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "top_k": (),
    "container": (),
    "mcp_servers": ([],),
    "inference_geo": (),
    "speed": ("standard",),
    "user_profile_id": (),
    "workspace_id": (),
}
"""What only Claude has, with the values that ask for nothing: those are left out instead of refused."""
_TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_MEDIUM_BUDGET, _HIGH_BUDGET = 4_096, 16_384
"""From so many tokens of `budget_tokens` on the effort is medium, or high; below, low. The same steps, seen from the
other side, as the budgets of chat_on_messages_thinking.py."""
MOST_STOPS = 4
"""OpenAI takes up to four stop sequences (OpenAPI 2026-08-21, StopConfiguration)."""
_LONGEST_USER = 64
"""Azure OpenAI refuses a longer `user` (string_above_max_length); Claude Code's user_id is longer (2026-03)."""


def refusals(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """-> (parameter, why) for each top-level parameter that only Claude models take."""
    found: list[tuple[str, str]] = []
    for name, value in body.items():
        if value is None or name in _TRANSLATED or name in _HINTS:
            continue
        if name == "context_management":
            found += _context_refusals(value)
        elif name not in _NO_OPS:
            found.append((name, "is not known for this model. Leave it out."))
        elif value not in _NO_OPS[name]:
            found.append((name, "is served by Claude models only. Leave it out."))
    return found


def _context_refusals(value: Any) -> list[tuple[str, str]]:
    """Edits that clear thought ask for nothing here, where none is passed on; the others would change the prompt."""
    edits = value.get("edits") if isinstance(value, dict) else None
    kinds = (
        [str(edit.get("type")) if isinstance(edit, dict) else "" for edit in edits] if isinstance(edits, list) else [""]
    )
    if all(kind.startswith("clear_thinking") for kind in kinds):
        return []
    return [("context_management", "is served by Claude models only. Leave it out.")]


def request(body: Json) -> Json:
    """-> the chat body. Raises ApiError (400) naming the parameter that chat cannot be told."""
    out = _translated(body)
    last = out["messages"][-1] if out["messages"] else None
    if last is None:
        raise unsupported("messages", "holds nothing to answer. Send at least one user message.")
    if last["role"] == "assistant":
        raise unsupported(
            "messages",
            "ends with the assistant's turn, which this model cannot go on writing. End with a user message.",
        )
    return out


def estimate_tokens(body: Json) -> int:
    """Input tokens of a call to count_tokens, by the gateway's own rule (shared/usage.py); no model is asked.

    Raises ApiError (400) as a call to /v1/messages would.
    """
    return estimate_input(_translated(body))


def _translated(body: Json) -> Json:
    for name, why in refusals(body):
        raise unsupported(name, why)
    out: Json = {"model": body.get("model"), "messages": chat_messages(body)}
    if body.get("max_tokens") is not None:
        out["max_completion_tokens"] = a_count(body["max_tokens"], "max_tokens")
    for name in ("temperature", "top_p", "stream"):
        if body.get(name) is not None:
            out[name] = body[name]
    _add_stop(out, body)
    _add_tools(out, body)
    _add_effort(out, body)
    _add_format(out, body)
    _add_user(out, body)
    tier = body.get("service_tier")
    if tier is not None:
        if not isinstance(tier, str) or tier not in _TIERS:
            raise wrong_type("service_tier", "auto or standard_only")
        out["service_tier"] = _TIERS[tier]
    return out


def _add_stop(out: Json, body: Mapping[str, Any]) -> None:
    stops = a_list(body.get("stop_sequences") or [], "stop_sequences")
    if len(stops) > MOST_STOPS:
        raise unsupported("stop_sequences", f"may hold up to {MOST_STOPS} texts for this model.")
    if stops:
        out["stop"] = [a_string(stop, "stop_sequences") for stop in stops]


def _add_user(out: Json, body: Mapping[str, Any]) -> None:
    metadata = body.get("metadata")
    user = an_object(metadata, "metadata").get("user_id") if metadata is not None else None
    if user is not None:
        user = a_string(user, "metadata.user_id")
        out["user"] = user if len(user) <= _LONGEST_USER else hashlib.sha256(user.encode()).hexdigest()


def _add_tools(out: Json, body: Mapping[str, Any]) -> None:
    given = a_list(body.get("tools") or [], "tools")
    if not given:
        return
    out["tools"] = [_tool(entry, f"tools[{index}]") for index, entry in enumerate(given)]
    if body.get("tool_choice") is None:
        return
    choice = an_object(body["tool_choice"], "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        out["tool_choice"] = {
            "type": "function",
            "function": {"name": a_string(choice.get("name"), "tool_choice.name")},
        }
    elif isinstance(kind, str) and kind in _CHOICES:
        out["tool_choice"] = _CHOICES[kind]
    else:
        raise wrong_type("tool_choice.type", "auto, any, tool or none")
    if choice.get("disable_parallel_tool_use") is True:
        out["parallel_tool_calls"] = False


_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _tool(entry: Any, where: str) -> Json:
    tool = an_object(entry, where)
    if tool.get("type") not in (None, "custom"):
        raise unsupported(
            f"{where}.type",
            f"{str(tool['type'])[:60]!r} is a tool of Anthropic's, which only Claude models know. Describe a tool of "
            "your own, with name, description and input_schema.",
        )
    schema = an_object(tool.get("input_schema"), f"{where}.input_schema")
    function: Json = {"name": a_string(tool.get("name"), f"{where}.name"), "parameters": schema}
    if tool.get("description"):
        function["description"] = a_string(tool["description"], f"{where}.description")
    if tool.get("strict") is True and is_strict(schema):
        function["strict"] = True
    return {"type": "function", "function": function}


def _add_effort(out: Json, body: Mapping[str, Any]) -> None:
    """`output_config.effort` says it outright; a budget of tokens is read as one of three; off says nothing.

    Off becomes nothing rather than `none`, which half of the reasoning models refuse: each has its own least.
    """
    thinking, config = body.get("thinking"), body.get("output_config")
    effort = an_object(config, "output_config").get("effort") if config is not None else None
    if effort is not None and effort not in _EFFORTS:
        raise wrong_type("output_config.effort", "low, medium, high, xhigh or max")
    kind = an_object(thinking, "thinking").get("type") if thinking is not None else None
    if kind not in (None, "enabled", "adaptive", "between_tools", "disabled"):
        raise wrong_type("thinking.type", "enabled, adaptive or disabled")
    if kind == "enabled" and effort is None:
        budget = a_count(an_object(thinking, "thinking").get("budget_tokens"), "thinking.budget_tokens")
        effort = "high" if budget >= _HIGH_BUDGET else "medium" if budget >= _MEDIUM_BUDGET else "low"
    if effort is not None and kind != "disabled":
        out["reasoning_effort"] = effort
    elif kind in ("adaptive", "between_tools"):
        out["reasoning_effort"] = "medium"  # the model shall think as it sees fit, and some would not at all


def _add_format(out: Json, body: Mapping[str, Any]) -> None:
    config = body.get("output_config")
    name = "output_format" if body.get("output_format") is not None else "output_config.format"
    wanted = body.get("output_format") or (config.get("format") if isinstance(config, dict) else None)
    if wanted is None:
        return
    form = an_object(wanted, name)
    if form.get("type") != "json_schema":
        raise wrong_type(f"{name}.type", "json_schema")
    schema = an_object(form.get("schema"), f"{name}.schema")
    named: Json = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
    out["response_format"] = {"type": "json_schema", "json_schema": named}


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes a schema: each object closed, and each of its properties required.

    Anthropic's takes more, so a schema that does not qualify is sent as a wish rather than refused.
    """
    if isinstance(schema, list):
        return all(is_strict(entry) for entry in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        required = schema.get("required")
        names = set(properties) if isinstance(properties, dict) else set[str]()
        if schema.get("additionalProperties") is not False or not names <= set(
            required if isinstance(required, list) else ()
        ):
            return False
    return all(is_strict(value) for value in schema.values())
