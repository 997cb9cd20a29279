"""Calls whose prompts begin alike have one key, in every language; others have others."""

from __future__ import annotations

from typing import Any

import pytest

from shared.prompt_key import CHARACTERS, prompt_key

LONG = "You are a careful assistant. " * 50
assert len(LONG) > CHARACTERS


def chat(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def test_the_clients_own_key_wins() -> None:
    assert prompt_key({**chat("a"), "prompt_cache_key": "mine"}) == "mine"
    assert prompt_key({**chat("a"), "prompt_cache_key": ""}) == prompt_key(chat("a"))
    assert prompt_key({**chat("a"), "prompt_cache_key": 5}) == prompt_key(chat("a"))


def test_what_comes_after_the_beginning_makes_no_difference() -> None:
    assert prompt_key(chat(LONG, "one question")) == prompt_key(chat(LONG, "another", "and more"))
    assert prompt_key(chat(LONG + "x")) == prompt_key(chat(LONG + "y"))
    assert prompt_key(chat("x" + LONG)) != prompt_key(chat("y" + LONG))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": LONG}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": LONG}]}]},
        {"instructions": LONG, "input": "hi"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]},
        {"system": LONG, "messages": [{"role": "user", "content": "hi"}]},
        {"system": [{"type": "text", "text": LONG}], "messages": []},
        {"prompt": LONG},
    ],
)
def test_every_language_has_a_beginning(body: dict[str, Any]) -> None:
    assert prompt_key(body) == prompt_key({"prompt": LONG})


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"input": 5}, {"messages": [None, 7, {"content": None}]}])
def test_no_prompt_no_key(body: dict[str, Any]) -> None:
    assert prompt_key(body) == ""


def test_what_is_no_unicode_is_a_key_like_any_other() -> None:
    assert prompt_key({"prompt": "\ud800"})
