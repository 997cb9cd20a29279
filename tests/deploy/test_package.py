"""The package: what is in it and what is not, the same bytes each time, and that it runs as it is deployed."""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from openai import OpenAI

from deploy import DeployError, trial, wheels
from deploy.__main__ import main
from deploy.ignored import deployed_files, read_ignored
from deploy.package import MOUNT, PACKAGES, Package, build
from local.fake_azure import FakeAzure
from tests.support.deployed import deployed
from tests.support.stack import ROOT

NEVER = {"local", "bench", "tests", "docs", "infra", "deploy", "conformance", ".venv", ".tollgate", ".git", "dist"}


@pytest.fixture(scope="session")
def names(package: Package) -> list[str]:
    with zipfile.ZipFile(package.file) as archive:
        return archive.namelist()


# -- what is in it


def test_the_app_is_in_it_and_nothing_of_the_workshop(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        ".python_packages", "__pycache__", "config.yaml", "function_app.py", "host.json", "requirements.txt", "shared",
    }  # fmt: skip
    assert not tops & NEVER
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "shared").rglob("*.py")}
    assert modules <= set(names)
    assert {"shared/roles.json", "shared/prices/book.json"} <= set(names)


def test_every_required_package_is_in_it_for_the_target(names: list[str]) -> None:
    found = {PurePosixPath(name).parts[3] for name in names if name.startswith(PACKAGES) and ".dist-info/" in name}
    plain = {name.removesuffix(".dist-info").lower().replace("_", "-") for name in found}
    assert plain == {f"{n}-{v}".lower().replace("_", "-") for n, v in wheels.required().items()}
    libraries = [name for name in names if name.endswith(".so")]
    assert libraries
    assert all("cpython-313-x86_64-linux-gnu" in name or ".abi3." in name for name in libraries)
    assert not [name for name in names if name.endswith((".pyi", ".pyx", ".h", "/RECORD"))]


def test_each_module_has_bytecode_that_is_taken_as_it_is(package: Package) -> None:
    with zipfile.ZipFile(package.file) as archive:
        names = set(archive.namelist())
        sources = {name for name in names if name.endswith(".py")}
        for name in sources:
            path = PurePosixPath(name)
            cached = (path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").as_posix()
            assert cached in names, name
            head = archive.read(cached)[:8]
            assert head[:4] == importlib.util.MAGIC_NUMBER
            assert int.from_bytes(head[4:], "little") == 0b01, f"{name}: not an unchecked hash"
        code = marshal.loads(archive.read("shared/__pycache__/bootstrap.cpython-313.pyc")[16:])
    assert code.co_filename == f"{MOUNT}/shared/bootstrap.py"


@pytest.fixture
def few_wheels(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of all wheels takes seconds; these hold pure Python, a library and sets of constants."""
    few = [file for file in wheels.here().values() if file.name.startswith(("orjson-", "h11-", "httpcore-", "idna-"))]
    assert len(few) == 4
    monkeypatch.setattr(wheels, "fetch", lambda: sorted(few))


@pytest.mark.usefixtures("few_wheels")
def test_the_same_checkout_gives_the_same_bytes(tmp_path: Path) -> None:
    """Wherever it lies and whatever the times of its files; a config.yaml in it goes in when asked for, only then."""
    copy = copy_of_the_app(tmp_path / "elsewhere")
    (copy / "config.yaml").write_text("model_list: []\n")
    os.utime(copy / "host.json", (1, 1))
    first, again = build(tmp_path / "first.zip"), build(tmp_path / "again.zip", root=copy)
    assert again.digest == first.digest
    with zipfile.ZipFile(again.file) as archive:
        assert "config.yaml" not in archive.namelist()


def copy_of_the_app(folder: Path) -> Path:
    for file in deployed_files(ROOT, read_ignored()):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    shutil.copy(ROOT / ".funcignore", folder)
    return folder


@pytest.mark.usefixtures("few_wheels")
def test_a_stray_file_is_refused(tmp_path: Path) -> None:
    copy = copy_of_the_app(tmp_path / "app")
    (copy / "notes.txt").write_text("the password is")
    with pytest.raises(DeployError, match=r"notes\.txt: not part of the app"):
        build(tmp_path / "app.zip", root=copy)


# -- what is left out


@pytest.mark.parametrize("line", ["docs/adr/", "!README.md", "/dist"])
def test_a_pattern_that_would_need_guessing_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text(f"bench/\n{line}\n")
    with pytest.raises(DeployError, match="line 2"):
        read_ignored(tmp_path / ".funcignore")


def test_names_are_left_out_at_any_depth_and_folders_only_as_folders(tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text("# what stays\n\nbench/\n*.log\n")
    for name in ("a/bench/x.py", "a/x.log", "bench.py", "b/bench", "keep.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = deployed_files(tmp_path, read_ignored(tmp_path / ".funcignore"))
    assert [file.relative_to(tmp_path).as_posix() for file in found] == [
        ".funcignore",
        "b/bench",
        "bench.py",
        "keep.py",
    ]


def test_whatever_git_does_not_keep_is_not_deployed_either() -> None:
    """Secrets lie in such files: local.settings.json, .funchost-keys.json. config.yaml is packed when asked only."""
    ignored = read_ignored()
    kept_out = {*ignored.names, *ignored.folders, "local.settings.json", "*.pyc"}
    listed = (ROOT / ".gitignore").read_text().split()
    assert {line.removesuffix("/") for line in listed} - kept_out == {"config.yaml"}


# -- the lock


def test_the_lock_is_of_the_requirements() -> None:
    assert {pin.name: pin.version for pin in wheels.pins()} == wheels.required()


def test_a_lock_of_other_requirements_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wheels.txt").write_text("\n".join(map(str, wheels.pins()[1:])))
    monkeypatch.setattr(wheels, "LOCK", tmp_path / "wheels.txt")
    with pytest.raises(DeployError, match="package --lock"):
        wheels.fetch()


def test_a_changed_wheel_is_refused(package: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wheel of the right name with other bytes is not taken, and pip does not download what has another hash."""
    file = min(wheels.here().values(), key=lambda path: path.stat().st_size)
    (tmp_path / file.name).write_bytes(file.read_bytes() + b"more")
    monkeypatch.setattr(wheels, "DOWNLOADS", tmp_path)
    assert wheels.here() == {}


# -- the trial


def small_app(folder: Path, code: str, packages: dict[str, str]) -> Path:
    file = folder / "app.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("function_app.py", code)
        for name, text in packages.items():
            archive.writestr(f"{PACKAGES}/{name}", text)
    return file


def test_an_import_that_the_package_cannot_serve_is_found(tmp_path: Path) -> None:
    """Also one inside a function, and one that this environment could serve."""
    file = small_app(tmp_path, "import json\n\ndef lazily():\n    from pytest import fixture\n", {})
    with pytest.raises(DeployError, match="imports pytest, which is not in the package"):
        trial.try_package(file)


@pytest.mark.skipif(not trial.runs_here(), reason="the package is for CPython 3.13 on Linux x86-64")
def test_a_package_that_lacks_what_its_packages_need_is_found(tmp_path: Path) -> None:
    file = small_app(tmp_path, "def lazily():\n    import first.part\n", {"first/part.py": "import second\n"})
    with pytest.raises(DeployError, match=r"first\.part: No module named 'second'"):
        trial.try_package(file)


def test_an_app_that_fails_at_import_is_found(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="ZeroDivisionError"):
        trial.try_package(small_app(tmp_path, "1 / 0\n", {}))


# -- as it is deployed


@pytest.mark.skipif(not trial.runs_here(), reason="the package is for CPython 3.13 on Linux x86-64")
def test_the_package_serves_from_a_read_only_folder(
    package: Package, fake: FakeAzure, azurite: object, tmp_path: Path
) -> None:
    storage: str = azurite.connection_string  # type: ignore[attr-defined]
    with deployed(package.file, tmp_path, fake, storage, mode="process") as stack:
        before = listing(stack.app)
        key = stack.key("deployed")
        with stack.openai(key) as client:
            assert said(client) == "You said: Hi"
        (row,) = stack.usage(key, 1)
        assert row["status"] == 200
        loaded = modules_of(stack.worker_pid)
        assert loaded
        assert not [path for path in loaded if "/.venv/" in path]
        assert [path for path in loaded if path.startswith(str(stack.app))]
        assert listing(stack.app) == before


def said(client: OpenAI) -> str | None:
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    return answer.choices[0].message.content


def modules_of(pid: int) -> set[str]:
    """The libraries that a process has loaded."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[-1] for line in lines if line.endswith(".so")}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


# -- the command


def test_the_command_says_size_files_and_import_time(
    package: Package, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made by the fixture, which the command is given; tried here."""
    monkeypatch.setattr("deploy.package.build", lambda *_: package)
    assert main(["package"]) == 0
    said = capsys.readouterr().out
    assert f"{package.file}  {package.size / 1e6:.1f} MB" in said
    assert f"{package.files} files\nsha256 {package.digest}\n" in said
    assert re.search(r"import function_app, unzipped read-only, .*: \d+ ms CPU", said) or not trial.runs_here()


def test_what_fails_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(wheels, "pins", lambda: [])
    assert main(["package"]) == 1
    assert capsys.readouterr().err.startswith("error: deploy/wheels.txt is not of requirements.txt. Write it anew")


def test_a_configuration_that_is_not_there_is_said() -> None:
    command = [sys.executable, "-m", "deploy", "package", "--config", "nowhere.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no file nowhere.yaml" in done.stderr
