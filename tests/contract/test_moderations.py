"""Moderations with the OpenAI SDK, answered by Azure AI Content Safety."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import openai
import pytest
from openai.types import Moderation, ModerationCreateResponse

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import aliases, config_text
from tests.support.stack import Key, Stack, upstream_calls


def image(words: str) -> dict[str, Any]:
    """The fake reads an image's bytes as text."""
    url = "data:image/png;base64," + base64.b64encode(words.encode()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def results(answer: ModerationCreateResponse) -> list[Moderation]:
    ModerationCreateResponse.model_validate(answer.to_dict(mode="json"), strict=True)
    return answer.results


def flagged(result: Moderation) -> set[str]:
    found = {name for name, value in result.categories.to_dict().items() if value}
    assert result.flagged == bool(found)
    assert result.category_scores.to_dict().keys() == result.categories.to_dict().keys()
    return found


@pytest.mark.parametrize("model", ["safety", "omni-moderation-latest", "text-moderation-stable", None])
def test_one_text(stack: Stack, key: Key, fake: FakeAzure, model: str | None) -> None:
    given: Any = {"model": model} if model else {}
    with stack.openai(key) as client:
        answer = client.moderations.create(input="I will kill and be violent", **given)
    (result,) = results(answer)
    assert flagged(result) == {"violence"}
    assert (result.category_scores.violence, result.category_scores.sexual) == (1.0, 0.0)
    assert result.category_applied_input_types.violence == ["text"]
    assert answer.model == "safety"
    (sent,) = upstream_calls(fake)
    assert (sent.path, sent.query) == ("/contentsafety/text:analyze", {"api-version": "2024-09-01"})
    assert sent.body == {"text": "I will kill and be violent", "outputType": "EightSeverityLevels"}
    assert sent.headers["ocp-apim-subscription-key"] == fake.state.resources["main"].key
    (event,) = stack.usage(key, 1)
    assert (event["endpoint"], event["alias"], event["outcome"], event["input_tokens"], event["estimated"]) == (
        "moderations", "safety", "ok", 0, False,
    )  # fmt: skip


def test_several_texts_have_a_result_each(stack: Stack, key: Key) -> None:
    async def work() -> list[Moderation]:
        async with stack.async_openai(key, "") as client:
            words = ["good morning", "hate", "sexual porn", "suicide"]
            return results(await client.moderations.create(model="safety", input=words))

    found = asyncio.run(work())
    assert [flagged(r) for r in found] == [set(), {"hate", "harassment"}, {"sexual"}, {"self-harm"}]
    assert [r.category_scores.self_harm for r in found] == [0, 0, 0, round(5 / 7, 4)]
    assert stack.usage(key, 1)[0]["attempts"] == 1


def test_parts_are_one_input(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        given: Any = [text("good morning"), image("violence"), image("hate hate")]
        (result,) = results(client.moderations.create(model="safety", input=given))
        (alone,) = results(client.moderations.create(model="safety", input=given[1:2]))
    assert flagged(result) == {"violence", "hate", "harassment"}
    assert result.category_applied_input_types.violence == ["image", "text"]
    assert result.category_applied_input_types.hate == ["text"]
    assert (flagged(alone), alone.category_applied_input_types.violence) == ({"violence"}, ["image"])
    assert [call.path.rpartition("/")[2] for call in upstream_calls(fake)] == [
        "text:analyze", "image:analyze", "image:analyze", "image:analyze",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("param", "given"),
    [
        ("input", []),
        ("input", ["text", {"type": "text", "text": "x"}]),
        ("input", ["x"] * 101),
        ("input", ""),
        ("input[1]", ["ok", ""]),
        ("input[0]", ["x" * 10_001]),
        ("input[0].text", [{"type": "text"}]),
        ("input[0]", [7]),
        ("input[0]", [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]),
        ("input[0]", [{"type": "image_url"}]),
    ],
)
def test_bad_input_is_named(stack: Stack, key: Key, fake: FakeAzure, param: str, given: Any) -> None:
    reply = stack.post(key, {"input": given}, "/v1/moderations")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert not upstream_calls(fake)


def test_refusals_of_content_safety(stack: Stack, key: Key, fake: FakeAzure) -> None:
    broken: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}]
    reply = stack.post(key, {"input": broken}, "/v1/moderations")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "InvalidRequestBody")
    assert_nothing_leaks(fake, reply)
    fake.add_fault("status", status=429, retry_after=7)
    reply = stack.post(key, {"input": "hi"}, "/v1/moderations")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert [e["outcome"] for e in stack.usage(key, 2)] == ["client_error", "upstream_error"]


def test_without_content_safety_there_is_a_clear_404(new_stack: Any, fake: FakeAzure) -> None:
    stack: Stack = new_stack(config=config_text([row for row in aliases(fake) if row[0] != "safety"]))
    key = stack.key()
    with stack.openai(key) as client:
        given: Any
        for given in ({}, {"model": "omni-moderation-latest"}):
            with pytest.raises(openai.NotFoundError) as refused:
                client.moderations.create(input="hi", **given)
            assert refused.value.code == "moderations_not_configured"
        with pytest.raises(openai.BadRequestError) as refused_:
            client.moderations.create(input="hi", model="gpt-4o")
        assert refused_.value.code == "unsupported_operation"
    assert not upstream_calls(fake)
