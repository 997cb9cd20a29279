"""`python -m bench uploads`: what it costs to take in a file of 100,000 lines for batches: checked, kept, rewritten.

It owns one section of docs/benchmarks.md. The gateway has one core, storage (Azurite, in memory) and the client share
the other: what is stored per second is never more than Azurite takes, so that the CPU of the gateway is told as well.
"""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from bench import report, tollgate
from bench.lab import Lab
from bench.procs import LINUX, Child, Children, alone, free_port, tree
from bench.targets import Running, Target, start_upstream

TITLE = "## Uploads for batches"
LINES = 100_000
PART = 32 * 1024 * 1024
PIECE = 256 * 1024
GOAL, ROOM = 50.0, 150.0  # MB/s, MB
ROUNDS = 3
BOUNDARY = "bench-boundary"


@dataclass(frozen=True)
class Taken:
    """One file that was taken in."""

    way: str
    megabytes: float
    seconds: float
    cpu: float | None
    """Seconds of the gateway."""
    peak: float | None
    """Resident megabytes of the gateway at most."""

    @property
    def rate(self) -> float:
        return self.megabytes / self.seconds


def content(lines: int) -> bytes:
    """Chats of usual length, 530 bytes each."""
    asked = [{"role": "system", "content": "You are an assistant that helps people find what they look for."},
             {"role": "user", "content": "When was the first of these machines sold? " * 6}]  # fmt: skip
    body = {"model": "gpt-4o", "messages": asked, "max_tokens": 100}
    row = {"custom_id": "task-%06d", "method": "POST", "url": "/v1/chat/completions", "body": body}
    text = json.dumps(row)
    return "".join(text.replace("%06d", f"{number:06}") + "\n" for number in range(lines)).encode()


def pieces(data: bytes) -> dict[str, float]:
    """Megabytes a second of CPU, of what is done to every byte."""
    from shared.batches.intake.lines import LineReader
    from shared.batches.intake.rewriting import Rewriter

    def read() -> None:
        reader = LineReader(lambda public_id: public_id)
        for start in range(0, len(data), PIECE):
            reader.feed(data[start : start + PIECE])
        reader.end()

    def rewrite() -> None:
        rewriter = Rewriter("gpt-4o-batch", "/chat/completions")
        for start in range(0, len(data), PIECE):
            rewriter.feed(data[start : start + PIECE])
        rewriter.end()

    def both() -> None:
        read()
        rewrite()

    acts: dict[str, Callable[[], None]] = {
        "check every line (shared.batches.intake.lines)": read,
        "rewrite model and url (shared.batches.intake.rewriting)": rewrite,
        "both": both,
    }
    return {name: max(_rate(act, len(data)) for _ in range(ROUNDS)) for name, act in acts.items()}


def _rate(act: Callable[[], None], size: int) -> float:
    began = time.process_time()
    act()
    return size / 1e6 / (time.process_time() - began)


def run(lab: Lab, data: bytes) -> list[Taken]:
    """The best of some rounds, by each way."""
    from bench.measure import start

    def begin(lab: Lab) -> Running:
        port = free_port()
        child = lab.gateway("tollgate", tollgate.host_argv(port), tollgate.settings(lab))
        return Running(child, port, headers={"authorization": f"Bearer {lab.kept['key']}"})

    running, _ = start(lab, Target("tollgate", "", tollgate.prepare, begin))
    assert running.child is not None
    found: list[Taken] = []
    try:
        for way, act in (("POST /v1/files", _in_one), ("/v1/uploads, in parts", _in_parts)):
            rounds = [
                _measured(way, running.child, lambda act=act: act(running, data), len(data)) for _ in range(ROUNDS)
            ]
            found.append(max(rounds, key=lambda taken: taken.rate))
            lab.say(f"{way}: {found[-1].rate:,.0f} MB/s")
    finally:
        lab.children.stop(running.child)
    return found


def _measured(way: str, child: Child, act: Callable[[], None], size: int) -> Taken:
    _forget_peaks(child)
    cpu, began = child.cpu(), time.monotonic()
    act()
    seconds, after = time.monotonic() - began, child.cpu()
    spent = after - cpu if after is not None and cpu is not None else None
    return Taken(way, size / 1e6, seconds, spent, _peak(child))


def _forget_peaks(child: Child) -> None:
    for pid in tree(child.process.pid) if LINUX else []:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak(child: Child) -> float | None:
    if not LINUX:
        return None
    kilobytes = 0
    for pid in tree(child.process.pid):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            kilobytes += int(line.split()[1]) if line.startswith("VmHWM:") else 0
    return kilobytes / 1024


def _in_one(running: Running, data: bytes) -> None:
    _post(running, "/v1/files", *_form({"purpose": "batch"}, "file", data))


def _in_parts(running: Running, data: bytes) -> None:
    asked = {"purpose": "batch", "filename": "a.jsonl", "bytes": len(data), "mime_type": "application/jsonl"}
    upload = _post(running, "/v1/uploads", json.dumps(asked).encode(), "application/json")["id"]
    parts = [
        _post(running, f"/v1/uploads/{upload}/parts", *_form({}, "data", data[at : at + PART]))["id"]
        for at in range(0, len(data), PART)
    ]
    complete = json.dumps({"part_ids": parts}).encode()
    _post(running, f"/v1/uploads/{upload}/complete", complete, "application/json")


def _form(fields: dict[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    texts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.jsonl"\r\n\r\n'
    body = b"".join(("".join(texts).encode(), head.encode(), data, f"\r\n--{BOUNDARY}--\r\n".encode()))
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def _post(running: Running, path: str, body: bytes, content_type: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=120)
    try:
        connection.request("POST", path, body, {"content-type": content_type, **running.headers})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(
            f"bench: POST {path} was answered with {answer.status}:\n{text.decode(errors='replace')[:500]}"
        )
    return json.loads(text)


def main(root: Path, out: Path | None, command: str, say: Callable[[str], None], lines: int = LINES) -> int:
    """out: the page whose section is written; None: print only."""
    data = content(lines)
    each = pieces(data)
    work = root / ".tollgate" / "bench"
    with alone(work), Children(work / "logs") as children:
        lab = Lab(root, children, say=say)
        start_upstream(lab)
        tollgate.prepare(lab)
        taken = run(lab, data)
    text = section(each, taken, lines, command)
    say("\n" + text)
    if out is not None:
        report.put_section(out, TITLE, text)
        say(f"written: {out.name}")
    return 0


def section(each: dict[str, float], taken: list[Taken], lines: int, command: str) -> str:
    header = ["way", "MB/s", "CPU s of the gateway", "MB per CPU s", "peak RSS MB"]
    rows = [
        [
            row.way,
            report.number(row.rate, 0),
            report.number(row.cpu, 2),
            report.number(report.over(row.megabytes, row.cpu), 0),
            report.number(row.peak, 0),
        ]
        for row in taken
    ]
    template = Template(Path(__file__).with_name("batch_upload.md").read_text())
    return template.substitute(
        command=command,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=report.machine(),
        lines=f"{lines:,}",
        megabytes=report.number(taken[0].megabytes, 0),
        pieces=report.table(["piece", "MB/s"], [[name, report.number(rate, 0)] for name, rate in each.items()]),
        ways=report.table(header, rows),
        verdicts="\n".join(_verdicts(taken)),
    )


def _verdicts(taken: list[Taken]) -> list[str]:
    first = taken[0]
    found = [("taken in by one call", first.rate, GOAL, first.rate >= GOAL, "MB/s", "≥")]
    for row in taken:
        if row.peak is not None:
            found.append((f"peak RSS, {row.way}", row.peak, ROOM, row.peak <= ROOM, "MB", "≤"))
    return [
        f"- {'**met**' if good else '**missed**'}: {what} {value:.0f} {unit} (goal {sign} {goal:.0f} {unit})"
        for what, value, goal, good, unit, sign in found
    ]
