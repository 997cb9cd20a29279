"""The operations behind which a resource keeps state: responses, conversations, files, uploads, vector stores,
containers, evals, fine-tuning, batches. An id is known on the resource that made it and nowhere else.
"""

from aiohttp import web

from ..door import Door
from . import (
    batches,
    checkpoints,
    containers,
    eval_runs,
    evals,
    files,
    fine_tuning,
    responses,
    uploads,
    vector_files,
    vector_stores,
    webhook_endpoints,
)

_PARTS = (
    responses.routes,
    files.routes,
    uploads.routes,
    vector_stores.routes,
    vector_files.routes,
    containers.routes,
    batches.routes,
    webhook_endpoints.routes,
)


def routes(door: Door) -> list[web.RouteDef]:
    runs = eval_runs.EvalRuns(door)
    jobs = fine_tuning.Jobs(door)
    found = [route for part in _PARTS for route in part(door)]
    return [
        *found,
        *evals.routes(door, runs),
        *jobs.routes(),
        *checkpoints.routes(door, jobs),
    ]
