"""Fine-tuning jobs and evaluations with the OpenAI SDK: our ids, aliases that the key may use, usage counted once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from local.fake_azure import FakeAzure
from tests.support.polling import until
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

BASE = "gpt-4o-mini-2024-07-18"
LINE = b'{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}\n'


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def training_file(client: OpenAI) -> str:
    return client.files.create(file=("train.jsonl", LINE * 10), purpose="fine-tune").id


def test_job_from_its_making_to_its_end(stack: Stack, client: OpenAI, key: Key) -> None:
    file = training_file(client)
    job = client.fine_tuning.jobs.create(model=BASE, training_file=file, suffix="mine")
    assert (job.training_file, job.model) == (file, BASE)
    assert [row.id for row in client.fine_tuning.jobs.list()] == [job.id]
    until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "succeeded")
    ended = client.fine_tuning.jobs.retrieve(job.id)
    assert ended.trained_tokens
    assert client.fine_tuning.jobs.retrieve(job.id).trained_tokens == ended.trained_tokens
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=2))
    assert events
    assert len({event.id for event in events}) == len(events)
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert all(row.fine_tuning_job_id == job.id for row in checkpoints)
    charged = until(lambda: [e for e in stack.ledger.events(key.id) if e.get("training_tokens")])
    assert [event["training_tokens"] for event in charged] == [ended.trained_tokens], "once, however often it is seen"


def test_job_is_paused_resumed_and_cancelled(client: OpenAI) -> None:
    job = client.fine_tuning.jobs.create(model=BASE, training_file=training_file(client))
    client.fine_tuning.jobs.retrieve(job.id)  # the fake's jobs go on a step whenever they are looked at
    assert client.fine_tuning.jobs.pause(job.id).id == job.id
    assert client.fine_tuning.jobs.resume(job.id).id == job.id
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_job_needs_a_file_of_the_callers_own(stack: Stack, client: OpenAI, fake: FakeAzure) -> None:
    with stack.openai(stack.key()) as stranger:
        foreign = training_file(stranger)
    before = len(upstream_calls(fake))
    for file in (foreign, "file-" + "a" * 32):
        with pytest.raises(NotFoundError, match="No such object"):
            client.fine_tuning.jobs.create(model=BASE, training_file=file)
    with pytest.raises(BadRequestError) as caught:
        client.fine_tuning.jobs.create(model=BASE, training_file=5)  # type: ignore[arg-type]
    assert caught.value.param == "training_file"
    assert len(upstream_calls(fake)) == before


def test_azure_client_finds_its_jobs(stack: Stack, key: Key, client: OpenAI) -> None:
    file = training_file(client)
    with stack.azure_openai(key) as azure:
        job = azure.fine_tuning.jobs.create(model=BASE, training_file=file)
        assert [row.id for row in azure.fine_tuning.jobs.list()] == [job.id]
        assert azure.files.retrieve(file).id == file


GRADER: dict[str, Any] = {
    "type": "string_check", "name": "same", "input": "{{sample.output_text}}", "operation": "eq", "reference": "x",
}  # fmt: skip


def test_graders(client: OpenAI) -> None:
    assert client.fine_tuning.alpha.graders.validate(grader=GRADER).grader  # type: ignore[arg-type]
    assert client.fine_tuning.alpha.graders.run(grader=GRADER, model_sample="x").reward == 1  # type: ignore[arg-type]


def new_eval(client: OpenAI) -> str:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    config: Any = {"type": "custom", "item_schema": schema, "include_sample_schema": True}
    made = client.evals.create(name="e", data_source_config=config, testing_criteria=[GRADER])  # type: ignore[list-item]
    return made.id


def source(model: str) -> Any:
    rows = {"type": "file_content", "content": [{"item": {"q": "count to 3"}}]}
    template = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}
    return {"type": "completions", "model": model, "source": rows, "input_messages": template}


def test_evaluation_from_its_making_to_its_end(client: OpenAI, fake: FakeAzure) -> None:
    made = new_eval(client)
    assert client.evals.retrieve(made).id == made
    assert client.evals.update(made, name="renamed").name == "renamed"
    assert [row.id for row in client.evals.list()] == [made]
    run = client.evals.runs.create(made, data_source=source("hidden-name"))
    assert last_upstream(fake).body["data_source"]["model"] == "my-gpt4-deployment"
    assert run.eval_id == made
    assert "my-gpt4-deployment" not in run.model_dump_json()
    until(lambda: client.evals.runs.retrieve(run.id, eval_id=made).status == "completed")
    assert [row.id for row in client.evals.runs.list(made)] == [run.id]
    (item,) = client.evals.runs.output_items.list(run.id, eval_id=made)
    seen = client.evals.runs.output_items.retrieve(item.id, eval_id=made, run_id=run.id)
    assert (seen.id, seen.run_id) == (item.id, run.id)
    other = client.evals.runs.create(made, data_source=source("gpt-4o"))
    assert client.evals.runs.cancel(other.id, eval_id=made).id == other.id
    client.evals.runs.delete(run.id, eval_id=made)
    client.evals.delete(made)
    with pytest.raises(NotFoundError, match="No such object"):
        client.evals.retrieve(made)


def test_evaluation_samples_only_models_that_the_key_may_use(stack: Stack, fake: FakeAzure) -> None:
    with stack.openai(stack.key(models="gpt-4o")) as client:
        made = new_eval(client)
        before = len(upstream_calls(fake))
        for model in ("my-gpt4-deployment", "hidden-name", "nothing"):
            with pytest.raises(NotFoundError, match="does not exist"):
                client.evals.runs.create(made, data_source=source(model))
        assert len(upstream_calls(fake)) == before
