"""Owns the app's settings for a local run, the environment of the processes, and `local.settings.json`.

Must not know how the parts are started. What is fixed here is the setting names that the app reads in Azure as well.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.stack.record import Record, write_private

MARKER = "dev.py up"
ACCOUNT = "devstoreaccount1"
# Azurite's published account key, the same on every machine.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LOOPBACK = "127.0.0.1,localhost"


def storage_connection(ports: Mapping[str, int]) -> str:
    """Azurite's connection string."""
    services = "".join(
        f"{service.capitalize()}Endpoint=http://127.0.0.1:{ports[service]}/{ACCOUNT};"
        for service in ("blob", "queue", "table")
    )
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};{services}"


def app_settings(record: Record, storage: str, config: Path, fake: Mapping[str, Any]) -> dict[str, str]:
    """The settings of the app; with a fake Azure also those that lead every Azure SDK to it."""
    settings = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": storage,
        "CONFIG_SOURCE": str(config),
        "KEY_PEPPER": record.key_pepper,
        "ADMIN_KEY": record.admin_key,
    }
    if fake:
        settings |= {
            "TRUSTED_HOSTS": LOOPBACK,
            "AZURE_KEY_VAULT_URI": str(fake["vault_url"]),
            "AZURE_AUTHORITY_HOST": str(fake["authority_url"]),
            "AZURE_TENANT_ID": str(fake["tenant_id"]),
            "AZURE_CLIENT_ID": str(fake["managed_client_id"]),
            "IDENTITY_ENDPOINT": str(fake["identity_endpoint"]),
            "IDENTITY_HEADER": str(fake["identity_header"]),
            "SSL_CERT_FILE": str(fake["ca_file"]),
            "REQUESTS_CA_BUNDLE": str(fake["ca_file"]),
            "PRICES_URL": str(fake["prices_url"]),
            "RESOURCE_MANAGER_URL": str(fake["management_url"]),
            "EVENTS": "queue:tollgate-events",
            "DEFER_SECONDS": "10",
        }
    return settings


def app_environment(base: Mapping[str, str], settings: Mapping[str, str], faked: bool) -> dict[str, str]:
    """The user's environment with the settings over it. With a fake Azure, nothing of a real one stays in it."""
    own = {name: value for name, value in base.items() if not (faked and name.startswith(("AZURE_", "MSI_")))}
    exempt = [part for part in (base.get("NO_PROXY") or base.get("no_proxy") or "", LOOPBACK) if part]
    own |= {"NO_PROXY": ",".join(exempt), "no_proxy": ",".join(exempt), "PYTHONUNBUFFERED": "1"}
    return own | dict(settings)


def _is_ours(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig")).get("_written_by") == MARKER
    except (OSError, ValueError, AttributeError):
        return False


def write_local_settings(path: Path, settings: Mapping[str, str]) -> bool:
    """Write the settings for `func start` and `python -m shared.manage`; False when the file is the user's own."""
    if path.exists() and not _is_ours(path):
        return False
    write_private(path, json.dumps({"_written_by": MARKER, "IsEncrypted": False, "Values": dict(settings)}, indent=2))
    return True


def remove_local_settings(path: Path) -> None:
    """Take our file away: its addresses are those of a stack that runs no more."""
    if _is_ours(path):
        path.unlink()
