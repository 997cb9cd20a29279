"""Tags and the end user of a call, from wherever they are told, in the ledger."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, ask

HEADERS = ["x-tollgate-tags", "x-litellm-tags"]


def told(stack: Stack, key: Key) -> tuple[list[str], str]:
    (event,) = stack.usage(key, 1)
    return event.get("tags", []), event.get("user", "")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tags_and_user_of_a_chat(stack: Stack, key: Key, header: str, stream: bool) -> None:
    with stack.openai(key) as client:
        answer: Any = client.chat.completions.create(
            **ask("count to 3", stream=stream), user="ana", extra_headers={header: "team-a, nightly,,team-a"}
        )
        assert not stream or list(answer)
    assert told(stack, key) == (["team-a", "nightly"], "ana")


def test_the_keys_own_tags_come_first(stack: Stack) -> None:
    key = stack.key("tagged", tags="cost-center-7,prod")
    with stack.openai(key) as client:
        client.chat.completions.create(**ask("hi"), extra_headers={"x-tollgate-tags": "prod,nightly"})
    assert told(stack, key) == (["cost-center-7", "prod", "nightly"], "")


def test_who_tells_nothing_is_not_marked(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        client.chat.completions.create(**ask("hi"))
    (event,) = stack.usage(key, 1)
    assert not {"tags", "user"} & event.keys()


def test_safety_identifier_of_a_response(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        client.responses.create(
            model="gpt-4o-v1", input="count to 3", safety_identifier="hash-1", extra_headers={"x-tollgate-tags": "r"}
        )
    assert told(stack, key) == (["r"], "hash-1")


@pytest.mark.parametrize("alias", ["claude", "gpt-4o"], ids=["native", "translated"])
def test_user_id_of_a_message(stack: Stack, key: Key, alias: str) -> None:
    with anthropic.Anthropic(api_key=key.text, base_url=stack.url, max_retries=0) as client:
        client.messages.create(
            model=alias, max_tokens=400, messages=[{"role": "user", "content": "count to 3"}],
            metadata={"user_id": "ana"}, extra_headers={"x-litellm-tags": "m"},
        )  # fmt: skip
    assert told(stack, key) == (["m"], "ana")


def test_calls_that_are_refused_are_marked_as_well(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """And whatever is sent is cut to what a report can hold."""
    fake.add_fault("status", status=400)
    reply = stack.post(key, ask("hi", "gpt-4o", user="u" * 500), headers={"x-tollgate-tags": "t" * 500 + ", ,b"})
    assert reply.status_code == 400
    assert told(stack, key) == (["t" * 64, "b"], "u" * 64)


def test_embeddings_have_both(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        client.embeddings.create(model="embedding", input="a", user="ana", extra_headers={"x-tollgate-tags": "e"})
    assert told(stack, key) == (["e"], "ana")
