"""What an operator does with batches that a real gateway runs: looks on, stops one, runs again what has failed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Generator
from typing import Any

import pytest
from openai import OpenAI

from local.fake_azure import FakeAzure
from shared.manage.cli import run
from tests.support.batching import batching
from tests.support.polling import until
from tests.support.stack import ADMIN, Stack, ask

CHAT: Any = "/v1/chat/completions"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Stack]:
    with batching(tmp_path_factory.mktemp("operated"), fake_azure) as made:
        yield made


def manage(stack: Stack, *arguments: str, code: int = 0) -> str:
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        assert run(["batches", *arguments], stack.settings | {"GATEWAY_KEY": ADMIN}) == code, complained.getvalue()
    return said.getvalue() + complained.getvalue()


def batch_of(client: OpenAI, *bodies: dict[str, Any]) -> str:
    rows = [{"custom_id": f"line-{n}", "method": "POST", "url": CHAT, "body": body} for n, body in enumerate(bodies)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = client.files.create(file=("night.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id


def test_what_has_failed_is_run_again(stack: Stack, fake: FakeAzure) -> None:
    key = stack.key("nightly")
    with stack.openai(key) as client:
        there = ("--url", stack.url, "--admin-key-env", "GATEWAY_KEY")
        made = batch_of(client, ask("one"), {"model": "gpt-4o", "messages": "nothing"}, ask("two"))
        last = manage(stack, "show", made, "--watch", "--every", "0.2", *there)
        assert "100%  3 of 3  completed  1 failed" in last
        (row,) = json.loads(manage(stack, "list", "--key", "nightly", "--json"))
        assert (row["engine"], row["status"], row["completed"], row["failed"]) == ("own", "completed", 2, 1)
        assert float(row["cost_usd"]) > 0

        told = json.loads(manage(stack, "retry", made, "--json", *there))
        assert (told["of"], told["lines"]) == (row["id"], 1)
        until(lambda: client.batches.list().data[0].id == told["client_id"], 10, 0.1)
        manage(stack, "show", told["id"], "--watch", "--every", "0.2")
        again = client.batches.retrieve(told["client_id"])
        assert (again.status, again.output_file_id, again.model) == ("completed", None, "gpt-4o")
        assert again.error_file_id
        (line,) = client.files.content(again.error_file_id).text.splitlines()
        assert json.loads(line)["custom_id"] == "line-1"
        assert json.loads(manage(stack, "retry", made, "--json"))["id"] == told["id"]


def test_a_batch_is_stopped(stack: Stack, fake: FakeAzure) -> None:
    with stack.openai(stack.key("stopped")) as client:
        fake.add_fault("slow_first_byte", seconds=0.5, times=-1)
        made = batch_of(client, *(ask(f"{n}") for n in range(60)))
        assert json.loads(manage(stack, "cancel", made, "--json"))["status"] == "cancelling"
        until(lambda: client.batches.retrieve(made).status == "cancelled", 20, 0.1)
        assert "it is cancelled" in manage(stack, "cancel", made, code=1)
