"""What a grader says of a sample: string checks are really made, all other graders are content. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from ..store import Json

GRADERS = ("string_check", "text_similarity", "python", "score_model", "label_model", "multi")
_PLACE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


def reward(grader: Json, item: Mapping[str, Any], sample: str) -> float:
    if grader.get("type") != "string_check":
        return 1.0
    given, wanted = (_filled(str(grader.get(name, "")), item, sample) for name in ("input", "reference"))
    match grader.get("operation"):
        case "ne":
            passed = given != wanted
        case "like":
            passed = wanted in given
        case "ilike":
            passed = wanted.lower() in given.lower()
        case _:
            passed = given == wanted
    return float(passed)


def _filled(template: str, item: Mapping[str, Any], sample: str) -> str:
    """`{{item.x}}` and `{{sample.output_text}}` replaced."""

    def value(found: re.Match[str]) -> str:
        source, _, name = found[1].partition(".")
        return str(item.get(name, "")) if source == "item" else sample

    return _PLACE.sub(value, template)
