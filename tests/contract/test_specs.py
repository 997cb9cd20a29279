"""Answers and errors against the published specifications: one row or more for each operation.

An answer that differs in a known way names the place and the reason in its row; a row whose difference does not occur
any more fails as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture
from shared.endpoints import ENDPOINTS
from tests.support.scenarios import EVAL, GRADER, RUN, SDP, Caller, Form, Ids, Json, events_of, wav
from tests.support.specs import ANTHROPIC, EVENTS, JSON, OPENAI, judge, named, spec, specs_of
from tests.support.stack import Key, Stack, upstream_calls

type Body = Json | Form | str | None
type Known = Mapping[str, str]
"""Place -> why answers differ there."""
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Row:
    """One call. `name`: of ENDPOINTS. `ids` makes what its path needs, and what the body needs."""

    name: str
    label: str = ""
    body: Body | Callable[[Caller, Ids], Body] = None
    ids: Callable[[Caller], Ids] = lambda _: NONE
    query: str = ""
    schema: str = ""
    """The schema by name, where the operation's own leaves open which of several it is."""
    dated: bool = False
    """Asked of a resource that is reached by a dated api-version, not by v1."""
    known: Known = field(default_factory=dict[str, str])


def row(name: str, ids: Callable[[Caller], Ids] = lambda _: NONE, body: Any = None, **given: Any) -> Row:
    return Row(name, ids=ids, body=body, **given)


HELLO = [{"role": "user", "content": "count to 3"}]
WEATHER = [{"role": "user", "content": "weather in Tokyo and Paris"}]
PLACE: Json = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
CHAT_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PLACE}}]
RESPONSES_TOOLS = [{"type": "function", "name": "get_weather", "parameters": PLACE, "strict": False}]
CLAUDE_TOOLS = [{"name": "get_weather", "input_schema": PLACE}]
SCHEMA: Json = {"name": "place", "schema": {**PLACE, "additionalProperties": False}, "strict": True}
COUNTED = {"stream": True, "stream_options": {"include_usage": True}}
IMAGE = ("image", "a.png", picture("a"), "image/png")
SOUND = ("file", "a.wav", wav(), "audio/wav")
VERBOSE = Form({"model": "whisper", "response_format": "verbose_json"}, (SOUND,))
TEXT = Form({"purpose": "assistants"}, (("file", "a.txt", b"words", "text/plain"),))


def talk(name: str, model: str, asked: Json, tools: Json, whole: Known = NONE, stream: Known = NONE) -> list[Row]:
    """What every model that talks is asked: a text and tools, whole and streamed."""
    asked = {"model": model, **asked}
    tools = {**asked, **tools}
    bodies = (("", asked), ("tools", tools))
    return [Row(name, f"{model}-{label}", body, known=whole) for label, body in bodies] + [
        Row(name, f"{model}-stream-{label}", {**body, "stream": True}, known=stream) for label, body in bodies
    ]


def of_chat(model: str, whole: Known = NONE, stream: Known = NONE) -> list[Row]:
    tools: Json = {"messages": WEATHER, "tools": CHAT_TOOLS}
    return talk("chat_completions", model, {"messages": HELLO}, tools, whole, stream)


def of_responses(model: str, whole: Known = NONE, stream: Known = NONE) -> list[Row]:
    return talk("responses_create", model, {"input": "count to 3"}, {"tools": RESPONSES_TOOLS, "input": WEATHER},
                whole, stream)  # fmt: skip


def of_messages(model: str, whole: Known = NONE, stream: Known = NONE, **more: Any) -> list[Row]:
    asked: Json = {"max_tokens": 2048, "messages": HELLO, **more}
    return talk("messages", model, asked, {"messages": WEATHER, "tools": CLAUDE_TOOLS}, whole, stream)


def of_form(name: str, **fields: str) -> Row:
    label = "-".join(fields.values())
    files = (IMAGE,) if name.startswith("images") else (SOUND,)
    return Row(name, label, Form(fields, files))


USER = {"/user": "Azure writes null where no user was given, as recorded"}
UNUSED = {"/usage": "Azure writes null until a response has ended, as recorded"}
RESPONSE_EVENTS = {
    **{f"response.{event}:/response/user": USER["/user"] for event in ("created", "in_progress", "completed")},
    **{f"response.{event}:/response/usage": UNUSED["/usage"] for event in ("created", "in_progress")},
}
PING = {"ping:/type": "Anthropic's guide to streams has the event, its specification has not"}
CHUNKS = {"/choices/*/finish_reason": "the schema is that of whole answers; OpenAI too has null until the last chunk"}
NO_FINISH = {"/choices/*": "Foundry leaves finish_reason out until the last chunk, as recorded"}
NO_PRINT = {"/system_fingerprint": "Azure writes null for reasoning models, as recorded"}
NO_ERROR = "null where there was none, as in the specification's own examples"
CREATED = {"HTTP": "Azure's dated versions say 201"}
DATED_JOB = {
    "/": "Azure's dated versions lack fields, as recorded",
    "/status": "Azure's dated versions know a status more, as recorded",
}
TALK = (
    *of_chat("gpt-4o"), *of_chat("codex"), *of_chat("claude"), *of_chat("gpt-5", NO_PRINT, NO_PRINT),
    *of_chat("grok-4", stream=NO_FINISH),
    Row("chat_completions", "usage", {"model": "gpt-4o", "messages": HELLO, **COUNTED}),
    Row("chat_completions", "two-choices", {"model": "gpt-4o", "messages": HELLO, "n": 2, "logprobs": True}),
    Row("chat_completions", "async-filter", {"model": "asyncfilter", "messages": HELLO, "stream": True}),
    Row("chat_completions", "schema", {
        "model": "gpt-4o", "messages": HELLO, "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }),
    Row("chat_completions", "audio", {
        "model": "audio", "messages": HELLO, "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
    }),
    *of_responses("grok-4"), *of_responses("claude"),
    *of_responses("gpt-4o-v1", USER, RESPONSE_EVENTS), *of_responses("gpt-5", USER, RESPONSE_EVENTS),
    Row("responses_create", "reasoning", {
        "model": "gpt-5", "input": "count to 3", "reasoning": {"effort": "high", "summary": "auto"}, "stream": True,
        "include": ["reasoning.encrypted_content"],
    }, known=RESPONSE_EVENTS),
    Row("responses_create", "background", {"model": "gpt-4o-v1", "input": "count to 3", "background": True},
        known=USER | UNUSED),
    Row("responses_create", "cut", {"model": "gpt-4o-v1", "input": "count to 99", "max_output_tokens": 16},
        known=USER),
    *of_messages("gpt-4o"), *of_messages("codex"), *of_messages("claude", stream=PING),
    *of_messages("claude-new", stream=PING, thinking={"type": "adaptive"}),
    *of_messages("claude-named", stream=PING, thinking={"type": "enabled", "budget_tokens": 1024}),
    Row("messages_count_tokens", "claude", {"model": "claude", "messages": HELLO}),
    Row("messages_count_tokens", "gpt-4o", {"model": "gpt-4o", "messages": HELLO}),
    *(
        Row("completions", f"{model}-{'stream' if known else ''}",
            {"model": model, "prompt": "count to 3", "stream": bool(known)}, known=known)
        for model in ("instruct", "gpt-4o")
        for known in (NONE, CHUNKS)
    ),
    Row("embeddings", "float", {"model": "embedding", "input": ["a", "b"]}),
    Row("embeddings", "split", {"model": "embedding", "input": ["a"] * 2049}),
    Row("moderations", "text", {"input": "hate and violence"}),
    Row("models_list"),
    row("models_retrieve", lambda _: {"alias": "gpt-4o"}),
)  # fmt: skip

STATE = (
    row("responses_retrieve", Caller.response, known=USER),
    row("responses_retrieve", lambda c: c.response(background=True), query="stream=true", label="stream",
        known=RESPONSE_EVENTS),
    row("responses_delete", Caller.response),
    row("responses_cancel", lambda c: c.response(background=True, input="long 500"), known=USER | UNUSED),
    row("responses_input_items", Caller.response),
    row("responses_compact", body={"model": "gpt-4o-v1", "input": HELLO}),
    row("responses_input_tokens", body={"model": "gpt-4o-v1", "input": "hi"}),
    row("conversations_create", body={"metadata": {"a": "b"}}),
    row("conversations_retrieve", Caller.conversation),
    row("conversations_update", Caller.conversation, {"metadata": {"c": "d"}}),
    row("conversations_delete", Caller.conversation),
    row("conversations_items_create", Caller.conversation,
        {"items": [{"type": "message", "role": "user", "content": "more"}]}),
    row("conversations_items_list", Caller.conversation),
    row("conversations_items_retrieve", Caller.conversation_item),
    row("conversations_items_delete", Caller.conversation_item),
)  # fmt: skip

MEDIA = (
    *(
        Row("images_generations", f"{alias}-{label}", {"model": alias, "prompt": "a cat", **more})
        for alias, label, more in (
            ("image", "", {}), ("image", "stream", {"stream": True, "partial_images": 2}),
            ("dall-e-3", "", {}), ("dall-e-3", "inline", {"response_format": "b64_json"}), ("dall-e-legacy", "", {}),
        )
    ),
    of_form("images_edits", model="image", prompt="a hat"),
    of_form("images_edits", model="image", prompt="a hat", stream="true", partial_images="1"),
    Row("audio_speech", "stream", {"model": "tts", "input": "hello", "voice": "alloy", "stream_format": "sse"}),
    Row("audio_speech", "whole", {"model": "tts", "input": "hello", "voice": "alloy"},
        known={"HTTP": "the content type says which format it is, as OpenAI's own does"}),
    of_form("audio_transcriptions", model="whisper"),
    Row("audio_transcriptions", "verbose", VERBOSE, schema="CreateTranscriptionResponseVerboseJson"),
    of_form("audio_transcriptions", model="transcribe"),
    of_form("audio_transcriptions", model="transcribe", stream="true"),
    of_form("audio_translations", model="whisper"),
    Row("audio_translations", "verbose", VERBOSE, schema="CreateTranslationResponseVerboseJson"),
    Row("videos_create", "json", {"model": "sora", "prompt": "a cat", "seconds": "4"}),
    row("videos_list", lambda c: c.video() and NONE),
    row("videos_retrieve", Caller.video),
    row("videos_retrieve", lambda c: c.video(done=True), label="done"),
    row("videos_content", lambda c: c.video(done=True)),
    row("videos_remix", lambda c: c.video(done=True), {"prompt": "a dog"}),
    row("videos_delete", lambda c: c.video(done=True)),
    Row("realtime_client_secrets", "", {"session": {"type": "realtime", "model": "realtime"}}),
    Row("realtime_calls", "", SDP, query="model=realtime"),
    row("realtime_calls_accept", Caller.realtime_call, {"type": "realtime", "model": "realtime"}),
    row("realtime_calls_hangup", Caller.realtime_call),
    row("realtime_calls_refer", Caller.realtime_call, {"target_uri": "tel:+14155550123"}),
    row("realtime_calls_reject", Caller.realtime_call, {"status_code": 486}),
)  # fmt: skip

FILES = (
    Row("files_create", "", TEXT),
    Row("files_create", "dated", TEXT, dated=True, known=CREATED),
    row("files_list", lambda c: c.file() and NONE),
    row("files_list", label="empty"),
    row("files_retrieve", lambda c: {"file_id": c.file()}),
    row("files_content", lambda c: {"file_id": c.file()}),
    row("files_delete", lambda c: {"file_id": c.file()}),
    row("uploads_create",
        body={"purpose": "assistants", "filename": "a.txt", "bytes": 5, "mime_type": "text/plain"}),
    row("uploads_parts_create", lambda c: {"upload_id": c.upload()["id"]},
        Form({}, (("data", "part", b"hello", "application/octet-stream"),))),
    row("uploads_complete", lambda c: {"upload_id": c.upload()["id"]},
        lambda c, ids: {"part_ids": [c.part(ids["upload_id"])]}),
    row("uploads_cancel", lambda c: {"upload_id": c.upload()["id"]}),
    row("fine_tuning_jobs_create", body=lambda c, _: c.job_order()),
    row("fine_tuning_jobs_create", body=lambda c, _: c.job_order(), label="dated", dated=True, known=DATED_JOB),
    row("fine_tuning_jobs_list", lambda c: c.job() and NONE),
    *(row("fine_tuning_jobs_retrieve", lambda c, s=s: c.job(s), label=s) for s in ("queued", "succeeded")),
    row("fine_tuning_jobs_cancel", Caller.job),
    row("fine_tuning_jobs_pause", Caller.job),
    row("fine_tuning_jobs_resume", lambda c: c.job("paused")),
    row("fine_tuning_jobs_events", Caller.job),
    row("fine_tuning_jobs_checkpoints", lambda c: c.job("succeeded")),
    row("fine_tuning_graders_run", body={"grader": GRADER, "model_sample": "1", "item": {"answer": "1"}}),
    *(row("fine_tuning_graders_validate", body={"grader": GRADER}, label=n, dated=bool(n)) for n in ("", "dated")),
    row("vector_stores_create", body=lambda c, _: {"name": "a", "file_ids": [c.file()], "metadata": {"a": "b"}}),
    row("vector_stores_list", lambda c: c.vector_store() and NONE),
    row("vector_stores_retrieve", Caller.vector_store),
    row("vector_stores_update", Caller.vector_store, {"expires_after": {"anchor": "last_active_at", "days": 1}}),
    row("vector_stores_delete", Caller.vector_store),
    row("vector_stores_search", Caller.stored_file, {"query": "words"}),
    row("vector_stores_files_create", Caller.vector_store, lambda c, _: {"file_id": c.file()}),
    row("vector_stores_files_list", Caller.stored_file),
    row("vector_stores_files_retrieve", Caller.stored_file),
    row("vector_stores_files_update", Caller.stored_file, {"attributes": {"a": "b"}}),
    row("vector_stores_files_delete", Caller.stored_file),
    row("vector_stores_files_content", Caller.stored_file),
    row("vector_stores_file_batches_create", Caller.vector_store, lambda c, _: {"file_ids": [c.file()]}),
    row("vector_stores_file_batches_retrieve", Caller.file_batch),
    row("vector_stores_file_batches_cancel", Caller.file_batch),
    row("vector_stores_file_batches_files", Caller.file_batch),
    row("containers_create", body={"name": "room"}),
    row("containers_list", lambda c: c.container() and NONE),
    row("containers_retrieve", Caller.container),
    row("containers_delete", Caller.container),
    row("containers_files_create", Caller.container, lambda c, _: {"file_id": c.file()}),
    row("containers_files_list", Caller.contained_file),
    row("containers_files_retrieve", Caller.contained_file),
    row("containers_files_content", Caller.contained_file),
    row("containers_files_delete", Caller.contained_file),
    row("evals_create", body=EVAL),
    row("evals_list", lambda c: c.eval() and NONE),
    row("evals_retrieve", Caller.eval),
    row("evals_update", Caller.eval, {"name": "other"}),
    row("evals_delete", Caller.eval),
    row("evals_runs_create", Caller.eval, RUN),
    row("evals_runs_list", Caller.eval_run, known={"/data/*/error": NO_ERROR}),
    row("evals_runs_retrieve", lambda c: c.eval_run("completed"), known={"/error": NO_ERROR}),
    row("evals_runs_cancel", Caller.eval_run, known={"/error": NO_ERROR}),
    row("evals_runs_delete", Caller.eval_run),
    row("evals_runs_output_items_list", lambda c: c.eval_run("completed"), known={"/data/*/sample/error": NO_ERROR}),
    row("evals_runs_output_items_retrieve", Caller.output_item, known={"/sample/error": NO_ERROR}),
)  # fmt: skip


ROWS: tuple[Row, ...] = (*TALK, *STATE, *MEDIA, *FILES)


def named_row(row: Row) -> str:
    return f"{row.name}-{row.label}".strip("-")


@pytest.fixture(scope="module")
def callers(shared_stacks: Callable[[str], Stack]) -> Mapping[bool, Caller]:
    """One key for the whole table: nothing here looks at its usage. False: on a resource of v1; True: of a date."""
    stack = shared_stacks("asgi")
    key = stack.key()
    return {False: Caller(stack, key, "grok-4"), True: Caller(stack, key, "gpt-4o")}


@pytest.mark.parametrize("row", ROWS, ids=named_row)
def test_answer(callers: Mapping[bool, Caller], fake: FakeAzure, row: Row) -> None:
    endpoint, caller = ENDPOINTS[row.name], callers[row.dated]
    ids = row.ids(caller)
    body = row.body(caller, ids) if callable(row.body) else row.body
    reply = caller.send(row.name, body, ids, row.query)
    assert reply.is_success, reply.text
    media = media_of(reply)
    values = events_of(reply) if media == EVENTS else [reply.json()] if media == JSON and reply.content else []
    if row.schema:
        found = [problem for value in values for problem in spec(OPENAI).problems(named(row.schema), value)]
    else:
        found = judge(endpoint.method, endpoint.path, reply.status_code, media, values)
    news = [problem for problem in found if problem.place not in row.known]
    assert not news, "\n".join(map(str, news))
    assert not row.known.keys() - {problem.place for problem in found}, "does not differ there any more"


def media_of(reply: httpx.Response) -> str:
    return reply.headers.get("content-type", "").partition(";")[0]


# Errors.

ANSWERED = {name: row for name, row in ENDPOINTS.items() if row.target != "here" or row.shape == "models"}
PLACES = {name: "x" for row in ANSWERED.values() for name in re.findall(r"{\*?(\w+)}", row.path)}


def wrong(operation: str, reply: httpx.Response, status: int) -> list[str]:
    """What is wrong with an error answer."""
    if reply.status_code != status:
        return [f"{operation}: {reply.status_code} {reply.text}"]
    assert media_of(reply) == JSON
    return wrong_error(operation, reply.json())


def wrong_error(operation: str, body: Any) -> list[str]:
    judges = spec(ANTHROPIC if operation.startswith("messages") else OPENAI)
    return [f"{operation}: {problem}" for problem in judges.problems(named("ErrorResponse"), body)]


def test_every_operation_is_judged() -> None:
    assert {row.name for row in ROWS} == ANSWERED.keys()
    assert all(specs_of(row.method, row.path) for row in ANSWERED.values())


def test_wrong_keys(stack: Stack) -> None:
    nobody = Caller(stack, None)
    assert [w for name in ANSWERED for w in wrong(name, nobody.send(name, ids=PLACES), 401)] == []


def test_unknown_ids(callers: Mapping[bool, Caller], fake: FakeAzure) -> None:
    bodies = {name: {field: [] for field in row.required} if row.body == "json" else None for name, row in ANSWERED.items()}
    asked = [name for name, row in ANSWERED.items() if row.target == "id" and row.body in ("json", "none")]
    found = [w for name in asked for w in wrong(name, callers[False].send(name, bodies[name], PLACES), 404)]
    assert found == []
    assert upstream_calls(fake) == []


def test_unknown_models_and_bad_bodies(callers: Mapping[bool, Caller], fake: FakeAzure) -> None:
    asked = [row for row in ANSWERED.values() if row.target == "model" and row.body == "json"]
    for status, body in ((404, {"model": "unknown", "session": {"model": "unknown"}}), (400, ["no object"])):
        for row in asked:
            given = {**dict.fromkeys(row.required, "x"), **body} if isinstance(body, dict) else body
            assert wrong(row.name, callers[False].send(row.name, given), status) == []
    assert upstream_calls(fake) == []


UPSTREAM = {row_id: next(row for row in ROWS if named_row(row) == row_id) for row_id in (
    "chat_completions-gpt-4o", "chat_completions-codex", "chat_completions-claude", "chat_completions-grok-4",
    "responses_create-gpt-4o-v1", "responses_create-claude", "messages-claude", "messages-gpt-4o", "messages-codex",
    "messages_count_tokens-claude", "completions-instruct", "embeddings-float", "images_generations-image",
    "audio_speech-whole", "moderations-text", "files_create", "vector_stores_create", "realtime_client_secrets",
)}  # fmt: skip


@pytest.mark.parametrize("name", UPSTREAM)
@pytest.mark.parametrize(("fault", "status"), [(400, 400), (429, 429), (500, 502)])
def test_refusals_from_upstream(stack: Stack, key: Key, fake: FakeAzure, name: str, fault: int, status: int) -> None:
    row, caller = UPSTREAM[name], Caller(stack, key)
    body = row.body(caller, NONE) if callable(row.body) else row.body
    fake.clear()
    fake.add_fault("status", status=fault, times=-1, retry_after=1)
    assert wrong(row.name, caller.send(row.name, body), status) == []
