"""The log on standard output: whole lines of JSON, each once and at once, from any task and thread of a process of its own."""

from __future__ import annotations

import json
import select
import subprocess
import sys

from tests.support.stack import ROOT, clean_environment

PROGRAM = """
import logging, sys
from concurrent.futures import ThreadPoolExecutor
from shared.adapters.console_log import speak_on_console
from shared.adapters.telemetry import JsonLog

class Worker(logging.Handler):  # as the Functions worker has one on the root logger
    def emit(self, record):
        print("worker:", record.getMessage())

logging.getLogger().addHandler(Worker())
speak_on_console()
speak_on_console()
log = JsonLog("INFO")
log.warning("line\\nbreak", detail="ü ° " + "x" * 9000)
log.error("unexpected failure", endpoint="models_list")
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda number: log.warning("many", number=number), range(200)))
try:
    raise ValueError("of https://somewhere.example/secret")
except ValueError:
    logging.getLogger("tollgate").exception("a handler %s", "failed")
log.error("configuration refused", problems=[f"line {n}: this is not so °" for n in range(3000)], file="config.yaml")
log.error("half a character", problems=["\\ud800"])
log.error("unexpected failure", error="of https://somewhere.example/secret")
try:
    "a prompt \\ud800".encode()
except UnicodeEncodeError:
    logging.getLogger("tollgate").exception("a body")
logging.getLogger("asyncio").error("Task exception at https://somewhere.example", exc_info=ValueError("x"))
logging.getLogger("uvicorn.error").info("too much")
logging.getLogger("other").warning("of somebody else")
"""
MOST_CHARACTERS = 32_768
"""Of a message in Application Insights: what is longer is cut."""


def test_lines_are_whole_and_come_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=60,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    *lines, others = done.stdout.splitlines()
    assert others == "worker: of somebody else"
    assert max(map(len, lines)) < MOST_CHARACTERS
    assert "somewhere.example" not in done.stdout
    assert "a prompt" not in done.stdout
    *said, long, half, unexpected, body, task = [json.loads(line) for line in lines]
    assert (long["event"], long["message"], long["file"], long["cut"]) == (
        "error", "configuration refused", "config.yaml", True,
    )  # fmt: skip
    assert "line 0: this is not so °" in long["problems"]
    assert (unexpected["message"], body["error"][:18]) == ("unexpected failure", "UnicodeEncodeError")
    assert half == {"event": "error", "message": "half a character", "problems": ["\ud800"]}
    assert task == {
        "event": "error",
        "message": "Task exception at [hidden]",
        "logger": "asyncio",
        "error": "ValueError: x",
    }
    assert (said[0]["event"], said[0]["message"], said[0]["detail"][:7]) == ("warning", "line\nbreak", "ü ° xxx")
    assert said[1] == {"event": "error", "message": "unexpected failure", "endpoint": "models_list"}
    assert sorted(line["number"] for line in said[2:-1]) == list(range(200))
    failed = said[-1]
    assert (failed["event"], failed["message"]) == ("error", "a handler failed")
    assert failed["error"].startswith("ValueError: of ")


def test_a_line_is_out_before_the_next_is_made() -> None:
    """A worker's output is a pipe, which Python fills by the block: nobody may wait for 8 kB more."""
    program = (
        "import sys\nfrom shared.adapters.telemetry import JsonLog, begin_logging\nbegin_logging(on_azure=True)\n"
        "JsonLog('INFO').warning('now')\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE,
    ) as worker:  # fmt: skip
        assert worker.stdout
        assert worker.stdin
        try:
            ready, _, _ = select.select([worker.stdout], [], [], 60)
            assert ready
            assert json.loads(worker.stdout.readline()) == {"event": "warning", "message": "now"}
        finally:
            worker.stdin.close()
            worker.wait(60)
