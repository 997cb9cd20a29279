"""The checkpoints of fine-tuning jobs, who may use them, and their copies."""

from aiohttp import web

from ..door import Door
from ..errors import azure
from ..store import Json, listed, unknown
from . import ids
from .calls import Call, now, served
from .fine_tuning import Jobs

_STEPS = (10, 20, 30)


def routes(door: Door, jobs: Jobs) -> list[web.RouteDef]:
    checkpoints = _Checkpoints(jobs)
    permissions = "fine_tuning/checkpoints/{checkpoint}/permissions"
    copy = "fine_tuning/jobs/{job_id}/checkpoints/{checkpoint_id}/copy"
    return [
        *served(door, "GET", "fine_tuning/jobs/{job_id}/checkpoints", checkpoints.page),
        *served(door, "POST GET", copy, checkpoints.copy),
        *served(door, "POST", permissions, checkpoints.permit),
        *served(door, "GET", permissions, checkpoints.permissions),
        *served(door, "DELETE", f"{permissions}/{{permission_id}}", checkpoints.forbid),
    ]


class _Checkpoints:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._of_job: dict[str, list[Json]] = {}
        self._permissions: dict[str, list[Json]] = {}

    def page(self, call: Call) -> Json:
        return listed(self._rows(call.path["job_id"]), call.query, limit=10)

    def copy(self, call: Call) -> Json:
        wanted = call.path["checkpoint_id"]
        row = next((r for r in self._rows(call.path["job_id"]) if wanted in (r["id"], _name(r))), None)
        if row is None:
            raise azure(404, "resourceNotFound", f"Checkpoint {wanted} was not found.")
        return {
            "checkpointedModelName": _name(row),
            "fineTuningJobId": row["fine_tuning_job_id"],
            "status": "Completed",
            "checkpointId": row["id"],
        }

    def permit(self, call: Call) -> Json:
        rows = self._permissions.setdefault(self._known(call), [])
        made: list[Json] = [
            {"object": "checkpoint.permission", "id": ids.lettered("cp_"), "created_at": now(), "project_id": project}
            for project in call.need("project_ids", list)
        ]
        rows += made
        return listed(made, {}, order="asc")

    def permissions(self, call: Call) -> Json:
        project = call.query.get("project_id")
        rows = self._permissions.get(self._known(call), [])
        return listed([row for row in rows if project in (None, row["project_id"])], call.query, limit=10)

    def forbid(self, call: Call) -> Json:
        rows, wanted = self._permissions.get(self._known(call), []), call.path["permission_id"]
        row = next((row for row in rows if row["id"] == wanted), None)
        if row is None:
            raise unknown("No permission found with id 'ID'.")(wanted)
        rows.remove(row)
        return {"id": row["id"], "object": "checkpoint.permission", "deleted": True}

    def _known(self, call: Call) -> str:
        checkpoint = call.path["checkpoint"]
        if self._jobs.of_model(checkpoint) is None:
            raise unknown("The checkpoint 'ID' does not exist.")(checkpoint)
        return checkpoint

    def _rows(self, job_id: str) -> list[Json]:
        job = self._jobs.find(job_id)
        if job["status"] != "succeeded":
            return []
        if job_id not in self._of_job:
            self._of_job[job_id] = [_row(job, step) for step in _STEPS]
        return self._of_job[job_id]


def _row(job: Json, step: int) -> Json:
    model = job["fine_tuned_model"]
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": ids.guid("ftchkpt-"),
        "created_at": job["finished_at"],
        "fine_tuned_model_checkpoint": model if step == _STEPS[-1] else f"{model}:ckpt-step-{step}",
        "fine_tuning_job_id": job["id"],
        "metrics": {"step": step, "train_loss": 10 / step, "train_mean_token_accuracy": 1 - 1 / step},
        "step_number": step,
    }


def _name(row: Json) -> str:
    return row["fine_tuned_model_checkpoint"]
