"""Says an answer in Anthropic's form: one message, or the events of a stream with one token each.

Owns the order of blocks (thinking, text, calls), why an answer ends, and the usage. What is said is the chat module's
decision. A whole answer is kept while it is said: a stop sequence has to be found in all of it.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import orjson

from ..chat.answer import Answer, answer
from ..chat.tokenizer import split
from .cache import Cached
from .conversation import Conversation, Json
from .order import signature_of

_MOST_THINKING = 2_000  # characters of the prompt that are thought about
_ALOUD = "aloud"  # a word in the prompt that makes a call come after a sentence


@dataclass
class Reply:
    asked: Conversation
    cached: Cached
    with_usage: bool = True
    tier: str = "standard"
    id: str = field(default_factory=lambda: f"msg_01{uuid.uuid4().hex[:22]}")

    @cached_property
    def _answer(self) -> Answer:
        return answer(self.asked.chat)

    @cached_property
    def _thinking(self) -> list[str]:
        """Tokens; at most what the budget allows."""
        given = self.asked.thinking
        if given is None:
            return []
        budget = int(given.get("budget_tokens") or self.asked.body["max_tokens"] // 2)
        words = split(f"The user says: {self.asked.chat.prompt.text[:_MOST_THINKING]} Let me think step by step.")
        return words[:budget]

    @cached_property
    def _spoken(self) -> tuple[list[str], str, str | None]:
        """The tokens of the text, the stop reason, the stop sequence."""
        said = self._answer
        if said.calls:
            names = ", ".join(call.name for call in said.calls)
            aloud = _ALOUD in self.asked.chat.prompt.text
            return split(f"I will call {names}.") if aloud else [], "tool_use", None
        limit = max(0, self.asked.body["max_tokens"] - len(self._thinking))
        words = list(islice((word for word, ended in said.spoken() if ended is None), limit + 1))
        text = "".join(words[:limit])
        found = [(place, stop) for stop in self.asked.stops if (place := text.find(stop)) >= 0]
        if found:
            place, stop = min(found)
            return split(text[:place]), "stop_sequence", stop
        if len(words) > limit:
            return words[:limit], "max_tokens", None
        refused = said.refused or said.finish == "content_filter"
        return words, "refusal" if refused else "end_turn", None

    def whole(self) -> bytes:
        words, reason, stop = self._spoken
        blocks: list[Json] = []
        if self.asked.thinking is not None:
            blocks.append({"type": "thinking", "thinking": self._shown, "signature": self._signature})
        if words:
            blocks.append({"type": "text", "text": "".join(words), "citations": None})
        for call in self._answer.calls:
            blocks.append({**_called(call.name), "input": orjson.loads(call.arguments)})
        message = self._message(blocks, reason, stop)
        if self.with_usage:
            message["usage"] = self._usage(self._made)
        return orjson.dumps(message)

    def events(self) -> Iterator[bytes]:
        words, reason, stop = self._spoken
        start = self._message([], None, None)
        if self.with_usage:
            start["usage"] = self._usage(1)
        yield _event("message_start", message=start)
        pinged = False
        for place, (block, deltas) in enumerate(self._blocks(words)):
            yield _event("content_block_start", index=place, content_block=block)
            if not pinged:
                pinged = True
                yield _event("ping")
            for delta in deltas:
                yield _event("content_block_delta", index=place, delta=delta)
            yield _event("content_block_stop", index=place)
        ended: Json = {"delta": {"stop_reason": reason, "stop_sequence": stop}}
        if self.with_usage:
            ended["usage"] = self._delta_usage()
        yield _event("message_delta", **ended)
        yield _event("message_stop")

    def _blocks(self, words: list[str]) -> Iterator[tuple[Json, list[Json]]]:
        """Each block as it begins, and the deltas that fill it."""
        if self.asked.thinking is not None:
            shown = [{"type": "thinking_delta", "thinking": word} for word in split(self._shown)]
            start = {"type": "thinking", "thinking": "", "signature": ""}
            yield start, [*shown, {"type": "signature_delta", "signature": self._signature}]
        if words:
            text = [{"type": "text_delta", "text": word} for word in words]
            yield {"type": "text", "text": "", "citations": None}, text
        for call in self._answer.calls:
            parts = ["", *split(call.arguments)]
            yield _called(call.name), [{"type": "input_json_delta", "partial_json": part} for part in parts]

    @property
    def _shown(self) -> str:
        given = self.asked.thinking or {}
        return "" if given.get("display") == "omitted" else "".join(self._thinking)

    @property
    def _signature(self) -> str:
        return signature_of("".join(self._thinking))

    @property
    def _made(self) -> int:
        """Output tokens, thinking included."""
        arguments = sum(len(split(call.arguments)) for call in self._answer.calls)
        return len(self._thinking) + len(self._spoken[0]) + arguments

    def _message(self, blocks: list[Json], reason: str | None, stop: str | None) -> Json:
        return {
            "model": self.asked.model.version,
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": stop,
        }

    def _usage(self, made: int) -> Json:
        cached = self.cached
        return {
            "input_tokens": cached.fresh,
            "cache_creation_input_tokens": cached.written,
            "cache_read_input_tokens": cached.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cached.written_5m,
                "ephemeral_1h_input_tokens": cached.written_1h,
            },
            "output_tokens": made,
            "server_tool_use": None,
            "service_tier": self.tier,
        }

    def _delta_usage(self) -> Json:
        """All of it once more: the last event tells the sums, not what was added."""
        usage = self._usage(self._made)
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        return {name: usage[name] for name in names} | {"server_tool_use": None}


def _called(name: str) -> Json:
    return {"type": "tool_use", "id": f"toolu_01{uuid.uuid4().hex[:22]}", "name": name, "input": {}}


def _event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\n".encode() + b"data: " + orjson.dumps({"type": kind, **members}) + b"\n\n"
