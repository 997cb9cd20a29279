"""Files with the OpenAI SDK: bytes as they were, on the resource that was chosen, and no id of Azure's anywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator
from typing import Any

import pytest
from openai import DefaultHttpxClient, NotFoundError, OpenAI

from local.fake_azure import FakeAzure
from tests.support.models import aliases, config_text
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

CONTENTS = {
    "a.txt": b"plain text\r\nwith \x00 and \xff",
    "a.json": b'{"id": "resp_1", "custom_id": 1, "response": null}',
    "list.json": b'[{"id": "file-1"}]',
    "in.jsonl": b'{"custom_id": "1", "method": "POST", "body": {"id": "x"}}\n{"custom_id": "2"}\n',
}


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def test_contents_come_back_byte_for_byte(client: OpenAI, stack: Stack, key: Key) -> None:
    for name, content in CONTENTS.items():
        made = client.files.create(file=(name, content), purpose="assistants")
        assert (made.filename, made.bytes, made.purpose) == (name, len(content), "assistants")
        if name != "a.json":  # one line in the form of a batch's output, whose ids are never shown
            assert client.files.content(made.id).content == content
    large = hashlib.sha256(b"x").digest() * 300_000
    made = client.files.create(
        file=("large.bin", large), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    assert hashlib.sha256(client.files.content(made.id).content).digest() == hashlib.sha256(large).digest()
    assert {e["outcome"] for e in stack.usage(key, 9)} == {"ok"}


def test_paging_of_many_in_both_orders_and_by_purpose(client: OpenAI) -> None:
    made = [
        client.files.create(file=(f"{n}.jsonl", b"{}\n"), purpose="assistants" if n % 5 else "fine-tune").id
        for n in range(25)
    ]
    assert [row.id for row in client.files.list(limit=10)] == made[::-1]
    assert [row.id for row in client.files.list(limit=10, order="asc")] == made
    assert [row.id for row in client.files.list(limit=2, order="asc", purpose="fine-tune")] == made[::5]
    assert client.files.delete(made[7]).deleted
    assert [row.id for row in client.files.list(limit=5, order="asc")] == made[:7] + made[8:]
    after_it = client.files.list(limit=2, order="asc", after=made[7])
    assert [row.id for row in after_it.data] == made[8:10], "a cursor stays good when its object is deleted"


def test_azure_client_uploads_lists_and_deletes(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.azure_openai(key) as azure, stack.openai(key) as client:
        made = azure.files.create(file=("a.jsonl", b"{}\n"), purpose="fine-tune")
        assert last_upstream(fake).path == "/openai/files"
        assert [row.id for row in azure.files.list()] == [row.id for row in client.files.list()] == [made.id]
        store = azure.vector_stores.create(name="x", file_ids=[made.id])
        assert azure.vector_stores.retrieve(store.id).file_counts.total == 1
        assert azure.files.delete(made.id).id == made.id
        assert list(azure.files.list()) == []


def test_deleted_and_mistaken_ids_are_the_same_404_as_foreign_ones(client: OpenAI, stack: Stack) -> None:
    file = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    gone = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    store = client.vector_stores.create(name="x").id
    client.files.delete(gone)
    bodies: set[str] = set()
    for ask in (
        lambda: client.files.retrieve(gone),
        lambda: client.files.content(gone),
        lambda: client.files.delete(gone),
        lambda: client.files.retrieve(store),
        lambda: client.vector_stores.retrieve(file),
        lambda: client.containers.files.list(file),
        lambda: client.vector_stores.files.retrieve(file, vector_store_id=store),
        lambda: client.fine_tuning.jobs.cancel(file),
        lambda: client.responses.retrieve(file),
        lambda: client.files.retrieve("file-" + "a" * 32),
        lambda: client.files.list(after=store),
    ):
        with pytest.raises(NotFoundError) as caught:
            ask()
        bodies.add(caught.value.response.text)
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["error"]["code"] == "not_found"


def test_resource_is_the_one_that_is_chosen(client: OpenAI, new_stack: Any, fake: FakeAzure) -> None:
    def upload(on: OpenAI, **options: Any) -> tuple[str, str]:
        made = on.files.create(file=("a.txt", b"x"), purpose="assistants", **options).id
        return made, last_upstream(fake).resource

    assert upload(client)[1] == "main"
    by_header, where = upload(client, extra_headers={"x-tollgate-model": "second"})
    assert where == "second"
    by_field, where = upload(client, extra_body={"model": "second"})
    assert where == "second"
    assert b'name="model"' not in last_upstream(fake).raw
    assert client.vector_stores.create(file_ids=[by_header, by_field]).file_counts.total == 2
    assert last_upstream(fake).resource == "second"
    assert client.files.content(by_field).content == b"x"
    assert {row.id for row in client.files.list()} > {by_header, by_field}
    second = fake.state.resources["second"].url.removeprefix("http://")
    other: Stack = new_stack(config=config_text(aliases(fake)) + f'settings: {{default_resource: "{second}"}}\n')
    with other.openai(other.key()) as on:
        assert upload(on)[1] == "second"
        assert upload(on, extra_headers={"x-tollgate-model": "gpt-4o"})[1] == "main"


def test_ids_end_when_their_resource_leaves_the_configuration(new_stack: Any, fake: FakeAzure) -> None:
    stack: Stack = new_stack()
    key = stack.key()
    with stack.openai(key) as client:
        there = {"x-tollgate-model": "second"}
        gone = client.files.create(file=("a.txt", b"x"), purpose="assistants", extra_headers=there).id
        kept = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    url = fake.state.resources["second"].url
    stack.stop()
    stack.config_file.write_text(config_text(row for row in aliases(fake) if row[1].get("api_base") != url), "utf-8")
    stack.start()
    with stack.openai(key) as client:
        fake.clear()
        with pytest.raises(NotFoundError, match="No such object"):
            client.files.retrieve(gone)
        assert not upstream_calls(fake)
        assert [row.id for row in client.files.list()] == [kept]
        assert [row.id for row in client.files.list(limit=1, order="asc")] == [kept], "not an empty page"


RAW = re.compile(r"\b(?:assistant|file|ftjob|ftchkpt|vs|vsfb|upload|part|cntr|cfile|conv|msg|resp|rs|fc|eval|evalrun|outputitem)"
                 r"[-_][0-9A-Za-z]{16,}")  # fmt: skip


def test_no_id_of_azures_reaches_a_client_or_the_log(stack: Stack, key: Key, fake: FakeAzure) -> None:
    seen: list[str] = []

    def read(reply: Any) -> None:
        reply.read()
        seen.append(f"{reply.headers} {reply.content.decode('utf-8', 'replace')}")

    http = DefaultHttpxClient(event_hooks={"response": [read]}, trust_env=False)
    with OpenAI(api_key=key.text, base_url=stack.url + "/v1", http_client=http, max_retries=0) as client:
        _journey(client)
    sent = " ".join(f"{call.path} {call.query} {call.raw.decode('utf-8', 'replace')}" for call in upstream_calls(fake))
    raw = set(RAW.findall(sent))
    assert len(raw) > 9
    resources = [resource.url.removeprefix("http://") for resource in fake.state.resources.values()]
    assert not [hidden for hidden in (*raw, *resources, "ai.azure.com") if any(hidden in text for text in seen)]
    assert not [hidden for hidden in raw if hidden in stack.log()]


def _journey(client: OpenAI) -> None:
    """Through every kind of object, with errors on the way."""
    file = client.files.create(file=("a.jsonl", b'{"item": {"a": "1"}}\n'), purpose="fine-tune").id
    store = client.vector_stores.create(file_ids=[file]).id
    batch = client.vector_stores.file_batches.create(store, file_ids=[file]).id
    list(client.vector_stores.file_batches.list_files(batch, vector_store_id=store))
    client.vector_stores.search(store, query="a")
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file).id
    for _ in range(3):
        client.fine_tuning.jobs.retrieve(job)
    list(client.fine_tuning.jobs.list_events(job, limit=1))
    list(client.fine_tuning.jobs.checkpoints.list(job, limit=1))
    room = client.containers.create(name="x", file_ids=[file]).id
    inside = client.containers.files.create(room, file_id=file).id
    client.containers.files.content.retrieve(inside, container_id=room).read()
    upload = client.uploads.create(bytes=9, filename="a.txt", mime_type="text/plain", purpose="assistants").id
    part = client.uploads.parts.create(upload, data=b"x").id
    talk = client.conversations.create(items=[{"role": "user", "content": "hi"}]).id
    first = client.responses.create(model="gpt-4o", input="count to 2", conversation=talk)
    list(client.responses.create(model="gpt-4o", input="count to 2", previous_response_id=None, stream=True))
    list(client.conversations.items.list(talk, limit=1))
    config: Any = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    grader: Any = {"type": "string_check", "name": "x", "input": "{{item.a}}", "operation": "eq", "reference": "1"}
    judged = client.evals.create(data_source_config=config, testing_criteria=[grader]).id
    rows: Any = {"type": "jsonl", "source": {"type": "file_id", "id": file}}
    run = client.evals.runs.create(judged, data_source=rows).id
    for _ in range(3):
        client.evals.runs.retrieve(run, eval_id=judged)
    list(client.evals.runs.output_items.list(run, eval_id=judged))
    for fails in (
        lambda: client.uploads.complete(upload, part_ids=[part]),  # too few bytes
        lambda: client.uploads.complete(upload, part_ids=[file]),
        lambda: client.fine_tuning.jobs.cancel(job),  # it has ended
        lambda: client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=store),
        lambda: client.containers.create(name="x", file_ids=[store]),
        lambda: client.vector_stores.create(file_ids=[room]),
        lambda: client.vector_stores.files.list(store, after=room),
        lambda: client.responses.create(model="gpt-4o", input="x", previous_response_id=talk),
        lambda: client.responses.create(model="gpt-4o", input=[{"type": "item_reference", "id": first.id}]),
        lambda: client.evals.runs.cancel(run, eval_id=judged),
    ):
        with pytest.raises(Exception, match="Error code: 4"):
            fails()
    for kind in (client.files, client.vector_stores, client.containers, client.evals, client.fine_tuning.jobs):
        assert list(kind.list(limit=1))
