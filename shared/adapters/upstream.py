"""HTTP to the deployments (ports.Upstream), and the only place where a credential meets a request.

Headers are built from nothing: no header of a client reaches an upstream.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from shared.adapters.request import Message, target_of
from shared.adapters.transport import Transport
from shared.errors import UpstreamFailed
from shared.ports import Tokens
from shared.types import UpstreamReply, UpstreamRequest

if TYPE_CHECKING:
    from shared.adapters.proxied import ProxiedTransport

_BASE_HEADERS = [
    (b"accept", b"application/json, text/event-stream, */*"),
    (b"accept-encoding", b"identity"),  # what is relayed must not have to be unpacked first
    (b"user-agent", b"tollgate/0.1"),
]


class RotatedSecrets(Protocol):
    """Key Vault, which is asked again for a key that a deployment has refused."""

    async def get(self, name: str, refused: str = "") -> str:
        """Raises UpstreamFailed("secret")."""
        ...


class HttpUpstream:
    """The deployments, through one transport of the process."""

    def __init__(self, tokens: Tokens, secrets: RotatedSecrets, *, use_proxy: bool = False) -> None:
        self._tokens = tokens
        self._secrets = secrets
        self._transport = _through_proxy() if use_proxy else Transport()

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        if timeout is None:
            return await self._open_signed(request)
        try:
            async with asyncio.timeout(timeout):
                return await self._open_signed(request)
        except TimeoutError as error:
            raise UpstreamFailed("timeout", f"no answer within {timeout} s") from error

    async def _open_signed(self, request: UpstreamRequest) -> UpstreamReply:
        """Once more with a fresh token when the first was refused: it may have been revoked or replaced."""
        credential = request.credential
        if credential.kind == "api_key":
            return await self._open_with_key(request)
        token = await self._tokens.get(credential)
        reply = await self._send(request, _bearer(token))
        if reply.status != 401:
            return reply
        self._tokens.refuse(credential, token)
        renewed = await self._tokens.get(credential)
        if renewed == token:
            return reply
        await reply.close()
        return await self._send(request, _bearer(renewed))

    async def _open_with_key(self, request: UpstreamRequest) -> UpstreamReply:
        """Once more when the vault has another key by now: keys are rotated."""
        secret = request.credential.secret
        if not secret.vault_name:
            return await self._send(request, _key(request, secret.reveal()))
        key = await self._secrets.get(secret.vault_name)
        reply = await self._send(request, _key(request, key))
        if reply.status != 401:
            return reply
        renewed = await self._secrets.get(secret.vault_name, refused=key)
        if renewed == key:
            return reply
        await reply.close()
        return await self._send(request, _key(request, renewed))

    async def _send(self, request: UpstreamRequest, auth: tuple[bytes, bytes]) -> UpstreamReply:
        headers = [*_BASE_HEADERS, auth]
        if request.content_type:
            headers.append((b"content-type", request.content_type.encode("latin-1")))
        headers += [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
        message = Message(
            request.method,
            target_of(request.url),
            headers,
            request.body,
            request.length,
            request.connect,
            request.idle,
        )
        answer = await self._transport.handle_async_request(message)
        return UpstreamReply(answer.status, answer.headers, answer, answer.aclose)

    async def close(self) -> None:
        await self._transport.aclose()


def _key(request: UpstreamRequest, key: str) -> tuple[bytes, bytes]:
    return _bearer(key) if request.auth_header == "bearer" else (request.auth_header.encode(), key.encode())


def _bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token.encode()


def _through_proxy() -> ProxiedTransport:
    from shared.adapters.proxied import ProxiedTransport

    return ProxiedTransport()
