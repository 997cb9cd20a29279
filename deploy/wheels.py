"""Which wheels the deployed app gets, by name, version and digest, and what of them is needed there.

Owns deploy/wheels.txt (the lock), the downloads and what is left out of a wheel. Must not know the app or the zip.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deploy import ROOT, DeployError

LOCK = ROOT / "deploy" / "wheels.txt"
REQUIREMENTS = ROOT / "requirements.txt"
DOWNLOADS = ROOT / ".tollgate" / "wheels"
PYTHON = (3, 13)
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 17, 5)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
"""What Flex Consumption runs: Linux on x86-64 with a glibc of at least 2.28."""
NOT_NEEDED = {".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".typed"}
HEAD = """\
# What the deployed app is made of: one wheel of each package of requirements.txt, for CPython 3.13 on Linux x86-64.
# Written by `python3 dev.py package --lock`; never by hand.
"""


@dataclass(frozen=True, slots=True)
class Pin:
    """One wheel: any other file of that name is refused."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.digest}"


def pins(text: str | None = None) -> list[Pin]:
    """The lock."""
    found = re.findall(r"^(\S+)==(\S+) --hash=sha256:(\w{64})$", LOCK.read_text() if text is None else text, re.M)
    return [Pin(*fields) for fields in found]


def required() -> dict[str, str]:
    """Name and version of each package in requirements.txt."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS.read_text(), re.M))


def fetch() -> list[Path]:
    """The locked wheels, downloaded where they are not here yet. Raises DeployError."""
    wanted = pins()
    if {pin.name: pin.version for pin in wanted} != required():
        raise DeployError(
            "deploy/wheels.txt is not of requirements.txt. Write it anew and commit it: python3 dev.py package --lock"
        )
    if len(found := here()) < len(wanted):
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        _download(DOWNLOADS, "--require-hashes", "-r", str(LOCK))
        found = here()
    if len(found) < len(wanted):
        raise DeployError(
            f"{len(wanted) - len(found)} wheels are missing in {DOWNLOADS}: remove that folder, try again"
        )
    return sorted(found.values())


def here() -> dict[str, Path]:
    """The locked wheels that were downloaded before, by digest: a file of the right name is not enough."""
    wanted = {pin.digest for pin in pins()}
    files = DOWNLOADS.glob("*.whl") if DOWNLOADS.is_dir() else ()
    return {digest: file for file in files if (digest := _digest(file)) in wanted}


def lock() -> int:
    """Write the lock for requirements.txt; how many wheels it names."""
    with tempfile.TemporaryDirectory() as folder:
        _download(Path(folder), "-r", str(REQUIREMENTS))
        digests = {_plain(file.name.split("-")[0]): _digest(file) for file in Path(folder).iterdir()}
    made = [Pin(name, version, digests[_plain(name)]) for name, version in sorted(required().items(), key=_by_name)]
    LOCK.write_text(HEAD + "".join(f"{pin}\n" for pin in made), "utf-8")
    return len(made)


def _by_name(item: tuple[str, str]) -> str:
    return item[0].lower()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _download(folder: Path, *what: str) -> None:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    version = ".".join(map(str, PYTHON))
    command = [
        sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet", "--no-deps",
        "--only-binary", ":all:", "--python-version", version, *platforms, "--dest", str(folder), *what,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(line for line in done.stderr.splitlines() if line.startswith("ERROR")) or done.stderr[-2000:]
        raise DeployError(
            f"pip could not download the packages for the target:\n{said}\nA package without a wheel for CPython "
            f"{version} on Linux x86-64 cannot be deployed: choose another version in requirements.txt"
        )


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    """Put what runs into `folder`; scripts, type stubs, C sources and packages' own tests stay out."""
    for file in wheels:
        with zipfile.ZipFile(file) as wheel:
            for name in wheel.namelist():
                if (place := _place(PurePosixPath(name))) is None or name.endswith("/"):
                    continue
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(wheel.read(name))


def _place(path: PurePosixPath) -> PurePosixPath | None:
    """Where a wheel's file belongs in site-packages; None: nowhere."""
    parts = path.parts
    if parts[0].endswith(".data"):
        if parts[1] not in ("purelib", "platlib"):
            return None
        parts = parts[2:]
    in_metadata = parts[0].endswith(".dist-info")
    # RECORD lists what is no longer there; everything else of dist-info stays: versions and licences are read from it
    if in_metadata:
        return None if parts[-1] == "RECORD" else PurePosixPath(*parts)
    unneeded = path.suffix in NOT_NEEDED or "tests" in parts[:-1]
    return None if unneeded else PurePosixPath(*parts)
