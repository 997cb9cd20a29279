"""Batches with the OpenAI and AzureOpenAI SDKs and raw: made, told, listed over several resources, cancelled, refused."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from openai import APIStatusError, ConflictError, NotFoundError, OpenAI
from openai.types import Batch

from local.fake_azure import FakeAzure
from tests.support.batching import batching
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask, upstream_calls

CHAT: Any = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
BALANCED = "litellm_settings: {enable_loadbalancing_on_batch_endpoints: true}\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Stack]:
    config = config_text(aliases(fake_azure)) + BALANCED
    with batching(tmp_path_factory.mktemp("batches"), fake_azure, config) as made:
        yield made


@pytest.fixture
def client(stack: Stack, key: Key, fake: FakeAzure) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made
    for resource in ("main", "second"):
        fake.batches.release(resource)


def line(custom_id: str, text: str = "hi", model: str = "gpt-4o-batch", url: str = CHAT) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": ask(text, model)}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(client: OpenAI, *rows: dict[str, Any]) -> str:
    return client.files.create(file=("mydata.jsonl", jsonl(*(rows or [line("a")]))), purpose="batch").id


def create(client: OpenAI, file_id: str, **more: Any) -> Batch:
    return client.batches.create(input_file_id=file_id, completion_window="24h", **({"endpoint": CHAT} | more))


def ended(client: OpenAI, batch: Batch) -> Batch:
    found: list[Batch] = []

    def look() -> bool:
        found[:] = [client.batches.retrieve(batch.id)]
        return found[0].status in ENDED

    until(look, 20, 0.05)
    return found[0]


def rows_of(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id
    return [json.loads(row) for row in client.files.content(file_id).content.splitlines()]


def placed(fake: FakeAzure) -> list[str]:
    """The resource of each batch that was made at one."""
    return [call.resource for call in upstream_calls(fake) if call.method == "POST" and call.path.endswith("/batches")]


# What becomes of them.


def test_one_resource_runs_it_and_the_client_sees_the_alias(client: OpenAI, fake: FakeAzure) -> None:
    header = {"custom-llm-provider": "azure"}
    file = client.files.create(
        file=("mydata.jsonl", jsonl(*(line(f"task-{n}", f"count to {n + 1}") for n in range(3)))),
        purpose="batch", extra_headers=header,
    )  # fmt: skip
    made = create(client, file.id, metadata={"description": "My batch job"}, extra_headers=header)
    assert (made.object, made.status, made.endpoint, made.input_file_id) == ("batch", "validating", CHAT, file.id)
    assert (made.completion_window, made.metadata) == ("24h", {"description": "My batch job"})
    assert (made.output_file_id, made.error_file_id, made.errors) == (None, None, None)
    assert made.expires_at == made.created_at + 86400
    done = ended(client, made)
    assert (done.status, done.error_file_id, done.metadata) == ("completed", None, made.metadata)
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (3, 3, 0)
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert all(isinstance(at, int) for at in times)
    found = {row["custom_id"]: row for row in rows_of(client, done.output_file_id)}
    assert {name: row["response"]["body"]["choices"][0]["message"]["content"] for name, row in found.items()} == {
        "task-0": "1", "task-1": "1 2", "task-2": "1 2 3",
    }  # fmt: skip
    assert {row["response"]["body"]["model"] for row in found.values()} == {"gpt-4o-batch"}
    assert len(placed(fake)) == 1, "one resource runs a batch"


def test_azure_clients_say_it_without_v1(stack: Stack, key: Key, client: OpenAI) -> None:
    with stack.azure_openai(key, "2024-10-21") as azure:
        row = line("a", url="/chat/completions")
        file = azure.files.create(file=("a.jsonl", jsonl(row)), purpose="batch")
        made = azure.batches.create(
            input_file_id=file.id, endpoint="/chat/completions", completion_window="24h"  # type: ignore[arg-type]
        )  # fmt: skip
        assert made.endpoint == CHAT, "as OpenAI writes it"
        assert ended(azure, made).status == "completed"
        assert [row.id for row in azure.batches.list()] == [made.id]
        assert client.batches.retrieve(made.id).status == "completed"


def test_models_without_batch_deployments_are_batched_as_well(client: OpenAI, fake: FakeAzure) -> None:
    done = ended(client, create(client, upload(client, line("a", "count to 2", "gpt-4o"), line("b", "hi", "gpt-4o"))))
    assert (done.status, done.request_counts and done.request_counts.completed) == ("completed", 2)
    assert {row["custom_id"] for row in rows_of(client, done.output_file_id)} == {"a", "b"}
    assert not [call for call in upstream_calls(fake) if "batches" in call.path]


def test_lists_have_cursors_over_several_resources(client: OpenAI, stack: Stack, fake: FakeAzure, key: Key) -> None:
    for resource in ("main", "second"):
        fake.batches.hold(resource, "in_progress")
    file_id = upload(client)
    made: list[str] = []
    for number in range(5):
        made.append(create(client, file_id).id)
        until(lambda: len(placed(fake)) > number)  # noqa: B023
    assert set(placed(fake)) == {"main", "second"}, "the second goes to the shorter queue"
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
    first = client.batches.list(limit=2)
    second = client.batches.list(limit=2, after=first.data[-1].id)
    assert [[batch.id for batch in page.data] for page in (first, second)] == [made[:2:-1], made[2:0:-1]]
    assert (first.has_more, client.batches.list(limit=5).has_more) == (True, False)
    raw = stack.http.get("/v1/batches?limit=2", headers=key.bearer).json()
    assert (raw["object"], raw["first_id"], raw["last_id"]) == ("list", made[4], made[3])
    with stack.openai(stack.key()) as other:
        assert list(other.batches.list()) == []


def test_cancel(client: OpenAI, fake: FakeAzure) -> None:
    for resource in ("main", "second"):
        fake.batches.hold(resource, "in_progress", lines=1)
    made = create(client, upload(client, line("a"), line("b")))
    until(lambda: client.batches.retrieve(made.id).status == "in_progress", 20, 0.05)
    assert client.batches.cancel(made.id).status == "cancelling"
    done = ended(client, made)
    assert done.status == "cancelled"
    assert done.cancelling_at is not None
    assert done.cancelled_at is not None
    with pytest.raises(ConflictError, match="Cannot cancel a batch with status 'cancelled'"):
        client.batches.cancel(made.id)


def test_what_has_ended_cannot_be_cancelled(client: OpenAI) -> None:
    made = ended(client, create(client, upload(client)))
    with pytest.raises(ConflictError) as refused:
        client.batches.cancel(made.id)
    assert refused.value.code == "batch_has_ended"
    assert client.batches.retrieve(made.id).status == "completed"


# What is refused.

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "another window": ({"completion_window": "48h"}, "completion_window", "invalid_value"),
    "window of another type": ({"completion_window": 24}, "completion_window", "invalid_type"),
    "no window": ({"completion_window": None}, "completion_window", "missing_required_parameter"),
    "no endpoint": ({"endpoint": None}, "endpoint", "missing_required_parameter"),
    "an endpoint that is none": ({"endpoint": "/v1/files"}, "endpoint", "invalid_value"),
    "an endpoint that the lines do not ask for": ({"endpoint": "/v1/embeddings"}, "endpoint", "mismatched_endpoint"),
    "too many pairs": ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "invalid_value"),
    "a long name": ({"metadata": {"x" * 65: "x"}}, "metadata", "invalid_value"),
    "a long text": ({"metadata": {"x": "x" * 513}}, "metadata", "invalid_value"),
    "metadata that is no text": ({"metadata": {"x": 1}}, "metadata", "invalid_value"),
    "metadata that is no object": ({"metadata": "x"}, "metadata", "invalid_type"),
    "too short a life": (
        {"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after", "invalid_value",
    ),
    "another anchor": (
        {"output_expires_after": {"anchor": "last_active_at", "seconds": 3600}}, "output_expires_after", "invalid_value",
    ),
    "a private callback": ({"callback_url": "https://10.0.0.1/x"}, "callback_url", "invalid_callback_url"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(stack: Stack) -> tuple[Key, str]:
    """A key with a file."""
    key = stack.key()
    with stack.openai(key) as client:
        return key, upload(client)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_orders_name_the_field(stack: Stack, ready: tuple[Key, str], case: str) -> None:
    key, file_id = ready
    changed, param, code = WRONG[case]
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **changed}
    reply = stack.post(key, {k: v for k, v in body.items() if v is not None}, "/v1/batches")
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code)
    assert stack.http.get("/v1/batches", headers=key.bearer).json()["data"] == [], "nothing was made"


def test_ids_of_others_are_none(client: OpenAI, stack: Stack, ready: tuple[Key, str]) -> None:
    own = upload(client)
    with stack.openai(ready[0]) as theirs:
        batch = create(theirs, ready[1])
    calls = [
        lambda: create(client, ready[1]),
        lambda: create(client, batch.id),
        lambda: client.batches.retrieve(batch.id),
        lambda: client.batches.cancel(batch.id),
        lambda: client.batches.retrieve(own),
        lambda: client.batches.cancel("batch_" + "0" * 32),
        lambda: client.batches.list(after=batch.id),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as refused:
            call()
        assert refused.value.code == "not_found"


def test_deleted_input_makes_no_batch(client: OpenAI) -> None:
    file_id = upload(client)
    client.files.delete(file_id)
    with pytest.raises(NotFoundError):
        create(client, file_id)


def test_files_of_other_purposes_are_no_input(client: OpenAI) -> None:
    done = ended(client, create(client, upload(client)))
    assert done.output_file_id
    other = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    for file_id in (done.output_file_id, other):
        with pytest.raises(APIStatusError, match="purpose 'batch'") as refused:
            create(client, file_id)
        error: Any = refused.value.body
        assert (refused.value.status_code, error["code"], error["param"]) == (400, "wrong_purpose", "input_file_id")


def test_key_that_may_not_ask_makes_no_batch(stack: Stack, client: OpenAI, fake: FakeAzure) -> None:
    team = stack.key(team="narrow")
    narrow = stack.key(team="narrow", models="gpt-4o")
    mute = stack.key(team="narrow", endpoints="files,batches")
    with stack.openai(team) as mate:
        file_id = upload(mate)
    for key, code in ((narrow, "model_not_found"), (mute, "endpoint_not_allowed")):
        with stack.openai(key) as asking, pytest.raises(APIStatusError) as refused:
            create(asking, file_id)
        assert (refused.value.status_code, refused.value.code) == (403, code)


def test_batch_deployments_answer_no_call(client: OpenAI, fake: FakeAzure) -> None:
    with pytest.raises(APIStatusError, match="serves batches only") as refused:
        client.chat.completions.create(**ask("hi", "gpt-4o-batch"))
    assert (refused.value.status_code, refused.value.code) == (400, "unsupported_operation")
    assert upstream_calls(fake) == []


def test_operation_that_nothing_runs_is_refused(client: OpenAI, stack: Stack) -> None:
    row = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "gpt-4o-batch", "input": "x"}}
    with pytest.raises(APIStatusError) as refused:
        create(client, upload(client, row), endpoint="/v1/embeddings")
    assert (refused.value.status_code, refused.value.code) == (400, "unsupported_operation")
