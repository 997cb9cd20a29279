"""Videos by the OpenAI SDK: made, asked about, listed, fetched, made anew, deleted.

Each test also looks at what was sent upstream, and at the usage record.
"""

# pyright: reportDeprecated=false

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, last_upstream, upstream_calls

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
"""OpenAI's own service ends; Azure's goes on."""
PROMPT = "a cat chases a mouse"


def made(client: openai.OpenAI, **fields: Any) -> Any:
    return client.videos.create(model="sora", prompt=PROMPT, **fields)


def finished(client: openai.OpenAI, identity: str) -> Any:
    """The fake takes a step each time it is asked."""
    return [client.videos.retrieve(identity) for _ in range(2)][-1]


def test_whole_life_of_a_video(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        video = made(client, seconds="8", size="1280x720")
        assert (video.model, video.status, video.seconds) == ("sora", "queued", "8")
        sent = last_upstream(fake)
        assert (sent.path, sent.body["model"] if sent.body else "sora-2") == ("/openai/v1/videos", "sora-2")
        raw = fake_ids(fake)
        assert video.id not in raw
        done = finished(client, video.id)
        assert (done.id, done.status) == (video.id, "completed")
        assert [row.id for row in client.videos.list()] == [video.id]
        file = client.videos.download_content(video.id)
        assert file.response.headers["content-type"] == "video/mp4"
        assert len(file.content) > 4_096 * 8
        thumbnail = client.videos.download_content(video.id, variant="thumbnail")
        assert thumbnail.response.headers["content-type"] == "image/webp"
        assert last_upstream(fake).query["variant"] == "thumbnail"
        remix = client.videos.remix(video.id, prompt="now at night")
        assert remix.remixed_from_video_id == video.id
        assert {row.id for row in client.videos.list()} == {video.id, remix.id}
        gone = client.videos.delete(video.id)
        assert (gone.id, gone.deleted) == (video.id, True)
        assert [row.id for row in client.videos.list()] == [remix.id]
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(video.id)
    events = stack.usage(key, 11)
    by_name = {e["endpoint"]: e.get("video_ms", 0) for e in events}
    assert by_name == {
        "videos_create": 8_000, "videos_remix": 8_000, "videos_retrieve": 0, "videos_list": 0, "videos_content": 0,
        "videos_delete": 0,
    }  # fmt: skip


def fake_ids(fake: FakeAzure) -> str:
    return " ".join(call.path for call in upstream_calls(fake))


def test_multipart_with_a_first_picture(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        video = made(client, input_reference=("first.png", picture("first"), "image/png"), seconds="4")
    sent = last_upstream(fake)
    assert picture("first") in sent.raw
    assert b"Content-Type: image/png" in sent.raw
    assert b"sora-2" in sent.raw
    assert video.model == "sora"
    (event,) = stack.usage(key, 1)
    assert (event["video_ms"], event["endpoint"]) == (4_000, "videos_create")


def test_json(stack: Stack, key: Key, fake: FakeAzure) -> None:
    reply = stack.post(key, {"model": "sora", "prompt": PROMPT}, "/v1/videos")
    assert reply.status_code == 200, reply.text
    assert last_upstream(fake).body == {"model": "sora-2", "prompt": PROMPT}
    assert_nothing_leaks(fake, reply)
    assert stack.usage(key, 1)[0]["video_ms"] == 4_000


def test_videos_are_their_owners_own(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client, stack.openai(stack.key()) as other:
        video = made(client)
        asked = len(upstream_calls(fake))
        assert not list(other.videos.list())
        for act in (
            other.videos.retrieve, other.videos.delete, other.videos.download_content,
            lambda identity: other.videos.remix(identity, prompt="x"),
        ):  # fmt: skip
            for identity in (video.id, "video_raw", video.id[:-2] + "xx"):
                with pytest.raises(openai.NotFoundError) as caught:
                    act(identity)
                assert caught.value.code == "not_found"
    assert len(upstream_calls(fake)) == asked


def test_content_is_streamed_and_never_short(stack: Stack, key: Key, fake: FakeAzure) -> None:
    with stack.openai(key) as client:
        video = finished(client, made(client, seconds="12").id)
        fake.add_fault("slow_chunks", seconds=0.2)
        with client.videos.with_streaming_response.download_content(video.id) as answer:
            pieces = answer.iter_bytes(16)
            next(pieces)
            assert not last_upstream(fake).completed
            assert int(answer.headers["content-length"]) == 16 + sum(map(len, pieces))
        fake.add_fault("cut")
        with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
            client.videos.download_content(video.id)
        with pytest.raises(openai.BadRequestError, match="not ready"):
            client.videos.download_content(made(client).id)
    assert [e["outcome"] for e in stack.usage(key, 7)].count("upstream_cut") == 1


def test_video_that_fails_says_why(stack: Stack, key: Key) -> None:
    with stack.openai(key) as client:
        video = finished(client, client.videos.create(model="sora", prompt="this must fail").id)
    assert (video.status, video.error.code) == ("failed", "moderation_blocked")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "sora"}, "prompt"),
        ({"prompt": PROMPT}, "model"),
        ({"model": "sora", "prompt": 5}, "prompt"),
        ({"model": "whisper", "prompt": PROMPT}, "model"),
    ],
)
def test_bad_video(stack: Stack, key: Key, fake: FakeAzure, body: Any, param: str) -> None:
    reply = stack.post(key, body, "/v1/videos")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    if isinstance(body.get("prompt", ""), str):
        as_form = stack.http.post("/v1/videos", data=body, files={"none": (None, b"")}, headers=key.bearer)
        assert (as_form.status_code, as_form.json()["error"]["param"]) == (400, param), as_form.text
    assert not upstream_calls(fake)


def test_file_of_another_resource_is_not_known_to_this_one(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """Neither in JSON nor in a form, whose fields are read when it is decided already where the call goes."""
    with stack.openai(key) as client:
        there = {"x-tollgate-model": "second"}
        file = client.files.create(file=("a.txt", b"x"), purpose="user_data", extra_headers=there)
    asked = len(upstream_calls(fake))
    body = {"model": "sora", "prompt": PROMPT, "input_reference": {"file_id": file.id}}
    assert stack.post(key, body, "/v1/videos").status_code in (400, 404)
    parts = {"model": "sora", "prompt": PROMPT, "input_reference[file_id]": file.id}
    reply = stack.http.post("/v1/videos", files={k: (None, v) for k, v in parts.items()}, headers=key.bearer)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "objects_elsewhere"), reply.text
    assert not any(call.completed for call in upstream_calls(fake)[asked:])
