"""Answers of the instruct models: `text_completion` objects, whole or streamed, as Azure sends them.

Owns how prompts are read (a string, several, token arrays) and what each choice says. A token array is answered with
its numbers, so that a test sees what arrived. Without `max_tokens` an answer has 16 tokens, as with the real models.
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from ..chat.answer import answer
from ..chat.request import ChatRequest
from ..chat.shape import PROMPT_FILTER_RESULTS, SAFE_ANSWER, event
from ..chat.tokenizer import split
from ..errors import invalid
from ..models import Model
from .wording import Json, bad_type, integer, refuse_prompt, refuse_unknown

DEFAULT_LIMIT = 16
_MOST_LOGPROBS = 5
_MOST_PROMPTS = 2_048
_KNOWN = frozenset(
    "model prompt suffix max_tokens temperature top_p n stream stream_options logprobs echo stop presence_penalty "
    "frequency_penalty best_of logit_bias user seed".split()
)
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str  # what the model reads; for token ids, their JSON
    tokens: int


def read_prompts(given: Any) -> list[Prompt]:
    """One prompt for each row. Without `prompt` the model starts a new document, as OpenAI documents."""
    if given is None:
        given = "<|endoftext|>"
    rows = [given] if isinstance(given, str) or _is_tokens(given) else given
    if not isinstance(rows, list) or not rows:
        raise bad_type("prompt", "a string, an array of strings, an array of integers, or an array of integer arrays")
    if len(rows) > _MOST_PROMPTS:
        raise invalid(f"Too many prompts. The max number of prompts is {_MOST_PROMPTS}.", "prompt")
    prompts: list[Prompt] = []
    for row in rows:
        if isinstance(row, str):
            prompts.append(Prompt(row, len(split(row))))
        elif _is_tokens(row):
            prompts.append(Prompt(orjson.dumps(row).decode(), len(row)))
        else:
            raise bad_type("prompt", "a string or an array of integers")
    return prompts


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(row) is int for row in value)


@dataclass
class Completion:
    body: Mapping[str, Any]
    deployment: str
    model: Model
    with_usage: bool = True
    filters: bool = True  # Azure's verdicts, which plain OpenAI has not
    _said: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        refuse_unknown(self.body, _KNOWN)
        options = self.body.get("stream_options")
        if options is not None and not isinstance(options, dict):
            raise bad_type("stream_options", "an object")
        if options is not None and not self.body.get("stream"):
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise invalid(message, "stream_options")
        self.prompts = read_prompts(self.body.get("prompt"))
        self.n = integer(self.body, "n", 1, 1, 128)
        self.logprobs = self._read_logprobs()
        self.limit = integer(self.body, "max_tokens", DEFAULT_LIMIT, 0, 16_384)
        if integer(self.body, "best_of", self.n, 1, 128) < self.n:
            raise invalid("You requested that the server return more choices than it will generate.", "best_of")
        for prompt in self.prompts:
            refuse_prompt(prompt.text)

    @cached_property
    def _frame(self) -> Json:
        identity = f"cmpl-{uuid.uuid4().hex[:29]}"
        return {"id": identity, "object": "text_completion", "created": int(time.time()), "model": self.model.version}

    def whole(self) -> bytes:
        choices = [self._choice(index, prompt) for index, prompt in self._numbered()]
        body: Json = {**self._frame, "choices": choices}
        if self.filters:
            verdict = PROMPT_FILTER_RESULTS[0]
            body["prompt_filter_results"] = [{**verdict, "prompt_index": n} for n in range(len(self.prompts))]
        if self.with_usage:
            body["usage"] = self._usage()
        return orjson.dumps(body)

    def events(self) -> Iterator[bytes]:
        wants_usage = bool((self.body.get("stream_options") or {}).get("include_usage"))
        extra: Json = {"usage": None} if wants_usage else {}
        if self.filters:
            opening = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
            yield event({**opening, "prompt_filter_results": PROMPT_FILTER_RESULTS})
        for index, prompt in self._numbered():
            offset = 0
            for word, finish in self._pieces(prompt):
                self._said += finish is None
                logprobs = self._logprobs([word], offset) if finish is None else None
                offset += len(word)
                choice: Json = {"text": word, "index": index, "finish_reason": finish, "logprobs": logprobs}
                if self.filters:
                    choice["content_filter_results"] = SAFE_ANSWER if finish is None else {}
                yield event({**self._frame, "choices": [choice], **extra})
        if wants_usage and self.with_usage:
            yield event({**self._frame, "choices": [], "usage": self._usage()})
        yield DONE

    def _numbered(self) -> Iterator[tuple[int, Prompt]]:
        """The choices of the first prompt come first, then those of the second."""
        for place, prompt in enumerate(self.prompts):
            for turn in range(self.n):
                yield place * self.n + turn, prompt

    def _choice(self, index: int, prompt: Prompt) -> Json:
        words: list[str] = []
        finish: str | None = None
        for word, ended in self._pieces(prompt):
            if ended is None:
                words.append(word)
            finish = ended
        self._said += len(words)
        choice: Json = {"text": "".join(words), "index": index, "finish_reason": finish}
        choice["logprobs"] = self._logprobs(words, 0)
        return choice | ({"content_filter_results": SAFE_ANSWER} if self.filters else {})

    def _pieces(self, prompt: Prompt) -> Iterator[tuple[str, str | None]]:
        if self.body.get("echo"):
            yield from ((word, None) for word in split(prompt.text))
        content = prompt.text
        if suffix := self.body.get("suffix"):
            content = f"{content} [before: {suffix}]"
        body = {"messages": [{"role": "user", "content": content}], "stop": self.body.get("stop")}
        if self.limit == 0:  # together with `echo`: the log probabilities of the prompt itself
            yield "", "length"
            return
        asked = ChatRequest({**body, "max_tokens": self.limit}, self.deployment, self.model, "dated")
        yield from answer(asked).spoken()

    def _read_logprobs(self) -> int | None:
        value = self.body.get("logprobs")
        return None if value is None else integer(self.body, "logprobs", 0, 0, _MOST_LOGPROBS)

    def _logprobs(self, words: list[str], offset: int) -> Json | None:
        if self.logprobs is None:
            return None
        offsets: list[int] = []
        for word in words:
            offsets.append(offset)
            offset += len(word)
        row = [-0.25 - place for place in range(self.logprobs)]
        top = [{f"{word}{place or ''}": value for place, value in enumerate(row)} for word in words]
        return {
            "tokens": words,
            "token_logprobs": [-0.25] * len(words),
            "top_logprobs": top if self.logprobs else None,
            "text_offset": offsets,
        }

    def _usage(self) -> Json:
        read = sum(prompt.tokens for prompt in self.prompts)
        return {"prompt_tokens": read, "completion_tokens": self._said, "total_tokens": read + self._said}
