"""The fake as a process of its own: the ready file, the control API, a clean end, and a quick second start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
PATH = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
BODY = {"messages": [{"role": "user", "content": "hi"}]}


@contextmanager
def process(directory: Path, *more: str) -> Generator[dict[str, Any]]:
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "local.fake_azure", "--state-dir", str(directory), "--ready-file", str(ready)]
    running = subprocess.Popen([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert running.poll() is None, running.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield json.loads(ready.read_text())
    finally:
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=10)
    assert running.returncode == 0, output
    assert output.count("\n") == 1, output


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("azure")


@pytest.fixture(scope="module")
def state(directory: Path) -> Iterator[dict[str, Any]]:
    with process(directory) as started:
        yield started


@pytest.fixture
def control(state: dict[str, Any]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=state["control_url"] + "/control", timeout=5) as client:
        client.post("/clear")
        yield client


def ask(state: dict[str, Any], resource: str = "main", path: str = PATH, key: str = "") -> httpx.Response:
    row = state["resources"][resource]
    return httpx.post(row["url"] + path, json=BODY, headers={"api-key": key or row["key"]})


def test_ready_file_and_control_say_the_same(state: dict[str, Any], control: httpx.Client) -> None:
    told = control.get("/state").json()
    counters = told.pop("counters")
    assert told == state
    assert set(counters) == {"token_requests", "vault_reads"}
    assert {name: row["kind"] for name, row in state["resources"].items()} == {
        "main": "openai",
        "second": "openai",
        "foundry": "foundry",
        "openai": "plain",
    }
    assert state["secrets"]["main-api-key"] == state["resources"]["main"]["key"]


def test_faults_are_ordered_listed_and_cleared(state: dict[str, Any], control: httpx.Client) -> None:
    assert control.post("/faults", json={"kind": "status", "status": 503, "times": 2}).status_code == 200
    assert ask(state).status_code == 503
    (waiting,) = control.get("/faults").json()
    assert (waiting["kind"], waiting["status"], waiting["times"]) == ("status", 503, 1)
    control.delete("/faults")
    assert control.get("/faults").json() == []
    assert ask(state).status_code == 200
    refused = control.post("/faults", json={"kind": "nonsense"})
    assert (refused.status_code, "unknown fault kind" in refused.json()["error"]) == (400, True)


def test_requests_are_recorded(state: dict[str, Any], control: httpx.Client) -> None:
    ask(state)
    ask(state, "second", "/nowhere")
    (record,) = control.get("/requests?resource=main&path_contains=chat&settled=2").json()
    assert record["at"] == pytest.approx(time.time(), abs=30)
    assert record["headers"]["api-key"] == state["resources"]["main"]["key"]
    del record["at"], record["headers"]
    assert record == {
        "resource": "main",
        "method": "POST",
        "path": "/openai/deployments/gpt-4o/chat/completions",
        "query": {"api-version": "2024-10-21"},
        "body": BODY,
        "status": 200,
        "closed_early": False,
        "completed": True,
        "auth": "api-key",
    }
    assert [r["status"] for r in control.get("/requests").json()] == [200, 404]
    control.delete("/requests")
    assert control.get("/requests").json() == []


def test_deployments_keys_and_secrets_change(state: dict[str, Any], control: httpx.Client) -> None:
    path = PATH.replace("gpt-4o", "new-one")
    assert ask(state, path=path).status_code == 404
    control.post("/deployments", json={"resource": "main", "deployment": "new-one", "model": "o4-mini-2025-04-16"})
    assert ask(state, path=path).json()["model"] == "o4-mini-2025-04-16"
    old = state["resources"]["second"]["key"]
    control.post("/keys", json={"resource": "second", "key": "fresh"})
    assert ask(state, "second").status_code == 401
    assert ask(state, "second", key="fresh").status_code == 200
    control.post("/keys", json={"resource": "second", "key": old})
    control.post("/secrets/second-api-key", json={"value": "fresh"})
    assert control.get("/state").json()["secrets"]["second-api-key"] == "fresh"
    for wrong in ({}, {"resource": "main"}):
        assert control.post("/deployments", json=wrong).status_code == 400
    assert control.post("/keys", json={"resource": "nowhere", "key": "k"}).status_code == 400


def test_tokens_expire_when_told(state: dict[str, Any], control: httpx.Client) -> None:
    query = {"api-version": "2019-08-01", "resource": "https://cognitiveservices.azure.com"}
    headers = {"X-IDENTITY-HEADER": state["identity_header"]}
    token = httpx.get(state["identity_endpoint"], params=query, headers=headers).json()["access_token"]
    url, bearer = state["resources"]["main"]["url"] + PATH, {"Authorization": f"Bearer {token}"}
    assert httpx.post(url, json=BODY, headers=bearer).status_code == 200
    control.post("/tokens/expire")
    assert httpx.post(url, json=BODY, headers=bearer).status_code == 401
    assert control.get("/state").json()["counters"]["token_requests"]["managed_identity"] == 1


def test_ca_file_is_a_bundle_for_a_process(state: dict[str, Any]) -> None:
    script = (
        "import asyncio, sys, aiohttp\n"
        "async def get():\n"
        "    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as answer:\n"
        "        print(answer.status)\n"
        "asyncio.run(get())"
    )
    url = f"{state['authority_url']}/common/discovery/instance"
    environment = {**os.environ, "SSL_CERT_FILE": state["ca_file"]}
    command = [sys.executable, "-c", script, url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "200\n", done.stderr


@pytest.mark.usefixtures("state")
def test_second_start_keeps_the_ca_and_takes_the_ports_it_is_given(directory: Path) -> None:
    ca = (directory / "ca.pem").read_bytes()
    base = 20_000 + os.getpid() % 1_000 * 10  # below the ports that the system hands out
    with process(directory, "--base-port", str(base), "--resource", "main", "eastus") as state:
        assert state["control_url"].endswith(f":{base}")
        assert f":{base + 1}/" in state["identity_endpoint"]
        assert state["authority_url"] == state["vault_url"] == f"https://localhost:{base + 2}"
        assert [row["url"] for row in state["resources"].values()] == [
            f"http://127.0.0.1:{base + 3}",
            f"http://127.0.0.1:{base + 4}",
        ]
    assert (directory / "ca.pem").read_bytes() == ca
