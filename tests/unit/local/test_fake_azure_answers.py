"""What the models say and what they refuse. Every answer is asked for both as one body and as a stream."""

import base64
import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


class Asker:
    """Asks and gives back one form for both ways: {message, finish, usage} of every choice."""

    def __init__(self, azure: FakeAzure, http: httpx.Client) -> None:
        self._row, self._http = azure.state.resources["main"], http

    def post(self, deployment: str, body: dict[str, Any], route: str = "") -> httpx.Response:
        url = f"{self._row.url}/openai/deployments/{deployment}{route}/chat/completions?api-version=2025-01-01-preview"
        return self._http.post(url, json=body, headers={"api-key": self._row.key})

    def whole(self, deployment: str, body: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        answer = self.post(deployment, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"], answer.json()["usage"]

    def stream(self, deployment: str, body: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        answer = self.post(deployment, {**body, "stream": True, "stream_options": {"include_usage": True}})
        assert answer.status_code == 200, answer.text
        chunks = events(answer)
        choices: dict[int, dict[str, Any]] = {}
        for chunk in chunks:
            for choice in chunk["choices"]:
                known = choices.setdefault(choice["index"], {"index": choice["index"], "message": {}})
                merge(known["message"], choice.get("delta", {}))
                known["finish_reason"] = choice["finish_reason"] or known.get("finish_reason")
                known["content_filter_results"] = choice.get("content_filter_results")
                if choice.get("logprobs"):
                    known.setdefault("logprobs", {"content": []})["content"] += choice["logprobs"]["content"]
        return [choices[index] for index in sorted(choices)], chunks[-1]["usage"]


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        known = message.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            merge(known, value)
        elif isinstance(value, list) and name == "tool_calls":
            calls = message.setdefault(name, [])
            for call in value:
                if call["index"] == len(calls):
                    calls.append({})
                merge(calls[call["index"]], {k: v for k, v in call.items() if k != "index"})
        elif isinstance(value, str) and isinstance(known, str):
            message[name] = known + value
        elif value is not None or name not in message:
            message[name] = value


@pytest.fixture(scope="module")
def asker(azure: FakeAzure, http: httpx.Client) -> Asker:
    return Asker(azure, http)


@pytest.fixture(params=["whole", "stream"])
def ask(asker: Asker, request: pytest.FixtureRequest) -> Any:
    return getattr(asker, request.param)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def image() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


TURNS = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "x"},
    {"role": "user", "content": "two"},
]
AFTER_TOOL = [{"role": "user", "content": "weather"}, {"role": "tool", "tool_call_id": "1", "content": "sunny"}]
SOUND = {"type": "input_audio", "input_audio": {}}


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (user("Zażółć gęślą jaźń 🙂 "), "You said: Zażółć gęślą jaźń 🙂 "),
        (user("count to 5"), "1 2 3 4 5"),
        (user("long 3"), "word0 word1 word2"),
        (user([{"type": "text", "text": "look"}, image(), image()]), "You said: look [2 images]"),
        (user([{"type": "text", "text": "hear"}, SOUND]), "You said: hear [1 audio]"),
        (user("hello", response_format={"type": "json_object"}), '{"you_said":"hello"}'),
        ({"messages": TURNS}, "You said: two"),
        ({"messages": AFTER_TOOL, "tools": [WEATHER]}, "Tool said: sunny"),
        (user("hello", tools=[WEATHER]), "You said: hello"),
        (user("weather", tools=[WEATHER], tool_choice="none"), "You said: weather"),
        (user("count to 9", stop=" 4"), "1 2 3"),
        (user("count to 99", stop=["7 8", "never"]), "1 2 3 4 5 6 "),
        (user("hello there", stop="id: hel"), "You sa"),
        (user("hello", metadata={"a": "b"}, store=True, enhancements={"ocr": {}}), "You said: hello"),
    ],
)
def test_answer_follows_from_the_request(ask: Any, body: dict[str, Any], content: str) -> None:
    (choice,), usage = ask("gpt-4o", body)
    assert choice["message"]["content"] == content
    assert choice["finish_reason"] == "stop"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_streamed_and_whole_usage_are_the_same(asker: Asker) -> None:
    for body in (user("some words, and more", n=2), user("weather in Tokyo", tools=[WEATHER]), user("refuse")):
        whole, stream = asker.whole("gpt-4o", body), asker.stream("gpt-4o", body)
        assert whole[1] == stream[1]
        assert [c["finish_reason"] for c in whole[0]] == [c["finish_reason"] for c in stream[0]]


def test_usage_counts_words_and_three_tokens_a_message(ask: Any) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello, you"}]
    _, usage = ask("gpt-4o", {"messages": messages})
    assert usage["prompt_tokens"] == 3 + 2 + 3 + 3
    assert usage["completion_tokens"] == 3 + 3


def test_refusal(ask: Any) -> None:
    (choice,), _ = ask("gpt-4o", user("please refuse"))
    assert choice["message"]["refusal"].startswith("I'm sorry")
    assert not choice["message"]["content"]
    assert choice["finish_reason"] == "stop"


def test_answer_cut_off_by_the_filter(ask: Any) -> None:
    (choice,), _ = ask("gpt-4o", user("be cut off by filter"))
    assert choice["finish_reason"] == "content_filter"
    assert choice["content_filter_results"]["violence"] == {"filtered": True, "severity": "medium"}


def test_choices_are_as_many_as_asked_for(ask: Any) -> None:
    choices, usage = ask("gpt-4o", user("hi", n=3))
    assert [c["index"] for c in choices] == [0, 1, 2]
    assert {c["message"]["content"] for c in choices} == {"You said: hi"}
    assert usage["completion_tokens"] == 3 * 4


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_truncates(ask: Any, name: str) -> None:
    (choice,), usage = ask("gpt-4o", user("count to 50", **{name: 3}))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("1 2 3", "length")
    assert usage["completion_tokens"] == 3
    (choice,), _ = ask("gpt-4o", user("count to 3", **{name: 3}))
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize(("effort", "tokens"), [("low", 64), ("medium", 192), ("high", 512), (None, 192)])
def test_reasoning_is_counted(ask: Any, effort: str | None, tokens: int) -> None:
    more = {} if effort is None else {"reasoning_effort": effort}
    _, usage = ask("o3-model", user("hi", **more))
    assert usage["completion_tokens_details"]["reasoning_tokens"] == tokens
    assert usage["completion_tokens"] == tokens + 4


def test_reasoning_may_use_up_the_limit(ask: Any) -> None:
    (choice,), usage = ask("o3-model", user("hi", max_completion_tokens=100))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert usage["completion_tokens"] == usage["completion_tokens_details"]["reasoning_tokens"] == 100


def test_gpt_5_1_does_not_reason_unless_told(ask: Any) -> None:
    _, usage = ask("gpt-5.1", user("hi", temperature=0.2))
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


def test_tool_call_fits_the_schema(ask: Any) -> None:
    (choice,), usage = ask("gpt-4o", user("the weather in Paris?", tools=[CLOCK, WEATHER][::-1]))
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"], choice["finish_reason"]) == (
        "function",
        "get_weather",
        "tool_calls",
    )
    assert json.loads(call["function"]["arguments"]) == {"location": "Paris", "unit": "celsius"}
    assert choice["message"]["content"] is None
    assert usage["completion_tokens"] > 0


def test_tool_is_called_for_each_city(ask: Any) -> None:
    question = user("What's the weather like in San Francisco, Tokyo, and Paris?", tools=[WEATHER])
    (choice,), _ = ask("chatgpt-functioncalling", question)
    places = [json.loads(c["function"]["arguments"])["location"] for c in choice["message"]["tool_calls"]]
    assert places == ["San Francisco", "Tokyo", "Paris"]
    assert len({c["id"] for c in choice["message"]["tool_calls"]}) == 3
    (choice,), _ = ask("chatgpt-functioncalling", {**question, "parallel_tool_calls": False})
    assert len(choice["message"]["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("tool_choice", "name", "finish"),
    [
        ("required", "get_weather", "tool_calls"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time", "stop"),
    ],
)
def test_tool_call_may_be_forced(ask: Any, tool_choice: Any, name: str, finish: str) -> None:
    (choice,), _ = ask("gpt-4o", user("hello", tools=[WEATHER, CLOCK], tool_choice=tool_choice))
    assert choice["message"]["tool_calls"][0]["function"]["name"] == name
    assert choice["finish_reason"] == finish


def test_functions_of_old_are_called(ask: Any) -> None:
    (choice,), _ = ask("chatgpt-v-2", user("weather in Tokyo", functions=[WEATHER["function"]], function_call="auto"))
    assert choice["message"]["function_call"]["name"] == "get_weather"
    assert json.loads(choice["message"]["function_call"]["arguments"])["location"] == "Tokyo"
    assert choice["finish_reason"] == "function_call"


def test_json_schema_is_met(ask: Any) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    (choice,), _ = ask("gpt-4o", user("Ada Lovelace", response_format=wanted))
    assert json.loads(choice["message"]["content"]) == {"name": "Ada", "age": 18}


def test_logprobs_cover_every_token(ask: Any) -> None:
    (choice,), usage = ask("gpt-4o", user("hi", logprobs=True, top_logprobs=2))
    rows = choice["logprobs"]["content"]
    assert "".join(row["token"] for row in rows) == "You said: hi"
    assert len(rows) == usage["completion_tokens"]
    assert len(rows[0]["top_logprobs"]) == 2


def test_prediction_is_accepted_in_part(ask: Any) -> None:
    _, usage = ask("gpt-4o", user("hi", prediction={"type": "content", "content": "You said: bye"}))
    details = usage["completion_tokens_details"]
    assert (details["accepted_prediction_tokens"], details["rejected_prediction_tokens"]) == (3, 1)


def test_audio_model_speaks(ask: Any) -> None:
    spoken = user("hi", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    (choice,), usage = ask("azure-openai-4o-audio", spoken)
    audio = choice["message"]["audio"]
    assert audio["transcript"] == "You said: hi"
    assert audio["id"].startswith("audio_")
    assert audio["expires_at"] > 0
    with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as sound:
        assert sound.getnframes() > 0
    assert usage["completion_tokens_details"]["audio_tokens"] == usage["completion_tokens"]


@pytest.mark.parametrize("route", ["", "/extensions"])
def test_data_sources_are_cited(asker: Asker, route: str) -> None:
    sources = [{"type": "azure_search", "parameters": {"index_name": "books"}}]
    for name in ("data_sources", "dataSources"):
        answer = asker.post("gpt-4o", user("hi", **{name: sources}), route)
        assert "books" in answer.json()["choices"][0]["message"]["context"]["citations"][0]["title"]
    streamed = events(asker.post("gpt-4o", user("hi", data_sources=sources, stream=True), route))
    assert "books" in streamed[1]["choices"][0]["delta"]["context"]["citations"][0]["title"]


def test_seed_makes_a_stable_fingerprint(asker: Asker) -> None:
    prints = [asker.post("o3-model", user("hi", seed=seed)).json()["system_fingerprint"] for seed in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]


def test_metadata_is_echoed(asker: Asker) -> None:
    answer = asker.post("gpt-4o", user("hi", store=True, metadata={"team": "a"})).json()
    assert answer["metadata"] == {"team": "a"}


def test_long_prefix_is_cached(ask: Any, request: pytest.FixtureRequest) -> None:
    start = {"role": "system", "content": f"{request.node.name} " * 700}
    cached: list[int] = []
    for question in ("one", "two"):
        _, usage = ask("gpt-4o", {"messages": [start, {"role": "user", "content": question}]})
        cached.append(usage["prompt_tokens_details"]["cached_tokens"])
    assert cached[0] == 0
    assert cached[1] > 1024
    assert cached[1] % 128 == 0


def test_usage_is_streamed_only_when_wanted(asker: Asker) -> None:
    plain = events(asker.post("gpt-4o", user("hi", stream=True)))
    assert not any("usage" in chunk for chunk in plain)
    wanted = events(asker.post("gpt-4o", user("hi", stream=True, stream_options={"include_usage": True})))
    assert [chunk["choices"] for chunk in wanted if chunk.get("usage")] == [[]]


def test_asynchronous_filter_speaks_beside_the_text(asker: Asker) -> None:
    chunks = events(asker.post("gpt-4o-asyncfilter", user("count to 20", stream=True)))
    choices = [c["choices"][0] for c in chunks[1:]]
    verdicts = [c for c in choices if "content_filter_offsets" in c]
    assert len(verdicts) == 3
    assert not any("delta" in c for c in verdicts)
    assert verdicts[-1] is choices[-1]
    assert choices[-2]["finish_reason"] == "stop"
    assert not any(c.get("content_filter_results") for c in choices if c.get("delta", {}).get("content"))


def test_asynchronous_filter_may_be_the_only_verdict(asker: Asker) -> None:
    chunks = events(asker.post("gpt-4o-asyncfilter", user("be cut off by filter", stream=True)))
    last = chunks[-1]["choices"][0]
    assert (last["finish_reason"], "delta" in last) == ("content_filter", False)
    assert last["content_filter_results"]["violence"]["filtered"]


NOBODY = {"type": "function", "function": {"name": "nobody"}}


@pytest.mark.parametrize(
    ("deployment", "more", "param", "code"),
    [
        ("o3-model", {"max_tokens": 5}, "max_tokens", "unsupported_parameter"),
        ("my-gpt-5-deployment", {"temperature": 0.5}, "temperature", "unsupported_value"),
        ("my-gpt-5-deployment", {"top_p": 0.5}, "top_p", "unsupported_value"),
        ("o3-model", {"presence_penalty": 1}, "presence_penalty", "unsupported_value"),
        ("o3-model", {"frequency_penalty": 1}, "frequency_penalty", "unsupported_value"),
        ("o3-model", {"logprobs": True}, "logprobs", "unsupported_parameter"),
        ("o3-model", {"logit_bias": {"1": 1}}, "logit_bias", "unsupported_parameter"),
        ("my-gpt-5-deployment", {"reasoning_effort": "none"}, "reasoning_effort", "unsupported_value"),
        ("gpt-5.1", {"reasoning_effort": "high", "temperature": 0}, "temperature", "unsupported_value"),
        ("gpt-4o", {"reasoning_effort": "low"}, None, None),
        ("gpt-5-chat", {"reasoning_effort": "low"}, None, None),
        ("gpt-4o", {"top_k": 5}, None, None),
        ("gpt-4o", {"messages": []}, "messages", "empty_array"),
        ("gpt-4o", {"messages": None}, "messages", "missing_required_parameter"),
        ("gpt-4o", {"messages": "hi"}, "messages", "invalid_type"),
        ("gpt-4o", {"messages": ["hi"]}, "messages", "invalid_type"),
        ("gpt-4o", {"tools": {}}, "tools", "invalid_type"),
        ("gpt-4o", {"stream": "yes"}, "stream", "invalid_type"),
        ("gpt-4o", {"stream": True, "stream_options": True}, "stream_options", "invalid_type"),
        ("gpt-4o", {"messages": [{"role": "robot"}]}, "messages[0].role", "invalid_value"),
        ("gpt-4o", {"stream_options": {"include_usage": True}}, "stream_options", None),
        ("gpt-4o", {"tool_choice": "auto"}, "tool_choice", None),
        ("gpt-4o", {"parallel_tool_calls": True}, "parallel_tool_calls", None),
        ("gpt-4o", {"tools": [CLOCK], "tool_choice": NOBODY}, "tool_choice", None),
        ("gpt-4o", {"modalities": ["audio"], "audio": {}}, "modalities", "unsupported_value"),
        ("azure-openai-4o-audio", {"modalities": ["audio"]}, "audio", "missing_required_parameter"),
        ("gpt-4o", {"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ("gpt-4o", {"messages": [{"role": "user", "content": "a " * 100_001}]}, "messages", "context_length_exceeded"),
    ],
)
def test_model_refuses(
    asker: Asker, deployment: str, more: dict[str, Any], param: str | None, code: str | None
) -> None:
    answer = asker.post(deployment, {**user("hi"), **more})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize(
    ("deployment", "more"),
    [
        ("gpt-5-chat", {"temperature": 0.5, "max_tokens": 5, "logprobs": True}),
        ("o3-model", {"temperature": 1, "top_p": 1.0, "presence_penalty": 0, "max_completion_tokens": 500}),
        ("my-gpt-5-deployment", {"reasoning_effort": "minimal", "verbosity": "low"}),
    ],
)
def test_model_takes(asker: Asker, deployment: str, more: dict[str, Any]) -> None:
    assert asker.post(deployment, user("hi", **more)).status_code == 200
