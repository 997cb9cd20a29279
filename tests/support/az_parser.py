"""The real az's own parser, asked about many commands at once: one process, no network, nobody signed in.

Owns how az's Python is found and driven. Where the commands come from is not its business.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.azure_cli import VERSION, find

_DRIVER = """
import contextlib, io, json, logging, sys
from azure.cli.core import get_default_cli

class Understood(BaseException):
    pass

def stop(*_, **__):
    raise Understood

class Notes(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())

cli = get_default_cli()
cli.register_event("CommandInvoker.OnPostParseArgs", stop)
logging.getLogger("cli").addHandler(Notes())
answers = []
for words in json.load(sys.stdin):
    said, printed = [], io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = cli.invoke(words)
        answers.append("" if code == 0 else " ".join(said) or f"exit code {code}")
    except Understood:
        answers.append("")
    except SystemExit as ended:
        shown_help = ended.code == 0
        answers.append("" if shown_help else " ".join(said) or printed.getvalue()[-300:] or "refused")
print(json.dumps(answers))
"""
_QUIET = {
    "AZURE_CORE_COLLECT_TELEMETRY": "no",
    "AZURE_CORE_ERROR_RECOMMENDATION": "off",
    "AZURE_CORE_NO_COLOR": "yes",
    "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
}
MISSING = f"there is no az here to ask: python3 dev.py az installs azure-cli {VERSION} into .tollgate/az"


@functools.cache
def az_python() -> Path | None:
    """The Python that az runs on: where pip installed it, or in the package of a distribution."""
    program = find()
    if program is None:
        return None
    folder = Path(program).resolve().parent
    for python in (folder / "python.exe", folder / "python3", folder / "python", Path("/opt/az/bin/python3")):
        if python.exists() and not subprocess.run([python, "-c", "import azure.cli.core"], check=False).returncode:
            return python
    return None


def refusals(commands: Sequence[Sequence[str]], config: Path) -> dict[str, str]:
    """Each command that az does not understand, with what az says. Skips the test where there is no az."""
    python = az_python()
    if python is None:
        pytest.skip(MISSING)
    # a word @FILE would be read from the disk
    given = [[word.removeprefix("@") for word in command[1:]] for command in commands]
    environ = {**os.environ, **_QUIET, "AZURE_CONFIG_DIR": str(config)}
    done = subprocess.run(
        [python, "-c", _DRIVER], input=json.dumps(given), env=environ, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    return {" ".join(command): why for command, why in zip(commands, said, strict=True) if why}
