"""Fine-tuning and evals of the fake, by the real SDK, which validates strictly on v1."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
LINES = b'{"messages": [{"role": "user", "content": "hi"}]}\n'
CHECK = {"type": "string_check", "name": "same", "operation": "eq", "input": "{{item.given}}",
         "reference": "{{item.wanted}}"}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"given": {"type": "string"}, "wanted": {"type": "string"}}}
ROWS = [{"item": {"given": "a", "wanted": "a"}}, {"item": {"given": "a", "wanted": "b"}}]


def v1(azure: FakeAzure, resource: str) -> openai.OpenAI:
    row = azure.state.resources[resource]
    return openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0,
                         _strict_response_validation=True)  # fmt: skip


@pytest.fixture(scope="module")
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure, "main") as made:
        yield made


@pytest.fixture(scope="module")
def other(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure, "second") as made:
        yield made


def send(azure: FakeAzure, method: str, path: str, **more: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.request(method, f"{row.url}/openai/v1/{path}", headers={"api-key": row.key}, **more)


def upload(azure: FakeAzure, lines: bytes) -> str:
    """The SDK's types know no file whose purpose is evals."""
    answer = send(azure, "POST", "files", data={"purpose": "evals"}, files={"file": ("rows.jsonl", lines)})
    return answer.json()["id"]


def training_file(client: openai.OpenAI) -> str:
    return client.files.create(file=("train.jsonl", LINES * 3), purpose="fine-tune").id


def succeeded(client: openai.OpenAI) -> Any:
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training_file(client), suffix="mine")
    for _ in range(3):
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job


def test_job_runs_while_it_is_looked_at(client: openai.OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    job = jobs.create(model="gpt-4o-mini", training_file=training_file(client), seed=7, metadata={"a": "b"})
    assert (job.status, job.seed, job.metadata, job.trained_tokens) == ("queued", 7, {"a": "b"}, None)
    assert [jobs.retrieve(job.id).status for _ in range(3)] == ["queued", "running", "succeeded"]
    done = jobs.retrieve(job.id)
    assert done.trained_tokens
    assert done.finished_at
    assert (done.fine_tuned_model or "").startswith("gpt-4o-mini.ft-")
    assert client.files.content(done.result_files[0]).content.startswith(b"step,")
    assert next(event.message for event in jobs.list_events(job.id)) == "Job succeeded."
    assert job.id in [row.id for row in jobs.list(limit=100)]


def test_job_is_paused_and_cancelled(azure: FakeAzure, client: openai.OpenAI) -> None:
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training_file(client))
    assert send(azure, "POST", f"fine_tuning/jobs/{job.id}/pause").json()["status"] == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        client.fine_tuning.jobs.cancel(job.id)


def test_checkpoints_and_who_may_use_them(azure: FakeAzure, client: openai.OpenAI) -> None:
    job = succeeded(client)
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert [row.step_number for row in checkpoints] == [30, 20, 10]
    name = checkpoints[1].fine_tuned_model_checkpoint
    permissions = client.fine_tuning.checkpoints.permissions
    (made,) = permissions.create(name, project_ids=["p1"]).data
    assert [row.id for row in permissions.list(name)] == [made.id]
    assert permissions.delete(made.id, fine_tuned_model_checkpoint=name).deleted
    assert not permissions.list(name).data
    copied = send(azure, "POST", f"fine_tuning/jobs/{job.id}/checkpoints/{checkpoints[0].id}/copy", json={}).json()
    assert copied["checkpointId"] == checkpoints[0].id
    with pytest.raises(openai.NotFoundError):
        permissions.list("nobody")


def test_job_needs_a_training_file_of_its_resource(client: openai.OpenAI, other: openai.OpenAI) -> None:
    batch = client.files.create(file=("a.jsonl", LINES), purpose="batch").id
    for asked, file in ((other, training_file(client)), (client, batch), (client, "file-nothing")):
        with pytest.raises(openai.BadRequestError) as refused:
            asked.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file)
        assert refused.value.param == "training_file"
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training_file(client))
    with pytest.raises(openai.NotFoundError, match=job.id):
        other.fine_tuning.jobs.retrieve(job.id)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recordings (../shared/samples) are not here")
def test_dated_job_is_like_the_specification_s_example(azure: FakeAzure, client: openai.OpenAI) -> None:
    example = json.loads((SAMPLES / "az-finetuning-job.body.json").read_text())
    row, job = azure.state.resources["main"], succeeded(client)
    url = f"{row.url}/openai/fine_tuning/jobs/{job.id}?api-version=2024-10-21"
    ours = httpx.get(url, headers={"api-key": row.key}).json()
    assert sorted(set(ours) - {"user_provided_suffix"}) == sorted(example)


def evaluation(client: openai.OpenAI) -> Any:
    config: Any = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
    criteria: Any = [CHECK]
    return client.evals.create(name="mine", data_source_config=config, testing_criteria=criteria)


@pytest.fixture(scope="module")
def runs(azure: FakeAzure) -> Iterator[Any]:
    """Without the SDK's validation: its types want an error also of a run that has none, the specification's example
    and the real service send null."""
    row = azure.state.resources["main"]
    with openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0) as lenient:
        yield lenient.evals.runs


def started(runs: Any, eval_id: str, source: dict[str, Any]) -> Any:
    return runs.create(eval_id, data_source={"type": "jsonl", "source": source}, name="run")


def test_eval_is_made_changed_and_deleted(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = evaluation(client)
    assert (made.name, made.data_source_config.type) == ("mine", "custom")
    assert client.evals.retrieve(made.id).testing_criteria == made.testing_criteria
    assert client.evals.update(made.id, name="yours").name == "yours"
    assert made.id in [row.id for row in client.evals.list(limit=100)]
    with pytest.raises(openai.NotFoundError):
        other.evals.retrieve(made.id)
    assert client.evals.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match=made.id):
        client.evals.retrieve(made.id)


@pytest.mark.parametrize("by", ["content", "file"])
def test_run_counts_what_passed(azure: FakeAzure, client: openai.OpenAI, runs: Any, by: str) -> None:
    made = evaluation(client)
    source: dict[str, Any] = {"type": "file_content", "content": ROWS}
    if by == "file":
        lines = b"\n".join(json.dumps(row).encode() for row in ROWS)
        source = {"type": "file_id", "id": upload(azure, lines)}
    run = started(runs, made.id, source)
    assert [runs.retrieve(run.id, eval_id=made.id).status for _ in range(3)] == ["queued", "in_progress", "completed"]
    counts = runs.retrieve(run.id, eval_id=made.id).result_counts
    assert (counts.total, counts.passed, counts.failed) == (2, 1, 1)
    items = runs.output_items.list(run.id, eval_id=made.id).data
    assert [item.status for item in items] == ["pass", "fail"]
    one = runs.output_items.retrieve(items[0].id, eval_id=made.id, run_id=run.id)
    assert one.datasource_item == ROWS[0]["item"]
    assert [row.id for row in runs.list(made.id)] == [run.id]
    assert runs.delete(run.id, eval_id=made.id).deleted
    with pytest.raises(openai.NotFoundError):
        runs.retrieve(run.id, eval_id=made.id)


def test_run_is_cancelled_and_needs_its_file(client: openai.OpenAI, other: openai.OpenAI, runs: Any) -> None:
    made = evaluation(client)
    run = started(runs, made.id, {"type": "file_content", "content": ROWS})
    assert runs.cancel(run.id, eval_id=made.id).status == "canceled"
    file = other.files.create(file=("rows.jsonl", LINES), purpose="fine-tune").id
    with pytest.raises(openai.NotFoundError, match=file):
        started(runs, made.id, {"type": "file_id", "id": file})


def test_grader_is_run_and_validated(client: openai.OpenAI) -> None:
    grader: Any = {**CHECK, "input": "{{sample.output_text}}", "reference": "yes"}
    graders = client.fine_tuning.alpha.graders
    assert [graders.run(grader=grader, model_sample=said).reward for said in ("yes", "no")] == [1, 0]
    assert graders.validate(grader=grader).grader


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("fine_tuning/jobs", {"model": "x"}, "training_file"),
        ("fine_tuning/jobs", {"model": 1, "training_file": "x"}, "model"),
        ("evals", {"testing_criteria": []}, "data_source_config"),
        ("evals", {"data_source_config": {"type": "custom"}, "testing_criteria": [{"type": "x"}]}, "testing_criteria"),
        ("evals", {"data_source_config": {"type": "x"}, "testing_criteria": []}, "data_source_config.type"),
        ("fine_tuning/alpha/graders/run", {"model_sample": "x"}, "grader"),
    ],
)
def test_bad_body_names_the_parameter(azure: FakeAzure, path: str, body: dict[str, Any], param: str) -> None:
    answer = send(azure, "POST", path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
