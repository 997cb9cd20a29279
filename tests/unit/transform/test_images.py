"""Images: what a model does not know, the route that is polled, and what a stream tells of its cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.errors import stream_cut
from shared.transform.images import ImagesExchange, ImageStream, submits
from shared.types import Usage
from tests.unit.given import deployment
from tests.unit.transform.calls import asked, read, sent, wire

PROMPT = {"model": "alias", "prompt": "a cat", "size": "1024x1024"}
GPT = replace(deployment(serves=("images",)), model="gpt-image-1")
PARTIAL = {"type": "image_generation.partial_image", "b64_json": "aGk=", "size": "1536x1024", "quality": "medium"}
USAGE = {"input_tokens": 5, "output_tokens": 7, "output_tokens_details": {"image_tokens": 7}}
DONE = {**PARTIAL, "type": "image_generation.completed", "usage": USAGE}


def body_of(row: Any, **fields: Any) -> tuple[str, Any]:
    (part,) = ImagesExchange(asked("images_generations", PROMPT | fields, row)).parts(ask_usage=True)
    return part.operation, sent(part)


def test_gpt_image_answers_in_base64_without_being_asked() -> None:
    for given, kept in (("b64_json", False), ("url", True)):  # the model's own error tells of the other
        operation, body = body_of(GPT, response_format=given)
        assert (operation, body["model"], "response_format" in body) == ("images/generations", "dep-1", kept)
    assert body_of(deployment(name="dall-e-3"), response_format="b64_json")[1]["response_format"] == "b64_json"


@pytest.mark.parametrize(
    ("surface", "version", "legacy"),
    [
        ("dated", "2023-06-01-preview", True),
        ("dated", "2023-08-01-preview", True),
        ("dated", "2023-10-01-preview", True),
        ("dated", "2023-05-15", False),
        ("dated", "2023-12-01-preview", False),
        ("dated", "2024-10-21", False),
        ("v1", "v1", False),
    ],
)
def test_versions_that_submit(surface: str, version: str, legacy: bool) -> None:
    row = deployment(surface=surface, api_version=version)
    assert submits(row) == legacy
    plan = ImagesExchange(asked("images_generations", PROMPT | {"n": 2, "style": "vivid"}, row))
    assert plan.stored == legacy
    operation, body = body_of(row, n=2, style="vivid")
    assert operation == ("images/generations:submit" if legacy else "images/generations")
    assert ("model" in body, "style" in body, body["n"]) == (not legacy, not legacy, 2)


def test_edits_are_never_submitted() -> None:
    row = deployment(surface="dated", api_version="2023-06-01-preview")
    assert not ImagesExchange(asked("images_edits", PROMPT, row)).legacy


def test_stream_says_what_auto_became() -> None:
    stream = ImageStream(asked("images_generations", PROMPT | {"size": "auto", "stream": True}, GPT))
    events = read(stream.feed(wire(PARTIAL, DONE)) + stream.end())
    assert [e["type"] for e in events] == [PARTIAL["type"], DONE["type"]]
    assert (stream.done, stream.ended) == (True, True)
    assert stream.usage_or_estimate() == Usage(5, 7, image_output_tokens=7, images=1, image_kind="1536x1024 medium")


def test_stream_that_is_cut_is_taken_for_one_image() -> None:
    stream = ImageStream(asked("images_generations", PROMPT | {"stream": True, "quality": "low"}, GPT))
    assert stream.usage_or_estimate() == Usage(
        2, 272, image_output_tokens=272, images=1, image_kind="1024x1024 low", estimated=True
    )
    stream.feed(wire(PARTIAL))
    assert not stream.ended
    assert stream.usage_or_estimate() == Usage(
        2, 1584, image_output_tokens=1584, images=1, image_kind="1536x1024 medium", estimated=True
    )
    other = ImageStream(asked("images_generations", PROMPT | {"stream": True}, deployment(name="dall-e-3")))
    assert other.usage_or_estimate() == Usage(images=1, image_kind="1024x1024", estimated=True)
    assert read(stream.error_event(stream_cut()))[0]["error"]["code"] == "upstream_disconnected"
