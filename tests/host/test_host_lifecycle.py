"""How the host starts, refuses to start, restarts its worker and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.host.host_process import QUIET, SAMPLE, HostProcess, alive, in_background, until

HEAD = "import azure.functions as func\napp = func.FunctionApp()\n"
CLASSIC = """
@app.route("{route}", methods=["{method}"], auth_level=func.AuthLevel.ANONYMOUS)
def {name}(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse({answer!r}, headers={{"x-method": req.method}})
"""


def classic(name: str, route: str, method: str = "GET", answer: str = "ok") -> str:
    return CLASSIC.format(name=name, route=route, method=method, answer=answer)


def app_of(folder: Path, code: str) -> Path:
    made = folder / "app"
    made.mkdir(exist_ok=True)
    (made / "function_app.py").write_text(code)
    return made


REFUSED = {
    "import": ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
    "syntax": ("def\n", "function_app.py could not be imported: "),
    "raises": ("raise RuntimeError('not today')\n", "function_app.py, line 1"),
    "exits": ("import sys\nsys.exit(3)\n", "called sys.exit(3)"),
    "no app": ("x = 1\n", "Could not find top level function app"),
    "no functions": (HEAD, "has no functions"),
    "reserved": (HEAD + classic("f", "admin/x"), "Function 'f': the route 'admin/x' conflicts"),
    "conflict": (HEAD + classic("f", "x") + classic("g", "X"), "is already taken by 'f'"),
    "types": (HEAD + "@app.route('x')\ndef f(req: int) -> str:\n    return ''\n", "f function"),
    "setting": (
        HEAD + "@app.timer_trigger(arg_name='t', schedule='%NO_SUCH%')\ndef f(t: func.TimerRequest) -> None: ...\n",
        "needs the app setting NO_SUCH",
    ),
}


def test_apps_that_cannot_run_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """All at once, as each takes a start of the host."""
    dies = ("import os\nos._exit(9)\n", "ended while it started (exit code 9)")
    cases = [(case, "asgi", *told) for case, told in REFUSED.items()]
    cases += [("import-process", "process", *REFUSED["import"]), ("dies", "process", *dies)]
    hosts: list[tuple[HostProcess, str]] = []
    for case, mode, code, said in cases:
        (folder := tmp_path / case).mkdir()
        hosts.append((HostProcess(folder, app_of(folder, code), mode=mode), said))
    for host, said in hosts:
        assert host.exit_code() == 1, said
        assert said in host.log()
        assert "Traceback" not in host.log()
        assert not host.ready_file.exists()


def test_verbose_shows_where_an_import_failed(tmp_path: Path) -> None:
    host = HostProcess(tmp_path, app_of(tmp_path, "raise RuntimeError('why')\n"), "--verbose")
    assert host.exit_code() == 1
    assert "Traceback" in host.log()


def test_a_folder_without_an_app_and_a_busy_port(tmp_path: Path) -> None:
    host = HostProcess(tmp_path, tmp_path)
    assert host.exit_code() == 1
    assert "There is no function_app.py" in host.log()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = HostProcess(tmp_path, SAMPLE, "--port", str(port))
        assert host.exit_code() == 1
    assert f"Port {port} cannot be used" in host.log()


def over_the_limit(host: HostProcess) -> None:
    """Eleven bytes where ten are allowed, announced or not."""
    assert host.client.post("/echo", content=b"0123456789").status_code == 200
    for head in (b"content-length: 11\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", host.port)) as sock:
            sock.settimeout(5)
            sock.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\n" + head)
            if b"chunked" in head:
                sock.sendall(b"6\r\n012345\r\n")
                time.sleep(0.05)
                sock.sendall(b"5\r\n01234\r\n")
            assert sock.recv(99).startswith(b"HTTP/1.1 413")
    assert host.client.get("/seen").status_code == 200


def test_what_it_prints_and_writes(tmp_path: Path, mode: str) -> None:
    size = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "10"}
    with HostProcess(tmp_path, SAMPLE, "--no-auth", mode=mode, **QUIET, **size) as host:
        facts = host.facts
        assert facts["pid"] == host.process.pid
        assert facts["mode"] == mode
        assert (facts["worker_pid"] == facts["pid"]) == (mode == "asgi")
        assert {"echo", "job", "tick"} <= set(facts["functions"])
        assert f"sse: [GET,POST] {host.url}/sse" in host.log()
        assert "job: queueTrigger on 'jobs' (disabled)" in host.log()
        assert host.log().rstrip().endswith("Host ready")
        assert host.client.get("/fn/master").status_code == 200  # --no-auth
        over_the_limit(host)
    assert not host.ready_file.exists()


def test_classic_http_functions(tmp_path: Path, mode: str) -> None:
    app = app_of(tmp_path, HEAD + classic("f", "items/{id}", "POST") + classic("plain", "plain", answer="plain"))
    with HostProcess(tmp_path, app, mode=mode) as host:
        reply = host.client.post("/api/items/7?q=1", content=b"x")
        assert (reply.status_code, reply.text, reply.headers["x-method"]) == (200, "ok", "POST")
        assert host.client.get("/api/plain").text == "plain"


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    got: list[Any] = []
    with HostProcess(tmp_path, SAMPLE, "--no-auth", mode="process", **QUIET) as host:
        worker = host.facts["worker_pid"]
        thread = in_background(host, "/slow", got)
        assert host.client.get("/die").status_code == 502
        thread.join()
        assert got[0].status_code == 502
        assert host.client.get("/seen").status_code in (502, 503)
        until(lambda: host.client.get("/seen").status_code == 200)
        assert f"The worker process {worker} ended unexpectedly (exit code 3)" in host.log()
        now = until(lambda: pid if (pid := json.loads(host.ready_file.read_text())["worker_pid"]) != worker else 0)
        assert host.client.get("/info").json()["pid"] == now
        os.kill(now, signal.SIGKILL)
        until(lambda: "(SIGKILL)" in host.log())
        until(lambda: host.client.get("/seen").status_code == 200)


def test_reload(tmp_path: Path) -> None:
    app = app_of(tmp_path, HEAD + classic("f", "x", answer="one"))
    with HostProcess(tmp_path, app, "--reload") as host:
        assert host.facts["pid"] == host.process.pid
        assert host.client.get("/api/x").text == "one"
        app_of(tmp_path, HEAD + classic("f", "x", answer="a second one"))

        def now() -> str:
            try:
                return host.client.get("/api/x").text
            except httpx.TransportError:
                return ""

        until(lambda: now() == "a second one")
        app_of(tmp_path, "this is not Python\n")
        until(lambda: "starts again when a file changes" in host.log())
        app_of(tmp_path, HEAD + classic("f", "x", answer="mended"))
        until(lambda: now() == "mended")
        worker = json.loads(host.ready_file.read_text())["worker_pid"]
        assert host.stop() == 0
    assert not alive(worker)


def test_reload_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    app = app_of(tmp_path, HEAD + classic("f", "x"))
    with HostProcess(tmp_path, app, "--reload", mode="process") as host:
        worker = host.facts["worker_pid"]
        host.stop(signal.SIGKILL)
        until(lambda: not alive(worker), 8)


def test_help_teaches() -> None:
    from local.host.__main__ import parser

    said = parser().format_help()
    for word in ("--ready-file", "--grace", "examples", "FUNCHOST_MASTER_KEY", "process"):
        assert word in said


def test_another_version_of_the_worker_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import azure_functions_runtime.native_invocation as native

    from local.host.contract import HostError
    from local.host.runtime import SUPPORTED, load

    monkeypatch.delattr(native, "invocation_request_native")
    with pytest.raises(HostError, match=rf"azure-functions-runtime {SUPPORTED}.*invocation_request_native"):
        load()
