"""Vector stores and containers with the OpenAI SDK: every call of the specification, every id one of ours."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from openai import NotFoundError, OpenAI

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, upstream_calls


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def text_file(client: OpenAI, text: str, name: str = "a.txt") -> str:
    return client.files.create(file=(name, text.encode()), purpose="assistants").id


def test_vector_store_from_its_making_to_its_end(client: OpenAI) -> None:
    file = text_file(client, "the capital of France is Paris")
    made = client.vector_stores.create(name="facts", file_ids=[file], metadata={"file_id": "mine"})
    assert (made.name, made.metadata) == ("facts", {"file_id": "mine"})
    assert client.vector_stores.retrieve(made.id).id == made.id
    assert client.vector_stores.update(made.id, name="more facts").name == "more facts"
    assert [row.id for row in client.vector_stores.list()] == [made.id]
    (found,) = client.vector_stores.search(made.id, query="capital").data
    assert found.file_id == file
    assert "Paris" in found.content[0].text
    deleted = client.vector_stores.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(NotFoundError, match="No such object"):
        client.vector_stores.retrieve(made.id)
    assert list(client.vector_stores.list()) == []


def test_files_of_a_vector_store(client: OpenAI) -> None:
    store = client.vector_stores.create(name="x").id
    first, second = text_file(client, "one"), text_file(client, "two", "b.txt")
    attached = client.vector_stores.files.create(file_id=first, vector_store_id=store, attributes={"lang": "en"})
    assert (attached.id, attached.vector_store_id) == (first, store)
    assert client.vector_stores.files.retrieve(first, vector_store_id=store).attributes == {"lang": "en"}
    changed = client.vector_stores.files.update(first, vector_store_id=store, attributes={"lang": "fr"})
    assert changed.attributes == {"lang": "fr"}
    (part,) = client.vector_stores.files.content(first, vector_store_id=store).data
    assert part.text == "one"
    batch = client.vector_stores.file_batches.create(store, file_ids=[second])
    assert batch.vector_store_id == store
    assert client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store).id == batch.id
    in_batch = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store)
    assert [row.id for row in in_batch] == [second]
    assert client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store).id == batch.id
    listed = client.vector_stores.files.list(store, limit=1, order="asc")
    assert [row.id for row in listed] == [first, second], "page after page, by our ids"
    assert client.vector_stores.files.delete(first, vector_store_id=store).id == first
    assert [row.id for row in client.vector_stores.files.list(store)] == [second]


def test_file_of_another_key_goes_into_no_store(stack: Stack, client: OpenAI, fake: FakeAzure) -> None:
    store = client.vector_stores.create(name="x").id
    with stack.openai(stack.key()) as stranger:
        foreign = text_file(stranger, "secret")
    before = len(upstream_calls(fake))
    for ids in ([foreign], ["assistant-" + "a" * 22]):
        with pytest.raises(NotFoundError, match="No such object"):
            client.vector_stores.create(name="x", file_ids=ids)
        with pytest.raises(NotFoundError, match="No such object"):
            client.vector_stores.files.create(file_id=ids[0], vector_store_id=store)
    assert len(upstream_calls(fake)) == before


def test_file_search_with_a_store_of_ours(client: OpenAI) -> None:
    store = client.vector_stores.create(name="x", file_ids=[text_file(client, "the sky is blue")]).id
    answer = client.responses.create(
        model="gpt-4o", input="search for the sky", tools=[{"type": "file_search", "vector_store_ids": [store]}]
    )
    assert answer.tools[0].model_dump()["vector_store_ids"] == [store]
    assert any(item.type == "file_search_call" for item in answer.output)


def test_container_from_its_making_to_its_end(client: OpenAI) -> None:
    file = text_file(client, "1,2,3", "numbers.csv")
    made = client.containers.create(name="box", file_ids=[file])
    assert client.containers.retrieve(made.id).name == "box"
    assert [row.id for row in client.containers.list()] == [made.id]
    uploaded = client.containers.files.create(made.id, file=("b.txt", b"uploaded"))
    assert uploaded.container_id == made.id
    by_id = client.containers.files.create(made.id, file_id=text_file(client, "by id", "c.txt"))
    assert client.containers.files.retrieve(by_id.id, container_id=made.id).id == by_id.id
    content = client.containers.files.content.retrieve(uploaded.id, container_id=made.id)
    assert content.read() == b"uploaded"
    assert {row.id for row in client.containers.files.list(made.id)} >= {uploaded.id, by_id.id}
    client.containers.files.delete(uploaded.id, container_id=made.id)
    assert uploaded.id not in {row.id for row in client.containers.files.list(made.id)}
    client.containers.delete(made.id)
    with pytest.raises(NotFoundError, match="No such object"):
        client.containers.retrieve(made.id)
