"""The rules of families on a Responses body, and what a configuration adds to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.errors import ApiError
from shared.transform.responses_edits import edit_responses, fill_defaults
from tests.unit.given import deployment


def edited(body: dict[str, Any], family: str, **options: Any) -> dict[str, Any]:
    out, before = dict(body), copy.deepcopy(body)
    edit_responses(out, deployment(family, **options))
    assert body == before
    return out


@pytest.mark.parametrize("family", ["ordinary", "open"])
def test_models_that_do_not_reason_judge_for_themselves(family: str) -> None:
    body = {"temperature": 0.5, "reasoning": {"effort": "wild"}, "top_logprobs": 3}
    assert edited(body, family) == body


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("gpt-5", {"temperature": 0.5}, "temperature"),
    ("gpt-5", {"top_p": 0.5}, "top_p"),
    ("o_series", {"top_logprobs": 3}, "top_logprobs"),
    ("gpt-5", {"reasoning": {"effort": "none"}}, "reasoning"),
    ("gpt-5.1", {"temperature": 0.5, "reasoning": {"effort": "low"}}, "temperature"),
]


@pytest.mark.parametrize(("family", "body", "param"), REFUSED)
def test_what_a_family_does_not_take(family: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        edited(body, family)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, "unsupported_parameter")
    left = edited({**body, "input": "x"}, family, drop_params=True)
    assert param not in left or "effort" not in left[param]
    assert left["input"] == "x"


def test_what_changes_nothing_or_is_allowed_passes() -> None:
    assert edited({"temperature": 1, "top_p": 1, "input": "x"}, "gpt-5") == {"input": "x"}
    assert edited({"temperature": 0.5, "reasoning": {"effort": "none"}}, "gpt-5.1")["temperature"] == 0.5
    assert edited({"temperature": 0.5}, "gpt-5", allowed=["temperature"]) == {"temperature": 0.5}
    assert edited({"reasoning": {"effort": "wild"}}, "gpt-5", allowed=["reasoning_effort"])
    assert edited({"user": "u", "input": "x"}, "gpt-5", dropped=["user"]) == {"input": "x"}


@pytest.mark.parametrize("reasoning", [None, "low", [], {"effort": None}, {"summary": "auto"}])
def test_reasoning_without_an_effort_is_the_models_to_judge(reasoning: Any) -> None:
    assert edited({"reasoning": reasoning}, "gpt-5") == {"reasoning": reasoning}


def test_summary_stays_when_the_effort_is_dropped() -> None:
    body = {"reasoning": {"effort": "wild", "summary": "auto"}}
    assert edited(body, "gpt-5", drop_params=True) == {"reasoning": {"summary": "auto"}}


DEFAULTS: dict[str, Any] = {
    "max_tokens": 9, "reasoning_effort": "low", "verbosity": "low", "stop": ["x"], "temperature": 0.1, "truncation": "auto",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ({}, {"max_output_tokens": 9, "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "temperature": 0.1,
              "truncation": "auto"}),
        ({"max_output_tokens": 5, "reasoning": {"effort": "high"}, "text": {"verbosity": "high"}, "temperature": 1,
          "truncation": "disabled"}, {}),
        ({"reasoning": {"summary": "auto"}, "text": None, "temperature": None, "truncation": "x"},
         {"max_output_tokens": 9, "reasoning": {"summary": "auto", "effort": "low"}, "text": {"verbosity": "low"}}),
        ({"reasoning": "wrong", "text": {"verbosity": None}, "temperature": 1, "truncation": "x"},
         {"max_output_tokens": 9}),
    ],
)  # fmt: skip
def test_configured_fields_are_said_in_the_words_of_responses(given: dict[str, Any], expect: dict[str, Any]) -> None:
    body = dict(given)
    fill_defaults(body, deployment(defaults=DEFAULTS))
    assert body == given | expect
