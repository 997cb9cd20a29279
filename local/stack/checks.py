"""Runs the checks, the tests and the formatter: owns their order and exit code. Their rules are in pyproject.toml."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local.stack.layout import ROOT

PYTHON = sys.executable
CHECKS = {
    "ruff check": [PYTHON, "-m", "ruff", "check", "."],
    "ruff format --check": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "pyright": [PYTHON, "-m", "pyright"],
    "lint-imports": [str(Path(PYTHON).with_name("lint-imports"))],
    "bicep": [PYTHON, "-m", "deploy.bicep", "check"],
}


IN_THE_TESTS = ("bicep",)
"""Checks that the tests make as well (tests/infra): it takes half a minute."""
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""The tests wait for processes and sockets more than they compute: two at once, each with servers of its own. In the
order of their names: the many small ones of tests/unit come last, so that neither ends long before the other."""


def check(without: Sequence[str] = ()) -> int:
    """Run every check, also after a failure, and show what the failed ones say."""
    checks = {name: command for name, command in CHECKS.items() if name not in without}
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    failed: list[str] = []
    for number, (name, command) in enumerate(checks.items(), 1):
        print(f"check {number}/{len(checks)}: {name} ... ", end="", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        said = done.stdout.decode(errors="replace")
        outcome = "FAILED" if done.returncode else said.strip() if said.startswith("skipped:") else "ok"
        print(f"{outcome} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode:
            failed.append(name)
            print(said, flush=True)
    print(f"checks: {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


def test(arguments: list[str]) -> int:
    """Checks and all tests; with arguments, only pytest with them."""
    checked = 0 if arguments else check(without=IN_THE_TESTS)
    print(f"tests: pytest {' '.join(arguments) or 'over everything, in two processes'}", flush=True)
    tested = subprocess.call([PYTHON, "-m", "pytest", *(arguments or SIDE_BY_SIDE)], cwd=ROOT)
    print(f"tests: {f'failed (exit code {tested})' if tested else 'passed'}", flush=True)
    if checked:
        print("checks: failed (see above)", flush=True)
    return tested or checked


def fmt() -> int:
    subprocess.call([PYTHON, "-m", "ruff", "check", "--fix", "--exit-zero", "--quiet", "."], cwd=ROOT)
    return subprocess.call([PYTHON, "-m", "ruff", "format", "."], cwd=ROOT)


if __name__ == "__main__":
    word, rest = sys.argv[1], sys.argv[2:]
    sys.exit(test(rest) if word == "test" else check() if word == "check" else fmt())
