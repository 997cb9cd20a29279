"""`python -m bench cold`: what a fresh instance costs until it has answered its first call, in CPU of its worker.

It owns one section of docs/benchmarks.md. What is started is cold_place.py's, what imports cost cold_stages.py's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from string import Template

from bench import cold_place, cold_stages, measure, report
from bench.cold_place import Instance, Place
from bench.cold_stages import NEVER, Stage
from bench.lab import Lab
from bench.procs import LINUX, Children, alone

TITLE = "## Cold start"
STARTS = 7
GOAL = 0.5  # seconds of CPU, at the usual pace
USUAL = 30.0  # milliseconds of CPU that measure.pace takes on the machine of the page while nothing else disturbs it


@dataclass(frozen=True)
class Start:
    """One start: seconds of CPU until the app is indexed and of the first call, which also by the clock; megabytes; the
    pace of the machine around it."""

    indexed: float
    first: float
    wall: float
    memory: float
    pace: float

    @property
    def whole(self) -> float:
        return self.indexed + self.first

    @property
    def steady(self) -> float:
        """The same at the usual pace: other programs on the machine make every instruction slower."""
        return self.whole * USUAL / self.pace


def main(root: Path, out: Path | None, command: str, say: Callable[[str], None], starts: int = STARTS) -> int:
    """out: the page whose section is written; None: print only."""
    if not LINUX:
        say("Not Linux: the package is for Linux, and CPU of another process is not measured.")
        return 1
    work = root / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children, cold_place.opened(Lab(root, children, say=say)) as place:
        found: dict[str, list[Start]] = {name: [] for name in place.scenarios}
        for number in range(starts):
            for name in found:
                found[name].append(made := _start(place, name))
                say(f"{number + 1} of {starts}: {name}: {made.whole:.2f} s of CPU, or {made.steady:.2f} s as usual")
        stages = cold_stages.measured(place)
        text = section(found, stages, place.certificates, command)
    say("\n" + text)
    if out is not None:
        report.put_section(out, TITLE, text)
        say(f"written: {out.name}")
    return 0


def _start(place: Place, name: str) -> Start:
    before = measure.pace(place.lab)
    with place.started(name) as instance:
        indexed = instance.cpu()
        began = time.perf_counter()
        status, text = instance.call()
        wall = time.perf_counter() - began
        whole = instance.cpu()
        if status != 200:
            raise SystemExit(f"bench: {name} gave no good answer: status {status} {text[:500]}\n{instance.log()}")
        memory = _memory(instance)
    return Start(indexed, whole - indexed, wall, memory, (before + measure.pace(place.lab)) / 2)


def _memory(instance: Instance) -> float:
    time.sleep(1.0)
    return instance.memory()


def spread(values: list[float], digits: int = 2) -> str:
    """The median, and from the least to the most."""
    return (
        f"{report.number(median(values), digits)} "
        f"({report.number(min(values), digits)} to {report.number(max(values), digits)})"
    )


def figures_table(found: dict[str, list[Start]]) -> str:
    header = [
        "instance",
        "CPU s until indexed",
        "of the first call",
        "together",
        "at the usual pace",
        "wall s",
        "RSS MB",
    ]
    fields = ("indexed", "first", "whole", "steady", "wall")
    rows = [
        [
            name,
            *(spread([getattr(one, field) for one in starts]) for field in fields),
            report.number(median(one.memory for one in starts), 0),
        ]
        for name, starts in found.items()
    ]
    return report.table(header, rows)


def verdicts(found: dict[str, list[Start]]) -> str:
    lines: list[str] = []
    for name, starts in found.items():
        if name == cold_place.FLOOR:
            continue
        steady = median(one.steady for one in starts)
        verdict = "**met**" if steady <= GOAL else "**missed**"
        lines.append(
            f"- {verdict}: first call by {name} after {steady:.2f} s of CPU at the usual pace (goal ≤ {GOAL} s)"
        )
    return "\n".join(lines)


def stages_table(stages: list[Stage]) -> str:
    rows = [[stage.name, report.number(stage.milliseconds, 0), str(stage.modules)] for stage in stages]
    return report.table(["stage", "CPU ms", "modules"], rows)


def section(found: dict[str, list[Start]], stages: list[Stage], certificates: int, command: str) -> str:
    paces = [one.pace for starts in found.values() for one in starts]
    template = Template(Path(__file__).with_name("cold.md").read_text())
    return template.substitute(
        command=command,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=report.machine(),
        starts=max(map(len, found.values())),
        paces=f"{min(paces):.0f} to {max(paces):.0f} ms",
        usual=f"{USUAL:.0f}",
        certificates=certificates,
        figures=figures_table(found),
        verdict=verdicts(found),
        never=", ".join(NEVER),
        stages=stages_table(stages),
    )
