"""What the imports of a cold start cost, stage by stage: CPU and modules, in the order of a first call.

Owns the stages, and the packages that no call to a model may load. The set of modules is held by a test
(tests/project/test_cold_imports.py), the milliseconds by nobody.
"""

import json
import subprocess
from dataclasses import dataclass
from statistics import median

from bench.cold_place import Place

STAGES = {
    "the platform's: azure.functions, asyncio": ("azure.functions",),
    "function_app.py: web extension, settings, triggers": ("function_app",),
    "reading a configuration: pydantic-core, PyYAML": ("pydantic_core", "yaml", "shared.config", "shared.document"),
    "the pipeline": ("shared.service",),
    "its adapters": (
        "shared.adapters.key_store", "shared.adapters.usage_log", "shared.adapters.upstream",
        "shared.adapters.route_board", "shared.adapters.event_reports", "shared.operations.desk",
    ),
    "azure-core": ("azure.core.pipeline.policies", "shared.adapters.sdk_transport"),
    "azure-data-tables": ("azure.data.tables.aio",),
    "managed identity": ("shared.adapters.own_identity", "shared.adapters.platform_identity"),
}  # fmt: skip
NEVER = ("azure-identity", "aiohttp", "azure-storage-blob", "azure-keyvault-secrets", "pydantic", "httpx")
TIMES = 7
_CODE = """
import importlib, json, sys, time
found = []
for names in json.loads(sys.argv[1]):
    began, before = time.process_time(), len(sys.modules)
    for name in names:
        importlib.import_module(name)
    found.append([time.process_time() - began, len(sys.modules) - before])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Stage:
    name: str
    milliseconds: float
    modules: int


def measured(place: Place, times: int = TIMES) -> list[Stage]:
    """The median of several processes."""
    argv = [str(place.python), "-c", _CODE, json.dumps(list(STAGES.values()))]
    runs: list[list[list[float]]] = []
    for _ in range(times):
        done = subprocess.run(
            argv, cwd=place.app, env={"PYTHONPATH": place.path(place.app)}, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise SystemExit(f"bench: the package does not import:\n{done.stderr[-2000:]}")
        runs.append(json.loads(done.stdout))
    return [
        Stage(name, median(run[number][0] for run in runs) * 1e3, int(runs[0][number][1]))
        for number, name in enumerate(STAGES)
    ]
