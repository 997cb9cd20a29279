"""The stack's commands, as `dev.py` calls them: up, status, down, manage (and supervise, which `up --detach` calls).

Owns who runs the supervisor and what is said. Options are explained in dev.py, which checks them as well.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from local.stack import processes, record, report, settings
from local.stack.gateway import DemoKeyError
from local.stack.layout import ROOT, Layout, layout_from
from local.stack.lock import hold
from local.stack.ports import PortTakenError
from local.stack.supervisor import Options, Stack, StackError, StoppedError, vars_of

NOT_RUNNING = 3


def say(text: str) -> None:
    """Tell the user. A terminal or pipe that went away is no reason to leave processes behind."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def up(layout: Layout, options: Options, detach: bool) -> int:
    """Start the stack, or say that it runs already."""
    known = record.load(layout.record)
    running = known.running
    if running and running.ready and running.options == vars_of(options):
        say("It runs already, with these options." + report.box(layout, known, running, detached=True))
        return 0
    if running:
        state = f"runs already at {running.gateway_url}/v1, with other options" if running.ready else "is being started"
        print(f"The stack {state} (`{report.PROGRAM} down` stops it).", file=sys.stderr)
        return 1
    if options.config and not Path(options.config).is_file():
        print(f"There is no file {options.config}.", file=sys.stderr)
        return 1
    return start_detached(layout, options) if detach else supervise(layout, options, detached=False)


def supervise(layout: Layout, options: Options, detached: bool) -> int:
    """Be the supervisor until the stack ends."""
    with hold(layout.lock) as held:
        if not held:
            print("Another `up` is starting or stopping this stack: try again in a moment.", file=sys.stderr)
            return 1
        clear_away(layout)
        stack = Stack(layout, options, say)
        say(f"Starting Azurite{'' if options.config else ', the fake Azure'} and the Functions host ...")
        try:
            run = stack.start()
            say("Ready." if detached else report.box(layout, stack.record, run, detached=False))
            stack.watch()
        except StoppedError:
            pass
        except (StackError, PortTakenError, DemoKeyError) as error:
            say(f"\n{error}\nNothing is left running.")
            return 1
        say("\nStopped: every process of the stack has ended.")
        return 0


def start_detached(layout: Layout, options: Options) -> int:
    """Start a supervisor of its own and return when the gateway is ready, or when it is clear that it will not be."""
    layout.make()
    log = layout.log("supervisor")
    command = [sys.executable, "-m", "local.stack", "supervise", json.dumps(vars_of(options))]
    child = processes.spawn("supervisor", command, log, ROOT, os.environ)
    heard = 0
    try:
        while True:
            ended = child.exit_code
            known = record.load(layout.record)
            run = known.running
            text = log.read_text(errors="replace")
            if text[heard:]:
                say(text[heard:].rstrip("\n"))
            heard = len(text)
            if ended is not None:
                return ended or 1
            if run and run.ready and run.supervisor.pid == child.pid:
                say(report.box(layout, known, run, detached=True))
                return 0
            time.sleep(processes.TICK)
    except KeyboardInterrupt:
        child.process.terminate()
        child.process.wait()
        say("\nStopped.")
        return 130


def clear_away(layout: Layout) -> None:
    """End what a supervisor that died left behind, and forget its run."""
    known = record.load(layout.record)
    if known.run is None:
        return
    left = [(part.pid, part.born) for name, part in known.run.parts.items() if name != "supervisor" and part.alive]
    processes.end_strangers(left, grace=1.0)
    if left:
        say(f"Ended {len(left)} processes that an earlier stack had left behind.")
    settings.remove_local_settings(layout.local_settings)
    known.run = None
    record.save(layout.record, known)


def down(layout: Layout) -> int:
    known = record.load(layout.record)
    if known.run is None:
        say("Nothing is running.")
        return 0
    supervisor = known.run.supervisor
    for number in (signal.SIGTERM, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM):
        if supervisor.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor.pid, number)
            processes.wait_until([(supervisor.pid, supervisor.born)], seconds=4)
    clear_away(layout)
    say("Stopped: every process of the stack has ended.")
    return 0


def status(layout: Layout, as_json: bool) -> int:
    known = record.load(layout.record)
    say(json.dumps(report.status_json(layout, known), indent=2) if as_json else report.status_text(layout, known))
    return 0 if known.running and known.running.ready else NOT_RUNNING


def manage(layout: Layout, arguments: list[str]) -> int:
    """The operator's commands, with the settings of the running stack in their environment."""
    run = record.load(layout.record).running
    if run is None:
        print(f"No stack runs (`{report.PROGRAM} up`): your own environment is used.", file=sys.stderr)
    environ = settings.app_environment(os.environ, run.settings, bool(run.fake_azure)) if run else dict(os.environ)
    return subprocess.call([sys.executable, "-m", "shared.manage", *arguments], env=environ)


def main(arguments: list[str]) -> int:
    layout = layout_from(os.environ)
    command, rest = arguments[0], arguments[1:]
    if command in ("up", "supervise"):
        given = json.loads(rest[0])
        detach = bool(given.pop("detach", True))
        options = Options(**given)
        return up(layout, options, detach) if command == "up" else supervise(layout, options, detached=True)
    if command == "status":
        return status(layout, "--json" in rest)
    return down(layout) if command == "down" else manage(layout, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
