"""Uploads in parts and conversations with the OpenAI SDK: every call of the specification, every id one of ours."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from local.fake_azure import FakeAzure
from tests.support.stack import Key, Stack, upstream_calls


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def test_upload_in_parts_becomes_a_file(client: OpenAI) -> None:
    upload = client.uploads.create(bytes=10, filename="a.txt", mime_type="text/plain", purpose="assistants")
    parts = [client.uploads.parts.create(upload.id, data=piece).id for piece in (b"hello", b"world")]
    done = client.uploads.complete(upload.id, part_ids=parts)
    assert done.id == upload.id
    assert done.file
    assert client.files.content(done.file.id).content == b"helloworld"
    assert [row.id for row in client.files.list()] == [done.file.id]


def test_upload_that_is_given_up(client: OpenAI) -> None:
    upload = client.uploads.create(bytes=5, filename="a.txt", mime_type="text/plain", purpose="assistants")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(BadRequestError):
        client.uploads.parts.create(upload.id, data=b"hello")


def test_parts_of_another_key_are_unknown(stack: Stack, client: OpenAI, fake: FakeAzure) -> None:
    with stack.openai(stack.key()) as stranger:
        theirs = stranger.uploads.create(bytes=5, filename="a.txt", mime_type="text/plain", purpose="assistants")
        part = stranger.uploads.parts.create(theirs.id, data=b"hello").id
    mine = client.uploads.create(bytes=5, filename="a.txt", mime_type="text/plain", purpose="assistants")
    before = len(upstream_calls(fake))
    for upload, parts in ((theirs.id, []), (mine.id, [part]), (mine.id, ["part_raw"])):
        with pytest.raises(NotFoundError, match="No such object"):
            client.uploads.complete(upload, part_ids=parts)
    assert len(upstream_calls(fake)) == before


def test_conversation_from_its_making_to_its_end(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"id": "mine"}, items=[{"role": "user", "content": "count to 2"}])
    assert client.conversations.retrieve(made.id).metadata == {"id": "mine"}
    assert client.conversations.update(made.id, metadata={"a": "b"}).metadata == {"a": "b"}
    added = client.conversations.items.create(made.id, items=[{"role": "user", "content": "and to 3"}])
    (item,) = added.data
    assert item.id
    assert client.conversations.items.retrieve(item.id, conversation_id=made.id).id == item.id
    answer = client.responses.create(model="gpt-4o", input="count to 3", conversation=made.id)
    assert answer.conversation
    assert answer.conversation.id == made.id
    listed = [row.id for row in client.conversations.items.list(made.id, limit=2, order="asc")]
    assert len(listed) == len(set(listed)) >= 4
    assert answer.output[0].id in listed
    client.conversations.items.delete(item.id, conversation_id=made.id)
    assert item.id not in [row.id for row in client.conversations.items.list(made.id)]
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(NotFoundError, match="No such object"):
        client.conversations.retrieve(made.id)


def test_conversation_stays_on_its_resource(client: OpenAI, fake: FakeAzure) -> None:
    made = client.conversations.create()
    before = len(upstream_calls(fake))
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="second", input="hi", conversation=made.id)
    assert caught.value.code == "objects_elsewhere"
    assert len(upstream_calls(fake)) == before
