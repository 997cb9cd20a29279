"""The app's own identity, for storage and vault: managed identity, and on a developer's machine whatever else
DefaultAzureCredential finds. Deployments have credentials of their own (identity.py).
"""

from __future__ import annotations

from typing import Any

from shared.adapters.identity import authority_options


def own_credential(authority: str, client_id: str) -> Any:
    """authority: AZURE_AUTHORITY_HOST; client_id: of a user-assigned identity, else empty."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(**_options(authority, client_id))


def own_credential_at_exit(authority: str, client_id: str) -> Any:
    """The same for an interpreter that ends: it starts no threads, and asyncio connects with their help."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(**_options(authority, client_id))


def _options(authority: str, client_id: str) -> dict[str, Any]:
    options = authority_options(authority)
    if client_id:
        options["managed_identity_client_id"] = client_id
    return {"exclude_interactive_browser_credential": True, **options}
