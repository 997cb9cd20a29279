"""The realtime API's plain HTTP side: ephemeral keys, and calls opened by exchanging session descriptions (SDP).

Owns the keys and calls of one resource. No media is ever exchanged: an answer is well-formed SDP with nobody behind.
"""

import hashlib
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..chat.shape import Json
from ..errors import ApiError, invalid
from .wording import bad_type, bad_value, integer

_TRANSCRIBER = "gpt-4o-transcribe"
_FORMAT: Json = {"type": "audio/pcm", "rate": 24_000}
_LISTENS: Json = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "create_response": True,
    "interrupt_response": True,
}
SessionKind = Literal["realtime", "transcription"]


@dataclass(frozen=True, slots=True)
class Session:
    kind: SessionKind
    deployment: str
    settings: Mapping[str, Any]

    def as_json(self) -> Json:
        """The session as it is in force: defaults where the client said nothing."""
        given = {**self.settings}
        audio: Mapping[str, Any] = given.pop("audio", None) or {}
        heard: Json = {"format": _FORMAT, "turn_detection": _LISTENS}
        sound: Json = {"input": {**heard, **(audio.get("input") or {})}}
        base: Json = {"type": self.kind, "id": f"sess_{uuid.uuid4().hex[:21]}", "expires_at": 0}
        if self.kind == "transcription":
            return {**base, "object": "realtime.transcription_session", **given, "audio": sound}
        sound["output"] = {"format": _FORMAT, "voice": "alloy", "speed": 1.0, **(audio.get("output") or {})}
        defaults: Json = {
            "object": "realtime.session",
            "model": self.deployment,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
        }
        return {**base, **defaults, **given, "audio": sound}


def read_session(given: Any) -> Session:
    """Raises for what is no session. Whether the deployment exists is for the caller to say."""
    if given is None:
        raise invalid("Missing required parameter: 'session'.", "session", "missing_required_parameter")
    if not isinstance(given, dict):
        raise bad_type("session", "an object")
    kind = given.get("type")
    if kind is None:
        raise invalid("Missing required parameter: 'session.type'.", "session.type", "missing_required_parameter")
    if kind not in ("realtime", "transcription"):
        raise bad_value("session.type", kind, ("realtime", "transcription"))
    if kind == "realtime":
        return Session("realtime", str(given.get("model") or ""), given)
    heard = ((given.get("audio") or {}).get("input") or {}).get("transcription") or {}
    return Session("transcription", str(heard.get("model") or _TRANSCRIBER), given)


class Realtime:
    """The ephemeral keys and the open calls of one resource."""

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[Session, int]] = {}
        self._calls: set[str] = set()

    def grant(self, session: Session, expires_after: Any = None) -> tuple[str, int]:
        """A key for one session and the time (Unix seconds) until which it opens one."""
        if expires_after is not None and not isinstance(expires_after, dict):
            raise bad_type("expires_after", "an object")
        seconds = integer(expires_after or {}, "seconds", 600, 10, 7_200)
        value, until = f"ek_{uuid.uuid4().hex}", int(time.time()) + seconds
        self._secrets[value] = (session, until)
        return value, until

    def session_of(self, secret: str) -> Session | None:
        session, until = self._secrets.get(secret, (None, 0))
        return session if time.time() < until else None

    def open_call(self) -> str:
        identity = f"rtc_{uuid.uuid4().hex}"
        self._calls.add(identity)
        return identity

    def act(self, identity: str, action: str, body: Mapping[str, Any]) -> None:
        """Accept, reject, refer or hang up. A call whose id begins with `rtc_incoming` is always ringing."""
        if identity not in self._calls and not identity.startswith("rtc_incoming"):
            error = {"message": "No session found for call_id.", "type": "invalid_request_error", "code": None}
            raise ApiError(404, {"error": {**error, "param": "call_id"}})
        if action == "accept" and body.get("type") != "realtime":
            raise bad_value("type", body.get("type"), ("realtime",))
        if action == "refer" and not body.get("target_uri"):
            raise invalid("Missing required parameter: 'target_uri'.", "target_uri", "missing_required_parameter")
        if action == "reject":
            integer(body, "status_code", 603, 400, 699)
        if action == "accept":
            self._calls.add(identity)
        else:
            self._calls.discard(identity)


def answer_sdp(offer: str) -> str:
    """An answer to an offer, media line by media line (RFC 3264); the same for the same offer."""
    if not offer.startswith("v=0"):
        raise invalid("Invalid SDP offer: failed to unmarshal SDP.", "sdp", "invalid_offer")
    digest = hashlib.sha256(offer.encode()).hexdigest()
    number = int(digest[:15], 16)
    fingerprint = ":".join(re.findall("..", digest.upper()))
    lines = ["v=0", f"o=- {number} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    for line in offer.splitlines():
        if line.startswith("m="):
            lines += [line, "c=IN IP4 0.0.0.0", f"a=ice-ufrag:{digest[:8]}", f"a=ice-pwd:{digest[8:32]}"]
            lines += [f"a=fingerprint:sha-256 {fingerprint}", "a=setup:passive"]
        elif line.startswith(("a=mid:", "a=rtpmap:", "a=group:")):
            lines.append(line)
    return "\r\n".join([*lines, ""])


def old_session(session: Session, secret: str, until: int) -> Json:
    """The object of the routes before client secrets: the key is inside the session."""
    key = {"value": secret, "expires_at": until}
    if session.kind == "transcription":
        defaults: Json = {"modalities": ["audio", "text"], "input_audio_format": "pcm16", "turn_detection": _LISTENS}
        return {"object": "realtime.transcription_session", **defaults, **session.settings, "client_secret": key}
    defaults = {
        "object": "realtime.session",
        "id": f"sess_{uuid.uuid4().hex[:21]}",
        "model": session.deployment,
        "modalities": ["audio", "text"],
        "instructions": "",
        "voice": "alloy",
        "turn_detection": _LISTENS,
        "tools": [],
        "tool_choice": "auto",
    }
    return {**defaults, **session.settings, "client_secret": key}
