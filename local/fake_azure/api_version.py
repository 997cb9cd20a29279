"""Which `api-version` each surface takes, and how Azure refuses the others."""

import datetime
import re

from aiohttp import web

from . import errors

_DATED_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?")
_FIRST_VERSION = datetime.date(2022, 12, 1)
_V1_VERSIONS = (None, "preview", "v1", "latest")


def check_dated(request: web.Request, since: str = "") -> None:
    """`since`: the first version that has what is asked for."""
    found = _DATED_VERSION.fullmatch(request.query.get("api-version", ""))
    try:
        date = datetime.date.fromisoformat(found[1]) if found else None
    except ValueError:
        date = None
    # No list of Azure's versions: it would be out of date. What is certain is when they began, and no future.
    first = datetime.date.fromisoformat(since[:10]) if since else _FIRST_VERSION
    if date is None or not first <= date <= datetime.datetime.now(datetime.UTC).date():
        raise errors.resource_not_found()


def check_v1(request: web.Request) -> None:
    if request.query.get("api-version") not in _V1_VERSIONS:
        raise errors.azure(400, "BadRequest", "API version not supported")
