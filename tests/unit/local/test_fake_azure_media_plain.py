"""What the fake's plain OpenAI resource serves besides chat: the same operations under /v1, without Azure's extras."""

# pyright: reportDeprecated=false

from collections.abc import Iterator

import openai
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.media.pictures import picture
from local.fake_azure.media.sound import spoken, wav


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()


@pytest.fixture
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["openai"]
    with openai.OpenAI(
        base_url=f"{row.url}/v1", api_key=row.key, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi")
    assert answer.choices[0].text == "You said: hi"
    assert "filter" not in answer.to_json()
    vectors = client.embeddings.create(model="text-embedding-3-small", input="a", encoding_format="float")
    assert len(vectors.data[0].embedding) == 1536


def test_images(client: openai.OpenAI) -> None:
    answer = client.images.generate(model="dall-e-2", prompt="a cat", n=2, response_format="b64_json", size="256x256")
    assert len({row.b64_json for row in answer.data or []}) == 2
    assert "filter" not in answer.to_json()
    edited = client.images.edit(model="dall-e-2", prompt="a hat", image=("a.png", picture("a")), size="256x256")
    assert (edited.data or [])[0].url


def test_audio(client: openai.OpenAI) -> None:
    assert client.audio.speech.create(model="tts-1", voice="alloy", input="hi").content == spoken("hi", "alloy")
    file = ("s.wav", wav(bytes(48_000)))
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text.startswith("Heard s.wav")


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_there_is_no_video_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model `sora-2` does not exist"):
        client.videos.create(model="sora-2", prompt="a dog")
    assert client.videos.list().data == []
