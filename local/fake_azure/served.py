"""What each deployment has served: requests and tokens per day, as Azure Monitor would know them.

Owns the counting, which reads the usage out of the answers themselves, and so counts for every operation. Knows
neither who asks for the figures nor what an operation is.
"""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

_USAGE = re.compile(rb'"usage":\{')


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one deployment on one day."""

    requests: int = 0
    input: int = 0
    output: int = 0


class Served:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._days: dict[tuple[str, str, str], Tokens] = {}

    def add(
        self, resource: str, deployment: str, day: str = "", *, requests: int = 0, input: int = 0, output: int = 0
    ) -> None:
        """`day`: YYYY-MM-DD, today when empty."""
        place = (resource, deployment, day or datetime.now(UTC).date().isoformat())
        with self._lock:
            known = self._days.get(place, Tokens())
            self._days[place] = Tokens(known.requests + requests, known.input + input, known.output + output)

    def on(self, resource: str, day: str) -> dict[str, Tokens]:
        """By deployment."""
        with self._lock:
            return {name: tokens for (of, name, at), tokens in self._days.items() if (of, at) == (resource, day)}

    def body(self, resource: str, deployment: str, body: bytes) -> None:
        """An answer in one piece."""
        self._count(resource, deployment, _usage(body, Tokens()))

    def stream(self, resource: str, deployment: str, events: Iterator[bytes]) -> Iterator[bytes]:
        """The events as they are; what they told is counted when they end, also before their time."""
        told = Tokens()
        try:
            for event in events:
                if _USAGE.search(event):
                    told = _usage(event.partition(b"data: ")[2] or event, told)
                yield event
        finally:
            self._count(resource, deployment, told)

    def _count(self, resource: str, deployment: str, told: Tokens) -> None:
        self.add(resource, deployment, requests=1, input=told.input, output=told.output)


def _usage(body: bytes, known: Tokens) -> Tokens:
    """The later of two tellings counts: Claude says the input first and the output at the end."""
    if not _USAGE.search(body):
        return known
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return known
    usage = next((part["usage"] for part in _holders(said) if isinstance(part.get("usage"), dict)), None)
    if usage is None:
        return known
    cached = sum(int(usage.get(name) or 0) for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    given = usage.get("prompt_tokens", usage.get("input_tokens"))
    made = usage.get("completion_tokens", usage.get("output_tokens"))
    found = known if given is None else replace(known, input=int(given) + cached)
    return found if made is None else replace(found, output=int(made))


def _holders(said: Any) -> Iterator[dict[str, Any]]:
    """The answer itself, the response of an event, the message of an event."""
    if isinstance(said, dict):
        yield said
        yield from (said[name] for name in ("response", "message") if isinstance(said.get(name), dict))
