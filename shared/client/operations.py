"""The functions of shared.client: each is one method of the OpenAI SDK, asked through a gateway in this process.

Owns which parameters of a call are its connection, its options and its body. What a body may hold is the SDK's and the
pipeline's business.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from shared.client.connections import CONNECTION, InvalidParameter, document_of
from shared.client.loops import Loops, OwnLoop, Place
from shared.types import Json

ADDRESS = "http://in-process/v1"
"""Never opened: the transport answers."""
_REFUSED = {
    "extra_headers": "no header of a caller reaches an upstream",
    "extra_query": "the address of an upstream is made from api_base and api_version",
}
RETRIES = 2
"""As the OpenAI SDK's own default."""


class Operations:
    """`settings()`: connection parameters for calls that do not give them."""

    def __init__(self, loops: Callable[[], Loops], settings: Callable[[], Mapping[str, Any]]) -> None:
        self._loops = loops
        self._settings = settings

    def completion(self, model: str, messages: Any, **fields: Any) -> Any:
        """-> openai.types.chat.ChatCompletion; with stream=True an openai.Stream of ChatCompletionChunk."""
        return self._call("chat.completions", {"model": model, "messages": messages, **fields})

    async def acompletion(self, model: str, messages: Any, **fields: Any) -> Any:
        """As completion; with stream=True an openai.AsyncStream."""
        return await self._acall("chat.completions", {"model": model, "messages": messages, **fields})

    def text_completion(self, model: str, prompt: Any, **fields: Any) -> Any:
        """-> openai.types.Completion; with stream=True an openai.Stream of the same."""
        return self._call("completions", {"model": model, "prompt": prompt, **fields})

    async def atext_completion(self, model: str, prompt: Any, **fields: Any) -> Any:
        """As text_completion; with stream=True an openai.AsyncStream."""
        return await self._acall("completions", {"model": model, "prompt": prompt, **fields})

    def embedding(self, model: str, input: Any, **fields: Any) -> Any:
        """-> openai.types.CreateEmbeddingResponse."""
        return self._call("embeddings", {"model": model, "input": input, **fields})

    async def aembedding(self, model: str, input: Any, **fields: Any) -> Any:
        """As embedding."""
        return await self._acall("embeddings", {"model": model, "input": input, **fields})

    def responses(self, input: Any, model: str, **fields: Any) -> Any:
        """-> openai.types.responses.Response; with stream=True an openai.Stream of ResponseStreamEvent."""
        return self._call("responses", {"model": model, "input": input, **fields})

    async def aresponses(self, input: Any, model: str, **fields: Any) -> Any:
        """As responses; with stream=True an openai.AsyncStream."""
        return await self._acall("responses", {"model": model, "input": input, **fields})

    def image_generation(self, prompt: str, model: str, **fields: Any) -> Any:
        """-> openai.types.ImagesResponse; with stream=True an openai.Stream of ImageGenStreamEvent."""
        return self._call("images", {"model": model, "prompt": prompt, **fields})

    async def aimage_generation(self, prompt: str, model: str, **fields: Any) -> Any:
        """As image_generation; with stream=True an openai.AsyncStream."""
        return await self._acall("images", {"model": model, "prompt": prompt, **fields})

    def speech(self, model: str, input: str, voice: str, **fields: Any) -> Any:
        """-> openai.HttpxBinaryResponseContent: `content`, `write_to_file(path)`."""
        return self._call("audio.speech", {"model": model, "input": input, "voice": voice, **fields})

    async def aspeech(self, model: str, input: str, voice: str, **fields: Any) -> Any:
        """As speech."""
        return await self._acall("audio.speech", {"model": model, "input": input, "voice": voice, **fields})

    def transcription(self, model: str, file: Any, **fields: Any) -> Any:
        """-> openai.types.audio.Transcription, TranscriptionVerbose, or a string for text, srt and vtt."""
        return self._call("audio.transcriptions", {"model": model, "file": file, **fields})

    async def atranscription(self, model: str, file: Any, **fields: Any) -> Any:
        """As transcription."""
        return await self._acall("audio.transcriptions", {"model": model, "file": file, **fields})

    def _call(self, resource: str, fields: Json) -> Any:
        own = self._loops().own()
        provider = fields.get("azure_ad_token_provider")
        if provider is not None:
            fields["azure_ad_token"] = provider()
        client = self._client(own.place, fields, own)
        return _method(client, resource)(**_arguments(client, resource, fields))

    async def _acall(self, resource: str, fields: Json) -> Any:
        place = await self._loops().here()
        provider = fields.get("azure_ad_token_provider")
        if provider is not None:
            fields["azure_ad_token"] = await _token(provider)
        client = self._client(place, fields, None)
        return await _method(client, resource)(**_arguments(client, resource, fields))
