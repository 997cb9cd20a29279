"""Which `az` runs, its installation into .tollgate/az, and running it: each command is shown before it runs.

Must not know what is deployed. What a failure of az means is in advice.py.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from typing import Any

from deploy import ROOT, DeployError
from deploy.advice import advice_on

VERSION = "2.91.0"
HOME = ROOT / ".tollgate" / "az"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
MISSING = (
    "There is no az, Azure's command line: install it (https://learn.microsoft.com/cli/azure/install-azure-cli), or "
    "let `python3 dev.py az` install it into .tollgate/az"
)


def find() -> str | None:
    """The machine's own az, else the one that was installed here."""
    return shutil.which("az") or shutil.which("az", path=str(BIN))


def install() -> None:
    """Install it with pip, into a virtual environment of its own: its packages are 700 MB, and none of ours."""
    print(f"Installing azure-cli {VERSION} into .tollgate/az (about a minute, 700 MB) ...", flush=True)
    venv.create(HOME, clear=True, with_pip=True)
    python = BIN / ("python.exe" if os.name == "nt" else "python")
    command = [str(python), "-m", "pip", "install", "--no-input", "--quiet", f"azure-cli=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployError(f"pip could not install azure-cli:\n{done.stderr[-2000:]}")


def become(arguments: Sequence[str]) -> int:
    """Run az with the caller's own arguments. It is installed first where there is none."""
    program = find()
    if program is None:
        install()
        program = find()
    if program is None:
        raise DeployError(MISSING)
    if not arguments:
        print(f"az is {program}. Sign in with: python3 dev.py az login")
        return 0
    return subprocess.call([program, *arguments])


def shown(words: Sequence[str]) -> str:
    """A command as a person would type it."""
    simple = ("'" in word and not set(word) & set('$`"\\!') for word in words)
    return " ".join(f'"{word}"' if plain else shlex.quote(word) for word, plain in zip(words, simple, strict=True))


class Az:
    """Runs az. `dry`: only shows what would run, and answers with names that stand for what az would say."""

    def __init__(self, *, dry: bool = False, subscription: str = "") -> None:
        program = find()
        if program is None and not dry:
            raise DeployError(MISSING)
        self.dry = dry
        self._program = program or "az"
        self._always = ["--subscription", subscription] if subscription else []

    def run(self, *arguments: str) -> None:
        """Run a command whose output is for the operator's eyes."""
        self._run(arguments, capture=False)

    def text(self, *arguments: str, dry: str = "") -> str:
        """What a command answers, in one line. Nothing of it is shown: it may be a secret."""
        said = self._run((*arguments, "--output", "tsv"), capture=True).strip()
        return dry if self.dry else said

    def json(self, *arguments: str, dry: Any = None) -> Any:
        """What a command answers, as JSON."""
        said = self._run((*arguments, "--output", "json"), capture=True)
        if self.dry:
            return dry
        try:
            return json.loads(said or "null")
        except ValueError:
            raise DeployError(f"az answered something else than JSON: {said[:300]}") from None

    def _run(self, arguments: Sequence[str], *, capture: bool) -> str:
        # az ad knows no subscription
        words = [*arguments, *(self._always if arguments[0] != "ad" else ())]
        print(f"$ {shown(['az', *words])}", flush=True)
        if self.dry:
            return ""
        done = subprocess.run(
            [self._program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        said = (done.stderr or "").strip()
        if done.returncode:
            raise AzFailed(words, said)
        for line in said.splitlines():
            print(f"  {line}", file=sys.stderr)
        return done.stdout or ""


class AzFailed(DeployError):
    """A command of az that failed, with what az said and what to do about it."""

    def __init__(self, arguments: Sequence[str], said: str) -> None:
        self.said = said
        advice = advice_on(said)
        words = shown(["az", *arguments])
        super().__init__(f"{said or 'no word of why'}\n\nThis failed: {words}" + (f"\n→ {advice}" if advice else ""))
