"""One call of each deployment that costs nothing: a body that a model refuses before it does anything.

A 400 says that the deployment is there, that we may use it, and that it knows the api-version. Owns what is sent and
how the answer is understood; what is said of it is models.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from shared.catalog import Deployment
from shared.endpoints import Shape
from shared.errors import UpstreamFailed
from shared.operations.checkup.scene import Scene
from shared.redact import redact
from shared.transform.relayed import ANTHROPIC_VERSION, STORED
from shared.transform.surfaces import url_of
from shared.types import UpstreamRequest

SECONDS = 9.0
_LARGEST = 64 * 1024
_NEW_IMAGES = "2023-12"
"""Before this api-version images are jobs, which take more to be refused."""
_QUESTIONS: tuple[tuple[Shape, str, dict[str, Any]], ...] = (
    # shape, operation, what is wrong with it
    ("chat", "chat/completions", {"messages": [], "max_tokens": -1}),  # twice wrong: not every maker minds the first
    ("messages", "messages", {"messages": [], "max_tokens": 1}),
    ("responses", "responses", {"input": [], "max_output_tokens": 0}),
    ("embeddings", "embeddings", {"input": []}),
    ("completions", "completions", {"prompt": [], "max_tokens": -1}),
    ("images", "images/generations", {"prompt": "", "n": 0}),
    ("speech", "audio/speech", {"input": "", "voice": ""}),
    ("transcription", "audio/transcriptions", {}),
    ("moderations", "text:analyze", {}),
    ("videos", "videos", {"prompt": "", "seconds": "0"}),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """status 0: there was no answer, and `text` says why."""

    status: int
    code: str = ""
    text: str = ""

    @property
    def understood(self) -> bool:
        """The call came as far as the model's own rules."""
        return self.status in (200, 400, 413, 415, 422, 429)


def _question(deployment: Deployment) -> tuple[Shape, str, dict[str, Any]] | None:
    """None: there is none that surely costs nothing."""
    if deployment.only_batches:
        return None
    row = next((row for row in _QUESTIONS if row[0] in deployment.serves), None)
    old = deployment.surface.version == "dated" and deployment.api_version < _NEW_IMAGES
    return None if row and row[0] == "images" and old else row


async def called(scene: Scene, deployment: Deployment) -> Answered | None:
    """Asked once for each run. None: it cannot be asked for free."""
    asked = _question(deployment)
    if asked is None:
        return None
    url = url_of(deployment, asked[1], stored=asked[0] in STORED)
    place = ("call", url, deployment.name, deployment.credential)
    return await scene.once(place, lambda: _call(scene, deployment, url, *asked[1:]))


async def _call(scene: Scene, deployment: Deployment, url: str, operation: str, body: dict[str, Any]) -> Answered:
    headers = (("anthropic-version", ANTHROPIC_VERSION),) if operation == "messages" else ()
    request = UpstreamRequest(
        "POST",
        url,
        orjson.dumps({"model": deployment.name, **body}),
        deployment.credential,
        deployment.surface.auth_header,
        headers=headers,
        connect=5.0,
        idle=5.0,
    )
    try:
        reply = await scene.desk.upstream.open(request, SECONDS)
    except UpstreamFailed as error:
        return Answered(0, error.kind, error.detail[:240])
    data = b""
    try:
        async for chunk in reply.chunks:
            data += chunk
            if len(data) > _LARGEST:
                break
    except UpstreamFailed as error:
        return Answered(0, error.kind, error.detail[:240])
    finally:
        await reply.close()
    return _understood(reply.status, data)


def _understood(status: int, data: bytes) -> Answered:
    try:
        said: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Answered(status, "", f"status {status}")
    error: Any = said.get("error", said) if isinstance(said, dict) else {}
    if not isinstance(error, dict):
        return Answered(status, "", str(error)[:240])
    code = str(error.get("code") or error.get("type") or "")[:80]
    return Answered(status, code, redact(str(error.get("message") or code or f"status {status}"), {})[:240])
