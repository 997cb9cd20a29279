"""How often the gateway asks its storage, for 1,000 calls of a warm key: counted in Azurite's own access log.

It owns the scenarios: a busy key, one with a high and one with a low limit, and both ways to flush. Calls of the latter
come evenly spaced, a little below the limit. What is counted is what Azure would bill as one operation: a request to
Table Storage.
"""

import http.client
import re
import time
from collections import Counter
from dataclasses import dataclass

from bench import tollgate
from bench.lab import Lab
from bench.measure import body, generate, spec_of, start
from bench.procs import free_port
from bench.targets import Running, Target

LINE = re.compile(r'"([A-Z]+) /' + tollgate.ACCOUNT + r"/([^ ?(]+)")
OF = {"keys": "keys", "teams": "keys", "limits": "limits", "ledger": "ledger", "usage": "totals"}
SHARE = 0.9  # of the limit that is used
QUIET = 4.0  # seconds after which everything that was owed has been written


@dataclass(frozen=True)
class Scenario:
    rpm: int
    flush: str
    seconds: float
    connections: int = 1  # several: each calls as fast as it is answered

    @property
    def calls(self) -> int:
        return max(1, int(self.rpm / 60 * SHARE * self.seconds))


SCENARIOS = tuple(
    Scenario(rpm, flush, seconds, connections)
    for flush in ("interval", "request")
    for rpm, seconds, connections in ((600_000, 15.0, 16), (6_000, 30.0, 1), (60, 70.0, 1))
)


@dataclass(frozen=True)
class Counted:
    """One scenario's operations by what they were for."""

    scenario: Scenario
    calls: int
    refused: int
    seconds: float
    operations: Counter[str]

    @property
    def total(self) -> int:
        return self.operations.total()

    def per_thousand(self, what: str = "") -> float:
        count = self.operations[what] if what else self.total
        return count * 1000 / self.calls if self.calls else 0.0


def count(text: str) -> Counter[str]:
    """Azurite's lines, by what they were for."""
    found: Counter[str] = Counter()
    for _, place in LINE.findall(text):
        name = place.partition("/")[0].removeprefix("tollgate").rstrip("0123456789")
        found["batches" if place.startswith("$batch") else OF.get(name, "others")] += 1
    return found


def run(lab: Lab, scenario: Scenario) -> Counted:
    """One gateway, one key, one scenario."""
    key = tollgate.make_key(lab, "--rpm", str(scenario.rpm))["key"]
    settings = {**tollgate.settings(lab), "USAGE_FLUSH": scenario.flush}

    def begin(lab: Lab) -> Running:
        port = free_port()
        child = lab.gateway("tollgate", tollgate.host_argv(port), settings)
        return Running(child, port, headers={"authorization": f"Bearer {key}"})

    running, _ = start(lab, Target("tollgate", "", tollgate.prepare, begin))
    log = lab.work / "logs" / "azurite.log"
    assert running.child is not None
    try:
        _paced(running, 3, 1.0)  # its lease is taken, its deployment connected
        time.sleep(QUIET)
        place = log.stat().st_size
        began = time.monotonic()
        calls, refused = _called(lab, running, scenario)
        seconds = time.monotonic() - began
        time.sleep(QUIET)
        with log.open("rb") as lines:
            lines.seek(place)
            text = lines.read().decode(errors="replace")
    finally:
        lab.children.stop(running.child)
    return Counted(scenario, calls, refused, seconds, count(text))


def _called(lab: Lab, running: Running, scenario: Scenario) -> tuple[int, int]:
    """-> calls, and how many of them were not answered with 200."""
    if scenario.connections == 1:
        return scenario.calls, _paced(running, scenario.calls, scenario.seconds / scenario.calls)
    result = generate(lab, spec_of(running, scenario.connections, scenario.seconds))
    return result.calls + result.errors, result.errors


def _paced(running: Running, calls: int, apart: float) -> int:
    """Calls on one connection, so many seconds apart. -> how many were not answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    headers, text = {"content-type": "application/json", **running.headers}, body(False)
    refused = 0
    began = time.monotonic()
    try:
        for number in range(calls):
            time.sleep(max(0.0, began + number * apart - time.monotonic()))
            connection.request("POST", running.path, text, headers)
            answer = connection.getresponse()
            answer.read()
            refused += answer.status != 200
    finally:
        connection.close()
    return refused
