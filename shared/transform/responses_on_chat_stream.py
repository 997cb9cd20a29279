"""The chunks of a streamed chat completion as the events of a response, numbered from 0.

The last event repeats the whole output, so the output is held until then: memory grows with the length of the
answer, by its text and nothing else (a chat client's stream holds nothing). Calls of tools may arrive interleaved;
each is done only when the answer is, because only then is it known that no more of it follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from shared.transform.responses_on_chat_answer import (
    citations,
    content_filters,
    ending,
    envelope,
    prompt_verdict,
    reasoning_of,
    token_logprobs,
    usage,
)
from shared.transform.responses_on_chat_items import (
    OpenCall,
    OpenItem,
    OpenPart,
    call_item,
    item_id,
    message_item,
    reasoning_item,
    tail_of,
)
from shared.types import Json


class Events:
    """One streamed answer. The event that ends it is owed by `end`: usage comes after the finish_reason."""

    def __init__(self, body: Json) -> None:
        self._body = body
        self._number = 0
        self._head: Json = {}
        self._begun = False
        self._output: list[Json] = []
        """The items so far, each as it was when it was done. Events get copies: what is done to one stays in it."""
        self._open: OpenItem | None = None
        self._calls: dict[Any, OpenCall] = {}
        self._last_call: Any = 0
        self._finish: Any = None
        self._usage: Json | None = None
        self._prompt: Json = {}
        self._completion: Json = {}

    def feed(self, event: Json) -> list[Json]:
        choices = [choice for choice in event.get("choices") or () if isinstance(choice, dict)]
        self._note(event)
        out = self._begin() if choices and not self._begun else []  # Azure's first chunk has neither choices nor id
        for choice in choices:
            if choice.get("index") in (0, None):
                out += self._choice(choice, event.get("obfuscation"))
        return out

    def end(self) -> list[Json]:
        """The ends of what is still open, then response.completed or response.incomplete with the whole response."""
        status, details = ending(self._finish)
        out = [] if self._begun else self._begin()
        out += self._close(status)
        for call in sorted(self._calls.values(), key=lambda call: (call.place is None, call.place or 0)):
            out += self._finish_call(call, status)
        response = envelope(self._head, self._body, status)
        response.update(incomplete_details=details, output=self._output)
        if self._usage:
            response["usage"] = self._usage
        if filters := content_filters(self._prompt, self._completion):
            response["content_filters"] = filters
        return [*out, self._event("response." + status, response=response)]

    def _note(self, event: Json) -> None:
        names = ("service_tier",) if self._begun else ("id", "created", "model", "service_tier")
        for name in names:  # the events that Azure's filter adds come with an empty id and no time
            self._head[name] = event.get(name) or self._head.get(name)
        self._usage = usage(event.get("usage")) or self._usage
        self._prompt = prompt_verdict(event) or self._prompt

    def _event(self, type: str, **fields: Any) -> Json:
        event = {"type": type, **fields, "sequence_number": self._number}
        self._number += 1
        return event

    def _begin(self) -> list[Json]:
        self._begun = True
        return [
            self._event(f"response.{name}", response=envelope(self._head, self._body, "in_progress"))
            for name in ("created", "in_progress")
        ]

    def _choice(self, choice: Json, obfuscation: Any) -> list[Json]:
        delta = choice.get("delta") or {}
        out: list[Json] = []
        if reasoning := reasoning_of(delta):
            out += self._reasoning(reasoning)
        text, refusal = delta.get("content"), delta.get("refusal")
        if isinstance(text, str) and text:
            out += self._text(text, token_logprobs(choice))
        if isinstance(refusal, str) and refusal:
            out += self._refusal(refusal)
        out += self._annotations(citations(delta))
        for call in delta.get("tool_calls") or ():
            out += self._call(call)
        if out and obfuscation is not None and out[-1]["type"].endswith(".delta"):
            out[-1]["obfuscation"] = obfuscation
        self._finish = choice.get("finish_reason") or self._finish
        self._judge(choice.get("content_filter_results"))
        return out

    def _judge(self, results: Any) -> None:
        """Azure judges a stream piece by piece: what was filtered once stays so."""
        for name, verdict in results.items() if isinstance(results, dict) else ():
            earlier = self._completion.get(name)
            if not (isinstance(earlier, dict) and earlier.get("filtered")):
                self._completion[name] = verdict

    def _reasoning(self, text: str) -> list[Json]:
        item, out = self._opened("rs")
        where = {"item_id": item.id, "output_index": item.place, "summary_index": 0}
        if not item.parts:
            item.parts.append(OpenPart("summary"))
            part = {"type": "summary_text", "text": ""}
            out.append(self._event("response.reasoning_summary_part.added", **where, part=part))
        item.parts[0].pieces.append(text)
        return [*out, self._event("response.reasoning_summary_text.delta", **where, delta=text)]

    def _text(self, text: str, logprobs: list[Json]) -> list[Json]:
        where, part, out = self._part("text")
        part.pieces.append(text)
        part.logprobs += logprobs
        return [*out, self._event("response.output_text.delta", **where, delta=text, logprobs=logprobs)]

    def _refusal(self, text: str) -> list[Json]:
        where, part, out = self._part("refusal")
        part.pieces.append(text)
        return [*out, self._event("response.refusal.delta", **where, delta=text)]

    def _annotations(self, found: list[Json]) -> list[Json]:
        if not found:
            return []
        where, part, out = self._part("text")
        for citation in found:
            index = len(part.annotations)
            part.annotations.append(citation)
            fields: Json = {**where, "annotation_index": index, "annotation": citation}
            out.append(self._event("response.output_text.annotation.added", **fields))
        return out

    def _part(self, kind: str) -> tuple[Json, OpenPart, list[Json]]:
        """-> where the part is, the part of that kind that is being written, and the events that opened it."""
        item, out = self._opened("msg")
        if not item.parts or item.parts[-1].kind != kind:
            out += self._part_done(item)
            item.parts.append(OpenPart(kind))
            out.append(self._event("response.content_part.added", **_where(item), part=item.parts[-1].json()))
        return _where(item), item.parts[-1], out

    def _opened(self, prefix: str) -> tuple[OpenItem, list[Json]]:
        """The message or the reasoning that is open; where the other one is, it is closed and this one begins."""
        if self._open and self._open.id.startswith(prefix + "_"):
            return self._open, []
        out = self._close("completed")
        place = len(self._output)
        item = self._open = OpenItem(place, item_id(prefix, tail_of(self._head), place))
        begun = reasoning_item(item.id, None) if prefix == "rs" else message_item(item.id, [], "in_progress")
        return item, [*out, self._added(begun)]

    def _added(self, item: Json) -> Json:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=deepcopy(item))

    def _done(self, place: int, item: Json) -> Json:
        self._output[place] = item
        return self._event("response.output_item.done", output_index=place, item=deepcopy(item))

    def _close(self, status: str) -> list[Json]:
        item, self._open = self._open, None
        if item is None:
            return []
        if item.parts[0].kind != "summary":
            parts = [part.json() for part in item.parts]
            return [*self._part_done(item), self._done(item.place, message_item(item.id, parts, status))]
        text = "".join(item.parts[0].pieces)
        where = {"item_id": item.id, "output_index": item.place, "summary_index": 0}
        part = {"type": "summary_text", "text": text}
        return [
            self._event("response.reasoning_summary_text.done", **where, text=text),
            self._event("response.reasoning_summary_part.done", **where, part=part),
            self._done(item.place, reasoning_item(item.id, text)),
        ]

    def _part_done(self, item: OpenItem) -> list[Json]:
        if not item.parts:
            return []
        part, where = item.parts[-1].json(), _where(item)
        if part["type"] == "refusal":
            done = self._event("response.refusal.done", **where, refusal=part["refusal"])
        else:
            fields: Json = {**where, "text": part["text"], "logprobs": part["logprobs"]}
            done = self._event("response.output_text.done", **fields)
        return [done, self._event("response.content_part.done", **where, part=part)]

    def _call(self, given: Json) -> list[Json]:
        """A piece of a call. Without an `index` (some makers) it belongs to its id, or else to the last call."""
        index = given.get("index")
        key = self._last_call = given.get("id") or self._last_call if index is None else index
        call = self._calls.setdefault(key, OpenCall())
        call.custom = call.custom or given.get("type") == "custom" or "custom" in given
        inner = given.get("custom" if call.custom else "function") or {}
        call.id = call.id or given.get("id")
        call.name = call.name or inner.get("name") or ""
        text = inner.get("input" if call.custom else "arguments") or ""
        if text:
            call.pieces.append(text)
        if call.place is not None:
            return self._call_delta(call, [text])
        return self._open_call(call) if call.name else []

    def _open_call(self, call: OpenCall) -> list[Json]:
        out = self._close("completed")
        call.place = len(self._output)
        out.append(self._added(self._call_item(call, "", "in_progress")))
        return out + self._call_delta(call, call.pieces)

    def _call_item(self, call: OpenCall, text: str, status: str) -> Json:
        place = call.place or 0
        return call_item(call.custom, tail_of(self._head), place, (call.id, call.name, text), status)

    def _call_delta(self, call: OpenCall, texts: Iterable[str]) -> list[Json]:
        kind = "custom_tool_call_input" if call.custom else "function_call_arguments"
        where = {"item_id": self._call_item(call, "", "")["id"], "output_index": call.place}
        return [self._event(f"response.{kind}.delta", **where, delta=text) for text in texts if text]

    def _finish_call(self, call: OpenCall, status: str) -> list[Json]:
        out = self._open_call(call) if call.place is None else []
        text = "".join(call.pieces)
        item = self._call_item(call, text, status)
        where = {"item_id": item["id"], "output_index": call.place}
        if call.custom:
            out.append(self._event("response.custom_tool_call_input.done", **where, input=text))
        else:
            fields: Json = {**where, "name": call.name, "arguments": text}
            out.append(self._event("response.function_call_arguments.done", **fields))
        return [*out, self._done(call.place or 0, item)]


def _where(item: OpenItem) -> Json:
    return {"item_id": item.id, "output_index": item.place, "content_index": max(0, len(item.parts) - 1)}
