"""What resources say of batches, in whatever form: read as one."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.azure.upstream_status import Told, public_errors, read_batch, read_status
from shared.batches.batch import Status

AT = 1_790_000_000


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("in_progress", "in_progress"),
        ("InProgress", "in_progress"),
        ("in progress", "in_progress"),
        ("Validating", "validating"),
        ("CANCELLED", "cancelled"),
        ("canceled", "cancelled"),
        ("Canceling", "cancelling"),
        ("NotStarted", "validating"),
        ("Succeeded", "completed"),
        (" Completed ", "completed"),
        ("resting", None),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_states(said: Any, status: Status | None) -> None:
    assert read_status(said) == status


@pytest.mark.parametrize(
    "at",
    [AT, float(AT), str(AT), "2026-09-21T14:13:20+00:00", "2026-09-21T14:13:20.0000000Z", "2026-09-21T14:13:20",
     "2026-09-21T16:13:20+02:00"],
)  # fmt: skip
def test_times(at: Any) -> None:
    told = read_batch({"id": "b", "status": "completed", "created_at": at, "completed_at": at, "in_progress_at": at})
    assert (told.created_at, told.in_progress_at, told.ended_at) == (AT, AT, AT)


@pytest.mark.parametrize("at", [None, "", "soon", -5, float("nan"), float("inf"), True, [], {}])
def test_no_times(at: Any) -> None:
    assert read_batch({"id": "b", "status": "completed", "completed_at": at}).ended_at == 0.0


def test_as_azure_said_it_first() -> None:
    said = {
        "id": "batch_1",
        "status": "Completed",
        "output_file_id": "file-o",
        "error_file_id": "",
        "request_counts": {"total": None, "completed": None, "failed": None},
        "errors": None,
    }
    assert read_batch(said) == Told("batch_1", "completed", output_file="file-o")
    assert read_batch({}) == Told("", None)
    assert read_batch({"id": 1, "status": [], "request_counts": [], "errors": "bad"}) == Told("", None)


@pytest.mark.parametrize(
    ("output", "wrong", "completed", "failed", "has"),
    [
        ("o", "e", 1, 1, True),
        ("o", "", 1, 0, True),
        ("", "e", 0, 1, True),
        ("", "", 1, 0, False),
        ("", "e", 1, 0, False),
        ("o", "", 1, 1, False),
        ("o", "", None, None, True),
        ("", "", None, None, False),
        ("", "", 0, 0, False),
    ],
)
def test_whether_all_files_are_told(output: str, wrong: str, completed: Any, failed: Any, has: bool) -> None:
    told = Told("b", "completed", output_file=output, error_file=wrong, completed=completed, failed=failed)
    assert told.has_files is has


@pytest.mark.parametrize(
    "said",
    [
        {"object": "list", "data": [{"code": "c", "message": "m", "line": 3, "param": "p"}]},
        [{"code": "c", "message": "m", "line": 3, "param": "p"}],
        {"code": "c", "message": "m", "line": 3, "param": "p"},
    ],
)
def test_errors(said: Any) -> None:
    told = read_batch({"id": "b", "status": "failed", "errors": said})
    assert public_errors(told.errors, {}) == ({"code": "c", "message": "m", "line": 3, "param": "p"},)


def test_errors_show_no_names_and_are_always_whole() -> None:
    errors = ({"code": None, "message": "the deployment secret-name at secret.openai.azure.com", "line": "x"}, {})
    first, second = public_errors(errors, {"secret-name": "alias"})
    assert first == {
        "code": "batch_failed",
        "message": "the deployment alias at [hidden]",
        "line": None,
        "param": None,
    }
    assert second["message"]
    assert len(public_errors(({},) * 99, {})) == 50
