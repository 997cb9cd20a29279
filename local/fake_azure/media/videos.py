"""The videos of one resource: jobs that advance each time they are asked about, and the files they end in.

Owns state and rules; routes are `videos_part.py`. A job is queued, in progress when first asked about, completed the
next time: a test needs no clock. The word "fail" in a prompt makes it fail.
"""

import hashlib
import re
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..chat.shape import Json
from ..errors import ApiError, invalid
from .pictures import picture
from .wording import choice, refuse_prompt, text, unknown

SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
SECONDS = ("4", "8", "12")
EXTENSION_SECONDS = ("4", "8", "12", "16", "20")
_KEPT_SECONDS = 3_600
_FAILS = re.compile(r"\bfail\b", re.IGNORECASE)
_KNOWN = frozenset("model prompt input_reference seconds size".split())


@dataclass(slots=True)
class Video:
    id: str
    model: str
    prompt: str
    seconds: str
    size: str
    created_at: int
    remixed_from: str | None = None
    asked: int = 0

    @property
    def status(self) -> str:
        if self.asked >= 2:
            return "failed" if _FAILS.search(self.prompt) else "completed"
        return "in_progress" if self.asked else "queued"

    def as_json(self) -> Json:
        status = self.status
        failed = {"code": "moderation_blocked", "message": "Your request was blocked by our moderation system."}
        return {
            "id": self.id,
            "object": "video",
            "created_at": self.created_at,
            "status": status,
            "completed_at": self.created_at + int(self.seconds) if status == "completed" else None,
            "error": failed if status == "failed" else None,
            "expires_at": self.created_at + _KEPT_SECONDS if status == "completed" else None,
            "model": self.model,
            "progress": {"queued": 0, "in_progress": 50}.get(status, 100),
            "prompt": self.prompt,
            "remixed_from_video_id": self.remixed_from,
            "seconds": self.seconds,
            "size": self.size,
        }

    def file(self, variant: str) -> tuple[bytes, str]:
        """The bytes and their content type. Raises as long as there are none."""
        if self.status != "completed":
            raise invalid("Video is not ready yet, use GET /v1/videos/{video_id} to check status.")
        material = f"{self.prompt} {self.size} {self.remixed_from}"
        match variant:
            case "thumbnail":
                return picture(material, "webp"), "image/webp"
            case "spritesheet":
                return picture(material, "jpeg"), "image/jpeg"
            case _:
                return movie(material, int(self.seconds)), "video/mp4"


def movie(seed: str, seconds: int) -> bytes:
    """Boxes of an ISO media file: its brand, then 4 KiB of data for each second."""
    data = hashlib.shake_128(seed.encode("utf-8", "surrogatepass")).digest(4_096 * seconds)
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41"), (b"mdat", data))
    return b"".join(struct.pack(">I", len(body) + 8) + name + body for name, body in boxes)


class Videos:
    """What one resource has made. Newest last."""

    def __init__(self) -> None:
        self._videos: dict[str, Video] = {}
        self._characters: dict[str, Json] = {}

    def create(self, body: Mapping[str, Any], model: str) -> Video:
        for name in body:
            if name not in _KNOWN:
                raise unknown(name)
        sizes = SIZES if "pro" in model else SIZES[:2]
        size, seconds = choice(body, "size", SIZES[0], sizes), choice(body, "seconds", "4", SECONDS)
        return self._add(Video("", model, _prompt(body), seconds, size, 0))

    def remix(self, source: Video, body: Mapping[str, Any]) -> Video:
        """Remixes and edits: the same length and size, told anew."""
        return self._add(replace(source, prompt=_prompt(body), remixed_from=source.id))

    def extend(self, source: Video, body: Mapping[str, Any]) -> Video:
        more = int(choice(body, "seconds", "", EXTENSION_SECONDS) or text(body, "seconds"))
        longer = str(int(source.seconds) + more)
        return self._add(replace(source, prompt=_prompt(body), seconds=longer, remixed_from=source.id))

    def of_upload(self, body: Mapping[str, Any], file: bytes, model: str) -> Video:
        """The source of an edit that was uploaded: known by its bytes, in nobody's list."""
        name = hashlib.sha256(file).hexdigest()[:32]
        return Video(f"video_{name}", model, _prompt(body), "4", SIZES[0], int(time.time()))

    def find(self, identity: str) -> Video:
        found = self._videos.get(identity)
        if found is None:
            raise _not_found("Video", identity)
        return found

    def look(self, identity: str) -> Video:
        """The video as it is told when it is asked about; one step further than the last time."""
        found = self.find(identity)
        found.asked += 1
        return found

    def delete(self, identity: str) -> Json:
        del self._videos[self.find(identity).id]
        return {"id": identity, "object": "video.deleted", "deleted": True}

    def page(self, limit: int, order: str, after: str | None) -> Json:
        rows = list(self._videos.values())
        if order == "desc":
            rows.reverse()
        if after is not None:
            rows = rows[rows.index(self.find(after)) + 1 :]
        shown = [row.as_json() for row in rows[:limit]]
        first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
        listing = {"object": "list", "data": shown, "first_id": first, "last_id": last}
        return {**listing, "has_more": len(rows) > limit}

    def add_character(self, name: str) -> Json:
        identity = f"char_{uuid.uuid4().hex}"
        made: Json = {"id": identity, "name": name, "created_at": int(time.time())}
        self._characters[identity] = made
        return made

    def character(self, identity: str) -> Json:
        found = self._characters.get(identity)
        if found is None:
            raise _not_found("Character", identity)
        return found

    def _add(self, video: Video) -> Video:
        made = replace(video, id=f"video_{uuid.uuid4().hex}", created_at=int(time.time()), asked=0)
        self._videos[made.id] = made
        return made


def _prompt(body: Mapping[str, Any]) -> str:
    prompt = text(body, "prompt")
    refuse_prompt(prompt)
    return prompt


def _not_found(what: str, identity: str) -> ApiError:
    message = f"{what} with id '{identity}' not found."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return ApiError(404, {"error": error})
