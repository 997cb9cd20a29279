"""Completions and embeddings of the fake: the real SDK, both surfaces, what arrives, what is refused."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure

INSTRUCT = "gpt-35-turbo-instruct"
SMALL, ADA = "text-embedding-3-small", "text-embedding-ada-002"


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def dated(azure: FakeAzure, **options: Any) -> openai.OpenAI:
    row = azure.state.resources["main"]
    version = "2024-10-21"
    return openai.AzureOpenAI(azure_endpoint=row.url, api_key=row.key, api_version=version, max_retries=0, **options)


def v1(azure: FakeAzure, **options: Any) -> openai.OpenAI:
    row = azure.state.resources["second"]
    return openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0, **options)


@pytest.fixture(params=[dated, v1])
def client(azure: FakeAzure, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with request.param(azure, _strict_response_validation=True) as made:
        yield made


def post(azure: FakeAzure, operation: str, body: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.post(f"{row.url}/openai/v1/{operation}", json=body, headers={"api-key": row.key})


# Completions.


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("hi", ["You said: hi"]),
        (["a", "b"], ["You said: a", "You said: b"]),
        ([1, 2, 3], ["You said: [1,2,3]"]),
        ([[1, 2], [3]], ["You said: [1,2]", "You said: [3]"]),
    ],
)
def test_each_prompt_has_its_choice(client: openai.OpenAI, prompt: Any, said: list[str]) -> None:
    answer = client.completions.create(model=INSTRUCT, prompt=prompt)
    assert [choice.text for choice in answer.choices] == said
    assert [choice.index for choice in answer.choices] == list(range(len(said)))
    assert answer.model == "gpt-35-turbo-instruct-0914"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_several_answers_to_each_prompt(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=INSTRUCT, prompt=["a", "b"], n=2)
    assert [choice.text[-1] for choice in answer.choices] == ["a", "a", "b", "b"]


def test_options_of_a_completion(client: openai.OpenAI) -> None:
    def ask(**options: Any) -> Any:
        return client.completions.create(model=INSTRUCT, **options).choices[0]

    assert ask(prompt="hi", echo=True).text == "hiYou said: hi"
    assert ask(prompt="hi", suffix="end").text == "You said: hi [before: end]"
    assert ask(prompt="hi", stop=" said").text == "You"
    cut = ask(prompt="count to 30")
    assert (cut.finish_reason, cut.text.split()[-1]) == ("length", "16"), "16 tokens are the default"
    probable = ask(prompt="hi", logprobs=2).logprobs
    assert probable.tokens == ["You", " said", ":", " hi"]
    assert probable.text_offset == [0, 3, 8, 9]
    assert [len(row) for row in probable.top_logprobs] == [2, 2, 2, 2]


def test_completion_is_streamed_with_usage(azure: FakeAzure) -> None:
    with dated(azure) as client:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(client.completions.create(model=INSTRUCT, prompt="count to 4", extra_body=options, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "1 2 3 4"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 4


def test_chat_model_refuses_completions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="completion operation does not work with the specified model"):
        client.completions.create(model="gpt-4o", prompt="hi")


def test_bad_prompts_are_refused(azure: FakeAzure) -> None:
    for prompt in ([], [{}], 5, ["a", [1], None]):
        answer = post(azure, "completions", {"model": INSTRUCT, "prompt": prompt})
        assert answer.status_code == 400, prompt
    unknown = post(azure, "completions", {"model": INSTRUCT, "prompt": "hi", "messages": [], "tools": []})
    assert unknown.json()["error"]["message"] == "Unrecognized request arguments supplied: messages, tools"
    lonely = post(azure, "completions", {"model": INSTRUCT, "prompt": "hi", "stream_options": {}})
    assert lonely.json()["error"]["param"] == "stream_options"
    filtered = post(azure, "completions", {"model": INSTRUCT, "prompt": "filter me"})
    assert filtered.json()["error"]["innererror"]["code"] == "ResponsibleAIPolicyViolation"


def test_completion_stream_is_cut(azure: FakeAzure) -> None:
    azure.add_fault("cut", after=3)
    row = azure.state.resources["main"]
    body = {"model": INSTRUCT, "prompt": "count to 9", "stream": True}
    address, headers = f"{row.url}/openai/v1/completions", {"api-key": row.key}
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", address, json=body, headers=headers) as answer,
    ):
        list(answer.iter_raw())


# Embeddings.


def test_vectors_are_the_same_in_both_encodings(azure: FakeAzure) -> None:
    floats = post(azure, "embeddings", {"model": SMALL, "input": ["a", "b"]}).json()
    packed = post(azure, "embeddings", {"model": SMALL, "input": ["a", "b"], "encoding_format": "base64"}).json()
    for one, other in zip(floats["data"], packed["data"], strict=True):
        assert list(struct.unpack("<1536f", base64.b64decode(other["embedding"]))) == pytest.approx(one["embedding"])
        assert math.sqrt(sum(number**2 for number in one["embedding"])) == pytest.approx(1, abs=1e-6)
    assert floats["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert floats["data"][0]["embedding"] != floats["data"][1]["embedding"]


def test_sdk_reads_embeddings(azure: FakeAzure, client: openai.OpenAI) -> None:
    strict = client.embeddings.create(model=SMALL, input="a", dimensions=8, encoding_format="float")
    with dated(azure) as lax:  # the SDK's own way asks for base64, which its strict types do not know
        assert lax.embeddings.create(model=SMALL, input="a", dimensions=8).data[0].embedding == pytest.approx(
            strict.data[0].embedding
        )
    assert len(strict.data[0].embedding) == 8


@pytest.mark.parametrize(("model", "size"), [(SMALL, 1536), ("text-embedding-3-large", 3072), (ADA, 1536)])
def test_sizes_and_token_arrays(azure: FakeAzure, model: str, size: int) -> None:
    answer = post(azure, "embeddings", {"model": model, "input": [[1, 2, 3], [4]]}).json()
    assert [len(row["embedding"]) for row in answer["data"]] == [size, size]
    assert answer["usage"]["prompt_tokens"] == 4
    again = post(azure, "embeddings", {"model": model, "input": [1, 2, 3]}).json()
    assert again["data"][0]["embedding"] == answer["data"][0]["embedding"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"input": ["x"] * 2049}, "Too many inputs. The max number of inputs is 2048."),
        ({"input": "x " * 8193}, "maximum context length is 8192 tokens"),
        ({"input": []}, "'$.input' is invalid"),
        ({"input": ["a", ""]}, "'$.input' is invalid"),
        ({}, "Missing required parameter: 'input'."),
        ({"input": "a", "dimensions": 8, "model": ADA}, "does not support specifying dimensions"),
        ({"input": "a", "dimensions": 1537}, "above maximum"),
        ({"input": "a", "colour": 1}, "Unrecognized request argument supplied: colour"),
        ({"input": "a", "encoding_format": "hex"}, "Invalid value: 'hex'"),
        ({"input": "a", "model": "gpt-4o"}, "embeddings operation does not work"),
    ],
)
def test_bad_embeddings_are_refused(azure: FakeAzure, body: dict[str, Any], told: str) -> None:
    answer = post(azure, "embeddings", {"model": SMALL, **body})
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_the_most_inputs_are_answered(azure: FakeAzure) -> None:
    answer = post(azure, "embeddings", {"model": SMALL, "input": ["x"] * 2048, "dimensions": 2})
    assert len(answer.json()["data"]) == 2048
