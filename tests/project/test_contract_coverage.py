"""Every relayed endpoint is called by a contract test with the SDK's own method, on a real gateway.

The table names the method; a test demands that its text stands in tests/contract. What it does there is those tests'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.endpoints import ENDPOINTS

CONTRACT = Path(__file__).parents[1] / "contract"
WITHOUT_METHOD = {"evals_runs_cancel_bare": "the specifications' address; the SDK has another",
                  "deferred_retrieve": "the gateway's own"}  # fmt: skip
METHODS: Mapping[str, str] = {
    "chat_completions": "chat.completions.create",
    "completions": "completions.create",
    "embeddings": "embeddings.create",
    "moderations": "moderations.create",
    "responses_create": "responses.create",
    "responses_compact": "responses.compact",
    "responses_input_tokens": "responses.input_tokens.count",
    "responses_retrieve": "responses.retrieve",
    "responses_delete": "responses.delete",
    "responses_cancel": "responses.cancel",
    "responses_input_items": "responses.input_items.list",
    "conversations_create": "conversations.create",
    "conversations_retrieve": "conversations.retrieve",
    "conversations_update": "conversations.update",
    "conversations_delete": "conversations.delete",
    "conversations_items_create": "conversations.items.create",
    "conversations_items_list": "conversations.items.list",
    "conversations_items_retrieve": "conversations.items.retrieve",
    "conversations_items_delete": "conversations.items.delete",
    "messages": "messages.create",
    "messages_count_tokens": "messages.count_tokens",
    "images_generations": "images.generate",
    "images_edits": "images.edit",
    "audio_speech": "audio.speech.create",
    "audio_transcriptions": "audio.transcriptions.create",
    "audio_translations": "audio.translations.create",
    "videos_create": "videos.create",
    "videos_list": "videos.list",
    "videos_retrieve": "videos.retrieve",
    "videos_content": "videos.download_content",
    "videos_remix": "videos.remix",
    "videos_delete": "videos.delete",
    "realtime_client_secrets": "realtime.client_secrets.create",
    "realtime_calls": "realtime.calls.create",
    "realtime_calls_accept": "realtime.calls, action)",
    "realtime_calls_hangup": "realtime.calls.hangup",
    "realtime_calls_refer": "realtime.calls, action)",
    "realtime_calls_reject": "realtime.calls, action)",
    "files_create": "files.create",
    "files_list": "files.list",
    "files_retrieve": "files.retrieve",
    "files_content": "files.content",
    "files_delete": "files.delete",
    "uploads_create": "uploads.create",
    "uploads_parts_create": "uploads.parts.create",
    "uploads_complete": "uploads.complete",
    "uploads_cancel": "uploads.cancel",
    "batches_create": "batches.create",
    "batches_list": "batches.list",
    "batches_retrieve": "batches.retrieve",
    "batches_cancel": "batches.cancel",
    "fine_tuning_jobs_create": "fine_tuning.jobs.create",
    "fine_tuning_jobs_list": "fine_tuning.jobs.list",
    "fine_tuning_jobs_retrieve": "fine_tuning.jobs.retrieve",
    "fine_tuning_jobs_cancel": "fine_tuning.jobs.cancel",
    "fine_tuning_jobs_pause": "fine_tuning.jobs.pause",
    "fine_tuning_jobs_resume": "fine_tuning.jobs.resume",
    "fine_tuning_jobs_events": "fine_tuning.jobs.list_events",
    "fine_tuning_jobs_checkpoints": "fine_tuning.jobs.checkpoints.list",
    "fine_tuning_graders_run": "fine_tuning.alpha.graders.run",
    "fine_tuning_graders_validate": "fine_tuning.alpha.graders.validate",
    "vector_stores_create": "vector_stores.create",
    "vector_stores_list": "vector_stores.list",
    "vector_stores_retrieve": "vector_stores.retrieve",
    "vector_stores_update": "vector_stores.update",
    "vector_stores_delete": "vector_stores.delete",
    "vector_stores_search": "vector_stores.search",
    "vector_stores_files_create": "vector_stores.files.create",
    "vector_stores_files_list": "vector_stores.files.list",
    "vector_stores_files_retrieve": "vector_stores.files.retrieve",
    "vector_stores_files_update": "vector_stores.files.update",
    "vector_stores_files_delete": "vector_stores.files.delete",
    "vector_stores_files_content": "vector_stores.files.content",
    "vector_stores_file_batches_create": "vector_stores.file_batches.create",
    "vector_stores_file_batches_retrieve": "vector_stores.file_batches.retrieve",
    "vector_stores_file_batches_cancel": "vector_stores.file_batches.cancel",
    "vector_stores_file_batches_files": "vector_stores.file_batches.list_files",
    "containers_create": "containers.create",
    "containers_list": "containers.list",
    "containers_retrieve": "containers.retrieve",
    "containers_delete": "containers.delete",
    "containers_files_create": "containers.files.create",
    "containers_files_list": "containers.files.list",
    "containers_files_retrieve": "containers.files.retrieve",
    "containers_files_delete": "containers.files.delete",
    "containers_files_content": "containers.files.content.retrieve",
    "evals_create": "evals.create",
    "evals_list": "evals.list",
    "evals_retrieve": "evals.retrieve",
    "evals_update": "evals.update",
    "evals_delete": "evals.delete",
    "evals_runs_create": "evals.runs.create",
    "evals_runs_list": "evals.runs.list",
    "evals_runs_retrieve": "evals.runs.retrieve",
    "evals_runs_cancel": "evals.runs.cancel",
    "evals_runs_delete": "evals.runs.delete",
    "evals_runs_output_items_list": "evals.runs.output_items.list",
    "evals_runs_output_items_retrieve": "evals.runs.output_items.retrieve",
}


@pytest.fixture(scope="module")
def contract_tests() -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(CONTRACT.glob("test_*.py")))


def test_every_relayed_endpoint_is_in_the_table() -> None:
    relayed = {row.name for row in ENDPOINTS.values() if row.target != "here"}
    assert relayed == set(METHODS) | set(WITHOUT_METHOD)


@pytest.mark.parametrize("name", METHODS)
def test_endpoint_is_called_with_the_sdk(name: str, contract_tests: str) -> None:
    assert re.search(rf"\b{re.escape(METHODS[name])}\(", contract_tests)
