"""The chunks of a chat completion as Anthropic's events: blocks one after the other, each begun, filled and closed.

Chat may write several calls at once, Anthropic's blocks cannot interleave: the first call is passed on as it comes,
and what belongs to later ones is kept until the first is done. Besides that, state is a few scalars.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.transform.messages_on_chat_answer import empty_message, message_usage, stop_reason, text_of, wants_thinking
from shared.types import Json

TEXT, THOUGHT = "text", "thinking"


@dataclass(slots=True)
class _Waiting:
    """A block that cannot be written yet."""

    id: str = ""
    name: str = ""
    written: list[str] = field(default_factory=list[str])


class Events:
    """One streamed answer. `message_delta` and `message_stop` wait for the end, since chat's usage comes last."""

    def __init__(self, body: Json) -> None:
        self._shows_thought = wants_thinking(body)
        self._id = ""
        self._blocks = 0
        self._open: str | int | None = None
        """What is being written: text, thought, or the call of that index."""
        self._waiting: dict[str | int, _Waiting] = {}
        self._finish: Any = None
        self._usage: Any = None
        self._called = self._refused = self._ended = False

    def feed(self, event: Json) -> list[Json]:
        """One chunk -> the events that it makes, often one, sometimes none."""
        if event.get("usage"):
            self._usage = event["usage"]
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        out: list[Json] = [] if self._id else self._start(event)
        delta = choice.get("delta")
        if isinstance(delta, dict):
            out += self._delta(delta)
        if choice.get("finish_reason"):
            self._finish = choice["finish_reason"]
            out += self._close_all()
        return out

    def end(self) -> list[Json]:
        """What is still open, the reason to stop with the usage, and the last event; once."""
        if self._ended:
            return []
        out = ([] if self._id else self._start({})) + self._close_all()
        self._ended = True
        delta = {
            "stop_reason": stop_reason(self._finish, called=self._called, refused=self._refused),
            "stop_sequence": None,
        }
        usage = {name: value for name, value in message_usage(self._usage).items() if name in _DELTA_USAGE}
        return [*out, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def _start(self, event: Json) -> list[Json]:
        message = empty_message(event)
        self._id = message["id"]
        return [{"type": "message_start", "message": message}]

    def _delta(self, delta: Json) -> list[Json]:
        out: list[Json] = []
        if self._shows_thought and (thought := text_of(delta.get("reasoning_content"))):
            out += self._write(THOUGHT, thought)
        for name in ("content", "refusal"):
            if text := text_of(delta.get(name)):
                self._refused = self._refused or name == "refusal"
                out += self._write(TEXT, text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                out += self._call(call)
        return out

    def _write(self, kind: str, text: str) -> list[Json]:
        """Text and thought alternate as they come, but a call that is being written is not torn apart by them."""
        if self._open == kind:
            return [self._written(kind, text)]
        if isinstance(self._open, int) or self._waiting:
            self._waiting.setdefault(kind, _Waiting()).written.append(text)
            return []
        return [*self._close(), *self._begin(kind, _Waiting(written=[text]))]

    def _call(self, call: Json) -> list[Json]:
        index = call.get("index")
        key = index if isinstance(index, int) else 0
        function = call.get("function")
        given: Json = function if isinstance(function, dict) else {}
        arguments = str(given.get("arguments") or "")
        self._called = True
        if self._open == key:
            return [self._written(key, arguments)] if arguments else []
        waiting = self._waiting.setdefault(key, _Waiting())
        waiting.id = waiting.id or str(call.get("id") or "")
        waiting.name = waiting.name or str(given.get("name") or "")
        waiting.written += [arguments] if arguments else []
        if isinstance(self._open, int) or not waiting.name or next(iter(self._waiting)) != key:
            return []
        return [*self._close(), *self._begin(key, self._waiting.pop(key))]

    def _begin(self, key: str | int, waiting: _Waiting) -> list[Json]:
        """Open a block and write what is known of it."""
        self._open = key
        if isinstance(key, int):
            tool_id = waiting.id or f"{self._id}_{key}"
            block: Json = {"type": "tool_use", "id": tool_id, "name": waiting.name, "input": {}}
        else:
            block = (
                {"type": TEXT, "text": "", "citations": None}
                if key == TEXT
                else {"type": THOUGHT, "thinking": "", "signature": ""}
            )
        start: Json = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        written = "".join(waiting.written)
        return [start, self._written(key, written)] if written else [start]

    def _written(self, key: str | int, text: str) -> Json:
        kind = _DELTAS.get(key, ("input_json_delta", "partial_json"))
        return {"type": "content_block_delta", "index": self._blocks, "delta": {"type": kind[0], kind[1]: text}}

    def _close(self) -> list[Json]:
        if self._open is None:
            return []
        self._open = None
        self._blocks += 1
        return [{"type": "content_block_stop", "index": self._blocks - 1}]

    def _close_all(self) -> list[Json]:
        """Close what is open; then write what has waited, in the order in which it first came."""
        out = self._close()
        for key in list(self._waiting):
            out += [*self._begin(key, self._waiting.pop(key)), *self._close()]
        return out


_DELTAS: dict[str | int, tuple[str, str]] = {TEXT: ("text_delta", "text"), THOUGHT: ("thinking_delta", "thinking")}
_DELTA_USAGE = frozenset(
    "input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens server_tool_use "
    "output_tokens_details".split()
)
"""The figures that Anthropic repeats in `message_delta` (OpenAPI 2026-01, MessageDeltaUsage)."""
