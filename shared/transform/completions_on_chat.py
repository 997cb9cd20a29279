"""A client of the legacy completions in front of a deployment that serves chat: one prompt as one user message.

docs/translation-completions.md says the same to clients. Source: OpenAI OpenAPI 2026-08-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import errors
from shared.errors import bad_request
from shared.transform.refuse import unsupported, wrong_type
from shared.types import Json

_NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "echo": (False,),
    "best_of": (1,),
    "logprobs": (),
    "messages": (),
}
"""What chat has not, or names otherwise, with the values that ask for nothing: those are left out."""
_REMEDY = "is not served by a chat model. Leave it out, or use an instruct deployment."
_FINISH = frozenset({"stop", "length", "content_filter"})


def refusals(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """-> (parameter, why) for each parameter that a chat model does not take."""
    found: list[tuple[str, str]] = []
    for name, no_ops in _NO_OPS.items():
        value = body.get(name)
        if name == "best_of" and value == body.get("n"):
            continue  # the best n of n: all of them
        if value is not None and value not in no_ops:
            found.append((name, _REMEDY))
    return found


def request(body: Json) -> Json:
    """-> the chat body; what both know passes as it is. Raises ApiError (400) naming what chat does not take."""
    for name, why in refusals(body):
        raise unsupported(name, why)
    messages = [{"role": "user", "content": _prompt(body.get("prompt"))}]
    kept = {
        name: value for name, value in body.items() if name != "prompt" and name not in _NO_OPS and value is not None
    }
    return {**kept, "messages": messages}


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if prompt is None:
        raise bad_request("Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter")
    if not isinstance(prompt, list) or not prompt:
        raise wrong_type("prompt", "a string")
    if all(isinstance(entry, str) for entry in prompt):
        if len(prompt) == 1:
            return prompt[0]
        raise unsupported("prompt", "with several texts is not served by a chat model. Send one call for each prompt.")
    raise unsupported(
        "prompt", "as token ids is not served by a chat model, which has no place for them. Send the text, or use an "
        "instruct deployment."
    )  # fmt: skip


def answer(answer: Json, body: Json) -> Json:  # noqa: ARG001  (the form of every translator)
    """-> the text completion. Raises ApiError (502) when the answer is no chat completion."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        raise errors.bad_answer()
    texts = [_choice(choice, "message") for choice in choices if isinstance(choice, dict)]
    return {**answer, "id": _id(answer), "object": "text_completion", "choices": texts}


def _id(head: Mapping[str, Any]) -> str:
    return "cmpl-" + str(head.get("id") or "").removeprefix("chatcmpl-")


def _choice(choice: Json, holder: str) -> Json:
    """One choice of an answer (`message`) or of a chunk (`delta`); Azure's filter results stay with it."""
    given = choice.get(holder)
    said: Json = given if isinstance(given, dict) else {}
    finish = choice.get("finish_reason")
    kept = {name: value for name, value in choice.items() if name not in (holder, "finish_reason", "logprobs")}
    return {
        **kept,
        "index": choice.get("index", 0),
        "text": str(said.get("content") or said.get("refusal") or ""),
        "logprobs": None,
        "finish_reason": finish if finish is None or finish in _FINISH else "stop",
    }


class Events:
    """One streamed answer, chunk by chunk. It keeps the verdict on the prompt until a chunk can carry it."""

    def __init__(self, body: Json) -> None:
        self._held: Json = {}

    def feed(self, event: Json) -> list[Json]:
        """One chunk of chat -> one of text; none for a chunk that says only who speaks."""
        choices = [_choice(choice, "delta") for choice in event.get("choices") or [] if isinstance(choice, dict)]
        told = [choice for choice in choices if choice["text"] or choice["finish_reason"] or len(choice) > _BARE]
        if not told and not event.get("usage"):
            self._held.update({name: event[name] for name in _CARRIED if name in event})
            return []
        held, self._held = self._held, {}
        return [{**held, **event, "id": _id(event), "object": "text_completion", "choices": told}]

    def end(self) -> list[Json]:
        return []


_CARRIED = frozenset({"prompt_filter_results"})
_BARE = 4
"""Fields of a choice that says nothing: index, text, logprobs, finish_reason."""
