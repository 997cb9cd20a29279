"""What Claude on the fake refuses, in Anthropic's words, and how its answers are disturbed by faults."""

from typing import Any

import anthropic
import httpx
import pytest

from local.fake_azure import FakeAzure

CLAUDE = "my-claude"
USER: dict[str, Any] = {"role": "user", "content": "hi"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
THINK = {"type": "enabled", "budget_tokens": 1024}
EPHEMERAL = {"type": "ephemeral"}


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def post(azure: FakeAzure, body: Any, path: str = "/v1/messages", **headers: str) -> httpx.Response:
    row = azure.state.resources["foundry"]
    known = {"x-api-key": row.key, "anthropic-version": "2023-06-01", **headers}
    return httpx.post(f"{row.url}/anthropic{path}", json=body, headers=known)


def asked(**options: Any) -> dict[str, Any]:
    body = {"model": CLAUDE, "max_tokens": 2000, "messages": [USER], **options}
    return {name: value for name, value in body.items() if value is not ...}


def dialogue(*contents: Any) -> list[Any]:
    """Messages in turn, the user's first."""
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"messages": ...}, "messages: Field required"),
        ({"model": ...}, "model: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"n": 2}, "n: Extra inputs are not permitted"),
        ({"azure_ad_token": "x"}, "azure_ad_token: Extra inputs are not permitted"),
        ({"system": 5}, "system: Input should be a valid string"),
        ({"system": [5]}, "Input should be a valid dictionary"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"temperature": 0.5, "top_p": 0.5}, "`temperature` and `top_p` cannot both be specified"),
        ({"stop_sequences": [" "]}, "must contain non-whitespace"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be one of"),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "output_format: Extra inputs are not permitted"),
    ],
)
def test_bad_parameters(azure: FakeAzure, options: dict[str, Any], told: str) -> None:
    _check(post(azure, asked(**options)), told)


def test_output_format_passes_with_its_beta(azure: FakeAzure) -> None:
    schema = {"type": "object", "properties": {"word": {"type": "string"}}}
    body = asked(output_format={"type": "json_schema", "schema": schema})
    answer = post(azure, body, **{"anthropic-beta": "structured-outputs-2025-11-13"})
    assert answer.json()["content"][0]["text"] == '{"word":"hi"}'


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than `thinking.budget_tokens`"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
        ({"thinking": {"type": "deep"}}, "Input tag 'deep'"),
        ({"thinking": THINK, "temperature": 0}, "`temperature` may only be set to 1 when thinking is enabled"),
        ({"thinking": THINK, "tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice forces tool use"),
        (
            {"thinking": THINK, "tools": [TOOL], "messages": dialogue("hi", [USE], [RESULT])},
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
        ),
    ],
)
def test_bad_thinking(azure: FakeAzure, options: dict[str, Any], told: str) -> None:
    _check(post(azure, asked(**options)), told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
        ({"tool_choice": {"type": "auto"}}, "may only be specified while providing tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice: Input tag 'required'"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
    ],
)
def test_bad_tools(azure: FakeAzure, options: dict[str, Any], told: str) -> None:
    _check(post(azure, asked(**options)), told)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "at least one message is required"),
        ([{"role": "assistant", "content": "hi"}], 'first message must use the "user" role'),
        ([{"role": "system", "content": "hi"}, USER], "top-level `system` parameter"),
        ([{"role": "tool", "content": "hi"}], "messages.0.role: Input should be 'user' or 'assistant'"),
        ([{"role": "user"}], "messages.0.content: Field required"),
        (dialogue(""), "messages.0: all messages must have non-empty content"),
        (dialogue([{"type": "text", "text": ""}]), "text content blocks must be non-empty"),
        (dialogue([{"type": "input_text", "text": "hi"}]), "messages.0.content.0: Input tag 'input_text'"),
        (dialogue("hi", "well "), "cannot end with trailing whitespace"),
        (dialogue("hi", [USE], "no result"), "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        (dialogue("hi", [USE]), "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        (
            dialogue("hi", [USE], [{"type": "text", "text": "first"}, RESULT]),
            "messages.1: `tool_use` ids were found without `tool_result` blocks",
        ),
        (dialogue([RESULT]), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
        (dialogue([USE]), "`tool_use` blocks can only be in `assistant` messages"),
        (
            dialogue([{"type": "image", "source": {"type": "base64", "media_type": "image/bmp"}}]),
            "Input should be 'image/",
        ),
        (
            dialogue([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}]),
            "Could not process image",
        ),
        (dialogue([{"type": "document"}]), "messages.0.content.0.document.source: Field required"),
    ],
)
def test_bad_messages(azure: FakeAzure, messages: list[Any], told: str) -> None:
    _check(post(azure, asked(messages=messages, tools=[TOOL])), told)


@pytest.mark.parametrize(
    ("mark", "count", "told"),
    [
        ({"type": "ephemeral", "scope": "global"}, 1, "system.0.cache_control.ephemeral.scope: Extra inputs"),
        ({"type": "forever"}, 1, "Input should be 'ephemeral'"),
        ({"type": "ephemeral", "ttl": "1d"}, 1, "ttl: Input should be '5m' or '1h'"),
        (EPHEMERAL, 5, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ],
)
def test_bad_cache_marks(azure: FakeAzure, mark: dict[str, str], count: int, told: str) -> None:
    block = {"type": "text", "text": "rule", "cache_control": mark}
    _check(post(azure, asked(system=[block] * count)), told)


def test_prompts_that_are_too_long(azure: FakeAzure) -> None:
    _check(post(azure, asked(messages=dialogue("x " * 200_001))), "prompt is too long: 200005 tokens > 200000 maximum")


def test_counting_takes_less(azure: FakeAzure) -> None:
    count = "/v1/messages/count_tokens"
    assert post(azure, asked(max_tokens=...), count).json() == {"input_tokens": 4}
    _check(post(azure, asked(), count), "max_tokens: Extra inputs are not permitted")


def test_version_header_is_required(azure: FakeAzure) -> None:
    row = azure.state.resources["foundry"]
    answer = httpx.post(f"{row.url}/anthropic/v1/messages", json=asked(), headers={"x-api-key": row.key})
    _check(answer, "anthropic-version: header is required")
    _check(post(azure, asked(), **{"anthropic-version": "new"}), 'anthropic-version: "new" is not a valid version')


@pytest.mark.parametrize("model", ["nothing", "gpt-4o"])
def test_unknown_deployments(azure: FakeAzure, model: str) -> None:
    answer = post(azure, asked(model=model))
    assert answer.status_code == 404
    error = {"type": "not_found_error", "message": f"model: {model}"}
    assert answer.json() == {"type": "error", "error": error, "request_id": answer.headers["request-id"]}


# Faults.


def test_status_faults_speak_anthropics_language(azure: FakeAzure) -> None:
    azure.add_fault("status", status=429, retry_after=7)
    limited = post(azure, asked())
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json()["error"]["type"] == "rate_limit_error"
    azure.add_fault("status", status=529, body={"type": "error", "error": {"type": "overloaded_error", "message": "!"}})
    assert post(azure, asked()).json()["error"]["message"] == "!"
    azure.add_fault("status", status=500)
    assert post(azure, asked()).json()["error"]["type"] == "api_error"


def test_streams_break_off(azure: FakeAzure) -> None:
    row = azure.state.resources["foundry"]
    messages: Any = dialogue("count to 9")

    def read(kind: str, **options: Any) -> list[str]:
        azure.add_fault(kind, **options)
        with anthropic.AnthropicFoundry(base_url=f"{row.url}/anthropic", api_key=row.key, max_retries=0) as client:
            stream = client.messages.create(model=CLAUDE, max_tokens=99, messages=messages, stream=True)
            return [event.type for event in stream]

    assert "message_stop" not in read("clean_cut", after=5)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        read("error_event", after=4)
    with pytest.raises(Exception, match="peer closed connection"):
        read("cut", after=4)
    assert read("split", size=3)[-1] == "message_stop"


def test_usage_is_left_out(azure: FakeAzure) -> None:
    azure.add_fault("no_usage", times=2)
    assert "usage" not in post(azure, asked()).json()
    assert "usage" not in post(azure, asked(stream=True)).text


def _check(answer: httpx.Response, told: str) -> None:
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert told in body["error"]["message"]
