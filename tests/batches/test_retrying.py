"""What an operator asks to be run again: the lines without a good answer, once, on real tables, blobs and queues."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import FILES
from shared.adapters.key_store import TableKeys
from shared.adapters.objects import TableObjects
from shared.adapters.payers import TablePayers
from shared.adapters.work_queue import QueueWork
from shared.batches.batch import Batch, new_batch_id
from shared.batches.files import Files
from shared.batches.kept import KeptFile, new_id
from shared.batches.looking import Looking
from shared.batches.orders import Order, payer_of
from shared.batches.retrying import Retrying, lines_of
from shared.batches.service import BatchApi
from shared.objects import Registry
from shared.principals import Principal
from tests.support.acting import refused
from tests.support.desk import desk_at
from tests.support.doubles import Lines

NOW = 1_790_000_000.0
CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}
"""


@dataclass
class Parts:
    retrying: Retrying
    api: BatchApi
    files: Files
    rows: TableBatches
    keys: TableKeys
    log: Lines
    principal: Principal

    async def ended(self, lines: Sequence[str], answered: Sequence[Any], **changed: Any) -> Batch:
        """A batch of lines of these custom_ids that has ended; answered: rows of its output, or custom_ids."""
        file = await self.files.take(pieces(map(a_line, lines)), self.principal, "night.jsonl")
        batch = await self.api.make(payer_of(self.principal, ("t",)), file, Order("/v1/chat/completions", {"a": "b"}))
        rows = [row if isinstance(row, dict) else an_answer(row) for row in answered]
        good = sum(row["response"]["status_code"] < 400 for row in rows if row["response"])
        output = await self.files.write_output(
            pieces(rows), self.principal.owner, "output.jsonl", new_id("file-", uuid.uuid4().hex)
        )
        changed = {"status": "completed", "completed": good, "failed": len(lines) - good} | changed
        changed["output_file"] = output.id if output else ""
        ended = await self.rows.change(batch.id, lambda b: replace(b, **changed))
        assert ended is not None
        return ended

    async def lines(self, file_id: str) -> list[Any]:
        return [json.loads(line) async for line in lines_of(self.files.read(file_id))]


def a_line(custom_id: str) -> dict[str, Any]:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"hi {custom_id}"}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def an_answer(custom_id: str, status: int = 200) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "r", "body": {}}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}


async def pieces(rows: Any, size: int = 100) -> AsyncIterator[bytes]:
    whole = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    for at in range(0, len(whole), size):
        yield whole[at : at + size]


def play(azurite: Any, work: Callable[[Parts], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, NOW, CONFIG) as desk:
            rows, keys, log = TableBatches(desk.tables), TableKeys(desk.tables), Lines()
            registry = Registry(await desk.catalog(), desk.settings.keyring())
            catalog, index, folder = await desk.catalog(), TableObjects(desk.tables), desk.folders.folder(FILES)
            files = Files(catalog, registry, rows, folder, index, log, desk.clock)
            looking = Looking(rows, QueueWork(desk.queue), {}, [], log, desk.clock)
            callbacks = cast("Any", None)  # nothing here is called back
            api = BatchApi(catalog, registry, rows, files, index, looking, callbacks, log, desk.clock)
            retrying = Retrying(rows, files, api, TablePayers(keys, desk.clock), log, desk.clock)
            principal = Principal(uuid.uuid4().hex * 2, "search-night", "search", prefix="sk-a…b")
            await keys.put_key(principal)
            await work(Parts(retrying, api, files, rows, keys, log, principal))

    asyncio.run(whole())


def test_the_lines_without_a_good_answer_are_run_again(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        ids = [f"zażółć {n}" for n in range(40)]
        bad = [an_answer(ids[3], 500), {**an_answer(ids[4]), "response": None, "error": {"code": "c", "message": "m"}}]
        batch = await parts.ended(ids, [*bad, *ids[5:35]], output_seconds=7200, callback_url="https://h.example/")
        made = await parts.retrying.retry(batch.id)
        assert [line["custom_id"] for line in await parts.lines(made.input_file)] == [*ids[:5], *ids[35:]]
        assert await parts.lines(made.input_file) == [a_line(each) for each in [*ids[:5], *ids[35:]]]
        assert (made.source, made.origin, made.lines, made.payer) == ("retry", batch.id, 10, batch.payer)
        assert (made.metadata, made.output_seconds, made.callback_url) == ({"a": "b"}, 7200, "https://h.example/")
        file = await parts.rows.file(made.input_file)
        assert file is not None
        assert file.filename == "retry-night.jsonl"

    play(azurite, work)


def test_a_batch_is_retried_once_however_often_it_is_asked(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        batch = await parts.ended(["a", "b"], ["a"])
        first, *others = [await parts.retrying.retry(batch.id) for _ in range(2)]
        together = await asyncio.gather(*(parts.retrying.retry(batch.id) for _ in range(3)))
        assert {one.id for one in (*others, *together)} == {first.id}
        chosen = new_batch_id(NOW)
        other = await parts.ended(["a", "b"], ["a"])
        assert await parts.rows.refer("retry", other.id, chosen) == chosen  # as the operator's command does
        assert (await parts.retrying.retry(other.id)).id == chosen

    play(azurite, work)


def test_of_a_batch_that_never_ran_every_line_is_run(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        batch = await parts.ended(["a", "b"], [], status="failed")
        assert batch.output_file == ""
        made = await parts.retrying.retry(batch.id)
        assert [line["custom_id"] for line in await parts.lines(made.input_file)] == ["a", "b"]

    play(azurite, work)


def test_what_cannot_be_retried_is_refused_and_stands_in_the_log(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        runs = await parts.ended(["a"], [], status="in_progress")
        done = await parts.ended(["a"], ["a"])
        lost = await parts.ended(["a", "b"], ["a"], input_file=new_id("file-"))
        unknown = await parts.ended(["a", "b"], ["a"])
        kept = await parts.rows.file(unknown.output_file)
        assert isinstance(kept, KeptFile)
        await parts.files.folder.delete(f"files/{kept.id}")
        cases = ((new_batch_id(NOW), "batch_not_found"), (runs.id, "batch_not_over"), (done.id, "nothing_left"),
                 (lost.id, "files_gone"), (unknown.id, "files_gone"))  # fmt: skip
        for name, code in cases:
            assert (await refused(parts.retrying.retry(name))).code == code
            await parts.retrying.on_message(name)
        assert [told["batch"] for _, told in parts.log.warnings] == [name for name, _ in cases]
        batch = await parts.ended(["a", "b"], ["a"])
        await parts.keys.disable_key(parts.principal.key_id)
        assert (await refused(parts.retrying.retry(batch.id))).code == "key_not_active"

    play(azurite, work)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_found_wherever_pieces_end(size: int) -> None:
    async def found() -> list[bytes]:
        async def given() -> AsyncIterator[bytes]:
            whole = "ą1\r\n\n  \nb2\nc3".encode()
            for at in range(0, len(whole), size):
                yield whole[at : at + size]

        return [line async for line in lines_of(given())]

    assert asyncio.run(found()) == ["ą1\r".encode(), b"b2", b"c3"]
