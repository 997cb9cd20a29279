"""Owns what the stack asks of the gateway: is its configuration good, is it ready, is this key good, make a key.

Must not import the app: it speaks HTTP to it, and runs `python -m shared.manage` as an operator would.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from local.stack.layout import ROOT

DEMO = ["keys", "create", "--name", "demo", "--json"]
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoKeyError(Exception):
    """The demo key could not be made, or does not work."""


def get(url: str, key: str = "", seconds: float = 5) -> tuple[int, str]:
    """The status and text of an answer; status 0 when there is none yet."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with _direct.open(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def models(url: str, key: str) -> list[str] | None:
    """The aliases that the key may use; None when the gateway does not know the key."""
    status, text = get(f"{url}/v1/models", key)
    if status == 401:
        return None
    if status != 200:
        raise DemoKeyError(f"GET /v1/models answers {status} to the demo key: {text[:600]}")
    return [str(model["id"]) for model in json.loads(text).get("data", [])]


def config_problems(environ: Mapping[str, str], config: str) -> str:
    """What the operator's own command says is wrong with a configuration; empty when nothing is."""
    command = [sys.executable, "-m", "shared.manage", "config", "check", config]
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, check=False)
    return (done.stderr or done.stdout).strip() if done.returncode else ""


def make_demo_key(environ: Mapping[str, str]) -> str:
    """A new key, made by the operator's own command."""
    command = [sys.executable, "-m", "shared.manage", *DEMO]
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, check=False)
    try:
        made: dict[str, Any] = json.loads(done.stdout)
        return str(made["key"])
    except (ValueError, KeyError, TypeError) as error:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise DemoKeyError(f"`python -m shared.manage {' '.join(DEMO)}` made no key:\n{said}") from error
