"""What these tests share: one package, made once."""

from __future__ import annotations

import pytest

from deploy.package import Package, build
from tests.support.stack import ROOT


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The checkout's package, with the example configuration in it."""
    return build(tmp_path_factory.mktemp("package") / "app.zip", ROOT / "config.example.yaml")
