"""Embeddings: a vector is a function of the input and the model's size, of length 1, the same in both encodings.

Owns what an input may be and Azure's limits: 2048 inputs a call, 8192 tokens an input.
"""

import base64
import hashlib
import math
from array import array
from collections.abc import Mapping
from typing import Any

import orjson

from ..chat.tokenizer import split
from ..errors import ApiError, invalid
from .wording import Json, choice, integer, refuse_unknown

MOST_INPUTS = 2_048
MOST_TOKENS = 8_192
_SIZES = {"text-embedding-3-large": 3_072, "text-embedding-3-small": 1_536, "text-embedding-ada-002": 1_536}
_DEFAULT_SIZE = 1_536
_KNOWN = frozenset("model input user encoding_format dimensions input_type".split())

Input = str | list[int]


def embed(body: Mapping[str, Any], version: str, *, with_usage: bool = True) -> bytes:
    """The whole answer. Raises Azure's refusals."""
    refuse_unknown(body, _KNOWN)
    inputs = read_inputs(body.get("input"))
    size = _size(body, version)
    encoding = choice(body, "encoding_format", "float", ("float", "base64"))
    rows = [_row(place, vector(given, size), encoding) for place, given in enumerate(inputs)]
    used = sum(_count(given) for given in inputs)
    answer: Json = {"object": "list", "data": rows, "model": version}
    if with_usage:
        answer["usage"] = {"prompt_tokens": used, "total_tokens": used}
    return orjson.dumps(answer)


def read_inputs(given: Any) -> list[Input]:
    if given is None:
        raise invalid("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    rows = [given] if isinstance(given, str) or _is_tokens(given) else given
    if not isinstance(rows, list) or not rows:
        raise _malformed()
    if len(rows) > MOST_INPUTS:
        message = (
            f"Too many inputs. The max number of inputs is {MOST_INPUTS}. We hope to increase the number of inputs per "
            "request soon. Please contact us through an Azure support request at: "
            "https://go.microsoft.com/fwlink/?linkid=2213926 for further questions."
        )
        raise invalid(message)
    for row in rows:
        if not row or not (isinstance(row, str) or _is_tokens(row)):
            raise _malformed()
        if (count := _count(row)) > MOST_TOKENS:
            message = (
                f"This model's maximum context length is {MOST_TOKENS} tokens, however you requested {count} tokens "
                f"({count} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
            )
            raise invalid(message)
    return rows


def vector(given: Input, size: int) -> "array[float]":
    """`size` numbers of single precision. A shorter vector is the longer one's beginning, stretched to length 1."""
    material = given if isinstance(given, str) else f"tokens {given}"
    digest = hashlib.shake_128(material.encode("utf-8", "surrogatepass")).digest(size * 2)
    raw = array("h", digest)
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return array("f", [value / length for value in raw])


def _row(place: int, numbers: "array[float]", encoding: str) -> Json:
    said = numbers.tolist() if encoding == "float" else base64.b64encode(numbers.tobytes()).decode()
    return {"object": "embedding", "index": place, "embedding": said}


def _size(body: Mapping[str, Any], version: str) -> int:
    full = next((size for name, size in _SIZES.items() if version.startswith(name)), _DEFAULT_SIZE)
    if body.get("dimensions") is not None and not version.startswith("text-embedding-3"):
        raise invalid("This model does not support specifying dimensions.")
    return integer(body, "dimensions", full, 1, full)


def _count(given: Input) -> int:
    return len(split(given)) if isinstance(given, str) else len(given)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(row) is int for row in value)


def _malformed() -> ApiError:
    reference = "https://platform.openai.com/docs/api-reference"
    return invalid(f"'$.input' is invalid. Please check the API reference: {reference}.")
