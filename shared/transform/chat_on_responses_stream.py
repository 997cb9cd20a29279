"""The events of a streamed response as chunks of a chat completion, one by one as they arrive.

State is a few numbers for each part of the output: how much of it has been sent. An upstream may send a part in
deltas, whole in its `.done` event, or only in the finished item; each way the client gets it once. Events of
built-in tools, and events that are unknown, have no form in chat and are passed over. Errors (`error`,
`response.failed`) are the core's; a response that ends incomplete ends a chat in the ordinary way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.transform.chat_on_responses_answer import (
    BETWEEN_SUMMARIES,
    citations,
    filter_results,
    finish_reason,
    head,
    token_logprobs,
    tool_call,
    usage,
)
from shared.types import Json

_Key = tuple[str, Any, Any]


class Events:
    """One streamed answer. The last chunk is usage's, with `choices: []`: the core leaves it out when unasked."""

    def __init__(self, body: Json) -> None:
        self._wants_logprobs = bool(body.get("logprobs"))
        self._head: Json = head({})
        self._begun = False
        self._sent: dict[_Key, int] = {}
        """How many characters of each part of the output the client has."""
        self._calls: dict[Any, int] = {}
        """Place in the output → index of the call among the chat's tool calls."""
        self._written: set[str] = set()
        """Which fields of a delta have been sent with something in them."""

    def feed(self, event: Json) -> list[Json]:
        kind = str(event.get("type"))
        if not (kind in _TEXTS or kind in _CALLS or kind in _OTHERS):
            return []
        response = event.get("response")
        if isinstance(response, dict) and response.get("id"):
            self._head = head(response)
        first = [] if self._begun else [self._chunk({"role": "assistant", "content": None, "refusal": None})]
        self._begun = True
        out = first + self._read(kind, event)
        if out and event.get("obfuscation") is not None:
            out[-1]["obfuscation"] = event["obfuscation"]
        return out

    def end(self) -> list[Json]:
        """Nothing: the event that completes a response has said all."""
        return []

    def _chunk(self, delta: Json, logprobs: list[Json] | None = None, finish: str | None = None) -> Json:
        wanted = {"content": logprobs, "refusal": None} if logprobs and self._wants_logprobs else None
        choice: Json = {"index": 0, "delta": delta, "logprobs": wanted, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def _read(self, kind: str, event: Json) -> list[Json]:
        place, item = event.get("output_index"), event.get("item")
        if text := _TEXTS.get(kind):
            key = (text.part, place, event.get(text.counter))
            write = self._write if kind.endswith(".delta") else self._rest
            return write(text.field, key, event, text.source)
        if kind in _CALLS:
            source, name = _CALLS[kind]
            write = self._call_delta if source == "delta" else self._call_rest
            return write(place, event.get(source), name)
        if kind == "response.output_item.added" and isinstance(item, dict):
            return self._open_call(place, item)
        if kind == "response.output_item.done" and isinstance(item, dict):
            return self._item(place, item)
        return self._completed(event.get("response") or {}) if kind in _LAST else []

    def _completed(self, response: Json) -> list[Json]:
        output = response.get("output") or []
        out: list[Json] = []
        if not self._sent and not self._calls:  # an upstream that streams nothing but its ends
            for index, item in enumerate(output):
                out += self._item(index, item)
        delta: Json = {} if self._written & {"content", "refusal"} or self._calls else {"content": ""}
        if cited := citations(output):
            delta["annotations"] = cited  # once, in one list: the OpenAI SDK cannot merge two
        last = self._chunk(delta, finish=finish_reason(response, bool(self._calls)))
        prompt, completion = filter_results(response)
        if prompt is not None:
            last["prompt_filter_results"] = prompt
        if completion is not None:
            last["choices"][0]["content_filter_results"] = completion
        out.append(last)
        if counted := usage(response.get("usage")):
            out.append({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": counted})
        return out

    def _write(self, field: str, key: _Key, source: Json, name: str) -> list[Json]:
        """A piece of text that has just been written."""
        text = source.get(name)
        if not isinstance(text, str) or not text:
            return []
        started = key in self._sent
        self._sent[key] = self._sent.get(key, 0) + len(text)
        if field == "reasoning_content" and not started and field in self._written:
            text = BETWEEN_SUMMARIES + text
        self._written.add(field)
        return [self._chunk({field: text}, token_logprobs(source.get("logprobs")) if field == "content" else None)]

    def _rest(self, field: str, key: _Key, source: Json, name: str) -> list[Json]:
        """What is left of a text that is now whole; as a rule nothing."""
        text, sent = source.get(name), self._sent.get(key, 0)
        if not isinstance(text, str):
            return []
        return self._write(field, key, {name: text[sent:], "logprobs": None if sent else source.get("logprobs")}, name)

    def _open_call(self, place: Any, item: Json) -> list[Json]:
        call = tool_call(item)
        if call is None or place in self._calls:
            return []
        index = self._calls[place] = len(self._calls)
        kind = call["type"]
        text = "arguments" if kind == "function" else "input"
        return [self._chunk({"tool_calls": [{"index": index, **call, kind: {**call[kind], text: ""}}]})]

    def _call_delta(self, place: Any, text: Any, name: str) -> list[Json]:
        index = self._calls.get(place)
        if index is None or not isinstance(text, str) or not text:  # without its name, a call has to wait for its end
            return []
        key: _Key = (name, place, 0)
        self._sent[key] = self._sent.get(key, 0) + len(text)
        kind = "function" if name == "arguments" else "custom"
        return [self._chunk({"tool_calls": [{"index": index, kind: {name: text}}]})]

    def _call_rest(self, place: Any, text: Any, name: str) -> list[Json]:
        return self._call_delta(place, text[self._sent.get((name, place, 0), 0) :], name) if text else []

    def _item(self, place: Any, item: Json) -> list[Json]:
        """What is left of a finished item."""
        out = self._open_call(place, item)
        if item.get("type") == "message":
            for index, part in enumerate(item.get("content") or []):
                refused = part.get("type") == "refusal"
                field, name = ("refusal", "refusal") if refused else ("content", "text")
                out += self._rest(field, (field, place, index), part, name)
        elif item.get("type") == "reasoning":
            for kind, parts in (("summary", item.get("summary")), ("thought", item.get("content"))):
                for index, part in enumerate(parts or []):
                    out += self._rest("reasoning_content", (kind, place, index), part, "text")
        elif place in self._calls:
            name = "arguments" if item.get("type") == "function_call" else "input"
            out += self._call_rest(place, item.get(name), name)
        return out


class _Text(NamedTuple):
    """Where a piece of text goes and where it comes from. `part` tells the kinds of text of one item apart."""

    field: str
    part: str
    counter: str
    source: str


_TEXTS: Mapping[str, _Text] = {
    "response.output_text.delta": _Text("content", "content", "content_index", "delta"),
    "response.output_text.done": _Text("content", "content", "content_index", "text"),
    "response.refusal.delta": _Text("refusal", "refusal", "content_index", "delta"),
    "response.refusal.done": _Text("refusal", "refusal", "content_index", "refusal"),
    "response.reasoning_summary_text.delta": _Text("reasoning_content", "summary", "summary_index", "delta"),
    "response.reasoning_summary_text.done": _Text("reasoning_content", "summary", "summary_index", "text"),
    "response.reasoning_text.delta": _Text("reasoning_content", "thought", "content_index", "delta"),
    "response.reasoning_text.done": _Text("reasoning_content", "thought", "content_index", "text"),
}
_CALLS: Mapping[str, tuple[str, str]] = {
    "response.function_call_arguments.delta": ("delta", "arguments"),
    "response.function_call_arguments.done": ("arguments", "arguments"),
    "response.custom_tool_call_input.delta": ("delta", "input"),
    "response.custom_tool_call_input.done": ("input", "input"),
}
_LAST = frozenset({"response.completed", "response.incomplete"})
_OTHERS = _LAST | frozenset(
    {"response.created", "response.in_progress", "response.output_item.added", "response.output_item.done"}
)
