"""What a call of each shape cost, as its answer says or, where that is silent, its request."""

from __future__ import annotations

from typing import Any

import pytest

from shared.endpoints import ENDPOINTS
from shared.transform.meters import METERS, last_time, read_stream_usage
from shared.types import Usage

TOKENS = {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"image_tokens": 1, "text_tokens": 2}}
HERE = {"batches", "models", "health", "manage", "webhook", "gone", "none"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], Usage | None]] = [
    ("chat", {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, {}, Usage(3, 2)),
    ("chat", {}, {"messages": []}, None),
    ("completions", {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, {}, Usage(3, 2)),
    ("responses", {"usage": {**TOKENS, "input_tokens_details": {"cached_tokens": 9}}}, {}, Usage(3, 2, 3)),
    ("responses", {"usage": None}, {"input": "x"}, None),
    ("chat", {"usage": {"prompt_tokens": 3}, "service_tier": "flex"}, {"service_tier": "priority"}, Usage(3, tier="flex")),
    ("responses", {"usage": {"input_tokens": 3}, "service_tier": "priority"}, {}, Usage(3, tier="priority")),
    ("responses", {"usage": {"input_tokens": 3}, "service_tier": "auto"}, {"service_tier": "flex"}, Usage(3)),
    ("completions", {"usage": {"prompt_tokens": 3}, "service_tier": "default"}, {}, Usage(3, tier="default")),
    ("embeddings", {"usage": {"prompt_tokens": 3}, "service_tier": "default"}, {}, Usage(3, tier="default")),
    ("messages", {"usage": {"input_tokens": 3, "service_tier": "batch"}}, {}, Usage(3, tier="batch")),
    ("messages", {"usage": {"input_tokens": 3}, "service_tier": "priority"}, {}, Usage(3)),  # it stands in the usage
    ("images", {"data": [{}], "usage": {"input_tokens": 5, "output_tokens": 272,
                "input_tokens_details": {"text_tokens": 2, "image_tokens": 3}}}, {},
     Usage(5, 272, images=1, image_input_tokens=3, image_output_tokens=272)),
    ("images", {"data": [{}], "usage": {"output_tokens": 9, "input_tokens": 0,
                "output_tokens_details": {"text_tokens": 2, "image_tokens": 7}}}, {},
     Usage(0, 9, images=1, image_output_tokens=7)),
    ("images", {"data": [{}, {}]}, {"size": "1024x1024", "quality": "hd"}, Usage(images=2, image_kind="1024x1024 hd")),
    ("speech", {"usage": {"input_tokens": 5, "output_tokens": 80}}, {"input": "12345"},
     Usage(5, 80, audio_output_tokens=80, characters=5)),
    ("messages", {"usage": {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 5}}, {},
     Usage(12, 0, 5, cache_write_tokens=4)),
    ("messages", {}, {}, None),
    ("embeddings", {"usage": {"prompt_tokens": 5, "total_tokens": 5}}, {}, Usage(5)),
    ("embeddings", {}, {"input": ["1234", "12345"]}, Usage(3, estimated=True)),
    ("embeddings", {}, {"input": [[1, 2], [3]]}, Usage(3, estimated=True)),
    ("moderations", {"usage": TOKENS}, {"input": "x"}, Usage()),
    ("realtime", {"usage": TOKENS}, {}, Usage()),
    ("count", {"input_tokens": 5}, {}, Usage()),
    ("stored", {"usage": TOKENS}, {}, Usage()),
    ("speech", {}, {"input": "12345"}, Usage(characters=5)),
    ("speech", {}, {"input": 5}, Usage()),
    ("transcription", {"usage": {"type": "duration", "seconds": 9}}, {}, Usage(audio_seconds=9)),
    ("transcription", {"usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 2,
                                 "input_token_details": {"audio_tokens": 2}}}, {}, Usage(3, 2, audio_input_tokens=2)),
    ("videos", {"seconds": "8", "size": "1792x1024"}, {"size": "720x1280"}, Usage(video_seconds=8, image_kind="1792x1024")),
    ("videos", {}, {"seconds": "4", "size": "720x1280"}, Usage(video_seconds=4, image_kind="720x1280")),
    ("videos", {"seconds": "long", "size": 5}, {}, Usage(estimated=True)),
    ("transcription", {"duration": 8.5}, {}, Usage(audio_seconds=8.5)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "answer", "body", "expect"), CASES)
def test_cost(shape: str, answer: dict[str, Any], body: dict[str, Any], expect: Usage | None) -> None:
    assert METERS[shape](answer, body) == expect


def test_every_endpoint_that_is_relayed_has_a_meter() -> None:
    shapes = {str(row.shape) for row in ENDPOINTS.values()}
    assert shapes - HERE == set(METERS)


def test_stream_that_reported_nothing() -> None:
    assert read_stream_usage("responses", {}, {}) is None
    assert read_stream_usage("completions", {"prompt_tokens": 3, "completion_tokens": 2}, {}) == Usage(3, 2)
    assert read_stream_usage("stored", dict(TOKENS), {}) == Usage()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1\n00:00:00,000 --> 00:00:02,500\nhi\n\n2\n00:00:02,500 --> 01:02:03,040\nbye\n", 3723.04),
        (b"WEBVTT\n\n00:00:00.000 --> 00:00:07.5\nhi\n", 7.5),
        (b"x" * 9_000 + b" 00:00:09.000", 9.0),
        (b"no time here", 0.0),
        (b"", 0.0),
    ],
)
def test_last_time_of_subtitles(text: bytes, seconds: float) -> None:
    assert last_time(text) == pytest.approx(seconds)
