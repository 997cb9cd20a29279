"""Bad input of the text operations: refused by the gateway with the field's name, before any upstream is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.leaks import assert_nothing_leaks
from tests.support.stack import Key, Stack, upstream_calls

GOOD: dict[str, dict[str, Any]] = {
    "completions": {"model": "instruct", "prompt": "hi"},
    "embeddings": {"model": "embedding", "input": "hi"},
    "moderations": {"model": "safety", "input": "hi"},
    "responses": {"model": "gpt-4o", "input": "hi"},
    "responses/compact": {"model": "gpt-4o", "input": "hi"},
    "responses/input_tokens": {"model": "gpt-4o", "input": "hi"},
    "conversations": {},
}
MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"


@dataclass(frozen=True)
class Bad:
    path: str
    change: dict[str, Any]
    code: str | None
    param: str | None
    status: int = 400
    without: tuple[str, ...] = ()
    size: int = 0
    tags: str = field(default="")

    @property
    def id(self) -> str:
        return f"{self.path}-{self.param or self.code}-{self.tags or json.dumps(self.change)[:24]}"

    def body(self) -> bytes:
        kept = {k: v for k, v in {**GOOD[self.path], **self.change}.items() if k not in self.without}
        text = json.dumps(kept)
        return (text[:-1] + ', "x": "' + "x" * self.size + '"}').encode() if self.size else text.encode()


ANY_OF_THEM = [
    *(Bad(path, {}, MISSING, "model", without=("model",), tags="none") for path in GOOD
      if path not in ("moderations", "conversations")),
    *(Bad(path, {"model": ["x"]}, TYPE, "model") for path in GOOD if path != "conversations"),
    *(Bad(path, {"model": "no-such-model"}, "model_not_found", "model", 404) for path in GOOD
      if path not in ("moderations", "conversations")),
    *(Bad(path, {}, "request_too_large", None, 413, size=33 * 2**20, tags="oversize") for path in GOOD),
]  # fmt: skip
CASES = [
    *ANY_OF_THEM,
    Bad("completions", {}, MISSING, "prompt", without=("prompt",)),
    Bad("completions", {"prompt": None}, MISSING, "prompt"),
    Bad("completions", {"prompt": {"a": 1}}, TYPE, "prompt"),
    Bad("completions", {"prompt": []}, VALUE, "prompt"),
    Bad("completions", {"stream": "yes"}, TYPE, "stream"),
    Bad("completions", {"model": "embedding"}, "unsupported_operation", "model"),
    Bad("embeddings", {}, MISSING, "input", without=("input",)),
    Bad("embeddings", {"input": 4}, TYPE, "input"),
    Bad("embeddings", {"input": []}, VALUE, "input"),
    Bad("embeddings", {"dimensions": "256"}, TYPE, "dimensions"),
    Bad("embeddings", {"dimensions": True}, TYPE, "dimensions"),
    Bad("embeddings", {"encoding_format": "hex"}, VALUE, "encoding_format"),
    Bad("embeddings", {"model": "instruct"}, "unsupported_operation", "model"),
    Bad("moderations", {}, MISSING, "input", without=("input",)),
    Bad("moderations", {"input": {"text": "x"}}, TYPE, "input"),
    Bad("moderations", {"model": "gpt-4o"}, "unsupported_operation", "model"),
    Bad("responses", {"input": 4}, TYPE, "input"),
    Bad("responses", {"input": {}}, TYPE, "input"),
    Bad("responses", {"stream": 1}, TYPE, "stream"),
    Bad("responses", {"background": "true"}, TYPE, "background"),
    Bad("responses", {"tools": {}}, TYPE, "tools"),
    Bad("responses", {"store": "no"}, TYPE, "store"),
    Bad("responses", {"instructions": 5}, TYPE, "instructions"),
    Bad("responses", {"previous_response_id": 5}, TYPE, "previous_response_id"),
    Bad("responses", {"previous_response_id": "resp_1"}, "not_found", None, 404),
    Bad("responses", {"conversation": "conv_1"}, "not_found", None, 404),
    Bad("responses", {"model": "embedding"}, "unsupported_operation", "model"),
    Bad("responses", {"model": "grok-4", "reasoning": "low"}, TYPE, "reasoning"),
    Bad("responses", {"model": "grok-4", "text": {"format": "json"}}, TYPE, "text.format"),
    Bad("responses", {"model": "grok-4", "input": [{"type": "message", "role": "wizard", "content": "x"}]}, VALUE,
        "input[0].role"),
    Bad("responses/compact", {"input": 4}, TYPE, "input"),
    Bad("responses/compact", {"previous_response_id": 5}, TYPE, "previous_response_id"),
    Bad("responses/compact", {"model": "grok-4"}, "unsupported_operation", "model"),
    Bad("responses/input_tokens", {"model": "claude"}, "unsupported_operation", "model"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input_is_named(stack: Stack, key: Key, fake: FakeAzure, case: Bad) -> None:
    headers = {**key.bearer, "content-type": "application/json"}
    reply = stack.http.post(f"/v1/{case.path}", content=case.body(), headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (case.status, case.param, case.code)
    assert (error["type"], len(error["message"]) > 20) == ("invalid_request_error", True)
    assert not upstream_calls(fake)
    assert_nothing_leaks(fake, reply)


def test_each_refusal_is_written_down(stack: Stack, key: Key) -> None:
    for path, good in GOOD.items():
        wrong = {**good, "model": 7} if path != "conversations" else []
        assert stack.post(key, wrong, f"/v1/{path}").status_code == 400
    events = stack.usage(key, len(GOOD))
    assert [(e["status"], e["outcome"], e["input_tokens"], e["alias"]) for e in events] == [
        (400, "client_error", 0, "")] * len(GOOD)  # fmt: skip
