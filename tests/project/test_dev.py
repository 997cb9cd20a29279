"""dev.py: finds a Python, installs only when something changed, and its help teaches. Nothing is installed here."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = "up status down test check fmt bench prove conformance manage package deploy infra costs az clean".split()
posix_only = pytest.mark.skipif(os.name == "nt", reason="the fake interpreters are shell scripts")


@pytest.fixture
def dev() -> Any:
    """A fresh dev.py, as a module that a test may bend."""
    spec = importlib.util.spec_from_file_location("dev_under_test", ROOT / "dev.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "dev.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


# -- the file itself


def test_dev_py_is_python_3_8_and_standard_library_only() -> None:
    source = (ROOT / "dev.py").read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = [name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert {name.name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert len(source.splitlines()) <= 370


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_says_more_than_its_name(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: dev.py {command}")
    assert len(done.stdout.splitlines()) > 5


def test_help_lists_every_command() -> None:
    done = run("--help")
    listed = re.findall(r"^    (\w+) ", done.stdout, re.MULTILINE)
    assert listed == COMMANDS


def test_no_command_and_a_wrong_one_are_refused_with_usage() -> None:
    for arguments in ([], ["start"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "usage: dev.py" in done.stderr


@pytest.mark.parametrize(
    ("argv", "passed_on"),
    [
        (["test"], []),
        (["test", "tests/unit", "-k", "usage"], ["tests/unit", "-k", "usage"]),
        (["manage", "keys", "create", "--name", "ana"], ["keys", "create", "--name", "ana"]),
        (["manage", "--", "--help"], ["--help"]),
        (["bench", "--", "hot", "--json"], ["hot", "--json"]),
        (["deploy", "-g", "rg-gateway", "--yes"], ["-g", "rg-gateway", "--yes"]),
    ],
)
def test_arguments_are_passed_on(dev: Any, argv: list[str], passed_on: list[str]) -> None:
    seen: list[list[str]] = []

    def command(options: Any) -> None:
        """says what it does"""
        seen.append(options.arguments)

    dev.COMMANDS[argv[0]] = command
    dev.main(argv)
    assert seen == [passed_on]


# -- finding Python


def fake_python(path: Path, said: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def cpython(*version: int) -> str:
    return json.dumps(["CPython", list(version)])


OLD = cpython(3, 11, 7)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is installed yet."""
    return {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}


@posix_only
def test_finder_takes_the_running_interpreter_if_it_is_good(dev: Any, tmp_path: Path, machine: dict[str, str]) -> None:
    running = fake_python(tmp_path / "running", cpython(3, 13, 2))
    fake_python(tmp_path / "bin/python3.13", cpython(3, 13, 9))
    assert dev.find_python(machine, str(running)) == ([str(running)], (3, 13, 2))


@posix_only
@pytest.mark.parametrize(
    "dud",
    [("pyenv: python3.13: command not found", 127), ("", 0), ("no json", 0), (json.dumps(["PyPy", [3, 13, 0]]), 0)],
)
def test_finder_runs_a_candidate_before_it_believes_in_it(
    dev: Any, tmp_path: Path, machine: dict[str, str], dud: tuple[str, int]
) -> None:
    running = fake_python(tmp_path / "running", OLD)
    fake_python(tmp_path / "bin/python3.13", *dud)
    good = fake_python(tmp_path / "bin/python3", cpython(3, 13, 0))
    assert dev.find_python(machine, str(running)) == ([str(good)], (3, 13, 0))


@posix_only
def test_finder_looks_at_every_folder_of_path(dev: Any, tmp_path: Path) -> None:
    fake_python(tmp_path / "shims/python3.13", "nothing", 127)
    good = fake_python(tmp_path / "real/python3.13", cpython(3, 13, 1))
    machine = {"PATH": f"{tmp_path / 'shims'}{os.pathsep}{tmp_path / 'real'}", "PYENV_ROOT": str(tmp_path / "none")}
    assert dev.find_python(machine, "/nonexistent") == ([str(good)], (3, 13, 1))


@posix_only
def test_finder_looks_into_pyenv(dev: Any, tmp_path: Path, machine: dict[str, str]) -> None:
    fake_python(tmp_path / "pyenv/versions/3.9.18/bin/python", cpython(3, 9, 18))
    good = fake_python(tmp_path / "pyenv/versions/3.13.4/bin/python", cpython(3, 13, 4))
    assert dev.find_python(machine, "/nonexistent") == ([str(good)], (3, 13, 4))


@posix_only
def test_finder_asks_uv(dev: Any, tmp_path: Path, machine: dict[str, str]) -> None:
    good = fake_python(tmp_path / "uv-pythons/python3.13", cpython(3, 13, 5))
    fake_python(tmp_path / "bin/uv", str(good))
    assert dev.find_python(machine, "/nonexistent") == ([str(good)], (3, 13, 5))


@posix_only
def test_finder_prefers_3_13_and_else_takes_the_oldest_newer_one(
    dev: Any, tmp_path: Path, machine: dict[str, str]
) -> None:
    newest = fake_python(tmp_path / "running", cpython(3, 15, 0))
    newer = fake_python(tmp_path / "bin/python3.14", cpython(3, 14, 1))
    assert dev.find_python(machine, str(newest)) == ([str(newer)], (3, 14, 1))
    good = fake_python(tmp_path / "pyenv/versions/3.13.0/bin/python", cpython(3, 13, 0))
    assert dev.find_python(machine, str(newest)) == ([str(good)], (3, 13, 0))


@posix_only
def test_without_a_python_one_sentence_says_what_to_install(dev: Any, tmp_path: Path, machine: dict[str, str]) -> None:
    running = fake_python(tmp_path / "running", OLD)
    with pytest.raises(SystemExit) as ended:
        dev.find_python(machine, str(running))
    said = str(ended.value)
    assert "3.13 or newer" in said
    assert "uv python install 3.13" in said
    assert "\n" not in said


# -- installing once


@pytest.fixture
def checkout(dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """dev.py in an empty checkout with a set-up that only remembers its steps."""
    steps: list[tuple[int, str]] = []
    package = tmp_path / ".tollgate/node/node_modules/azurite/package.json"

    def step(number: int, text: str, command: list[str], log_name: str) -> None:
        steps.append((number, text))
        made = {2: tmp_path / ".venv/python", 5: package}.get(number)
        if made:
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(json.dumps({"version": dev.AZURITE}))

    requirements = [tmp_path / "requirements.txt", tmp_path / "requirements-dev.txt"]
    requirements[0].write_text("# pins\nhttpx==0.28.1\norjson==3.13.0\n")
    requirements[1].write_text('uvloop==0.23.0; sys_platform != "win32"\n')
    changes: dict[str, Any] = {
        "ROOT": str(tmp_path),
        "VENV": str(tmp_path / ".venv"),
        "STAMP": str(tmp_path / ".venv/stamp"),
        "PYTHON": str(tmp_path / ".venv/python"),
        "TOOLS": str(tmp_path / ".tollgate"),
        "REQUIREMENTS": [str(path) for path in requirements],
        "step": step,
        "capture": lambda *_: "v24.0.0",
        "find_python": lambda: (["python3.13"], (3, 13, 0)),
    }
    for name, value in changes.items():
        monkeypatch.setattr(dev, name, value)
    return steps


def test_set_up_installs_once_with_numbered_steps(dev: Any, checkout: list[tuple[int, str]]) -> None:
    dev.set_up(azurite=True)
    assert checkout == [
        (2, "making the virtual environment .venv"),
        (3, "installing 3 packages with pip"),
        (5, f"installing azurite@{dev.AZURITE} with npm"),
    ]
    checkout.clear()
    dev.set_up(azurite=True)
    assert checkout == []


def test_set_up_without_azurite_leaves_npm_alone(dev: Any, checkout: list[tuple[int, str]]) -> None:
    dev.set_up()
    assert [number for number, _ in checkout] == [2, 3]
    dev.set_up(azurite=True)
    assert [number for number, _ in checkout] == [2, 3, 5]


def test_a_changed_requirement_installs_again_but_line_ends_do_not(dev: Any, checkout: list[tuple[int, str]]) -> None:
    dev.set_up()
    path = Path(dev.REQUIREMENTS[0])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert dev.installed()
    path.write_text("httpx==0.28.2\n")
    assert not dev.installed()
    checkout.clear()
    dev.set_up()
    assert checkout[-1] == (3, "installing 2 packages with pip")
    assert dev.installed()


def test_a_checkout_that_moved_or_lost_its_python_installs_again(
    dev: Any, checkout: list[tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.set_up()
    assert dev.installed()
    (tmp_path / ".venv/python").unlink()
    assert not dev.installed()
    dev.set_up()
    monkeypatch.setattr(dev, "VENV", str(tmp_path / "elsewhere"))
    assert not dev.installed()


def test_a_newer_azurite_is_installed_again(
    dev: Any, checkout: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.set_up(azurite=True)
    monkeypatch.setattr(dev, "AZURITE", "99.0.0")
    dev.set_up(azurite=True)
    assert checkout[-1] == (5, "installing azurite@99.0.0 with npm")


def test_a_failed_step_shows_the_end_of_its_log_and_where_it_is(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "TOOLS", str(tmp_path))
    program = "import sys; print('early', *range(20), 'no such package', sep='\\n'); sys.exit(7)"
    with pytest.raises(SystemExit) as ended:
        dev.step(3, "installing 3 packages with pip", [sys.executable, "-u", "-c", program], "pip.log")
    log = tmp_path / "logs/pip.log"
    said = capsys.readouterr().out
    assert said.startswith("[3/5] installing 3 packages with pip ... failed")
    assert "    no such package" in said
    assert "early" not in said
    assert "early" in log.read_text()
    assert (
        str(ended.value).strip() == f"Installing 3 packages with pip failed (exit code 7). The whole output is in {log}"
    )


def test_status_and_down_need_no_installation(dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "PYTHON", str(tmp_path / "nothing"))
    assert dev.main(["status", "--json"]) == 3
    assert not dev.main(["down"])


# -- what goes with it


def pins(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            exact = re.fullmatch(r'([A-Za-z0-9_.-]+)(?:\[\w+\])?==([\w.]+)(?:; sys_platform [!=]= "win32")?', line)
            assert exact, f"{name}: not one exact pin: {line}"
            found[re.sub(r"[-_.]+", "-", exact[1]).lower()] = exact[2]
    return found


def test_requirements_are_exact_and_said_once() -> None:
    assert not pins("requirements.txt").keys() & pins("requirements-dev.txt").keys()


def test_nothing_that_the_deployed_app_needs_is_missing_from_its_requirements() -> None:
    """Each pinned package's own needs are pinned in the same file (for this machine's platform)."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    runtime = pins("requirements.txt")
    for name in runtime:
        try:
            wanted = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        for need in wanted:
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert re.sub(r"[-_.]+", "-", need.name).lower() in runtime, f"{name} needs {need.name}"


def test_make_targets_and_ci_call_dev_py() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = dict(re.findall(r"^(\w+): ## .+\n\t@(.+)$", makefile, re.MULTILINE))
    assert {"up", "down", "test", "check", "fmt", "bench", "clean"} <= targets.keys()
    assert all(line == f"$(PYTHON) dev.py {name}" for name, line in targets.items() if name != "help")
    assert "exec python3 dev.py test" in (ROOT / ".ci/run").read_text()
    assert os.name == "nt" or os.access(ROOT / ".ci/run", os.X_OK)
    assert "python3 dev.py check" in (ROOT / ".pre-commit-config.yaml").read_text()
