"""Where the stack keeps things: owns every path that it writes. Must not know what the files hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tollgate"
AZURITE_PACKAGE = TOOLS / "node" / "node_modules" / "azurite"


@dataclass(frozen=True, slots=True)
class Layout:
    """One stack's state directory; what is installed (`TOOLS`) is shared by all stacks of a checkout."""

    state: Path

    @property
    def record(self) -> Path:
        return self.state / "stack.json"

    @property
    def lock(self) -> Path:
        return self.state / "stack.lock"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def azurite(self) -> Path:
        return self.state / "azurite"

    @property
    def fake(self) -> Path:
        return self.state / "fake"

    @property
    def fake_ready(self) -> Path:
        return self.state / "fake-ready.json"

    @property
    def host_ready(self) -> Path:
        return self.state / "host-ready.json"

    @property
    def host_keys(self) -> Path:
        return self.state / "host-keys.json"

    @property
    def config(self) -> Path:
        return self.state / "config.yaml"

    @property
    def local_settings(self) -> Path:
        """Where `func start` looks; a stack whose state is elsewhere keeps its own, to disturb nobody."""
        return (ROOT if self.state == TOOLS else self.state) / "local.settings.json"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.logs, self.azurite, self.fake):
            folder.mkdir(exist_ok=True)


def layout_from(environ: Mapping[str, str]) -> Layout:
    return Layout(Path(environ.get("TOLLGATE_STATE") or TOOLS).resolve())


def shown(path: Path) -> str:
    """A path as a person reads it: short when it is in the checkout."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
