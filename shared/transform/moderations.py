"""Moderations, answered by Azure AI Content Safety: one request for each input, joined into OpenAI's answer.

Severities 0 to 7 become scores (severity / 7) and flags (severity of 4, "medium", and above): Azure's own default
threshold for content filters (Azure "Content Safety harm categories", 2026-08).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared.errors import bad_request
from shared.transform.exchange import Part
from shared.transform.relayed import RelayedAnswer, RelayedExchange, dump, finisher, parse
from shared.types import Json, Usage

FLAGGED = 4
MOST_CHARACTERS = 10_000
"""Of one text (Content Safety 2024-09-01)."""
# Content Safety's category -> OpenAI's, all of which an answer must have
_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Hate": ("hate", "harassment"),
    "Violence": ("violence",),
    "Sexual": ("sexual",),
    "SelfHarm": ("self-harm",),
}
_OTHERS = ("hate/threatening", "harassment/threatening", "self-harm/intent", "self-harm/instructions",
           "sexual/minors", "violence/graphic", "illicit", "illicit/violent")  # fmt: skip
"""Categories that Content Safety does not tell apart: never flagged, score 0."""


class ModerationsExchange(RelayedExchange):
    def parts(self, *, ask_usage: bool) -> list[Part]:
        return [_part(index, item) for index, item in enumerate(_inputs(self._asked.body))]

    def answer(self) -> ModerationsAnswer:
        return ModerationsAnswer(self._asked, finisher(self._asked))


def _inputs(body: Mapping[str, Any]) -> list[Any]:
    given = body.get("input")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise bad_request("Invalid type for 'input': expected a string or a list.", param="input", code="invalid_type")
    return given


def _part(index: int, item: Any) -> Part:
    if isinstance(item, dict) and item.get("type") == "text":
        item = item.get("text")
    if isinstance(item, str):
        if len(item) > MOST_CHARACTERS:
            raise bad_request(f"input[{index}] has more than {MOST_CHARACTERS:,} characters. Split it.", param="input")
        return Part("text:analyze", dump({"text": item, "outputType": "EightSeverityLevels"}))
    image = item.get("image_url") if isinstance(item, dict) else None
    url = image.get("url") if isinstance(image, dict) else None
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or not head.endswith(";base64"):
        raise bad_request(
            f"input[{index}] must be a text, or an image as a data URL: images at other addresses are not fetched.",
            param="input",
        )
    return Part("image:analyze", dump({"image": {"content": data}, "outputType": "FourSeverityLevels"}))


class ModerationsAnswer(RelayedAnswer):
    def read(self, data: bytes) -> bytes:
        return self.join([data])

    def join(self, answers: list[bytes]) -> bytes:
        """Raises ApiError (502) when one of them is no JSON object."""
        kinds = ["image" if _is_image(item) else "text" for item in _inputs(self._asked.body)]
        results = [_result(parse(data), kind) for data, kind in zip(answers, kinds, strict=True)]
        self.model = self._asked.deployment.model
        self.ended = True
        alias = self._asked.deployment.alias
        return orjson.dumps({"id": "modr-content-safety", "model": alias, "results": results})

    def usage_or_estimate(self) -> Usage:
        return Usage()


def _is_image(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "image_url"


def _result(answer: Json, kind: str) -> Json:
    severities: dict[str, int] = {}
    rows = answer.get("categoriesAnalysis")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("severity"), int):
            severities[str(row.get("category"))] = row["severity"]
    scores: dict[str, float] = dict.fromkeys(_OTHERS, 0.0)
    flags: dict[str, bool] = dict.fromkeys(_OTHERS, False)
    for azure, names in _CATEGORIES.items():
        for name in names:
            scores[name] = round(severities.get(azure, 0) / 7, 4)
            flags[name] = severities.get(azure, 0) >= FLAGGED
    applied = {name: [kind] for name in scores}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }
