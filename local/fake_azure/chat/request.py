"""Reads the body of a chat request as one model takes it.

Owns the meaning of the parameters. What a model refuses is `refusals.py`, what it answers `answer.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..models import Model
from .prompt import Prompt

Surface = Literal["dated", "v1", "models", "plain"]

REASONING_TOKENS = {"none": 0, "minimal": 8, "low": 64, "medium": 192, "high": 512, "xhigh": 1024}


@dataclass(frozen=True)
class ChatRequest:
    body: Mapping[str, Any]
    deployment: str
    model: Model
    surface: Surface

    @cached_property
    def prompt(self) -> Prompt:
        return Prompt(self.body.get("messages") or [])

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def choices(self) -> int:
        return int(self.body.get("n") or 1)

    @property
    def limit(self) -> int | None:
        """How many tokens the answer may have, reasoning included."""
        limit = self.body.get("max_completion_tokens")
        return limit if limit is not None else self.body.get("max_tokens")

    @property
    def stops(self) -> tuple[str, ...]:
        stop = self.body.get("stop")
        return (stop,) if isinstance(stop, str) else tuple(stop or ())

    @property
    def effort(self) -> str:
        return self.body.get("reasoning_effort") or self.model.default_effort

    @property
    def reasoning_tokens(self) -> int:
        wanted = REASONING_TOKENS.get(self.effort, 0) if self.model.reasons else 0
        return wanted if self.limit is None else min(wanted, self.limit)

    @property
    def legacy_functions(self) -> bool:
        """`functions` and `function_call`, the form before `tools`."""
        return bool(self.body.get("functions")) and not self.body.get("tools")

    @property
    def functions(self) -> Sequence[Mapping[str, Any]]:
        if self.legacy_functions:
            return self.body["functions"]
        return [tool.get("function", {}) for tool in self.body.get("tools") or () if tool.get("type") == "function"]

    @property
    def forced_function(self) -> str | None:
        choice = self.body.get("function_call" if self.legacy_functions else "tool_choice")
        if not isinstance(choice, dict):
            return None
        return choice.get("name") if self.legacy_functions else (choice.get("function") or {}).get("name")

    @property
    def tool_choice(self) -> str:
        choice = self.body.get("function_call" if self.legacy_functions else "tool_choice")
        return choice if isinstance(choice, str) else "auto"

    @property
    def speaks(self) -> bool:
        return "audio" in (self.body.get("modalities") or ())

    @property
    def data_sources(self) -> Sequence[Mapping[str, Any]]:
        return self.body.get("data_sources") or self.body.get("dataSources") or ()

    @property
    def filters_late(self) -> bool:
        """The asynchronous content filter is a setting of a deployment."""
        return self.deployment.endswith("asyncfilter")
