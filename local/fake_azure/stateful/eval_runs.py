"""The runs of evals: queued, running at the first look, complete at the second; one output item a row of the source."""

from typing import Any

import orjson
from aiohttp import web

from ..chat.tokenizer import split
from ..door import Door
from ..errors import invalid
from ..store import Json, Shelf, listed, unknown
from . import ids
from .calls import LATER_SINCE, Call, now, served
from .graders import reward

_NEXT = {"queued": "in_progress", "in_progress": "completed"}
_TYPES = ("jsonl", "completions", "responses", "azure_ai_source")


class EvalRuns:
    def __init__(self, door: Door) -> None:
        self._door = door
        self.evals = Shelf[Json](unknown("Eval 'ID' not found."))
        self._runs = Shelf[Json](unknown("Eval run 'ID' not found."))
        self._items: dict[str, list[Json]] = {}

    def routes(self) -> list[web.RouteDef]:
        door, runs, since = self._door, "evals/{eval_id}/runs", LATER_SINCE
        one = f"{runs}/{{run_id}}"
        return [
            *served(door, "POST", runs, self.create, since=since, status=201),
            *served(door, "GET", runs, self.page, since=since),
            *served(door, "GET", one, self.look, since=since),
            *served(door, "POST", one, self.cancel, since=since),  # by the specification
            *served(door, "POST", f"{one}/cancel", self.cancel, since=since),  # by the SDK
            *served(door, "DELETE", one, self.delete, since=since),
            *served(door, "GET", f"{one}/output_items", self.items, since=since),
            *served(door, "GET", f"{one}/output_items/{{item_id}}", self.item, since=since),
        ]

    def create(self, call: Call) -> Json:
        evaluation, source = self._eval(call), call.need("data_source", dict)
        if source.get("type") not in _TYPES:
            raise invalid("Invalid value for 'data_source.type'.", "data_source.type", "invalid_value")
        rows = self._source_rows(source)
        run_id = ids.guid("evalrun_")
        run: Json = {
            "object": "eval.run",
            "id": run_id,
            "eval_id": evaluation["id"],
            "report_url": f"https://ai.azure.com/evaluation/{evaluation['id']}/run/{run_id}",
            "status": "queued",
            "model": source.get("model") or "",
            "name": call.given("name", ""),
            "created_at": now(),
            "result_counts": {"total": 0, "errored": 0, "failed": 0, "passed": 0},
            "per_model_usage": [],
            "per_testing_criteria_results": [],
            "data_source": source,
            "error": None,
            "metadata": call.metadata(),
        }
        self._items[run_id] = [_item(run, evaluation, place, row) for place, row in enumerate(rows)]
        return self._runs.put(run_id, run)

    def page(self, call: Call) -> Json:
        eval_id, status = self._eval(call)["id"], call.query.get("status")
        rows = [run for run in self._runs.all() if run["eval_id"] == eval_id and status in (None, run["status"])]
        return listed(rows, call.query, order="asc")

    def look(self, call: Call) -> Json:
        run = self._run(call)
        shown = dict(run)
        if run["status"] in _NEXT:
            run["status"] = _NEXT[run["status"]]
            if run["status"] == "completed":
                self._count(run)
        return shown

    def cancel(self, call: Call) -> Json:
        run = self._run(call)
        if run["status"] not in _NEXT:
            raise invalid(f"Eval run '{run['id']}' is {run['status']} and cannot be cancelled.")
        run["status"] = "canceled"
        return run

    def delete(self, call: Call) -> Json:
        run = self._runs.remove(self._run(call)["id"])
        return {"object": "eval.run.deleted", "deleted": True, "run_id": run["id"]}

    def items(self, call: Call) -> Json:
        status = call.query.get("status")
        return listed([i for i in self._finished(call) if status in (None, i["status"])], call.query, order="asc")

    def item(self, call: Call) -> Json:
        wanted = call.path["item_id"]
        found = next((item for item in self._finished(call) if item["id"] == wanted), None)
        if found is None:
            raise unknown("Output item 'ID' not found.")(wanted)
        return found

    def _finished(self, call: Call) -> list[Json]:
        run = self._run(call)
        return self._items[run["id"]] if run["status"] == "completed" else []

    def _eval(self, call: Call) -> Json:
        return self.evals.get(call.path["eval_id"])

    def _run(self, call: Call) -> Json:
        run = self._runs.get(call.path["run_id"])
        if run["eval_id"] != self._eval(call)["id"]:
            raise unknown("Eval run 'ID' not found.")(run["id"])
        return run

    def _source_rows(self, data_source: Json) -> list[Json]:
        source = data_source.get("source") or {}
        if not isinstance(source, dict):
            raise invalid("Invalid type for 'data_source.source'.", "data_source.source", "invalid_type")
        match source.get("type"):
            case "file_content":
                return [row for row in source.get("content") or [] if isinstance(row, dict)]
            case "file_id":
                data = self._door.store.contents[self._door.store.files.get(str(source.get("id")))["id"]]
                try:
                    return [orjson.loads(line) for line in data.splitlines() if line.strip()]
                except orjson.JSONDecodeError as error:
                    raise invalid(f"The file '{source['id']}' is not JSON Lines.", "data_source.source.id") from error
            case _:
                return []

    def _count(self, run: Json) -> None:
        items = self._items[run["id"]]
        passed = sum(item["status"] == "pass" for item in items)
        run["result_counts"] = {"total": len(items), "errored": 0, "failed": len(items) - passed, "passed": passed}
        names = {result["name"]: result["name"] for item in items for result in item["results"]}
        run["per_testing_criteria_results"] = [{"testing_criteria": name, **_tally(items, name)} for name in names]


def _tally(items: list[Json], name: str) -> dict[str, int]:
    verdicts = [result["passed"] for item in items for result in item["results"] if result["name"] == name]
    return {"passed": sum(verdicts), "failed": len(verdicts) - sum(verdicts)}


def _item(run: Json, evaluation: Json, place: int, row: Json) -> Json:
    content: Json = row.get("item") or row
    sample = str((row.get("sample") or {}).get("output_text", ""))
    results: list[Json] = []
    for criterion in evaluation["testing_criteria"]:
        score = reward(criterion, content, sample)
        results.append({"name": criterion.get("name", ""), "score": score, "passed": score >= 1, "sample": None})
    return {
        "object": "eval.run.output_item",
        "id": ids.guid("outputitem_"),
        "created_at": now(),
        "run_id": run["id"],
        "eval_id": evaluation["id"],
        "status": "pass" if all(result["passed"] for result in results) else "fail",
        "datasource_item_id": place,
        "datasource_item": content,
        "results": results,
        "sample": _sample(run, sample),
    }


def _sample(run: Json, text: str) -> dict[str, Any]:
    tokens = len(split(text))
    usage = {"total_tokens": tokens, "completion_tokens": tokens, "prompt_tokens": 0, "cached_tokens": 0}
    return {
        "input": [],
        "output": [{"role": "assistant", "content": text}],
        "finish_reason": "stop",
        "model": run["model"],
        "usage": usage,
        "error": None,
        "temperature": 1.0,
        "max_completion_tokens": 2048,
        "top_p": 1.0,
        "seed": 42,
    }
