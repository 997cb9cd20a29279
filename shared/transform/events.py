"""The part of every streamed answer that cuts chunks into events, and knows when there will be no more of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from shared import errors, sse
from shared.errors import ApiError

_DONE = (b"data: [DONE]", b"data:[DONE]")


class EventCutter(ABC):
    """What a chunk holds is given to `_event`, one event's data after the other; `_rest` says what is owed at the end.

    `ended` says whether the stream came to its proper end, `error` what the upstream said if it failed.
    """

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._finished = False
        """The upstream has said that the answer is whole, though not that nothing follows."""
        self.done = False
        self.told: ApiError | None = None
        self.model = ""
        self.error: ApiError | None = None

    @property
    def ended(self) -> bool:
        """True after [DONE], or after a finish_reason when the upstream then ended cleanly without one."""
        return self.done or (self._finished and not self._splitter.rest().strip())

    def feed(self, chunk: bytes) -> bytes:
        """-> the events that are now complete, as the client shall see them; empty when there are none yet."""
        try:
            found = self._splitter.feed(chunk)
        except sse.EventTooLarge:
            self._fail(errors.bad_answer())
            return b""
        out: list[bytes] = []
        for data in found:
            if self.error or self.done:
                break
            out.append(self._event(data))
        return b"".join(out)

    def end(self) -> bytes:
        """-> what is still to be sent when the upstream has ended in good order, with or without [DONE]."""
        if self.done or self.error:
            return b""
        if self._splitter.rest().strip() in _DONE:  # without the blank line
            return self._event(b"[DONE]")
        return self._rest() if self.ended else b""

    def _fail(self, error: ApiError) -> None:
        """The stream ends here, with this error."""
        self.error = error

    def _tell(self, error: ApiError) -> None:
        """The client is told of this failure by the upstream's own event."""
        self.told = error

    @abstractmethod
    def _event(self, data: bytes) -> bytes: ...

    @abstractmethod
    def _rest(self) -> bytes: ...
