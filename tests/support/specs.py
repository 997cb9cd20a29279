"""The published specifications as judges of answers: which schema an answer has to meet, and where it does not.

Owns reading them, finding an operation in them, and saying in today's JSON Schema what they say in OpenAPI's words.
Knows nothing of gateways, nor of what is known to differ. They lie beside the checkout, not in it (unit/given.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SPECS = Path(__file__).parents[3] / "shared" / "specs"
OPENAI, AZURE, ANTHROPIC = "openai-openapi-2026-08-21.yaml", "azure-openai-v1.json", "anthropic-openapi-2026-01.json"
JSON, EVENTS = "application/json", "text/event-stream"
_UNSAID_EVENTS = {
    "/completions": "CreateCompletionResponse",
    "/responses/{}": "ResponseStreamEvent",
    "/v1/messages": "MessageStreamEvent",
}
"""What streams consist of where the operation does not list them as an answer, though its description does."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Where an answer differs, and how. A place is a JSON pointer with `*` for any place in a list, in a stream behind
    the type of the event and a colon; or HTTP."""

    place: str
    message: str


class Undocumented(Exception):
    """No specification has such a status or content type for the operation."""


class Spec:
    """One specification. `root` is what its paths begin with before those of the gateway's table."""

    def __init__(self, document: Mapping[str, Any], root: str = "") -> None:
        self._root = root
        self._document = _modern(document)
        resource = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry[Any]().with_resource("urn:spec", resource)
        self._paths = {_shape(path): path for path in self._document["paths"]}

    def covers(self, method: str, path: str) -> bool:
        return self._operation(method, path) is not None

    def schema(self, method: str, path: str, status: int, media: str) -> str | None:
        """-> the place of the schema of an answer; None when only its status is specified. Raises Undocumented."""
        operation = self._operation(method, path) or {}
        responses: Mapping[str, Any] = operation.get("responses", {})
        number = next((n for n in (str(status), f"{status // 100}XX") if n in responses), None)
        if number is None:
            raise Undocumented(f"status {status}, instead of {' or '.join(responses)}")
        content: Mapping[str, Any] = responses[number].get("content") or {}
        shape = _shape(self._root + "/" + path)
        if media == EVENTS and EVENTS not in content and shape in _UNSAID_EVENTS:
            return named(_UNSAID_EVENTS[shape])
        if not content:
            return None
        if media not in content:
            raise Undocumented(f"content type {media}, instead of {' or '.join(content)}")
        if "json" not in media and media != EVENTS:  # a file, a text: "string" is said of it, and no more
            return None
        at = ("paths", self._paths[shape], method.lower(), "responses", number, "content", media, "schema")
        return "#" + "".join("/" + quote(_escaped(step)) for step in at)

    def problems(self, schema: str, value: Any) -> list[Problem]:
        """What is wrong with a value; of alternatives none of which fits, what the nearest one says."""
        validator = Draft202012Validator({"$ref": f"urn:spec{schema}"}, registry=self._registry)
        errors: Iterable[ValidationError] = validator.iter_errors(value)
        leaves = (leaf for error in errors for leaf in _leaves(error))
        return sorted({Problem(place, leaf.message[:300]) for leaf in leaves for place in _places(leaf)})

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        known = self._paths.get(_shape(f"{self._root}/{path}"))
        return self._document["paths"][known].get(method.lower()) if known else None


def named(schema: str) -> str:
    """-> the place of one of the schemas that have a name."""
    return f"#/components/schemas/{schema}"


@cache
def spec(name: str) -> Spec:
    """One of the published specifications, read once. Skips the test where they are not."""
    file = SPECS / name
    if not file.exists():
        pytest.skip(f"the published specification {name} is not here")
    if file.suffix == ".yaml":
        return Spec(yaml.load(file.read_bytes(), _Loader))
    return Spec(json.loads(file.read_bytes()), "/v1" if name == ANTHROPIC else "")


def specs_of(method: str, path: str) -> list[Spec]:
    """Those that have the operation, the one that decides first: Azure's own counts where OpenAI's says nothing."""
    names = (ANTHROPIC,) if path.partition("/")[0] == "messages" else (OPENAI, AZURE)
    return [found for name in names if (found := spec(name)).covers(method, path)]


def judge(method: str, path: str, status: int, media: str, values: Iterable[Any]) -> list[Problem]:
    """What is wrong with an answer. `values`: its JSON if it has some, or the JSON of each event of a stream."""
    values, unknown, specified = list(values), list[str](), False
    for candidate in specs_of(method, path):
        try:
            schema = candidate.schema(method, path, status, media)
        except Undocumented as error:
            unknown.append(str(error))
            continue
        if schema and not values:
            return [Problem("HTTP", "an empty answer")]
        if schema:
            return sorted({problem for value in values for problem in _told(candidate, schema, value, media)})
        specified = True
    return [] if specified else [Problem("HTTP", " / ".join(unknown))]


def _told(by: Spec, schema: str, value: Any, media: str) -> Iterator[Problem]:
    kind = f"{value['type']}:" if media == EVENTS and "type" in value else ""
    return (Problem(kind + problem.place, problem.message) for problem in by.problems(schema, value))


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _modern(value: Any) -> Any:
    """Words of OpenAPI 3.0 in today's; OpenAI's specification calls itself 3.1 and has them all the same."""
    if isinstance(value, list):
        return [_modern(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {str(name): _modern(inner) for name, inner in value.items()}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if found.get(exclusive) is True:
            found[exclusive] = found.pop(bound)
        elif found.get(exclusive) is False:
            del found[exclusive]
    if found.get("nullable") is True:
        del found["nullable"]
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _leaves(error: ValidationError) -> list[ValidationError]:
    """What an error comes down to: of alternatives, all that is wrong with the one that was most likely meant."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).extend(_leaves(inner))
    if not branches:
        return [error]
    depth = len(error.absolute_path)
    return min(branches.values(), key=lambda leaves: (sum(_strangeness(leaf, depth) for leaf in leaves), len(leaves)))


def _strangeness(leaf: ValidationError, depth: int) -> int:
    """How much an error says that another alternative was meant: another kind of value, or another tag in it."""
    if leaf.validator == "type" and len(leaf.absolute_path) == depth:
        return 4
    return 1 if leaf.validator in ("const", "enum") else 0


def _places(leaf: ValidationError) -> list[str]:
    """Where an error is; what is missing has a place as well."""
    steps = list(leaf.absolute_path)
    if leaf.validator != "required":
        return [_pointer(steps)]
    wanted: Any = leaf.validator_value
    return [_pointer([*steps, name]) for name in wanted if leaf.message.startswith(f"{name!r} ")]


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(_steps(path)) or "/"


def _steps(path: Iterable[str | int]) -> Iterator[str]:
    for step in path:
        yield "/*" if isinstance(step, int) else f"/{_escaped(step)}"
