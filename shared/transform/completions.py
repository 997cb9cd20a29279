"""A stream of text completions as clients expect it: every event has a choice, or the usage that was asked for.

Azure begins with an event that has only its filter's verdict on the prompt: no id, no model, no choices (recorded
2026-03). Clients that read `choices[0]` break on it, so the verdict goes with the first event that has a choice.
"""

from __future__ import annotations

from shared.types import Json


class TextEvents:
    """stream.Events of one answer; keeps one verdict at most."""

    def __init__(self) -> None:
        self._held: Json = {}

    def feed(self, event: Json) -> list[Json]:
        if not event.get("choices") and not event.get("usage"):
            if "prompt_filter_results" in event:
                self._held = {"prompt_filter_results": event["prompt_filter_results"]}
            return []
        held, self._held = self._held, {}
        return [{**event, **held}]

    def end(self) -> list[Json]:
        return []
