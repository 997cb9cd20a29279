"""The responses that a resource keeps: their events are made when somebody reads them, and can be read again.

Owns the life of a background response, which goes one step further each time it is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from ...errors import invalid
from ...store import Json

_LOOKS = 2  # at the first a background response is in progress, at the second complete


@dataclass
class Kept:
    response: Json
    inputs: Sequence[Json]
    context: list[Json]  # what a following response builds on; the output joins it at the end
    source: Iterator[Json]
    log: list[Json] = field(default_factory=list[Json])
    looks: int = 0

    def events(self, after: int = -1) -> Iterator[Json]:
        """Those with a greater number, made now if nobody made them yet."""
        place = 0
        while True:
            while place >= len(self.log):
                made = next(self.source, None)
                if made is None:
                    return
                self.log.append(made)
            event = self.log[place]
            place += 1
            if event["sequence_number"] > after:
                yield event

    def frames(self, after: int = -1) -> Iterator[bytes]:
        for event in self.events(after):
            yield b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"

    def complete(self) -> Json:
        for _ in self.events():
            pass
        return self.response

    def look(self) -> Json:
        if self.response["background"] and self.response["status"] in ("queued", "in_progress"):
            self.looks += 1
            if self.looks >= _LOOKS:
                return self.complete()
            self.response["status"] = "in_progress"
        return self.response

    def cancel(self) -> Json:
        if not self.response["background"]:
            raise invalid("Cannot cancel a synchronous response.")
        if self.response["status"] in ("queued", "in_progress"):
            self.source = iter(())
            self.response["status"] = "cancelled"
        elif self.response["status"] != "cancelled":
            raise invalid(f"Cannot cancel a {self.response['status']} response.")
        return self.response
