"""What a deployment serves: told by the configuration, a prefix or its model's name."""

from __future__ import annotations

from typing import get_args

import pytest

from shared.config import Mode
from shared.transform.serving import SHAPES_OF_MODE, mode_of, shapes_of
from shared.transform.surfaces import SURFACES

KINDS = {
    "messages": "claude-sonnet-4-5 claude-opus-4-1 anthropic.claude-3",
    "embedding": "text-embedding-3-small text-embedding-ada-002 ada-002 cohere-embed-v-4 embed-v-4-0",
    "image_generation": "dall-e-3 dalle-3 dall-e-2 gpt-image-1 gpt-image-1-mini FLUX.1-Kontext-pro flux-2",
    "audio_transcription": "whisper whisper-1 gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-transcribe-diarize",
    "audio_speech": "tts tts-1-hd gpt-4o-mini-tts",
    "video_generation": "sora sora-2",
    "realtime": "gpt-realtime gpt-4o-realtime-preview gpt-realtime-mini",
    "responses": "gpt-5-codex codex-mini gpt-5.1-codex-max o1-pro o3-pro gpt-5-pro gpt-5.4-pro o3-deep-research "
                 "computer-use-preview",
    "moderation": "omni-moderation-latest text-moderation",
    "completion": "gpt-35-turbo-instruct gpt-3.5-turbo-instruct-0914 davinci-002 babbage-002",
    "": "gpt-4o gpt-4o-audio-preview gpt-5 o3-mini grok-4 my-deployment grok-4-fast-reasoning professional notts "
        "gpt-35-turbo whispering soraya Phi-4 DeepSeek-R1 prose-pro",
}  # fmt: skip
NAMED = [(name, mode) for mode, names in KINDS.items() for name in names.split()]


def mode(model: str, configured: str | None = None, **told: bool) -> str:
    usual = {"responses_prefix": False, "text": False, "moderates": False}
    return mode_of(configured, model, **(usual | told))


@pytest.mark.parametrize(("name", "expect"), NAMED)
def test_kind_by_name(name: str, expect: str) -> None:
    assert mode(name) == expect


def test_what_is_configured_wins_over_prefixes_and_they_over_names() -> None:
    assert mode("gpt-5-codex", "chat", responses_prefix=True) == "chat"
    assert mode("whisper", responses_prefix=True) == "responses"
    assert mode("gpt-4o", text=True) == "completion"
    assert mode("gpt-4o", text=True, moderates=True) == "moderation"


def test_every_mode_of_the_configuration_is_known() -> None:
    assert set(get_args(Mode)) == set(SHAPES_OF_MODE)


@pytest.mark.parametrize(
    ("kind", "surface", "has", "has_not"),
    [
        ("", "dated", {"chat", "responses", "embeddings"}, {"messages", "completions", "moderations"}),
        ("", "v1", {"chat", "responses"}, {"messages"}),
        ("", "openai", {"chat", "responses"}, {"messages"}),
        ("", "foundry", {"chat"}, {"responses", "messages"}),
        ("", "serverless", {"chat"}, {"responses"}),
        ("chat", "extensions", {"chat", "responses"}, {"embeddings"}),
        ("responses", "dated", {"responses"}, {"chat"}),
        ("messages", "anthropic", {"messages", "count"}, {"chat", "responses"}),
        ("completion", "dated", {"completions"}, {"chat", "responses"}),
        ("embedding", "v1", {"embeddings"}, {"chat"}),
        ("rerank", "foundry", set(), {"chat"}),
    ],
)
def test_shapes_by_kind_and_surface(kind: str, surface: str, has: set[str], has_not: set[str]) -> None:
    serves = shapes_of(kind, SURFACES[surface])
    assert has <= serves
    assert not has_not & serves
