"""Videos of the fake: the real SDK from the first to the last call, forms and JSON, state by resource."""

# pyright: reportDeprecated=false

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.videos import movie

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["main"]
    base = f"{row.url}/openai/v1"
    with openai.OpenAI(
        base_url=base,
        api_key=row.key,
        max_retries=0,
        default_query={"api-version": "preview"},
        _strict_response_validation=True,
    ) as made:
        yield made


def call(azure: FakeAzure, method: str, path: str, resource: str = "main", **parts: Any) -> httpx.Response:
    row = azure.state.resources[resource]
    return httpx.request(method, f"{row.url}/openai/v1/videos{path}", headers={"api-key": row.key}, **parts)


def finished(client: openai.OpenAI, **options: Any) -> str:
    made = client.videos.create(model="sora-2", **options)
    return client.videos.poll(made.id, poll_interval_ms=1).id


def test_video_from_queue_to_file(client: openai.OpenAI) -> None:
    made = client.videos.create(model="sora-2", prompt="a dog", seconds="8", size="1280x720")
    told = [made, *(client.videos.retrieve(made.id) for _ in range(2))]
    assert [(video.status, video.progress) for video in told] == [
        ("queued", 0),
        ("in_progress", 50),
        ("completed", 100),
    ]
    assert (made.seconds, made.size, made.model) == ("8", "1280x720", "sora-2-2025-10-06")
    answer = client.videos.download_content(made.id)
    assert answer.response.headers["content-type"] == "video/mp4"
    assert answer.content == movie("a dog 1280x720 None", 8)
    assert answer.content[4:8] == b"ftyp"
    small = client.videos.download_content(made.id, variant="thumbnail")
    assert small.response.headers["content-type"] == "image/webp"


def test_reference_image_is_uploaded(client: openai.OpenAI) -> None:
    made = client.videos.create(model="sora-2", prompt="a dog", input_reference=("a.png", b"bytes"))
    assert made.status == "queued"


def test_video_is_not_there_before_it_is_done(azure: FakeAzure, client: openai.OpenAI) -> None:
    made = client.videos.create(model="sora-2", prompt="a dog")
    early = call(azure, "GET", f"/{made.id}/content")
    assert early.status_code == 400
    assert "not ready yet" in early.json()["error"]["message"]


def test_failed_video_says_why(client: openai.OpenAI) -> None:
    made = client.videos.retrieve(finished(client, prompt="please fail"))
    assert made.status == "failed"
    assert made.error
    assert made.error.code == "moderation_blocked"


def test_videos_made_of_videos(client: openai.OpenAI) -> None:
    source = finished(client, prompt="a dog")
    assert client.videos.remix(source, prompt="a cat").remixed_from_video_id == source
    edited: Any = client.post("/videos/edits", body={"prompt": "y", "video": {"id": source}}, cast_to=dict[str, Any])
    assert edited["remixed_from_video_id"] == source
    body = {"prompt": "y", "seconds": "8", "video": {"id": source}}
    longer: Any = client.post("/videos/extensions", body=body, cast_to=dict[str, Any])
    assert longer["seconds"] == "12"
    assert client.videos.edit(prompt="y", video=("a.mp4", b"123")).remixed_from_video_id
    assert client.videos.extend(prompt="y", seconds="4", video=("a.mp4", b"123")).seconds == "8"


def test_form_names_a_video_in_brackets(azure: FakeAzure, client: openai.OpenAI) -> None:
    source = finished(client, prompt="a dog")
    form = {"prompt": (None, "y"), "video[id]": (None, source)}
    assert call(azure, "POST", "/edits", files=form).json()["remixed_from_video_id"] == source


def test_list_pages_and_delete(azure: FakeAzure, client: openai.OpenAI) -> None:
    ids = [client.videos.create(model="sora-2", prompt=f"dog {place}").id for place in range(3)]
    newest = client.videos.list(limit=2)
    assert [video.id for video in newest.data] == [ids[2], ids[1]]
    assert newest.has_more
    assert ids == [video.id for video in client.videos.list(order="asc") if video.id in ids]
    assert client.videos.delete(ids[0]).deleted
    assert call(azure, "GET", f"/{ids[0]}").status_code == 404
    assert call(azure, "GET", "", params={"after": ids[0]}).status_code == 404


def test_a_video_belongs_to_its_resource(azure: FakeAzure, client: openai.OpenAI) -> None:
    made = client.videos.create(model="sora-2", prompt="a dog")
    assert call(azure, "GET", f"/{made.id}").status_code == 200
    assert call(azure, "GET", f"/{made.id}", "second").status_code == 404


def test_characters(azure: FakeAzure, client: openai.OpenAI) -> None:
    made = client.videos.create_character(name="Bo", video=("a.mp4", b"123"))
    assert client.videos.get_character(made.id or "").name == "Bo"
    assert call(azure, "GET", "/characters/char_none").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": ""}, 400),
        ({"prompt": "filter me"}, 400),
        ({"seconds": "5"}, 400),
        ({"size": "1792x1024"}, 400),
        ({"colour": "red"}, 400),
        ({"model": "gpt-4o"}, 400),
        ({"model": "nothing"}, 404),
    ],
)
def test_bad_videos_are_refused(azure: FakeAzure, body: dict[str, Any], status: int) -> None:
    assert call(azure, "POST", "", json={"model": "sora-2", "prompt": "x", **body}).status_code == status


def test_download_is_cut(azure: FakeAzure, client: openai.OpenAI) -> None:
    made = finished(client, prompt="a dog")
    azure.add_fault("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        call(azure, "GET", f"/{made}/content")
