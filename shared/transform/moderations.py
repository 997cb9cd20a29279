"""Moderations, answered by Azure AI Content Safety: one request for each text or image, joined into OpenAI's answer.

Texts are judged one by one; a list of parts (texts and images as objects) is one input, as with OpenAI, and gets one
result. Severities 0 to 7 become scores (severity / 7) and flags (severity of 4, "medium", and above): Azure's own
default threshold for content filters (Azure "Content Safety harm categories", 2026-08).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.errors import bad_request
from shared.transform.exchange import Part
from shared.transform.relayed import RelayedAnswer, RelayedExchange, dump, finisher, parse
from shared.types import Json, Usage

FLAGGED = 4
MOST_CHARACTERS = 10_000
"""Of one text (Content Safety 2024-09-01)."""
MOST_INPUTS = 100
"""Of one call: each is a call of Content Safety, one after the other."""
# Content Safety's category -> OpenAI's, all of which an answer must have
_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Hate": ("hate", "harassment"),
    "Violence": ("violence",),
    "Sexual": ("sexual",),
    "SelfHarm": ("self-harm",),
}
_OTHERS = ("hate/threatening", "harassment/threatening", "self-harm/intent", "self-harm/instructions",
           "sexual/minors", "violence/graphic", "illicit", "illicit/violent")  # fmt: skip
"""Categories that Content Safety does not tell apart: never flagged, score 0, applied to nothing."""
_TEXT_ONLY = frozenset({"hate", "harassment"})
"""Categories of which OpenAI's type of an answer cannot say that they were judged on an image."""


class ModerationsExchange(RelayedExchange):
    def parts(self, *, ask_usage: bool) -> list[Part]:
        return [_part(where, item) for where, item in _inputs(self._asked.body)]

    def answer(self) -> ModerationsAnswer:
        return ModerationsAnswer(self._asked, finisher(self._asked))


def _inputs(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """-> (place, text or part) of all that is to be judged. Raises ApiError (400)."""
    given = body.get("input")
    if isinstance(given, str):
        return [("input", given)]
    if not isinstance(given, list) or not given:
        raise bad_request("Invalid type for 'input': expected a string or a list.", param="input", code="invalid_type")
    if len(given) > MOST_INPUTS:
        raise bad_request(f"'input' has more than {MOST_INPUTS} entries. Send several calls.", param="input")
    if len({isinstance(item, str) for item in given}) > 1:
        raise bad_request(
            "'input' mixes strings and objects. Send only strings, each judged by itself, or only objects, which are "
            "judged together.",
            param="input",
            code="invalid_type",
        )
    return [(f"input[{index}]", item) for index, item in enumerate(given)]


def _part(where: str, item: Any) -> Part:
    if isinstance(item, dict) and item.get("type") == "text":
        where, item = f"{where}.text", item.get("text")
    if isinstance(item, str):
        if not item:
            raise bad_request(f"'{where}' is empty.", param=where, code="invalid_value")
        if len(item) > MOST_CHARACTERS:
            raise bad_request(f"'{where}' has more than {MOST_CHARACTERS:,} characters. Split it.", param=where)
        return Part("text:analyze", dump({"text": item, "outputType": "EightSeverityLevels"}))
    image = item.get("image_url") if _is_image(item) else None
    url = image.get("url") if isinstance(image, dict) else None
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise bad_request(
            f"'{where}' must be a text, or an image as a data URL: images at other addresses are not fetched.",
            param=where,
            code="invalid_value",
        )
    return Part("image:analyze", dump({"image": {"content": data}, "outputType": "FourSeverityLevels"}))


class ModerationsAnswer(RelayedAnswer):
    def read(self, data: bytes) -> bytes:
        return self.join([data])

    def paid(self, answers: list[bytes]) -> Usage:
        return Usage()

    def join(self, answers: list[bytes]) -> bytes:
        """Raises ApiError (502) when one of them is no JSON object."""
        items = [item for _, item in _inputs(self._asked.body)]
        judged = [("image" if _is_image(item) else "text", _severities(parse(data)))
                  for item, data in zip(items, answers, strict=True)]  # fmt: skip
        results = [_result(judged)] if isinstance(items[0], dict) else [_result([row]) for row in judged]
        self.model = self._asked.deployment.model
        self.ended = True
        alias = self._asked.deployment.alias
        return orjson.dumps({"id": "modr-content-safety", "model": alias, "results": results})

    def usage_or_estimate(self) -> Usage:
        return Usage()


def _is_image(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "image_url"


def _severities(answer: Json) -> dict[str, int]:
    found: dict[str, int] = {}
    rows = answer.get("categoriesAnalysis")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("severity"), int):
            found[str(row.get("category"))] = row["severity"]
    return found


def _result(judged: Iterable[tuple[str, Mapping[str, int]]]) -> Json:
    """One result for what was judged together: of each category the worst."""
    judged = list(judged)
    scores: dict[str, float] = dict.fromkeys(_OTHERS, 0.0)
    flags: dict[str, bool] = dict.fromkeys(_OTHERS, False)
    applied: dict[str, list[str]] = {name: [] for name in _OTHERS}
    for azure, names in _CATEGORIES.items():
        worst = max(severities.get(azure, 0) for _, severities in judged)
        kinds = sorted({kind for kind, severities in judged if azure in severities})
        for name in names:
            scores[name] = round(worst / 7, 4)
            flags[name] = worst >= FLAGGED
            applied[name] = [kind for kind in kinds if kind == "text" or name not in _TEXT_ONLY]
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }
