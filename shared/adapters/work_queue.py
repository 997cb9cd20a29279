"""Messages to ourselves on Storage Queues (batches.ports.Work).

A message may come twice: one whose answer was lost is sent again. Import cost 230 ms: the SDK is imported when a
message is first sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import orjson

from shared.adapters.azure_errors import unavailable
from shared.types import Json

QUEUES = {
    "queue_batch_looks": "tollgate-batch-looks",
    "queue_batch_looks_poison": "tollgate-batch-looks-poison",
    "queue_batch_lines": "tollgate-batch-lines",
    "queue_batch_lines_poison": "tollgate-batch-lines-poison",
    "queue_batch_drops": "tollgate-batch-drops",
}
"""function -> the queue that starts it. Of the drops, Event Grid is the sender."""
LONGEST_SECONDS = 7 * 86400
"""Azure hides no message for longer."""
_AT_ONCE = 16


class QueueWork:
    """make: name -> the SDK's client for a queue."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make

    async def send(self, queue: Literal["looks", "lines", "drops"], message: Json, delay: float = 0.0) -> None:
        """Makes the queue when it is missing."""
        from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

        client = self._make(QUEUES[f"queue_batch_{queue}"])
        text = base64.b64encode(orjson.dumps(message)).decode()  # as queue triggers of Azure Functions read it
        hidden = min(max(math.ceil(delay), 0), LONGEST_SECONDS)

        async def put() -> None:
            await client.send_message(text, visibility_timeout=hidden, time_to_live=-1)  # it never runs out

        try:
            try:
                await put()
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):  # somebody else was quicker
                    await client.create_queue()
                await put()
        except AzureError as error:
            raise unavailable(error, "queue") from error

    async def send_all(
        self, queue: Literal["looks", "lines", "drops"], messages: Sequence[Json], delay: float = 0.0
    ) -> None:
        for together in itertools.batched(messages, _AT_ONCE, strict=False):
            sent = (self.send(queue, message, delay) for message in together)
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if outcome is not None:
                    raise outcome
