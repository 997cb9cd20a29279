"""Operations over HTTP, at the manage API of a gateway that runs elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from shared.addresses import is_safe_url
from shared.manage.context import CommandError
from shared.operations.asking import path_fields
from shared.operations.operation import Asked, Operation

SECONDS = 60.0


async def perform(operation: Operation, asked: Asked, url: str, credential: str) -> dict[str, Any]:
    """Raises CommandError with what the gateway said."""
    import httpx

    if not is_safe_url(url):
        raise CommandError("--url: write https://HOST; the credential would be sent in the clear.")
    given: dict[str, Any] = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    in_path = {name: given.pop(name) for name in path_fields(operation)}
    path = operation.path.format(**{name: quote(str(value), safe="") for name, value in in_path.items()})
    sent: dict[str, Any] = {"json": given} if operation.method in ("POST", "PATCH") else {"params": _query(given)}
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            answer = await http.request(
                operation.method,
                f"{url.rstrip('/')}/manage/{path}",
                headers={"authorization": f"Bearer {credential}", "accept": "application/json"},
                **sent,
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"The gateway does not answer: {error or type(error).__name__}. Check --url.") from error
    try:
        told: Any = answer.json()
    except ValueError:
        told = None
    if answer.status_code == 200 and isinstance(told, dict):
        return told
    raise CommandError(_said(told) or f"The gateway answers {answer.status_code}: is --url a Tollgate gateway?")


def _query(given: Mapping[str, Any]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, list):
            query[name] = ",".join(map(str, value))
        elif value is not None:
            query[name] = value if isinstance(value, str) else json.dumps(value)
    return query


def _said(told: Any) -> str:
    """The message of an error in OpenAI's shape."""
    error: Any = told.get("error") if isinstance(told, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""
