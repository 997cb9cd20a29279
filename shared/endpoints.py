"""ENDPOINTS: what each public operation is, as OpenAI's API defines it. One frozen row per operation.

Nothing here knows how Azure serves an operation (SURFACES) or what a model accepts (FAMILIES).
A test demands that every route of every row is a trigger in function_app.py, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Shape = Literal["chat", "models", "health", "none"]
"""`chat` is relayed (transform.SHAPES says how); the others are answered here."""
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `body_limit` in bytes, `token_limit` in JSON tokens (`{`, `[` and `,` counted before parsing)."""

    name: str
    method: str
    shape: Shape
    routes: Mapping[str, str]
    """function name -> route template; the names decide the order in which the Functions host tries them."""
    operation: str = ""
    """The path below a resource's or deployment's root, for operations that are relayed."""
    streams: bool = False
    required: tuple[str, ...] = ()
    """Top-level fields without which the call is refused here."""
    body_limit: int = 64 * 1024
    token_limit: int = 10_000
    public: bool = False
    """True when no key is asked for."""


ENDPOINTS: Mapping[str, Endpoint] = {
    row.name: row
    for row in (
        # OpenAI API reference "Create chat completion" (openai-openapi 2026-08-21); Azure limits a chat request by
        # tokens, not bytes: 32 MB holds the 50 images that Azure allows per request (2026-08).
        Endpoint(
            name="chat_completions",
            method="POST",
            shape="chat",
            routes={
                "chat_v1": "v1/chat/completions",
                "chat_bare": "chat/completions",
                "chat_openai_v1": "openai/v1/chat/completions",
                "chat_deployment": "openai/deployments/{alias}/chat/completions",
            },
            operation="chat/completions",
            streams=True,
            required=("messages",),
            body_limit=32 * MB,
            token_limit=1_000_000,
        ),
        Endpoint(
            name="models_list",
            method="GET",
            shape="models",
            routes={
                "model_all_v1": "v1/models",
                "model_all_bare": "models",
                "model_all_openai_v1": "openai/v1/models",
                "model_all_openai": "openai/models",
            },
        ),
        Endpoint(
            name="models_get",
            method="GET",
            shape="models",
            # An alias may hold slashes, hence the rest of the path; it also matches nothing, so that the names must
            # sort behind model_all_…
            routes={
                "model_one_v1": "v1/models/{*alias}",
                "model_one_bare": "models/{*alias}",
                "model_one_openai_v1": "openai/v1/models/{*alias}",
                "model_one_openai": "openai/models/{*alias}",
            },
        ),
        Endpoint(name="health_live", method="GET", shape="health", routes={"health_live": "health/live"}, public=True),
        Endpoint(
            name="health_ready", method="GET", shape="health", routes={"health_ready": "health/ready"}, public=True
        ),
        # Everything else: OpenAI's error shape for unknown addresses, and OPTIONS for all of them.
        # Public, so that a typing error in base_url is told apart from a wrong key.
        Endpoint(name="not_found", method="", shape="none", routes={"zz_not_found": "{*path}"}, public=True),
    )
}
