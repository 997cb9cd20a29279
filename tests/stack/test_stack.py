"""`dev.py up` for real: Azurite, the fake Azure, the host and the app, in a state directory of the test's own.

What is installed in the checkout is used as it is, so a developer's running stack is not disturbed.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local.stack.ports import free_ports
from local.stack.processes import birth
from tests.support.polling import until

ROOT = Path(__file__).parents[2]
PARTS = {"supervisor", "azurite", "fake_azure", "blob_events", "host"}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and the shell are POSIX's")


class Stack:
    """A state directory, and dev.py run in it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_ports(1, [])[0]
        own = {"TOLLGATE_STATE": str(state), "PYTHONWARNINGS": "default"}
        self.environ = {**os.environ, **own}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "dev.py"), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environ, timeout=300)

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--detach", "--port", str(self.port), *arguments)

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", "--json").stdout)

    @contextlib.contextmanager
    def foreground(self) -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
        """`up` in the foreground, once it is ready, with its status."""
        said = self.state.with_suffix(".out")
        with said.open("w") as output:
            command = self.command("up", "--port", str(self.port))
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=self.environ, text=True)
        try:
            while "Stop it: Ctrl-C" not in said.read_text():
                assert process.poll() is None, said.read_text()
                time.sleep(0.05)
            yield process, self.status()
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(20)

    @property
    def said(self) -> str:
        return self.state.with_suffix(".out").read_text()


def ended(pids: dict[str, int]) -> bool:
    """Whether all are gone, at the latest a moment from now."""
    until = time.monotonic() + 5
    while left := [name for name, pid in pids.items() if birth(pid)]:
        if time.monotonic() > until:
            print(f"still alive: {left}")
            return False
        time.sleep(0.02)
    return True


def pasted(line: str) -> str:
    """What a shell prints when the line is pasted into it."""
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack") / "state"


@pytest.fixture(scope="module")
def detached(state: Path) -> Generator[tuple[Stack, str]]:
    """A stack in the background, and what `up` said."""
    stack = Stack(state)
    done = stack.up()
    assert done.returncode == 0, done.stdout + done.stderr
    yield stack, done.stdout
    stack.run("down")


def test_up_detached_says_where_everything_is(detached: tuple[Stack, str]) -> None:
    stack, said = detached
    status = stack.status()
    assert status["running"] is True
    assert status["base_url"] == f"http://127.0.0.1:{stack.port}"
    assert set(status["pids"]) == PARTS
    assert all(birth(pid) for pid in status["pids"].values())
    assert status["fake_azure_url"] == status["fake_azure"]["control_url"]
    assert "AccountName=devstoreaccount1" in status["storage_connection"]
    assert Path(status["logs"]) == stack.state / "logs"
    for shown in (status["base_url"], status["key"], "dev.py down"):
        assert shown in said


def test_the_curl_line_works_when_pasted(detached: tuple[Stack, str]) -> None:
    line = re.search(r"^curl .+$", detached[1], re.MULTILINE)
    assert line
    assert shutil.which("curl"), "the line that `up` prints needs curl"
    answer = json.loads(pasted(line[0]))
    assert answer["choices"][0]["message"]["content"]


def test_the_python_lines_work_when_pasted(detached: tuple[Stack, str], tmp_path: Path) -> None:
    lines = re.search(r"^from openai import OpenAI\n.+?^print.+?$", detached[1], re.MULTILINE | re.DOTALL)
    assert lines
    script = tmp_path / "pasted.py"
    script.write_text(lines[0])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_dropped_file_is_told_of_and_run(detached: tuple[Stack, str]) -> None:
    connection = detached[0].status()["storage_connection"]
    folder = BlobServiceClient.from_connection_string(connection).get_container_client("batches")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    folder.upload_blob("in/demo/a.jsonl", json.dumps(line))
    until(lambda: folder.get_blob_client("out/demo/a-summary.json").exists(), 30, 0.1)
    assert b'"custom_id":"a"' in folder.download_blob("out/demo/a.jsonl").readall()


def test_status_names_each_part(detached: tuple[Stack, str]) -> None:
    done = detached[0].run("status")
    assert done.returncode == 0
    assert done.stdout.startswith("Running: http://127.0.0.1:")
    assert all(re.search(rf"^  {part} +\d+ +alive", done.stdout, re.MULTILINE) for part in PARTS)


def test_a_second_up_with_the_same_options_says_the_same(detached: tuple[Stack, str]) -> None:
    stack, said = detached
    before = stack.status()["pids"]
    again = stack.up()
    assert again.returncode == 0
    assert "It runs already" in again.stdout
    assert again.stdout.partition("Tollgate runs.")[2] == said.partition("Tollgate runs.")[2]
    assert stack.status()["pids"] == before


def test_a_second_up_with_other_options_is_refused(detached: tuple[Stack, str]) -> None:
    again = detached[0].up("--mode", "process")
    assert again.returncode == 1
    assert "with other options" in again.stderr
    assert "dev.py down" in again.stderr


def test_manage_works_on_the_running_stack(detached: tuple[Stack, str]) -> None:
    stack, _ = detached
    done = stack.run("manage", "keys", "create", "--name", "ana", "--json")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["key"]
    request = urllib.request.Request(
        f"{stack.status()['base_url']}/v1/models", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def test_secrets_are_in_private_files_and_not_in_logs(detached: tuple[Stack, str]) -> None:
    stack, _ = detached
    status = stack.status()
    for name in ("stack.json", "config.yaml", "local.settings.json"):
        assert (stack.state / name).stat().st_mode & 0o077 == 0, name
    logs = "".join(path.read_text() for path in (stack.state / "logs").iterdir())
    assert status["key"] not in logs
    assert status["admin_key"] not in logs


def test_down_ends_every_process_and_may_be_repeated(detached: tuple[Stack, str]) -> None:
    stack, _ = detached
    pids = stack.status()["pids"]
    first, second = stack.run("down"), stack.run("down")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Nothing is running" in second.stdout
    assert ended(pids)
    assert not (stack.state / "local.settings.json").exists()
    status = stack.run("status")
    assert status.returncode == 3
    assert "Not running" in status.stdout


def test_data_and_demo_key_outlive_the_stack_and_ctrl_c_ends_every_child(detached: tuple[Stack, str]) -> None:
    stack, said = detached
    stack.run("down")
    with stack.foreground() as (process, status):
        assert status["key"] in said
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert ended(status["pids"])
    assert "Stopped: every process of the stack has ended." in stack.said


def test_a_part_that_dies_is_named_and_takes_the_rest_along(detached: tuple[Stack, str]) -> None:
    stack, _ = detached
    stack.run("down")
    with stack.foreground() as (process, status):
        os.kill(status["pids"]["azurite"], signal.SIGKILL)
        assert process.wait(10) == 1
    assert ended(status["pids"])
    assert "Azurite ended unexpectedly (exit code -9)" in stack.said
    assert "azurite.log" in stack.said
    assert "Azurite ended unexpectedly" in stack.run("status").stdout


def test_what_a_killed_supervisor_left_behind_is_cleared_away(detached: tuple[Stack, str]) -> None:
    stack, _ = detached
    assert stack.up().returncode == 0
    pids = stack.status()["pids"]
    os.kill(pids["supervisor"], signal.SIGKILL)
    assert ended({"supervisor": pids["supervisor"]})
    status = stack.run("status")
    assert status.returncode == 3
    assert "left behind" in status.stdout
    assert stack.run("down").returncode == 0
    assert ended(pids)


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    import socket

    stack = Stack(tmp_path / "state")
    with socket.create_server(("127.0.0.1", stack.port)):
        done = stack.up()
    assert done.returncode == 1
    assert f"Port {stack.port} is taken" in done.stdout + done.stderr
    assert stack.run("status").returncode == 3


def test_a_config_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = Stack(tmp_path / "state").up("--config", str(tmp_path / "missing.yaml"))
    assert done.returncode == 1
    assert "There is no file" in done.stderr


def test_a_config_that_cannot_work_is_explained_at_once(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("model_list:\n  - model_name: a\n    litellm_params: {model: azure/x, api_bse: x}\n")
    stack = Stack(tmp_path / "state")
    done = stack.up("--config", str(config))
    assert done.returncode == 1
    assert "write 'api_base'" in done.stdout
    assert stack.status()["running"] is False
