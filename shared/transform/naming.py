"""Models by name: a client knows aliases, Azure knows deployments, and neither may see the other's.

On answers: deployment names become aliases. On requests to a resource: aliases become deployment names, wherever a
model may be named that the caller must be allowed to use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import model_not_found
from shared.transform.exchange import Asked
from shared.types import Json

_INNER = ("response", "message", "data_source", "session")
"""Objects of an answer or event that name a model themselves."""


class AliasNames:
    """Shows aliases in the answers of one call."""

    def __init__(self, asked: Asked) -> None:
        self._stored = asked.endpoint.shape == "stored"
        self._alias = asked.deployment.alias
        self._aliases = {name: alias for alias, name in reversed(list(asked.names.items()))} if self._stored else {}

    def show(self, value: Json) -> None:
        self._one(value)
        for name in _INNER:
            inner = value.get(name)
            if isinstance(inner, dict):
                self._one(inner)
        rows = value.get("data")
        if self._stored and isinstance(rows, list):
            for row in rows:
                if isinstance(row, dict):
                    self.show(row)

    def _one(self, value: Json) -> None:
        if "model" not in value:
            return
        if not self._stored:
            value["model"] = self._alias
        elif isinstance(value["model"], str):
            value["model"] = self._aliases.get(value["model"], value["model"])


_JUDGED = ("evals_", "fine_tuning_")
"""Operations whose bodies name models deep down: to sample from, and to grade with."""
_BELOW = ("data_source", "testing_criteria", "grader", "graders", "method", "reinforcement")


def name_models(body: Json, endpoint: str, names: Mapping[str, str]) -> Json:
    """-> the body with aliases replaced by deployment names, where evaluations, graders and sessions name a model.

    names: alias -> deployment, of those that the caller may use on the resource. Raises ApiError 404 for any other:
    a deployment's own name would pass by the key's list of models. What a fine-tuning job itself is about (`model`)
    is a model of Azure's, no deployment, and stays.
    """
    if endpoint == "realtime_calls_accept" and body.get("model") is not None:
        return {**body, "model": _named({"model": str(body["model"])}, names)["model"]}
    if not endpoint.startswith(_JUDGED):
        return body
    return {k: _named(v, names) if k in _BELOW else v for k, v in body.items()}


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {k: _named(v, names) if isinstance(v, (dict, list)) and k not in _DATA else v for k, v in value.items()}
    model = changed.get("model")
    if isinstance(model, str):
        if model not in names:
            raise model_not_found(model)
        changed["model"] = names[model]
    return changed


_DATA = frozenset({"input_messages", "source", "input", "item", "sampling_params", "metadata", "hyperparameters"})
"""What the caller's own rows and templates hold."""
