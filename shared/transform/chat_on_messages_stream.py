"""Claude's events as the chunks of a chat completion, one by one.

State is a few scalars, the latest usage and one number for each block: nothing of the answer is kept.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.transform.chat_on_messages_answer import chat_id, chat_usage, finish_reason, refusal_of
from shared.types import Json


class Events:
    """One streamed answer. `ping` and events of a kind that is not known are passed over."""

    def __init__(self, body: Json) -> None:
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": body.get("model")}
        self._usage: Json = {}
        self._calls: dict[int, int] = {}
        """Index of a tool's block -> index of its call."""
        self._thoughts: dict[int, int] = {}
        """Index of a block of thought -> index in `thinking_blocks`."""
        self._unsaid: dict[int, str] = {}
        """Index of a tool's block -> its arguments as the block began with them, until a delta brings some."""
        self._ended = False

    def feed(self, event: Json) -> list[Json]:
        """One event of Anthropic's -> the chunks that it makes, often one, sometimes none."""
        match event.get("type"):
            case "message_start":
                return self._start(_part(event, "message"))
            case "content_block_start":
                return self._block_start(_index(event), _part(event, "content_block"))
            case "content_block_delta":
                return self._delta(_index(event), _part(event, "delta"))
            case "content_block_stop":
                return self._block_stop(_index(event))
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                return self.end()
            case _:
                return []

    def end(self) -> list[Json]:
        """The usage, in a chunk without choices, once."""
        if self._ended or not self._usage:
            return []
        self._ended = True
        return [{**self._head, "choices": [], "usage": chat_usage(self._usage)}]

    def _start(self, message: Json) -> list[Json]:
        self._head["id"] = chat_id(message.get("id"))
        self._head["model"] = message.get("model") or self._head["model"]
        self._count(message.get("usage"))
        return [self._chunk({"role": "assistant", "content": ""})]

    def _block_start(self, index: int, block: Json) -> list[Json]:
        kind = block.get("type")
        if kind == "text" and block.get("text"):
            return [self._chunk({"content": block["text"]})]
        if kind == "thinking":
            self._thoughts[index] = len(self._thoughts)
            text = str(block.get("thinking") or "")
            return [self._thought(index, {"thinking": text, "signature": str(block.get("signature") or "")}, text)]
        if kind == "redacted_thinking":
            self._thoughts[index] = len(self._thoughts)
            return [self._thought(index, {"type": "redacted_thinking", "data": block.get("data")})]
        if kind == "tool_use":
            self._calls[index] = len(self._calls)
            self._unsaid[index] = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": block.get("name"), "arguments": ""}
            return [self._call(index, {"id": block.get("id"), "type": "function", "function": function})]
        return []

    def _delta(self, index: int, delta: Json) -> list[Json]:
        match delta.get("type"):
            case "text_delta" if delta.get("text"):
                return [self._chunk({"content": delta["text"]})]
            case "thinking_delta" if index in self._thoughts and delta.get("thinking"):
                return [self._thought(index, {"thinking": delta["thinking"]}, str(delta["thinking"]))]
            case "signature_delta" if index in self._thoughts:
                return [self._thought(index, {"signature": delta.get("signature")})]
            case "input_json_delta" if index in self._calls and delta.get("partial_json"):
                self._unsaid.pop(index, None)
                return [self._call(index, {"function": {"arguments": delta["partial_json"]}})]
            case _:
                return []

    def _block_stop(self, index: int) -> list[Json]:
        unsaid = self._unsaid.pop(index, "")
        return [self._call(index, {"function": {"arguments": unsaid}})] if unsaid else []

    def _message_delta(self, event: Json) -> list[Json]:
        self._count(event.get("usage"))
        delta = _part(event, "delta")
        if delta.get("stop_reason") is None:
            return []
        refusal = refusal_of(delta)
        return [self._chunk({"refusal": refusal} if refusal else {}, finish_reason(delta["stop_reason"]))]

    def _count(self, usage: Any) -> None:
        """The figures are totals: a later one stands in place of an earlier one, unless it is missing."""
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _thought(self, index: int, said: Json, text: str = "") -> Json:
        block = {"index": self._thoughts[index], "type": "thinking", **said}
        return self._chunk({**({"reasoning_content": text} if text else {}), "thinking_blocks": [block]})

    def _call(self, index: int, said: Json) -> Json:
        return self._chunk({"tool_calls": [{"index": self._calls[index], **said}]})

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head, "choices": [choice]}


def _part(event: Json, name: str) -> Json:
    part = event.get(name)
    return part if isinstance(part, dict) else {}


def _index(event: Json) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else -1
