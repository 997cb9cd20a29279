"""Hosts that several tests share, in both modes."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import pytest

from tests.host.host_process import FASTAPI, MASTER, QUIET, SAMPLE, HostProcess
from tests.support.azurite import azurite

__all__ = ("azurite",)
MODES = ("asgi", "process")


def mode_of(request: pytest.FixtureRequest) -> str:
    return cast(str, request.param)


@pytest.fixture(scope="module", params=MODES)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[HostProcess]:
    """The sample app with its HTTP functions only."""
    folder = tmp_path_factory.mktemp("host")
    keys = ("--keys-file", str(folder / "keys.json"))
    with HostProcess(folder, SAMPLE, *keys, mode=mode_of(request), **QUIET) as made:
        yield made


@pytest.fixture(scope="module", params=MODES)
def fastapi_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[HostProcess]:
    with HostProcess(tmp_path_factory.mktemp("fastapi"), FASTAPI, mode=mode_of(request)) as made:
        yield made


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return mode_of(request)


@pytest.fixture
def master() -> str:
    return MASTER
