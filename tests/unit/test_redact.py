"""What no client and no log may see goes; what helps a client stays."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from shared.redact import redact, redact_deep

HIDE = {"gpt-4": "fast", "gpt-4-eu": "slow", "myres": "the resource", "": "never", "a.b": "dot"}


class Case(NamedTuple):
    given: str
    expect: str


GONE = [
    Case("at https://x.example.com/a?sig=1.", "at [hidden]"),
    Case("(see http://10.0.0.1:8080/x)", "(see [hidden])"),
    Case("from wss://x.example.com", "from [hidden]"),
    Case("host res.openai.azure.com:443 failed", "host [hidden] failed"),
    Case("RES.OPENAI.AZURE.COM", "[hidden]"),
    Case("...res.openai.azure.com", "[hidden]"),
    Case("_res.openai.azure.com/x", "_[hidden]/x"),
    Case("1https://x.example.com/a", "[hidden]"),
    Case("x.openai.azure.us and x.openai.azure.cn", "[hidden] and [hidden]"),
    Case("apim.azure-api.net, st.blob.core.windows.net", "[hidden], [hidden]"),
    Case("login.microsoft.com", "[hidden]"),
    Case("pod.ns.svc.cluster.local", "[hidden]"),
    Case("db.internal and box.local:80", "[hidden] and [hidden]"),
    Case("10.1.2.3 and 127.0.0.1:80", "[hidden] and [hidden]"),
    Case("in /home/site/wwwroot/app.py line 3", "in [hidden] line 3"),
    Case("File '/usr/lib/x.py'", "File '[hidden]'"),
    Case(r"in C:\home\site\x.py now", "in [hidden] now"),
    Case("/mnt/data /etc/passwd", "[hidden] [hidden]"),
    Case("key sk-abcdefghijk given", "key [hidden] given"),
    Case("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Bearer [hidden]"),
    Case("x?code=abc&sig=def", "x?[hidden]&[hidden]"),
    Case("api-key=secret", "[hidden]"),
    Case("Traceback (most recent call last):\n  File x", ""),
    Case("<HTML><body>Bad gateway</body>", ""),
    Case("https://learn.microsoft.com@evil.example/x", "[hidden]"),
    Case("https://learn.microsoft.com.evil.example/x", "[hidden]"),
]
KEPT = [
    "", "plain text", "POST /v1/chat/completions", "see /v1/models and /openai/deployments/x",
    "https://go.microsoft.com/fwlink/?linkid=2198766", "https://learn.microsoft.com/azure/x#y", "https://aka.ms/oai/quota",
    "https://platform.openai.com/account/rate-limits.", "help.openai.com", "learn.microsoft.com",
    "version 2024-10-21, 1.2.3", "messages[0].content", "sk-short", "and/or, 1/2", "gpt-4.1-mini", "a local file", "zażółć 日本",
]  # fmt: skip
NAMES = [
    Case("gpt-4 is busy", "fast is busy"),
    Case("'gpt-4', gpt-4. (gpt-4)", "'fast', fast. (fast)"),
    Case("gpt-4-eu and gpt-4", "slow and fast"),
    Case("gpt-4o, my-gpt-4, gpt-4-us, gpt-4_x", "gpt-4o, my-gpt-4, gpt-4-us, gpt-4_x"),
    Case("a.b axb", "dot axb"),
    Case("myres or myres2", "the resource or myres2"),
    Case("https://aka.ms/gpt-4", "https://aka.ms/gpt-4"),
    Case("GPT-4", "GPT-4"),
]


@pytest.mark.parametrize("case", GONE, ids=lambda case: case.given)
def test_secret_text_is_hidden(case: Case) -> None:
    assert redact(case.given, {}) == case.expect


@pytest.mark.parametrize("text", KEPT)
def test_public_text_stays(text: str) -> None:
    assert redact(text, {}) == text


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.given)
def test_name_is_replaced_as_a_whole_word_alone(case: Case) -> None:
    assert redact(case.given, HIDE) == case.expect


def test_replacement_is_taken_literally() -> None:
    assert redact("x", {"x": r"\1\g<0>"}) == r"\1\g<0>"


def test_text_is_bounded() -> None:
    assert len(redact("a" * 9000, {})) == 4000


@pytest.mark.parametrize(
    "unit", ["a", "a.", "a-", ".", "-", "1.", "sk-", "eyJ", "code=", "/home/", "gpt-4 ", "a://", "://", "é"]
)
def test_text_of_any_kind_is_read_in_linear_time(unit: str) -> None:
    text = unit * (256 * 1024 // len(unit))
    began = time.perf_counter()
    redact(text, HIDE)
    assert time.perf_counter() - began < 1.0


def test_redact_deep_reaches_every_text() -> None:
    given = {"a": ["gpt-4", {"b": "10.0.0.1"}], "c": 1, "d": None, "gpt-4": True}
    assert redact_deep(given, HIDE) == {"a": ["fast", {"b": "[hidden]"}], "c": 1, "d": None, "gpt-4": True}
