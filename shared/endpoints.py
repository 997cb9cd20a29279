"""ENDPOINTS: what each public operation is, as OpenAI's (or Anthropic's) API defines it. One frozen row per operation.

Nothing here knows how Azure serves an operation (SURFACES), in which words (DIALECTS) or what a model accepts
(FAMILIES). A test demands that every row is a trigger of function_app.py, and the other way round.
Sources: openai-openapi 2026-08-21, anthropic-openapi 2026-01, Azure's v1 specification; limits as noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Shape = Literal[
    "chat", "responses", "messages", "completions", "embeddings", "images", "speech", "transcription", "moderations",
    "videos", "realtime", "stored", "batches", "count", "models", "health", "manage", "webhook", "gone", "none",
]  # fmt: skip
"""`stored`: objects that Azure keeps, passed through with owned ids (files for batches are kept here). `batches`,
`models`, `health`, `manage`, `webhook`, `gone` and `none` are answered here, all others relayed
(transform.SHAPES)."""
Target = Literal["model", "id", "resource", "list", "here"]
"""What decides where a call goes: the alias it names, the ids in its path, the resource that keeps what it creates
(told by ids or an alias in the request, else the default one), the caller's own index of objects, or nobody."""
BodyKind = Literal["json", "form", "json_or_form", "sdp", "none"]
ANTHROPIC: frozenset[Shape] = frozenset({"messages", "count"})
"""Shapes of Anthropic's API: their errors and headers are as its clients expect them."""
MB = 1024 * 1024
SMALL = 64 * 1024
UPLOAD = 100 * MB
"""The Functions host ends a request at 104,857,600 bytes (Kestrel's limit in Program.cs, 2024-10)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `body_limit` in bytes, `token_limit` in JSON tokens (`{`, `[` and `,` counted before parsing)."""

    name: str
    method: str
    path: str
    """Below /v1; `{name}` is a path parameter, `{*name}` the rest of the path."""
    shape: Shape
    target: Target = "model"
    body: BodyKind = "none"
    streams: bool = False
    raw: bool = False
    """The answer is not JSON but a file or text, passed through as it arrives."""
    required: tuple[str, ...] = ()
    """Top-level fields without which the call is refused here."""
    model_at: tuple[str, ...] = ("model",)
    """Where the body names the alias."""
    deployed: bool = False
    """Azure has it below /openai/deployments/{alias} as well."""
    kind: str = ""
    """The kind of object that a creation adds to the caller's index, a deletion takes away and a list shows."""
    query: tuple[str, ...] = ()
    """Query parameters that are passed on; any other is dropped."""
    body_limit: int = SMALL
    token_limit: int = 10_000
    public: bool = False
    """True when no key is asked for."""

    @property
    def route(self) -> str:
        """The route template of its trigger."""
        return self.path if self.shape in ("health", "manage", "none") else f"v1/{self.path}"


_PAGE = ("limit", "order", "after", "before")


def _model(name: str, path: str, shape: Shape, *required: str, **given: Any) -> Endpoint:
    """An operation on a model. 32 MB of JSON hold the 50 images that Azure allows per request (2026-08)."""
    usual: dict[str, Any] = {"body": "json", "body_limit": 32 * MB, "token_limit": 1_000_000}
    return Endpoint(name, "POST", path, shape, required=required, **{**usual, **given})


def _stored(name: str, method: str, path: str, target: Target = "id", *required: str, **given: Any) -> Endpoint:
    """An operation on objects that Azure keeps."""
    usual: dict[str, Any] = {}
    if method == "POST":
        usual = {"body": "json", "body_limit": 8 * MB, "token_limit": 500_000}
    if target == "list" or path.endswith(("s", "items")):
        usual["query"] = _PAGE
    return Endpoint(name, method, path, "stored", target, required=required, **{**usual, **given})


def _crud(kind: str, path: str, param: str, *required: str, update: bool = True) -> tuple[Endpoint, ...]:
    """Create, list, retrieve, update and delete of one kind of object."""
    rows = (
        _stored(f"{path}_create", "POST", path, "resource", *required, kind=kind),
        _stored(f"{path}_list", "GET", path, "list", kind=kind),
        _stored(f"{path}_retrieve", "GET", f"{path}/{{{param}}}"),
        _stored(f"{path}_update", "POST", f"{path}/{{{param}}}"),
        _stored(f"{path}_delete", "DELETE", f"{path}/{{{param}}}", kind=kind),
    )
    return rows if update else tuple(row for row in rows if not row.name.endswith("_update"))


_ROWS = (
    # Text.
    _model("chat_completions", "chat/completions", "chat", "messages", streams=True, deployed=True),
    _model("completions", "completions", "completions", "prompt", streams=True, deployed=True),
    # 2,048 inputs of 8,192 token numbers each are 16 million elements; what is refused here is refused by every model's
    # own limit per call as well, but for inputs that the gateway splits
    _model("embeddings", "embeddings", "embeddings", "input", deployed=True, token_limit=2_000_000),
    _model("moderations", "moderations", "moderations", "input"),
    # Responses.
    _model("responses_create", "responses", "responses", streams=True, kind="response"),
    _model("responses_compact", "responses/compact", "responses"),
    _model("responses_input_tokens", "responses/input_tokens", "responses"),
    _stored("responses_retrieve", "GET", "responses/{response_id}", streams=True,
            query=("stream", "starting_after", "include[]", "include", "include_obfuscation")),
    _stored("responses_delete", "DELETE", "responses/{response_id}"),
    _stored("responses_cancel", "POST", "responses/{response_id}/cancel"),
    _stored("responses_input_items", "GET", "responses/{response_id}/input_items",
            query=(*_PAGE, "include[]", "include")),
    _stored("conversations_create", "POST", "conversations", "resource"),
    _stored("conversations_retrieve", "GET", "conversations/{conversation_id}"),
    _stored("conversations_update", "POST", "conversations/{conversation_id}", "id", "metadata"),
    _stored("conversations_delete", "DELETE", "conversations/{conversation_id}"),
    _stored("conversations_items_create", "POST", "conversations/{conversation_id}/items", "id", "items",
            body_limit=32 * MB, query=("include[]", "include")),
    _stored("conversations_items_list", "GET", "conversations/{conversation_id}/items",
            query=(*_PAGE, "include[]", "include")),
    _stored("conversations_items_retrieve", "GET", "conversations/{conversation_id}/items/{item_id}",
            query=("include[]", "include")),
    _stored("conversations_items_delete", "DELETE", "conversations/{conversation_id}/items/{item_id}"),
    # Anthropic's messages.
    _model("messages", "messages", "messages", "messages", "max_tokens", streams=True),
    _model("messages_count_tokens", "messages/count_tokens", "count", "messages"),
    # Images.
    _model("images_generations", "images/generations", "images", "prompt", streams=True, deployed=True),
    _model("images_edits", "images/edits", "images", "prompt", streams=True, deployed=True, body="json_or_form",
           body_limit=UPLOAD),
    # Audio. Azure takes 25 MB of audio (2026-08); its own 413 says so.
    _model("audio_speech", "audio/speech", "speech", "input", "voice", streams=True, raw=True, deployed=True,
           body_limit=1 * MB),
    _model("audio_transcriptions", "audio/transcriptions", "transcription", streams=True, raw=True, deployed=True,
           body="form", body_limit=UPLOAD),
    _model("audio_translations", "audio/translations", "transcription", raw=True, deployed=True,
           body="form", body_limit=UPLOAD),
    # Videos.
    _model("videos_create", "videos", "videos", "prompt", body="json_or_form", body_limit=UPLOAD, kind="video"),
    _stored("videos_list", "GET", "videos", "list", kind="video"),
    _stored("videos_retrieve", "GET", "videos/{video_id}"),
    _stored("videos_content", "GET", "videos/{video_id}/content", raw=True, query=("variant",)),
    _stored("videos_remix", "POST", "videos/{video_id}/remix", "id", "prompt", kind="video"),
    _stored("videos_delete", "DELETE", "videos/{video_id}", kind="video"),
    # Realtime: clients connect straight to Azure with the token that is made here.
    _model("realtime_client_secrets", "realtime/client_secrets", "realtime", model_at=("session", "model"),
           body_limit=1 * MB),
    _model("realtime_calls", "realtime/calls", "realtime", body="sdp", raw=True, body_limit=1 * MB),
    _stored("realtime_calls_accept", "POST", "realtime/calls/{call_id}/accept", raw=True),
    _stored("realtime_calls_hangup", "POST", "realtime/calls/{call_id}/hangup", raw=True),
    _stored("realtime_calls_refer", "POST", "realtime/calls/{call_id}/refer", raw=True),
    _stored("realtime_calls_reject", "POST", "realtime/calls/{call_id}/reject", raw=True),
    # Files and uploads.
    _stored("files_create", "POST", "files", "resource", "purpose", body="form", body_limit=UPLOAD, kind="file"),
    _stored("files_list", "GET", "files", "list", kind="file", query=(*_PAGE, "purpose")),
    _stored("files_retrieve", "GET", "files/{file_id}"),
    _stored("files_content", "GET", "files/{file_id}/content", raw=True),
    _stored("files_delete", "DELETE", "files/{file_id}", kind="file"),
    _stored("uploads_create", "POST", "uploads", "resource", "purpose", "filename", "bytes", "mime_type"),
    _stored("uploads_parts_create", "POST", "uploads/{upload_id}/parts", body="form", body_limit=UPLOAD),
    _stored("uploads_complete", "POST", "uploads/{upload_id}/complete", "id", "part_ids", kind="file"),
    _stored("uploads_cancel", "POST", "uploads/{upload_id}/cancel"),
    # Batches, and calls that were put off.
    Endpoint("batches_create", "POST", "batches", "batches", "resource", "json", kind="batch",
             required=("input_file_id", "endpoint", "completion_window")),
    Endpoint("batches_list", "GET", "batches", "batches", "list", kind="batch", query=_PAGE),
    Endpoint("batches_retrieve", "GET", "batches/{batch_id}", "batches", "id"),
    Endpoint("batches_cancel", "POST", "batches/{batch_id}/cancel", "batches", "id"),
    Endpoint("deferred_retrieve", "GET", "deferred/{deferred_id}", "batches", "id"),
    # Fine-tuning.
    _stored("fine_tuning_jobs_create", "POST", "fine_tuning/jobs", "resource", "model", "training_file", kind="ftjob"),
    _stored("fine_tuning_jobs_list", "GET", "fine_tuning/jobs", "list", kind="ftjob"),
    _stored("fine_tuning_jobs_retrieve", "GET", "fine_tuning/jobs/{fine_tuning_job_id}"),
    _stored("fine_tuning_jobs_cancel", "POST", "fine_tuning/jobs/{fine_tuning_job_id}/cancel"),
    _stored("fine_tuning_jobs_pause", "POST", "fine_tuning/jobs/{fine_tuning_job_id}/pause"),
    _stored("fine_tuning_jobs_resume", "POST", "fine_tuning/jobs/{fine_tuning_job_id}/resume"),
    _stored("fine_tuning_jobs_events", "GET", "fine_tuning/jobs/{fine_tuning_job_id}/events"),
    _stored("fine_tuning_jobs_checkpoints", "GET", "fine_tuning/jobs/{fine_tuning_job_id}/checkpoints"),
    _stored("fine_tuning_graders_run", "POST", "fine_tuning/alpha/graders/run", "resource", "grader"),
    _stored("fine_tuning_graders_validate", "POST", "fine_tuning/alpha/graders/validate", "resource", "grader"),
    # Vector stores.
    *_crud("vector_store", "vector_stores", "vector_store_id"),
    _stored("vector_stores_search", "POST", "vector_stores/{vector_store_id}/search", "id", "query"),
    _stored("vector_stores_files_create", "POST", "vector_stores/{vector_store_id}/files", "id", "file_id"),
    _stored("vector_stores_files_list", "GET", "vector_stores/{vector_store_id}/files", query=(*_PAGE, "filter")),
    _stored("vector_stores_files_retrieve", "GET", "vector_stores/{vector_store_id}/files/{file_id}"),
    _stored("vector_stores_files_update", "POST", "vector_stores/{vector_store_id}/files/{file_id}", "id",
            "attributes"),
    _stored("vector_stores_files_delete", "DELETE", "vector_stores/{vector_store_id}/files/{file_id}"),
    _stored("vector_stores_files_content", "GET", "vector_stores/{vector_store_id}/files/{file_id}/content"),
    _stored("vector_stores_file_batches_create", "POST", "vector_stores/{vector_store_id}/file_batches"),
    _stored("vector_stores_file_batches_retrieve", "GET", "vector_stores/{vector_store_id}/file_batches/{batch_id}"),
    _stored("vector_stores_file_batches_cancel", "POST",
            "vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel"),
    _stored("vector_stores_file_batches_files", "GET", "vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
            query=(*_PAGE, "filter")),
    # Containers.
    *_crud("container", "containers", "container_id", "name", update=False),
    _stored("containers_files_create", "POST", "containers/{container_id}/files", body="json_or_form",
            body_limit=UPLOAD),
    _stored("containers_files_list", "GET", "containers/{container_id}/files"),
    _stored("containers_files_retrieve", "GET", "containers/{container_id}/files/{file_id}"),
    _stored("containers_files_delete", "DELETE", "containers/{container_id}/files/{file_id}"),
    _stored("containers_files_content", "GET", "containers/{container_id}/files/{file_id}/content", raw=True),
    # Evals.
    *_crud("eval", "evals", "eval_id", "data_source_config", "testing_criteria"),
    _stored("evals_runs_create", "POST", "evals/{eval_id}/runs", "id", "data_source"),
    _stored("evals_runs_list", "GET", "evals/{eval_id}/runs", query=(*_PAGE, "status")),
    _stored("evals_runs_retrieve", "GET", "evals/{eval_id}/runs/{run_id}"),
    _stored("evals_runs_cancel", "POST", "evals/{eval_id}/runs/{run_id}/cancel"),  # as openai 3.54 calls it
    _stored("evals_runs_cancel_bare", "POST", "evals/{eval_id}/runs/{run_id}"),  # as both specifications say
    _stored("evals_runs_delete", "DELETE", "evals/{eval_id}/runs/{run_id}"),
    _stored("evals_runs_output_items_list", "GET", "evals/{eval_id}/runs/{run_id}/output_items",
            query=(*_PAGE, "status")),
    _stored("evals_runs_output_items_retrieve", "GET",
            "evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}"),
    # Answered here.
    Endpoint("models_list", "GET", "models", "models", "here"),
    # An alias may hold slashes, hence the rest of the path; it also matches nothing, so that the function's name must
    # sort behind models_list.
    Endpoint("models_retrieve", "GET", "models/{*alias}", "models", "here"),
    Endpoint("health_live", "GET", "health/live", "health", "here", public=True),
    Endpoint("health_ready", "GET", "health/ready", "health", "here", public=True),
    # The operator's side: which operations there are is said by shared/operations.
    Endpoint("manage", "", "manage/{*path}", "manage", "here", body="json"),
    # Told by Azure OpenAI when a batch has ended; the signature is the key.
    Endpoint("webhooks_azure", "POST", "webhooks/azure", "webhook", "here", "json", public=True),
    # Azure has retired assistants and threads (2026-08): told apart from a typing error.
    Endpoint("gone_assistants", "", "assistants/{*rest}", "gone", "here", public=True),
    Endpoint("gone_threads", "", "threads/{*rest}", "gone", "here", public=True),
    # A session by WebSocket, which Azure Functions cannot carry: the error says what does.
    Endpoint("gone_realtime", "", "realtime", "gone", "here", public=True),
    # Every other spelling of the addresses above (routes.py), OpenAI's error shape for what is none, and OPTIONS for
    # all. Its name makes the host try it last. Public, so that a typing error is told apart from a wrong key.
    Endpoint("zz_other", "", "{*path}", "none", "here", public=True),
)  # fmt: skip

ENDPOINTS: Mapping[str, Endpoint] = {row.name: row for row in _ROWS}
