"""An Azurite that can go away and come back: on fixed ports, with its data on disk. For tests of outages."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.support.azurite import ACCOUNT, KEY, MISSING, SCRIPT, find_node
from tests.support.polling import until


class OwnAzurite:
    """A context manager; `stop` and `start` are what the storage account's bad and good days are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        kinds = zip(("Blob", "Queue", "Table"), self._ports, strict=True)
        parts = [f"{kind}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}" for kind, port in kinds]
        self.connection_string = ";".join(
            ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={KEY}", *parts]
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        node = find_node()
        assert node is not None, MISSING
        assert SCRIPT.is_file(), MISSING
        blob, queue, table = map(str, self._ports)
        self._process = subprocess.Popen(
            [
                node, str(SCRIPT), "--blobPort", blob, "--queuePort", queue, "--tablePort", table,
                "--location", str(self._folder), "--silent", "--skipApiVersionCheck", "--disableTelemetry",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: all(map(_listens, self._ports)), 30, 0.05)

    def stop(self) -> None:
        """In good order, so that what was acknowledged is on disk."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports


def dead_connection_string() -> str:
    """A storage account at which nobody answers."""
    (port,) = free_ports(1)
    parts = [f"{kind}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}" for kind in ("Blob", "Queue", "Table")]
    return ";".join(["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={KEY}", *parts])
