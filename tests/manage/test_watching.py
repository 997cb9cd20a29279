"""--watch: bars, what a terminal, a file and a program get, and when it ends."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from shared.manage.cli import parser
from shared.manage.context import CommandError
from shared.manage.watching import MOST_FAILURES, Pace, Screen, drawn, watch
from shared.operations.operation import Progress
from shared.operations.registry import named
from shared.ports import StoreUnavailable

LIST, SHOW = named("batches_list"), named("batches_show")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def row(name: str = "batch_1", **changed: Any) -> dict[str, Any]:
    return {"id": name, "completed": 0, "failed": 0, "lines": 10, "status": "in_progress"} | changed


def answers(*given: Any) -> Any:
    """What is asked answers these, one after the other; an error is raised."""
    left = list(given)

    async def ask() -> dict[str, Any]:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    ask.left = left  # type: ignore[attr-defined]
    return ask


def watched(operation: Any, ask: Any, out: io.StringIO, *, as_json: bool = False) -> dict[str, Any]:
    return asyncio.run(watch(operation, ask, every=0, as_json=as_json, out=out))


def test_a_bar_says_how_far_it_is() -> None:
    line = drawn(Progress("batch_1", 3100, 12, 5000, "in_progress", over=False), 84.0, 120)
    assert line.startswith("batch_1  [█")
    assert line.endswith("]  62%  3,100 of 5,000  in_progress  12 failed  84.0 a second  0:22 left")
    bar = line.partition("[")[2].partition("]")[0]
    assert (bar.count("█"), bar.count("░")) == (int(len(bar) * 0.62), len(bar) - int(len(bar) * 0.62))
    one = Progress("batch_01a20a5eab27c13e5b2aadf87822ef0f", 3100, 0, 5000, "in_progress", over=False)
    narrow = drawn(one, 84.0, 80)
    assert narrow == "…13e5b2aadf87822ef0f  [██████░░░░]  62%  3,100 of 5,000  in_progress  0:22 left"
    plain = drawn(Progress("b", 5, 0, 10, "in_progress", over=False), 0.0, 80, ascii_only=True)
    assert plain.isascii()
    assert "left" not in plain


@pytest.mark.parametrize("width", [20, 40, 80, 400])
@pytest.mark.parametrize(
    ("done", "of", "over"), [(0, 0, False), (0, 0, True), (7, 7, True), (9, 7, False), (1, 9, False)]
)
def test_a_line_never_is_longer_than_the_terminal(width: int, done: int, of: int, over: bool) -> None:
    line = drawn(Progress("batch_1", done, 0, of, "completed", over), 1.0, width)
    assert len(line) <= width
    if width == 400:
        assert ("100%" in line) is (over or done >= of > 0)


def test_how_often_is_said_in_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("0", "often"):
        with pytest.raises(SystemExit):
            parser().parse_args(["batches", "list", "--watch", "--every", wrong])
        assert "--every: write seconds: a number from 0.1 to 3600" in capsys.readouterr().err


def test_lines_a_second_are_those_of_the_last_minute() -> None:
    pace = Pace()
    for now, done in ((0.0, 0), (10.0, 1000), (100.0, 1000), (110.0, 1010), (120.0, 1020)):
        pace.add(now, done)
    assert pace.per_second() == pytest.approx(1.0)


def test_it_ends_when_all_is_over() -> None:
    done: dict[str, Any] = {"completed": 10, "status": "completed"}
    ask = answers(row(completed=2), row(completed=10, status="finalizing"), row(**done), "never")
    out = io.StringIO()
    told = watched(SHOW, ask, out)
    assert told["status"] == "completed"
    assert ask.left == ["never"]
    lines = out.getvalue().splitlines()
    for line, share, state in zip(
        lines, ("20%", "100%", "100%"), ("in_progress", "finalizing", "completed"), strict=True
    ):
        assert share in line
        assert state in line


def test_a_file_gets_a_line_for_what_has_changed() -> None:
    first = {"rows": [row("batch_1"), row("batch_2")], "next": ""}
    second = {"rows": [row("batch_1"), row("batch_2", completed=10, status="completed")], "next": ""}
    out = io.StringIO()
    watched(LIST, answers(first, second, {"rows": [], "next": ""}), out)
    assert [line.partition(" ")[0] for line in out.getvalue().splitlines()] == ["batch_1", "batch_2", "batch_2"]
    nothing = io.StringIO()
    watched(LIST, answers({"rows": [], "next": ""}), nothing)
    assert nothing.getvalue() == "Nothing to show.\n"


def test_a_program_gets_each_new_answer_as_json() -> None:
    out = io.StringIO()
    watched(SHOW, answers(row(), row(), row(completed=10, status="completed")), out, as_json=True)
    assert [json.loads(line)["completed"] for line in out.getvalue().splitlines()] == [0, 10]


def test_a_terminal_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "5")
    out = Terminal()
    screen = Screen(out, as_json=False)
    found = [Progress(f"batch_{n}", 0, 0, 5, "validating", over=False) for n in range(9)]
    screen.show({}, found, 0.0)
    assert out.getvalue().count("\n") == 3
    assert "… and 7 more" in out.getvalue()
    before = len(out.getvalue())
    screen.show({}, found[:1], 1.0)
    again = out.getvalue()[before:]
    assert again.startswith("\x1b[3F")
    assert again.count("\n") == 1
    assert again.endswith("\x1b[J")


def test_a_bad_minute_of_the_network_is_outlived() -> None:
    bad = [StoreUnavailable("down"), CommandError("no answer")] * 4
    assert watched(SHOW, answers(row(), *bad, row(status="completed")), io.StringIO())["status"] == "completed"
    with pytest.raises(CommandError):
        watched(SHOW, answers(row(), *[CommandError("no answer")] * MOST_FAILURES), io.StringIO())


def test_what_never_worked_is_told_at_once() -> None:
    ask = answers(CommandError("no such batch"), row(status="completed"))
    with pytest.raises(CommandError, match="no such batch"):
        watched(SHOW, ask, io.StringIO())
