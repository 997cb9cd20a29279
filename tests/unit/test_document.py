"""YAML with the line of everything in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.document import Document, Path, read_document, where
from shared.errors import ConfigError, Problem


def problems(text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        read_document(text)
    return caught.value.problems


class Value(NamedTuple):
    text: str
    expect: Any


@pytest.mark.parametrize(
    "case",
    [
        Value("a: 2024-10-21", {"a": "2024-10-21"}),
        Value("a: 2024-10-21 10:00:00", {"a": "2024-10-21 10:00:00"}),
        Value("a: '2024-10-21'", {"a": "2024-10-21"}),
        Value("[1, 1.5, true, yes, null, ~, text, '1', \"b\"]", [1, 1.5, True, True, None, None, "text", "1", "b"]),
        Value("a: {1: x, true: y}", {"a": {"1": "x", "true": "y"}}),
        Value("just text", "just text"),
        Value("null", None),
        Value("{}", {}),
        Value("zażółć: 日本", {"zażółć": "日本"}),
        Value("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
    ids=lambda case: case.text,
)
def test_document_values_are_plain_and_dates_stay_text(case: Value) -> None:
    assert read_document(case.text).data == case.expect


FORM = """\
defaults: &defaults
  api_base: https://x
  api_key: k
model_list:
- model_name: a
  params:
    <<: *defaults
    api_key: own
- model_name: b
  params: *defaults
- &c
  model_name: c
- {<<: [*c, *defaults]}
"""


class Line(NamedTuple):
    path: Path
    line: int


@pytest.mark.parametrize(
    "case",
    [
        Line((), 1),
        Line(("model_list",), 4),
        Line(("model_list", 0), 5),
        Line(("model_list", 0, "params"), 6),
        Line(("model_list", 0, "params", "api_key"), 8),
        Line(("model_list", 0, "params", "api_base"), 2),
        Line(("model_list", 0, "params", "absent", "deeper"), 6),
        Line(("model_list", 1, "params"), 10),
        Line(("model_list", 1, "params", "api_key"), 3),
        Line(("model_list", 3, "model_name"), 12),
        Line(("nothing", "here"), 1),
    ],
    ids=lambda case: where(case.path),
)
def test_document_knows_the_line_of_every_path(case: Line) -> None:
    assert read_document(FORM).line(case.path) == case.line


def test_document_follows_anchors_and_merge_keys() -> None:
    assert read_document(FORM).data["model_list"] == [
        {"model_name": "a", "params": {"api_base": "https://x", "api_key": "own"}},
        {"model_name": "b", "params": {"api_base": "https://x", "api_key": "k"}},
        {"model_name": "c"},
        {"model_name": "c", "api_base": "https://x", "api_key": "k"},
    ]
    assert read_document(FORM).problems == []


def test_document_reports_what_is_given_twice() -> None:
    found = read_document("a:\n  b: 1\n  c: 2\n  b: 3\n  b: 4\nd: 1\n")
    assert found.problems == [
        Problem("a.b", 4, "given twice", "keep one of the two"),
        Problem("a.b", 5, "given twice", "keep one of the two"),
    ]
    assert found.line(("a", "b")) == 5


@pytest.mark.parametrize(
    ("path", "expect"),
    [(("a", 0, "b"), "x"), (("a",), [{"b": "x"}]), (("a", 1), None), (("z",), None), (("a", 0, "b", "c"), None)],
)
def test_document_says_what_is_written_at_a_path(path: Path, expect: Any) -> None:
    assert read_document("a: [{b: x}]").at(path) == expect


class Broken(NamedTuple):
    id: str
    text: str
    line: int
    message: str
    remedy: str


QUOTE = "indent with spaces"
SPLIT = "split it"
BROKEN = [
    Broken("empty", "", 1, "the file is empty", "begin with 'model_list:'"),
    Broken("comment only", "# nothing\n", 1, "the file is empty", "begin with 'model_list:'"),
    Broken("tab", "a:\n\t- b\n", 2, "cannot start any token", QUOTE),
    Broken("unclosed", "a: [1,\n", 2, "but found '<stream end>'", QUOTE),
    Broken("indent", "a: 1\n b: 2\n", 2, "mapping values are not allowed here", QUOTE),
    Broken("unknown anchor", "a: *nope\n", 1, "found undefined alias", QUOTE),
    Broken("two documents", "a: 1\n---\nb: 2\n", 2, "but found another document", QUOTE),
    Broken("unknown tag", "a: 1\nb: !secret x\n", 2, "could not determine a constructor", QUOTE),
    Broken("python tag", "a: !!python/object/apply:os.system [x]\nb: !!python/name:os.system\n", 2, "could not", QUOTE),
    Broken("not an int", "a: 1\nb: !!int x\n", 2, "invalid literal for int()", QUOTE),
    Broken("merge of a scalar", "a: 1\n<<: 5\n", 2, "expected a mapping", QUOTE),
    Broken("control character", "a: \x00", 1, "not valid YAML", "save the file as UTF-8 text"),
    Broken("recursive", "&a [*a]", 1, "too large or too deep", SPLIT),
    Broken("deep", "[" * 3000 + "]" * 3000, 1, "too large or too deep", SPLIT),
    Broken(
        "a bomb",
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
        ),
        1, "too large or too deep", SPLIT,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_document_that_is_no_yaml_is_refused_with_its_line(case: Broken) -> None:
    (problem,) = problems(case.text)
    assert (problem.line, case.message in problem.message) == (case.line, True), problem
    assert case.remedy in problem.remedy


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ((), "config"),
        (("model_list", 0, "litellm_params", "api_base"), "model_list[0].litellm_params.api_base"),
        ((0, "a"), "[0].a"),
        (("a", 1, 2), "a[1][2]"),
    ],
)
def test_where_names_a_path_as_people_write_it(path: Path, expect: str) -> None:
    assert where(path) == expect


def test_document_problem_has_its_place() -> None:
    document = Document({"a": {"b": 1}}, {("a",): 3})
    assert document.problem(("a", "b"), "wrong", "right") == Problem("a.b", 3, "wrong", "right")
