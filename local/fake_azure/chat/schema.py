"""Makes an instance of a JSON schema: deterministic, with the words of a text where the schema wants strings.

Covers what tools and structured outputs are written with. Validates nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

_DEPTH = 6  # below it only required properties are filled, so that a recursive schema ends
_FORMATS = {
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "date-time": "2026-01-02T03:04:05Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_PLACES = ("location", "city", "place")


def instance(schema: Mapping[str, Any], words: Sequence[str], place: str | None = None) -> Any:
    """`place` goes into strings that are named after a place, `words` in turn into the others."""
    return _Maker(schema, cycle(words or ["text"]), place).make(schema, "", 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], words: Iterator[str], place: str | None) -> None:
        self._root = root
        self._words = words
        self._place = place

    def make(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict):  # `true`: anything goes
            return next(self._words)
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                count = min(max(int(schema.get("minItems", 1)), 0 if depth > _DEPTH else 1), schema.get("maxItems", 50))
                return [self.make(schema.get("items", True), name, depth + 1) for _ in range(count)]
            case "integer":
                return int(_number(schema))
            case "number":
                return _number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follows $ref, takes the first of anyOf and oneOf, merges allOf."""
        for _ in range(_DEPTH * 4):
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **{k: v for k, v in schema.items() if k != "$ref"}}
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                schema = dict(alternatives[0])
            elif parts := schema.get("allOf"):
                schema = _merged([{k: v for k, v in schema.items() if k != "allOf"}, *map(self._resolved, parts)])
            else:
                break
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        node: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                node = node.get(step.replace("~1", "/").replace("~0", "~"), {})
        return node

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        names = schema.get("required") or [] if depth > _DEPTH else properties
        return {name: self.make(properties.get(name, True), name, depth + 1) for name in names}

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if self._place and any(place in name.lower() for place in _PLACES):
            return self._place
        text = next(self._words)
        while len(text) < int(schema.get("minLength", 0)):
            text = f"{text} {next(self._words)}"
        return text[: int(schema.get("maxLength", len(text)))]


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None and "properties" in schema:
        return "object"
    return str(kind)


def _number(schema: Mapping[str, Any]) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0) - 1 if "exclusiveMaximum" in schema else None)
    value = 1 if low is None else max(1, low)
    step = schema.get("multipleOf")
    if step:
        value = -(-value // step) * step
    return value if high is None else min(value, high)


def _merged(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged
