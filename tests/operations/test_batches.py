"""`batches list|show|cancel|retry|secret`, on real tables and queues."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError

from shared.adapters.batch_rows import TableBatches
from shared.adapters.key_store import TableKeys
from shared.adapters.work_queue import QUEUES
from shared.batches.batch import Batch, Chunk, Figures, Payer, Placement, Try, new_batch_id
from shared.batches.kept import KeptFile, new_id
from shared.errors import ApiError
from shared.manage.cli import run as run_cli
from shared.objects import HERE
from shared.operations.batch_forms import BatchAsked, BatchesAsked, BatchTold, SecretAsked
from shared.operations.batches import batches_cancel, batches_list, batches_retry, batches_secret, batches_show
from shared.operations.registry import named, operations
from shared.principals import Allowance, Principal
from tests.support import doubles
from tests.support.acting import refused
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.support.own_azurite import OwnAzurite

NOW = 1_790_000_000.0
ALIAS = "gpt-4o"
SEARCH = Payer("d" * 64, "search-ci", "search", "team:search")
CONFIG = f"""
model_list:
  - model_name: {ALIAS}
    litellm_params: {{model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}}
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of its own: nobody takes its messages, and every batch in it is one of these tests."""
    with OwnAzurite(tmp_path_factory.mktemp("batches")) as storage:
        yield storage.connection_string


def play(account: str, work: Callable[[TestDesk, TableBatches], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk_at(account, NOW, CONFIG) as desk:
            await work(desk, TableBatches(desk.tables))

    asyncio.run(whole())


def a_batch(number: int = 0, **changed: Any) -> Batch:
    """number: seconds after the first."""
    return doubles.a_batch(
        created_at=NOW - 3600 + number, **({"payer": SEARCH, "alias": ALIAS, "next_look": NOW + 5} | changed)
    )


async def keep(rows: TableBatches, *batches: Batch) -> None:
    for batch in batches:
        assert await rows.insert(batch)


async def a_key(desk: TestDesk, name: str = "", **changed: Any) -> Principal:
    principal = Principal(uuid.uuid4().hex * 2, name or f"k{uuid.uuid4().hex}", prefix="sk-a…b", **changed)
    await TableKeys(desk.tables).put_key(principal)
    return principal


def of(principal: Principal) -> Payer:
    return Payer(principal.key_id, principal.name, principal.team, principal.owner)


async def messages(desk: TestDesk) -> list[dict[str, Any]]:
    """All that wait in the queue of looks; they are taken out of it."""
    client = desk.queue(QUEUES["queue_batch_looks"])
    with contextlib.suppress(ResourceExistsError):
        await client.create_queue()
    found: list[dict[str, Any]] = []
    async for message in client.receive_messages(messages_per_page=32):
        found.append(json.loads(base64.b64decode(message.content)))
        await client.delete_message(message)
    return found


async def show(desk: TestDesk, batch: str) -> BatchTold:
    return await batches_show(BatchAsked(batch=batch), ADMIN, desk)


def test_batches_are_listed_newest_first_and_by_what_they_are(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        alias = f"m{uuid.uuid4().hex}"
        told = a_batch(1, alias=alias, engine="azure", status="completed", completed_at=NOW, completed=10, told=True)
        drop = a_batch(2, alias=alias, source="drop", payer=Payer("e" * 64, "night'ly", "", "key:e"))
        runs = a_batch(3, alias=alias, status="in_progress", in_progress_at=NOW)
        await keep(rows, told, drop, runs)

        async def ids(**asked: Any) -> list[str]:
            answer = await batches_list(BatchesAsked(model=alias, **asked), ADMIN, desk)
            assert answer.next == ""
            return [row.id for row in answer.rows]

        assert await ids() == [runs.id, drop.id, told.id]
        assert await ids(open=True) == [runs.id, drop.id]
        assert await ids(open=True, key="search-ci") == [runs.id]
        assert await ids(open=True, status="validating", source="drop", engine="own") == [drop.id]
        assert await ids(status="completed") == await ids(engine="azure") == [told.id]
        assert await ids(source="drop") == await ids(key="night'ly") == await ids(key="e" * 12) == [drop.id]
        assert await ids(key="nobody") == []

    play(account, work)


@pytest.mark.parametrize("only_open", [False, True])
def test_pages_lead_on_to_each_other(account: str, only_open: bool) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        alias = f"m{uuid.uuid4().hex}"
        made = [a_batch(n, alias=alias, payer=Payer("d" * 64, f"key-{n % 2}", "", "key:d")) for n in range(7)]
        await keep(rows, *made)
        found: list[str] = []
        cursor = ""
        for _ in range(10):
            asked = BatchesAsked(model=alias, key="d" * 64, open=only_open, limit=3, cursor=cursor)
            page = await batches_list(asked, ADMIN, desk)
            found += [row.id for row in page.rows]
            cursor = page.next
            if not cursor:
                break
        assert found == [batch.id for batch in reversed(made)]
        error = await refused(batches_list(BatchesAsked(open=only_open, cursor="nonsense"), ADMIN, desk))
        assert (error.status, error.code) == (400, "bad_cursor")

    play(account, work)


def test_a_batch_that_runs_is_as_far_as_its_chunks_are(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        alias = f"m{uuid.uuid4().hex}"
        batch = a_batch(alias=alias, status="in_progress", chunks=3, completed=1)
        await keep(rows, batch)
        await rows.put_chunks(
            batch.id,
            [Chunk(0, True, 4, 1, Figures(10, 5, cost_nanos=2_500_000)), Chunk(1, False, 2, 0, Figures(4, 2))],
        )
        told = await show(desk, batch.id)
        assert (told.completed, told.failed, told.chunks, told.chunks_done) == (6, 1, 3, 1)
        assert (told.input_tokens, told.output_tokens, told.cost_usd) == (14, 7, "0.0025")
        (row,) = (await batches_list(BatchesAsked(model=alias), ADMIN, desk)).rows
        assert (row.completed, row.failed) == (6, 1)
        await rows.change(batch.id, lambda b: b.to("cancelled", NOW, completed=5, failed=0))
        assert (await show(desk, batch.id)).completed == 5, "what has ended says itself how it did"

    play(account, work)


def test_all_that_explains_a_batch_is_shown(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        batch = a_batch(
            engine="azure", status="in_progress", in_progress_at=NOW - 100, next_look=NOW - 500,
            placement=Placement("res-b", "res-b/gpt-batch", "file-1", "batch_up", "in_progress", NOW - 200, NOW - 90),
            tries=(Try("res-a/gpt-batch", "its queue is full"), Try("res-c/gpt-batch", "no answer", "batch_old")),
            callback_url="https://hooks.example/done?token=secret", callback="given_up", metadata={"night": "1"},
            errors=({"code": "c", "message": "m", "line": 3, "param": None},), figures=Figures(unpriced=True),
        )  # fmt: skip
        await keep(rows, batch)
        told = await show(desk, batch.id)
        assert (told.deployment, told.upstream_batch, told.upstream_status) == (
            "res-b/gpt-batch", "batch_up", "in_progress",
        )  # fmt: skip
        assert [(t.deployment, t.why, t.left_there) for t in told.tries] == [
            ("res-a/gpt-batch", "its queue is full", ""), ("res-c/gpt-batch", "no answer", "batch_old"),
        ]  # fmt: skip
        assert (told.callback, told.callback_url) == ("given_up", "https://hooks.example/done")
        assert [(e.line, e.code, e.message) for e in told.errors] == [(3, "c", "m")]
        for text in ("500 s late", "given up", "1 batch(es) are still to be cancelled", "no price"):
            assert any(text in warning for warning in told.warnings), text
        calm = a_batch(callback_url="https://hooks.example/", next_look=NOW)
        await keep(rows, calm)
        told = await show(desk, calm.id)
        assert (told.callback, told.warnings, told.began, told.ended) == ("waiting", [], "", "")

    play(account, work)


def test_a_batch_is_found_by_the_id_that_its_client_has(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        batch = a_batch()
        await keep(rows, batch)
        told = await show(desk, batch.id)
        assert told.client_id != batch.id
        assert (await show(desk, told.client_id)).id == batch.id
        foreign = desk.settings.keyring().seal(batch.id, HERE, "team:other")
        changed = told.client_id[:-3] + ("AAA" if told.client_id[-3:] != "AAA" else "BBB")
        other = new_batch_id(NOW)
        for wrong in (
            foreign,
            changed,
            other,
            "batch_",
            "x",
            desk.settings.keyring().seal("file-é", HERE, "team:search"),
        ):
            error = await refused(show(desk, wrong))
            assert (error.status, error.code) == (404, "batch_not_found"), wrong

    play(account, work)


def test_stopping_a_batch_says_so_in_its_row_and_wakes_whoever_runs_it(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        batch = a_batch(status="in_progress")
        await keep(rows, batch)
        await messages(desk)
        for _ in range(2):
            told = await batches_cancel(BatchAsked(batch=batch.id), ADMIN, desk)
            assert (told.id, told.status) == (batch.id, "cancelling")
        assert await messages(desk) == [{"do": "look", "batch": batch.id, "turn": -1}] * 2
        kept = await rows.get(batch.id)
        assert kept is not None
        assert (kept.status, kept.cancelling_at) == ("cancelling", NOW)
        over = a_batch(status="completed", completed_at=NOW)
        await keep(rows, over)
        error = await refused(batches_cancel(BatchAsked(batch=over.id), ADMIN, desk))
        assert (error.status, error.code) == (409, "batch_has_ended")
        kept = await rows.get(over.id)
        assert kept is not None
        assert replace(kept, etag="") == over
        assert await messages(desk) == []

    play(account, work)


def test_a_batch_is_retried_once(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        await rows.put_file(KeptFile("file-" + "0" * 32, "o", "n", "batch", 1, NOW, NOW + 9))
        principal = await a_key(desk)
        batch = a_batch(
            status="completed",
            completed_at=NOW,
            completed=7,
            failed=3,
            payer=of(principal),
            input_file="file-" + "0" * 32,
        )
        await keep(rows, batch)
        first = await batches_retry(BatchAsked(batch=batch.id), ADMIN, desk)
        assert (first.of, first.lines) == (batch.id, 3)
        again = await batches_retry(BatchAsked(batch=batch.id), ADMIN, desk)
        assert again.id == first.id
        assert await messages(desk) == [{"do": "retry", "batch": batch.id}] * 2, (
            "while it is not there, it is asked again"
        )
        made = a_batch(id=first.id, payer=of(principal), source="retry", origin=batch.id)
        await keep(rows, made)
        assert (await batches_retry(BatchAsked(batch=batch.id), ADMIN, desk)).id == first.id
        assert await messages(desk) == []
        assert (await show(desk, first.client_id)).origin == batch.id

    play(account, work)


def test_what_cannot_be_retried_is_said_at_once(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        await rows.put_file(KeptFile("file-" + "1" * 32, "o", "n", "batch", 1, NOW, NOW + 9))
        principal = await a_key(desk)
        over = await a_key(desk, expires_at=NOW - 1)
        # may not use the model, and is not told whether there is one
        narrow = await a_key(desk, allowance=Allowance(models=frozenset({"gpt-5"})))
        ended: dict[str, Any] = {
            "status": "failed",
            "failed_at": NOW,
            "payer": of(principal),
            "input_file": "file-" + "1" * 32,
        }
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"status": "in_progress", "failed_at": 0.0}, "batch_not_over"),
            ({"status": "completed", "completed": 10}, "nothing_left"),
            ({"input_file": new_id("file-")}, "files_gone"),
            ({"payer": of(over)}, "key_not_active"),
            ({"alias": "gone"}, "model_not_found"),
            ({"payer": of(narrow)}, "model_not_found"),
        )
        for changed, code in cases:
            batch = a_batch(**(ended | changed))
            await keep(rows, batch)
            error = await refused(batches_retry(BatchAsked(batch=batch.id), ADMIN, desk))
            assert error.code == code
        assert await messages(desk) == []

    play(account, work)


def test_the_secret_of_callbacks_is_the_owners(account: str) -> None:
    async def work(desk: TestDesk, rows: TableBatches) -> None:
        one, two = await a_key(desk, team="search"), await a_key(desk, team="search")
        alone = await a_key(desk)
        batch = a_batch(payer=of(one))
        await keep(rows, batch)

        async def secret(**asked: str) -> tuple[str, str]:
            told = await batches_secret(SecretAsked(**asked), ADMIN, desk)
            return told.owner, told.secret

        owner, text = await secret(key=one.name)
        assert owner == "team:search"
        assert text.startswith("whsec_")
        assert len(base64.b64decode(text.removeprefix("whsec_"))) >= 24
        assert (
            await secret(key=two.key_id) == await secret(team="search") == await secret(batch=batch.id) == (owner, text)
        )
        assert (await secret(key=alone.name))[1] != text
        for asked in ({}, {"key": one.name, "team": "search"}):
            with pytest.raises(ApiError, match="Name one"):
                await secret(**asked)

    play(account, work)


def test_what_stops_a_batch_or_shows_a_secret_is_not_for_readers() -> None:
    changes = {row.name: row.changes for row in operations() if row.name.startswith("batches_")}
    assert changes == {
        "batches_list": False, "batches_show": False, "batches_cancel": True, "batches_retry": True,
        "batches_secret": True,
    }  # fmt: skip


def test_the_command_line_shows_and_watches(account: str, tmp_path: Path) -> None:
    batch = a_batch(
        status="completed", completed_at=NOW, completed=9, failed=1, told=True, engine="azure",
        tries=(Try("a/b", "full"), Try("c/d", "busy")),
    )  # fmt: skip
    play(account, lambda _, rows: keep(rows, batch))
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, "utf-8")
    settings = {"AzureWebJobsStorage": account, "KEY_PEPPER": "pepper-1", "CONFIG_SOURCE": str(config)}

    def run(*arguments: str, code: int = 0) -> str:
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            assert run_cli(["batches", *arguments], settings) == code, complained.getvalue()
        return said.getvalue() + complained.getvalue()

    shown = run("show", batch.id)
    assert "deployment=a/b why=full left_there=\n" in shown
    bar, _, rest = run("show", batch.id, "--watch").partition("\n")
    assert bar.startswith(f"{batch.id}  [")
    assert bar.endswith("100%  10 of 10  completed  1 failed")
    assert rest == shown
    assert json.loads(run("show", batch.id, "--watch", "--json"))["id"] == batch.id
    assert "--watch has no CSV" in run("list", "--watch", "--csv", code=2)
    assert "No such batch" in run("show", "nothing", "--watch", code=1)


def test_only_what_has_progress_can_be_watched() -> None:
    for name in ("batches_list", "batches_show"):
        row = named(name)
        assert row is not None
        assert row.progress is not None
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        run_cli(["keys", "list", "--watch"], {})
