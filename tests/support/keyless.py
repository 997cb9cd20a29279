"""What gateways without any key are configured with, and how an operator works with them over HTTP."""

from __future__ import annotations

from typing import Any

from local.fake_azure import FakeAzure
from tests.support.models import Row
from tests.support.stack import ADMIN, Key, Stack

OPERATOR = {"api-key": ADMIN}
NO_STORAGE = "UseDevelopmentStorage=true"
"""For what reads behind a gateway's back, which nobody does here."""


def azure(fake: FakeAzure, deployment: str, **more: Any) -> dict[str, Any]:
    """The parameters of a deployment to which the gateway signs in by its identity."""
    return {
        "model": f"azure/{deployment}", "api_base": fake.state.resources["main"].url, "api_version": "2024-10-21", **more,
    }  # fmt: skip


def deployments(fake: FakeAzure) -> list[Row]:
    batch = {"mode": "batch", "base_model": "gpt-4o-2024-11-20"}
    return [
        ("gpt-4o", azure(fake, "gpt-4o"), {}),
        ("embedding", azure(fake, "text-embedding-3-small"), {}),
        ("batch", azure(fake, "gpt-4o-batch", sku="GlobalBatch"), batch),
        ("vault", azure(fake, "gpt-4o", api_key="keyvault/main-api-key"), {}),
    ]


def made_key(stack: Stack, name: str) -> Key:
    """The command line would need an identity of its own."""
    made = stack.http.post("/manage/keys", headers=OPERATOR, json={"name": name}).raise_for_status().json()
    return Key(made["key"], made["id"], name)
