"""Says an answer as the events of a responses stream; the last of them holds the whole response.

Owns the order of the events and their numbers. A response that is not streamed is the end of the same sequence.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ...chat.answer import Answer, ToolCall, answer
from ...chat.request import ChatRequest
from ...chat.tokenizer import split, tokens
from ...store import Json
from .. import ids
from ..calls import now
from . import hosted
from .dress import usage_of, verdicts
from .sealed import Seal

_PADDING = "JiOWeZWGpcIbgfT7"
_THOUGHT = "**Thinking about it**\n\nThe words of the question decide the answer."


@dataclass
class Speaker:
    chat: ChatRequest
    response: Json  # filled in as the events are made
    seal: Seal
    cached_tokens: int
    customs: frozenset[str]  # the names of the tools that take free text
    hosted: Sequence[Json]  # what the service's own tools did
    sealed_thoughts: bool
    with_usage: bool
    tier: str  # by which it is served; until it ends, a response tells the one that was asked for
    ended: Callable[[], None]  # called when the response is whole, before its last event leaves
    _number: int = field(default=0, init=False)
    _output: list[Json] = field(default_factory=list[Json], init=False)
    _said: int = field(default=0, init=False)
    _length: int = field(default=0, init=False)

    def events(self) -> Iterator[Json]:
        yield self._whole("response.created")
        if self.response["background"]:
            yield self._whole("response.queued")
            self.response["status"] = "in_progress"
        yield self._whole("response.in_progress")
        yield from self._thoughts()
        for item in self.hosted:
            yield from self._hosted(item)
        said = answer(self.chat)
        finish = "stop"
        for call in said.calls:
            yield from self._called(call)
        if not said.calls:
            finish = yield from self._spoken(said)
        self._finish(finish)
        yield self._whole(f"response.{self.response['status']}")

    def _event(self, kind: str, **members: object) -> Json:
        event = {"type": kind, **members, "sequence_number": self._number}
        self._number += 1
        return event

    def _whole(self, kind: str) -> Json:
        return self._event(kind, response=dict(self.response))

    # Items.

    def _added(self, item: Json, **unfinished: object) -> Json:
        return self._event("response.output_item.added", item={**item, **unfinished}, output_index=self._place)

    def _done(self, item: Json) -> Json:
        event = self._event("response.output_item.done", item=item, output_index=self._place)
        self._output.append(item)
        return event

    @property
    def _place(self) -> int:
        return len(self._output)

    def _thoughts(self) -> Iterator[Json]:
        if not self.chat.reasoning_tokens:
            return
        item: Json = {"id": ids.hexed("rs_"), "type": "reasoning", "content": [], "summary": []}
        if self.sealed_thoughts:
            item["encrypted_content"] = self.seal.close()
        yield self._added(item)
        if self.response["reasoning"]["summary"]:
            where = {"item_id": item["id"], "output_index": self._place, "summary_index": 0}
            empty, part = ({"type": "summary_text", "text": text} for text in ("", _THOUGHT))
            yield self._event("response.reasoning_summary_part.added", part=empty, **where)
            for piece in tokens(_THOUGHT):
                yield self._event("response.reasoning_summary_text.delta", delta=piece, **where)
            yield self._event("response.reasoning_summary_text.done", text=_THOUGHT, **where)
            yield self._event("response.reasoning_summary_part.done", part=part, **where)
            item = {**item, "summary": [part]}
        if self.sealed_thoughts:  # as recorded: each time that it is said, it is sealed anew
            item = {**item, "encrypted_content": self.seal.close()}
        yield self._done(item)

    def _hosted(self, item: Json) -> Iterator[Json]:
        where = {"item_id": item["id"], "output_index": self._place}
        yield self._added(item, status="in_progress")
        for step in ("in_progress", "completed"):
            yield self._event(f"response.{item['type']}.{step}", **where)
        yield self._done(item)

    def _called(self, call: ToolCall) -> Iterator[Json]:
        custom = call.name in self.customs
        kind, name = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
        text = self.chat.prompt.text if custom else call.arguments
        item: Json = {"id": ids.hexed("ctc_" if custom else "fc_"), "type": kind, "status": "completed", name: text}
        item |= {"call_id": ids.lettered("call_"), "name": call.name}
        yield self._added(item, **{"status": "in_progress", name: ""})
        where = {"item_id": item["id"], "output_index": self._place}
        prefix = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        for piece in tokens(text):
            yield self._event(f"{prefix}.delta", delta=piece, obfuscation=_padding(piece), **where)
        self._said += len(split(text))
        self._length += len(text)
        yield self._event(f"{prefix}.done", **{name: text}, **({} if custom else {"name": call.name}), **where)
        yield self._done(item)

    def _spoken(self, said: Answer) -> Iterator[Json]:
        """Events of the message; returns why it ended. A limit that the thoughts used up leaves no message."""
        spoken = said.spoken()
        word, ended = next(spoken)
        if ended == "length":
            return ended
        item: Json = {"id": ids.hexed("msg_"), "type": "message", "status": "in_progress", "content": []}
        item["role"] = "assistant"
        yield self._added(item)
        kind, key = ("refusal", "refusal") if said.refused else ("output_text", "text")
        extra: Json = {} if said.refused else {"logprobs": []}
        where: Json = {"content_index": 0, "item_id": item["id"], "output_index": self._place}
        part: Json = {"type": kind, **({} if said.refused else {"annotations": [], "logprobs": []}), key: ""}
        yield self._event("response.content_part.added", part=part, **where)
        words: list[str] = []
        while ended is None:
            words.append(word)
            yield self._event(f"response.{kind}.delta", delta=word, obfuscation=_padding(word), **extra, **where)
            word, ended = next(spoken)
        self._said += len(words)
        part = {**part, key: "".join(words)}
        self._length += len(part[key])
        yield self._event(f"response.{kind}.done", **{key: part[key]}, **extra, **where)
        if not said.refused:
            part["annotations"] = hosted.annotations(self.hosted)
            for place, note in enumerate(part["annotations"]):
                yield self._event(
                    "response.output_text.annotation.added", annotation=note, annotation_index=place, **where
                )
        yield self._event("response.content_part.done", part=part, **where)
        status = "incomplete" if ended in _REASONS else "completed"
        yield self._done({**item, "status": status, "content": [part]})
        return ended

    # The end.

    def _finish(self, finish: str) -> None:
        response = self.response
        response["output"] = list(self._output)
        response["service_tier"] = self.tier
        if finish in _REASONS:
            response |= {"status": "incomplete", "incomplete_details": {"reason": _REASONS[finish]}}
        else:
            response |= {"status": "completed", "completed_at": now()}
        if "content_filters" in response:
            filtered = finish == "content_filter"
            response["content_filters"] = verdicts(len(self.chat.prompt.text), self._length, filtered=filtered)
        if self.with_usage:
            response["usage"] = usage_of(self.chat, self.cached_tokens, self._said)
        self.ended()


_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _padding(text: str) -> str:
    return _PADDING[: len(_PADDING) - len(text) % len(_PADDING)]
