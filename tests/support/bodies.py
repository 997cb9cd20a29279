"""A small body for every operation that takes one, and every place in which an id can stand in a request.

Plain data over ENDPOINTS: what is wrong in a test is put into what is right here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.endpoints import ENDPOINTS, Endpoint

ID = "AN-ID"
"""Stands where a test puts an id."""
_CRITERIA = [{"type": "string_check", "name": "same", "input": "{{item.a}}", "reference": "1", "operation": "eq"}]
_CONFIG = {"type": "custom", "item_schema": {"type": "object"}}
_ROWS = {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"a": "1"}}]}}
_TALK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
MINIMAL: dict[str, dict[str, Any]] = {
    "chat_completions": _TALK,
    "completions": {"model": "instruct", "prompt": "hi"},
    "embeddings": {"model": "embedding", "input": "hi"},
    "moderations": {"input": "hi"},
    "responses_create": {"model": "gpt-4o-v1", "input": "hi"},
    "responses_compact": {"model": "gpt-4o-v1", "input": "hi"},
    "responses_input_tokens": {"model": "gpt-4o-v1", "input": "hi"},
    "conversations_update": {"metadata": {"a": "b"}},
    "conversations_items_create": {"items": [{"role": "user", "content": "hi"}]},
    "messages": {**_TALK, "max_tokens": 9},
    "messages_count_tokens": _TALK,
    "images_generations": {"model": "image", "prompt": "a cat"},
    "images_edits": {"model": "image", "prompt": "a cat"},
    "audio_speech": {"model": "tts", "input": "hi", "voice": "alloy"},
    "videos_create": {"model": "sora", "prompt": "a cat"},
    "videos_remix": {"prompt": "a cat"},
    "realtime_client_secrets": {"session": {"type": "realtime", "model": "realtime"}},
    "uploads_create": {"purpose": "batch", "filename": "a.jsonl", "bytes": 3, "mime_type": "text/jsonl"},
    "uploads_complete": {"part_ids": []},
    "batches_create": {
        "input_file_id": "",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"job_id": "a"},
    },
    "fine_tuning_jobs_create": {"model": "gpt-4o-mini", "training_file": ""},
    "fine_tuning_graders_run": {"grader": _CRITERIA[0], "model_sample": "1"},
    "fine_tuning_graders_validate": {"grader": _CRITERIA[0]},
    "vector_stores_search": {"query": "words"},
    "vector_stores_files_create": {"file_id": ""},
    "vector_stores_files_update": {"attributes": {"a": "b"}},
    "vector_stores_file_batches_create": {"file_ids": []},
    "containers_create": {"name": "room"},
    "evals_create": {"data_source_config": _CONFIG, "testing_criteria": _CRITERIA},
    "evals_runs_create": {"data_source": _ROWS},
}
"""By endpoint; what is not named takes an empty object. Enough to pass the gateway's own checks."""

_FILE = {"type": "input_file", "file_id": ID}
_IN_BODIES: dict[str, list[dict[str, Any]]] = {
    "chat_completions": [
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": ID}}]}]},
        {"messages": [{"role": "assistant", "audio": {"id": ID}}]},
        {"model": "o3-pro", "tools": [{"type": "custom", "custom": {"type": "file_search", "vector_store_ids": [ID]}}]},
    ],
    "completions": [{"model": "o3-pro", "tools": [{"type": "custom", "custom": {"type": "x", "vector_store_ids": [ID]}}]}],
    "messages": [{"container": ID}, {"container": {"id": ID}}],
    "messages_count_tokens": [{"model": "claude", "messages": [{"role": "user", "content": [{"source": {"file_id": ID}}]}]}],
    "responses_create": [
        {"previous_response_id": ID},
        {"conversation": ID},
        {"conversation": {"id": ID}},
        {"conversation": {"id": ID, "type": "tool_use"}},
        {"input": [{"type": "item_reference", "id": ID}]},
        {"input": [[{"type": "item_reference", "id": ID}]]},
        {"input": [{"type": "item_reference", "id": [ID]}]},
        {"input": [{"role": "user", "content": [_FILE]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [_FILE]}]},
        {"type": "tool_use", "input": [{"type": "item_reference", "id": ID}]},
        {"tools": [{"type": "file_search", "vector_store_ids": [ID]}]},
        {"tools": [{"type": "code_interpreter", "container": ID}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [ID]}}]},
        {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": ID}}]},
        {"prompt": {"id": "pmpt_1", "variables": {"metadata": _FILE}}},
    ],
    "responses_compact": [{"previous_response_id": ID}],
    "responses_input_tokens": [{"previous_response_id": ID}, {"conversation": ID}],
    "conversations_create": [{"items": [{"role": "user", "content": [_FILE]}]}],
    "conversations_items_create": [{"items": [{"role": "user", "content": [_FILE]}]}],
    "images_edits": [{"images": [{"file_id": ID}]}],
    "videos_create": [{"input_reference": {"file_id": ID}}],
    "uploads_complete": [{"part_ids": [ID]}],
    "fine_tuning_jobs_create": [{"training_file": ID}, {"validation_file": ID}],
    "vector_stores_create": [{"file_ids": [ID]}],
    "batches_create": [{"input_file_id": ID}],
    "vector_stores_files_create": [{"file_id": ID}],
    "vector_stores_file_batches_create": [{"file_ids": [ID]}, {"files": [{"file_id": ID}]}],
    "containers_create": [{"file_ids": [ID]}],
    "containers_files_create": [{"file_id": ID}],
    "evals_runs_create": [{"data_source": {"type": "jsonl", "source": {"type": "file_id", "id": ID}}}],
}  # fmt: skip
FORMS: dict[str, list[dict[str, str]]] = {
    "containers_files_create": [{"file_id": ID}],
    "videos_create": [{"model": "sora", "prompt": "a cat", "input_reference[file_id]": ID}],
    "images_edits": [{"model": "image", "prompt": "a cat", "images[0][file_id]": ID}],
}
"""Text fields of forms, by endpoint."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request in which ID stands somewhere. Path parameters are left open but for the one that holds it."""

    endpoint: Endpoint
    where: str
    param: str = ""
    """The path parameter that is ID; all others are to be filled with good ids."""
    body: Any = None
    form: dict[str, str] | None = None
    query: str = ""

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}-{self.where}"


def minimal(endpoint: Endpoint) -> Any:
    """-> a body for one call, None where none is sent."""
    return copy.deepcopy(MINIMAL.get(endpoint.name, {})) if endpoint.body in ("json", "json_or_form") else None


def path_params(endpoint: Endpoint) -> list[str]:
    """The names of the ids in its path."""
    return [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{") and not part.startswith("{*")]


def askings() -> Iterator[Asking]:
    """Every place of every operation that can hold an id."""
    for row in ENDPOINTS.values():
        if row.target == "here":
            continue
        for param in path_params(row):
            yield Asking(row, f"path:{param}", param, minimal(row))
        for index, changed in enumerate(_IN_BODIES.get(row.name, [])):
            yield Asking(row, f"body:{index}", body={**minimal(row), **changed})
        for index, form in enumerate(FORMS.get(row.name, [])):
            yield Asking(row, f"form:{index}", form=form)
        for name in ("after", "before"):
            if name in row.query and row.method == "GET" and (row.target == "id" or name == "after"):
                yield Asking(row, f"query:{name}", query=f"{name}={ID}")
