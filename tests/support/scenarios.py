"""Calls of any operation by its name, over plain HTTP, and what has to be made before some of them can be.

Owns how an operation is addressed and the smallest thing of each kind. Knows nothing of what an answer should be.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from shared.endpoints import ENDPOINTS
from tests.support.polling import until
from tests.support.stack import Key, Stack

type Json = dict[str, Any]
type Ids = Mapping[str, str]
LINES = b'{"item": {"question": "one", "answer": "1"}}\n{"item": {"question": "two", "answer": "2"}}\n'
TRAINING = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 10
GRADER: Json = {
    "type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "{{item.answer}}",
    "operation": "eq",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: fields, and files as (field, file name, content, content type)."""

    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[tuple[str, str, bytes, str], ...] = ()


@cache
def wav(seconds: float = 1.0) -> bytes:
    """Silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(int(16_000 * seconds)))
    return made.getvalue()


class Caller:
    """One client of one gateway, with a key or without. `at`: an alias whose resource keeps what nothing else binds."""

    def __init__(self, stack: Stack, key: Key | None, at: str = "") -> None:
        self._stack = stack
        self._headers = {**(key.bearer if key else {}), **({"x-tollgate-model": at} if at else {})}

    def send(self, operation: str, body: Any = None, ids: Ids | None = None, query: str = "") -> httpx.Response:
        """The operation's answer, whatever it is. `body`: JSON, a form, SDP as text, or none."""
        endpoint = ENDPOINTS[operation]
        path = endpoint.path.replace("{*", "{").format_map(dict(ids or {}))
        given: Json = {}
        headers = dict(self._headers)
        if isinstance(body, Form):
            parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in body.fields.items()]
            given["files"] = parts + [(name, (*rest,)) for name, *rest in body.files]
        elif isinstance(body, str):
            given["content"] = body
            headers["content-type"] = "application/sdp"
        elif body is not None:
            given["json"] = body
        url = f"/v1/{path}" + (f"?{query}" if query else "")
        return self._stack.http.request(endpoint.method, url, headers=headers, **given)

    def make(self, operation: str, body: Any = None, **ids: str) -> Json:
        """The same where it has to go well."""
        reply = self.send(operation, body, ids)
        assert reply.is_success, f"{operation}: {reply.status_code} {reply.text}"
        return reply.json()

    # What operations need. Each is new each time, so that no call depends on another.

    def file(self, purpose: str = "assistants", name: str = "a.txt", data: bytes = b"some words") -> str:
        return self.make("files_create", Form({"purpose": purpose}, (("file", name, data, "text/plain"),)))["id"]

    def batch_file(self) -> str:
        return self.file("batch", "a.jsonl", BATCH_LINE)

    def batch(self) -> Ids:
        """Nobody takes its messages here: it goes on when it is looked at."""
        return {"batch_id": self.make("batches_create", batch_of(self.batch_file()))["id"]}

    def upload(self) -> Json:
        asked = {"purpose": "assistants", "filename": "a.txt", "bytes": 5, "mime_type": "text/plain"}
        return self.make("uploads_create", asked)

    def kept_upload(self) -> Json:
        """One of a file for batches, which the gateway keeps itself."""
        asked = {"purpose": "batch", "filename": "a.jsonl", "bytes": len(BATCH_LINE), "mime_type": "application/jsonl"}
        return self.make("uploads_create", asked)

    def part(self, upload_id: str, data: bytes = b"hello") -> str:
        form = Form({}, (("data", "part", data, "application/octet-stream"),))
        return self.make("uploads_parts_create", form, upload_id=upload_id)["id"]

    def job(self, status: str = "queued") -> Ids:
        """A fine-tuning job; the fake goes one step on each time it is looked at."""
        made = self.make("fine_tuning_jobs_create", self.job_order())
        found = {"fine_tuning_job_id": made["id"]}
        if status == "paused":
            self.make("fine_tuning_jobs_pause", **found)
        else:
            until(lambda: made["status"] == status or made.update(self.make("fine_tuning_jobs_retrieve", **found)))
        return found

    def job_order(self) -> Json:
        return {"model": "gpt-4o", "training_file": self.file("fine-tune", "a.jsonl", TRAINING)}

    def vector_store(self) -> Ids:
        return {"vector_store_id": self.make("vector_stores_create", {"name": "store"})["id"]}

    def stored_file(self) -> Ids:
        """A file in a vector store."""
        ids = self.vector_store()
        self.make("vector_stores_files_create", {"file_id": (file_id := self.file())}, **ids)
        return {**ids, "file_id": file_id}

    def file_batch(self) -> Ids:
        ids = self.vector_store()
        made = self.make("vector_stores_file_batches_create", {"file_ids": [self.file()]}, **ids)
        return {**ids, "batch_id": made["id"]}

    def container(self) -> Ids:
        return {"container_id": self.make("containers_create", {"name": "room"})["id"]}

    def contained_file(self) -> Ids:
        ids = self.container()
        made = self.make("containers_files_create", {"file_id": self.file()}, **ids)
        return {**ids, "file_id": made["id"]}

    def eval(self) -> Ids:
        return {"eval_id": self.make("evals_create", EVAL)["id"]}

    def eval_run(self, status: str = "queued") -> Ids:
        ids = self.eval()
        made = self.make("evals_runs_create", RUN, **ids)
        found = {**ids, "run_id": str(made["id"])}
        until(lambda: made["status"] == status or made.update(self.make("evals_runs_retrieve", **found)))
        return found

    def output_item(self) -> Ids:
        ids = self.eval_run("completed")
        return {**ids, "output_item_id": self.make("evals_runs_output_items_list", **ids)["data"][0]["id"]}

    def conversation(self) -> Ids:
        made = self.make("conversations_create", {"items": [{"type": "message", "role": "user", "content": "hi"}]})
        return {"conversation_id": made["id"]}

    def conversation_item(self) -> Ids:
        ids = self.conversation()
        return {**ids, "item_id": self.make("conversations_items_list", **ids)["data"][0]["id"]}

    def response(self, **asked: Any) -> Ids:
        body = {"model": "gpt-4o-v1", "input": "count to 3", **asked}
        return {"response_id": self.make("responses_create", body)["id"]}

    def video(self, *, done: bool = False) -> Ids:
        made = self.make("videos_create", {"model": "sora", "prompt": "a cat"})
        found = {"video_id": made["id"]}
        until(lambda: not done or made["status"] == "completed" or made.update(self.make("videos_retrieve", **found)))
        return found

    def realtime_call(self) -> Ids:
        reply = self.send("realtime_calls", SDP, query="model=realtime")
        assert reply.is_success, reply.text
        return {"call_id": reply.headers["location"].rpartition("/")[2]}


BATCH_LINE = (
    b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o-batch", '
    b'"messages": [{"role": "user", "content": "hi"}]}}\n'
)


def batch_of(file_id: str) -> Json:
    return {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}


EVAL: Json = {
    "name": "numbers",
    "data_source_config": {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True},
    "testing_criteria": [GRADER],
}
RUN: Json = {
    "name": "run",
    "data_source": {
        "type": "jsonl",
        "source": {"type": "file_content", "content": [json.loads(line) for line in LINES.splitlines()]},
    },
}
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"


def events_of(reply: httpx.Response) -> list[Any]:
    """The JSON of each event of a stream."""
    found = [line.removeprefix("data:").strip() for line in reply.text.splitlines() if line.startswith("data:")]
    return [json.loads(data) for data in found if data != "[DONE]"]
