"""Responses and conversations of the fake, by the real SDK, which validates strictly; wire details by recordings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import FunctionToolParam

from local.fake_azure import FakeAzure

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    "strict": False,
}
SEALED = "reasoning.encrypted_content"


def v1(azure: FakeAzure, resource: str = "main") -> openai.OpenAI:
    row = azure.state.resources[resource]
    base_url = f"{row.url}/v1" if row.kind == "plain" else f"{row.url}/openai/v1"
    return openai.OpenAI(base_url=base_url, api_key=row.key, max_retries=0, _strict_response_validation=True)


def dated(azure: FakeAzure, version: str = "2025-04-01-preview") -> openai.OpenAI:
    row = azure.state.resources["main"]
    return openai.AzureOpenAI(azure_endpoint=row.url, api_key=row.key, api_version=version, max_retries=0)


@pytest.fixture(scope="module")
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure) as made:
        yield made


@pytest.fixture(scope="module")
def other(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure, "second") as made:
        yield made


def post(azure: FakeAzure, body: dict[str, Any], path: str = "/openai/v1/responses") -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.post(row.url + path, json=body, headers={"api-key": row.key})


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    frames = [frame.split("\n") for frame in answer.text.split("\n\n") if frame]
    found = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [line for line, _ in frames] == [f"event: {event['type']}" for event in found]
    return found


def ask(client: openai.OpenAI, given: Any, **more: Any) -> Any:
    """A Response or, of a stream, its events."""
    body: dict[str, Any] = {"model": "gpt-4o", "input": given, **more}
    return client.responses.create(**body)


def texts(items: Any) -> list[str]:
    return [item.content[0].text for item in items]


@pytest.mark.parametrize("make", [v1, dated, lambda azure: v1(azure, "openai")])
def test_response_is_created_read_and_deleted(azure: FakeAzure, make: Any) -> None:
    with make(azure) as client:
        made = ask(client, "hi", metadata={"team": "a"}, instructions="be brief")
        assert (made.output_text, made.status, made.metadata) == ("You said: hi", "completed", {"team": "a"})
        assert made.usage
        assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
        assert client.responses.retrieve(made.id).output_text == "You said: hi"
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError, match=made.id):
            client.responses.retrieve(made.id)


def test_what_is_not_stored_is_not_found(client: openai.OpenAI, other: openai.OpenAI) -> None:
    stored, unstored = ask(client, "hi"), ask(client, "hi", store=False)
    for asked, response in ((client, unstored), (other, stored)):
        with pytest.raises(openai.NotFoundError):
            asked.responses.retrieve(response.id)
        with pytest.raises(openai.BadRequestError) as refused:
            ask(asked, "and?", previous_response_id=response.id)
        assert refused.value.code == "previous_response_not_found"
        with pytest.raises(openai.NotFoundError, match="Items are not persisted"):
            ask(asked, [{"type": "item_reference", "id": response.output[0].id}])


def test_chain_of_tool_calls(client: openai.OpenAI) -> None:
    first = ask(client, "weather in Tokyo and Paris", tools=[WEATHER])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == ['{"location":"Tokyo"}', '{"location":"Paris"}']
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    second = ask(client, outputs, previous_response_id=first.id)
    assert second.output_text == "Tool said: sunny; sunny"
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        ask(client, outputs[:1], previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="No tool call found"):
        ask(client, outputs)


def test_item_reference_stands_for_the_item(client: openai.OpenAI) -> None:
    first = ask(client, "the first words")
    (item,) = client.responses.input_items.list(first.id).data
    assert item.id
    assert ask(client, [{"type": "item_reference", "id": item.id}]).output_text == "You said: the first words"


def test_input_items_are_paged(client: openai.OpenAI) -> None:
    response = ask(client, [{"role": "user", "content": text} for text in "abc"])
    page = client.responses.input_items.list(response.id, order="asc", limit=2)
    assert (texts(page.data), page.has_more) == (["a", "b"], True)
    assert texts(client.responses.input_items.list(response.id, limit=1)) == ["c", "b", "a"]


def test_reasoning_is_summed_up_and_sealed(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = ask(client, "hi", model="my-gpt-5-deployment", reasoning={"effort": "low", "summary": "auto"}, store=False,
               include=[SEALED])  # fmt: skip
    thought = made.output[0]
    assert thought.type == "reasoning"
    assert thought.summary
    assert made.usage
    assert made.usage.output_tokens_details.reasoning_tokens == 64
    turns = [thought.model_dump(exclude_none=True), {"role": "user", "content": "again"}]
    assert ask(client, turns, model="my-gpt-5-deployment").output_text == "You said: again"
    for asked, token in ((other, thought.encrypted_content), (client, f"{thought.encrypted_content}"[:-5] + "AAAA=")):
        with pytest.raises(openai.BadRequestError, match="could not be verified") as refused:
            ask(asked, [{**turns[0], "encrypted_content": token}, turns[1]], model="my-gpt-5-deployment")
        assert refused.value.code == "invalid_encrypted_content"


def test_streamed_response_ends_as_the_whole_one(client: openai.OpenAI) -> None:
    for text, more in (("count to 4", {}), ("weather in Tokyo", {"tools": [WEATHER]}), ("please refuse", {})):
        whole = ask(client, text, **more)
        streamed = list(ask(client, text, stream=True, **more))
        assert [event.sequence_number for event in streamed] == list(range(len(streamed)))
        last = streamed[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == whole.output_text
        assert last.response.usage == whole.usage
        deltas = [event.delta for event in streamed if event.type.endswith(".delta")]
        item = whole.output[0]
        said = item.arguments if item.type == "function_call" else "".join(
            getattr(part, "text", "") or getattr(part, "refusal", "") for part in item.content
        )  # fmt: skip
        assert "".join(deltas) == said
        assert client.responses.retrieve(last.response.id).output == last.response.output


def test_sdk_collects_a_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model="my-codex", input="weather in Paris", tools=[WEATHER]) as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "function_call"]


def test_limit_and_filter_leave_a_response_incomplete(client: openai.OpenAI) -> None:
    cut = ask(client, "count to 50", max_output_tokens=16)
    assert cut.incomplete_details
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    streamed = list(ask(client, "be cut off by filter", stream=True))
    assert streamed[-1].type == "response.incomplete"
    assert streamed[-1].response.incomplete_details.reason == "content_filter"


def test_structured_output_and_free_text_tool(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    wanted = {"format": {"type": "json_schema", "name": "person", "schema": schema}}
    assert json.loads(ask(client, "Ada", text=wanted).output_text) == {"name": "Ada"}
    (called,) = ask(client, "call it", tools=[{"type": "custom", "name": "shell"}]).output
    assert called.type == "custom_tool_call"
    assert (called.name, called.input) == ("shell", "call it")


def test_background_response_is_completed_while_it_is_polled(client: openai.OpenAI) -> None:
    made = ask(client, "hi", background=True)
    seen = [made.status] + [client.responses.retrieve(made.id).status for _ in range(3)]
    assert seen == ["queued", "in_progress", "completed", "completed"]
    assert client.responses.retrieve(made.id).output_text == "You said: hi"
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.responses.cancel(made.id)


def test_background_response_is_cancelled(client: openai.OpenAI) -> None:
    made = ask(client, "hi", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(ask(client, "hi").id)


def test_background_stream_is_taken_up_again(client: openai.OpenAI) -> None:
    stream = ask(client, "count to 5", background=True, stream=True)
    seen = [next(stream) for _ in range(4)]
    stream.close()
    rest = list(client.responses.retrieve(seen[0].response.id, stream=True, starting_after=3))
    assert [event.sequence_number for event in rest] == list(range(4, 4 + len(rest)))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text == "1 2 3 4 5"


def test_compaction_stands_for_what_it_compacts(client: openai.OpenAI, other: openai.OpenAI) -> None:
    first = ask(client, "the long story")
    compact = client.responses.compact(model="gpt-4o", previous_response_id=first.id)
    (item,) = compact.output
    assert item.type == "compaction"
    given = item.model_dump(exclude_none=True)
    assert ask(client, [given]).output_text == "You said: the long story"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        ask(other, [given])


def test_input_tokens_are_counted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="gpt-4o", input="hello, you")
    used = ask(client, "hello, you").usage
    assert used
    assert counted.input_tokens == used.input_tokens == 6


def test_conversation_remembers(client: openai.OpenAI, other: openai.OpenAI) -> None:
    talk = client.conversations.create(items=[{"type": "message", "role": "user", "content": "hello"}])
    made = ask(client, [], conversation=talk.id)
    assert made.output_text == "You said: hello"
    assert made.conversation
    assert made.conversation.id == talk.id
    ask(client, "bye", conversation=talk.id)
    items = client.conversations.items.list(talk.id, order="asc").data
    assert [item.type for item in items] == ["message"] * 4
    assert items[0].id
    assert client.conversations.items.retrieve(items[0].id, conversation_id=talk.id) == items[0]
    assert client.conversations.items.delete(items[0].id, conversation_id=talk.id).id == talk.id
    added = client.conversations.items.create(talk.id, items=[{"type": "message", "role": "user", "content": "x"}])
    assert [item.type for item in added.data] == ["message"]
    assert client.conversations.update(talk.id, metadata={"a": "b"}).metadata == {"a": "b"}
    with pytest.raises(openai.NotFoundError):
        ask(other, "hi", conversation=talk.id)
    assert client.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError, match=talk.id):
        client.conversations.retrieve(talk.id)


def test_hosted_tools_work_on_what_is_here(client: openai.OpenAI, other: openai.OpenAI) -> None:
    file = client.files.create(file=("notes.txt", b"the sea is blue"), purpose="assistants")
    store = client.vector_stores.create(file_ids=[file.id])
    room = client.containers.create(name="room")
    tools: list[Any] = [
        {"type": "file_search", "vector_store_ids": [store.id]},
        {"type": "code_interpreter", "container": room.id},
    ]
    made = ask(client, "compute the sea", tools=tools)
    search, code, message = made.output
    assert search.type == "file_search_call"
    assert search.results
    assert search.results[0].file_id == file.id
    assert code.type == "code_interpreter_call"
    assert code.container_id == room.id
    assert message.type == "message"
    assert message.content[0].annotations[0].file_id == file.id
    for tool in tools:
        with pytest.raises(openai.NotFoundError):
            ask(other, "compute", tools=[tool])


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": "hi", "messages": []}, "messages", "unknown_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"input": [{"type": "song"}]}, "input[0].type", "invalid_value"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"role": "user", "content": [{"type": "song"}]}]}, "input[0].content[0]", "invalid_value"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id", "missing_required_parameter"),
        ({"input": "hi", "tools": ["x"]}, "tools[0]", "invalid_type"),
        ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"input": "hi", "max_output_tokens": 3}, "max_output_tokens", "integer_below_min_value"),
        ({"input": "hi", "reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter"),
        ({"input": "hi", "model": "o3-pro", "temperature": 0.1}, "temperature", "unsupported_parameter"),
        ({"input": "hi", "model": "o3-pro", "reasoning": {"effort": "none"}}, "reasoning.effort", "unsupported_value"),
        ({"input": "hi", "include": ["everything"]}, "include[0]", "invalid_value"),
        ({"input": "hi", "background": True, "store": False}, "background", None),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-x"}]}]}, "input",
         "file_not_found"),
        ({"input": "filter me"}, "prompt", "content_filter"),
    ],
)  # fmt: skip
def test_bad_request_names_the_parameter(azure: FakeAzure, body: dict[str, Any], param: str, code: str) -> None:
    answer = post(azure, {"model": "gpt-4o", **body})
    assert answer.status_code == 400, answer.text
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


def test_old_versions_have_no_responses(azure: FakeAzure) -> None:
    with dated(azure, "2024-10-21") as old, pytest.raises(openai.NotFoundError, match="Resource not found"):
        ask(old, "hi")


def test_operation_of_another_sort_of_model_is_refused(client: openai.OpenAI) -> None:
    for model in ("my-codex", "o3-pro", "gpt-35-turbo-instruct", "dall-e-3", "whisper"):
        with pytest.raises(openai.BadRequestError, match="The chatCompletion operation does not work") as refused:
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
        assert refused.value.code == "OperationNotSupported"
    for model in ("dall-e-3", "tts-1", "text-embedding-3-small", "chatgpt-v-2"):
        with pytest.raises(openai.BadRequestError, match="The responses operation does not work"):
            ask(client, "hi", model=model)


def test_faults_disturb_a_stream_in_its_own_words(azure: FakeAzure) -> None:
    body = {"model": "gpt-4o", "input": "count to 9", "stream": True}
    azure.add_fault("error_event", after=2)
    assert events(post(azure, body))[2]["type"] == "error"
    azure.add_fault("clean_cut", after=1000)
    assert events(post(azure, body))[-1]["type"] == "response.output_item.done"
    azure.add_fault("status", status=429, deployment="gpt-4o")
    assert post(azure, {**body, "model": "gpt-5-chat"}).status_code == 200
    assert post(azure, body).status_code == 429
    azure.add_fault("no_usage")
    assert events(post(azure, body))[-1]["response"]["usage"] is None


# Against recordings.


def skeleton(value: Any) -> Any:
    """Names and types, without values; a list stands for its first element."""
    if isinstance(value, dict):
        return {name: skeleton(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [skeleton(value[0])] if value else []
    return type(value).__name__


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recordings (../shared/samples) are not here")
class TestRecordings:
    def test_tool_call_is_like_the_recording(self, azure: FakeAzure) -> None:
        sample = json.loads((SAMPLES / "az-v1-responses-tool.json").read_text())["request"]["body"]
        theirs = json.loads((SAMPLES / "az-v1-responses-tool.body.json").read_text())
        ours = post(azure, {**sample, "model": "my-gpt-5-deployment"}).json()
        assert list(ours) == list(theirs)
        for name in set(ours) - {"output", "tools"}:
            assert skeleton(ours[name]) == skeleton(theirs[name]), name
        assert sorted(ours["tools"][0]) == sorted(theirs["tools"][0])
        assert [skeleton(item) for item in ours["output"]] == [skeleton(item) for item in theirs["output"]]
        assert len(ours["id"]) == len(theirs["id"])

    def test_stream_is_like_the_recording(self, azure: FakeAzure) -> None:
        text = (SAMPLES / "az-v1-responses-stream.body.sse").read_text()
        theirs = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]
        body = {"model": "my-gpt-5-deployment", "input": "count to 1", "stream": True, "store": False}
        answer = post(azure, {**body, "include": [SEALED]})
        ours = events(answer)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert [event["type"] for event in ours] == [event["type"] for event in theirs]
        for mine, recorded in zip(ours, theirs, strict=True):
            assert sorted(mine) == sorted(recorded)
            mine.get("response", {}).pop("output", None)
            recorded.get("response", {}).pop("output", None)
            assert skeleton(mine) == skeleton(recorded)
