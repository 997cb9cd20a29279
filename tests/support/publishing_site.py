"""The publishing site of a function app, as far as a deployment meets it: takes a zip, says how far it is. Over TLS.

Knows nothing of functions. What it answers is decided by the test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.fake_azure.tls import server_context


@dataclass
class PublishingSite:
    """`statuses` are told one after another, the last for ever; None is a 404. `older`: how often it still tells of the
    publication before, once the new one was taken; None: there was none."""

    host: str = ""
    ca_file: Path = Path()
    accepts: int = 202
    statuses: list[int | None] = field(default_factory=lambda: [1, 4])
    older: int | None = None
    text: str = "as the site says"
    taken: list[bytes] = field(default_factory=list[bytes])
    requests: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])


@contextmanager
def publishing_site(folder: Path) -> Generator[PublishingSite]:
    folder.mkdir(parents=True, exist_ok=True)
    site = PublishingSite()
    context, site.ca_file = server_context(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    site.host = f"localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(site: PublishingSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            site.taken.append(self.rfile.read(int(self.headers["content-length"])))
            self._tell(site.accepts, "deployment-1")

        def do_GET(self) -> None:
            if not site.taken and site.older is None:
                self._tell(404, "")
            elif not site.taken or site.older:
                site.older = (site.older or 0) - bool(site.taken)
                self._tell(200, {"id": "deployment-0", "status": 4})
            else:
                status = site.statuses.pop(0) if len(site.statuses) > 1 else site.statuses[0]
                told: Any = {"id": f"deployment-{len(site.taken)}", "status": status, "status_text": site.text}
                self._tell(404 if status is None else 200, told)

        def _tell(self, status: int, told: Any) -> None:
            site.requests.append((self.command, self.path, self.headers.get("authorization", "")))
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return Handler
