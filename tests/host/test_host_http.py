"""HTTP through the host, in both modes: bodies, streams, routes, keys, limits, disconnects."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.host.host_process import HostProcess, until
from tests.support.tls import NO_TLS


def seen(host: HostProcess) -> dict[str, Any]:
    return host.client.get("/seen").json()


def connect(host: HostProcess) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", host.port))
    made.settimeout(5)
    return made


def test_bodies(host: HostProcess) -> None:
    assert host.client.post("/echo", content=b'{"a":1}').content == b'{"a":1}'
    assert host.client.post("/echo_sync").json() == {"sync": True}
    blob = os.urandom(3_000_000)
    reply = host.client.put("/raw", content=blob)
    assert reply.content == hashlib.sha256(blob).digest()
    assert int(reply.headers["x-pieces"]) > 1


def test_multipart_passes_as_it_is(host: HostProcess) -> None:
    blob = os.urandom(200_000)
    request = host.client.build_request(
        "POST", "/echo", data={"purpose": "batch"}, files={"file": ("in.jsonl", blob, "application/jsonl")}
    )
    reply = host.client.send(request)
    assert reply.headers["content-type"] == request.headers["content-type"]
    assert reply.content == request.read()


def test_events_arrive_as_they_are_sent(host: HostProcess) -> None:
    lags: list[float] = []
    with host.client.stream("GET", "/sse?n=6&pause=0.05") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                lags.append((time.time_ns() - json.loads(line[6:])["sent"]) / 1e6)
    assert len(lags) == 6
    assert sorted(lags)[3] < 40, lags


def test_a_request_streams_in(host: HostProcess) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * 1000
            time.sleep(0.08)

    reply = host.client.put("/raw", content=pieces())
    assert int(reply.headers["x-pieces"]) >= 3
    assert float(reply.headers["x-spread"]) > 0.2


def test_both_directions_at_once(host: HostProcess) -> None:
    """The answer to the first piece is there before the second is sent."""
    with connect(host) as sock:
        sock.sendall(b"POST /duplex HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        got = b""
        while b"HELLO" not in got:
            got += sock.recv(4096)
        sock.sendall(b"5\r\nagain\r\n0\r\n\r\n")
        while b"AGAIN" not in got:
            got += sock.recv(4096)


def test_expect_100_continue(host: HostProcess) -> None:
    with connect(host) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(b"ok")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_head_options_and_a_wrong_method(host: HostProcess) -> None:
    head = host.client.head("/things/7")
    assert (head.status_code, head.headers["x-thing"], head.content) == (200, "yes", b"")
    options = host.client.options("/things/7")
    assert options.status_code == 204
    assert "DELETE" in options.headers["allow"]
    assert host.client.post("/things/7").json()["catch_all"] == "things/7"  # never 405: the next route is tried


def test_routes(host: HostProcess) -> None:
    get = host.client.get
    assert get("/things/12").json() == {"id": "12", "method": "GET"}
    assert get("/things/99999999999").json()["catch_all"]  # not an int32
    assert get("/things/abc").json() == {"name": "abc"}
    assert get("/things/abc/x").json() == {"name": "abc", "tail": "x"}
    assert get("/THINGS/12").status_code == 200
    assert get("/a/b%20c/d").json()["catch_all"] == "a/b c/d"
    assert get("/").json() == {"catch_all": None, "method": "GET"}


def test_keys(host: HostProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = host.ready_file.parent / "keys.json"
    assert path.stat().st_mode & 0o777 == 0o600
    stored = json.loads(path.read_text())
    key, master = stored["functionKeys"]["default"], stored["masterKey"]

    def status(path: str, key: str = "") -> int:
        return host.client.get(path, headers={"x-functions-key": key} if key else {}).status_code

    assert [status("/fn/guarded", k) for k in ("", "no", key, master)] == [401, 401, 200, 200]
    assert status(f"/fn/guarded?code={key}") == 200
    assert [status("/fn/master", k) for k in ("", key, master)] == [401, 401, 200]
    assert status("/seen", "no") == 200  # an anonymous function does not look at keys


def test_admin(host: HostProcess) -> None:
    master = json.loads((host.ready_file.parent / "keys.json").read_text())["masterKey"]
    headers = {"x-functions-key": master}
    assert host.client.get("/admin/host/ping").status_code == 200
    assert host.client.get("/admin/host/status").status_code == 401
    assert host.client.get("/admin/host/status", headers=headers).json()["state"] == "Running"
    names = {f["name"] for f in host.client.get("/admin/functions", headers=headers).json()}
    assert {"echo", "tick", "job"} <= names
    ticks = len(seen(host)["timer"])
    assert host.client.post("/admin/functions/tick", json={"input": ""}).status_code == 401
    assert host.client.post("/admin/functions/tick", json={"input": ""}, headers=headers).status_code == 202
    assert len(seen(host)["timer"]) == ticks + 1
    assert host.client.post("/admin/functions/echo", json={}, headers=headers).status_code == 400
    assert host.client.post("/admin/functions/none", json={}, headers=headers).status_code == 404
    assert host.client.post("/admin/functions/tick", content=b"{", headers=headers).status_code == 400


def test_a_handlers_error_is_a_500_and_told_once(host: HostProcess) -> None:
    before = host.log().count("ValueError: boom")
    assert host.client.get("/boom").status_code == 500
    until(lambda: "Executed 'boom' (Failed" in host.log())
    assert host.log().count("ValueError: boom") == before + 1
    assert host.client.get("/nothing").status_code == 500


def test_a_response_that_breaks_off_looks_broken(host: HostProcess) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        host.client.get("/breaks_off")
    until(lambda: "broke in the middle" in host.log() or "broke off" in host.log())


def test_context_variables_do_not_reach_the_stream(host: HostProcess) -> None:
    assert host.client.get("/context").text == "unset"


def test_an_announced_body_that_is_too_long(host: HostProcess) -> None:
    with connect(host) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 104857601\r\n\r\n")
        assert sock.recv(99).startswith(b"HTTP/1.1 413")


def test_the_clients_own_invocation_id_is_overwritten(host: HostProcess) -> None:
    given = host.client.get("/info", headers={"x-ms-invocation-id": "mine"}).json()
    assert given["invocation"] == given["headers"]["x-ms-invocation-id"]
    assert given["invocation"] != "mine"
    assert given["function"] == "info"
    assert not given["storage_sdk"]  # nothing here needs it, so nobody has waited for it
    assert ("x-forwarded-host" in given["headers"]) == (host.mode == "process")
    assert given["pid"] == host.facts["worker_pid"]
    assert "info was called" in host.log()


def test_a_client_that_leaves_a_stream(host: HostProcess) -> None:
    before = seen(host)["cancelled"]
    with host.client.stream("GET", "/sse?n=1000&pause=0.05") as reply:
        next(reply.iter_lines())
    until(lambda: seen(host)["cancelled"] > before)


def test_a_client_that_leaves_while_the_handler_works(host: HostProcess) -> None:
    before = seen(host)["gone"]
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{host.url}/slow", timeout=0.3, trust_env=False)
    until(lambda: seen(host)["gone"] > before)


def test_a_client_that_leaves_in_the_middle_of_its_request(host: HostProcess) -> None:
    """The app must see a broken request, not a short one."""
    before = seen(host)["cut"]
    for head in (b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"content-length: 100\r\n\r\nhello"):
        with connect(host) as sock:
            sock.sendall(b"PUT /raw HTTP/1.1\r\nhost: x\r\n" + head)
            time.sleep(0.15)
    until(lambda: seen(host)["cut"] == before + 2)


def test_many_streams_at_once(host: HostProcess) -> None:
    done: list[int] = []

    def one() -> None:
        reply = httpx.get(f"{host.url}/sse?n=10&pause=0.05", timeout=20, trust_env=False, verify=NO_TLS)
        done.append(reply.text.count("data: {"))

    threads = [threading.Thread(target=one) for _ in range(20)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [10] * 20
    assert time.monotonic() - started < 5
