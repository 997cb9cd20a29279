"""Transcriptions and translations in every format: json, text, srt, vtt, verbose, diarized, and as events.

Owns which model answers in which format, how a text is spread over the time, and the two kinds of usage: whisper
counts seconds, the others tokens.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Literal

import orjson

from ..chat.shape import Json, event
from ..chat.tokenizer import split
from ..errors import invalid
from .hearing import Sound
from .wording import bad_value, choice, flag, listed, number, refuse_prompt

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
_WORDS_PER_SEGMENT = 4
_TOKENS_PER_SECOND = 10
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "ja": "japanese", "uk": "ukrainian"}

Task = Literal["transcribe", "translate"]
Span = tuple[float, float, str]  # start, end in seconds; what is said


@dataclass(frozen=True)
class Transcript:
    form: Mapping[str, Any]
    sound: Sound
    version: str
    task: Task = "transcribe"
    with_usage: bool = True
    format: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", choice(self.form, "response_format", "json", self._formats))
        number(self.form, "temperature", 0.0, 0.0, 1.0)
        language = self.form.get("language")
        if language is not None and not (isinstance(language, str) and language.isalpha() and len(language) in (2, 3)):
            message = f"Invalid language '{language}'. Language parameter must be specified in ISO-639-1 format."
            raise invalid(message, "language", "invalid_language_format")
        for name, known in (("timestamp_granularities", ("word", "segment")), ("include", ("logprobs",))):
            for value in listed(self.form, name):
                if value not in known:
                    raise bad_value(f"{name}[]", value, known)
        if self.granularities and self.format != "verbose_json":
            message = "'timestamp_granularities' is only supported with response_format 'verbose_json'."
            raise invalid(message, "timestamp_granularities[]")
        if self.diarizes and self.sound.seconds > 30 and not self.form.get("chunking_strategy"):
            raise invalid("chunking_strategy is required for diarization models", "chunking_strategy")
        refuse_prompt(str(self.form.get("prompt") or ""))

    @property
    def whisper(self) -> bool:
        return self.version.startswith("whisper")

    @property
    def diarizes(self) -> bool:
        return "diarize" in self.version

    @property
    def stream(self) -> bool:
        """whisper overhears the wish to stream, as OpenAI documents."""
        return flag(self.form, "stream") and not self.whisper

    @property
    def granularities(self) -> list[str]:
        return listed(self.form, "timestamp_granularities")

    @property
    def _formats(self) -> tuple[str, ...]:
        if self.diarizes:
            return ("json", "text", "diarized_json")
        return ("json", "text", "srt", "verbose_json", "vtt") if self.whisper else ("json",)

    @property
    def text(self) -> str:
        notes = [f" [{name}: {self.form[name]}]" for name in ("language", "prompt") if self.form.get(name)]
        return self.sound.heard + "".join(notes)

    def whole(self) -> tuple[bytes, str]:
        """The answer and its content type."""
        match self.format:
            case "text":
                return f"{self.text}\n".encode(), TEXT
            case "srt":
                return _subtitles(self._segments(), ",").encode(), TEXT
            case "vtt":
                return b"WEBVTT\n\n" + _subtitles(self._segments(), ".", numbered=False).encode(), TEXT
            case "verbose_json":
                return orjson.dumps({**self._verbose(), **self._usage()}), JSON
            case "diarized_json":
                body = {"task": "transcribe", "duration": self.sound.seconds, "text": self.text}
                return orjson.dumps({**body, "segments": list(self._speakers()), **self._usage()}), JSON
            case _:
                body = {"text": self.text, **self._logprobs(split(self.text))}
                return orjson.dumps({**body, **self._usage()}), JSON

    def events(self) -> Iterator[bytes]:
        if self.format == "diarized_json":
            for speaker in self._speakers():
                yield event(speaker)
        else:
            for word in split(self.text):
                yield event({"type": "transcript.text.delta", "delta": word, **self._logprobs([word])})
        done = {"type": "transcript.text.done", "text": self.text, **self._logprobs(split(self.text))}
        yield event({**done, **self._usage()})

    # Parts.

    def _usage(self) -> Json:
        if not self.with_usage or self.task == "translate":  # translations report none
            return {}
        if self.whisper:
            return {"usage": {"type": "duration", "seconds": math.ceil(self.sound.seconds)}}
        heard = math.ceil(self.sound.seconds * _TOKENS_PER_SECOND)
        read = len(split(str(self.form.get("prompt") or "")))
        said = len(split(self.text))
        usage = {
            "type": "tokens",
            "total_tokens": heard + read + said,
            "input_tokens": heard + read,
            "input_token_details": {"text_tokens": read, "audio_tokens": heard},
            "output_tokens": said,
        }
        return {"usage": usage}

    def _logprobs(self, words: list[str]) -> Json:
        if "logprobs" not in listed(self.form, "include") or self.whisper:
            return {}
        return {"logprobs": [{"token": word, "logprob": -0.25, "bytes": list(word.encode())} for word in words]}

    def _spans(self, pieces: list[str]) -> list[Span]:
        each = self.sound.seconds / max(len(pieces), 1)
        return [(round(n * each, 2), round((n + 1) * each, 2), said) for n, said in enumerate(pieces)]

    def _segments(self) -> list[Span]:
        return self._spans([" ".join(row) for row in batched(self.text.split(), _WORDS_PER_SEGMENT, strict=False)])

    def _speakers(self) -> Iterator[Json]:
        names = listed(self.form, "known_speaker_names") or ["A", "B"]
        for place, (start, end, said) in enumerate(self._segments()):
            row = {"type": "transcript.text.segment", "id": f"seg_{place:03}", "start": start, "end": end}
            yield {**row, "speaker": names[place % len(names)], "text": said}

    def _verbose(self) -> Json:
        code = "en" if self.task == "translate" else self.form.get("language") or "en"
        body: Json = {"task": self.task, "language": _LANGUAGES.get(code, code), "duration": self.sound.seconds}
        body["text"] = self.text
        wanted = self.granularities or ["segment"]
        if "word" in wanted:
            words = self._spans(self.text.split())
            body["words"] = [{"word": said, "start": start, "end": end} for start, end, said in words]
        if "segment" in wanted:
            body["segments"] = [_segment(place, span) for place, span in enumerate(self._segments())]
        return body


def _segment(place: int, span: Span) -> Json:
    start, end, said = span
    return {
        "id": place,
        "seek": 0,
        "start": start,
        "end": end,
        "text": f" {said}",
        "tokens": [50_364 + place, *range(len(said.split()))],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }


def _subtitles(spans: list[Span], point: str, *, numbered: bool = True) -> str:
    rows: list[str] = []
    for place, (start, end, said) in enumerate(spans, 1):
        number_line = f"{place}\n" if numbered else ""
        rows.append(f"{number_line}{_clock(start, point)} --> {_clock(end, point)}\n{said}\n\n")
    return "".join(rows)


def _clock(seconds: float, point: str) -> str:
    """Hours to milliseconds, in the manner of the format: srt writes a comma, vtt a point."""
    thousandths = round(seconds * 1_000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1_000:02}{point}{rest % 1_000:03}"
