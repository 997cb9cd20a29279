"""The functions of shared.client: each is one method of the OpenAI SDK, asked through a gateway in this process.

Owns which parameters of a call are its connection, its options and its body. What a body may hold is the SDK's and the
pipeline's business.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from shared.client.connections import CONNECTION, Gateways, InvalidParameter
from shared.client.loops import Loops, OwnLoop
from shared.types import Json

_TAKEN = CONNECTION | frozenset({"azure_ad_token_provider", "max_retries", "num_retries"})
_REFUSED = {
    "extra_headers": "no header of a caller reaches an upstream → leave it out",
    "extra_query": "the address of an upstream is made of api_base and api_version → leave it out",
}
type Describe = Callable[[str, Json], Json]


class Operations:
    """`describe(model, connection)`: a model as config.yaml would have it, with all others that belong to it.

    Every function takes the parameters of the SDK's method, those that the SDK does not know (they travel in the
    body), and connection parameters. All raise InvalidParameter for a connection that cannot work, and the exceptions
    of the OpenAI SDK.
    """

    def __init__(self, loops: Callable[[], Loops], describe: Describe, *, retries: int = 2) -> None:
        """retries: of the SDK, where a call does not say; as many as its own default. 0: routing retries by itself."""
        self._loops = loops
        self._describe = describe
        self._retries = retries

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
        if (provider := fields.get("azure_ad_token_provider")) is not None:
            token = provider()
            fields["azure_ad_token"] = own.run(token) if inspect.iscoroutine(token) else token
        return self._ask(own.place.gateways, own, resource, fields)

    async def _acall(self, resource: str, fields: Json) -> Any:
        place = await self._loops().here()
        if (provider := fields.get("azure_ad_token_provider")) is not None:
            fields["azure_ad_token"] = await _token(provider)
        return await self._ask(place.gateways, None, resource, fields)

    def _ask(self, gateways: Gateways, own: OwnLoop | None, resource: str, fields: Json) -> Any:
        """-> the SDK's answer, or without a loop of our own what is awaited for it. Raises InvalidParameter."""
        from shared.client import sdk  # the first call loads what it needs, not the import

        for name, why in _REFUSED.items():
            if fields.get(name):
                raise InvalidParameter(f"{name}: {why}", name)
        given = {name: value for name, value in fields.items() if name in CONNECTION and value is not None}
        model = fields["model"]
        if not isinstance(model, str):
            raise InvalidParameter("model: not a string → write azure/DEPLOYMENT-NAME", "model")
        made = gateways.of(self._describe(model, given))
        wanted = fields.get("max_retries", fields.get("num_retries") if self._retries else None)
        retries = self._retries if wanted is None else int(wanted)
        client = made.clients.get(retries)
        if client is None:
            client = made.clients[retries] = sdk.make_client(made, retries, own)
        return sdk.ask(client, resource, self._body(fields))

    def _body(self, fields: Json) -> Json:
        """What is left for the SDK; None is as good as nothing."""
        taken = _TAKEN if self._retries else _TAKEN - {"num_retries"}
        return {name: value for name, value in fields.items() if value is not None and name not in taken}


async def _token(provider: Callable[[], Any]) -> Any:
    """A provider that is no coroutine may wait for the network: it does so in a thread."""
    token = provider() if inspect.iscoroutinefunction(provider) else await asyncio.to_thread(provider)
    return await token if inspect.isawaitable(token) else token
