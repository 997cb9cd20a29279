"""The few types and values of a body that are checked before an upstream is asked: one row per endpoint.

What the gateway itself relies on, and mistakes whose upstream message would not name the field. Everything else is the
model's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.endpoints import Endpoint
from shared.errors import ApiError, bad_request
from shared.ports import Form
from shared.types import Json

_SAID: Mapping[str, str] = {
    "str": "a string", "int": "an integer", "number": "a number", "bool": "true or false", "list": "a list",
    "object": "an object",
}  # fmt: skip
CHECKS: Mapping[str, Mapping[str, str]] = {
    "chat_completions": {"messages": "list", "stream": "bool", "model": "str", "stream_options": "object"},
    "completions": {"prompt": "str|list", "stream": "bool", "model": "str", "stream_options": "object"},
    "embeddings": {"input": "str|list", "dimensions": "int", "encoding_format": "str", "model": "str"},
    "moderations": {"input": "str|list", "model": "str"},
    "responses_create": {"input": "str|list", "stream": "bool", "background": "bool", "tools": "list", "store": "bool",
                         "previous_response_id": "str", "model": "str", "instructions": "str|list"},
    "responses_compact": {"input": "str|list", "previous_response_id": "str"},
    "messages": {"messages": "list", "max_tokens": "int", "stream": "bool", "system": "str|list", "tools": "list"},
    "messages_count_tokens": {"messages": "list", "system": "str|list", "tools": "list"},
    "images_generations": {"prompt": "str", "n": "int", "size": "str", "stream": "bool", "partial_images": "int"},
    "images_edits": {"prompt": "str", "stream": "bool"},
    "audio_speech": {"input": "str", "voice": "str|object", "speed": "number", "response_format": "str"},
    "videos_create": {"prompt": "str"},
    "videos_remix": {"prompt": "str"},
    "realtime_client_secrets": {"session": "object", "expires_after": "object"},
    "uploads_create": {"filename": "str", "purpose": "str", "bytes": "int", "mime_type": "str"},
    "uploads_complete": {"part_ids": "list"},
    "batches_create": {"input_file_id": "str", "endpoint": "str", "completion_window": "str", "metadata": "object",
                       "output_expires_after": "object", "callback_url": "str"},
    "fine_tuning_jobs_create": {"model": "str", "training_file": "str", "validation_file": "str", "seed": "int",
                                "suffix": "str", "hyperparameters": "object", "method": "object"},
    "vector_stores_create": {"file_ids": "list", "name": "str", "metadata": "object"},
    "vector_stores_search": {"query": "str|list", "max_num_results": "int"},
    "vector_stores_files_create": {"file_id": "str", "attributes": "object"},
    "vector_stores_file_batches_create": {"file_ids": "list", "files": "list"},
    "containers_create": {"name": "str", "file_ids": "list"},
    "evals_create": {"data_source_config": "object", "testing_criteria": "list"},
    "evals_runs_create": {"data_source": "object"},
    "conversations_items_create": {"items": "list"},
    "conversations_update": {"metadata": "object"},
}  # fmt: skip
_ONE_OF: Mapping[tuple[str, str], frozenset[str]] = {
    ("embeddings", "encoding_format"): frozenset({"float", "base64"}),
    ("audio_speech", "response_format"): frozenset({"mp3", "opus", "aac", "flac", "wav", "pcm"}),
    ("audio_transcriptions", "response_format"): frozenset(
        {"json", "text", "srt", "verbose_json", "vtt", "diarized_json"}
    ),
    ("audio_translations", "response_format"): frozenset({"json", "text", "srt", "verbose_json", "vtt"}),
}


def check_body(endpoint: Endpoint, body: Json) -> None:
    """Raises ApiError (400) that names the field."""
    for name, wanted in CHECKS.get(endpoint.name, {}).items():
        value = body.get(name)
        if value is not None and not any(_is(value, kind) for kind in wanted.split("|")):
            raise _wrong_type(name, " or ".join(_SAID[kind] for kind in wanted.split("|")))
    _check_values(endpoint, body)
    if endpoint.shape in ("chat", "messages", "count"):
        _check_messages(body)
    if endpoint.shape in ("completions", "embeddings"):
        _check_not_empty(body, *endpoint.required)
    if endpoint.name == "evals_runs_create":
        _check_source(body["data_source"])


def check_form(endpoint: Endpoint, fields: Json, form: Form) -> None:
    """The fields of a form that are known so far. Raises ApiError (400) that names the field."""
    for name in endpoint.required:
        if not fields.get(name):
            raise bad_request(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    _check_values(endpoint, fields)
    if form.complete and not form.files and (endpoint.body == "form" or endpoint.name == "images_edits"):
        raise bad_request(
            "The form holds no file. Send one as a part with a filename: -F file=@NAME with curl, open(NAME, 'rb') in "
            "Python.",
            param="data" if endpoint.name == "uploads_parts_create" else "file",
            code="missing_required_parameter",
        )


def _check_values(endpoint: Endpoint, body: Json) -> None:
    for (name, field), allowed in _ONE_OF.items():
        value = body.get(field)
        if name == endpoint.name and isinstance(value, str) and value not in allowed:
            raise bad_request(
                f"Invalid value for '{field}': {value[:40]!r}. It must be one of {', '.join(sorted(allowed))}.",
                param=field,
                code="invalid_value",
            )


def _check_messages(body: Json) -> None:
    messages: list[Any] = body["messages"]
    if not messages:
        raise _wrong_type("messages", "a list with at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong_type(f"messages[{index}]", "an object with a 'role'")


def _check_not_empty(body: Json, *names: str) -> None:
    for name in names:
        if body[name] == []:
            raise bad_request(f"'{name}' is an empty list. Send at least one.", param=name, code="invalid_value")


def _check_source(data_source: Json) -> None:
    """An evaluation may read what its caller sends or owns. The resource's stored completions and responses are
    everybody's: no filter that Azure has tells whose they are."""
    source = data_source.get("source")
    if source is not None and (not isinstance(source, dict) or source.get("type") not in ("file_content", "file_id")):
        raise bad_request(
            "'data_source.source' must be an object of the type 'file_content' or 'file_id'. What the resource has "
            "stored of all its clients is not evaluated here: send the rows, or upload them as a file.",
            param="data_source.source",
            code="invalid_value",
        )


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, _TYPES[kind])


_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "number": (int, float), "bool": (bool,), "list": (list,), "object": (dict,),
}  # fmt: skip


def _wrong_type(param: str, wanted: str) -> ApiError:
    return bad_request(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")
