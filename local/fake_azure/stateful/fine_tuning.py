"""Fine-tuning jobs: made from a file of this resource, one step further each time they are asked for.

Owns the life of a job and its events. What is left of a finished one is `checkpoints.py`.
"""

import secrets
from typing import Any

from aiohttp import web

from ..chat.request import Surface
from ..chat.tokenizer import split
from ..door import Door
from ..errors import azure, invalid
from ..store import Json, Shelf, listed, unknown_resource
from . import ids
from .calls import Call, now, served

_NEXT = {"queued": "running", "running": "succeeded"}
_MESSAGES = {
    "queued": "Job enqueued. Waiting for jobs ahead to complete.",
    "running": "Job started.",
    "succeeded": "Job succeeded.",
    "cancelled": "Job cancelled.",
    "paused": "Job paused.",
}
# What the dated surface leaves out, and the SDK's types demand (specification's example of 2024-10-21).
_V1_ONLY = frozenset({"organization_id", "seed", "error", "estimated_finish", "integrations", "metadata", "method"})


class Jobs:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._store = door.store
        self._rows = Shelf[Json](unknown_resource("Fine-tuning job with id ID was not found."))
        self._events: dict[str, list[Json]] = {}

    def routes(self) -> list[web.RouteDef]:
        door, one = self._door, "fine_tuning/jobs/{job_id}"
        return [
            *served(door, "POST", "fine_tuning/jobs", self.create),
            *served(door, "GET", "fine_tuning/jobs", self.page),
            *served(door, "GET", one, self.one),
            *served(door, "DELETE", one, self.delete),
            *served(door, "GET", f"{one}/events", self.events),
            *served(door, "POST", f"{one}/cancel", self.cancel),
            *served(door, "POST", f"{one}/pause", self.pause),
            *served(door, "POST", f"{one}/resume", self.resume),
        ]

    def create(self, call: Call) -> Json:
        model, training = call.need("model"), self._file(call.need("training_file"), "training_file")
        validation = call.given("validation_file", None)
        if validation is not None:
            self._file(validation, "validation_file")
        given: Json = call.given("hyperparameters", {}, dict)
        row: Json = {
            "object": "fine_tuning.job",
            "id": ids.guid("ftjob-"),
            "model": model,
            "created_at": now(),
            "finished_at": None,
            "fine_tuned_model": None,
            "organization_id": "",
            "result_files": [],
            "status": "queued",
            "validation_file": validation,
            "training_file": training["id"],
            "hyperparameters": {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.0, **given},
            "trained_tokens": None,
            "error": None,
            "seed": call.given("seed", None, int) or secrets.randbelow(2**31),
            "estimated_finish": None,
            "integrations": [],
            "metadata": call.metadata(),
            "method": call.given("method", None, dict)
            or {"type": "supervised", "supervised": {"hyperparameters": given}},
            "user_provided_suffix": call.given("suffix", None),
        }
        self._rows.put(row["id"], row)
        self._note(row)
        return _on(call.surface, row)

    def find(self, job_id: str) -> Json:
        return self._rows.get(job_id)

    def of_model(self, checkpoint: str) -> Json | None:
        """The job that a checkpoint's name tells of."""
        return next(
            (
                row
                for row in self._rows.all()
                if row["fine_tuned_model"] and checkpoint.startswith(row["fine_tuned_model"])
            ),
            None,
        )

    def one(self, call: Call) -> Json:
        row = self.find(call.path["job_id"])
        shown = _on(call.surface, row)
        if row["status"] in _NEXT:
            self._advance(row)
        return shown

    def page(self, call: Call) -> Json:
        found = listed(self._rows.all(), call.query)
        return {
            "object": "list",
            "data": [_on(call.surface, row) for row in found["data"]],
            "has_more": found["has_more"],
        }

    def delete(self, call: Call) -> Json:
        row = self._rows.remove(call.path["job_id"])
        return {"id": row["id"], "object": "fine_tuning.job", "deleted": True}

    def events(self, call: Call) -> Json:
        found = listed(self._events[self.find(call.path["job_id"])["id"]], call.query)
        return {"object": "list", "data": found["data"], "has_more": found["has_more"]}

    def cancel(self, call: Call) -> Json:
        return self._move(call, ("queued", "running", "paused"), "cancelled")

    def pause(self, call: Call) -> Json:
        return self._move(call, ("queued", "running"), "paused")

    def resume(self, call: Call) -> Json:
        return self._move(call, ("paused",), "queued")

    def _move(self, call: Call, allowed: tuple[str, ...], status: str) -> Json:
        row = self.find(call.path["job_id"])
        if row["status"] not in allowed:
            message = f"The fine-tuning job {row['id']} has the status {row['status']}, which does not allow this."
            raise azure(400, "invalidOperation", message)
        row["status"] = status
        if status == "cancelled":
            row["finished_at"] = now()
        self._note(row)
        return _on(call.surface, row)

    def _advance(self, row: Json) -> None:
        row["status"] = _NEXT[row["status"]]
        if row["status"] == "succeeded":
            training = self._store.contents.get(row["training_file"], b"").decode("utf-8", "replace")
            epochs = row["hyperparameters"]["n_epochs"]
            suffix = f"-{row['user_provided_suffix']}" if row["user_provided_suffix"] else ""
            row.update(
                finished_at=now(),
                fine_tuned_model=f"{row['model']}.{ids.guid('ft-')}{suffix}",
                trained_tokens=len(split(training)) * (epochs if isinstance(epochs, int) and epochs > 0 else 1),
                result_files=[self._results()],
            )
        self._note(row)

    def _results(self) -> str:
        data = b"step,train_loss,train_accuracy\n1,0.9,0.5\n2,0.5,0.8\n"
        row: Json = {
            "status": "processed",
            "bytes": len(data),
            "purpose": "fine-tune-results",
            "filename": "results.csv",
            "id": ids.guid("file-"),
            "created_at": now(),
            "object": "file",
        }
        self._store.contents[row["id"]] = data
        self._store.files.put(row["id"], row)
        return row["id"]

    def _note(self, row: Json) -> None:
        event: Json = {
            "object": "fine_tuning.job.event",
            "id": ids.guid("ftevent-"),
            "created_at": now(),
            "level": "info",
            "message": _MESSAGES[row["status"]],
            "type": "message",
            "data": {},
        }
        self._events.setdefault(row["id"], []).append(event)

    def _file(self, file_id: Any, param: str) -> Json:
        if file_id not in self._store.files:
            raise invalid(f"The file '{file_id}' was not found.", param, "file_not_found")
        row = self._store.files.get(file_id)
        if row["purpose"] != "fine-tune":
            raise invalid(f"The file '{file_id}' has not the purpose 'fine-tune'.", param, "invalid_file_purpose")
        return row


def _on(surface: Surface, row: Json) -> Json:
    if surface != "dated":
        return dict(row)
    shown = {name: value for name, value in row.items() if name not in _V1_ONLY and value is not None}
    return {**shown, "status": "pending" if row["status"] == "queued" else row["status"]}
