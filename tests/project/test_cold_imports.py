"""What a fresh instance loads: nothing of it is loaded before it is needed, and no call to a model needs much.

Sets of modules, no times: `python3 dev.py bench cold` has those. A package that is missing in a list here costs every cold
start; docs/adr/0015 says what was taken out, and what it had cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.azurite import Azurite
from tests.support.models import aliases, config_text
from tests.support.stack import ROOT, app_settings, clean_environment, run_manage

AT_IMPORT = {"anyio", "azurefunctions", "python_multipart", "starlette", "function_app", "shared"}
OWN_AT_IMPORT = {
    "shared", "shared.adapters", "shared.adapters.collector", "shared.adapters.web_extension", "shared.addresses",
    "shared.bootstrap", "shared.errors", "shared.ids", "shared.settings", "shared.types",
}  # fmt: skip
AT_A_CALL = {
    "aiohappyeyeballs", "azure.core", "azure.data", "httptools", "idna", "isodate", "multidict", "orjson", "propcache",
    "pydantic_core", "shared", "typing_extensions", "yaml", "yarl",
}  # fmt: skip
"""azure.data is azure-data-tables; isodate, multidict, propcache, typing_extensions, yarl and idna are its dependencies."""
NOT_FOR_A_CALL = (
    "shared.batches", "shared.books.reports", "shared.client", "shared.manage", "shared.operations.api",
    "shared.operations.registry", "shared.operations.checkup", "shared.adapters.blob", "shared.adapters.entra_tokens",
    "shared.adapters.proxied", "shared.adapters.resource_manager", "shared.adapters.batch_parts",
)  # fmt: skip


def packages(modules: list[str]) -> set[str]:
    """What modules belong to: a distribution's package, two names deep for those of azure. Not the standard library's."""
    found = {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}
    deep = {".".join(name.split(".")[: 2 if name.startswith("azure.") else 1]) for name in found}
    return {name for name in deep if name != "azure" and not name.startswith(("_", "cython_runtime"))}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Azurite) -> dict[str, Any]:
    """Of a process that has answered one call of a key, by a deployment that is reached with a managed identity."""
    config = tmp_path_factory.mktemp("cold") / "config.yaml"
    config.write_text(config_text([row for row in aliases(fake_azure) if row[0] == "entra"]))
    settings = app_settings(fake_azure, azurite.connection_string, config)
    key = run_manage(settings, "keys", "create", "--name", "cold")["key"]
    argv = [sys.executable, "-m", "tests.support.cold_call", key]
    done = subprocess.run(
        argv, cwd=ROOT, env=clean_environment() | settings, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 200, done.stdout + done.stderr
    return found


def test_the_import_of_the_app_loads_no_sdk_and_no_part(loaded: dict[str, Any]) -> None:
    assert packages(loaded["imported"]) - {"sniffio"} == AT_IMPORT  # anyio takes sniffio along where it is installed
    assert {name for name in loaded["imported"] if name.partition(".")[0] == "shared"} == OWN_AT_IMPORT


def test_a_first_call_loads_the_sdk_for_tables_and_no_other(loaded: dict[str, Any]) -> None:
    assert packages(loaded["called"]) <= AT_A_CALL


def test_a_first_call_loads_no_part_of_ours_that_it_does_not_use(loaded: dict[str, Any]) -> None:
    assert [name for name in loaded["called"] if name.startswith(NOT_FOR_A_CALL)] == []


def test_the_lists_name_what_there_is(loaded: dict[str, Any]) -> None:
    """A list that goes stale would hold nothing back."""
    assert packages(loaded["called"]) >= {"azure.core", "azure.data", "httptools", "pydantic_core", "yaml"}
    for name in NOT_FOR_A_CALL:
        place = Path(ROOT, *name.split("."))
        assert place.is_dir() or list(place.parent.glob(f"{place.name}*.py")), name
