"""The submit-and-poll route of the oldest image api-versions: jobs, and how far each one is.

A job takes a step each time it is asked about (notRunning, running, succeeded), so that a test needs no clock. The
word "fail" in a prompt makes it fail.
"""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..chat.shape import Json
from .images import picture_id, url_of
from .wording import choice, integer, refuse_prompt, text

VERSIONS = frozenset(f"2023-{month}-01-preview" for month in ("06", "07", "08", "09", "10"))
_KEPT_SECONDS = 86_400
_FAILS = re.compile(r"\bfail\b", re.IGNORECASE)
_BLOCKED: Json = {"code": "contentFilter", "message": "Your task failed as a result of our safety system."}


@dataclass(slots=True)
class Job:
    id: str
    prompt: str
    n: int
    created: int
    asked: int = 0

    def look(self, origin: str) -> Json:
        """The job as it is told when it is polled; one step further than the last time."""
        self.asked += 1
        times = {"created": self.created, "expires": self.created + _KEPT_SECONDS}
        if self.asked > 1 and _FAILS.search(self.prompt):
            return {**times, "id": self.id, "error": _BLOCKED, "status": "failed"}
        if self.asked < 3:
            return {**times, "id": self.id, "status": "notRunning" if self.asked == 1 else "running"}
        rows = [{"url": url_of(origin, picture_id(self.prompt, place))} for place in range(self.n)]
        result = {"created": self.created, "data": rows}
        return {**times, "id": self.id, "result": result, "status": "succeeded"}


class ImageJobs:
    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def submit(self, body: Mapping[str, Any]) -> Job:
        prompt = text(body, "prompt")
        count = integer(body, "n", 1, 1, 5)
        choice(body, "size", "1024x1024", ("256x256", "512x512", "1024x1024"))
        refuse_prompt(prompt)
        job = Job(str(uuid.uuid4()), prompt, count, int(time.time()))
        self._jobs[job.id] = job
        return job

    def find(self, identity: str) -> Job | None:
        return self._jobs.get(identity)

    def forget(self, identity: str) -> bool:
        return self._jobs.pop(identity, None) is not None
