"""Bodies before an upstream is asked: every field that is checked, with every type that it must not have."""

from __future__ import annotations

from typing import Any

import pytest

from shared.body_checks import CHECKS, check_body
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError
from shared.types import Json

VALUES: dict[str, Any] = {"str": "x", "int": 1, "number": 1.5, "bool": True, "list": [{"role": "user"}], "object": {}}
FITS = {("int", "number")}
"""An integer is a number."""
CASES = [(name, field, wanted.split("|")) for name, fields in CHECKS.items() for field, wanted in fields.items()]


def body_of(name: str) -> Json:
    """The least that the endpoint takes, of the right types."""
    kinds = CHECKS[name]
    return {field: VALUES[kinds.get(field, "str").split("|")[0]] for field in ENDPOINTS[name].required}


def refused(name: str, body: Json) -> ApiError | None:
    try:
        check_body(ENDPOINTS[name], body)
    except ApiError as error:
        return error
    return None


@pytest.mark.parametrize(("name", "field", "wanted"), CASES)
def test_wrong_type_is_refused_and_named(name: str, field: str, wanted: list[str]) -> None:
    for kind, value in VALUES.items():
        if kind in wanted or any((kind, other) in FITS for other in wanted):
            continue
        error = refused(name, body_of(name) | {field: value})
        assert error is not None, kind
        assert (error.status, error.code, error.param) == (400, "invalid_type", field)
        assert f"'{field}'" in error.message


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_right_types_and_absent_fields_pass(name: str) -> None:
    least = body_of(name)
    assert refused(name, least) is None
    assert refused(name, {field: None for field in CHECKS[name]} | least) is None


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("embeddings", "encoding_format", "base32"),
        ("audio_speech", "response_format", "mp4"),
        ("audio_transcriptions", "response_format", "xml"),
        ("audio_translations", "response_format", "diarized_json"),
    ],
)
def test_unknown_value_is_refused_with_those_that_are_known(name: str, field: str, wrong: str) -> None:
    body = body_of(name) if name in CHECKS else {}
    error = refused(name, body | {field: wrong})
    assert error is not None
    assert (error.code, error.param) == ("invalid_value", field)
    assert "It must be one of" in error.message


@pytest.mark.parametrize(("name", "field"), [("embeddings", "input"), ("completions", "prompt")])
def test_empty_list_is_refused(name: str, field: str) -> None:
    error = refused(name, {field: []})
    assert error is not None
    assert error.param == field
