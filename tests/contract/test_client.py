"""shared.client against the fake Azure, no server between: the calls of the page that this gateway implements, and what
else a program relies on. Each call of the page stands here as it stands there, but for host, key and package."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import os
import re
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse
from openai.types.audio import Transcription
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from local.fake_azure import FakeAzure
from shared import client
from shared.types import UsageRecord
from tests.support.polling import until
from tests.support.stack import ROOT, clean_environment, last_upstream, upstream_calls

VERSION = "2024-10-21"
GOOD_MORNING: Any = [{"role": "user", "content": "good morning"}]
COUNT: Any = [{"role": "user", "content": "count to 5"}]


@dataclass
class Azure:
    """The fake, and the connection that a program would give."""

    fake: FakeAzure
    told: list[UsageRecord]

    @property
    def main(self) -> Any:
        return self.fake.state.resources["main"]

    @property
    def on(self) -> dict[str, Any]:
        return {"api_base": self.main.url, "api_key": self.main.key, "api_version": VERSION, "max_retries": 0}

    def token(self) -> str:
        """As `az account get-access-token` prints one."""
        state = self.fake.state
        query = {"api-version": "2019-08-01", "resource": "https://cognitiveservices.azure.com"}
        reply = httpx.get(state.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": state.identity_header})
        return reply.json()["access_token"]

    def record(self) -> UsageRecord:
        """Of the only call; it may come a moment after the answer."""
        until(lambda: self.told)
        (record,) = self.told
        return record


@pytest.fixture
def azure(fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Azure:
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    told: list[UsageRecord] = []
    monkeypatch.setattr(client, "on_usage", told.append)
    return Azure(fake, told)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    client.close()


# The page: connections.


def test_environment_variables(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_API_KEY", azure.main.key)
    monkeypatch.setenv("AZURE_API_BASE", azure.main.url)
    monkeypatch.setenv("AZURE_API_VERSION", "2023-05-15")
    response = client.completion(
        model="azure/chatgpt-v-2", messages=[{"content": "Hello, how are you?", "role": "user"}]
    )
    assert response.__class__ is ChatCompletion
    assert response.choices[0].message.content == "You said: Hello, how are you?"
    sent = last_upstream(azure.fake)
    assert (sent.path, sent.query) == (
        "/openai/deployments/chatgpt-v-2/chat/completions",
        {"api-version": "2023-05-15"},
    )
    record = azure.record()
    assert (record.alias, record.outcome, record.usage.input_tokens) == (
        "azure/chatgpt-v-2",
        "ok",
        response.usage.prompt_tokens,
    )
    monkeypatch.setenv("AZURE_API_VERSION", VERSION)  # read by each call, as the page's own library does
    client.completion("azure/chatgpt-v-2", GOOD_MORNING)
    assert last_upstream(azure.fake).query == {"api-version": VERSION}
    monkeypatch.setenv("AZURE_API_KEY", "")
    monkeypatch.setenv("AZURE_AD_TOKEN", azure.token())
    client.completion("azure/chatgpt-v-2", GOOD_MORNING)
    assert last_upstream(azure.fake).auth == "bearer"


def test_api_key_api_base_api_version(azure: Azure) -> None:
    response = client.completion(
        model="azure/gpt-4o",
        api_base=azure.main.url,
        api_version="2024-10-21",
        api_key=azure.main.key,
        messages=GOOD_MORNING,
    )
    assert response.choices[0].message.content == "You said: good morning"
    assert (last_upstream(azure.fake).auth, response.model) == ("api-key", "azure/gpt-4o")


def test_azure_ad_token_and_providers_of_tokens(azure: Azure) -> None:
    asked: list[int] = []

    def token_provider() -> str:
        asked.append(1)
        return azure.token()

    async def async_provider() -> str:
        return token_provider()

    on: Any = {"model": "azure/gpt-4o", "api_base": azure.main.url, "api_version": VERSION, "messages": GOOD_MORNING}
    forms: list[dict[str, Any]] = [
        {"azure_ad_token": azure.token()},
        {"azure_ad_token_provider": token_provider},
        {"azure_ad_token_provider": async_provider},
    ]
    for given in forms:
        assert client.completion(**on, **given).choices[0].message.content == "You said: good morning"
        assert asyncio.run(client.acompletion(**on, **given)).choices
    assert {r.auth for r in upstream_calls(azure.fake)} == {"bearer"}
    assert len(asked) == 4


ENTRA = """
import json, os, sys
from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from shared import client
from shared.client import completion

at = json.load(sys.stdin)
on = {"model": "azure/gpt-4o", "api_base": at["base"], "api_version": "2024-10-21",
      "messages": [{"role": "user", "content": "good morning"}], "max_retries": 0}
def ask(**given):
    assert completion(**on, **given).choices[0].message.content == "You said: good morning"

ask(tenant_id=at["tenant"], client_id=at["client"], client_secret=at["secret"])
ask(tenant_id=at["tenant"], client_id=at["client"], azure_ad_token="oidc/env/ASSERTION")
ask()  # managed identity
ask(azure_ad_token_provider=get_bearer_token_provider(DefaultAzureCredential(), "https://cognitiveservices.azure.com/.default"))
os.environ["AZURE_API_KEY"] = "wrong"
client.enable_azure_ad_token_refresh = True
ask()
client.enable_azure_ad_token_refresh = False
try:
    ask()
except client.InvalidParameter:
    raise
except Exception as error:
    print(type(error).__name__, error.status_code)
try:
    ask(tenant_id=at["tenant"], client_id=at["client"], client_secret="wrong")
except Exception as error:
    print(type(error).__name__, "AADSTS7000215" in str(error))
"""


def test_every_way_to_sign_in_by_entra_id(azure: Azure) -> None:
    """In a process of its own: certificates are trusted from its start."""
    state = azure.fake.state
    ((application, secret),) = state.clients.items()
    at = {"base": azure.main.url, "tenant": state.tenant_id, "client": application, "secret": secret}
    environment = {
        "AZURE_AUTHORITY_HOST": state.authority_url, "IDENTITY_ENDPOINT": state.identity_endpoint,
        "IDENTITY_HEADER": state.identity_header, "SSL_CERT_FILE": state.ca_file, "REQUESTS_CA_BUNDLE": state.ca_file,
        "ASSERTION": state.federated_assertion,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", ENTRA], input=json.dumps(at), cwd=ROOT, text=True,
        env=clean_environment() | environment, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["AuthenticationError 401", "AuthenticationError True"], done.stderr
    assert "Exception ignored" not in done.stderr  # what warns of a connection that was left open
    assert [r.auth for r in upstream_calls(azure.fake)] == ["bearer"] * 5 + ["api-key"]


def test_settings_of_the_module(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "api_key", azure.main.key)
    monkeypatch.setattr(client, "api_base", azure.main.url)
    assert client.completion("azure/gpt-4o", GOOD_MORNING).choices
    assert last_upstream(azure.fake).path == "/openai/v1/chat/completions"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completion("azure/my-o3-deployment", GOOD_MORNING, temperature=0)
    monkeypatch.setattr(client, "drop_params", True)
    assert client.completion("azure/my-o3-deployment", GOOD_MORNING, temperature=0).choices
    second = azure.fake.state.resources["second"]
    client.completion("azure/gpt-4o", GOOD_MORNING, azure_endpoint=second.url, azure_ad_token=azure.token())
    sent = last_upstream(azure.fake)
    assert (sent.resource, sent.auth) == ("second", "bearer")


# The page: models and what they do.


def test_vision_with_enhancements(azure: Azure) -> None:
    response = client.completion(
        model="azure/gpt-4-vision",
        timeout=5,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Whats in this image?"},
                    {"type": "image_url", "image_url": {"url": "https://avatars.example.com/u/29436595?v=4"}},
                ],
            }
        ],
        base_url=f"{azure.main.url}/openai/deployments/gpt-4-vision/extensions",
        api_key=azure.main.key,
        enhancements={"ocr": {"enabled": True}, "grounding": {"enabled": True}},
        dataSources=[
            {
                "type": "AzureComputerVision",
                "parameters": {"endpoint": "https://vision.example.com/", "key": "another-key"},
            }
        ],
    )
    assert response.choices[0].message.role == "assistant"
    sent = last_upstream(azure.fake)
    assert sent.path == "/openai/deployments/gpt-4-vision/extensions/chat/completions"
    assert sent.body["enhancements"]["ocr"] == {"enabled": True}
    assert sent.body["dataSources"][0]["parameters"]["key"] == "another-key"


@pytest.mark.parametrize(
    ("model", "deployment"),
    [
        ("azure/my-o3-deployment", "my-o3-deployment"),
        ("azure/o_series/my-random-deployment-name", "my-random-deployment-name"),
        ("azure/gpt5_series/my-gpt-5-deployment", "my-gpt-5-deployment"),
        ("azure/my-gpt-5-deployment", "my-gpt-5-deployment"),
    ],
)
def test_reasoning_models(azure: Azure, model: str, deployment: str) -> None:
    response = client.completion(
        model=model, messages=[{"role": "user", "content": "Hello, world!"}], max_tokens=500, **azure.on
    )
    assert response.choices[0].message.content == "You said: Hello, world!"
    sent = last_upstream(azure.fake)
    assert (sent.path.split("/")[3], sent.body["max_completion_tokens"]) == (deployment, 500)
    assert azure.record().usage.reasoning_tokens > 0


def test_audio_out(azure: Azure, tmp_path: Path) -> None:
    response = client.completion(
        model="azure/azure-openai-4o-audio",
        messages=[{"role": "user", "content": "I want to try out speech to speech"}],
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
        **azure.on,
    )
    audio = response.choices[0].message.audio
    (tmp_path / "said.wav").write_bytes(base64.b64decode(audio.data))
    with wave.open(str(tmp_path / "said.wav")) as said:
        assert said.getnchannels() == 1
    assert audio.id.startswith("audio_")  # as Azure gave it: there is nobody from whom it should be hidden
    assert azure.record().usage.audio_output_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_instruct_models(azure: Azure, stream: bool) -> None:
    question: Any = [{"role": "user", "content": "What is the weather like in Boston?"}]
    answer = client.completion(model="azure_text/gpt-35-turbo-instruct", messages=question, stream=stream, **azure.on)
    said = text_of(answer) if stream else answer.choices[0].message.content
    assert said == "You said: What is the weather like in Boston?"
    assert last_upstream(azure.fake).body["prompt"] == "What is the weather like in Boston?"
    assert not azure.record().usage.estimated


def test_parallel_tool_calls(azure: Azure) -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": "get_current_weather",
                "description": "Get the current weather in a given location",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    },
                    "required": ["location"],
                },
            },
        }
    ]
    messages: list[Any] = [{"role": "user", "content": "What's the weather like in San Francisco, Tokyo, and Paris?"}]
    first = client.completion("azure/chatgpt-functioncalling", messages, tools=tools, tool_choice="auto", **azure.on)
    message = first.choices[0].message
    assert {c.function.name for c in message.tool_calls} == {"get_current_weather"}
    messages.append(message)  # the SDK's own type goes back as it came
    messages += [{"tool_call_id": c.id, "role": "tool", "content": "10 degrees"} for c in message.tool_calls]
    assert client.completion("azure/chatgpt-functioncalling", messages, **azure.on).choices[0].message.content


def test_router(azure: Azure) -> None:
    second = azure.fake.state.resources["second"]
    params = [
        {"model": f"azure/{name}", "api_key": where.key, "api_version": VERSION, "api_base": where.url}
        for name, where in (("chatgpt-v-2", azure.main), ("chatgpt-functioncalling", second))
    ]
    plain: Any = {"model": "gpt-3.5-turbo", "api_key": "sk-1"}
    router = client.Router(
        model_list=[
            {"model_name": "gpt-3.5-turbo", "litellm_params": params[0], "tpm": 240000, "rpm": 1800},
            {"model_name": "gpt-3.5-turbo", "litellm_params": params[1], "tpm": 240000, "rpm": 1800},
            {"model_name": "another", "litellm_params": plain, "tpm": 1000000, "rpm": 9000},
        ],
        redis_host="redis.example.com",
    )
    response = router.completion(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hey, how's it going?"}])
    assert response.model == "gpt-3.5-turbo"
    azure.fake.add_fault("status", status=503, times=2, resource="main")
    for _ in range(2):
        assert router.completion("gpt-3.5-turbo", GOOD_MORNING, max_retries=0).choices  # by the other one
    with pytest.raises(openai.NotFoundError):
        router.completion("unknown", GOOD_MORNING)
    with pytest.raises(client.InvalidParameter) as refused:
        router.completion("gpt-3.5-turbo", GOOD_MORNING, api_key="k")
    assert refused.value.param == "api_key"


# Every operation, by both ways.


def tone() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return made.getvalue()


OPERATIONS: list[tuple[str, dict[str, Any], type, Callable[[Any], Any], Any]] = [
    ("completion", {"model": "azure/gpt-4o", "messages": COUNT}, ChatCompletion, lambda a: a.choices[0].message.content, "1 2 3 4 5"),
    ("text_completion", {"model": "azure_text/gpt-35-turbo-instruct", "prompt": "count to 3"}, Completion, lambda a: a.choices[0].text, "1 2 3"),
    ("embedding", {"model": "azure/text-embedding-3-small", "input": ["good morning"]}, CreateEmbeddingResponse, lambda a: len(a.data[0].embedding), 1536),
    ("responses", {"model": "azure/gpt-4o", "input": "count to 3"}, Response, lambda a: a.output_text, "1 2 3"),
    ("image_generation", {"model": "azure/dall-e-3", "prompt": "a cat"}, ImagesResponse, lambda a: len(a.data), 1),
    ("speech", {"model": "azure/tts-1", "input": "hi", "voice": "alloy", "response_format": "wav"}, openai.HttpxBinaryResponseContent, lambda a: a.content[:4], b"RIFF"),
    ("transcription", {"model": "azure/whisper", "file": ("a.wav", tone())}, Transcription, lambda a: a.text[:5], "Heard"),
    ("transcription", {"model": "azure/whisper", "file": ("a.wav", tone()), "response_format": "srt"}, str, lambda a: a[:2], "1\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "kind", "look", "seen"), OPERATIONS, ids=[f"{n}-{k.__name__}" for n, _, k, _, _ in OPERATIONS]
)
def test_operations(azure: Azure, name: str, given: Any, kind: type, look: Callable[[Any], Any], seen: Any) -> None:
    answer = getattr(client, name)(**given, **azure.on)
    assert (type(answer), look(answer)) == (kind, seen)
    first = azure.record()
    azure.told.clear()
    answer = asyncio.run(getattr(client, f"a{name}")(**given, **azure.on))
    assert (type(answer), look(answer)) == (kind, seen)
    record = azure.record()
    assert (record.endpoint, record.usage, record.alias, record.outcome) == (
        first.endpoint,
        first.usage,
        given["model"],
        "ok",
    )


def test_a_chain_of_responses_by_raw_ids(azure: Azure) -> None:
    first = client.responses("good morning", "azure/gpt-4o", **azure.on)
    second = client.responses("and more", "azure/gpt-4o", previous_response_id=first.id, **azure.on)
    assert last_upstream(azure.fake).body["previous_response_id"] == first.id
    assert second.previous_response_id == first.id


# Streams.


def text_of(chunks: Any) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_streams(azure: Azure) -> None:
    stream = client.completion("azure/gpt-4o", COUNT, stream=True, stream_options={"include_usage": True}, **azure.on)
    chunks = list(stream)
    assert type(stream) is openai.Stream
    assert {type(c) for c in chunks} == {ChatCompletionChunk}
    assert (text_of(chunks), chunks[-1].usage.completion_tokens) == ("1 2 3 4 5", 5)

    async def work() -> str:
        answer = await client.acompletion("azure/gpt-4o", COUNT, stream=True, **azure.on)
        assert type(answer) is openai.AsyncStream
        return text_of([c async for c in answer])

    assert asyncio.run(work()) == "1 2 3 4 5"
    events = list(client.responses("count to 3", "azure/gpt-4o", stream=True, **azure.on))
    assert events[-1].response.output_text == "1 2 3"
    assert [(r.outcome, r.usage.output_tokens, r.usage.estimated) for r in azure.told] == [
        ("ok", 5, False),
        ("ok", 5, False),
        ("ok", 3, False),
    ]


def read_one(stream: Any) -> None:
    next(iter(stream))


def leave_by_close(azure: Azure) -> None:
    stream = client.completion("azure/gpt-4o", [{"role": "user", "content": "count to 5000"}], stream=True, **azure.on)
    read_one(stream)
    stream.close()


def leave_by_forgetting(azure: Azure) -> None:
    read_one(client.completion("azure/gpt-4o", [{"role": "user", "content": "count to 5000"}], stream=True, **azure.on))
    gc.collect()


def leave_unread(azure: Azure) -> None:
    client.completion("azure/gpt-4o", [{"role": "user", "content": "count to 5000"}], stream=True, **azure.on)
    gc.collect()


def leave_an_event_loop(azure: Azure) -> None:
    async def work() -> None:
        question: Any = [{"role": "user", "content": "count to 5000"}]
        kept.append(await client.acompletion("azure/gpt-4o", question, stream=True, **azure.on))
        async for _ in kept[0]:
            break

    kept: list[Any] = []
    asyncio.run(work())


def leave_at_the_end(azure: Azure) -> None:
    stream = client.completion("azure/gpt-4o", [{"role": "user", "content": "count to 5000"}], stream=True, **azure.on)
    read_one(stream)
    client.close()
    stream.close()


@pytest.mark.parametrize(
    "leave", [leave_by_close, leave_by_forgetting, leave_unread, leave_an_event_loop, leave_at_the_end]
)
def test_a_stream_that_is_left_closes_its_upstream(azure: Azure, leave: Callable[[Azure], None]) -> None:
    azure.fake.add_fault("slow_chunks", seconds=0.02)
    leave(azure)
    assert azure.record().outcome == "client_closed"
    assert azure.fake.wait_idle(5)
    assert last_upstream(azure.fake).closed_early


# Failures.


ERRORS: list[tuple[dict[str, Any], dict[str, Any], type[Exception], Any, Any]] = [
    ({"kind": "content_filter"}, {}, openai.BadRequestError, 400, "content_filter"),
    ({}, {"api_key": "wrong"}, openai.AuthenticationError, 401, "upstream_auth_failed"),
    ({}, {"model": "azure/none"}, openai.NotFoundError, 404, "DeploymentNotFound"),
    ({"kind": "status", "status": 429, "retry_after": 7}, {}, openai.RateLimitError, 429, "rate_limit_exceeded"),
    ({"kind": "status", "status": 500}, {}, openai.InternalServerError, 500, None),
    ({"kind": "reset"}, {}, openai.APIConnectionError, None, None),
    ({}, {"api_base": "http://127.0.0.1:9"}, openai.APIConnectionError, None, None),
    ({"kind": "slow_first_byte", "seconds": 20}, {"timeout": 0.2}, openai.APITimeoutError, None, None),
    ({}, {"tools": "none"}, openai.BadRequestError, 400, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "changed", "kind", "status", "code"),
    ERRORS,
    ids=[f"{k.__name__}-{i}" for i, (_, _, k, _, _) in enumerate(ERRORS)],
)
def test_errors_are_the_sdks_own(
    azure: Azure, fault: Any, changed: Any, kind: type[Exception], status: Any, code: Any
) -> None:
    if fault:
        azure.fake.add_fault(**fault)
    with pytest.raises(openai.APIError) as raised:
        client.completion(**{"model": "azure/gpt-4o", "messages": GOOD_MORNING, **azure.on, **changed})
    error: Any = raised.value
    assert error.__class__ is kind
    assert getattr(error, "status_code", None) == status
    if code:
        assert (error.code, error.body["code"]) == (code, code)
    if status == 429:
        assert error.response.headers["retry-after"] == "7"
    assert azure.record().outcome == (
        "client_closed" if "timeout" in changed else "client_error" if status in (400, 404) else "upstream_error"
    )


def test_a_stream_that_breaks_or_stalls(azure: Azure) -> None:
    azure.fake.add_fault("cut", after=2)
    stream = client.completion("azure/gpt-4o", COUNT, stream=True, **azure.on)
    with pytest.raises(openai.APIError, match="cut off"):
        list(stream)
    azure.fake.add_fault("pause", after=2, seconds=20)
    stream = client.completion("azure/gpt-4o", COUNT, stream=True, timeout=0.3, **azure.on)
    with pytest.raises(openai.APIError) as raised:
        list(stream)
    assert type(raised.value) is openai.APITimeoutError
    assert [r.outcome for r in azure.told] == ["upstream_cut", "client_closed"]


def test_retries_are_the_sdks_own(azure: Azure) -> None:
    azure.fake.add_fault("status", status=429, retry_after_ms=10, times=2)
    assert client.completion("azure/gpt-4o", GOOD_MORNING, **(azure.on | {"max_retries": 2})).choices
    assert [r.status for r in azure.told] == [429, 429, 200]


def test_a_task_that_is_cancelled(azure: Azure) -> None:
    azure.fake.add_fault("slow_first_byte", seconds=20)

    async def work() -> None:
        task = asyncio.create_task(client.acompletion("azure/gpt-4o", GOOD_MORNING, **azure.on))
        await asyncio.to_thread(until, lambda: upstream_calls(azure.fake))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert azure.record().outcome == "client_closed"
        await client.aclose()

    asyncio.run(work())


def test_parameters_that_cannot_work(azure: Azure) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"api_base": "nonsense"}, "api_base"),
        ({"api_version": "yesterday"}, "api_version"),
        ({"model": "bedrock/x"}, "model"),
        ({"api_key": None, "client_secret": "s"}, "client_secret"),
        ({"extra_headers": {"a": "b"}}, "extra_headers"),
    ]
    for changed, param in cases:
        with pytest.raises(client.InvalidParameter, match=f"^{param}: .+ → ") as refused:
            client.completion(**{"model": "azure/gpt-4o", "messages": GOOD_MORNING, **azure.on, **changed})
        assert refused.value.param == param
        assert azure.main.key not in str(refused.value)
    assert not upstream_calls(azure.fake)


# Threads, processes, event loops.


def test_many_threads_at_once(azure: Azure) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                question: Any = [{"role": "user", "content": f"{number}-{turn}"}]
                answer = client.completion("azure/gpt-4o", question, stream=True, **azure.on)
                assert text_of(answer) == f"You said: {number}-{turn}"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(azure.told) == 40


def test_a_record_says_what_the_call_cost(azure: Azure) -> None:
    """By Azure's list prices for a model that is known, by the program's own where it names them."""
    client.completion("azure/gpt-4o", COUNT, **azure.on)
    cost, usage = azure.record().cost, azure.record().usage
    assert cost.priced
    assert cost.nanos > 0
    assert cost.basis.startswith("azure")
    azure.told.clear()
    own = {"input_cost_per_token": "0.000001", "output_cost_per_token": "0.000004"}
    client.completion("azure/gpt-4o", COUNT, **azure.on, **own)
    usage = azure.record().usage
    assert azure.record().cost.nanos == usage.input_tokens * 1_000 + usage.output_tokens * 4_000
    assert azure.record().cost.basis == "config"
    assert not own.keys() & upstream_calls(azure.fake)[-1].body.keys()
    azure.told.clear()
    client.completion("azure/my-gpt4-deployment", COUNT, **azure.on)
    assert not azure.record().cost.priced  # a name that tells no model


def test_a_function_of_the_program_may_not_call_back_and_may_fail(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def callback(record: UsageRecord) -> None:
        try:
            client.completion("azure/gpt-4o", GOOD_MORNING, **azure.on)
        except RuntimeError as error:
            said.append(str(error))
            raise

    monkeypatch.setattr(client, "on_usage", callback)
    assert client.completion("azure/gpt-4o", GOOD_MORNING, **azure.on).choices
    assert len(said) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_after_a_fork_both_processes_go_on(azure: Azure) -> None:
    client.completion("azure/gpt-4o", GOOD_MORNING, **azure.on)
    child = os.fork()
    if child == 0:
        try:
            os._exit(
                0
                if client.completion("azure/gpt-4o", COUNT, **azure.on).choices[0].message.content == "1 2 3 4 5"
                else 1
            )
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert client.completion("azure/gpt-4o", GOOD_MORNING, **azure.on).choices


PAGE = (ROOT / "docs" / "sdk.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:openai")
@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example-{n}" for n in range(len(EXAMPLES))])
def test_examples_of_the_documentation(
    azure: Azure, example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As they stand there, but for host, key and token."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.wav").write_bytes(tone())
    for name, value in (("BASE", azure.main.url), ("KEY", azure.main.key), ("VERSION", VERSION)):
        monkeypatch.setenv(f"AZURE_API_{name}", value)
    source = example.replace("https://my-resource.openai.azure.com", azure.main.url)
    source = source.replace("my-azure-api-key", azure.main.key).replace("eyJ0…", azure.token())
    exec(compile(source, "docs/sdk.md", "exec"), {"__name__": "example"})
    assert upstream_calls(azure.fake)


def test_the_import_loads_no_sdk_and_a_missing_one_is_named() -> None:
    script = """
import sys
from shared import client
unwanted = ("azure", "openai", "aiohttp", "httpx", "httpx2", "starlette", "shared.adapters.price_store")
print([name for name in unwanted if name in sys.modules])
sys.modules["openai"] = None
try:
    client.completion("azure/x", [], api_key="k", api_base="https://x.openai.azure.com")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.stdout.splitlines() == [
        "[]",
        "shared.client returns the OpenAI SDK's types: install the package 'openai'",
    ]
