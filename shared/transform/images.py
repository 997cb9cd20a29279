"""Images: parameters that a model does not know, the submit-and-poll route of old api-versions, and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.catalog import Deployment
from shared.transform.dialects import DIALECTS
from shared.transform.exchange import Asked, Part
from shared.transform.meters import METERS
from shared.transform.relayed import RelayedExchange, dump, finisher
from shared.transform.stream import EventStream
from shared.types import Json, Usage
from shared.usage import estimate_drawn, estimate_input

_LEGACY = ("2023-06-01-preview", "2023-10-01-preview")
"""api-versions whose images are submitted and then polled (Azure REST changes; the seed's own sample uses one)."""


class ImagesExchange(RelayedExchange):
    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.legacy = asked.operation == "images/generations" and submits(asked.deployment)
        self.stored = self.legacy
        if self.legacy:
            self.operation = "images/generations:submit"

    def parts(self, *, ask_usage: bool) -> list[Part]:
        body = self.body(ask_usage=ask_usage)
        if self.legacy:  # one model per resource: the route does not know `model`
            body = {k: v for k, v in body.items() if k in _LEGACY_FIELDS}
        else:
            _fit(body, self._asked.deployment)
        return [Part(self.operation, dump(body))]

    def stream(self) -> ImageStream:
        return ImageStream(self._asked)


class ImageStream(EventStream):
    """A stream of images. Its events say what a size or quality of `auto` has become, which is what is paid for."""

    def __init__(self, asked: Asked) -> None:
        dialect = DIALECTS["images"]
        super().__init__(dialect, dialect, (), asked.body, asked.deployment, finisher(asked))
        self._kind: dict[str, Any] = {}

    def usage_or_estimate(self) -> Usage:
        found = METERS["images"]({"usage": self._usage, **self._kind}, self._body)
        assert found is not None
        if self.done:
            return found
        found = replace(found, estimated=True)  # cut or left: one image is taken as made
        if "gpt-image" not in self._deployment.model or found.output_tokens:
            return found
        drawn = estimate_drawn(*((self._kind.get(name) or self._body.get(name)) for name in ("size", "quality")))
        return replace(found, input_tokens=estimate_input(self._body), output_tokens=drawn, image_output_tokens=drawn)

    def _note(self, event: Json) -> None:
        super()._note(event)
        self._kind.update({name: event[name] for name in ("size", "quality") if name in event})


_LEGACY_FIELDS = frozenset({"prompt", "n", "size", "user", "caption", "resolution"})


def submits(deployment: Deployment) -> bool:
    return deployment.surface.name == "dated" and _LEGACY[0] <= deployment.api_version <= _LEGACY[1]


def _fit(body: Json, deployment: Deployment) -> None:
    """gpt-image models answer with base64 only and refuse the parameter that would ask for it."""
    if "gpt-image" in deployment.model and body.get("response_format") == "b64_json":
        del body["response_format"]
