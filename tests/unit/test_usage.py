"""Azure's names for tokens, and the rule for when there are no figures."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.types import Usage
from shared.usage import (
    TIERS,
    estimate_drawn,
    estimate_input,
    estimate_text,
    estimate_usage,
    read_anthropic_usage,
    read_usage,
    tier_of,
)


class Case(NamedTuple):
    id: str
    given: Any
    expect: Usage | None


CASES = [
    Case("chat", {"prompt_tokens": 16, "completion_tokens": 22, "total_tokens": 38}, Usage(16, 22)),
    Case(
        "chat, in detail",
        {
            "prompt_tokens": 30, "completion_tokens": 22,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 9, "audio_tokens": 3, "accepted_prediction_tokens": 1},
        },
        Usage(30, 22, 8, 9, 4, 3),
    ),
    Case(
        "response",
        {
            "input_tokens": 30, "output_tokens": 22, "input_tokens_details": {"cached_tokens": 8},
            "output_tokens_details": {"reasoning_tokens": 9},
        },
        Usage(30, 22, 8, 9),
    ),
    Case("embedding", {"prompt_tokens": 5, "total_tokens": 5}, Usage(5)),
    Case("null details", {"prompt_tokens": 5, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(5)),
    Case("odd details", {"prompt_tokens": 5, "prompt_tokens_details": [1], "completion_tokens_details": "x"}, Usage(5)),
    Case("more cached than read", {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 161}}, Usage(7, 0, 7)),
    Case("garbage", {"prompt_tokens": "5", "completion_tokens": -3}, Usage()),
    Case("garbage of other kinds", {"prompt_tokens": True, "completion_tokens": 2.5}, Usage()),
    Case("null prompt, input given", {"prompt_tokens": None, "input_tokens": 4}, Usage(4)),
    Case("no tokens named", {"total_tokens": 5}, None),
    Case("empty", {}, None),
    Case("null", None, None),
    Case("list", [1], None),
    Case("text", "prompt_tokens", None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_usage_is_mapped(case: Case) -> None:
    assert read_usage(case.given) == case.expect


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_tier_is_kept_as_it_was_sent(tier: str) -> None:
    assert read_usage({"prompt_tokens": 3}, tier) == Usage(3, tier=tier)
    assert read_anthropic_usage({"input_tokens": 3, "service_tier": tier}) == Usage(3, tier=tier)
    assert estimate_usage({}, 2, tier) == Usage(0, 2, tier=tier, estimated=True)


@pytest.mark.parametrize(
    "told", ["auto", "fast", "PRIORITY", "standard_only", "", None, 5, True, ["flex"], {"a": 1}, 2.5]
)
def test_what_is_no_tier_is_none(told: Any) -> None:
    assert tier_of(told) == ""
    assert read_usage({"prompt_tokens": 3}, told) == Usage(3)
    assert read_anthropic_usage({"input_tokens": 3, "service_tier": told}) == Usage(3)


def test_rejected_prediction_is_within_the_output_and_not_counted_again() -> None:
    details = {"accepted_prediction_tokens": 5, "rejected_prediction_tokens": 12, "reasoning_tokens": 0}
    given = {"prompt_tokens": 30, "completion_tokens": 22, "total_tokens": 52, "completion_tokens_details": details}
    assert read_usage(given) == Usage(30, 22)


ANTHROPIC = [
    Case("plain", {"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
    Case(
        "cache by how long it is kept",
        {
            "input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        },
        Usage(38, 2, 5, cache_write_tokens=30, cache_write_1h_tokens=20),
    ),
    Case(
        "more for an hour than at all",
        {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
        Usage(7, cache_write_tokens=4, cache_write_1h_tokens=4),
    ),
    Case("thought", {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6}}, Usage(0, 9, reasoning_tokens=6)),
    Case(
        "nulls",
        {"input_tokens": 3, "cache_creation": None, "output_tokens_details": None, "cache_read_input_tokens": None},
        Usage(3),
    ),
    Case("odd parts", {"input_tokens": 3, "cache_creation": [1], "cache_creation_input_tokens": "4"}, Usage(3)),
    Case("nothing", {"service_tier": "priority"}, None),
    Case("null", None, None),
]  # fmt: skip


@pytest.mark.parametrize("case", ANTHROPIC, ids=lambda case: case.id)
def test_usage_of_a_message(case: Case) -> None:
    assert read_anthropic_usage(case.given) == case.expect


@pytest.mark.parametrize(
    ("size", "quality", "tokens"),
    [
        ("1024x1024", "low", 272), ("1536x1024", "low", 408), ("1024x1536", "medium", 1584), ("1024x1024", "high", 4160),
        ("auto", "auto", 6240), (None, None, 6240), (5, ["low"], 6240),
    ],
)  # fmt: skip
def test_image_is_estimated_by_size_and_quality(size: Any, quality: Any, tokens: int) -> None:
    assert estimate_drawn(size, quality) == tokens


class Text(NamedTuple):
    id: str
    body: dict[str, Any]
    expect: int


IMAGE = {"type": "image_url", "image_url": {"url": "data:" + "x" * 9999}}
TOOL = {"type": "function"}
TEXTS = [
    Text("nothing", {}, 0),
    Text("no list", {"messages": "text"}, 0),
    Text("one message", {"messages": [{"content": "12345678"}]}, 4 + 2),
    Text("rounded up", {"messages": [{"content": "123456789"}]}, 4 + 3),
    Text("each message", {"messages": [{"content": "1234"}, {"content": ""}, {"content": None}]}, 5 + 4 + 4),
    Text("what is no message", {"messages": ["12345678", None]}, 0),
    Text("parts", {"messages": [{"content": [{"type": "text", "text": "1234"}, {"text": 5}, "x"]}]}, 4 + 1),
    Text("an image counts by itself, not by its length", {"messages": [{"content": [IMAGE]}]}, 4 + 765),
    Text("calls of tools", {"messages": [{"content": None, "tool_calls": [TOOL]}]}, 4 + -(-len(str([TOOL])) // 4)),
    Text("a tool's answer", {"messages": [{"content": [{"type": "tool_result", "content": "12345678"}]}]}, 4 + 2),
    Text(
        "a tool's answer in parts",
        {"messages": [{"content": [{"type": "tool_result", "content": [{"text": "12345678"}, IMAGE]}]}]},
        4 + 2 + 765,
    ),
    Text("a tool's use", {"messages": [{"content": [{"type": "tool_use", "input": {"a": 1}}]}]}, 4 + 2),
    Text("thought", {"messages": [{"content": [{"type": "thinking", "thinking": "12345678"}]}]}, 4 + 2),
    Text("system and instructions", {"system": [{"text": "1234"}], "instructions": "1234"}, 2),
    Text("input", {"input": "12345678"}, 2),
    Text("inputs", {"input": ["1234", "12345"]}, 3),
    Text("tokens", {"input": [1, 2, 3]}, 3),
    Text("lists of tokens", {"prompt": [[1, 2], [3]]}, 3),
    Text("a list that changes its mind", {"prompt": [1, "12345678", None]}, 3),
    Text("odd lists", {"prompt": [None, 5.5, {}, []], "input": [{"content": 5, "text": 5}]}, 4 + 4),
    Text("an item", {"input": [{"role": "user", "content": "12345678"}]}, 4 + 2),
    Text("an item in parts", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "1234"}]}]}, 4 + 1),
    Text("an item's call", {"input": [{"type": "function_call", "arguments": "12345678"}]}, 4 + 2),
    Text("an item's answer", {"input": [{"type": "function_call_output", "output": "12345678"}]}, 4 + 2),
    Text("neither text nor list", {"input": 5, "prompt": {"id": "pmpt_1"}, "system": 5, "instructions": ["x"]}, 0),
    Text("tools", {"tools": [TOOL, TOOL]}, -(-2 * len(str(TOOL)) // 4)),
    Text("odd tools", {"tools": {"a": 1}}, 0),
]


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.id)
def test_estimate_of_the_input_is_by_length(case: Text) -> None:
    assert estimate_input(case.body) == case.expect
    assert estimate_usage(case.body, 7) == Usage(input_tokens=case.expect, output_tokens=7, estimated=True)


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_estimate_of_text_is_rounded_up(characters: int, tokens: int) -> None:
    assert estimate_text(characters) == tokens
