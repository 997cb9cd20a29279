"""Moderations by Content Safety: what is asked, and how severities become OpenAI's answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types import ModerationCreateResponse

from shared.errors import ApiError
from shared.transform.moderations import ModerationsExchange
from shared.types import Usage
from tests.unit.transform.calls import asked, sent

IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


def exchange(given: Any) -> ModerationsExchange:
    return ModerationsExchange(asked("moderations", {"input": given}))


def analysis(**severities: int) -> bytes:
    return orjson.dumps({"categoriesAnalysis": [{"category": k, "severity": v} for k, v in severities.items()]})


def results(given: Any, *answers: bytes) -> list[Any]:
    made = exchange(given).answer()
    out = made.join([*answers])
    answer = orjson.loads(out)
    ModerationCreateResponse.model_validate(answer, strict=True)
    assert (answer["model"], made.ended, made.usage_or_estimate()) == ("alias", True, Usage())
    return answer["results"]


def test_each_text_and_image_is_a_request() -> None:
    parts = exchange([{"type": "text", "text": "hi"}, IMAGE]).parts(ask_usage=True)
    assert [(part.operation, sent(part)) for part in parts] == [
        ("text:analyze", {"text": "hi", "outputType": "EightSeverityLevels"}),
        ("image:analyze", {"image": {"content": "aGk="}, "outputType": "FourSeverityLevels"}),
    ]
    assert [sent(part)["text"] for part in exchange(["a", "b"]).parts(ask_usage=True)] == ["a", "b"]


@pytest.mark.parametrize(
    ("severity", "score", "flagged"), [(0, 0.0, False), (3, 0.4286, False), (4, 0.5714, True), (7, 1.0, True)]
)
def test_severity_becomes_score_and_flag(severity: int, score: float, flagged: bool) -> None:
    (result,) = results("x", analysis(Violence=severity, Hate=0))
    assert (result["category_scores"]["violence"], result["categories"]["violence"], result["flagged"]) == (
        score, flagged, flagged,
    )  # fmt: skip


def test_every_category_of_openai_is_there_and_what_was_not_judged_says_so() -> None:
    (result,) = results("x", analysis(Hate=6, SelfHarm=0, Sexual=0, Violence=0))
    assert {k for k, v in result["categories"].items() if v} == {"hate", "harassment"}
    assert {k for k, v in result["category_applied_input_types"].items() if v} == {
        "hate", "harassment", "violence", "sexual", "self-harm",
    }  # fmt: skip
    (none,) = results("x", orjson.dumps({"categoriesAnalysis": "?"}))
    assert (none["flagged"], any(none["category_applied_input_types"].values())) == (False, False)


def test_parts_have_one_result_and_texts_one_each() -> None:
    together = results([{"type": "text", "text": "a"}, IMAGE], analysis(Violence=1), analysis(Violence=6, Hate=4))
    (result,) = together
    assert result["category_scores"]["violence"] == round(6 / 7, 4)
    types = result["category_applied_input_types"]
    assert (types["violence"], types["hate"], result["categories"]["hate"]) == (["image", "text"], [], True)
    apart = results(["a", "b"], analysis(Violence=1), analysis(Violence=6))
    assert [row["flagged"] for row in apart] == [False, True]


@pytest.mark.parametrize(
    ("given", "param"),
    [(None, "input"), ({}, "input"), ([], "input"), ([IMAGE, "x"], "input"), (["a"] * 101, "input"), ("", "input"),
     (["a", "x" * 10_001], "input[1]"), ([{"type": "text", "text": 5}], "input[0].text"), ([5], "input[0]"),
     ([{"type": "image_url", "image_url": {"url": "https://x/a;base64,b"}}], "input[0]"),
     ([{"type": "image_url", "image_url": "data:image/png;base64,aGk="}], "input[0]")],
)  # fmt: skip
def test_what_cannot_be_judged_is_named(given: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        exchange(given).parts(ask_usage=True)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_answer_that_is_none() -> None:
    with pytest.raises(ApiError) as refused:
        exchange("x").answer().read(b"[]")
    assert refused.value.status == 502
