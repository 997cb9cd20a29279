"""Multipart operations: text fields are edited on their way, files pass through as they arrive.

A field decides where the call goes (`model`), so that it must be known before the first byte goes up; one that comes a
second time, after the upload has begun, ends it.
"""

from __future__ import annotations

import orjson

from shared.errors import bad_request
from shared.transform.dialects import DIALECTS
from shared.transform.exchange import Part
from shared.transform.images import ImageStream
from shared.transform.meters import METERS, last_time
from shared.transform.owned import is_id_field
from shared.transform.relayed import RelayedAnswer, RelayedExchange, finisher, parse, set_model
from shared.transform.sound import HEAD, seconds_of
from shared.transform.stream import EventStream
from shared.types import Json, Usage
from shared.wishes import IN_FORMS


class FormExchange(RelayedExchange):
    """A multipart call."""

    def parts(self, *, ask_usage: bool) -> list[Part]:
        form = self._asked.form
        if form is None:
            return super().parts(ask_usage=ask_usage)
        first: list[tuple[str, str]] = []
        if self._asked.endpoint.target == "model" and "model" not in self._asked.body:  # named by the path
            first = [("model", self._asked.deployment.name)]
        encoded = form.encode(self._edit, first)
        return [Part(self.operation, encoded.chunks, encoded.content_type, encoded.length)]

    def _edit(self, name: str, value: str) -> list[tuple[str, str]]:
        """What is sent in place of one text field. Raises ApiError for one that contradicts what was decided by it."""
        asked = self._asked
        if name in _DECIDING and asked.endpoint.target == "model":
            if value != asked.body.get(name):
                raise bad_request(f"Send '{name}' once, and before the file.", param=name, code="field_too_late")
            return [(name, asked.deployment.name if name == "model" else value)]
        if name == "session":
            session = parse_field(value, name)
            set_model(session, ("model",), asked.deployment.name)
            return [(name, orjson.dumps(session).decode())]
        if name in (IN_FORMS if asked.endpoint.target == "model" else _ROUTING):
            return []
        if asked.open and value and is_id_field(name):
            return [(name, asked.open(value))]
        return [(name, value)]

    def answer(self) -> RelayedAnswer:
        if self._shape == "transcription":
            return TranscriptionAnswer(self._asked, finisher(self._asked))
        return super().answer()

    def stream(self) -> EventStream:
        asked = self._asked
        if self._shape == "images":
            return ImageStream(asked)
        dialect = DIALECTS[self._shape]
        return EventStream(dialect, dialect, (), asked.body, asked.deployment, finisher(asked))


_DECIDING = frozenset({"model", "stream"})
"""Fields on which it depends where a call goes and how it is answered."""
_ROUTING = frozenset({"model", "custom_llm_provider"})
"""Fields of an upload by which a client chooses the resource; Azure does not know them there."""


def parse_field(value: str, name: str) -> Json:
    """A text field that holds JSON. Raises ApiError (400)."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise bad_request(f"'{name}' must be a JSON object.", param=name, code="invalid_json")
    return found


class TranscriptionAnswer(RelayedAnswer):
    """JSON, or the text itself: plain, SRT or VTT."""

    def read(self, data: bytes) -> bytes:
        if data[:1] == b"{":
            value = parse(data)
            self._usage = METERS["transcription"](value, {"audio_seconds": self._sent_seconds()})
        else:
            self._usage = Usage(audio_seconds=last_time(data) or self._sent_seconds(), estimated=True)
        self.ended = True
        return data

    def _sent_seconds(self) -> float:
        """What the recording itself says of its length: its upload is still on disk when the answer comes."""
        form = self._asked.form
        if form is None or not form.files:
            return 0.0
        return seconds_of(form.head(0, HEAD), form.files[0].size)
