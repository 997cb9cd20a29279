"""What a program needs to know to talk to a running fake: addresses, keys, names. Plain data, written as JSON.

Keys and passwords are derived from names and so stay the same over restarts: they protect nothing.
"""

import dataclasses
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from .models import ResourceKind

TENANT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "tenant.fake-azure.example"))
CLIENT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "client.fake-azure.example"))
MANAGED_CLIENT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "managed.fake-azure.example"))
USERNAME = "developer@fake-azure.example"


def secret_of(name: str) -> str:
    return hashlib.sha256(f"fake azure {name}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ResourceState:
    url: str
    key: str
    kind: ResourceKind
    deployments: Mapping[str, str]  # deployment: model version


@dataclass(frozen=True, slots=True)
class State:
    control_url: str
    resources: Mapping[str, ResourceState]
    authority_url: str
    ca_file: str
    vault_url: str
    tenant_id: str
    clients: Mapping[str, str]  # client id: client secret
    users: Mapping[str, str]  # username: password
    federated_assertion: str
    federated_token_file: str
    identity_endpoint: str
    identity_header: str
    managed_client_id: str
    secrets: Mapping[str, str]  # of the vault: name: value
    management_url: str  # where metrics are asked for
    prices_url: str
    topic_url: str
    topic_key: str
    resource_ids: Mapping[str, str]  # resource: its id in Azure Resource Manager

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def write(self, file: Path) -> None:
        """Atomically: whoever waits for the file never reads half of it."""
        unfinished = file.with_name(f"{file.name}.part")
        unfinished.write_bytes(orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2))
        unfinished.replace(file)
