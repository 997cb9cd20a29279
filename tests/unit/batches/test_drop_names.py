"""Where dropped files and their results lie, who pays for them, and which names are not taken."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from shared.batches.dropped.names import DropName, drop_name, result_names


@pytest.mark.parametrize(
    ("blob", "path"),
    [
        ("in/june.jsonl", "june.jsonl"),
        ("in/team/a/b/c.JSONL", "team/a/b/c.JSONL"),
        ("in/übung/näheres 1.csv", "übung/näheres 1.csv"),
        ("out/june.jsonl", None),
        ("in/", None),
        ("in/team/", None),
        ("in/../templates/x.jsonl", None),
        ("in/./x.jsonl", None),
    ],
)
def test_only_files_below_in_are_drops(blob: str, path: str | None) -> None:
    found = drop_name(blob)
    assert (found.path if found else None) == path


@pytest.mark.parametrize(
    ("path", "metadata", "key"),
    [
        ("team-a/june.jsonl", {}, "team-a"),
        ("team-a/2026/june.jsonl", {}, "team-a"),
        ("june.jsonl", {}, ""),
        ("june.jsonl", {"key": " team-b "}, "team-b"),
        ("team-a/june.jsonl", {"key": "team-b"}, "team-b"),
    ],
)
def test_the_key_is_named_by_the_metadata_or_the_first_folder(path: str, metadata: dict[str, str], key: str) -> None:
    assert DropName(path).payer(metadata) == key


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("k/june.jsonl", ""),
        ("k/june.JSONL", ""),
        ("k/june.ndjson", ""),
        ("k/june.Csv", ""),
        ("k/june.txt", ".jsonl"),
        ("k/june", ".jsonl"),
        ("k.x/june", ".jsonl"),
        ("k/.jsonl", ".jsonl"),
        ("k/june-errors.jsonl", "-errors"),
        ("k/june.csv-errors.jsonl", "-errors"),
        ("k/june-errors.csv", ""),
        ("k/june.csv.jsonl", "those of june.csv."),
        ("k/june.JSONL.jsonl", "those of june.JSONL."),
        ("k/june.CSV.JSONL", ""),
        ("k/" + "x" * 900 + ".jsonl", "900"),
    ],
)
def test_names_that_are_not_taken_say_why(path: str, word: str) -> None:
    problem = DropName(path).problem
    assert bool(problem) == bool(word)
    assert word in problem


def test_results_lie_beside_each_other_under_the_name() -> None:
    names = result_names("team/2026.06/june.v2.jsonl")
    assert names.output == "out/team/2026.06/june.v2.jsonl"
    assert names.errors == "out/team/2026.06/june.v2-errors.jsonl"
    assert names.summary == "out/team/2026.06/june.v2-summary.json"
    assert DropName("a/b.jsonl").rejected == "rejected/a/b.jsonl"
    assert DropName("a/b.jsonl").reason == "rejected/a/b.jsonl-reason.txt"


def test_templates_are_looked_for_by_name_and_then_by_folder() -> None:
    drop = DropName("team/2026/june.csv")
    assert drop.templates({}) == [
        "templates/team/2026/june.json", "templates/team/2026.json", "templates/team.json",
    ]  # fmt: skip
    assert drop.templates({"template": "summaries"}) == ["templates/summaries.json"]
    assert drop.templates({"template": "templates/summaries.json"}) == ["templates/summaries.json"]
    for away in ("../../tollgate-files/x", "a/../b.json", "..\\x", "./x"):
        assert drop.templates({"template": away}) == []


def test_a_version_of_a_blob_has_one_batch_id() -> None:
    first = DropName("k/a.jsonl").batch_id("0x1", 1000.0)
    assert first == DropName("k/a.jsonl").batch_id("0x1", 1000.0)
    others = {
        DropName("k/a.jsonl").batch_id("0x2", 1000.0),
        DropName("k/b.jsonl").batch_id("0x1", 1000.0),
    }  # fmt: skip
    assert len({first, *others}) == 3
    assert len(first) == len("batch_") + 32


def test_no_two_files_share_their_results() -> None:
    names = ["a.jsonl", "a.JSONL", "a.ndjson", "a.csv", "a.CSV", "a.jsonl.jsonl", "a.csv.csv", "b/a.jsonl"]
    assert all(not DropName(name).problem for name in names)
    results = [blob for name in names for blob in astuple(result_names(name))]
    assert len(results) == len(set(results)) == 3 * len(names)
    assert result_names("k/a.csv").output == "out/k/a.csv.jsonl"
