"""An input as a deployment wants it: the model, the url and the ids are others, and nothing else is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.batches.intake.rewriting import Rewriter
from shared.errors import no_such_object
from shared.types import Json

NAMES = st.sampled_from(["model", "body", "url", "messages", "a", "custom_id", "\\", '"model"', "\u00e9"])
TEXTS = st.sampled_from(['"model": "alias"', "alias", "url", "model", "body", "\\u006d", '\\"', "/v1/x", "é", "a\nb"])
VALUES = st.recursive(TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.none(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)), max_leaves=10)  # fmt: skip
DEPLOYMENT = 'gpt "4o"\\é'


@settings(max_examples=200)
@given(
    extra=st.dictionaries(NAMES, VALUES, max_size=3), inside=st.dictionaries(NAMES, VALUES, max_size=3),
    alias=st.sampled_from(["alias", "a/b", 'q"q', "é"]), first=st.booleans(), named=st.booleans(), spaced=st.booleans(),
    given_url=st.sampled_from(["/v1/chat/completions", "/chat/completions"]), escaped=st.booleans(),
)  # fmt: skip
@example({}, {}, "alias", True, True, False, "/v1/chat/completions", False)
@example({"a": {"body": {"model": "alias"}}}, {}, "alias", False, False, True, "/chat/completions", False)
def test_only_model_and_url_change(
    extra: Json, inside: Json, alias: str, first: bool, named: bool, spaced: bool, given_url: str, escaped: bool
) -> None:  # fmt: skip
    inside.pop("model", None)
    model = {"model": alias} if named else {}
    body = {**model, **inside} if first else {**inside, **model}
    row = {**extra, "custom_id": "1", "method": "POST", "url": given_url, "body": body}
    line = _spelled(row, spaced=spaced, escaped=escaped)
    rewriter = Rewriter(DEPLOYMENT, "/chat/completions")
    changed = rewriter.line(line)
    assert orjson.loads(changed) == {**row, "url": "/chat/completions", "body": {**body, "model": DEPLOYMENT}}
    assert b"\n" not in changed


def test_wishes_for_the_gateway_stay_here() -> None:
    body = {
        "model": "alias",
        "messages": [],
        "num_retries": 3,
        "timeout": 5,
        "fallbacks": ["b"],
        "tags": ["x"],
        "user": "u",
    }
    line = orjson.dumps({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body})
    changed = orjson.loads(Rewriter("d", "/chat/completions").line(line))
    assert changed["body"] == {"model": "d", "messages": [], "user": "u"}


def _spelled(row: Json, *, spaced: bool, escaped: bool) -> bytes:
    text = orjson.dumps(row, option=orjson.OPT_INDENT_2 if spaced else None).replace(b"\n", b" ")
    return text.replace(b'"model"', rb'"mod\u0065l"') if escaped else text


def test_names_in_texts_and_doubled_names_mislead_nobody() -> None:
    tricky = [
        rb'{"body":{"messages":[{"role":"user","content":"\"model\": \"x\""}],"model":"alias"},"url":"/v1/embeddings"}',
        rb'{"x":{"body":{"model":"alias"}},"body":{},"url":"/v1/embeddings"}',
        rb'{"x":{"url":"/v1/embeddings"},"body":{"model":"alias"},"url":"/v1/embeddings"}',
        rb'{"body":{"model":"alias","model":"alias"},"url":"/v1/embeddings"}',
        rb'{"x":"body","body":{"a":"model","model":"al\u0069as"},"url":"/v1/embeddings"}',
        rb'{"body":{"model":"a\/b"},"url":"\/v1\/embeddings"}',
        rb'{"body":{"metadata":{"model":"alias"}},"url":"/v1/embeddings"}',
    ]
    for line in tricky:
        before: Json = orjson.loads(line)
        wanted = {**before, "url": "/embeddings", "body": {**before["body"], "model": "dep"}}
        assert orjson.loads(Rewriter("dep", "/embeddings").line(line)) == wanted


@given(cuts=st.lists(st.integers(0), max_size=12), last=st.booleans())
def test_stream_is_cut_anywhere_and_empty_lines_go(cuts: list[int], *, last: bool) -> None:
    rows = [
        {"custom_id": str(n), "url": "/v1/embeddings", "body": {"model": "alias", "input": "x" * n}} for n in range(9)
    ]
    data = b"\n\r\n".join(map(orjson.dumps, rows)) + (b"\n" if last else b"")
    rewriter = Rewriter("dep", "/embeddings")
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    out = b"".join(rewriter.feed(data[a:b]) for a, b in pairwise(places)) + rewriter.end()
    found: list[Any] = [orjson.loads(line) for line in out.split(b"\n")[:-1]]
    assert [r["custom_id"] for r in found] == [r["custom_id"] for r in rows]
    assert {(r["body"]["model"], r["url"]) for r in found} == {("dep", "/embeddings")}
    assert out.endswith(b"}\n")
    assert rewriter.end() == b""


def test_ids_are_opened_for_the_upstream() -> None:
    def open_id(public_id: str) -> str:
        if public_id != "file-sealed":
            raise no_such_object()
        return "file-raw"

    def line(file_id: str) -> bytes:
        part = {"type": "file", "file": {"file_id": file_id}}
        body = {"model": "alias", "messages": [{"role": "user", "content": [part]}], "metadata": {"file_id": file_id}}
        return orjson.dumps({"custom_id": "1", "url": "/v1/chat/completions", "body": body})

    rewriter = Rewriter("dep", "/chat/completions", open_id)
    body = orjson.loads(rewriter.line(line("file-sealed")))["body"]
    assert body["messages"][0]["content"][0]["file"]["file_id"] == "file-raw"
    assert (body["metadata"], body["model"]) == ({"file_id": "file-sealed"}, "dep")
    with pytest.raises(Exception, match="No such object"):
        rewriter.line(line("file-other"))
