"""`--profile TARGET`: which functions of a gateway take the CPU under load. Needs py-spy; Python targets only.

py-spy samples the process from outside; this sums its stacks by function, alone and with what the function calls.
"""

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from bench import measure
from bench.lab import Lab
from bench.targets import Target

TOP = 50
WAITING = "_worker (concurrent/futures/thread.py"  # a pool's idle thread, which py-spy takes for a busy one


def functions(lab: Lab, target: Target, seconds: float) -> int:
    running, _ = measure.start(lab, target)
    if running.child is None:
        lab.say(f"{target.name} has no process to profile")
        return 1
    spec = measure.spec_of(running, 16, seconds + 3)
    measure.generate(lab, measure.spec_of(running, 16, 2.0))  # warm-up
    driver = threading.Thread(target=measure.generate, args=(lab, spec))
    raw = lab.work / "logs" / f"{target.name}.stacks"
    driver.start()
    try:
        stacks = sample(running.child.process.pid, seconds, raw)
    finally:
        driver.join()
        lab.children.stop(running.child)
    if not stacks:
        lab.say("py-spy gave nothing: is it installed (pip install py-spy), and may it look at other processes?")
        return 1
    lab.say(f"{target.name} at 16 connections, {sum(stacks.values())} samples; stacks for a flame graph: {raw.name}\n")
    own, whole = by_function(stacks)
    tables = (("own time by package", by_package(own)), ("own time", own), ("with callees", whole))
    for title, counts in tables:
        lab.say(f"{title}\n" + "\n".join(lines(counts, sum(stacks.values()))) + "\n")
    return 0


def sample(pid: int, seconds: float, raw: Path) -> Counter[str]:
    """Stacks and how often each was seen, root first, parts joined by `;`."""
    tool = Path(sys.executable).with_name("py-spy")
    argv = [str(tool) if tool.exists() else "py-spy", "record", "--pid", str(pid), "--format", "raw"]
    argv += ["--duration", str(max(int(seconds), 1)), "--rate", "250", "--output", str(raw)]
    raw.unlink(missing_ok=True)
    try:
        subprocess.run(argv, capture_output=True, timeout=seconds + 60)
        text = raw.read_text()
    except OSError:
        return Counter()
    rows = (line.rpartition(" ") for line in text.splitlines())
    return Counter({stack: int(count) for stack, _, count in rows if stack and WAITING not in stack.rpartition(";")[2]})


def by_function(stacks: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    own, whole = Counter[str](), Counter[str]()
    for stack, count in stacks.items():
        frames = [frame.rpartition(":")[0] + ")" if ":" in frame else frame for frame in stack.split(";")]
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    return own, whole


def by_package(own: Counter[str]) -> Counter[str]:
    """Own time by installed package, and by module where the code is this project's."""
    packages = Counter[str]()
    for name, count in own.items():
        file = name.rpartition("(")[2].rstrip(")")
        packages[file if file.startswith(("shared/", "local/", "bench/")) else file.partition("/")[0]] += count
    return packages


def lines(counts: Counter[str], total: int) -> list[str]:
    return [f"{count / total:6.1%}  {name}" for name, count in counts.most_common(TOP)]
