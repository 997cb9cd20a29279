"""Owns one life of the stack: starts the parts (in parallel where it can), watches them, and ends them all.

Must not know what is printed about it (`report`) nor who asked (`__main__`). Order: Azurite and the fake Azure start
together; the host and the stand-in for Event Grid follow when both answer (a storage client that finds nobody waits
15 s before it tries again); the gateway is asked for its health until it is content. When one part ends, all end: half
a stack only misleads.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from local.stack import gateway, node, parts, ports, processes, record, settings
from local.stack.fake_config import config_text
from local.stack.layout import ROOT, Layout, shown

PATIENCE = 60.0
SERVICES = ("blob", "queue", "table")


class StackError(Exception):
    """The stack could not start, or one of its parts ended."""


class StoppedError(Exception):
    """Somebody asked the stack to stop."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for; two equal ones mean the same stack."""

    port: int | None = None
    config: str | None = None
    mode: str = "asgi"
    reload: bool = False


class Stack:
    def __init__(self, layout: Layout, options: Options, say: Callable[[str], None]) -> None:
        self.layout, self.options, self.say = layout, options, say
        self.children: dict[str, processes.Child] = {}
        self.asked_to_stop = False
        self.record = record.load(layout.record)
        self.run = record.Run(
            vars_of(options), {"supervisor": record.part(os.getpid(), log=str(layout.log("supervisor")))}
        )

    # -- starting

    def start(self) -> record.Run:
        """Start everything and return when the gateway answers; on any failure nothing is left running."""
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])):
            signal.signal(number, self._on_signal)
        self.layout.make()
        self.record.run, self.record.failure = self.run, ""
        self._save()
        try:
            self._start_parts()
        except BaseException as error:
            self.stop("" if isinstance(error, StoppedError) else str(error))
            raise
        self.run.ready = True
        self._save()
        return self.run

    def _start_parts(self) -> None:
        port = ports.gateway_port(self.options.port)
        if self.options.port is None and port != 7071:
            self.say(f"Port 7071 is taken: using {port}.")
        storage: dict[str, int] = dict(zip(SERVICES, ports.free_ports(3, self.record.ports), strict=True))
        self.record.ports = list(storage.values())
        self.run.storage = settings.storage_connection(storage)
        self._spawn(
            "azurite", node.azurite_command(self.layout.azurite, storage), url=f"http://127.0.0.1:{storage['blob']}"
        )
        if self.options.config is None:
            self._start_fake()
        self._settle_settings(Path(self.options.config or self.layout.config))
        self.run.gateway_url = f"http://127.0.0.1:{port}"
        self._check_config()
        self._wait("azurite", lambda: parts.azurite_listens(storage))
        self._spawn("blob_events", parts.blob_events_command())
        self._start_host()
        self._wait("host", lambda: gateway.get(f"{self.run.gateway_url}/health/ready")[0] == 200, self._health)
        self._ensure_demo_key()

    def _start_fake(self) -> None:
        self.layout.fake_ready.unlink(missing_ok=True)
        self._spawn("fake_azure", parts.fake_command(self.layout))
        self._wait("fake_azure", lambda: parts.ready_file(self.layout.fake_ready) is not None)
        self.run.fake_azure = parts.ready_file(self.layout.fake_ready) or {}
        self.run.parts["fake_azure"].url = str(self.run.fake_azure["control_url"])
        record.write_private(
            self.layout.config, config_text(self.run.fake_azure["resources"], self.run.fake_azure["resource_ids"])
        )

    def _settle_settings(self, config: Path) -> None:
        self.run.settings = settings.app_settings(self.record, self.run.storage, config, self.run.fake_azure)
        if not settings.write_local_settings(self.layout.local_settings, self.run.settings):
            self.say(f"{shown(self.layout.local_settings)} is your own and was left as it is.")

    def _check_config(self) -> None:
        """A configuration of the user's own is checked first: a gateway that refuses it would only be waited for."""
        config = self.options.config
        if config and (problems := gateway.config_problems(self.environment(), config)):
            raise StackError(f"{shown(Path(config))} cannot work:\n{problems}")

    def _start_host(self) -> None:
        self.layout.host_ready.unlink(missing_ok=True)
        port = int(self.run.gateway_url.rpartition(":")[2])
        command = parts.host_command(self.layout, port, self.options.mode, self.options.reload)
        self._spawn("host", command, url=self.run.gateway_url)
        self._wait("host", lambda: parts.ready_file(self.layout.host_ready) is not None)
        said = parts.ready_file(self.layout.host_ready) or {}
        worker = said.get("worker_pid")
        if isinstance(worker, int) and worker != said.get("pid") and not self.options.reload:
            self.run.parts["worker"] = record.part(worker, log=str(self.layout.log("host")))
        self._save()

    def _ensure_demo_key(self) -> None:
        """The key of the last time while the store knows it, else a new one."""
        allowed = gateway.models(self.run.gateway_url, self.record.demo_key) if self.record.demo_key else None
        if allowed is None:
            self.record.demo_key = gateway.make_demo_key(self.environment())
            allowed = gateway.models(self.run.gateway_url, self.record.demo_key)
        if allowed is None:
            raise gateway.DemoKeyError("The gateway does not know the demo key that was just made in its store.")
        self.run.model = "gpt-4o" if "gpt-4o" in allowed or not allowed else allowed[0]

    def environment(self) -> dict[str, str]:
        return settings.app_environment(os.environ, self.run.settings, bool(self.run.fake_azure))

    def _spawn(self, name: str, command: list[str], url: str = "") -> None:
        log = self.layout.log(name)
        child = processes.spawn(name, command, log, ROOT, self.environment())
        self.children[name] = child
        self.run.parts[name] = record.part(child.pid, url, str(log))
        self._save()

    # -- watching

    def _wait(self, part: str, ready: Callable[[], bool], explain: Callable[[], str] = str) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            self._look()
            if time.monotonic() > until:
                waited = f"Waited {PATIENCE:.0f} s for {parts.NAMES[part]} in vain. {explain()}"
                raise StackError(f"{waited}{self._log_of(part)}")
            time.sleep(processes.TICK)

    def _look(self) -> None:
        """Raise when there is a reason to end."""
        if self.asked_to_stop:
            raise StoppedError
        for name, child in self.children.items():
            if child.exit_code is not None:
                ended = f"{parts.NAMES[name]} ended unexpectedly (exit code {child.exit_code})."
                raise StackError(f"{ended[0].upper()}{ended[1:]}{self._log_of(name)}")

    def watch(self) -> None:
        """Return when asked to stop; raise when a part ends."""
        try:
            while True:
                self._look()
                time.sleep(0.1)
        except StoppedError:
            self.stop("")
        except BaseException as error:
            self.stop(str(error))
            raise

    def _health(self) -> str:
        status, text = gateway.get(f"{self.run.gateway_url}/health/ready")
        return f"It answers {status} to /health/ready: {text[:600]}\n"

    def _log_of(self, part: str) -> str:
        log = self.layout.log(part)
        return f" The last lines of {shown(log)}:\n{processes.last_lines(log)}"

    # -- ending

    def stop(self, failure: str) -> None:
        """End the host first (it still writes to the storage), then the rest."""
        host = [child for name, child in self.children.items() if name == "host"]
        rest = [child for name, child in self.children.items() if name != "host"]
        forced = processes.end_children(host, grace=parts.HOST_GRACE + 1.0) + processes.end_children(rest, grace=0.6)
        if forced:
            self.say(f"Had to be forced: {', '.join(parts.NAMES[name] for name in forced)}.")
        settings.remove_local_settings(self.layout.local_settings)
        self.record.run, self.record.failure = None, failure
        self._save()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_to_stop = True

    def _save(self) -> None:
        record.save(self.layout.record, self.record)


def vars_of(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("port", "config", "mode", "reload")}
