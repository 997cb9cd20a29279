"""The parts of the conformance run that decide: what is compared, what counts as not served, what the mock serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance import outcomes, report
from conformance.expected import NOT_SERVED, NotServed
from conformance.lab import config, prefixed
from conformance.outcomes import Comparison, compare, read, resource_of
from conformance.suites import SUITES, models
from shared.config import parse
from shared.document import read_document
from shared.transform.resolve import resolve

FILES = "tests/api_resources/test_files.py::TestFiles::"


def line(name: str, outcome: str = "passed", status: int = 200, path: str = "/v1/files", error: str = "") -> Any:
    sent = [{"method": "GET", "path": path, "status": status, "model": "m"}] if status >= 0 else []
    return {"id": FILES + name, "outcome": outcome, "requests": sent, "error": error}


def runs(folder: Path, straight: list[Any], through: list[Any]) -> Comparison:
    found: list[Any] = []
    for name, lines in (("straight", straight), ("through", through)):
        file = folder / f"{name}.jsonl"
        file.write_text("\n".join(json.dumps(one) for one in [{"collected": len(lines)}, *lines]))
        found.append(read(file, "/v1"))
    return compare("openai", found[0], found[1])


def test_only_what_passes_straight_and_reaches_the_mock_is_compared(tmp_path: Path) -> None:
    failed = line("c", "failed", 404)
    made = runs(
        tmp_path,
        [line("a"), line("b"), failed, line("silent", status=-1), line("no answer", status=0)],
        [line("a"), line("b", "failed", 400), line("c"), line("silent", status=-1), line("no answer", status=0)],
    )
    assert (made.tests, made.silent, made.failing) == (5, 2, 1)
    (row,) = made.resources.values()
    assert (row.name, row.straight, row.through, row.served, row.share) == ("files", 2, 1, 2, 0.5)
    assert made.short == [row]
    assert list(made.differences) == ["`GET /files` → 400: "]


def test_a_test_that_passes_without_asking_the_gateway_does_not_count(tmp_path: Path) -> None:
    made = runs(tmp_path, [line("a")], [line("a", status=-1)])
    assert made.total.through == 0


def test_not_served_takes_the_operation_and_the_status(tmp_path: Path) -> None:
    threads = "/v1/threads/thread_id/runs"
    made = runs(
        tmp_path,
        [line("gone", path=threads), line("broken", path=threads), line("other")],
        [
            line("gone", "failed", 404, threads),
            line("broken", "failed", 500, threads),
            line("other", "failed", 400, error="something else"),
        ],
    )
    assert (made.total.not_served, made.total.served, made.total.share) == (1, 2, 0)
    assert sorted(test for tests in made.differences.values() for test in tests) == [
        "TestFiles::broken", "TestFiles::other"
    ]  # fmt: skip


def test_runs_of_different_tests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not of the same tests"):
        runs(tmp_path, [line("a")], [line("b")])


def test_a_run_that_broke_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text(json.dumps({"collected": 2}) + "\n" + json.dumps(line("a")))
    with pytest.raises(ValueError, match="1 outcomes of 2 tests"):
        read(file, "/v1")


def test_rows_that_no_test_needs_are_found() -> None:
    rows = outcomes.stale("anthropic", Comparison())
    assert rows == [row for row in NOT_SERVED if row.suite == "anthropic"] != []


@pytest.mark.parametrize("row", NOT_SERVED, ids=lambda row: f"{row.suite} {row.operations}")
def test_no_reason_covers_a_success_or_a_failure_of_the_gateway(row: NotServed) -> None:
    assert row.reason.endswith(".")
    assert all(400 <= status < 500 for status in row.statuses)
    assert 400 not in row.statuses, "a 400 may be about anything"


def test_resources_are_named_after_their_module() -> None:
    assert resource_of(FILES + "x") == "files"
    assert resource_of("tests/api_resources/beta/threads/test_runs.py::A::b[loose]") == "beta/threads/runs"


def test_percentages_are_never_rounded_up() -> None:
    assert report.percent(0.9999) == "99.9 %"
    assert report.percent(1.0) == "100.0 %"


def test_the_specification_is_served_below_the_prefix() -> None:
    yaml = "openapi: 3.1.0\npaths:\n  /files:\n    get:\n      x: a\n\n  /files/{id}:\n    get: {}\ncomponents:\n  /no: 1\n"
    assert prefixed(yaml, "/openai/v1") == yaml.replace("  /files", "  /openai/v1/files")
    spec = {"paths": {"/v1/messages": {"post": {}}}, "components": {"/no": 1}}
    changed = json.loads(prefixed(json.dumps(spec), "/anthropic"))
    assert changed == {"paths": {"/anthropic/v1/messages": {"post": {}}}, "components": {"/no": 1}}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_configuration_is_one_that_the_gateway_takes(suite: Any) -> None:
    document = read_document(config(suite, ["gpt-4o", "string"], 4010))
    catalog = resolve(parse(document, {}, {}), document, {})
    assert catalog.warnings == ()
    assert catalog.aliases() == ("gpt-4o", "string")
    (deployment,) = catalog.of("string")
    assert deployment.surface.path.startswith(suite.prefix + "/")


def test_models_are_read_from_the_text_of_the_tests(tmp_path: Path) -> None:
    (tmp_path / "tests" / "api_resources").mkdir(parents=True)
    file = tmp_path / "tests" / "api_resources" / "test_x.py"
    file.write_text('create(model="gpt-4o")\ncreate({"model": \'tts-1\'})\nmodel = other\n')
    assert models(SUITES[0], tmp_path) == ["gpt-4o", "tts-1"]
