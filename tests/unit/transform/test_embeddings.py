"""Embeddings: split where Azure takes no more, joined in order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.errors import ApiError
from shared.transform.embeddings import MOST_INPUTS, EmbeddingsExchange
from shared.types import Usage
from tests.unit.transform.calls import asked, sent


def parts(given: Any) -> list[Any]:
    call = asked("embeddings", {"model": "alias", "input": given, "dimensions": 2})
    return [sent(part) for part in EmbeddingsExchange(call).parts(ask_usage=True)]


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ("text", [4]), ([1] * 9_000, [9_000]), (["a"] * MOST_INPUTS, [MOST_INPUTS]), (["a"] * 2_049, [2_048, 1]),
        ([[1, 2]] * 4_097, [2_048, 2_048, 1]),
    ],
    ids=["text", "tokens", "full", "one-more", "token-lists"],
)  # fmt: skip
def test_inputs_are_split_at_azures_limit(given: Any, sizes: list[int]) -> None:
    bodies = parts(given)
    assert [len(body["input"]) for body in bodies] == sizes
    assert all((body["model"], body["dimensions"]) == ("dep-1", 2) for body in bodies)
    joined = bodies[0]["input"] if len(bodies) == 1 else [one for body in bodies for one in body["input"]]
    assert joined == given


def answer(numbers: list[int], **more: Any) -> bytes:
    rows = [{"object": "embedding", "index": i, "embedding": [n]} for i, n in enumerate(numbers)]
    usage = {"prompt_tokens": len(numbers), "total_tokens": len(numbers), "prompt_tokens_details": None}
    return orjson.dumps({"object": "list", "data": rows, "model": "dep-1", "usage": usage} | more)


def joined(*answers: bytes, given: Any = "12345678") -> tuple[Any, Any]:
    made = EmbeddingsExchange(asked("embeddings", {"input": given})).answer()
    return orjson.loads(made.join(list(answers))), made


def test_answers_are_one_in_order() -> None:
    out, made = joined(answer([1, 2]), answer([3]), answer([4, 5]))
    assert [(row["index"], row["embedding"]) for row in out["data"]] == [(n, [n + 1]) for n in range(5)]
    assert (out["model"], out["usage"]["total_tokens"]) == ("alias", 5)
    assert (made.usage_or_estimate(), made.ended) == (Usage(5), True)


@pytest.mark.parametrize("silent", [0, 1])
def test_usage_that_one_answer_lacks_is_estimated_as_a_whole(silent: int) -> None:
    answers = [answer([1]), answer([2])]
    answers[silent] = answer([1], usage=None)
    out, made = joined(*answers)
    assert "usage" not in out
    assert made.usage_or_estimate() == Usage(2, estimated=True)


@pytest.mark.parametrize("bad", [b"{", b"[]", b""])
def test_answer_that_is_none(bad: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        joined(answer([1]), bad)
    assert refused.value.status == 502
