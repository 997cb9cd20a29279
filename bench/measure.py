"""The measuring itself: what is done to one target in one round, and the figures that come of it.

It knows no target by name. CPU is that of the target's process tree between two readings around a load, divided by the
calls that were answered; it is the figure that a busy machine disturbs least.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from statistics import median

from bench.lab import Lab
from bench.load import Result, Spec
from bench.procs import pin
from bench.targets import Running, Target

SYSTEM = "You are the assistant of a support team. Answer in two sentences, plainly, and name the setting to change. "
PROMPT = "Our nightly job stopped with a timeout after the move to a new region. What do we look at first? "
FEW, MANY = 5, 50  # streams at once: what any gateway can carry, and what a busy one has to
CHUNKS, DELAY = 50, 20  # of each stream; milliseconds between chunks
STARTS = 3  # cold starts that a median is taken of, at least
GIVE_UP = 120.0


@dataclass
class Figures:
    """One target's figures: of one round, or the medians of several. `None` is what could not be measured."""

    rate1: float | None = None
    p50_1: float | None = None
    p99_1: float | None = None
    rate16: float | None = None
    p50_16: float | None = None
    p99_16: float | None = None
    cpu_call: float | None = None
    share: float | None = None  # percent of its core that the target got at 16
    rate64: float | None = None
    p50_64: float | None = None
    p99_64: float | None = None
    first5_p50: float | None = None
    first5_p99: float | None = None
    first_p50: float | None = None
    first_p99: float | None = None
    cpu_chunk: float | None = None
    stretch: float | None = None  # how much longer a stream took through the gateway than the upstream took for it
    cold: float | None = None
    idle: float | None = None
    loaded: float | None = None
    pace: float | None = None
    errors: float = 0


def body(stream: bool) -> str:
    chunks = f"[chunks={CHUNKS} delay={DELAY}]" if stream else ""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT * 2 + chunks}]
    extra = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return json.dumps({"model": "gpt-4o", "messages": messages, "temperature": 0.2, "max_tokens": 200, **extra})


def generate(lab: Lab, spec: Spec) -> Result:
    """Run the load generator in a process on the other core."""
    given = json.dumps(asdict(spec)).encode()
    argv = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(
        argv, input=given, capture_output=True, cwd=lab.root, timeout=spec.seconds + 60, preexec_fn=pin(lab.other_core)
    )
    if done.returncode:
        raise SystemExit(f"bench: the load generator failed:\n{done.stderr.decode()[-2000:]}")
    return Result.read(done.stdout)


def call_once(running: Running) -> tuple[int, str]:
    """One call, for cold starts; status 0 while nothing listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        headers = {"content-type": "application/json", **running.headers}
        connection.request("POST", running.path, body(False), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def pace(lab: Lab) -> float:
    """Milliseconds of CPU that a fixed piece of Python takes on the gateway's core just now: how fast that core is."""
    code = "import time; t = time.process_time(); sum(i * i for i in range(500_000)); print(time.process_time() - t)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, preexec_fn=pin(lab.gateway_core), timeout=60
    )
    return float(done.stdout) * 1e3


def start(lab: Lab, target: Target) -> tuple[Running, float | None]:
    """Start a target; seconds from the start of its process to its first good answer."""
    running = target.start(lab)
    began = running.child.started if running.child else time.perf_counter()
    status, text = 0, ""
    while time.perf_counter() - began < GIVE_UP:
        status, text = call_once(running)
        if status == 200:
            return running, time.perf_counter() - began if running.child else None
        if running.child and not running.child.alive():
            break
        time.sleep(0.005)
    log = running.child.tail() if running.child else ""
    if running.child:
        lab.children.stop(running.child)
    raise RuntimeError(f"{target.name} gave no good answer: status {status} {text[:500]}\n{log}")


def _loaded(lab: Lab, running: Running, spec: Spec) -> tuple[Result, float | None]:
    """A load, and the CPU seconds that the target spent on it."""
    before = running.child.cpu() if running.child else None
    result = generate(lab, spec)
    after = running.child.cpu() if running.child else None
    return result, after - before if before is not None and after is not None else None


def spec_of(running: Running, connections: int, seconds: float, stream: bool = False) -> Spec:
    if not stream:
        return Spec(running.port, running.path, body(False), running.headers, connections, seconds)
    spread = CHUNKS * DELAY / 1000
    return Spec(
        running.port, running.path, body(True), running.headers, connections, seconds, chunks=CHUNKS, spread=spread
    )


def one_round(lab: Lab, target: Target, starts: int, seconds: float) -> Figures:
    """Everything that one round does to one target. The last of its cold starts is the process that is measured."""
    running, cold = start(lab, target)
    colds = [cold]
    while running.child and len(colds) < starts:
        lab.children.stop(running.child)
        running, cold = start(lab, target)
        colds.append(cold)
    known = [cold for cold in colds if cold is not None]
    figures = Figures(cold=median(known) if known else None)
    try:
        _measure(lab, running, figures, seconds)
    finally:
        if running.child:
            lab.children.stop(running.child)
    return figures


def _measure(lab: Lab, running: Running, figures: Figures, seconds: float) -> None:
    time.sleep(1.0)
    figures.idle = running.child.memory() if running.child else None
    failed = list[Result]()

    def load(connections: int, length: float, stream: bool = False) -> tuple[Result, float | None]:
        outcome = _loaded(lab, running, spec_of(running, connections, length, stream))
        failed.extend([outcome[0]] if outcome[0].errors else [])
        return outcome

    figures.pace = pace(lab)
    load(16, seconds)  # warm-up; as long as a measurement, because Node compiles what is hot while it runs
    for connections in (1, 16, 64):
        result, cpu = load(connections, seconds)
        for name, value in (("rate", result.rate), ("p50_", result.p50), ("p99_", result.p99)):
            setattr(figures, f"{name}{connections}", value)
        if connections == 16 and cpu is not None and result.calls:
            figures.cpu_call = cpu / result.calls * 1e6
            figures.share = figures.cpu_call * result.rate / 1e4
    result, _ = load(FEW, seconds + CHUNKS * DELAY / 1000, stream=True)
    if result.calls:
        figures.first5_p50, figures.first5_p99 = result.first_p50, result.first_p99
    result, cpu = load(MANY, seconds + CHUNKS * DELAY / 1000, stream=True)
    if result.calls:
        figures.first_p50, figures.first_p99 = result.first_p50, result.first_p99
        figures.stretch = result.p50 / (CHUNKS * DELAY)
    if cpu is not None and result.calls:
        figures.cpu_chunk = cpu / (result.calls * CHUNKS) * 1e6
    figures.loaded = running.child.memory() if running.child else None
    figures.errors = sum(result.errors for result in failed)
    for example in {result.example for result in failed}:
        lab.say(f"  error: {example}")


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds; errors are added up."""
    pick: Callable[[str], list[float]] = lambda name: [v for r in rounds if (v := getattr(r, name)) is not None]  # noqa: E731
    merged = Figures(errors=sum(one.errors for one in rounds))
    for name in (field.name for field in fields(Figures) if field.name != "errors"):
        found = pick(name)
        setattr(merged, name, median(found) if found else None)
    return merged
