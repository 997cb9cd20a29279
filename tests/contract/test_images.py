"""Images by the OpenAI SDK: generations, edits with uploads and as JSON, streams, and the route that is polled.

Each test also looks at what was sent upstream, and at the usage record.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import is_image, picture
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

CAT = "a cat on a mat"
FILES = [("a.png", picture("a"), "image/png"), ("b.jpg", picture("b", "jpeg"), "image/jpeg")]
MASK = ("mask.png", picture("mask"), "image/png")


def parts_of(sent: Any) -> list[tuple[str, str, str]]:
    """Name, filename and content type of each part that the upstream got."""
    heads = re.findall(rb'name="([^"]+)"(?:; filename="([^"]+)")?(?:\r\nContent-Type: ([^\r]+))?', sent.raw)
    return [(name.decode(), file.decode(), kind.decode()) for name, file, kind in heads]


# Generations.


@pytest.mark.parametrize(
    ("alias", "path"),
    [
        ("image", "/openai/deployments/gpt-image-1/images/generations"),
        ("image-v1", "/openai/v1/images/generations"),
    ],
)
def test_gpt_image(stack: Stack, key: Key, fake: FakeAzure, alias: str, path: str) -> None:
    with stack.openai(key) as client:
        answer = client.images.generate(
            model=alias, prompt=CAT, n=2, size="1024x1536", quality="low", response_format="b64_json"
        )
    assert [is_image(base64.b64decode(row.b64_json or "")) for row in answer.data or []] == [True, True]
    sent = last_upstream(fake)
    assert (sent.path, sent.body["model"]) == (path, "gpt-image-1")
    assert "response_format" not in sent.body  # the model refuses it, and answers so anyway
    (event,) = stack.usage(key, 1)
    assert answer.usage
    assert {k: event[k] for k in ("images", "image_kind", "image_output_tokens", "input_tokens", "output_tokens")} == {
        "images": 2, "image_kind": "1024x1536 low", "image_output_tokens": 816, "output_tokens": 816,
        "input_tokens": answer.usage.input_tokens,
    }  # fmt: skip
    assert (event["endpoint"], event["estimated"]) == ("images_generations", False)


@pytest.mark.parametrize("wanted", ["url", "b64_json"])
def test_dall_e_by_url_and_inline(stack: Stack, key: Key, fake: FakeAzure, wanted: Any) -> None:
    with stack.openai(key) as client:
        answer = client.images.generate(
            model="dall-e-3", prompt=CAT, size="1792x1024", quality="hd", response_format=wanted
        )
    (row,) = answer.data or []
    assert "vivid" in (row.revised_prompt or "")
    data = httpx.get(row.url, trust_env=False).content if row.url else base64.b64decode(row.b64_json or "")
    assert is_image(data)
    assert (row.url is None) == (wanted == "b64_json")
    (event,) = stack.usage(key, 1)
    assert (event["images"], event["image_kind"], event["output_tokens"]) == (1, "1792x1024 hd", 0)


def test_azure_client(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.azure_openai(key) as client:
        answer = client.images.generate(model="dall-e-3", prompt=CAT)
    assert answer.data
    assert last_upstream(fake).path == "/openai/deployments/dall-e-3/images/generations"
    assert stack.usage(key, 1)[0]["images"] == 1


@pytest.mark.parametrize("edit", [False, True], ids=["generation", "edit"])
def test_stream_of_partial_images(stack: Stack, key: Key, fake: FakeAzure, edit: bool) -> None:
    given: dict[str, Any] = {"model": "image", "prompt": CAT, "stream": True, "partial_images": 2, "size": "1024x1024"}
    with stack.openai(key) as client:
        events: list[Any] = list(
            client.images.edit(**given, image=FILES[0]) if edit else client.images.generate(**given)
        )
    kind = "image_edit" if edit else "image_generation"
    assert [e.type for e in events] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    assert all(is_image(base64.b64decode(e.b64_json)) for e in events)
    (event,) = stack.usage(key, 1)
    assert (event["stream"], event["images"], event["estimated"]) == (True, 1, False)
    assert event["image_kind"] == "1024x1024 high"
    assert (event["output_tokens"], event["input_tokens"]) == (4_360, events[-1].usage.input_tokens)
    assert event["first_token_ms"] is not None


def test_stream_that_breaks_ends_in_an_error_event(stack: Stack, key: Key, fake: FakeAzure) -> None:
    fake.add_fault("cut", after=1)
    with stack.openai(key) as client, pytest.raises(openai.APIError) as caught:
        list(client.images.generate(model="image", prompt=CAT, stream=True, partial_images=2))
    assert caught.value.code == "upstream_disconnected"
    assert stack.usage(key, 1)[0]["outcome"] == "upstream_cut"


# Edits.


def test_edit_with_several_images_and_a_mask(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        answer = client.images.edit(
            model="image", image=FILES, mask=MASK, prompt=CAT, quality="medium", input_fidelity="high", n=2
        )
    assert len(answer.data or []) == 2
    sent = last_upstream(fake)
    assert sent.path == "/openai/deployments/gpt-image-1/images/edits"
    parts = parts_of(sent)
    assert [part for part in parts if part[1]] == [
        ("image[]", "a.png", "image/png"), ("image[]", "b.jpg", "image/jpeg"), ("mask", "mask.png", "image/png"),
    ]  # fmt: skip
    assert {name for name, filename, _ in parts if not filename} == {
        "model", "prompt", "quality", "input_fidelity", "n",
    }  # fmt: skip
    assert all(data in sent.raw for _, data, _ in (*FILES, MASK))
    (event,) = stack.usage(key, 1)
    assert answer.usage
    assert (event["images"], event["image_input_tokens"], event["image_output_tokens"]) == (2, 3 * 4_353, 2_112)
    assert (event["endpoint"], event["image_kind"]) == ("images_edits", "1024x1024 medium")


def test_edit_as_json(stack: Stack, key: Key, fake: FakeAzure) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture("a")).decode()
    body = {"model": "image-v1", "prompt": CAT, "images": [{"image_url": url}], "size": "1024x1024", "quality": "low"}
    reply = stack.post(key, body, "/v1/images/edits")
    assert reply.status_code == 200, reply.text
    assert is_image(base64.b64decode(reply.json()["data"][0]["b64_json"]))
    assert last_upstream(fake).body == body | {"model": "gpt-image-1"}
    foreign = stack.post(key, body | {"images": [{"file_id": "file-raw"}]}, "/v1/images/edits")
    assert foreign.status_code == 404
    assert len(upstream_calls(fake)) == 1
    assert [e.get("image_input_tokens", 0) for e in stack.usage(key, 2)] == [194, 0]


# The submit-and-poll route.


def test_submitted_image_is_waited_for(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        answer = client.images.generate(model="dall-e-legacy", prompt=CAT, size="1024x1024", n=2, quality="standard")
    assert answer.created >= time.time() - 60
    assert all(is_image(httpx.get(row.url or "", trust_env=False).content) for row in answer.data or [])
    submit, *polls, _, _ = upstream_calls(fake)
    assert submit.path == "/openai/images/generations:submit"
    assert submit.body == {"prompt": CAT, "size": "1024x1024", "n": 2}
    assert {poll.path for poll in polls} == {polls[0].path}
    assert polls[0].path.startswith("/openai/operations/images/")
    assert [poll.auth for poll in polls] == ["api-key"] * 3
    (event,) = stack.usage(key, 1)
    assert (event["images"], event["image_kind"]) == (2, "1024x1024 standard")


def test_submitted_image_that_fails(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        with pytest.raises(openai.BadRequestError) as filtered:
            client.images.generate(model="dall-e-legacy", prompt="filter me")
        with pytest.raises(openai.BadRequestError) as failed:
            client.images.generate(model="dall-e-legacy", prompt="this will fail")
    assert filtered.value.code == "content_filter"
    assert failed.value.code == "contentFilter"
    assert "safety system" in failed.value.message
    for error in (filtered.value, failed.value):
        assert_nothing_leaks(fake, error.response)
    assert {e["status"] for e in stack.usage(key, 2)} == {400}


def test_operation_at_another_host_is_not_followed(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """The credential would go along."""
    elsewhere = fake.state.resources["second"].url + "/openai/operations/images/x?api-version=2023-06-01-preview"
    fake.add_fault("status", status=202, body={}, headers={"operation-location": elsewhere})
    with stack.openai(key) as client, pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(model="dall-e-legacy", prompt=CAT)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_disconnected")
    assert not upstream_calls(fake, "second")
    assert_nothing_leaks(fake, caught.value.response)
    assert stack.usage(key, 1)[0]["status"] == 502


# What is refused.


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "image"}, "prompt"),
        ({"prompt": CAT}, "model"),
        ({"model": "image", "prompt": ["x"]}, "prompt"),
        ({"model": "image", "prompt": CAT, "n": "2"}, "n"),
        ({"model": "image", "prompt": CAT, "size": 1024}, "size"),
        ({"model": "image", "prompt": CAT, "stream": "yes"}, "stream"),
        ({"model": "image", "prompt": CAT, "partial_images": 1.5}, "partial_images"),
        ({"model": "whisper", "prompt": CAT}, "model"),
    ],
)
def test_bad_generation(stack: Stack, key: Key, fake: FakeAzure, body: Any, param: str) -> None:
    reply = stack.post(key, body, "/v1/images/generations")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert not upstream_calls(fake)
    assert stack.usage(key, 1)[0]["status"] == 400


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({"model": "image"}, [("image", FILES[0])], "prompt"),
        ({"prompt": CAT}, [("image", FILES[0])], "model"),
        ({"model": "image", "prompt": CAT, "image": "text"}, [("mask", MASK)], "image"),
        ({"model": "image", "prompt": CAT}, [("prompt", ("p.txt", b"x", "text/plain"))], "prompt"),
    ],
    ids=["no-prompt", "no-model", "text-as-image", "file-as-text"],
)
def test_bad_edit(stack: Stack, key: Key, fake: FakeAzure, fields: Any, files: Any, param: str) -> None:
    reply = stack.http.post("/v1/images/edits", data=fields, files=files, headers=key.bearer)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert not upstream_calls(fake)


def test_upstream_error_keeps_its_words(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client, pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model="image", image=("a.png", b"no image", "image/png"), prompt=CAT)
    assert (caught.value.param, caught.value.code) == ("image", "unsupported_file_mimetype")
    assert_nothing_leaks(fake, caught.value.response)
