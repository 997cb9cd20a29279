"""The table of what is judged by the published specifications: a small scenario for each operation, and more of those
whose answers the gateway writes itself.

Owns the calls and what is known to differ, with the reason. How an answer is judged is `specs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.fake_azure.media.pictures import picture
from tests.support.scenarios import BATCH_LINE, EVAL, GRADER, RUN, SDP, Caller, Form, Ids, Json, batch_of, wav

type Body = Json | Form | str | None
type Known = Mapping[str, str]
"""Place -> why answers differ there."""
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Row:
    """One call. `name`: of ENDPOINTS. `ids` makes what its path needs; a body may need them too."""

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

    @property
    def title(self) -> str:
        return f"{self.name}-{self.label}".strip("-")


def row(name: str, ids: Callable[[Caller], Ids] = lambda _: NONE, body: Any = None, **given: Any) -> Row:
    return Row(name, ids=ids, body=body, **given)


def after(make: Callable[[Caller], Any]) -> Callable[[Caller], Ids]:
    """For a list that is to have something in it."""

    def ids(caller: Caller) -> Ids:
        make(caller)
        return NONE

    return ids


HELLO = [{"role": "user", "content": "count to 3"}]
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


def talk(name: str, asked: Json, said: str, cut: Json, tools: Json, whole: Known, stream: Known) -> list[Row]:
    """What every model that talks is asked, whole and streamed. `said`: the field that holds what the user says."""
    bodies = {
        "text": {said: "count to 3"}, "tools": {said: "weather in Tokyo and Paris", **tools},
        "cut": {said: "count to 99", **cut}, "refused": {said: "refuse"}, "filtered": {said: "cut off by filter"},
    }  # fmt: skip
    found: list[Row] = []
    for label, more in bodies.items():
        body = asked | more
        if said == "messages":
            body["messages"] = [{"role": "user", "content": body["messages"]}]
        found.append(Row(name, f"{asked['model']}-{label}", body, known=whole))
        if label in ("cut", "filtered"):
            ended = {place.replace("completed", "incomplete"): reason for place, reason in stream.items()}
        else:
            ended = stream
        found.append(Row(name, f"{asked['model']}-{label}-stream", {**body, "stream": True}, known=ended))
    return found


def of_chat(model: str, whole: Known = NONE, stream: Known = NONE, **more: Any) -> list[Row]:
    cut = {"max_completion_tokens": 16}
    return talk("chat_completions", {"model": model, **more}, "messages", cut, {"tools": CHAT_TOOLS}, whole, stream)


def of_responses(model: str, whole: Known = NONE, stream: Known = NONE, **more: Any) -> list[Row]:
    cut = {"max_output_tokens": 16}
    return talk("responses_create", {"model": model, **more}, "input", cut, {"tools": RESPONSES_TOOLS}, whole, stream)


def of_messages(model: str, whole: Known = NONE, stream: Known = NONE, **more: Any) -> list[Row]:
    asked: Json = {"model": model, "max_tokens": 2048, **more}
    cut = {"max_tokens": 1030 if "thinking" in more else 16}
    return talk("messages", asked, "messages", cut, {"tools": CLAUDE_TOOLS}, whole, stream)


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
QUEUED = {"response.queued:/response/user": USER["/user"], "response.queued:/response/usage": UNUSED["/usage"]}
PING = {"ping:/type": "Anthropic's guide to streams has the event, its specification has not"}
CHUNKS = {"/choices/*/finish_reason": "the schema is that of whole answers; OpenAI too has null until the last chunk"}
NO_FINISH = {"/choices/*/finish_reason": "Foundry leaves finish_reason out until the last chunk, as recorded"}
NO_PRINT = {"/system_fingerprint": "Azure writes null for reasoning models, as recorded"}
NO_ERROR = "null where there was none, as in the specification's own examples"
NOT_YET = {
    f"/{name}": "null until there is one, as in the specification's own examples"
    for name in ("cancelled_at", "cancelling_at", "completed_at", "error_file_id", "errors", "expired_at", "failed_at",
                 "finalizing_at", "in_progress_at", "output_file_id")
}  # fmt: skip
CREATED = {"HTTP": "Azure's dated versions say 201"}
DATED_JOB = {
    **dict.fromkeys(
        ("/error", "/fine_tuned_model", "/finished_at", "/organization_id", "/seed", "/trained_tokens",
         "/validation_file"),
        "Azure's dated versions lack it, as in the example of their specification",
    ),
    "/status": "Azure's dated versions have words of their own",
}  # fmt: skip
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
    Row("embeddings", "split", {"model": "embedding", "input": ["a"] * 2049, "dimensions": 2}),
    Row("moderations", "text", {"input": "hate and violence"}),
    Row("models_list"),
    row("models_retrieve", lambda _: {"alias": "gpt-4o"}),
)  # fmt: skip

STATE = (
    row("responses_retrieve", Caller.response, known=USER),
    row("responses_retrieve", lambda c: c.response(background=True), query="stream=true", label="stream",
        known=RESPONSE_EVENTS | QUEUED),
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
            ("dall-e-3", "", {}), ("dall-e-3", "inline", {"response_format": "b64_json"}),
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
    row("videos_list", after(Caller.video)),
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
    row("files_list", after(Caller.file)),
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
    Row("files_create", "batch", Form({"purpose": "batch"}, (("file", "a.jsonl", BATCH_LINE, "application/jsonl"),))),
    row("files_list", after(Caller.batch_file), label="batch"),
    row("files_retrieve", lambda c: {"file_id": c.batch_file()}, label="batch"),
    row("files_content", lambda c: {"file_id": c.batch_file()}, label="batch"),
    row("files_delete", lambda c: {"file_id": c.batch_file()}, label="batch"),
    row("uploads_create", body={
        "purpose": "batch", "filename": "a.jsonl", "bytes": 5, "mime_type": "application/jsonl",
        "expires_after": {"anchor": "created_at", "seconds": 3600},
    }, label="batch"),
    row("uploads_parts_create", lambda c: {"upload_id": c.kept_upload()["id"]},
        Form({}, (("data", "part", b"hello", "application/octet-stream"),)), label="batch"),
    row("uploads_complete", lambda c: {"upload_id": c.kept_upload()["id"]},
        lambda c, ids: {"part_ids": [c.part(ids["upload_id"], BATCH_LINE)]}, label="batch"),
    row("uploads_cancel", lambda c: {"upload_id": c.kept_upload()["id"]}, label="batch"),
    row("batches_create", body=lambda c, _: batch_of(c.batch_file()), known=NOT_YET),
    row("batches_create", body=lambda c, _: {
        **batch_of(c.batch_file()), "metadata": {"a": "b"},
        "output_expires_after": {"anchor": "created_at", "seconds": 3600},
    }, label="all", known=NOT_YET),
    row("batches_list", after(Caller.batch), known={f"/data/*{place}": why for place, why in NOT_YET.items()}),
    row("batches_retrieve", Caller.batch, known=NOT_YET),
    row("batches_cancel", Caller.batch, known={k: why for k, why in NOT_YET.items() if k != "/cancelling_at"}),
    row("fine_tuning_jobs_create", body=lambda c, _: c.job_order()),
    row("fine_tuning_jobs_create", body=lambda c, _: c.job_order(), label="dated", dated=True, known=DATED_JOB),
    row("fine_tuning_jobs_list", after(Caller.job)),
    *(row("fine_tuning_jobs_retrieve", lambda c, s=s: c.job(s), label=s) for s in ("queued", "succeeded")),
    row("fine_tuning_jobs_cancel", Caller.job),
    row("fine_tuning_jobs_pause", Caller.job, known={"/status": "the specification has no word for a paused job"}),
    row("fine_tuning_jobs_resume", lambda c: c.job("paused")),
    row("fine_tuning_jobs_events", Caller.job),
    row("fine_tuning_jobs_checkpoints", lambda c: c.job("succeeded")),
    row("fine_tuning_graders_run", body={"grader": GRADER, "model_sample": "1", "item": {"answer": "1"}}),
    *(row("fine_tuning_graders_validate", body={"grader": GRADER}, label=n, dated=bool(n)) for n in ("", "dated")),
    row("vector_stores_create", body=lambda c, _: {"name": "a", "file_ids": [c.file()], "metadata": {"a": "b"}}),
    row("vector_stores_list", after(Caller.vector_store)),
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
    row("containers_list", after(Caller.container)),
    row("containers_retrieve", Caller.container),
    row("containers_delete", Caller.container),
    row("containers_files_create", Caller.container, lambda c, _: {"file_id": c.file()}),
    row("containers_files_list", Caller.contained_file),
    row("containers_files_retrieve", Caller.contained_file),
    row("containers_files_content", Caller.contained_file),
    row("containers_files_delete", Caller.contained_file),
    row("evals_create", body=EVAL),
    row("evals_list", after(Caller.eval)),
    row("evals_retrieve", Caller.eval),
    row("evals_update", Caller.eval, {"name": "other"}),
    row("evals_delete", Caller.eval),
    row("evals_runs_create", Caller.eval, RUN, known={"/error": NO_ERROR}),
    row("evals_runs_list", Caller.eval_run, known={"/data/*/error": NO_ERROR}),
    row("evals_runs_retrieve", lambda c: c.eval_run("completed"), known={"/error": NO_ERROR}),
    row("evals_runs_cancel", Caller.eval_run, known={"/error": NO_ERROR}, schema="EvalRun"),
    row("evals_runs_cancel_bare", Caller.eval_run, known={"/error": NO_ERROR}),
    row("evals_runs_delete", Caller.eval_run),
    row("evals_runs_output_items_list", lambda c: c.eval_run("completed"), known={"/data/*/sample/error": NO_ERROR}),
    row("evals_runs_output_items_retrieve", Caller.output_item, known={"/sample/error": NO_ERROR}),
)  # fmt: skip


ROWS: tuple[Row, ...] = (*TALK, *STATE, *MEDIA, *FILES)
