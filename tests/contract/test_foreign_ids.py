"""Ids that are not the caller's, at every endpoint that takes one: one and the same 404, and nothing reaches Azure."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from openai import NotFoundError

from local.fake_azure import FakeAzure
from shared.endpoints import ENDPOINTS, Endpoint
from tests.support.stack import Key, Stack, upstream_calls

WITH_IDS = [row for row in ENDPOINTS.values() if row.target == "id"]
RAW = "file-" + "a" * 32


@pytest.fixture(scope="module")
def ids(stack_for_ids: tuple[Stack, Key, Key]) -> dict[str, str]:
    """For each way in which an id can be wrong, one such id."""
    stack, mine, theirs = stack_for_ids
    made = {}
    for name, key in (("mine", mine), ("foreign", theirs)):
        with stack.openai(key) as client:
            made[name] = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    own = made.pop("mine")
    return made | {
        "raw": RAW,
        "truncated": own[:-1],
        "longer": own + "A",
        "forged": own[:-3] + ("AAA" if not own.endswith("AAA") else "BBB"),
        "another prefix": "vs_" + own.partition("-")[2],
        "upper case": own.upper(),
        "with a path in it": "..%2F..%2Fmodels",
        "very long": "file-" + "A" * 3000,
    }


@pytest.fixture(scope="module")
def stack_for_ids(shared_stacks: Any) -> tuple[Stack, Key, Key]:
    stack: Stack = shared_stacks("asgi")
    return stack, stack.key(), stack.key(team="others")


def address(row: Endpoint, identity: str) -> str:
    return "/" + re.sub(r"\{\w+\}", lambda _: identity, row.route)


def send(stack: Stack, key: Key, row: Endpoint, identity: str) -> Any:
    body = {name: "x" for name in row.required} | {"part_ids": [], "items": [], "metadata": {}, "attributes": {}}
    if "data_source" in body:
        body["data_source"] = {}
    options: dict[str, Any] = {"json": body} if row.method == "POST" and row.body != "form" else {}
    if row.body == "form":
        options = {"files": {"data": ("a.txt", b"x")}}
    return stack.http.request(row.method, address(row, identity), headers=key.bearer, **options)


@pytest.mark.parametrize("row", WITH_IDS, ids=lambda row: row.name)
def test_wrong_id_in_the_path_is_the_same_404_everywhere(
    row: Endpoint, stack_for_ids: tuple[Stack, Key, Key], ids: dict[str, str], fake: FakeAzure
) -> None:
    stack, mine, _ = stack_for_ids
    before = len(upstream_calls(fake))
    said = {}
    for kind, identity in ids.items():
        reply = send(stack, mine, row, identity)
        said[kind] = (reply.status_code, reply.content)
    assert {status for status, _ in said.values()} == {404}, said
    assert len({body for _, body in said.values()}) == 1, said
    assert len(upstream_calls(fake)) == before


BODIES: dict[str, dict[str, Any]] = {
    "v1/responses": {"model": "gpt-4o", "input": "hi", "previous_response_id": "ID"},
    "v1/responses/compact": {"model": "gpt-4o", "input": [{"type": "item_reference", "id": "ID"}]},
    "v1/chat/completions": {
        "model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "ID"}}]}],
    },
    "chat/completions": {
        "model": "audio", "messages": [{"role": "assistant", "audio": {"id": "ID"}}, {"role": "user", "content": "hi"}],
    },
    "v1/vector_stores": {"file_ids": ["ID"]},
    "v1/containers": {"name": "x", "file_ids": ["ID"]},
    "v1/fine_tuning/jobs": {"model": "gpt-4o-mini", "training_file": "ID"},
    "v1/images/edits": {"model": "image", "prompt": "x", "images": [{"file_id": "ID"}]},
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_wrong_id_in_a_body_is_the_same_404(
    path: str, stack_for_ids: tuple[Stack, Key, Key], ids: dict[str, str], fake: FakeAzure
) -> None:
    stack, mine, _ = stack_for_ids
    before = len(upstream_calls(fake))

    def with_id(value: Any, identity: str) -> Any:
        if isinstance(value, dict):
            return {k: with_id(v, identity) for k, v in value.items()}
        if isinstance(value, list):
            return [with_id(v, identity) for v in value]
        return identity if value == "ID" else value

    said = {kind: stack.post(mine, with_id(BODIES[path], identity), f"/{path}") for kind, identity in ids.items()}
    assert {kind: (reply.status_code, reply.json()["error"]["code"]) for kind, reply in said.items()} == dict.fromkeys(
        ids, (404, "not_found")
    )
    assert len({reply.content for reply in said.values()}) == 1
    assert len(upstream_calls(fake)) == before


def test_escaped_name_of_a_field_hides_no_id(stack_for_ids: tuple[Stack, Key, Key], fake: FakeAzure) -> None:
    stack, mine, _ = stack_for_ids
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"file","file":{"\\u0066ile_id":"%s"}}]}]}'
    before = len(upstream_calls(fake))
    headers = {**mine.bearer, "content-type": "application/json"}
    reply = stack.http.post("/v1/chat/completions", content=body % RAW.encode(), headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert len(upstream_calls(fake)) == before


@pytest.mark.parametrize("path", ["v1/files", "v1/fine_tuning/jobs", "v1/vector_stores", "v1/containers", "v1/evals"])
def test_wrong_cursor_is_the_same_404(
    path: str, stack_for_ids: tuple[Stack, Key, Key], ids: dict[str, str], fake: FakeAzure
) -> None:
    stack, mine, _ = stack_for_ids
    before = len(upstream_calls(fake))
    for kind, identity in ids.items():
        for name in ("after", "before"):
            reply = stack.http.get(f"/{path}", params={name: identity}, headers=mine.bearer)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found"), kind
    assert len(upstream_calls(fake)) == before


def test_objects_belong_to_the_team_or_to_the_key_alone(stack_for_ids: tuple[Stack, Key, Key]) -> None:
    stack, mine, theirs = stack_for_ids
    mate = stack.key(team="others")
    with stack.openai(theirs) as owner, stack.openai(mate) as colleague, stack.openai(mine) as stranger:
        made = owner.files.create(file=("a.txt", b"ours"), purpose="assistants").id
        assert colleague.files.content(made).content == b"ours"
        assert made in [row.id for row in colleague.files.list()]
        assert made not in [row.id for row in stranger.files.list()]


def test_pages_in_both_directions(stack_for_ids: tuple[Stack, Key, Key]) -> None:
    stack, *_ = stack_for_ids
    with stack.openai(stack.key()) as client:
        made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="assistants").id for n in range(5)]
        assert [row.id for row in client.files.list(limit=2)] == made[::-1], "the SDK pages on by itself"
        assert [row.id for row in client.files.list(limit=2, order="asc")] == made
        after = client.files.list(limit=2, after=made[3])
        assert ([row.id for row in after.data], after.has_more) == (made[2:0:-1], True)
        before = client.get("/files", cast_to=dict, options={"params": {"before": made[1], "limit": 2}})
        assert [row["id"] for row in before["data"]] == [made[3], made[2]]
        assert [row.id for row in client.files.list(purpose="batch")] == []


def test_nobody_has_ids_of_their_own_text_sealed(stack_for_ids: tuple[Stack, Key, Key], fake: FakeAzure) -> None:
    """A file that looks like a batch's output is sealed line by line: whoever wrote it must not gain by that."""
    stack, mine, theirs = stack_for_ids
    with stack.openai(theirs) as owner:
        owner.files.create(file=("secret.txt", b"secret"), purpose="assistants")
    main = fake.state.resources["main"]
    listed = httpx.get(f"{main.url}/openai/v1/files", headers={"api-key": main.key}, trust_env=False).json()
    raw = next(row["id"] for row in listed["data"] if row["filename"] == "secret.txt")
    line = {"custom_id": "a", "response": {"body": {"id": raw, "object": "response", "file_id": raw}}}
    with stack.openai(mine) as client:
        made = client.files.create(file=("lines.jsonl", json.dumps(line).encode() + b"\n"), purpose="user_data").id
        body = json.loads(client.files.content(made).content)["response"]["body"]
        assert raw not in json.dumps(body)
        before = len(upstream_calls(fake))
        for found in (body["id"], body["file_id"]):
            with pytest.raises(NotFoundError, match="No such object"):
                client.files.content(found)
        assert len(upstream_calls(fake)) == before
