"""Making this gateway ready to be measured, the way a user would: storage, a config, a key, the local Functions host.

It owns the settings of that run. Azurite holds the keys and takes the usage; it runs on the other core, as storage does
in production. The key is made by the operator's own command.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import peers
from bench.lab import Lab
from bench.procs import free_port
from shared.adapters.work_queue import QUEUES

HOST = ["-m", "local.host", ".", "--mode", "asgi"]
AZURITE = "3.35.0"
# Azurite's published account: the same on every machine, and no secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONFIG = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o
      api_base: {base}
      api_key: k
      api_version: "2024-10-21"
"""


def azurite(lab: Lab) -> Path:
    """Azurite's script: the one that the local stack has installed, or our own."""
    own = lab.work / "azurite"
    script = "node_modules/azurite/dist/src/azurite.js"
    for home in (*sorted((lab.root / ".tollgate").glob("*/")), own):
        if (home / script).exists():
            return home / script
    peers.npm_install(lab, own, "azurite", AZURITE)
    return own / script


def _storage(lab: Lab, *, access_log: bool = False) -> str:
    ports = {name: free_port() for name in ("blob", "queue", "table")}
    options = [part for name, port in ports.items() for part in (f"--{name}Port", str(port))]
    quiet = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    if not access_log:
        quiet.append("--silent")
    lab.aside("azurite", [*peers.node(lab), str(azurite(lab)), *options, *quiet], ports["table"])
    ends = "".join(f"{name.title()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};" for name, port in ports.items())
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};{ends}"


def settings(lab: Lab) -> dict[str, str]:
    return {
        "AzureWebJobsStorage": lab.kept["storage"],
        "CONFIG_SOURCE": str(lab.work / "config.yaml"),
        "KEY_PEPPER": "bench-pepper-bench-pepper-bench-pepper",
        "TRUSTED_HOSTS": "127.0.0.1",
        "FUNCHOST_MASTER_KEY": "bench-host-key",  # so that the host writes no key file
    }


WITHOUT_QUEUES = {f"AzureWebJobs.{name}.Disabled": "true" for name in QUEUES}
"""Of a gateway that answers HTTP. In Azure such an instance takes no messages (Flex Consumption scales each queue
apart), and no process of ours polls queues; here the host would, in the very process that is measured."""


def prepare(lab: Lab, *, access_log: bool = False) -> None:
    """access_log: have Azurite write a line for each request into its log."""
    if not (lab.root / "function_app.py").exists():
        raise LookupError("there is no function_app.py in this checkout")
    lab.kept["storage"] = _storage(lab, access_log=access_log)
    (lab.work / "config.yaml").write_text(CONFIG.format(base=lab.base()))
    lab.kept["key"] = make_key(lab)["key"]


def make_key(lab: Lab, *options: str) -> dict[str, str]:
    """A new key, with limits or without: its `key` and its `id`."""
    return made_key(lab, settings(lab), *options)


def made_key(lab: Lab, given: dict[str, str], *options: str) -> dict[str, str]:
    """given: the app settings of the gateway that it is for."""
    argv = [sys.executable, "-m", "shared.manage", "keys", "create", "--name", "bench", "--json", *options]
    env = {**os.environ, **given}
    made = subprocess.run(argv, cwd=lab.root, env=env, capture_output=True, text=True, timeout=120)
    if made.returncode:
        raise SystemExit(f"bench: no key could be made:\n{(made.stdout + made.stderr)[-2000:]}")
    return json.loads(made.stdout)


def host_argv(port: int) -> list[str]:
    """The command of one gateway in the local Functions host."""
    return [sys.executable, *HOST, "--port", str(port)]
