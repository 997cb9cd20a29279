"""The table of triggers: one per row of shared/endpoints.py, the queues of shared/adapters/work_queue.py and the timers
of shared/operations/timers.py (a test compares them). No logic, no setting.

Names matter: the Functions host tries functions in the alphabetical order of their names, whatever their routes. Every
other spelling of an address (bare, /openai/v1/…, /openai/deployments/ALIAS/…) arrives at zz_other.
"""

import azure.functions as func

# The worker's web extension. Fallback, should a worker refuse ours (docs/adr/0004): replace the line by
#   from azurefunctions.extensions.http.fastapi import Request, Response
# add azurefunctions-extensions-http-fastapi to requirements.txt, and make zz_other's route "openai/{*path}".
from shared.adapters.web_extension import Request, Response
from shared.bootstrap import run_queue, run_timer, serve

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("v1/chat/completions", methods=["POST"])
async def chat_completions(req: Request) -> Response:
    return await serve("chat_completions", req)


@app.route("v1/completions", methods=["POST"])
async def completions(req: Request) -> Response:
    return await serve("completions", req)


@app.route("v1/embeddings", methods=["POST"])
async def embeddings(req: Request) -> Response:
    return await serve("embeddings", req)


@app.route("v1/moderations", methods=["POST"])
async def moderations(req: Request) -> Response:
    return await serve("moderations", req)


@app.route("v1/responses", methods=["POST"])
async def responses_create(req: Request) -> Response:
    return await serve("responses_create", req)


@app.route("v1/responses/compact", methods=["POST"])
async def responses_compact(req: Request) -> Response:
    return await serve("responses_compact", req)


@app.route("v1/responses/input_tokens", methods=["POST"])
async def responses_input_tokens(req: Request) -> Response:
    return await serve("responses_input_tokens", req)


@app.route("v1/responses/{response_id}", methods=["GET"])
async def responses_retrieve(req: Request) -> Response:
    return await serve("responses_retrieve", req)


@app.route("v1/responses/{response_id}", methods=["DELETE"])
async def responses_delete(req: Request) -> Response:
    return await serve("responses_delete", req)


@app.route("v1/responses/{response_id}/cancel", methods=["POST"])
async def responses_cancel(req: Request) -> Response:
    return await serve("responses_cancel", req)


@app.route("v1/responses/{response_id}/input_items", methods=["GET"])
async def responses_input_items(req: Request) -> Response:
    return await serve("responses_input_items", req)


@app.route("v1/conversations", methods=["POST"])
async def conversations_create(req: Request) -> Response:
    return await serve("conversations_create", req)


@app.route("v1/conversations/{conversation_id}", methods=["GET"])
async def conversations_retrieve(req: Request) -> Response:
    return await serve("conversations_retrieve", req)


@app.route("v1/conversations/{conversation_id}", methods=["POST"])
async def conversations_update(req: Request) -> Response:
    return await serve("conversations_update", req)


@app.route("v1/conversations/{conversation_id}", methods=["DELETE"])
async def conversations_delete(req: Request) -> Response:
    return await serve("conversations_delete", req)


@app.route("v1/conversations/{conversation_id}/items", methods=["POST"])
async def conversations_items_create(req: Request) -> Response:
    return await serve("conversations_items_create", req)


@app.route("v1/conversations/{conversation_id}/items", methods=["GET"])
async def conversations_items_list(req: Request) -> Response:
    return await serve("conversations_items_list", req)


@app.route("v1/conversations/{conversation_id}/items/{item_id}", methods=["GET"])
async def conversations_items_retrieve(req: Request) -> Response:
    return await serve("conversations_items_retrieve", req)


@app.route("v1/conversations/{conversation_id}/items/{item_id}", methods=["DELETE"])
async def conversations_items_delete(req: Request) -> Response:
    return await serve("conversations_items_delete", req)


@app.route("v1/messages", methods=["POST"])
async def messages(req: Request) -> Response:
    return await serve("messages", req)


@app.route("v1/messages/count_tokens", methods=["POST"])
async def messages_count_tokens(req: Request) -> Response:
    return await serve("messages_count_tokens", req)


@app.route("v1/images/generations", methods=["POST"])
async def images_generations(req: Request) -> Response:
    return await serve("images_generations", req)


@app.route("v1/images/edits", methods=["POST"])
async def images_edits(req: Request) -> Response:
    return await serve("images_edits", req)


@app.route("v1/audio/speech", methods=["POST"])
async def audio_speech(req: Request) -> Response:
    return await serve("audio_speech", req)


@app.route("v1/audio/transcriptions", methods=["POST"])
async def audio_transcriptions(req: Request) -> Response:
    return await serve("audio_transcriptions", req)


@app.route("v1/audio/translations", methods=["POST"])
async def audio_translations(req: Request) -> Response:
    return await serve("audio_translations", req)


@app.route("v1/videos", methods=["POST"])
async def videos_create(req: Request) -> Response:
    return await serve("videos_create", req)


@app.route("v1/videos", methods=["GET"])
async def videos_list(req: Request) -> Response:
    return await serve("videos_list", req)


@app.route("v1/videos/{video_id}", methods=["GET"])
async def videos_retrieve(req: Request) -> Response:
    return await serve("videos_retrieve", req)


@app.route("v1/videos/{video_id}/content", methods=["GET"])
async def videos_content(req: Request) -> Response:
    return await serve("videos_content", req)


@app.route("v1/videos/{video_id}/remix", methods=["POST"])
async def videos_remix(req: Request) -> Response:
    return await serve("videos_remix", req)


@app.route("v1/videos/{video_id}", methods=["DELETE"])
async def videos_delete(req: Request) -> Response:
    return await serve("videos_delete", req)


@app.route("v1/realtime/client_secrets", methods=["POST"])
async def realtime_client_secrets(req: Request) -> Response:
    return await serve("realtime_client_secrets", req)


@app.route("v1/realtime/calls", methods=["POST"])
async def realtime_calls(req: Request) -> Response:
    return await serve("realtime_calls", req)


@app.route("v1/realtime/calls/{call_id}/accept", methods=["POST"])
async def realtime_calls_accept(req: Request) -> Response:
    return await serve("realtime_calls_accept", req)


@app.route("v1/realtime/calls/{call_id}/hangup", methods=["POST"])
async def realtime_calls_hangup(req: Request) -> Response:
    return await serve("realtime_calls_hangup", req)


@app.route("v1/realtime/calls/{call_id}/refer", methods=["POST"])
async def realtime_calls_refer(req: Request) -> Response:
    return await serve("realtime_calls_refer", req)


@app.route("v1/realtime/calls/{call_id}/reject", methods=["POST"])
async def realtime_calls_reject(req: Request) -> Response:
    return await serve("realtime_calls_reject", req)


@app.route("v1/files", methods=["POST"])
async def files_create(req: Request) -> Response:
    return await serve("files_create", req)


@app.route("v1/files", methods=["GET"])
async def files_list(req: Request) -> Response:
    return await serve("files_list", req)


@app.route("v1/files/{file_id}", methods=["GET"])
async def files_retrieve(req: Request) -> Response:
    return await serve("files_retrieve", req)


@app.route("v1/files/{file_id}/content", methods=["GET"])
async def files_content(req: Request) -> Response:
    return await serve("files_content", req)


@app.route("v1/files/{file_id}", methods=["DELETE"])
async def files_delete(req: Request) -> Response:
    return await serve("files_delete", req)


@app.route("v1/uploads", methods=["POST"])
async def uploads_create(req: Request) -> Response:
    return await serve("uploads_create", req)


@app.route("v1/uploads/{upload_id}/parts", methods=["POST"])
async def uploads_parts_create(req: Request) -> Response:
    return await serve("uploads_parts_create", req)


@app.route("v1/uploads/{upload_id}/complete", methods=["POST"])
async def uploads_complete(req: Request) -> Response:
    return await serve("uploads_complete", req)


@app.route("v1/uploads/{upload_id}/cancel", methods=["POST"])
async def uploads_cancel(req: Request) -> Response:
    return await serve("uploads_cancel", req)


@app.route("v1/batches", methods=["POST"])
async def batches_create(req: Request) -> Response:
    return await serve("batches_create", req)


@app.route("v1/batches", methods=["GET"])
async def batches_list(req: Request) -> Response:
    return await serve("batches_list", req)


@app.route("v1/batches/{batch_id}", methods=["GET"])
async def batches_retrieve(req: Request) -> Response:
    return await serve("batches_retrieve", req)


@app.route("v1/batches/{batch_id}/cancel", methods=["POST"])
async def batches_cancel(req: Request) -> Response:
    return await serve("batches_cancel", req)


@app.route("v1/deferred/{deferred_id}", methods=["GET"])
async def deferred_retrieve(req: Request) -> Response:
    return await serve("deferred_retrieve", req)


@app.route("v1/fine_tuning/jobs", methods=["POST"])
async def fine_tuning_jobs_create(req: Request) -> Response:
    return await serve("fine_tuning_jobs_create", req)


@app.route("v1/fine_tuning/jobs", methods=["GET"])
async def fine_tuning_jobs_list(req: Request) -> Response:
    return await serve("fine_tuning_jobs_list", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}", methods=["GET"])
async def fine_tuning_jobs_retrieve(req: Request) -> Response:
    return await serve("fine_tuning_jobs_retrieve", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel", methods=["POST"])
async def fine_tuning_jobs_cancel(req: Request) -> Response:
    return await serve("fine_tuning_jobs_cancel", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}/pause", methods=["POST"])
async def fine_tuning_jobs_pause(req: Request) -> Response:
    return await serve("fine_tuning_jobs_pause", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}/resume", methods=["POST"])
async def fine_tuning_jobs_resume(req: Request) -> Response:
    return await serve("fine_tuning_jobs_resume", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}/events", methods=["GET"])
async def fine_tuning_jobs_events(req: Request) -> Response:
    return await serve("fine_tuning_jobs_events", req)


@app.route("v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", methods=["GET"])
async def fine_tuning_jobs_checkpoints(req: Request) -> Response:
    return await serve("fine_tuning_jobs_checkpoints", req)


@app.route("v1/fine_tuning/alpha/graders/run", methods=["POST"])
async def fine_tuning_graders_run(req: Request) -> Response:
    return await serve("fine_tuning_graders_run", req)


@app.route("v1/fine_tuning/alpha/graders/validate", methods=["POST"])
async def fine_tuning_graders_validate(req: Request) -> Response:
    return await serve("fine_tuning_graders_validate", req)


@app.route("v1/vector_stores", methods=["POST"])
async def vector_stores_create(req: Request) -> Response:
    return await serve("vector_stores_create", req)


@app.route("v1/vector_stores", methods=["GET"])
async def vector_stores_list(req: Request) -> Response:
    return await serve("vector_stores_list", req)


@app.route("v1/vector_stores/{vector_store_id}", methods=["GET"])
async def vector_stores_retrieve(req: Request) -> Response:
    return await serve("vector_stores_retrieve", req)


@app.route("v1/vector_stores/{vector_store_id}", methods=["POST"])
async def vector_stores_update(req: Request) -> Response:
    return await serve("vector_stores_update", req)


@app.route("v1/vector_stores/{vector_store_id}", methods=["DELETE"])
async def vector_stores_delete(req: Request) -> Response:
    return await serve("vector_stores_delete", req)


@app.route("v1/vector_stores/{vector_store_id}/search", methods=["POST"])
async def vector_stores_search(req: Request) -> Response:
    return await serve("vector_stores_search", req)


@app.route("v1/vector_stores/{vector_store_id}/files", methods=["POST"])
async def vector_stores_files_create(req: Request) -> Response:
    return await serve("vector_stores_files_create", req)


@app.route("v1/vector_stores/{vector_store_id}/files", methods=["GET"])
async def vector_stores_files_list(req: Request) -> Response:
    return await serve("vector_stores_files_list", req)


@app.route("v1/vector_stores/{vector_store_id}/files/{file_id}", methods=["GET"])
async def vector_stores_files_retrieve(req: Request) -> Response:
    return await serve("vector_stores_files_retrieve", req)


@app.route("v1/vector_stores/{vector_store_id}/files/{file_id}", methods=["POST"])
async def vector_stores_files_update(req: Request) -> Response:
    return await serve("vector_stores_files_update", req)


@app.route("v1/vector_stores/{vector_store_id}/files/{file_id}", methods=["DELETE"])
async def vector_stores_files_delete(req: Request) -> Response:
    return await serve("vector_stores_files_delete", req)


@app.route("v1/vector_stores/{vector_store_id}/files/{file_id}/content", methods=["GET"])
async def vector_stores_files_content(req: Request) -> Response:
    return await serve("vector_stores_files_content", req)


@app.route("v1/vector_stores/{vector_store_id}/file_batches", methods=["POST"])
async def vector_stores_file_batches_create(req: Request) -> Response:
    return await serve("vector_stores_file_batches_create", req)


@app.route("v1/vector_stores/{vector_store_id}/file_batches/{batch_id}", methods=["GET"])
async def vector_stores_file_batches_retrieve(req: Request) -> Response:
    return await serve("vector_stores_file_batches_retrieve", req)


@app.route("v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", methods=["POST"])
async def vector_stores_file_batches_cancel(req: Request) -> Response:
    return await serve("vector_stores_file_batches_cancel", req)


@app.route("v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", methods=["GET"])
async def vector_stores_file_batches_files(req: Request) -> Response:
    return await serve("vector_stores_file_batches_files", req)


@app.route("v1/containers", methods=["POST"])
async def containers_create(req: Request) -> Response:
    return await serve("containers_create", req)


@app.route("v1/containers", methods=["GET"])
async def containers_list(req: Request) -> Response:
    return await serve("containers_list", req)


@app.route("v1/containers/{container_id}", methods=["GET"])
async def containers_retrieve(req: Request) -> Response:
    return await serve("containers_retrieve", req)


@app.route("v1/containers/{container_id}", methods=["DELETE"])
async def containers_delete(req: Request) -> Response:
    return await serve("containers_delete", req)


@app.route("v1/containers/{container_id}/files", methods=["POST"])
async def containers_files_create(req: Request) -> Response:
    return await serve("containers_files_create", req)


@app.route("v1/containers/{container_id}/files", methods=["GET"])
async def containers_files_list(req: Request) -> Response:
    return await serve("containers_files_list", req)


@app.route("v1/containers/{container_id}/files/{file_id}", methods=["GET"])
async def containers_files_retrieve(req: Request) -> Response:
    return await serve("containers_files_retrieve", req)


@app.route("v1/containers/{container_id}/files/{file_id}", methods=["DELETE"])
async def containers_files_delete(req: Request) -> Response:
    return await serve("containers_files_delete", req)


@app.route("v1/containers/{container_id}/files/{file_id}/content", methods=["GET"])
async def containers_files_content(req: Request) -> Response:
    return await serve("containers_files_content", req)


@app.route("v1/evals", methods=["POST"])
async def evals_create(req: Request) -> Response:
    return await serve("evals_create", req)


@app.route("v1/evals", methods=["GET"])
async def evals_list(req: Request) -> Response:
    return await serve("evals_list", req)


@app.route("v1/evals/{eval_id}", methods=["GET"])
async def evals_retrieve(req: Request) -> Response:
    return await serve("evals_retrieve", req)


@app.route("v1/evals/{eval_id}", methods=["POST"])
async def evals_update(req: Request) -> Response:
    return await serve("evals_update", req)


@app.route("v1/evals/{eval_id}", methods=["DELETE"])
async def evals_delete(req: Request) -> Response:
    return await serve("evals_delete", req)


@app.route("v1/evals/{eval_id}/runs", methods=["POST"])
async def evals_runs_create(req: Request) -> Response:
    return await serve("evals_runs_create", req)


@app.route("v1/evals/{eval_id}/runs", methods=["GET"])
async def evals_runs_list(req: Request) -> Response:
    return await serve("evals_runs_list", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}", methods=["GET"])
async def evals_runs_retrieve(req: Request) -> Response:
    return await serve("evals_runs_retrieve", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}/cancel", methods=["POST"])
async def evals_runs_cancel(req: Request) -> Response:
    return await serve("evals_runs_cancel", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}", methods=["POST"])
async def evals_runs_cancel_bare(req: Request) -> Response:
    return await serve("evals_runs_cancel_bare", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}", methods=["DELETE"])
async def evals_runs_delete(req: Request) -> Response:
    return await serve("evals_runs_delete", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}/output_items", methods=["GET"])
async def evals_runs_output_items_list(req: Request) -> Response:
    return await serve("evals_runs_output_items_list", req)


@app.route("v1/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}", methods=["GET"])
async def evals_runs_output_items_retrieve(req: Request) -> Response:
    return await serve("evals_runs_output_items_retrieve", req)


@app.route("v1/models", methods=["GET"])
async def models_list(req: Request) -> Response:
    return await serve("models_list", req)


@app.route("v1/models/{*alias}", methods=["GET"])
async def models_retrieve(req: Request) -> Response:
    return await serve("models_retrieve", req)


@app.route("health/live", methods=["GET"])
async def health_live(req: Request) -> Response:
    return await serve("health_live", req)


@app.route("health/ready", methods=["GET"])
async def health_ready(req: Request) -> Response:
    return await serve("health_ready", req)


@app.route("manage/{*path}")
async def manage(req: Request) -> Response:
    return await serve("manage", req)


@app.route("v1/webhooks/azure", methods=["POST"])
async def webhooks_azure(req: Request) -> Response:
    return await serve("webhooks_azure", req)


@app.route("v1/assistants/{*rest}")
async def gone_assistants(req: Request) -> Response:
    return await serve("gone_assistants", req)


@app.route("v1/realtime")
async def gone_realtime(req: Request) -> Response:
    return await serve("gone_realtime", req)


@app.route("v1/threads/{*rest}")
async def gone_threads(req: Request) -> Response:
    return await serve("gone_threads", req)


@app.route("{*path}")
async def zz_other(req: Request) -> Response:
    return await serve("zz_other", req)


@app.queue_trigger(arg_name="msg", queue_name="tollgate-batch-looks", connection="AzureWebJobsStorage")
async def queue_batch_looks(msg: func.QueueMessage) -> None:
    await run_queue("queue_batch_looks", msg.get_body(), msg.dequeue_count)


@app.queue_trigger(arg_name="msg", queue_name="tollgate-batch-looks-poison", connection="AzureWebJobsStorage")
async def queue_batch_looks_poison(msg: func.QueueMessage) -> None:
    await run_queue("queue_batch_looks_poison", msg.get_body(), msg.dequeue_count)


@app.queue_trigger(arg_name="msg", queue_name="tollgate-batch-lines", connection="AzureWebJobsStorage")
async def queue_batch_lines(msg: func.QueueMessage) -> None:
    await run_queue("queue_batch_lines", msg.get_body(), msg.dequeue_count)


@app.queue_trigger(arg_name="msg", queue_name="tollgate-batch-lines-poison", connection="AzureWebJobsStorage")
async def queue_batch_lines_poison(msg: func.QueueMessage) -> None:
    await run_queue("queue_batch_lines_poison", msg.get_body(), msg.dequeue_count)


@app.queue_trigger(arg_name="msg", queue_name="tollgate-batch-drops", connection="AzureWebJobsStorage")
async def queue_batch_drops(msg: func.QueueMessage) -> None:
    await run_queue("queue_batch_drops", msg.get_body(), msg.dequeue_count)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def timer_minutes(timer: func.TimerRequest) -> None:  # noqa: ARG001
    await run_timer("timer_minutes")


@app.timer_trigger(arg_name="timer", schedule="0 7 * * * *")
async def timer_hour(timer: func.TimerRequest) -> None:  # noqa: ARG001
    await run_timer("timer_hour")


@app.timer_trigger(arg_name="timer", schedule="0 23 2 * * *")
async def timer_day(timer: func.TimerRequest) -> None:  # noqa: ARG001
    await run_timer("timer_day")
