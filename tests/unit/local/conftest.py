"""What the tests of the fake Azure share: one of it for each module, so that what one leaves behind is no other's."""

from collections.abc import Iterator

import pytest

from local.fake_azure import FakeAzure


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAzure]:
    with FakeAzure.running(tmp_path_factory.mktemp("azure")) as fake:
        yield fake
