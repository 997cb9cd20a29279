"""What may become a batch: the request that makes one, and the input file, which is looked into while it is validated.

Owns the refusals of both, in Azure's codes. Knows nothing of how a batch lives.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ...batch_desk import Terms
from ...door import Door
from ...errors import azure, invalid
from ...store import Json
from ..calls import Call

_BOM = b"\xef\xbb\xbf"
_OPERATIONS = {
    "/chat/completions": "chatCompletion",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/completions": "completion",
}
_ON_AZURE = ("/chat/completions", "/responses")  # embeddings are not done in batches there (Azure's page of 2025-08)
_MOST_ERRORS = 50
_YIELD_EVERY = 500


@dataclass(frozen=True, slots=True)
class Line:
    number: int  # in the file, from 1
    custom_id: str
    body: Json


@dataclass(frozen=True, slots=True)
class Order:
    """What a new batch is asked to be."""

    endpoint: str  # as it was given
    operation: str  # without /v1
    window: str
    input_file: str
    metadata: Json | None
    expiry: int | None  # seconds that its files are kept
    input_blob: str = ""  # instead of a file: addresses of a blob, and of the container for the output
    output_folder: str = ""
    storage: str = ""  # how that account is used


def order_of(door: Door, call: Call) -> Order:
    blob, folder = _blobs(door, call)
    storage = door.batches.terms(door.resource.name).storage if blob else ""
    file_id = "" if blob else call.need("input_file_id")
    endpoint, window = call.need("endpoint"), call.need("completion_window")
    operation = endpoint.removeprefix("/v1")
    served = tuple(_OPERATIONS) if door.resource.kind == "plain" else _ON_AZURE
    if operation not in served:
        message = f"Invalid value: '{endpoint}'. Supported values are: {', '.join(f"'/v1{name}'" for name in served)}."
        raise invalid(message, "endpoint", "invalid_value")
    if window != "24h":
        raise invalid(f"Invalid value: '{window}'. Value must be '24h'.", "completion_window", "invalid_value")
    if not blob:
        _check_file(door, file_id)
    return Order(endpoint, operation, window, file_id, call.metadata() or None, _expiry(call), blob, folder, storage)


def _blobs(door: Door, call: Call) -> tuple[str, str]:
    """Where the input lies and the output is to lie; empty: they are files. What exactly Azure says when something is
    wrong with it is not known."""
    blob, folder = call.given("input_blob", ""), call.given("output_folder", {}, dict).get("url", "")
    if not blob and not folder:
        return "", ""
    if not door.batches.terms(door.resource.name).storage:
        message = "This resource has no storage account: upload the input as a file and give its id in input_file_id."
        raise azure(400, "invalidPayload", message)
    if not blob or not folder or call.body.get("input_file_id") or call.body.get("metadata"):
        message = "input_blob needs an output_folder with a url, and neither input_file_id nor metadata beside it."
        raise azure(400, "invalidPayload", message)
    return blob, folder


def _check_file(door: Door, file_id: str) -> None:
    row = door.store.files.get(file_id)
    if row["purpose"] != "batch":
        message = (
            f"The file '{file_id}' has the purpose '{row['purpose']}'. A batch needs one with the purpose 'batch'."
        )
        raise invalid(message, "input_file_id", "invalid_file_purpose")
    if row["status"] != "processed":
        message = f"The file '{file_id}' has the status '{row['status']}'. A batch can be made when it is processed."
        raise azure(400, "invalidPayload", message)


def _expiry(call: Call) -> int | None:
    given = call.given("output_expires_after", None, dict)
    if given is None:
        return None
    seconds = given.get("seconds")
    if type(seconds) is not int or not 3_600 <= seconds <= 2_592_000:
        raise invalid("output_expires_after.seconds is between 3600 and 2592000.", "output_expires_after")
    return seconds


def deployment_of(data: bytes) -> str:
    """The model of the first line, as far as it can be read."""
    try:
        return str(orjson.loads(data.partition(b"\n")[0])["body"]["model"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


async def read(door: Door, terms: Terms, operation: str, data: bytes) -> tuple[list[Line], list[Json]]:
    """The lines of an input file, and what is wrong with them."""
    if data.startswith(_BOM):
        message = (
            "Validation failed: A valid model deployment name couldn't be extracted from the input file. Please ensure "
            "that each row in the input file has a valid deployment name specified in the 'model' field, and that the "
            "deployment name is consistent across all rows."
        )
        return [], [error("invalid_request", message)]
    rows = [(number, row) for number, row in enumerate(data.split(b"\n"), 1) if row.strip()]
    if not rows:
        message = "The input file is empty. Please ensure that the batch contains at least one request."
        return [], [error("empty_file", message)]
    if len(rows) > terms.lines:
        message = f"The number of requests in the input file exceeds the maximum of {terms.lines}."
        return [], [error("too_many_tasks", message)]
    lines, errors, seen = list[Line](), list[Json](), set[str]()
    for number, row in rows:
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        try:
            made = _line(number, row, operation)
        except _Wrong as wrong:
            errors.append(error(wrong.code, str(wrong), number, wrong.param))
            continue
        if made.custom_id in seen:
            message = f"The custom_id '{made.custom_id}' is a duplicate of that of another request."
            errors.append(error("duplicate_custom_id", message, number, "custom_id"))
        seen.add(made.custom_id)
        lines.append(made)
    errors += _model_errors(door, terms, operation, lines)
    return lines, errors[:_MOST_ERRORS]


def error(code: str, message: str, line: int | None = None, param: str | None = None) -> Json:
    return {"code": code, "message": message, "line": line, "param": param}


class _Wrong(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


def _line(number: int, row: bytes, operation: str) -> Line:
    try:
        given: Any = orjson.loads(row)
    except orjson.JSONDecodeError as wrong:
        raise _Wrong("invalid_json_line", "This line is not parseable as valid JSON.") from wrong
    if not isinstance(given, dict):
        raise _Wrong("invalid_request", "This line is not a JSON object.")
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(given.get(name), kind):
            raise _Wrong("invalid_request", f"Missing required parameter: '{name}'.", name)
    if given["method"] != "POST":
        raise _Wrong("invalid_request", f"Invalid method: '{given['method']}'. It must be 'POST'.", "method")
    if given["url"].removeprefix("/v1") != operation:
        message = f"The URL '{given['url']}' does not match the endpoint of the batch, '{operation}'."
        raise _Wrong("url_mismatch", message, "url")
    if not isinstance(given["body"].get("model"), str):
        raise _Wrong("invalid_request", "Missing required parameter: 'body.model'.", "body.model")
    return Line(number, given["custom_id"], given["body"])


def _model_errors(door: Door, terms: Terms, operation: str, lines: list[Line]) -> Iterator[Json]:
    if not lines:
        return
    name, first = lines[0].body["model"], lines[0].number
    for line in lines:
        if line.body["model"] != name:
            message = "The model of this request does not match that of the rest of the batch. All must have the same."
            yield error("model_mismatch", message, line.number, "body.model")
    model = door.resource.model(name)
    if model is None:
        yield error("model_not_found", f"The model deployment '{name}' was not found.", first, "body.model")
        return
    if not terms.does_batches(name, model.version, door.resource.kind):
        message = f"The deployment '{name}' has an invalid SKU: a batch needs one of the SKU globalbatch."
        yield error("invalid_request", message, first, "body.model")
    if _OPERATIONS[operation] not in model.operations:
        message = f"The {_OPERATIONS[operation]} operation does not work with the model of the deployment '{name}'."
        yield error("invalid_request", message, first, "body.model")
