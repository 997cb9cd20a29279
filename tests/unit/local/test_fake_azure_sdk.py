"""The real openai SDK against the fake: each client class, streaming or not, errors, tools and parsed answers."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam
from pydantic import BaseModel

from local.fake_azure import FakeAzure

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def dated(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["main"]
    return openai.AzureOpenAI(azure_endpoint=row.url, api_key=row.key, api_version="2024-10-21", max_retries=0)


def v1(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["second"]
    return openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0)


def plain(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["openai"]
    return openai.OpenAI(base_url=f"{row.url}/v1", api_key=row.key, max_retries=0)


@pytest.fixture(params=[dated, v1, plain])
def client(azure: FakeAzure, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with request.param(azure) as made:
        yield made


def test_sdk_gets_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "You said: hi"
    assert answer.usage
    assert answer.usage.total_tokens == 8


def test_sdk_reads_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "count to 4"}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "1 2 3 4"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 4


def test_async_sdk_reads_a_stream(azure: FakeAzure) -> None:
    async def work() -> str:
        row = azure.state.resources["main"]
        async with openai.AsyncOpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key) as client:
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "count to 4"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert asyncio.run(work()) == "1 2 3 4"


def test_sdk_parses_a_structured_answer(azure: FakeAzure) -> None:
    class Person(BaseModel):
        name: str
        age: int

    with v1(azure) as client:
        answer = client.chat.completions.parse(
            model="gpt-4o", messages=[{"role": "user", "content": "Ada"}], response_format=Person
        )
    assert answer.choices[0].message.parsed == Person(name="Ada", age=1)


def test_sdk_collects_tool_calls_of_a_stream(azure: FakeAzure) -> None:
    with (
        dated(azure) as client,
        client.chat.completions.stream(
            model="gpt-4o", messages=[{"role": "user", "content": "weather in Tokyo and Paris"}], tools=[WEATHER]
        ) as stream,
    ):
        calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"location":"Tokyo"}', '{"location":"Paris"}']


def test_sdk_raises_what_it_should(azure: FakeAzure) -> None:
    with dated(azure) as client:
        chat = client.chat.completions
        with pytest.raises(openai.NotFoundError, match="deployment for this resource does not exist"):
            chat.create(model="nothing", messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(openai.BadRequestError, match="content management policy"):
            chat.create(model="gpt-4o", messages=[{"role": "user", "content": "filter me"}])
        azure.add_fault("status", status=429, retry_after=3)
        with pytest.raises(openai.RateLimitError) as limited:
            chat.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert limited.value.response.headers["retry-after"] == "3"
        wrong = client.with_options(api_key="wrong")
        with pytest.raises(openai.AuthenticationError):
            wrong.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


def test_sdk_lists_models(client: openai.OpenAI) -> None:
    assert client.models.list().data
