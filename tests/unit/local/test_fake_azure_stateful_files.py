"""Files, uploads, vector stores and containers of the fake, by the real SDK, which validates strictly."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure

LINES = b'{"messages": []}\n'


def v1(azure: FakeAzure, resource: str = "main") -> openai.OpenAI:
    row = azure.state.resources[resource]
    base_url = f"{row.url}/v1" if row.kind == "plain" else f"{row.url}/openai/v1"
    return openai.OpenAI(base_url=base_url, api_key=row.key, max_retries=0, _strict_response_validation=True)


def dated(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["main"]
    version = "2025-04-01-preview"
    return openai.AzureOpenAI(azure_endpoint=row.url, api_key=row.key, api_version=version, max_retries=0)


@pytest.fixture(scope="module")
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure) as made:
        yield made


@pytest.fixture(scope="module")
def other(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    with v1(azure, "second") as made:
        yield made


def send(azure: FakeAzure, method: str, path: str, **more: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.request(method, f"{row.url}/openai/v1/{path}", headers={"api-key": row.key, **more.pop("headers", {})},
                         **more)  # fmt: skip


@pytest.mark.parametrize("make", [v1, dated, lambda azure: v1(azure, "openai")])
@pytest.mark.parametrize("purpose", ["batch", "assistants"])
def test_file_is_uploaded_read_and_deleted(azure: FakeAzure, make: Any, purpose: Any) -> None:
    with make(azure) as client:
        made = client.files.create(file=("a.jsonl", LINES), purpose=purpose)
        assert (made.bytes, made.filename, made.purpose) == (len(LINES), "a.jsonl", purpose)
        assert client.files.content(made.id).content == LINES
        assert client.files.retrieve(made.id) == made
        assert made.id in [file.id for file in client.files.list(purpose=purpose)]
        assert made.id not in [file.id for file in client.files.list(purpose="fine-tune")]
        assert client.files.delete(made.id).deleted
        for gone in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError, match=made.id):
                gone(made.id)


def test_ids_tell_azure_s_two_stores_apart(client: openai.OpenAI) -> None:
    assert len(client.files.create(file=("a.jsonl", LINES), purpose="batch").id) == len("file-") + 32
    assert client.files.create(file=("a.txt", b"x"), purpose="assistants").id.startswith("assistant-")


def test_file_is_known_on_its_own_resource_only(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = client.files.create(file=("a.jsonl", LINES), purpose="batch")
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve(made.id)
    assert made.id not in [file.id for file in other.files.list()]


def test_dated_surface_answers_as_azure_does(azure: FakeAzure) -> None:
    row = azure.state.resources["main"]
    form: dict[str, Any] = {"data": {"purpose": "fine-tune"}, "files": {"file": ("a.jsonl", LINES)}}
    url = f"{row.url}/openai/files?api-version=2024-10-21"
    answer = httpx.post(url, headers={"api-key": row.key}, **form)
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")


def test_file_expires_when_told(client: openai.OpenAI) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": 3600}
    made = client.files.create(file=("a.jsonl", LINES), purpose="batch", expires_after=expiry)
    assert made.expires_at == made.created_at + 3600


def test_lists_are_paged(azure: FakeAzure) -> None:
    with v1(azure, "foundry") as client:
        made = [client.files.create(file=("a.txt", b"x"), purpose="assistants").id for _ in range(5)]
        page = client.files.list(limit=2, order="asc")
        assert ([file.id for file in page.data], page.has_more) == (made[:2], True)
        assert [file.id for file in client.files.list(limit=2, order="asc")] == made
        assert [file.id for file in client.files.list(order="desc", after=made[3])] == made[2::-1]
        row = azure.state.resources["foundry"]
        before = httpx.get(f"{row.url}/openai/v1/files?order=asc&before={made[2]}", headers={"api-key": row.key}).json()
        assert (before["first_id"], before["last_id"], before["has_more"]) == (made[0], made[1], False)
        with pytest.raises(openai.BadRequestError, match="limit"):
            client.files.list(limit=0)
        with pytest.raises(openai.BadRequestError, match="after"):
            client.files.list(after="file-nobody")


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"data": {"purpose": "batch"}}, 400, "Content-Type"),
        ({"data": {"purpose": "song"}, "files": {"file": ("a.jsonl", LINES)}}, 400, "purpose"),
        ({"data": {"purpose": "batch"}, "files": {"file": ("a.txt", LINES)}}, 400, ".jsonl"),
        ({"data": {"purpose": "batch"}, "files": {"song": ("a.jsonl", LINES)}}, 400, "'file'"),
        ({"data": {"purpose": "batch"}, "files": {"file": ("a.jsonl", b"")}}, 400, "empty"),
        ({"json": {"purpose": "batch"}}, 400, "multipart/form-data"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "multipart"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, 400, "multipart"),
        (
            {"content": b"--a\r\n\r\nx", "headers": {"Content-Type": "multipart/form-data; boundary=a"}},
            400,
            "multipart",
        ),
    ],
)
def test_bad_form_is_refused(azure: FakeAzure, form: dict[str, Any], status: int, says: str) -> None:
    answer = send(azure, "POST", "files", **form)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


def test_upload_becomes_a_file(client: openai.OpenAI) -> None:
    upload = client.uploads.create(bytes=6, filename="a.jsonl", mime_type="text/jsonl", purpose="batch")
    parts = [client.uploads.parts.create(upload.id, data=data).id for data in (b"abc", b"def")]
    with pytest.raises(openai.BadRequestError, match="6"):
        client.uploads.complete(upload.id, part_ids=parts[:1])
    done = client.uploads.complete(upload.id, part_ids=parts)
    assert done.file
    assert (done.status, client.files.content(done.file.id).content) == ("completed", b"abcdef")
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.uploads.parts.create(upload.id, data=b"more")


def test_upload_is_cancelled_and_unknown_elsewhere(client: openai.OpenAI, other: openai.OpenAI) -> None:
    upload = client.uploads.create(bytes=6, filename="a.jsonl", mime_type="text/jsonl", purpose="batch")
    with pytest.raises(openai.NotFoundError):
        other.uploads.cancel(upload.id)
    assert client.uploads.cancel(upload.id).status == "cancelled"


def test_sdk_uploads_in_parts(client: openai.OpenAI) -> None:
    done = client.uploads.upload_file_chunked(file=LINES * 99, filename="a.jsonl", bytes=len(LINES) * 99,
                                              mime_type="text/jsonl", purpose="batch", part_size=500)  # fmt: skip
    assert done.file
    assert client.files.content(done.file.id).content == LINES * 99


def test_vector_store_and_its_files(client: openai.OpenAI, other: openai.OpenAI) -> None:
    files = [
        client.files.create(file=(f"{name}.txt", text), purpose="assistants")
        for name, text in (("sea", b"the sea is blue"), ("sun", b"the sun is hot"))
    ]
    store = client.vector_stores.create(name="facts", file_ids=[files[0].id], metadata={"a": "b"})
    assert (store.name, store.file_counts.completed, store.status) == ("facts", 1, "completed")
    member = client.vector_stores.files.create(store.id, file_id=files[1].id, attributes={"topic": "sun"})
    assert member.attributes == {"topic": "sun"}
    assert {row.id for row in client.vector_stores.files.list(store.id)} == {file.id for file in files}
    assert client.vector_stores.retrieve(store.id).usage_bytes == 29
    hits = client.vector_stores.search(store.id, query="how hot is the sun").data
    assert [hit.filename for hit in hits] == ["sun.txt", "sea.txt"]
    assert hits[0].score > hits[1].score
    text = client.vector_stores.files.content(files[1].id, vector_store_id=store.id).data
    assert [part.text for part in text] == ["the sun is hot"]
    changed = client.vector_stores.files.update(files[1].id, vector_store_id=store.id, attributes={"topic": "x"})
    assert changed.attributes == {"topic": "x"}
    assert client.vector_stores.files.delete(files[1].id, vector_store_id=store.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(files[1].id, vector_store_id=store.id)
    updated = client.vector_stores.update(store.id, name="more", expires_after={"anchor": "last_active_at", "days": 1})
    assert (updated.name, updated.expires_after.days if updated.expires_after else 0) == ("more", 1)
    for refused in (lambda: other.vector_stores.retrieve(store.id),
                    lambda: other.vector_stores.create(file_ids=[files[0].id])):  # fmt: skip
        with pytest.raises(openai.NotFoundError):
            refused()
    assert client.vector_stores.delete(store.id).deleted
    assert store.id not in [row.id for row in client.vector_stores.list()]


def test_files_are_added_in_a_batch(client: openai.OpenAI) -> None:
    ids = [client.files.create(file=("a.txt", b"x"), purpose="assistants").id for _ in range(3)]
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create(store.id, file_ids=ids)
    assert batch.file_counts.completed == 3
    assert client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id) == batch
    assert client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id).id == batch.id
    listed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, order="asc")
    assert [row.id for row in listed] == ids
    wrong = client.vector_stores.create()
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=wrong.id)


def test_container_and_its_files(client: openai.OpenAI, other: openai.OpenAI) -> None:
    given = client.files.create(file=("in.txt", b"in"), purpose="assistants")
    room = client.containers.create(name="room", file_ids=[given.id])
    assert (room.name, room.status) == ("room", "running")
    made = client.containers.files.create(room.id, file=("data.csv", b"a,b"))
    copied = client.containers.files.create(room.id, file_id=given.id)
    assert (made.path, copied.path) == ("/mnt/data/data.csv", "/mnt/data/in.txt")
    assert client.containers.files.content.retrieve(made.id, container_id=room.id).content == b"a,b"
    assert len(client.containers.files.list(room.id).data) == 3
    assert client.containers.files.retrieve(made.id, container_id=room.id).path == made.path
    client.containers.files.delete(made.id, container_id=room.id)
    with pytest.raises(openai.NotFoundError):
        client.containers.files.retrieve(made.id, container_id=room.id)
    with pytest.raises(openai.NotFoundError):
        other.containers.retrieve(room.id)
    assert room.id in [row.id for row in client.containers.list()]
    client.containers.delete(room.id)
    with pytest.raises(openai.NotFoundError, match=room.id):
        client.containers.retrieve(room.id)


def test_chat_takes_the_files_that_are_here(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = client.files.create(file=("a.pdf", b"%PDF"), purpose="user_data")
    content: Any = [{"type": "text", "text": "read"}, {"type": "file", "file": {"file_id": made.id}}]
    messages: Any = [{"role": "user", "content": content}]
    assert client.chat.completions.create(model="gpt-4o", messages=messages).choices[0].message.content
    with pytest.raises(openai.BadRequestError, match=made.id):
        other.chat.completions.create(model="gpt-4o", messages=messages)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("uploads", {"filename": "a.jsonl", "purpose": "batch", "mime_type": "x"}, "bytes"),
        ("uploads", {"bytes": "1", "filename": "a.jsonl", "purpose": "batch", "mime_type": "x"}, "bytes"),
        ("vector_stores", {"name": 5}, "name"),
        ("vector_stores", {"file_ids": "file-1"}, "file_ids"),
        ("vector_stores", {"file_ids": [1]}, "file_ids"),
        ("vector_stores", {"metadata": "x"}, "metadata"),
        ("vector_stores", {"expires_after": 5}, "expires_after"),
        ("containers", {}, "name"),
        ("conversations", {"metadata": {"a": 1}}, "metadata"),
    ],
)
def test_bad_body_names_the_parameter(azure: FakeAzure, path: str, body: dict[str, Any], param: str) -> None:
    answer = send(azure, "POST", path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_model_is_retrieved(client: openai.OpenAI) -> None:
    assert client.models.retrieve("gpt-4o-2024-11-20").id == "gpt-4o-2024-11-20"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")
