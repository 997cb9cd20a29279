"""What the Messages API does not take, refused in Anthropic's words: one function a rule, a table of them at the end.

Owns the parameters. The order of messages and their blocks is `order.py`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ApiError
from .conversation import Block, Conversation, blocks_of
from .errors import extra, invalid, required
from .order import check_blocks, check_order

CONTEXT_TOKENS = 200_000
STRUCTURED_BETA = "structured-outputs-2025-11-13"
_COUNTED = frozenset(
    "model messages system tools tool_choice thinking output_config output_format cache_control".split()
)
_KNOWN = _COUNTED | set(
    "max_tokens metadata service_tier stop_sequences stream temperature top_k top_p container context_management "
    "mcp_servers inference_geo speed".split()
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ADAPTIVE = re.compile(r"claude-(opus|sonnet)-4-[6-9]|claude-[a-z]+-[5-9]")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_DOCS = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_CACHE_MARKS = 4

Rule = Callable[[Conversation, str], ApiError | None]


def _fields(asked: Conversation, _betas: str) -> ApiError | None:
    body = asked.body
    for name in ("messages", "max_tokens"):
        if name not in body:
            return required(name)
    for name in body:
        if name not in _KNOWN:
            return extra(name)
    limit = body["max_tokens"]
    if not isinstance(limit, int) or isinstance(limit, bool):
        return invalid("max_tokens: Input should be a valid integer")
    return invalid("max_tokens: Input should be greater than or equal to 1") if limit < 1 else None


def _counted_fields(asked: Conversation, _betas: str) -> ApiError | None:
    if "messages" not in asked.body:
        return required("messages")
    return next((extra(name) for name in asked.body if name not in _COUNTED), None)


def _betas(asked: Conversation, betas: str) -> ApiError | None:
    return extra("output_format") if "output_format" in asked.body and STRUCTURED_BETA not in betas else None


def _types(asked: Conversation, _betas: str) -> ApiError | None:
    body = asked.body
    for name, kind, told in (
        ("messages", list, "list"),
        ("tools", list, "list"),
        ("stop_sequences", list, "list"),
        ("stream", bool, "boolean"),
        ("thinking", dict, "dictionary"),
        ("tool_choice", dict, "dictionary"),
        ("metadata", dict, "dictionary"),
        ("output_config", dict, "dictionary"),
    ):
        if body.get(name) is not None and not isinstance(body[name], kind):
            return invalid(f"{name}: Input should be a valid {told}")
    if not isinstance(body.get("system", ""), str | list):
        return invalid("system: Input should be a valid string")
    for place, block in enumerate(blocks_of(body.get("system"))):
        if block.get("type") != "text" or not isinstance(block.get("text"), str):
            return invalid(f"system.{place}.type: Input should be 'text'")
        if not block["text"]:
            return invalid("system: text content blocks must be non-empty")
    return None


def _sampling(asked: Conversation, _betas: str) -> ApiError | None:
    body = asked.body
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float):
            return invalid(f"{name}: Input should be a valid number")
        if not 0 <= value <= 1:
            return invalid(f"{name}: range: 0..1")
    if body.get("temperature") is not None and body.get("top_p") is not None:
        return invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    return None


def _thinking(asked: Conversation, _betas: str) -> ApiError | None:
    body, given = asked.body, asked.body.get("thinking")
    if given is None or given.get("type") == "disabled":
        return None
    if given.get("type") == "adaptive":
        if not _ADAPTIVE.match(asked.model.version):
            return invalid("adaptive thinking is not supported on this model")
    elif given.get("type") != "enabled":
        tags = "'disabled', 'enabled', 'adaptive'"
        return invalid(f"thinking: Input tag '{given.get('type')}' does not match any of the expected tags: {tags}")
    else:
        budget = given.get("budget_tokens")
        if not isinstance(budget, int):
            return required("thinking.enabled.budget_tokens")
        if budget < 1_024:
            return invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body.get("max_tokens", budget + 1):
            page = f"{_DOCS}#max-tokens-and-context-window-size"
            return invalid(f"`max_tokens` must be greater than `thinking.budget_tokens`. {page}")
    if body.get("temperature") not in (None, 1):
        return invalid(f"`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. {_DOCS}")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return invalid("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _tools(asked: Conversation, _betas: str) -> ApiError | None:
    names: list[Any] = []
    tools: list[Any] = asked.body.get("tools") or []
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict) or "name" not in tool:
            return required(f"tools.{place}.custom.name")
        names.append(tool["name"])
        if tool.get("type", "custom") != "custom":
            continue
        path = f"tools.{place}.custom"
        if not isinstance(tool["name"], str) or not _TOOL_NAME.fullmatch(tool["name"]):
            return invalid(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            return required(f"{path}.input_schema")
        if schema.get("type") != "object":
            return required(f"{path}.input_schema.type")
    if len(set(names)) < len(names):
        return invalid("tools: Tool names must be unique.")
    return _tool_choice(asked.body.get("tool_choice"), names)


def _tool_choice(choice: Block | None, names: list[Any]) -> ApiError | None:
    if choice is None:
        return None
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        tags = "'auto', 'any', 'tool', 'none'"
        kind = choice.get("type")
        return invalid(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        )
    if not names:
        return invalid("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        return invalid(f"Tool '{choice.get('name')}' not found in provided tools")
    return None


def _output(asked: Conversation, _betas: str) -> ApiError | None:
    config = asked.body.get("output_config") or {}
    if config.get("effort") not in (None, *_EFFORTS):
        return invalid(f"output_config.effort: Input should be one of {', '.join(map(repr, _EFFORTS))}")
    for name, wanted in (
        ("output_config.format", config.get("format")),
        ("output_format", asked.body.get("output_format")),
    ):
        if wanted is not None and (wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict)):
            return required(f"{name}.schema")
    return None


def _stops(asked: Conversation, _betas: str) -> ApiError | None:
    if any(not isinstance(stop, str) or not stop.strip() for stop in asked.body.get("stop_sequences") or ()):
        return invalid("stop_sequences: each stop sequence must contain non-whitespace")
    return None


def _cache(asked: Conversation, _betas: str) -> ApiError | None:
    marks = list(_marks(asked.body))
    if len(marks) > _CACHE_MARKS:
        return invalid(f"A maximum of {_CACHE_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")
    for path, mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            return invalid(f"{path}.cache_control: Input should be 'ephemeral'")
        if unknown := sorted(set(mark) - {"type", "ttl"}):
            return extra(f"{path}.cache_control.ephemeral.{unknown[0]}")
        if mark.get("ttl", "5m") not in ("5m", "1h"):
            return invalid(f"{path}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    return None


def _marks(body: Any) -> Iterator[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [(f"tools.{n}", tool) for n, tool in enumerate(body.get("tools") or ())]
    rows += [(f"system.{n}", block) for n, block in enumerate(blocks_of(body.get("system")))]
    for n, message in enumerate(body["messages"]):
        rows += [(f"messages.{n}.content.{m}", block) for m, block in enumerate(blocks_of(message["content"]))]
    for path, row in rows:
        if row.get("cache_control") is not None:
            yield path, row["cache_control"]


def _blocks(asked: Conversation, _betas: str) -> ApiError | None:
    return check_blocks(asked.body["messages"])


def _order(asked: Conversation, _betas: str) -> ApiError | None:
    return check_order(asked.body["messages"], thinking=asked.thinking is not None)


def _length(asked: Conversation, _betas: str) -> ApiError | None:
    count = asked.tokens
    message = f"prompt is too long: {count} tokens > {CONTEXT_TOKENS} maximum"
    return invalid(message) if count > CONTEXT_TOKENS else None


_COMMON: tuple[Rule, ...] = (_betas, _types, _tools, _thinking, _output, _blocks, _order, _cache)
_OF_MESSAGES: tuple[Rule, ...] = (_fields, *_COMMON, _sampling, _stops, _length)
_OF_COUNTING: tuple[Rule, ...] = (_counted_fields, *_COMMON)


def refuse(asked: Conversation, betas: str, *, counting: bool = False) -> None:
    """`betas`: the header `anthropic-beta` as it came."""
    for rule in _OF_COUNTING if counting else _OF_MESSAGES:
        try:
            problem = rule(asked, betas)
        except (AttributeError, KeyError, TypeError):  # of another type than any rule foresees
            problem = invalid("Input should be a valid dictionary or object to extract fields from")
        if problem is not None:
            raise problem
