"""Sends callbacks (batches.callbacks.CallbackClient): to the very addresses that were checked, and nowhere else.

A name is looked up once for each try, every address behind it has to be one of the internet's, and the connection goes
to one of these addresses with the name in TLS: what the name leads to a moment later changes nothing. No proxy, no
redirects, no credential; of the answer only the status is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohappyeyeballs import AddrInfoType

from shared.adapters.dialing import Dialer
from shared.adapters.request import Message, Origin, target_of
from shared.adapters.transport import Transport
from shared.batches.callback_addresses import Place, is_public
from shared.batches.callbacks import NotTaken
from shared.errors import UpstreamFailed

SECONDS = 10.0
"""For everything: name, connection, answer."""


class SafeCallbacks:
    async def post(self, place: Place, headers: Mapping[str, str], body: bytes) -> int:
        transport = _CheckedTransport(place)
        try:
            async with asyncio.timeout(SECONDS):
                answer = await transport.handle_async_request(_message(place, headers, body))
                await answer.aclose()
                return answer.status
        except TimeoutError as error:
            raise NotTaken(f"no answer within {SECONDS:g} s") from error
        except UpstreamFailed as error:
            raise NotTaken(error.detail) from error
        except ValueError as error:
            raise NotTaken("it is no address") from error
        finally:
            await transport.aclose()


class _CheckedTransport(Transport):
    """For one call."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._dialer = _CheckedDialer(place)


class _CheckedDialer(Dialer):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        found = await super()._addresses(origin)
        if not self._place.listed and not all(is_public(str(address[4][0])) for address in found):
            raise UpstreamFailed("unreachable", "the name leads to a private address (CALLBACK_HOSTS)")
        return found


def _message(place: Place, headers: Mapping[str, str], body: bytes) -> Message:
    raw = [(b"user-agent", b"tollgate/0.1"), (b"accept", b"*/*"), (b"connection", b"close")]
    raw += [(name.encode(), value.encode()) for name, value in headers.items()]
    return Message("POST", target_of(place.url), raw, body, None, SECONDS, SECONDS)
