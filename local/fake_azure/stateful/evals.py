"""Evals: what is measured and by which criteria. Their runs are `eval_runs.py`."""

from aiohttp import web

from ..door import Door
from ..errors import invalid
from ..store import Json, listed
from . import ids
from .calls import LATER_SINCE, Call, now, served
from .eval_runs import EvalRuns
from .graders import GRADERS, reward

_SAMPLE_SCHEMA: Json = {"type": "object", "properties": {"output_text": {"type": "string"}}}


def routes(door: Door, runs: EvalRuns) -> list[web.RouteDef]:
    evals = _Evals(runs)
    return [
        *served(door, "POST", "evals", evals.create, since=LATER_SINCE),
        *served(door, "GET", "evals", evals.page, since=LATER_SINCE),
        *served(door, "GET", "evals/{eval_id}", evals.one, since=LATER_SINCE),
        *served(door, "POST", "evals/{eval_id}", evals.change, since=LATER_SINCE),
        *served(door, "DELETE", "evals/{eval_id}", evals.delete, since=LATER_SINCE),
        *runs.routes(),
        *served(door, "POST", "fine_tuning/alpha/graders/run", _run_grader, since=LATER_SINCE),
        *served(door, "POST", "fine_tuning/alpha/graders/validate", _validate_grader, since=LATER_SINCE),
    ]


class _Evals:
    def __init__(self, runs: EvalRuns) -> None:
        self._runs = runs
        self._rows = runs.evals

    def create(self, call: Call) -> Json:
        criteria = call.need("testing_criteria", list)
        for criterion in criteria:
            if not isinstance(criterion, dict) or criterion.get("type") not in GRADERS:
                raise invalid("Invalid value for 'testing_criteria': unknown type of grader.", "testing_criteria")
        row: Json = {
            "object": "eval",
            "id": ids.guid("eval_"),
            "created_at": now(),
            "name": call.given("name", ""),
            "data_source_config": _config(call.need("data_source_config", dict)),
            "testing_criteria": criteria,
            "metadata": call.metadata(),
        }
        return self._rows.put(row["id"], row)

    def page(self, call: Call) -> Json:
        return listed(self._rows.all(), call.query, order="asc")

    def one(self, call: Call) -> Json:
        return self._rows.get(call.path["eval_id"])

    def change(self, call: Call) -> Json:
        row = self.one(call)
        row["name"] = call.given("name", row["name"])
        if "metadata" in call.body:
            row["metadata"] = call.metadata()
        return row

    def delete(self, call: Call) -> Json:
        row = self._rows.remove(call.path["eval_id"])
        return {"object": "eval.deleted", "deleted": True, "eval_id": row["id"]}


def _config(given: Json) -> Json:
    match given.get("type"):
        case "custom":
            properties: Json = {"item": given.get("item_schema") or {}}
            if given.get("include_sample_schema"):
                properties["sample"] = _SAMPLE_SCHEMA
            schema: Json = {"type": "object", "properties": properties, "required": list(properties)}
            return {"type": "custom", "schema": schema}
        case "logs" | "stored_completions" as kind:
            schema = {"type": "object", "properties": {"item": {"type": "object"}, "sample": _SAMPLE_SCHEMA}}
            return {"type": kind, "metadata": given.get("metadata") or {}, "schema": schema}
        case _:
            raise invalid("Invalid value for 'data_source_config.type'.", "data_source_config.type", "invalid_value")


def _run_grader(call: Call) -> Json:
    grader, sample = call.need("grader", dict), call.need("model_sample")
    return {
        "reward": reward(grader, call.given("item", {}, dict), sample),
        "metadata": {
            "name": grader.get("name"),
            "type": grader.get("type"),
            "errors": {
                name: False
                for name in (
                    "formula_parse_error sample_parse_error truncated_observation_error unresponsive_reward_error "
                    "invalid_variable_error other_error python_grader_server_error python_grader_runtime_error "
                    "model_grader_server_error model_grader_refusal_error model_grader_parse_error"
                ).split()
            }
            | {"python_grader_server_error_type": None, "python_grader_runtime_error_details": None}
            | {"model_grader_server_error_details": None},
            "execution_time": 0.01,
            "scores": {},
            "token_usage": None,
            "sampled_model_name": None,
        },
        "sub_rewards": {},
        "model_grader_token_usage_per_model": {},
    }


def _validate_grader(call: Call) -> Json:
    grader = call.need("grader", dict)
    if grader.get("type") not in GRADERS:
        raise invalid("Invalid value for 'grader.type'.", "grader.type", "invalid_value")
    return {"grader": grader}
