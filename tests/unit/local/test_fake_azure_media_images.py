"""Images of the fake: the real SDK, both kinds of model, edits, streams, the old submit-and-poll route."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import dimensions, is_image, picture

PNG = picture("a seed")


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


def dated(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["main"]
    version = "2025-04-01-preview"
    return openai.AzureOpenAI(
        azure_endpoint=row.url,
        api_key=row.key,
        api_version=version,
        max_retries=0,
        _strict_response_validation=True,
    )


def v1(azure: FakeAzure) -> openai.OpenAI:
    row = azure.state.resources["second"]
    base = f"{row.url}/openai/v1"
    return openai.OpenAI(base_url=base, api_key=row.key, max_retries=0, _strict_response_validation=True)


@pytest.fixture(params=[dated, v1])
def client(azure: FakeAzure, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with request.param(azure) as made:
        yield made


def post(azure: FakeAzure, path: str, body: Any) -> httpx.Response:
    row = azure.state.resources["main"]
    return httpx.post(row.url + path, json=body, headers={"api-key": row.key})


def test_dalle_gives_a_url_that_opens_without_a_key(client: openai.OpenAI) -> None:
    image = (client.images.generate(model="dall-e-3", prompt="a cat", quality="hd", style="natural").data or [])[0]
    assert image.revised_prompt == "A natural picture of: a cat"
    assert image.url
    file = httpx.get(image.url)
    assert file.headers["content-type"] == "image/png"
    assert dimensions(file.content)
    assert httpx.get(image.url.replace("sig=", "sig=x")).status_code == 403


def test_dalle_tells_azures_verdicts(azure: FakeAzure) -> None:
    body = {"model": "dall-e-3", "prompt": "a cat", "response_format": "b64_json"}
    row = post(azure, "/openai/v1/images/generations", body).json()["data"][0]
    assert row["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert row["prompt_filter_results"]["profanity"] == {"detected": False, "filtered": False}
    assert dimensions(base64.b64decode(row["b64_json"]))


def test_gpt_image_is_inline_and_metered(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="gpt-image-1", prompt="a cat", n=2, size="1024x1536", quality="medium", output_format="jpeg"
    )
    files = [base64.b64decode(row.b64_json or "") for row in answer.data or []]
    assert [file[:3] for file in files] == [b"\xff\xd8\xff"] * 2
    assert files[0] != files[1]
    assert (answer.size, answer.quality, answer.output_format) == ("1024x1536", "medium", "jpeg")
    assert answer.usage
    assert answer.usage.output_tokens == 2 * 1_584
    assert answer.usage.input_tokens_details.text_tokens == 2


def test_partial_images_are_streamed(client: openai.OpenAI) -> None:
    events = list(client.images.generate(model="gpt-image-1", prompt="a cat", stream=True, partial_images=2))
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert last.usage.output_tokens == 4_160 + 200
    assert len({event.b64_json for event in events}) == 3


def test_edit_takes_several_images_and_a_mask(client: openai.OpenAI) -> None:
    other = picture("other", "webp")
    files = [("a.png", PNG, "image/png"), ("b.webp", other, "image/webp")]
    answer = client.images.edit(model="gpt-image-1", prompt="a hat", image=files, mask=("m.png", PNG, "image/png"))
    assert answer.usage
    assert answer.usage.input_tokens_details.image_tokens == 3 * 194
    alone = client.images.edit(model="gpt-image-1", prompt="a hat", image=files[0])
    assert (alone.data or [])[0].b64_json != (answer.data or [])[0].b64_json


def test_edit_is_streamed(client: openai.OpenAI) -> None:
    stream = client.images.edit(
        model="gpt-image-1", prompt="a hat", image=("a.png", PNG), stream=True, partial_images=1
    )
    assert [event.type for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "dall-e-3", "n": 2}, None),
        ({"model": "dall-e-3", "size": "256x256"}, "size"),
        ({"model": "dall-e-3", "quality": "high"}, "quality"),
        ({"model": "dall-e-3", "background": "opaque"}, "background"),
        ({"model": "gpt-image-1", "response_format": "url"}, "response_format"),
        ({"model": "gpt-image-1", "quality": "hd"}, "quality"),
        ({"model": "gpt-image-1", "style": "vivid"}, "style"),
        ({"model": "gpt-image-1", "n": 11}, "n"),
        ({"model": "gpt-image-1", "partial_images": 1}, "partial_images"),
        ({"model": "gpt-image-1", "prompt": ""}, "prompt"),
        ({"model": "gpt-image-1", "prompt": "filter me"}, "prompt"),
    ],
)
def test_bad_images_are_refused(azure: FakeAzure, body: dict[str, Any], param: str | None) -> None:
    answer = post(azure, "/openai/v1/images/generations", {"prompt": "a cat", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_bad_uploads_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="unsupported mimetype"):
        client.images.edit(model="gpt-image-1", prompt="a hat", image=("a.png", b"no image"))
    with pytest.raises(openai.BadRequestError, match="imageEdits operation does not work"):
        client.images.edit(model="dall-e-3", prompt="a hat", image=("a.png", PNG))


@pytest.mark.parametrize(
    ("deployment", "version", "status"),
    [
        ("dall-e-3", "2024-02-01", 200),
        ("dall-e-3", "2023-10-01-preview", 404),
        ("gpt-image-1", "2025-04-01-preview", 200),
        ("gpt-image-1", "2024-10-21", 404),
    ],
)
def test_dated_versions_have_their_models(azure: FakeAzure, deployment: str, version: str, status: int) -> None:
    path = f"/openai/deployments/{deployment}/images/generations?api-version={version}"
    assert post(azure, path, {"prompt": "a cat"}).status_code == status


def test_old_versions_submit_and_poll(azure: FakeAzure) -> None:
    row = azure.state.resources["main"]
    headers = {"api-key": row.key}
    submitted = post(azure, "/openai/images/generations:submit?api-version=2023-06-01-preview", {"prompt": "x", "n": 2})
    assert submitted.status_code == 202
    place = submitted.headers["operation-location"]
    assert place.startswith(f"{row.url}/openai/operations/images/")
    assert place.endswith("?api-version=2023-06-01-preview")
    told = [httpx.get(place, headers=headers).json() for _ in range(3)]
    assert [row["status"] for row in told] == ["notRunning", "running", "succeeded"]
    urls = [row["url"] for row in told[-1]["result"]["data"]]
    assert all(is_image(httpx.get(url).content) for url in urls)
    assert len(set(urls)) == 2
    assert httpx.get(place).status_code == 401
    assert httpx.delete(place, headers=headers).status_code == 204
    assert httpx.get(place, headers=headers).status_code == 404
    late = post(azure, "/openai/images/generations:submit?api-version=2024-02-01", {"prompt": "x"})
    assert late.status_code == 404


def test_image_stream_and_file_are_cut(azure: FakeAzure) -> None:
    row = azure.state.resources["main"]
    headers = {"api-key": row.key}
    body = {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 3}
    azure.add_fault("cut", after=2)
    address = f"{row.url}/openai/v1/images/generations"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(address, json=body, headers=headers)
    made = post(azure, "/openai/v1/images/generations", {"model": "dall-e-3", "prompt": "a cat"}).json()
    azure.add_fault("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(made["data"][0]["url"])
