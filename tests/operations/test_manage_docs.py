"""docs/manage.md says what is so: its table is the registry's, its examples work when they are pasted in their order."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import httpx

from shared.manage.arguments import PROGRAM, words
from shared.manage.cli import run
from shared.operations.registry import operations
from tests.support.stack import ADMIN, Stack

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "manage.md").read_text("utf-8")


def lines(beginning: str) -> list[list[str]]:
    """The commands in its examples, as a shell would split them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.S | re.M)
    found = [line for block in blocks for line in block.splitlines() if line.startswith(beginning)]
    assert found
    return [shlex.split(line.replace("$ADMIN_KEY", ADMIN)) for line in found]


def test_the_table_is_the_registry() -> None:
    listed = re.findall(r"^\| `([^`]+)` \| `(\w+) /manage/([^`]+)` \| (.+) \|$", TEXT, re.M)
    assert listed == [(" ".join(filter(None, words(row))), row.method, row.path, row.summary) for row in operations()]


def test_commands_work(stack: Stack) -> None:
    for command in lines(PROGRAM):
        given = [part.replace("https://HOST", stack.url) for part in command[3:]]
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = run(given, stack.settings)
        assert code == 0, (command, complained.getvalue())
        assert said.getvalue()


def test_requests_work(stack: Stack) -> None:
    for _, *given in lines("curl"):
        options = dict(zip(given[:-1:2], given[1:-1:2], strict=True)) | {"-H": ""}
        headers = [
            tuple(value.split(": ", 1)) for name, value in zip(given[:-1:2], given[1:-1:2], strict=True) if name == "-H"
        ]
        url = given[-1].replace("https://HOST", stack.url)
        method = options.get("-X", "POST" if "-d" in options else "GET")
        answer = httpx.request(method, url, headers=headers, content=options.get("-d", "").encode(), timeout=30)  # type: ignore[arg-type]
        assert answer.status_code == 200, (url, answer.text)
