"""Audio of the fake: speech in every format, transcriptions and translations, streams, limits."""

# pyright: reportDeprecated=false

import base64
import hashlib
import io
import json
import wave
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.hearing import LARGEST
from local.fake_azure.media.sound import spoken, wav

WAV = wav(bytes(2 * 24_000 * 2))  # two seconds
HEARD = f"Heard s.wav: {len(WAV)} bytes, 2 seconds, digest {hashlib.sha256(WAV).hexdigest()[:8]}."
MAGIC = {"mp3": b"\xff\xfb", "opus": b"OggS", "aac": b"\xff\xf1", "flac": b"fLaC", "wav": b"RIFF", "pcm": b""}


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def dated(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["main"]
    return openai.AzureOpenAI(
        azure_endpoint=row.url,
        api_key=row.key,
        api_version="2025-04-01-preview",
        max_retries=0,
        _strict_response_validation=True,
    )


def v1(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["second"]
    base = f"{row.url}/openai/v1"
    return openai.OpenAI(base_url=base, api_key=row.key, max_retries=0, _strict_response_validation=True)


@pytest.fixture(params=[dated, v1])
def client(azure: FakeAzure, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with request.param(azure) as made:
        yield made


def post(azure: FakeAzure, path: str, **parts: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.post(f"{row.url}/openai/v1/{path}", headers={"api-key": row.key}, **parts)


# Speech.


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech_in_every_format(
    client: openai.OpenAI, kind: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="hello world", response_format=kind
    ) as answer:
        file = answer.read()
        assert answer.headers["content-type"] == {"mp3": "audio/mpeg"}.get(kind, f"audio/{kind}")
        assert answer.headers["transfer-encoding"] == "chunked"
    assert file.startswith(MAGIC[kind])
    assert file == spoken("hello world", "alloy", kind)
    assert file != spoken("hello world", "nova", kind)


def test_speech_lasts_as_long_as_its_text() -> None:
    with wave.open(io.BytesIO(spoken("x" * 40, "alloy", "wav"))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (24_000, 48_000)
    assert len(spoken("x" * 40, "alloy", "pcm", speed=2.0)) == 48_000


def test_speech_as_events(azure: FakeAzure) -> None:
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello world", "stream_format": "sse"}
    events = _events(post(azure, "audio/speech", json=body).text)
    sound = b"".join(base64.b64decode(row["audio"]) for row in events[:-1])
    assert sound == spoken("hello world", "alloy")
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"] == {"input_tokens": 2, "output_tokens": 11, "total_tokens": 13}
    assert post(azure, "audio/speech", json={**body, "model": "tts-1"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"voice": None}, "voice"),
        ({"voice": "hal"}, "voice"),
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"speed": 5}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"pitch": 1}, "pitch"),
    ],
)
def test_bad_speech_is_refused(azure: FakeAzure, body: dict[str, Any], param: str) -> None:
    answer = post(azure, "audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "hi", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(("kind", "options"), [("cut", {"after": 2}), ("clean_cut", {"after": 2})])
def test_speech_is_cut(azure: FakeAzure, kind: str, options: dict[str, Any]) -> None:
    azure.add_fault(kind, **options)
    row = azure.state.resources["main"]
    body = {"model": "tts-1", "voice": "alloy", "input": "hello " * 20}
    received = b""
    with httpx.stream("POST", f"{row.url}/openai/v1/audio/speech", json=body, headers={"api-key": row.key}) as answer:
        try:
            for piece in answer.iter_raw():
                received += piece
            ended = True
        except httpx.RemoteProtocolError:
            ended = False
    assert ended == (kind == "clean_cut")
    assert spoken("hello " * 20, "alloy").startswith(received)
    assert len(received) < len(spoken("hello " * 20, "alloy"))


def test_speech_is_paused_between_pieces(azure: FakeAzure) -> None:
    azure.add_fault("slow_chunks", seconds=0.001)
    body = {"model": "tts-1", "voice": "alloy", "input": "hello"}
    assert post(azure, "audio/speech", json=body).content == spoken("hello", "alloy")


# Transcriptions.


def test_whisper_in_every_format(client: openai.OpenAI) -> None:
    def hear(kind: Any, **options: Any) -> Any:
        return client.audio.transcriptions.create(model="whisper", file=("s.wav", WAV), response_format=kind, **options)

    assert hear("json").text == HEARD
    assert hear("json").usage.seconds == 2
    assert hear("text") == HEARD + "\n"
    first, last = "Heard s.wav: 96044 bytes,", HEARD.split("bytes, ")[1]
    assert hear("srt") == f"1\n00:00:00,000 --> 00:00:01,000\n{first}\n\n2\n00:00:01,000 --> 00:00:02,000\n{last}\n\n"
    assert hear("vtt") == (
        f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{first}\n\n00:00:01.000 --> 00:00:02.000\n{last}\n\n"
    )
    told = hear("verbose_json", timestamp_granularities=["word", "segment"], language="de")
    assert (told.duration, told.language) == (2.0, "german")
    assert " ".join(word.word for word in told.words) == told.text == f"{HEARD} [language: de]"
    assert told.segments[-1].end == 2.0


def test_text_formats_are_plain_text(azure: FakeAzure) -> None:
    for kind in ("text", "srt", "vtt"):
        form = {"model": "whisper", "response_format": kind}
        answer = post(azure, "audio/transcriptions", data=form, files={"file": ("s.wav", WAV)})
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_gpt_transcribes_with_tokens_and_logprobs(client: openai.OpenAI) -> None:
    file = ("s.wav", WAV)
    told = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, include=["logprobs"], prompt="a b")
    assert told.text == f"{HEARD} [prompt: a b]"
    assert told.logprobs
    assert "".join(row.token or "" for row in told.logprobs) == told.text
    assert told.usage
    assert told.usage.type == "tokens"
    assert told.usage.input_tokens == 22
    assert told.usage.input_token_details
    assert told.usage.input_token_details.audio_tokens == 20


def test_transcription_is_streamed(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("s.wav", WAV), stream=True)
    events = list(stream)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == HEARD
    last = events[-1]
    assert last.type == "transcript.text.done"
    assert last.text == HEARD
    assert last.usage
    assert last.usage.input_tokens == 20


def test_whisper_overhears_stream(azure: FakeAzure) -> None:
    form = {"model": "whisper", "stream": "true"}
    assert post(azure, "audio/transcriptions", data=form, files={"file": ("s.wav", WAV)}).json()["text"] == HEARD


def test_speakers_are_told_apart(client: openai.OpenAI) -> None:
    told: Any = client.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=("s.wav", WAV),
        response_format="diarized_json",
        known_speaker_names=["Ada"],
    )
    assert [segment.speaker for segment in told.segments] == ["Ada", "Ada"]
    assert told.duration == 2.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_translation(client: openai.OpenAI) -> None:
    told = client.audio.translations.create(model="whisper", file=("s.wav", WAV))
    assert told.text.startswith("Translated s.wav")
    verbose = client.audio.translations.create(model="whisper", file=("s.wav", WAV), response_format="verbose_json")
    assert (verbose.language, verbose.duration) == ("english", 2.0)
    with pytest.raises(openai.BadRequestError, match="audioTranslation operation does not work"):
        client.audio.translations.create(model="gpt-4o-transcribe", file=("s.wav", WAV))


@pytest.mark.parametrize(
    ("form", "name", "file", "status", "told"),
    [
        ({}, "s.txt", WAV, 400, "Invalid file format. Supported formats: ['flac'"),
        ({}, "s.wav", b"no sound", 400, "corrupted or unsupported"),
        ({}, "s.wav", wav(bytes(20)), 400, "too short"),
        ({}, "s.mp3", b"ID3" + bytes(LARGEST), 413, "Maximum content size limit (26214400) exceeded"),
        ({"response_format": "xml"}, "s.wav", WAV, 400, "Invalid value: 'xml'"),
        ({"model": "gpt-4o-transcribe", "response_format": "srt"}, "s.wav", WAV, 400, "Invalid value: 'srt'"),
        ({"language": "klingon"}, "s.wav", WAV, 400, "ISO-639-1"),
        ({"temperature": "hot"}, "s.wav", WAV, 400, "Invalid type for 'temperature'"),
        ({"timestamp_granularities[]": "word"}, "s.wav", WAV, 400, "verbose_json"),
        ({"colour": "red"}, "s.wav", WAV, 400, "Unrecognized request argument supplied: colour"),
        ({"model": "tts-1"}, "s.wav", WAV, 400, "audioTranscription operation does not work"),
    ],
)
def test_bad_uploads_are_refused(
    azure: FakeAzure, form: dict[str, str], name: str, file: bytes, status: int, told: str
) -> None:
    answer = post(azure, "audio/transcriptions", data={"model": "whisper", **form}, files={"file": (name, file)})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_forms_that_are_none(azure: FakeAzure) -> None:
    assert post(azure, "audio/transcriptions", json={"model": "whisper"}).status_code == 400
    nothing = post(azure, "audio/transcriptions", data={"model": "whisper"}, files={"other": ("s.wav", WAV)})
    assert nothing.json()["error"]["param"] == "file"


def test_compressed_sound_is_estimated(azure: FakeAzure) -> None:
    file = spoken("hello", "alloy", "mp3")
    answer = post(azure, "audio/transcriptions", data={"model": "whisper"}, files={"file": ("s.mp3", file)})
    assert f"{len(file)} bytes" in answer.json()["text"]


def _events(raw: str) -> list[Any]:
    return [json.loads(row.removeprefix("data: ")) for row in raw.split("\n\n") if row]
