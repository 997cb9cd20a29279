"""The OpenAPI 3.1 document of the manage API, made from the rows of the registry. Pure; nothing in it is a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from shared.operations.asking import fields_of, path_fields
from shared.operations.operation import Operation
from shared.operations.rendering import is_list, row_fields
from shared.types import Json

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Keys, teams, usage, prices, limits and events of one gateway. Every request needs the gateway's ADMIN_KEY, or an Entra
token with the role Tollgate.Admin (everything) or Tollgate.Reader (GET only). Lists are paged: `next` is the cursor of
the next page, and `link` its address; `?format=csv` gives a page as CSV."""
_ERRORS = {
    "400": ("BadRequest", "Something in the request is wrong: `param` names the first field, the message all."),
    "401": ("WrongCredential", "No credential, or none that is good here."),
    "403": ("NotAllowed", "The role only reads, or no credential has been set up."),
    "404": ("NotFound", "There is no such address, key, team or other thing."),
    "429": ("TooMany", "Too many requests; `retry-after` says how long to wait."),
    "503": ("Unavailable", "Storage does not answer, and nothing was changed; retry."),
}
_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong and what to do."},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field that is wrong."},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def document(rows: Sequence[Operation]) -> Json:
    models = [
        (model, mode) for row in rows for model, mode in ((row.asks, "validation"), (row.answers, "serialization"))
    ]
    names, schemas = models_json_schema(
        list(dict.fromkeys(models)),  # type: ignore[arg-type]
        ref_template=_REF,
    )
    found: Json = schemas.get("$defs", {})
    used: Json = {"ErrorAnswer": _ERROR}
    paths: Json = {}
    for row in rows:
        asked = _name_of(names[(row.asks, "validation")])
        told = _name_of(names[(row.answers, "serialization")])
        paths.setdefault(f"/manage/{row.path}", {})[row.method.lower()] = _operation(row, found[asked], told)
    for row in rows:
        found.pop(_name_of(names[(row.asks, "validation")]), None)  # taken apart: parameters and bodies
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tollgate manage API", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/", "description": "The gateway's own address"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": name} for name in dict.fromkeys(_group(row) for row in rows)],
        "paths": paths,
        "components": {
            "schemas": {**used, **found},
            "responses": {name: _error(text) for name, text in _ERRORS.values()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The ADMIN_KEY, or an Entra token with the role Tollgate.Admin or Tollgate.Reader.",
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "api-key", "description": "The ADMIN_KEY."},
            },
        },
    }


def _name_of(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _group(row: Operation) -> str:
    return row.name.partition("_")[0]


def _operation(row: Operation, asked: Json, told: str) -> Json:
    properties: Json = asked.get("properties", {})
    in_path, in_body = path_fields(row), row.method in ("POST", "PATCH")
    parameters = [_parameter(name, properties[name], "path") for name in in_path]
    others = {name: schema for name, schema in properties.items() if name not in in_path}
    required = [name for name in asked.get("required", []) if name in others]
    described: Json = {
        "operationId": row.name,
        "tags": [_group(row)],
        "summary": row.summary,
        "responses": {"200": _answer(row, told)}
        | {status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in _ERRORS.items()},
    }
    if in_body and others:
        schema = {"type": "object", "additionalProperties": False, "properties": others, "required": required}
        described["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": schema}}}
    elif not in_body:
        parameters += [_parameter(name, schema, "query", name in required) for name, schema in others.items()]
    if is_list(row.answers) and "format" not in fields_of(row.asks):
        choice = {"type": "string", "enum": ["json", "csv"], "default": "json", "description": "How to answer."}
        parameters.append(_parameter("format", choice, "query"))
    return described | ({"parameters": parameters} if parameters else {})


def _parameter(name: str, schema: Json, place: str, required: bool = False) -> Json:
    shown = {key: value for key, value in schema.items() if key not in ("description", "title")}
    made: Json = {"name": name, "in": place, "required": place == "path" or required, "schema": shown}
    if text := schema.get("description"):
        made["description"] = text
    if place == "query" and "array" in str(shown):
        made |= {"style": "form", "explode": False}
    return made


def _answer(row: Operation, told: str) -> Json:
    content: Json = {"application/json": {"schema": {"$ref": _REF.format(model=told)}}}
    if is_list(row.answers):
        columns = ", ".join(row_fields(row.answers))
        content["text/csv"] = {"schema": {"type": "string", "description": f"Columns: {columns or 'as asked for'}."}}
    return {"description": "Done." if row.method != "GET" else "What was asked for.", "content": content}


def _error(text: str) -> Any:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="ErrorAnswer")}}},
    }
