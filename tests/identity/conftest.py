"""What proofs of identity share: a storage account that takes tokens alone, and gateways without any key."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.adapters.work_queue import QUEUES
from tests.support.keyless import NO_STORAGE, deployments
from tests.support.models import Row, config_text
from tests.support.oauth_storage import OAuthStorage
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[OAuthStorage]:
    with OAuthStorage(tmp_path_factory.mktemp("oauth"), fake_azure) as running:
        yield running


@pytest.fixture
def storage(account: OAuthStorage) -> OAuthStorage:
    """Every role assigned, nothing recorded."""
    account.clear()
    return account


@pytest.fixture
def keyless(
    tmp_path_factory: pytest.TempPathFactory, fake: FakeAzure, storage: OAuthStorage
) -> Generator[Callable[..., Stack]]:
    """Starts a gateway that has no key of anything: `keyless(rows)`."""
    with ExitStack() as running:

        def start(rows: list[Row] | None = None, *, queues: bool = False, **settings: str) -> Stack:
            given: dict[str, Any] = {
                **storage.settings,
                "AzureWebJobsStorage__credential": "managedidentity",
                "AzureWebJobsStorage__clientId": fake.state.managed_client_id,
                **{f"AzureWebJobs.{name}.Disabled": str(not queues).lower() for name in QUEUES},
                **settings,
            }
            config, folder = config_text(rows or deployments(fake)), tmp_path_factory.mktemp("keyless")
            made = Stack(folder, fake, NO_STORAGE, config=config, without=("AzureWebJobsStorage",), **given)
            return running.enter_context(made)

        yield start
