"""The model list in OpenAI's shape."""

from __future__ import annotations

import orjson

from shared.transform.models import CREATED, describe_model, list_models


def model(alias: str) -> dict[str, object]:
    return {"id": alias, "object": "model", "created": CREATED, "owned_by": "tollgate"}


def test_list_holds_the_aliases_in_order() -> None:
    assert orjson.loads(list_models(["b", "a/ż"])) == {"object": "list", "data": [model("b"), model("a/ż")]}
    assert orjson.loads(list_models([])) == {"object": "list", "data": []}


def test_model_is_described_by_its_alias() -> None:
    assert orjson.loads(describe_model("gpt-5")) == model("gpt-5")
