"""Files for batches with the OpenAI SDK: kept by the gateway, checked line by line, in one piece, in parts, or by a
signed address."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from azure.storage.blob.aio import BlobServiceClient
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from local.fake_azure import FakeAzure
from shared.adapters.blob_folder import FILES, BlobFolders
from tests.support.stack import Key, Stack, ask, upstream_calls


@pytest.fixture
def client(stack: Stack, key: Key) -> Generator[OpenAI]:
    with stack.openai(key) as made:
        yield made


def line(custom_id: str, **changed: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": ask("hi"), **changed}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GOOD = jsonl(line("a"), line("b"))


def blobs(connection: str) -> set[str]:
    async def look() -> set[str]:
        folders = BlobFolders(lambda: BlobServiceClient.from_connection_string(connection))
        try:
            return {blob.name async for blob in folders.folder(FILES).list("")}
        finally:
            await folders.close()

    return asyncio.run(look())


def test_file_from_its_upload_to_its_end(client: OpenAI, fake: FakeAzure) -> None:
    made = client.files.create(file=("mine.jsonl", GOOD), purpose="batch")
    assert (made.object, made.filename, made.purpose, made.bytes) == ("file", "mine.jsonl", "batch", len(GOOD))
    assert (made.status, made.expires_at) == ("processed", made.created_at + 30 * 86400)
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == GOOD
    other = client.files.create(
        file=("b.jsonl", GOOD), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert other.expires_at == other.created_at + 3600
    assert [row.id for row in client.files.list(limit=1)] == [other.id, made.id]
    assert not upstream_calls(fake), "Azure gets it when a batch is placed"
    elsewhere = client.files.create(file=("c.txt", b"x"), purpose="assistants").id
    assert [row.id for row in client.files.list(purpose="batch")] == [other.id, made.id]
    assert [row.id for row in client.files.list(order="asc")] == [made.id, other.id, elsewhere]
    assert client.files.delete(made.id).to_dict() == {"id": made.id, "object": "file", "deleted": True}
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match="No such object"):
            gone(made.id)
    assert [row.id for row in client.files.list(order="asc")] == [other.id, elsewhere]
    assert [row.id for row in client.files.list(order="asc", after=made.id)] == [other.id, elsewhere]


def test_azure_client_and_every_dress_of_a_call(stack: Stack, key: Key) -> None:
    with stack.azure_openai(key) as azure:
        made = azure.files.create(file=("a.jsonl", GOOD), purpose="batch")
        assert azure.files.content(made.id).content == GOOD
    for path in ("/files", "/openai/files", "/openai/v1/files?model=gpt-4o"):
        headers = {**key.bearer, "custom-llm-provider": "azure"}
        form: dict[str, Any] = {"file": ("a.jsonl", GOOD), "purpose": (None, "batch")}  # the file comes first
        reply = httpx.post(stack.url + path, headers=headers, files=form, trust_env=False)
        assert (reply.status_code, reply.json().get("purpose")) == (200, "batch"), path


WRONG = [
    (jsonl(line("a"), line("a")), 400, "duplicate_custom_id", "custom_id", 2),
    (jsonl(line("a")) + b"{oh\n", 400, "invalid_json_line", None, 2),
    (b"\xef\xbb\xbf" + GOOD, 400, "invalid_encoding", None, 1),
    (jsonl(line("a", url="/v1/files")), 400, "invalid_url", "url", 1),
    (jsonl(line("a", body=ask("hi", "nothing-such"))), 400, "model_not_found", "body.model", 1),
    (jsonl(line("a"), line("b", body=ask("hi", "second"))), 400, "model_mismatch", "body.model", 2),
    (jsonl(line("a"), line("b", body={**ask("hi"), "previous_response_id": "resp_x"})), 400, "not_found", "body", 2),
    (b"", 400, "empty_file", None, None),
    (b'{"custom_id":"a"}', 400, "missing_required_parameter", "method", 1),
    (GOOD * 40_000, 400, "duplicate_custom_id", "custom_id", 3),
]


@pytest.mark.parametrize(("data", "status", "code", "param", "at"), WRONG, ids=[f"{w[2]}-{w[4]}" for w in WRONG])
def test_refused_file_leaves_nothing(
    client: OpenAI, azurite: Any, data: bytes, status: int, code: str, param: str | None, at: int | None
) -> None:
    before = blobs(azurite.connection_string)
    with pytest.raises(APIStatusError) as caught:
        client.files.create(file=("a.jsonl", data), purpose="batch")
    error: Any = caught.value.body
    assert (caught.value.status_code, error["code"], error["param"], error.get("line")) == (status, code, param, at)
    assert error["message"].startswith(f"Line {at}: " if at else "The file ")
    assert blobs(azurite.connection_string) == before
    assert list(client.files.list()) == []


def test_upload_that_breaks_off_leaves_nothing(stack: Stack, key: Key, client: OpenAI, azurite: Any) -> None:
    before = blobs(azurite.connection_string)
    rows = jsonl(*(line(str(n)) for n in range(40_000)))  # several blocks
    request = httpx.Request(
        "POST", stack.url + "/v1/files", data={"purpose": "batch"}, files={"file": rows}, headers=key.bearer
    )
    body = request.read()
    head = "POST /v1/files HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((request.url.host, request.url.port or 80)) as connection:
        connection.sendall(head.encode() + b"\r\n" + body[: len(body) * 9 // 10])
    (event,) = stack.usage(key, 1)
    assert (event["status"], event["outcome"]) == (499, "client_closed")
    assert blobs(azurite.connection_string) == before
    assert list(client.files.list()) == []


def test_lines_without_a_model_and_keys_with_few(stack: Stack, client: OpenAI) -> None:
    nameless = jsonl(line("a", body={"messages": []}))
    with pytest.raises(BadRequestError, match=r"Line 1: 'body.model' is missing"):
        client.files.create(file=("a.jsonl", nameless), purpose="batch")
    good: list[dict[str, Any]] = [{"extra_body": {"model": "gpt-4o"}}, {"extra_headers": {"x-litellm-model": "gpt-4o"}}]
    for more in good:
        assert client.files.create(file=("a.jsonl", nameless), purpose="batch", **more).status == "processed"
    wrong: list[dict[str, Any]] = [{"extra_body": {"model": "no-such"}}, {"extra_headers": {"x-tollgate-model": "no"}}]
    for bad in wrong:
        with pytest.raises(BadRequestError, match="does not exist"):
            client.files.create(file=("a.jsonl", nameless), purpose="batch", **bad)
    with stack.openai(stack.key(models="second")) as few, pytest.raises(APIStatusError, match="Line 1: ") as caught:
        few.files.create(file=("a.jsonl", GOOD), purpose="batch")
    assert caught.value.code == "model_not_found"


def test_form_holds_one_file_and_a_sensible_expiry(stack: Stack, key: Key) -> None:
    def post(files: list[tuple[str, Any]]) -> tuple[int, str | None]:
        reply = httpx.post(stack.url + "/v1/files", headers=key.bearer, files=files, trust_env=False)
        return reply.status_code, reply.json().get("error", {}).get("param")

    purpose, file = ("purpose", (None, "batch")), ("file", ("a.jsonl", GOOD))
    anchor, seconds = ("expires_after[anchor]", (None, "created_at")), ("expires_after[seconds]", (None, "3600"))
    assert post([purpose, file, anchor, seconds])[0] == 200
    assert post([purpose, file, file]) == (400, "file")
    assert post([purpose, ("data", ("a.jsonl", GOOD))]) == (400, "file")
    assert post([purpose]) == (400, "file")
    for wrong in ([anchor], [seconds], [anchor, (seconds[0], (None, "60"))], [anchor, (seconds[0], (None, "x"))]):
        assert post([purpose, file, *wrong]) == (400, "expires_after")


def test_ids_are_good_for_batches_alone_and_for_their_owner(stack: Stack, client: OpenAI) -> None:
    made = client.files.create(file=("a.jsonl", GOOD), purpose="batch").id
    with pytest.raises(BadRequestError, match="good for batches only"):
        client.vector_stores.create(file_ids=[made])
    chat: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": made}}]}]
    for use in (
        lambda: client.chat.completions.create(model="gpt-4o", messages=chat),
        lambda: client.fine_tuning.jobs.create(model="gpt-4o", training_file=made),
        lambda: client.vector_stores.files.create(client.vector_stores.create().id, file_id=made),
    ):
        with pytest.raises(BadRequestError, match="good for batches only"):
            use()
    named = jsonl(line("a", body={**ask("hi"), "messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_id": made}}]}]}))  # fmt: skip
    with pytest.raises(BadRequestError, match="Line 1: It names a file with the purpose 'batch'"):
        client.files.create(file=("a.jsonl", named), purpose="batch")
    with stack.openai(stack.key()) as stranger:
        assert list(stranger.files.list()) == []
        for ask_for in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(NotFoundError, match="No such object"):
                ask_for(made)
    upload = client.uploads.create(bytes=5, filename="a", mime_type="text/plain", purpose="batch").id
    for mistaken in (lambda: client.files.retrieve(upload), lambda: client.uploads.cancel(made)):
        with pytest.raises(NotFoundError, match="No such object"):
            mistaken()


def test_lines_are_bound_to_one_resource(client: OpenAI) -> None:
    def kept(model: str) -> str:
        header = {"x-tollgate-model": model}
        return client.files.create(file=("a.pdf", b"x"), purpose="user_data", extra_headers=header).id

    def naming(custom_id: str, file_id: str) -> dict[str, Any]:
        part = {"type": "file", "file": {"file_id": file_id}}
        return line(custom_id, body={"model": "gpt-4o", "messages": [{"role": "user", "content": [part]}]})

    here, there = kept("gpt-4o"), kept("second")
    data = jsonl(naming("a", here), naming("b", here))
    assert client.files.create(file=("a.jsonl", data), purpose="batch").bytes == len(data)
    with pytest.raises(BadRequestError, match="Line 3: ") as caught:
        client.files.create(file=("a.jsonl", data + jsonl(naming("c", there))), purpose="batch")
    assert caught.value.code == "objects_elsewhere"


# Uploads.


def upload(client: OpenAI, size: int, **more: Any) -> Any:
    return client.uploads.create(
        bytes=size, filename="big.jsonl", mime_type="application/jsonl", purpose="batch", **more
    )


def test_upload_in_parts(client: OpenAI, azurite: Any, fake: FakeAzure) -> None:
    rows = jsonl(*(line(str(n)) for n in range(300)))
    made = upload(client, len(rows), expires_after={"anchor": "created_at", "seconds": 7200})
    assert (made.object, made.status, made.purpose, made.bytes) == ("upload", "pending", "batch", len(rows))
    assert (made.expires_at, made.file) == (made.created_at + 3600, None)
    last, first = (client.uploads.parts.create(made.id, data=piece) for piece in (rows[7777:], rows[:7777]))
    assert (first.object, first.upload_id) == ("upload.part", made.id)
    md5 = hashlib.md5(rows).hexdigest()
    done = client.uploads.complete(made.id, part_ids=[first.id, last.id], md5=md5)
    assert (done.id, done.status) == (made.id, "completed")
    assert done.file
    assert (done.file.filename, done.file.bytes, done.file.purpose) == ("big.jsonl", len(rows), "batch")
    assert done.file.expires_at == done.file.created_at + 7200
    assert client.files.content(done.file.id).content == rows
    assert client.uploads.complete(made.id, part_ids=[first.id, last.id]) == done, "a client may ask again"
    assert [row.id for row in client.files.list()] == [done.file.id]
    with pytest.raises(BadRequestError, match="This upload is completed"):
        client.uploads.parts.create(made.id, data=b"more")
    assert not upstream_calls(fake)
    assert not [name for name in blobs(azurite.connection_string) if made.id in name], "ids of blobs are our own"
    chunked = client.uploads.upload_file_chunked(
        file=rows, filename="c.jsonl", bytes=len(rows), mime_type="application/jsonl", purpose="batch", part_size=9999
    )
    assert chunked.file
    assert client.files.content(chunked.file.id).content == rows


def test_completions_at_once_give_one_file(client: OpenAI) -> None:
    """Clients whose patience ends send the call again, while the first one still runs."""
    made = upload(client, len(GOOD))
    part = client.uploads.parts.create(made.id, data=GOOD).id
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: client.uploads.complete(made.id, part_ids=[part]), range(6)))
    files = [each.file for each in done if each.file]
    assert len(files) == 6
    assert [row.id for row in client.files.list()] == list({file.id for file in files})
    assert client.files.content(files[0].id).content == GOOD


def test_upload_that_is_not_right_can_be_mended(client: OpenAI, azurite: Any) -> None:
    made = upload(client, len(GOOD))
    whole = client.uploads.parts.create(made.id, data=GOOD).id
    half = client.uploads.parts.create(made.id, data=GOOD[:50]).id
    for parts, more, code in (
        ([half], {}, "upload_incomplete"), ([whole, half], {}, "upload_incomplete"), ([], {}, "invalid_value"),
        ([whole], {"md5": "0" * 32}, "checksum_mismatch"),
    ):  # fmt: skip
        with pytest.raises(BadRequestError) as caught:
            client.uploads.complete(made.id, part_ids=parts, extra_body=more)
        assert caught.value.code == code
    assert list(client.files.list()) == []
    file = client.uploads.complete(made.id, part_ids=[whole]).file
    assert file
    assert client.files.content(file.id).content == GOOD
    before = blobs(azurite.connection_string)
    bad = upload(client, 4)
    part = client.uploads.parts.create(bad.id, data=b"{oh}").id
    with pytest.raises(BadRequestError, match="Line 1: "):
        client.uploads.complete(bad.id, part_ids=[part])
    with pytest.raises(APIStatusError) as caught:
        client.uploads.parts.create(bad.id, data=b"12345")
    assert caught.value.status_code == 413
    assert client.uploads.cancel(bad.id).status == client.uploads.cancel(bad.id).status == "cancelled"
    assert blobs(azurite.connection_string) == before
    with pytest.raises(BadRequestError, match="This upload is cancelled"):
        client.uploads.complete(bad.id, part_ids=[part])


def test_sizes_and_fields_of_uploads(client: OpenAI, stack: Stack, key: Key) -> None:
    for size in (0, -1, 200 * 1024 * 1024 + 1):
        with pytest.raises(BadRequestError, match="1 to 209,715,200 bytes"):
            upload(client, size)
    wrong: Any = {"anchor": "created_at", "seconds": 60}
    with pytest.raises(BadRequestError, match="'expires_after' must be"):
        upload(client, 5, expires_after=wrong)
    body = {"purpose": "batch", "filename": "a", "bytes": 5, "mime_type": "x", "direct": "yes"}
    assert stack.post(key, body, "/v1/uploads").json()["error"]["param"] == "direct"


def test_content_goes_straight_to_storage(client: OpenAI, azurite: Any) -> None:
    rows = jsonl(*(line(str(n)) for n in range(500)))
    made = upload(client, len(rows), extra_body={"direct": True}).to_dict()
    with pytest.raises(BadRequestError) as caught:
        client.uploads.complete(made["id"], part_ids=[])
    assert caught.value.code == "upload_incomplete"
    with pytest.raises(BadRequestError, match="upload_url"):
        client.uploads.parts.create(made["id"], data=b"x")

    def put(content: bytes) -> int:
        return httpx.put(
            made["upload_url"], headers=made["upload_headers"], content=content, trust_env=False
        ).status_code

    assert put(rows[:-1]) == 201
    with pytest.raises(BadRequestError, match="but the upload was made for"):
        client.uploads.complete(made["id"], part_ids=[])
    assert put(rows) == 201
    done = client.uploads.complete(made["id"], part_ids=[])
    assert done.file
    assert "upload_url" not in done.to_dict()
    assert client.files.content(done.file.id).content == rows
    assert not [name for name in blobs(azurite.connection_string) if name.startswith("uploads/") and "whole" in name]
    assert httpx.get(made["upload_url"], trust_env=False).status_code == 403, "it is good for writing alone"
