"""The parts of the benchmark that look at cold starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cold, report
from bench.cold import Start
from bench.cold_place import CONNECTION, FLOOR, IDENTITY, Instance
from bench.cold_stages import STAGES, Stage


def starts(*whole: float, pace: float = cold.USUAL) -> list[Start]:
    return [Start(each / 2, each / 2, 0.1, 50.0, pace) for each in whole]


def test_the_goal_holds_at_the_usual_pace() -> None:
    slow = starts(0.9, 0.8, 0.7, pace=cold.USUAL * 2)
    found = {FLOOR: starts(0.9), CONNECTION: slow, IDENTITY: starts(0.6, 0.51, 0.1)}
    met, missed = cold.verdicts(found).splitlines()
    assert met.startswith("- **met**: first call by connection string after 0.40 s")
    assert missed.startswith("- **missed**: first call by identity after 0.51 s")


def test_the_section_says_all_of_it(tmp_path: Path) -> None:
    found = {FLOOR: starts(0.2), IDENTITY: starts(0.44, 0.4, 0.5)}
    text = cold.section(found, [Stage("azure-core", 30.2, 85)], 118, "python3 dev.py bench cold")
    assert "$" not in text
    assert "0.44 (0.40 to 0.50)" in text
    row = next(line for line in text.splitlines() if line.startswith("| azure-core"))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["30", "85"]
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    report.put_section(page, cold.TITLE, text)
    report.put_section(page, cold.TITLE, text)
    assert page.read_text().count(cold.TITLE) == 1


def test_every_stage_is_named_once() -> None:
    named = [module for modules in STAGES.values() for module in modules]
    assert len(named) == len(set(named))


def test_the_clock_of_another_process_is_read() -> None:
    if not cold.LINUX:
        pytest.skip("Linux alone has such a clock")
    import os
    import time

    mine = Instance(None, {"worker_pid": os.getpid()}, "")  # type: ignore[arg-type]  # its process is not looked at
    before = time.process_time()
    assert before <= mine.cpu() <= time.process_time()
    assert mine.memory() > 1
