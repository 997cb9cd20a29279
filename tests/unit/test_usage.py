"""Azure's names for tokens, and the rule for when there are no figures."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.types import Usage
from shared.usage import estimate_input, estimate_text, estimate_usage, read_usage


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
