"""Text to speech: what the models take, and the answer as one file or as events.

Pure. The sound itself is `sound.py`.
"""

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..chat.shape import event
from ..chat.tokenizer import split
from ..errors import invalid
from .sound import CONTENT_TYPES, seconds_of, spoken
from .wording import choice, number, refuse_prompt, text, unknown

VOICES = tuple("alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split())
PIECE = 1_024  # bytes of sound in one write or event
_LONGEST = 4_096  # characters
_TOKENS_PER_SECOND = 20  # of gpt-4o-mini-tts: what its answers report, about
_KNOWN = frozenset("model input voice instructions response_format speed stream_format user".split())


@dataclass(frozen=True)
class Speech:
    body: Mapping[str, Any]
    version: str

    def __post_init__(self) -> None:
        for name in self.body:
            if name not in _KNOWN:
                raise unknown(name)
        said = text(self.body, "input")
        if len(said) > _LONGEST:
            problem = f"String should have at most {_LONGEST} characters"
            raise invalid(f"Invalid 'input': string too long. {problem}.", "input", "string_above_max_length")
        text(self.body, "voice")
        choice(self.body, "voice", "", VOICES)
        number(self.body, "speed", 1.0, 0.25, 4.0)
        choice(self.body, "response_format", "mp3", tuple(CONTENT_TYPES))
        if self.as_events and self.version.startswith("tts"):
            raise invalid(
                "'stream_format' 'sse' is not supported with this model.", "stream_format", "unsupported_value"
            )
        refuse_prompt(said)

    @property
    def as_events(self) -> bool:
        return choice(self.body, "stream_format", "audio", ("sse", "audio")) == "sse"

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.body.get("response_format") or "mp3"]

    @property
    def _speed(self) -> float:
        return float(self.body.get("speed") or 1.0)

    @property
    def file(self) -> bytes:
        kind = self.body.get("response_format") or "mp3"
        return spoken(self.body["input"], self.body["voice"], kind, self._speed)

    def pieces(self) -> Iterator[bytes]:
        file = self.file
        for start in range(0, len(file), PIECE):
            yield file[start : start + PIECE]

    def events(self, *, with_usage: bool = True) -> Iterator[bytes]:
        for piece in self.pieces():
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
        read = len(split(self.body["input"])) + len(split(self.body.get("instructions") or ""))
        made = math.ceil(seconds_of(self.body["input"], self._speed) * _TOKENS_PER_SECOND)
        usage = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
        yield event({"type": "speech.audio.done", **({"usage": usage} if with_usage else {})})
