"""Claude on the fake's Foundry resource: the real anthropic SDK, whole and streamed, strictly parsed."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture

CLAUDE = "claude-haiku-4-5"
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def client(azure: FakeAzure) -> Iterator[anthropic.AnthropicFoundry]:
    row = azure.state.resources["foundry"]
    with anthropic.AnthropicFoundry(
        base_url=f"{row.url}/anthropic", api_key=row.key, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def says(text: Any) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def token(azure: FakeAzure, audience: str) -> str:
    state = azure.state
    query = {"api-version": "2019-08-01", "resource": audience}
    answer = httpx.get(state.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": state.identity_header})
    return answer.json()["access_token"]


def test_answer(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=CLAUDE, max_tokens=100, messages=says("hi there"))
    assert [block.to_dict() for block in answer.content] == [
        {"type": "text", "text": "You said: hi there", "citations": None}
    ]
    assert (answer.stop_reason, answer.model) == ("end_turn", "claude-haiku-4-5-20251001")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 5)


def test_stream_has_the_events_in_order(client: anthropic.Anthropic) -> None:
    stream = client.messages.create(model=CLAUDE, max_tokens=100, messages=says("count to 2"), stream=True)
    events = list(stream)
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    ended = events[-2]
    assert ended.type == "message_delta"
    assert (ended.delta.stop_reason, ended.usage.output_tokens, ended.usage.input_tokens) == ("end_turn", 2, 6)


def test_ping_comes_on_the_wire(azure: FakeAzure) -> None:
    row = azure.state.resources["foundry"]
    body = {"model": CLAUDE, "max_tokens": 9, "messages": says("hi"), "stream": True}
    headers = {"x-api-key": row.key, "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{row.url}/anthropic/v1/messages", json=body, headers=headers)
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("options", "text", "reason", "stop"),
    [
        ({"max_tokens": 3}, "1 2 3", "max_tokens", None),
        ({"stop_sequences": [" 6", " 4"]}, "1 2 3", "stop_sequence", " 4"),
    ],
)
def test_why_an_answer_ends(
    client: anthropic.Anthropic, options: dict[str, Any], text: str, reason: str, stop: str | None
) -> None:
    asked: dict[str, Any] = {"model": CLAUDE, "max_tokens": 100, "messages": says("count to 9"), **options}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        assert [block.text for block in answer.content if block.type == "text"] == [text]
        assert (answer.stop_reason, answer.stop_sequence) == (reason, stop)


def test_refusal(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=CLAUDE, max_tokens=100, messages=says("please refuse"))
    assert answer.stop_reason == "refusal"


def test_tools_are_called_and_answered(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": CLAUDE, "max_tokens": 300, "tools": [WEATHER]}
    question = says("weather in Tokyo and Paris")
    answer = client.messages.create(**asked, messages=question)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"location": "Tokyo"}, {"location": "Paris"}]
    assert answer.stop_reason == "tool_use"
    with client.messages.stream(**asked, messages=question) as stream:
        streamed = stream.get_final_message()
    assert [block.input for block in streamed.content if block.type == "tool_use"] == [call.input for call in calls]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    said: list[Any] = [*question, {"role": "assistant", "content": answer.content}, *says(results)]
    final = client.messages.create(**asked, messages=said).content[0]
    assert final.type == "text"
    assert final.text == "Tool said: sunny; sunny"


@pytest.mark.parametrize(
    ("choice", "text", "called"),
    [
        ({"type": "none"}, "weather", 0),
        ({"type": "any"}, "hello", 1),
        ({"type": "tool", "name": "get_weather"}, "hello", 1),
        ({"type": "auto", "disable_parallel_tool_use": True}, "weather in Tokyo and Paris", 1),
        ({"type": "auto"}, "hello", 0),
    ],
)
def test_tool_choice(client: anthropic.Anthropic, choice: Any, text: str, called: int) -> None:
    answer = client.messages.create(
        model=CLAUDE, max_tokens=100, messages=says(text), tools=[WEATHER], tool_choice=choice
    )
    assert [block.type for block in answer.content].count("tool_use") == called


def test_a_sentence_before_the_call(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(
        model=CLAUDE, max_tokens=100, messages=says("say the weather aloud"), tools=[WEATHER]
    )
    assert [block.type for block in answer.content] == ["text", "tool_use"]


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        (CLAUDE, {"type": "enabled", "budget_tokens": 1024}),
        ("claude-sonnet-4-6", {"type": "adaptive"}),
    ],
)
def test_thinking_is_signed_and_can_be_given_back(client: anthropic.Anthropic, model: str, thinking: Any) -> None:
    asked: dict[str, Any] = {"model": model, "max_tokens": 3000, "thinking": thinking, "tools": [WEATHER]}
    question = says("weather in Tokyo")
    answer = client.messages.create(**asked, messages=question)
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    with client.messages.stream(**asked, messages=question) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0] == answer.content[0]
    call = answer.content[1]
    assert call.type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    said: list[Any] = [*question, {"role": "assistant", "content": answer.content}, *says([result])]
    assert client.messages.create(**asked, messages=said).content[-1].type == "text"
    changed = [{**block.to_dict(), "thinking": "other"} for block in answer.content if block.type == "thinking"]
    said[1] = {"role": "assistant", "content": [*changed, call]}
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        client.messages.create(**asked, messages=said)


def test_thinking_may_be_left_out_of_the_answer(client: anthropic.Anthropic) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}
    answer = client.messages.create(model=CLAUDE, max_tokens=3000, thinking=thinking, messages=says("hi"))
    assert answer.content[0].type == "thinking"
    assert (answer.content[0].thinking, bool(answer.content[0].signature)) == ("", True)


def test_structured_answers(client: anthropic.Anthropic) -> None:
    class Person(BaseModel):
        name: str
        age: int

    answer = client.messages.parse(model=CLAUDE, max_tokens=100, messages=says("Ada"), output_format=Person)
    assert answer.parsed_output == Person(name="Ada", age=1)


def test_images_and_documents_are_seen(client: anthropic.Anthropic) -> None:
    data = base64.b64encode(picture("x")).decode()
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}},
        {"type": "text", "text": "look"},
    ]
    answer = client.messages.create(model=CLAUDE, max_tokens=100, messages=says(content))
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "You said: [document: Notes] look [1 image]"
    assert answer.usage.input_tokens == 3 + 85 + 2 + 1


@pytest.mark.parametrize(("mark", "hour"), [({"type": "ephemeral"}, 0), ({"type": "ephemeral", "ttl": "1h"}, 1)])
def test_marked_prompt_is_cached(client: anthropic.Anthropic, mark: Any, hour: int) -> None:
    system: Any = [{"type": "text", "text": f"rule{hour} " * 1100, "cache_control": mark}]
    first, second = (
        client.messages.create(model=CLAUDE, max_tokens=9, system=system, messages=says("hi")).usage for _ in range(2)
    )
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (1101, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 1101)
    assert first.input_tokens == second.input_tokens == 4
    assert first.cache_creation
    lasting = (first.cache_creation.ephemeral_5m_input_tokens, first.cache_creation.ephemeral_1h_input_tokens)
    assert lasting == ((0, 1101) if hour else (1101, 0))


def test_short_prompts_are_not_cached(client: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    for _ in range(2):
        usage = client.messages.create(model=CLAUDE, max_tokens=9, system=system, messages=says("hi")).usage
        assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


def test_tokens_are_counted_as_they_are_billed(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": CLAUDE, "system": "be brief", "tools": [WEATHER], "messages": says("hi there")}
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == client.messages.create(**asked, max_tokens=9).usage.input_tokens
    assert counted > client.messages.count_tokens(model=CLAUDE, messages=says("hi there")).input_tokens


@pytest.mark.parametrize("audience", ["https://ai.azure.com", "https://cognitiveservices.azure.com"])
def test_entra_tokens_open(azure: FakeAzure, audience: str) -> None:
    row = azure.state.resources["foundry"]
    with anthropic.AnthropicFoundry(
        base_url=f"{row.url}/anthropic", azure_ad_token_provider=lambda: token(azure, audience), max_retries=0
    ) as client:
        assert client.messages.create(model=CLAUDE, max_tokens=9, messages=says("hi")).stop_reason == "end_turn"


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "Authorization"])
def test_keys_open(azure: FakeAzure, name: str) -> None:
    row = azure.state.resources["foundry"]
    body = {"model": CLAUDE, "max_tokens": 9, "messages": says("hi")}
    address = f"{row.url}/anthropic/v1/messages"
    prefix = "Bearer " if name == "Authorization" else ""
    version = {"anthropic-version": "2023-06-01"}
    assert httpx.post(address, json=body, headers={name: prefix + row.key, **version}).status_code == 200
    assert httpx.post(address, json=body, headers={name: prefix + "wrong", **version}).status_code == 401


def test_betas_are_recorded(azure: FakeAzure, client: anthropic.Anthropic) -> None:
    answer = client.beta.messages.with_raw_response.create(
        model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "hi"}], betas=["context-1m-2025-08-07"]
    )
    assert answer.headers["x-fake-anthropic-beta"] == "context-1m-2025-08-07"
    assert azure.wait_idle()
    record = azure.requests[-1]
    assert (record.path, record.headers["anthropic-beta"]) == ("/anthropic/v1/messages", "context-1m-2025-08-07")


def test_other_resources_have_no_claude(azure: FakeAzure) -> None:
    row = azure.state.resources["main"]
    answer = httpx.post(f"{row.url}/anthropic/v1/messages", json={}, headers={"api-key": row.key})
    assert answer.status_code == 404
