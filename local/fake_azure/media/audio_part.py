"""Audio on its routes: speech, transcriptions, translations."""

from typing import Any

from aiohttp import web

from ..api_version import check_dated
from ..asked import Asked
from ..chat.request import Surface
from ..chat.tokenizer import split
from ..door import Door
from ..errors import invalid
from ..headers import answer_headers
from .hearing import listen
from .speech import Speech
from .text_part import azure_only
from .transcripts import Task, Transcript
from .wording import fields_of, missing

# First api-versions as of Microsoft's documentation of 2026-08: of whisper, of tts, of the gpt-4o audio models.
_WHISPER_SINCE, _TTS_SINCE, _GPT_SINCE = "2023-09-01", "2024-02-15", "2025-03-01"
_FIELDS = {
    "transcribe": frozenset(
        "model prompt response_format temperature language languages keywords include timestamp_granularities stream "
        "chunking_strategy known_speaker_names known_speaker_references".split()
    ),
    "translate": frozenset("model prompt response_format temperature".split()),
}


def routes(door: Door) -> list[web.RouteDef]:
    async def speak(request: web.Request, surface: Surface) -> web.StreamResponse:
        asked = await door.asked(request, surface, "audioSpeech")
        _check_version(asked)
        fault = await door.fault(request, asked)
        speech = Speech(asked.body, asked.model.version)
        headers = answer_headers(asked, len(split(asked.body["input"])))
        if speech.as_events:
            events = speech.events(with_usage=fault is None or fault.kind != "no_usage")
            return await door.send_stream(request, events, fault, headers)
        headers["Content-Type"] = speech.content_type
        return await door.send_stream(request, speech.pieces(), fault, headers)

    async def hear(request: web.Request, surface: Surface, operation: str, task: Task) -> web.StreamResponse:
        asked = await door.asked(request, surface, operation, form=True)
        _check_version(asked)
        fault = await door.fault(request, asked)
        transcript = _read(asked, task, with_usage=fault is None or fault.kind != "no_usage")
        headers = answer_headers(asked, 0)
        if transcript.stream:
            return await door.send_stream(request, transcript.events(), fault, headers)
        body, content_type = transcript.whole()
        return await door.send_bytes(request, body, content_type, fault, headers=headers)

    async def transcribe(request: web.Request, surface: Surface) -> web.StreamResponse:
        return await hear(request, surface, "audioTranscription", "transcribe")

    async def translate(request: web.Request, surface: Surface) -> web.StreamResponse:
        return await hear(request, surface, "audioTranslation", "translate")

    found = [
        *door.deployed("audio/speech", speak, since=_TTS_SINCE),
        *door.deployed("audio/transcriptions", transcribe, since=_WHISPER_SINCE),
        *door.deployed("audio/translations", translate, since=_WHISPER_SINCE),
    ]
    return azure_only(found)


def _read(asked: Asked, task: Task, *, with_usage: bool) -> Transcript:
    form = asked.form
    upload = form.file("file") if form else None
    if form is None or upload is None:
        raise missing("file")
    fields: dict[str, Any] = fields_of(form)
    for name in fields:
        if name not in _FIELDS[task]:
            raise invalid(f"Unrecognized request argument supplied: {name}", name)
    sound = listen(upload.filename, upload.data, "Heard" if task == "transcribe" else "Translated")
    return Transcript(fields, sound, asked.model.version, task, with_usage)


def _check_version(asked: Asked) -> None:
    if asked.surface == "dated" and asked.model.version.startswith("gpt-4o"):
        check_dated(asked.request, _GPT_SINCE)
