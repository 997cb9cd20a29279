"""What a call reserves: never less than a bound that its client gave, and never an exception, whatever the body holds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from shared.call import Call
from shared.catalog import Deployment
from shared.endpoints import ENDPOINTS
from shared.expected import MOST_CHOICES, MOST_OUTPUT, OUTPUT, REASONING_OUTPUT, expected, expected_usage
from shared.prices import NoPrices
from shared.types import ApiRequest, Cost, Need, Usage
from tests.unit.given import deployment

type Json = dict[str, Any]
PLAIN = deployment()
THINKS = deployment(family="o_series", name="o3-mini")
DRAWS = replace(deployment(serves=("images",)), model="gpt-image-1")
HEARS = replace(deployment(serves=("transcription",)), model="gpt-4o-transcribe")
CONFIGURED = deployment(defaults={"max_tokens": 30_000})
SAYS: Json = {"messages": [{"role": "user", "content": "12345678"}]}


class Client:
    gone = False

    def when_gone(self, act: Any) -> Any:
        return act


def call(endpoint: str, body: Json, *choices: Deployment, **headers: str) -> Call:
    request = ApiRequest("req_1", endpoint, "POST", {k.replace("_", "-"): v for k, v in headers.items()}, {}, b"")
    return Call(request, ENDPOINTS[endpoint], Client(), 0.0, 0.0, body=body, choices=list(choices or [PLAIN]))


OUTPUTS: list[tuple[str, Json, int]] = [
    ("chat_completions", {}, OUTPUT),
    ("chat_completions", {"max_tokens": 50}, 50),
    ("chat_completions", {"max_completion_tokens": 60}, 60),
    ("chat_completions", {"max_tokens": 50_000, "max_completion_tokens": 60}, 50_000),
    ("chat_completions", {"max_tokens": 60, "max_output_tokens": 50_000}, 50_000),
    ("chat_completions", {"max_tokens": None, "max_completion_tokens": None}, OUTPUT),
    ("chat_completions", {"max_tokens": 50, "n": 4}, 200),
    ("chat_completions", {"n": 4}, 4 * OUTPUT),
    ("chat_completions", {"max_tokens": 50, "n": 1_000}, 50 * MOST_CHOICES),
    ("chat_completions", {"max_tokens": 50, "n": None}, 50),
    ("chat_completions", {"max_tokens": 50, "n": 0}, 50),
    ("chat_completions", {"max_tokens": 0}, OUTPUT),
    ("chat_completions", {"max_tokens": 50.5}, 51),
    ("chat_completions", {"max_tokens": 1e300}, MOST_OUTPUT),
    ("chat_completions", {"max_tokens": 10**30}, MOST_OUTPUT),
    ("chat_completions", {"max_tokens": "50000"}, 50_000),
    ("chat_completions", {"max_tokens": "9" * 5_000}, MOST_OUTPUT),
    ("chat_completions", {"max_tokens": -5, "n": -1}, OUTPUT),
    ("chat_completions", {"max_tokens": 9, "prediction": {"type": "content", "content": "x" * 40}}, 9 + 10),
    ("chat_completions", {"max_tokens": 9, "prediction": {"content": [{"text": "x" * 40}, {"text": 5}, "1234", 5]}}, 9 + 11),
    ("chat_completions", {"max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 4_000}}, 4_000),
    ("messages", {"max_tokens": 700}, 700),
    ("messages", {"max_tokens": 700, "thinking": {"budget_tokens": 300}}, 700),
    ("messages", {"max_tokens": 700, "thinking": {"budget_tokens": 32_000}}, 32_000),
    ("responses_create", {"max_output_tokens": 700}, 700),
    ("responses_create", {}, OUTPUT),
    ("completions", {"prompt": "hi", "max_tokens": 7}, 7),
    ("completions", {"prompt": ["a", "b", "c"], "max_tokens": 7}, 21),
    ("completions", {"prompt": [1, 2, 3], "max_tokens": 7}, 7),
    ("completions", {"prompt": [[1, 2], [3]], "max_tokens": 7}, 14),
    ("completions", {"prompt": ["a", "b"], "max_tokens": 7, "n": 2, "best_of": 5}, 70),
    ("completions", {"prompt": ["a"], "max_tokens": 7, "n": 3, "best_of": 1}, 21),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body", "output"), OUTPUTS)
def test_output_is_what_the_client_bounds(endpoint: str, body: Json, output: int) -> None:
    assert expected_usage(call(endpoint, SAYS | body)).output_tokens == output


def test_who_bounds_nothing_reserves_what_is_usual_for_the_model() -> None:
    assert expected_usage(call("chat_completions", SAYS, THINKS)).output_tokens == REASONING_OUTPUT
    assert expected_usage(call("chat_completions", SAYS, PLAIN, THINKS)).output_tokens == REASONING_OUTPUT
    assert expected_usage(call("chat_completions", SAYS, PLAIN, CONFIGURED)).output_tokens == 30_000
    assert expected_usage(call("chat_completions", SAYS | {"max_tokens": 9}, CONFIGURED)).output_tokens == 9


INPUTS: list[tuple[str, Json, Usage]] = [
    ("chat_completions", {**SAYS, "max_tokens": 5}, Usage(6, 5)),
    ("responses_compact", {"input": "12345678"}, Usage(2)),
    ("responses_input_tokens", {"input": "12345678"}, Usage(2)),
    ("embeddings", {"input": "12345678"}, Usage(2)),
    ("embeddings", {"input": ["1234", "12345"]}, Usage(3)),
    ("embeddings", {"input": [1, 2, 3]}, Usage(3)),
    ("embeddings", {"input": [[1, 2], [3]]}, Usage(3)),
    ("embeddings", {"input": {"odd": 1}}, Usage()),
    ("embeddings", {}, Usage()),
    ("moderations", {"input": "x"}, Usage()),
    ("messages_count_tokens", SAYS, Usage()),
    ("images_generations", {"prompt": "a cat"}, Usage(images=1)),
    ("images_generations", {"n": 3, "size": "1024x1024", "quality": "hd"}, Usage(images=3, image_kind="1024x1024 hd")),
    ("images_edits", {"prompt": "a cat", "n": "3"}, Usage(images=3)),  # a form: numbers are text
    ("images_edits", {"prompt": "a cat", "n": "three"}, Usage(images=1)),
    ("images_generations", {"n": 0, "size": 5, "quality": ["hd"]}, Usage(images=1)),
    ("audio_speech", {"input": "12345"}, Usage(characters=5)),
    ("audio_speech", {"input": 5}, Usage()),
    ("videos_create", {"prompt": "a cat"}, Usage(video_seconds=4)),
    ("videos_create", {"prompt": "a cat", "seconds": "12"}, Usage(video_seconds=12)),
    ("videos_create", {"prompt": "a cat", "seconds": "long"}, Usage(video_seconds=4)),
    ("videos_create", {"prompt": "a cat", "size": "1792x1024"}, Usage(video_seconds=4, image_kind="1792x1024")),
    ("videos_create", {"prompt": "a cat", "size": [5]}, Usage(video_seconds=4)),
    ("files_create", {"purpose": "batch"}, Usage()),
    ("responses_retrieve", {}, Usage()),
    ("models_list", {}, Usage()),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body", "usage"), INPUTS)
def test_every_kind_of_call(endpoint: str, body: Json, usage: Usage) -> None:
    assert expected_usage(call(endpoint, body)) == usage


def test_images_of_models_that_count_tokens() -> None:
    body = {"prompt": "12345678", "n": 2, "size": "1024x1024", "quality": "low"}
    assert expected_usage(call("images_generations", body, DRAWS)) == Usage(
        2, 544, image_output_tokens=544, images=2, image_kind="1024x1024 low"
    )
    assert expected_usage(call("images_generations", {"prompt": "x"}, DRAWS)).output_tokens == 6240  # up to the model


def test_recordings_by_the_size_of_the_upload() -> None:
    assert expected_usage(call("audio_transcriptions", {}, content_length="160000")) == Usage(audio_seconds=10)
    assert expected_usage(call("audio_transcriptions", {}, HEARS, content_length="160000")) == Usage(
        100, 100, audio_input_tokens=100
    )
    for odd in ("", "x", "-5", "9" * 40):
        usage = expected_usage(call("audio_transcriptions", {}, content_length=odd))
        assert 0 <= usage.audio_seconds <= 24 * 3600


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        ("priority", "priority"),
        ("fast", "priority"),
        ("flex", ""),
        ("auto", ""),
        (None, ""),
        (["priority"], ""),
        (5, ""),
    ],
)
def test_the_dear_tier_is_reserved_as_asked(asked: Any, tier: str) -> None:
    assert expected_usage(call("chat_completions", SAYS | {"service_tier": asked})).tier == tier


ODD: list[Any] = [
    None, True, 0, -1, 2.5, math.inf, 10**40, "", "x", "9" * 30, [], [[]], [None], [[1, 2]], {}, {"a": [1]},
]  # fmt: skip
FIELDS = (
    "messages", "input", "prompt", "n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "size",
    "quality", "seconds", "service_tier", "prediction", "thinking", "tools", "system", "instructions", "content",
)  # fmt: skip


@pytest.mark.parametrize("endpoint", [row.name for row in ENDPOINTS.values() if row.target == "model"])
def test_no_body_is_too_odd(endpoint: str) -> None:
    for value in ODD:
        for name in FIELDS:
            deep = {"content": value, "text": value}
            for body in ({name: value}, SAYS | {name: value}, {name: [value]}, {name: deep}, {name: [deep]}):
                usage = expected_usage(call(endpoint, body, PLAIN, DRAWS, HEARS))
                assert usage.input_tokens >= 0
                assert 0 <= usage.output_tokens <= MOST_OUTPUT * MOST_CHOICES * 2


class ByName(NoPrices):
    """ports.Prices: each deployment's name is its price of a token."""

    def cost(self, deployment: Deployment, usage: Usage, at: float) -> Cost:
        return Cost(int(deployment.name) * usage.total_tokens)


def test_the_dearest_deployment_decides() -> None:
    choices = [deployment(name=name) for name in ("3", "7", "5")]
    body = SAYS | {"max_tokens": 4}
    assert expected(call("chat_completions", body, *choices), ByName()) == Need(10, 70)
    assert expected(call("chat_completions", body, choices[0]), ByName()) == Need(10, 30)
    nobody = call("chat_completions", body)
    nobody.choices = []
    assert expected(nobody, ByName()) == Need()
    assert expected(call("messages_count_tokens", body, *choices), ByName()) == Need()
