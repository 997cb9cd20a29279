"""Counting before a message is sent: asked of Claude, by the gateway's own rule for every other model."""

from __future__ import annotations

import orjson
import pytest

from shared.errors import ApiError
from shared.transform import exchange
from tests.unit.given import deployment
from tests.unit.transform.calls import asked, sent

BODY = {"model": "alias", "messages": [{"role": "user", "content": "x" * 400}]}
CLAUDE = deployment(serves=("messages", "count"), surface="anthropic")


def test_claude_is_asked() -> None:
    headers = {"anthropic-version": "2026-01-01", "anthropic-beta": "a,b", "x-api-key": "k"}
    plan = exchange(asked("messages_count_tokens", BODY, CLAUDE, headers=headers))
    assert plan.local() is None
    (part,) = plan.parts(ask_usage=True)
    assert (part.operation, sent(part)) == ("messages/count_tokens", BODY | {"model": "dep-1"})
    assert plan.headers == (("anthropic-version", "2026-01-01"), ("anthropic-beta", "a,b"))
    answer = plan.answer()
    assert orjson.loads(answer.read(b'{"input_tokens":100}')) == {"input_tokens": 100}
    assert answer.usage_or_estimate().input_tokens == 0  # counting costs nothing


@pytest.mark.parametrize("serves", [("chat",), ("responses",), ("chat", "responses")])
def test_other_models_are_not(serves: tuple[str, ...]) -> None:
    plan = exchange(asked("messages_count_tokens", BODY, deployment(serves=serves)))  # type: ignore[arg-type]
    assert orjson.loads(plan.local() or b"") == {"input_tokens": 104}


def test_what_the_message_itself_would_be_refused_for_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        exchange(asked("messages_count_tokens", BODY | {"top_k": 5}, deployment())).local()
    assert (refused.value.status, refused.value.param) == (400, "top_k")
