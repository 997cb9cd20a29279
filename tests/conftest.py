"""What end-to-end tests share: one Azurite, one fake Azure, and one gateway for each mode of the host."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.azurite import azurite
from tests.support.stack import Key, Stack

__all__ = ("azurite",)
MODES = ("asgi", "process")


def pytest_collection_finish() -> None:
    """Eleven thousand tests stay to the end: the collector need not look at them again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def fake_azure(tmp_path_factory: pytest.TempPathFactory) -> Generator[FakeAzure]:
    """The session's fake Azure. Tests take `fake`, which begins empty."""
    with FakeAzure.running(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_stacks(
    tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any
) -> Generator[Callable[[str], Stack]]:
    """The usual gateway of each mode, started when a test first asks for it."""
    with ExitStack() as running:
        started: dict[str, Stack] = {}

        def of_mode(mode: str) -> Stack:
            if mode not in started or not started[mode].running:
                folder = tmp_path_factory.mktemp(f"gateway-{mode}")
                made = Stack(folder, fake_azure, azurite.connection_string, mode=mode)
                started[mode] = running.enter_context(made)
            return started[mode]

        yield of_mode


@pytest.fixture
def fake(fake_azure: FakeAzure) -> Generator[FakeAzure]:
    """The fake without faults and without records of earlier tests."""
    assert fake_azure.wait_idle(10), "an earlier test left a request open"
    fake_azure.clear()
    yield fake_azure
    fake_azure.faults.clear()


@pytest.fixture
def stack(shared_stacks: Callable[[str], Stack], fake: FakeAzure) -> Stack:
    """The usual gateway. Its settings and configuration are not to be changed."""
    return shared_stacks("asgi")


@pytest.fixture(params=MODES)
def stack_of_mode(request: pytest.FixtureRequest, shared_stacks: Callable[[str], Stack], fake: FakeAzure) -> Stack:
    """The usual gateway, once with the worker in the host's process and once behind a proxy as in Azure."""
    return shared_stacks(request.param)


@pytest.fixture
def key(stack: Stack) -> Key:
    """A key of the test's own, so that its usage is its own as well."""
    return stack.key()


@pytest.fixture
def new_stack(
    tmp_path_factory: pytest.TempPathFactory, fake: FakeAzure, azurite: Any
) -> Generator[Callable[..., Stack]]:
    """Starts a gateway for one test: `new_stack(mode=…, NAME="value")`."""
    with ExitStack() as running:

        def start(storage: str = "", **options: Any) -> Stack:
            made = Stack(tmp_path_factory.mktemp("own"), fake, storage or azurite.connection_string, **options)
            return running.enter_context(made)

        yield start


@pytest.fixture(scope="module")
def rubbish_stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any) -> Generator[Stack]:
    """A gateway that has never had a configuration that works."""
    folder = tmp_path_factory.mktemp("rubbish")
    with Stack(folder, fake_azure, azurite.connection_string, config="none") as made:
        yield made
