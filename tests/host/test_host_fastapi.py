"""The platform's own web extension under the same host, in both modes."""

from __future__ import annotations

import json

from tests.host.host_process import HostProcess, until


def test_requests_and_streams(fastapi_host: HostProcess) -> None:
    client = fastapi_host.client
    assert client.get("/hello/you").json()["hello"] == "you"
    assert client.post("/dict", json={"a": 1}).json() == {"given": {"a": 1}}
    assert client.get("/stream").text == "0\n1\n2\n"
    assert client.get("/none").text == "catch-all"
    assert client.put("/none").status_code == 404


def test_a_handlers_error(fastapi_host: HostProcess) -> None:
    assert fastapi_host.client.get("/boom").status_code == 500
    until(lambda: "boom in FastAPI" in fastapi_host.log())
    assert fastapi_host.log().count("ValueError: boom in FastAPI") == 1


def test_no_keys_are_made_for_an_anonymous_app(fastapi_host: HostProcess) -> None:
    assert fastapi_host.client.get("/hello/x").status_code == 200
    assert "Keys were made" not in fastapi_host.log()


def test_the_extension_answering_by_itself(fastapi_host: HostProcess) -> None:
    """FastAPI answers /docs without the function. In Azure that invocation hangs until functionTimeout."""
    worker = fastapi_host.facts["worker_pid"]
    assert fastapi_host.client.get("/docs").status_code == 200
    if fastapi_host.mode == "asgi":
        until(lambda: "without calling the function" in fastapi_host.log())
        return
    until(lambda: "Timeout value of 1 s was exceeded by function 'zz_everything'" in fastapi_host.log())
    until(lambda: json.loads(fastapi_host.ready_file.read_text())["worker_pid"] != worker)
    assert fastapi_host.client.get("/hello/again").status_code == 200
