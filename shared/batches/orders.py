"""What a new batch is asked to be, whether it may be, and which engine runs it. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from shared import errors
from shared.batches.batch import Engine, Payer, Source
from shared.batches.kept import KeptFile
from shared.catalog import Catalog
from shared.deferral import BY_URL
from shared.principals import Principal
from shared.transform import answering
from shared.types import Json
from shared.wishes import REGION_HEADERS

CALLBACK_HEADER = "x-tollgate-callback-url"
OF_AZURE = frozenset({"/chat/completions"})
"""What batch deployments are asked for: for anything else the gateway makes the calls itself."""
_PAIRS, _KEY, _VALUE = 16, 64, 512
"""Of metadata (openai-openapi 2026-08-21)."""
_LEAST_SECONDS, _MOST_SECONDS = 3600, 2_592_000
"""Of output_expires_after (openai-openapi 2026-08-21)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a new batch is asked to be."""

    endpoint: str
    """With `/v1` or without: what the lines of its file ask for."""
    metadata: Mapping[str, str] | None = None
    output_seconds: int = 0
    callback_url: str = ""
    source: Source = "api"
    origin: str = ""
    batch_id: str = ""
    """The same whenever the same thing makes it; empty: a new one."""


def read_order(body: Json, headers: Mapping[str, str]) -> Order:
    """What a client asks for. Raises ApiError 400."""
    if body["completion_window"] != "24h":
        raise errors.bad_request(
            "The only 'completion_window' is '24h'.", param="completion_window", code="invalid_value"
        )
    if any(headers.get(name) for name in REGION_HEADERS):
        raise errors.bad_request(
            "A batch runs in whatever region its model is in. Name a model in the lines that is in the region you "
            "mean, and leave out x-tollgate-region.",
            code="region_not_served",
        )
    return Order(
        endpoint=str(body["endpoint"]),
        metadata=_metadata(body.get("metadata")),
        output_seconds=_seconds(body.get("output_expires_after")),
        callback_url=str(body.get("callback_url") or headers.get(CALLBACK_HEADER) or ""),
    )


def without_v1(endpoint: str) -> str:
    """As lines are kept: OpenAI's clients write `/v1`, Azure's do not."""
    path = "/" + endpoint.strip().strip("/")
    return path.removeprefix("/v1") if path.startswith("/v1/") else path


def check_endpoint(endpoint: str, file: KeptFile) -> None:
    """Whether a batch asks for what its lines ask for. Raises ApiError 400."""
    url = without_v1(endpoint)
    if url not in BY_URL:
        known = ", ".join(f"'/v1{path}'" for path in BY_URL)
        raise errors.bad_request(
            f"'{endpoint[:100]}' is not served in batches. 'endpoint' is one of {known}.",
            param="endpoint",
            code="invalid_value",
        )
    if url != file.url:
        raise errors.bad_request(
            f"The lines of the input file ask for '/v1{file.url}', not for '{endpoint[:100]}'. Write "
            f"'endpoint': '/v1{file.url}', or upload lines with the 'url' that you mean.",
            param="endpoint",
            code="mismatched_endpoint",
        )


def check_rights(principal: Principal, alias: str, url: str) -> None:
    """Whether whoever pays may ask the model for it. Raises ApiError 403."""
    if not principal.may_use(alias):
        raise errors.model_not_allowed(alias, "input_file_id")
    row = BY_URL.get(url)
    if row is not None and not principal.may_call(row.name, row.path):
        raise errors.endpoint_not_allowed(row.path)


def engine_for(catalog: Catalog, keepers: Container[str], alias: str, url: str, bound: str = "") -> Engine:
    """Azure's batch service where the alias has a deployment for batches that may be used, else the gateway's own
    calls. url: without `/v1`; bound: the resource that ids in the lines are kept by. Raises ApiError 400, 404 for what
    nothing can run."""
    row, every = BY_URL.get(url), catalog.of(alias)
    if not every:
        raise errors.model_not_found(alias, "input_file_id")
    there = [deployment for deployment in every if bound in ("", deployment.resource)]
    if url in OF_AZURE and any(d.only_batches and d.resource in keepers for d in there):
        return "azure"
    if row is not None and answering(row, [d for d in there if not d.only_batches]):
        return "own"
    if len(there) < len(every):
        raise errors.bad_request(
            f"The ids in the lines belong to a resource that does not serve '/v1{url}' of the model '{alias}'. Use the "
            "model that made them, or make them anew.",
            param="input_file_id",
            code="objects_elsewhere",
        )
    why = "no deployment of it does."
    if any(deployment.only_batches for deployment in there):
        why = "Azure's batch deployments are asked for '/v1/chat/completions' only."
    raise errors.bad_request(
        f"The model '{alias}' does not serve '/v1{url}': {why} Name another model in the lines, or ask your platform "
        "team for a deployment that does.",
        param="input_file_id",
        code="unsupported_operation",
    )


def payer_of(principal: Principal, tags: tuple[str, ...] = (), user: str = "") -> Payer:
    """Who pays for what a principal asks for. Only keys have something that may be shown: an Entra caller who is
    assigned to a team has no key."""
    return Payer(
        principal.key_id, principal.name, principal.team, principal.owner, not principal.prefix, tags, user
    )  # fmt: skip


def _metadata(given: Any) -> dict[str, str] | None:
    if given is None:
        return None
    pairs: dict[str, Any] = given if isinstance(given, dict) else {}
    fine = isinstance(given, dict) and len(pairs) <= _PAIRS
    if not fine or not all(len(k) <= _KEY and isinstance(v, str) and len(v) <= _VALUE for k, v in pairs.items()):
        raise errors.bad_request(
            f"'metadata' has at most {_PAIRS} pairs: names of up to {_KEY} characters, and texts of up to {_VALUE}.",
            param="metadata",
            code="invalid_value",
        )
    return pairs


def _seconds(given: Any) -> int:
    if given is None:
        return 0
    seconds = given.get("seconds") if isinstance(given, dict) and given.get("anchor") == "created_at" else None
    if isinstance(seconds, int) and not isinstance(seconds, bool) and _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        return seconds
    raise errors.bad_request(
        "'output_expires_after' is {'anchor': 'created_at', 'seconds': N} with N from "
        f"{_LEAST_SECONDS} to {_MOST_SECONDS}.",
        param="output_expires_after",
        code="invalid_value",
    )
