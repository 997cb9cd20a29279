"""Aliases in answers, deployments in requests; neither side sees the other's names."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ApiError
from shared.transform.naming import AliasNames, name_models
from tests.unit.transform.calls import asked

NAMES = {"gpt": "dep-1", "gpt-again": "dep-1", "grader": "dep-2"}


@pytest.mark.parametrize("inner", ["response", "message", "session", "data_source"])
def test_answer_of_a_model_names_the_alias_whatever_it_says(inner: str) -> None:
    value: dict[str, Any] = {"model": "dep-1-2026", inner: {"model": "dep-1", "id": "x"}, "data": [{"model": "mine"}]}
    AliasNames(asked("responses_create")).show(value)
    assert value == {"model": "alias", inner: {"model": "alias", "id": "x"}, "data": [{"model": "mine"}]}
    plain: dict[str, Any] = {"id": "x", inner: "text"}
    AliasNames(asked("responses_create")).show(plain)
    assert plain == {"id": "x", inner: "text"}


def test_answer_of_a_resource_names_each_alias() -> None:
    names = AliasNames(asked("evals_runs_list", names=NAMES))
    value: dict[str, Any] = {"data": [{"model": "dep-2"}, {"model": "gpt-4o-2024-11-20"}, {"model": None}, "x",
                                      {"data_source": {"model": "dep-1"}}]}  # fmt: skip
    names.show(value)
    assert value["data"] == [{"model": "grader"}, {"model": "gpt-4o-2024-11-20"}, {"model": None}, "x",
                             {"data_source": {"model": "gpt"}}]  # fmt: skip


def test_models_of_evaluations_become_deployments() -> None:
    body: dict[str, Any] = {
        "name": "grader",
        "data_source": {"model": "gpt", "input_messages": {"model": "data"}, "source": {"content": [{"model": "row"}]}},
        "testing_criteria": [{"type": "label_model", "model": "grader", "input": [{"model": "said"}]}],
        "model": "gpt",
    }
    before = repr(body)
    named = name_models(body, "evals_runs_create", NAMES)
    assert repr(body) == before
    assert (named["data_source"]["model"], named["testing_criteria"][0]["model"]) == ("dep-1", "dep-2")
    assert named["data_source"]["source"] == body["data_source"]["source"]
    assert named["testing_criteria"][0]["input"] == [{"model": "said"}]
    assert (named["name"], named["model"]) == ("grader", "gpt")
    assert name_models(body, "vector_stores_create", {}) is body


def test_graders_of_fine_tuning_are_named_and_its_own_model_stays() -> None:
    body: dict[str, Any] = {
        "model": "gpt-4o-2024-11-20",
        "method": {"type": "reinforcement", "reinforcement": {"grader": {"graders": {"a": {"model": "grader"}}},
                                                              "hyperparameters": {"model": "x"}}},
    }  # fmt: skip
    named = name_models(body, "fine_tuning_jobs_create", NAMES)
    assert named["model"] == "gpt-4o-2024-11-20"
    inner = named["method"]["reinforcement"]
    assert (inner["grader"]["graders"]["a"]["model"], inner["hyperparameters"]) == ("dep-2", {"model": "x"})


@pytest.mark.parametrize("model", ["dep-1", "dep-2", "someone-elses"])
def test_model_that_the_caller_may_not_use_is_unknown(model: str) -> None:
    with pytest.raises(ApiError) as refused:
        name_models({"data_source": {"model": model}}, "evals_runs_create", NAMES)
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")
