"""From figures to text: the table, the ratios, the verdicts on the goals, and the page in docs/.

It owns wording and rounding only. Prose lives in `page.md`, a `string.Template`.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from string import Template

from bench.measure import CHUNKS, DELAY, FEW, MANY, Figures
from bench.targets import TARGETS

COLUMNS = (
    ("calls/s at 1", "rate1", 0),
    ("p50 / p99 ms", ("p50_1", "p99_1"), 2),
    ("calls/s at 16", "rate16", 0),
    ("p50 / p99 ms", ("p50_16", "p99_16"), 1),
    ("CPU µs a call", "cpu_call", 0),
    ("of the core %", "share", 0),
    ("calls/s at 64", "rate64", 0),
    ("p50 / p99 ms", ("p50_64", "p99_64"), 1),
    (f"first token ms at {FEW}", ("first5_p50", "first5_p99"), 1),
    (f"first token ms at {MANY}", ("first_p50", "first_p99"), 1),
    ("CPU µs a chunk", "cpu_chunk", 0),
    ("cold start s", "cold", 2),
    ("RSS idle / after MB", ("idle", "loaded"), 0),
    ("errors", "errors", 0),
)
PACKAGES = ("azure-functions-runtime", "uvicorn", "httptools", "uvloop", "aiohttp", "httpx", "starlette", "orjson")
NONE, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
OVERLOAD = 1.2  # times longer than upstream took for a stream: then the time to the first token is a queue's length


def number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well in a terminal: first column left, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *padded[1:]]) + " |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def figures_table(results: dict[str, Figures]) -> str:
    rows = [[name, *(_cell(figures, key, digits) for _, key, digits in COLUMNS)] for name, figures in results.items()]
    return table(["target", *(title for title, _, _ in COLUMNS)], rows)


def _cell(figures: Figures, key: str | tuple[str, str], digits: int) -> str:
    names = (key,) if isinstance(key, str) else key
    values = [getattr(figures, name) for name in names]
    text = " / ".join(number(value, digits) for value in values) if any(v is not None for v in values) else NONE
    overloaded = names == ("first_p50", "first_p99") and (figures.stretch or 0) > OVERLOAD
    return f"{text} (overload)" if overloaded else text


def over(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def added(figures: Figures, direct: Figures | None, key: str = "first_p50") -> float | None:
    """Milliseconds that a gateway adds to the first token; unknown when the streams were more than it could carry."""
    value, base = getattr(figures, key), getattr(direct, key, None)
    if value is None or base is None or (key == "first_p50" and (figures.stretch or 0) > OVERLOAD):
        return None
    return value - base


def ratios(results: dict[str, Figures], subject: str) -> str:
    """The subject against every other gateway: above 1 is better than the peer, in every column."""
    ours, direct = results.get(subject), results.get("direct")
    if ours is None:
        return f"(no ratios: {subject} was not measured)"
    rows: list[list[str]] = []
    for name, peer in results.items():
        if name in (subject, "direct"):
            continue
        values = [
            over(ours.rate16, peer.rate16),
            over(peer.cpu_call, ours.cpu_call),
            over(peer.cpu_chunk, ours.cpu_chunk),
            over(added(peer, direct, "first5_p50"), added(ours, direct, "first5_p50")),
            over(added(peer, direct), added(ours, direct)),
            over(peer.cold, ours.cold),
            over(peer.idle, ours.idle),
            over(peer.loaded, ours.loaded),
        ]
        rows.append([name, *(f"{number(value, 2)}{TIMES}" if value is not None else NONE for value in values)])
    header = [f"{subject} against", "calls/s at 16", "CPU a call", "CPU a chunk"]
    return table([*header, f"first token at {FEW}", f"at {MANY}", "cold start", "RSS idle", "RSS after"], rows)


def verdicts(results: dict[str, Figures], subject: str) -> list[str]:
    """One line for each goal: met, missed, or not measured; behind it the goal after that."""
    ours, direct = results.get(subject, Figures()), results.get("direct")
    lite, port = results.get("litellm", Figures()), results.get("portkey", Figures())
    goals = (
        ("calls a core at 16 against LiteLLM", over(ours.rate16, lite.rate16), 15, 25, TIMES),
        ("calls per CPU second against LiteLLM", over(lite.cpu_call, ours.cpu_call), 15, 25, TIMES),
        ("calls a core at 16 against Portkey", over(ours.rate16, port.rate16), 2, 3, TIMES),
        ("calls per CPU second against Portkey", over(port.cpu_call, ours.cpu_call), 2, 3, TIMES),
        ("cold start", ours.cold, 0.7, 0.7, " s"),
        ("RSS idle", ours.idle, 90, 90, " MB"),
        (f"added to the first token at {MANY} streams", added(ours, direct), 1.0, 1.0, " ms"),
    )
    lines: list[str] = []
    for what, value, goal, reach, unit in goals:
        more = unit == TIMES
        if value is None:
            lines.append(f"- not measured: {what} (goal {'≥' if more else '≤'} {goal}{unit})")
            continue
        good, great = (value >= goal, value >= reach) if more else (value <= goal, value <= reach)
        verdict = "**met**" if good else "**missed**"
        further = f"; the next goal, {reach}{unit}, {'too' if great else 'not yet'}" if reach != goal and good else ""
        lines.append(f"- {verdict}: {what} {value:.2f}{unit} (goal {'≥' if more else '≤'} {goal}{unit}{further})")
    return lines


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{count} cores, {model}, {platform.system()}"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if node := shutil.which("node"):
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10).stdout.strip()
        found.append(f"Node {said.removeprefix('v')}")
    return ", ".join(found)


def page(
    results: dict[str, Figures],
    skipped: dict[str, str],
    subject: str,
    command: str,
    rounds: int,
    paces: list[float],
    keys: str = "",
) -> str:
    """keys: the sections that other commands have made (`bench cold`, `keys`, `uploads`, `lines`)."""
    template = Template(Path(__file__).with_name("page.md").read_text())
    return template.substitute(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=machine(),
        versions=versions(),
        command=command,
        rounds=f"{rounds} round{'s' if rounds != 1 else ''}",
        paces=f"{min(paces):.0f} to {max(paces):.0f} ms" if paces else "an unknown time",
        few=FEW,
        many=MANY,
        chunks=CHUNKS,
        delay=DELAY,
        table=figures_table(results),
        ratios=ratios(results, subject),
        verdicts="\n".join(verdicts(results, subject)),
        targets="\n".join(f"- `{name}`: {TARGETS[name].about}" for name in results if name in TARGETS),
        keys=f"{keys}\n\n" if keys else "",
        skipped="".join(f"\n- not measured in full: `{name}`: {why}" for name, why in skipped.items()),
    )


def section_of(page: Path, title: str) -> str:
    """A section as a page has it, from its heading to the next; empty where there is none."""
    text = page.read_text() if page.exists() else ""
    _, there, rest = text.partition(title)
    return (there + rest.partition("\n## ")[0]).strip() if there else ""


def put_section(page: Path, title: str, text: str) -> None:
    """Put a section in the place of the one before, or at the end."""
    whole, before = page.read_text(), section_of(page, title)
    page.write_text(whole.replace(before, text.strip()) if before else f"{whole.rstrip()}\n\n{text.strip()}\n")
