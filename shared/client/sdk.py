"""The OpenAI SDK in front of a gateway of this process: a client whose transport is the pipeline, and opens no socket.

So bodies and forms, answers, streams, exceptions and retries are the SDK's own code and types. The only module that
knows the SDK and its HTTP library (httpx2 since its version 3, httpx before); both are loaded by the first call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Protocol

from shared.client.connections import Made
from shared.client.relay import Answered, NoAnswer, Question, Rest, answered
from shared.types import Json

_ADDRESS = "http://in-process/v1"
"""Never opened: the transport answers."""


class Loop(Protocol):
    """The event loop of another thread."""

    @property
    def alive(self) -> bool: ...

    def run[T](self, work: Coroutine[Any, Any, T]) -> T: ...


def make_client(made: Made, retries: int, loop: Loop | None) -> Any:
    """-> an openai.OpenAI for other threads than the gateway's, or without `loop` an openai.AsyncOpenAI."""
    try:
        import openai
    except ImportError as error:
        raise ImportError("shared.client returns the OpenAI SDK's types: install the package 'openai'") from error
    kinds = [kind.__module__.partition(".")[0] for kind in openai.DefaultHttpxClient.__mro__]
    http: Any = importlib.import_module(next(name for name in kinds if name in ("httpx2", "httpx")))
    options: Json = {"base_url": _ADDRESS, "api_key": "none", "max_retries": retries}
    if loop:
        inner = http.Client(transport=_sync_transport(http)(made, loop), trust_env=False)
        return openai.OpenAI(http_client=inner, **options)
    inner = http.AsyncClient(transport=_async_transport(http)(made), trust_env=False)
    return openai.AsyncOpenAI(http_client=inner, **options)


def ask(client: Any, resource: str, body: Json) -> Any:
    """Call a resource's method. What the method does not know by name travels in the body all the same."""
    holder = functools.reduce(getattr, resource.split("."), client)
    method = holder.generate if resource == "images" else holder.create
    known = _parameters(method.__func__)
    extra: Json = {**{k: v for k, v in body.items() if k not in known}, **(body.get("extra_body") or {})}
    return method(**{k: v for k, v in body.items() if k in known and k != "extra_body"}, extra_body=extra or None)


@functools.lru_cache(maxsize=64)
def _parameters(method: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(method).parameters)


@functools.cache
def _sync_transport(http: Any) -> Any:
    """-> the class of the transport for other threads than the gateway's."""

    class Body(http.SyncByteStream):
        def __init__(self, rest: Rest, loop: Loop) -> None:
            self._rest, self._loop = rest, loop
            _watch(self, rest)

        def __iter__(self) -> Iterator[bytes]:
            with _told(http):
                while (chunk := self._loop.run(self._rest.next())) is not None:
                    yield chunk

        def close(self) -> None:
            if self._loop.alive:  # else all of it has been closed with its loop
                self._loop.run(self._rest.close())

    class Transport(http.BaseTransport):
        def __init__(self, made: Made, loop: Loop) -> None:
            self._made, self._loop = made, loop

        def handle_request(self, request: Any) -> Any:
            question = _question(request, request.read())
            with _told(http):
                found = self._loop.run(answered(self._made, question))
            return _response(http, found, lambda rest: Body(rest, self._loop))

    return Transport


@functools.cache
def _async_transport(http: Any) -> Any:
    """-> the class of the transport for the gateway's own event loop."""

    class Body(http.AsyncByteStream):
        def __init__(self, rest: Rest) -> None:
            self._rest = rest
            _watch(self, rest)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _told(http):
                while (chunk := await self._rest.next()) is not None:
                    yield chunk

        async def aclose(self) -> None:
            await self._rest.close()

    class Transport(http.AsyncBaseTransport):
        def __init__(self, made: Made) -> None:
            self._made = made

        async def handle_async_request(self, request: Any) -> Any:
            question = _question(request, await request.aread())
            with _told(http):
                found = await answered(self._made, question)
            return _response(http, found, Body)

    return Transport


def _watch(body: object, rest: Rest) -> None:
    """An answer that nobody holds any more is closed."""
    weakref.finalize(body, rest.abandon).atexit = False


def _question(request: Any, body: bytes) -> Question:
    return Question(
        method=request.method,
        path=request.url.raw_path.partition(b"?")[0].decode(),
        query=tuple(request.url.params.multi_items()),
        content_type=request.headers.get("content-type", ""),
        body=body,
        patience=request.extensions.get("timeout", {}).get("read"),
    )


def _response(http: Any, found: Answered, stream: Callable[[Rest], Any]) -> Any:
    if isinstance(found.body, bytes):
        return http.Response(found.status, headers=found.headers, content=found.body)
    return http.Response(found.status, headers=found.headers, stream=stream(found.body))


class _told:
    """NoAnswer in the words of the HTTP library, from which the SDK makes its own."""

    def __init__(self, http: Any) -> None:
        self._kinds = {"connect": http.ConnectError, "read": http.ReadError, "timeout": http.ReadTimeout}

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NoAnswer):
            raise self._kinds[error.kind](str(error)) from error
