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


def _azurite(lab: Lab) -> Path:
    """Azurite's script: the one that the local stack has installed, or our own."""
    own = lab.work / "azurite"
    script = "node_modules/azurite/dist/src/azurite.js"
    for home in (*sorted((lab.root / ".tollgate").glob("*/")), own):
        if (home / script).exists():
            return home / script
    peers.npm_install(lab, own, "azurite", AZURITE)
    return own / script


def _storage(lab: Lab) -> str:
    ports = {name: free_port() for name in ("blob", "queue", "table")}
    options = [part for name, port in ports.items() for part in (f"--{name}Port", str(port))]
    quiet = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    lab.aside("azurite", [*peers.node(lab), str(_azurite(lab)), *options, *quiet], ports["table"])
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


def prepare(lab: Lab) -> None:
    if not (lab.root / "function_app.py").exists():
        raise LookupError("there is no function_app.py in this checkout")
    lab.kept["storage"] = _storage(lab)
    (lab.work / "config.yaml").write_text(CONFIG.format(base=lab.base()))
    argv = [sys.executable, "-m", "shared.manage", "keys", "create", "--name", "bench", "--json"]
    env = {**os.environ, **settings(lab)}
    made = subprocess.run(argv, cwd=lab.root, env=env, capture_output=True, text=True, timeout=120)
    if made.returncode:
        raise SystemExit(f"bench: no key could be made:\n{(made.stdout + made.stderr)[-2000:]}")
    lab.kept["key"] = json.loads(made.stdout)["key"]
