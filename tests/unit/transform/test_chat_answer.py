"""One completion that is not streamed: the alias in, the model out, everything else as it came."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.errors import ApiError
from shared.transform.chat import ChatAnswer
from shared.types import Usage
from tests.unit.given import deployment, sample

BODY = {"messages": [{"role": "user", "content": "12345678"}]}


def read(data: bytes) -> tuple[ChatAnswer, Any]:
    answer = ChatAnswer(BODY, deployment())
    return answer, orjson.loads(answer.read(data))


@pytest.mark.parametrize(
    ("name", "model", "usage"),
    [
        ("az-chat", "gpt-4.1-mini-2025-04-14", Usage(16, 22)),
        ("az-chat-gpt5-reasoning", "gpt-5-nano-2025-08-07", Usage(11, 203, reasoning_tokens=192)),
    ],
)
def test_recorded_answer_changes_in_its_model_alone(name: str, model: str, usage: Usage) -> None:
    data = sample(f"{name}.body.json")
    answer, found = read(data)
    assert found == {**orjson.loads(data), "model": "alias"}
    assert (answer.model, answer.usage, answer.usage_or_estimate()) == (model, usage, usage)


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ("priority", "priority"),
        ("flex", "flex"),
        ("default", "default"),
        ("auto", ""),
        (None, ""),
        (["flex"], ""),
        (1, ""),
    ],
)
def test_answer_tells_by_which_tier_it_was_served(told: Any, tier: str) -> None:
    whole = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "service_tier": told}
    answer, found = read(orjson.dumps(whole))
    assert answer.usage_or_estimate() == Usage(3, 2, tier=tier)
    assert found["service_tier"] == told
    silent, _ = read(orjson.dumps({"choices": [], "service_tier": told}))
    assert silent.usage_or_estimate() == Usage(6, 0, tier=tier, estimated=True)


def test_answer_without_usage_is_estimated() -> None:
    answer, found = read(b'{"choices":[{"message":{"content":"x"}}]}')
    assert found == {"choices": [{"message": {"content": "x"}}], "model": "alias"}
    assert (answer.model, answer.usage) == ("", None)
    assert answer.usage_or_estimate() == Usage(input_tokens=6, output_tokens=1, estimated=True)


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"null", b'"x"', b'{"a":', b'{"a": NaN}', b"\xff"])
def test_answer_that_is_no_completion_is_a_502(data: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        ChatAnswer(BODY, deployment()).read(data)
    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")
