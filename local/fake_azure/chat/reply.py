"""Says an answer: as one body, or as events with one token each.

Owns the order of a stream and the counting of what was said. A stream is made while it is sent: nothing of a long
answer is kept. What things look like is `shape.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import voice
from .answer import Answer, ToolCall, predicted
from .request import ChatRequest
from .shape import FILTERED_ANSWER, PROTECTED_MATERIAL, SAFE_ANSWER, Json, Shape, Usage, event
from .tokenizer import split, tokens

_VERDICT_EVERY = 8  # tokens between two verdicts of the asynchronous filter
_OFFSETS = "content_filter_offsets"
DONE = b"data: [DONE]\n\n"


@dataclass
class Reply:
    chat: ChatRequest
    answer: Answer
    shape: Shape
    cached_tokens: int
    with_usage: bool = True
    _said: int = field(default=0, init=False)  # tokens so far, over all choices

    def body(self) -> bytes:
        choices = [self._choice(index) for index in range(self.chat.choices)]
        usage = self.shape.usage(self._usage()) if self.with_usage else None
        return self.shape.completion(choices, usage, self.chat.body.get("metadata"))

    def events(self) -> Iterator[bytes]:
        opening = self.shape.opening()
        if opening is not None:
            yield opening
        pending: Json = {"usage": None} if self.chat.include_usage and self.shape.filters else {}
        speakers = [self._chunks(index) for index in range(self.chat.choices)]
        while speakers:
            for speaker in list(speakers):  # a token of each choice in turn
                said = next(speaker, None)
                if said is None:
                    speakers.remove(speaker)
                elif _OFFSETS in said:
                    yield event({"choices": [said], "created": 0, "id": "", "model": "", "object": "", **pending})
                else:
                    yield self.shape.chunk([said], pending, len(said["delta"].get("content") or ""))
        if self.chat.include_usage and self.with_usage:
            yield self.shape.chunk([], {"usage": self.shape.usage(self._usage())}, 0)
        yield DONE

    # One body.

    def _choice(self, index: int) -> Json:
        words: list[str] = []
        finish = ""
        for word, ended in self.answer.spoken():
            if ended is None:
                words.append(word)
            else:
                finish = ended
        self._said += len(words) + sum(len(split(call.arguments)) for call in self.answer.calls)
        message = self._message("".join(words))
        choice: Json = {"finish_reason": finish, "index": index}
        if self.shape.filters:
            verdict = FILTERED_ANSWER if finish == "content_filter" else SAFE_ANSWER
            choice = {"content_filter_results": {} if self.answer.calls else verdict, **choice}
        return choice | {"logprobs": self._logprobs(words), "message": message}

    def _message(self, text: str) -> Json:
        answer, chat = self.answer, self.chat
        message: Json = {"annotations": [], "content": text, "refusal": None, "role": "assistant"}
        if answer.calls:
            message["content"] = None
            if chat.legacy_functions:
                message["function_call"] = _function(answer.calls[0])
            else:
                message["tool_calls"] = [_called(call) for call in answer.calls]
        elif answer.refused:
            message |= {"content": None, "refusal": text}
        elif chat.speaks:
            message |= {"content": None, "audio": voice.audio(text)}
        if chat.data_sources:
            message["context"] = voice.citations(chat)
        return message

    # Events.

    def _chunks(self, index: int) -> Iterator[Json]:
        start: Json = {"content": None if self.answer.calls else "", "refusal": None, "role": "assistant"}
        if self.chat.data_sources:
            start["context"] = voice.citations(self.chat)
        if self.shape.announces or self.answer.calls:
            yield self.shape.choice(index, start, {}, None, None)
        if self.answer.calls:
            yield from self._called_in_pieces(index)
        elif self.chat.speaks:
            yield from self._audible(index)
        else:
            yield from self._spoken(index)

    def _spoken(self, index: int) -> Iterator[Json]:
        late = self.chat.filters_late and self.shape.filters
        key, offset, checked, finish = "refusal" if self.answer.refused else "content", 0, 0, None
        for count, (word, ended) in enumerate(self.answer.spoken()):
            if ended is not None:
                finish = ended
                break
            self._said += 1
            offset += len(word)
            verdict = None if late else SAFE_ANSWER
            delta = {key: word} if count or self.shape.announces else {key: word, "role": "assistant"}
            yield self.shape.choice(index, delta, verdict, None, self._logprobs([word]))
            if late and count % _VERDICT_EVERY == _VERDICT_EVERY - 1:
                yield _late_verdict(index, SAFE_ANSWER, checked, offset)
                checked = offset
        filtered = finish == "content_filter"
        if late and filtered:  # here only the verdict says why the answer ends
            yield _late_verdict(index, FILTERED_ANSWER, checked, offset, finish)
            return
        yield self.shape.choice(index, {}, FILTERED_ANSWER if filtered else {}, finish, None)
        if late:
            yield _late_verdict(index, SAFE_ANSWER if checked < offset else PROTECTED_MATERIAL, checked, offset)

    def _called_in_pieces(self, index: int) -> Iterator[Json]:
        for place, call in enumerate(self.answer.calls):
            if self.chat.legacy_functions:
                yield self.shape.choice(index, {"function_call": {"name": call.name, "arguments": ""}}, {}, None, None)
            else:
                start = _called(ToolCall(call.name, "", call.id))
                yield self.shape.choice(index, {"tool_calls": [{"index": place, **start}]}, {}, None, None)
            for piece in tokens(call.arguments):
                self._said += 1
                delta: Json = {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
                if self.chat.legacy_functions:
                    delta = {"function_call": {"arguments": piece}}
                yield self.shape.choice(index, delta, {}, None, None)
        yield self.shape.choice(index, {}, {}, self.answer.finish, None)

    def _audible(self, index: int) -> Iterator[Json]:
        """An id, the transcript by tokens, the sound, and how long it is kept: as the audio models stream it."""
        sound = voice.audio("")
        yield self.shape.choice(index, {"audio": {"id": sound["id"], "transcript": ""}}, {}, None, None)
        for word, ended in self.answer.spoken():
            if ended is None:
                self._said += 1
                yield self.shape.choice(index, {"audio": {"transcript": word}}, SAFE_ANSWER, None, None)
            else:
                for part in ("data", "expires_at"):
                    yield self.shape.choice(index, {"audio": {part: sound[part]}}, {}, None, None)
                yield self.shape.choice(index, {}, {}, ended, None)

    # Numbers.

    def _logprobs(self, words: list[str]) -> Any:
        if not self.chat.body.get("logprobs"):
            return None
        top = int(self.chat.body.get("top_logprobs") or 0)
        return {"content": [_logprob(word, top) for word in words], "refusal": None}

    def _usage(self) -> Usage:
        chat = self.chat
        reasoning = chat.reasoning_tokens * chat.choices
        accepted, rejected = predicted(chat)
        return Usage(
            prompt=chat.prompt.count,
            cached=self.cached_tokens,
            prompt_audio=chat.prompt.audio_tokens,
            completion=self._said + reasoning,
            reasoning=reasoning,
            audio=self._said if chat.speaks else 0,
            accepted=accepted,
            rejected=rejected,
        )


def _function(call: ToolCall) -> Json:
    return {"name": call.name, "arguments": call.arguments}


def _called(call: ToolCall) -> Json:
    return {"function": _function(call), "id": call.id, "type": "function"}


def _late_verdict(index: int, verdict: Json, start: int, end: int, finish: str | None = None) -> Json:
    offsets = {"check_offset": start, "start_offset": start, "end_offset": end}
    return {
        "content_filter_offsets": offsets,
        "content_filter_results": verdict,
        "finish_reason": finish,
        "index": index,
    }


def _logprob(word: str, top: int) -> Json:
    plain: Json = {"token": word, "logprob": -0.25, "bytes": list(word.encode())}
    others = [{**plain, "logprob": -0.25 - place} for place in range(top)]
    return {**plain, "top_logprobs": others}
