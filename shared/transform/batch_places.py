"""By way of which container the batches of a deployment go (`batch_storage`). Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from shared.catalog import Deployment
from shared.errors import BadSetting

_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_TAKEN = frozenset({"batches", "tollgate-files"})


def with_batch_storage(deployment: Deployment, container: str | None) -> Deployment:
    """Raises BadSetting."""
    if container is None:
        return deployment
    if not _NAME.fullmatch(container):
        raise BadSetting(
            "batch_storage",
            f"{container!r} is no name of a container",
            "write the name alone, such as 'azure-batches': batches go by way of the gateway's own storage account "
            "(AzureWebJobsStorage), and no other",
        )
    if container in _TAKEN or container.startswith("azure-webjobs"):
        raise BadSetting(
            "batch_storage",
            f"the container {container!r} has another use",
            "name one that nothing else is kept in, such as 'azure-batches'",
        )
    if deployment.provider != "azure" or not deployment.only_batches:
        raise BadSetting(
            "batch_storage",
            "batch_storage is for deployments of Azure OpenAI that serve batches",
            "add model_info.mode: batch if this is one, else leave batch_storage out",
        )
    return replace(deployment, batch_storage=container)
