"""Deferred calls on a real Azurite, without a host: groups that many write to, closed while they are written to, twice, late.

tests/batches/test_deferring.py has the same through the real host.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from shared.adapters.batch_rows import TableBatches
from shared.adapters.blob_folder import FILES, AzureFolder
from shared.adapters.key_store import TableKeys
from shared.adapters.objects import TableObjects
from shared.adapters.payers import TablePayers
from shared.batches.batch import Batch
from shared.batches.callbacks import Callbacks
from shared.batches.deferred.deferring import Deferring
from shared.batches.deferred.groups import CallId, Group, group_at, overdue, read_call, read_group
from shared.batches.files import Files
from shared.batches.looking import Looking
from shared.batches.service import BatchApi
from shared.call import Call
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError
from shared.here import HereAnswer
from shared.objects import HERE, Opener, Registry
from shared.ports import StoreUnavailable
from shared.principals import Allowance, Principal
from shared.types import ApiRequest
from tests.support.azure_batches import KeptWork
from tests.support.desk import TestDesk, desk_at
from tests.support.doubles import Lines

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}
  - model_name: vectors
    litellm_params: {model: azure/e, api_base: 'https://r.openai.azure.com', api_key: k}
    model_info: {mode: embedding}
  - model_name: other
    litellm_params: {model: azure/gpt-4o, api_base: 'https://r.openai.azure.com', api_key: k}
"""
NOW = 1_789_999_810.0
"""Ten seconds after the beginning of a window of 300."""


class Folder(AzureFolder):
    """The real one; a test may do something before an append, or let it fail."""

    before_append: Callable[[str, int], Awaitable[None]] | None = None
    appends = 0

    async def append(self, name: str, data: bytes, at: int, lease: str = "") -> bool:
        self.appends += 1
        if self.before_append:
            await self.before_append(name, at)
        return await super().append(name, data, at, lease)


@dataclass
class Parts:
    desk: TestDesk
    rows: TableBatches
    keys: TableKeys
    files: Files
    api: BatchApi
    registry: Registry
    work: KeptWork
    key: Principal
    log: Lines
    folder: Folder

    def instance(self, most_lines: int = 1000, most_seconds: float = 300.0) -> Deferring:
        """As one process has it."""
        payers = TablePayers(self.keys, self.desk.clock)
        return Deferring(
            self.registry, self.rows, self.folder, self.work, self.files, self.api, payers, self.log, self.desk.clock,
            most_lines, most_seconds,
        )  # fmt: skip

    def call(self, body: Mapping[str, Any], endpoint: str = "chat_completions", **changed: Any) -> Call:
        request = ApiRequest("req_1", endpoint, "POST", {}, {}, json.dumps(body).encode())
        call = Call(request, ENDPOINTS[endpoint], cast("Any", None), 0.0, self.desk.clock())
        call.principal, call.alias, call.body = self.key, str(body["model"]), dict(body)
        for name, value in changed.items():
            setattr(call, name, value)
        return call

    async def put_off(self, deferring: Deferring, text: str = "hi", **changed: Any) -> str:
        """-> the id that the client has."""
        answer = await deferring.put_off(self.call(chat(text), **changed))
        assert answer.status == 202
        return said(answer)["id"]

    async def fetched(self, deferring: Deferring, public_id: str) -> HereAnswer:
        request = ApiRequest("req_2", "deferred_retrieve", "GET", {}, {"deferred_id": public_id}, b"")
        call = Call(request, ENDPOINTS["deferred_retrieve"], cast("Any", None), 0.0, self.desk.clock())
        call.principal, call.opener = self.key, Opener(self.registry, self.key)
        call.opener(public_id)
        return await deferring.fetch(call)

    def own(self, public_id: str) -> CallId:
        resource, text = self.registry.open(public_id, self.key)
        call = read_call(text)
        assert resource == HERE
        assert call is not None
        return call

    async def closed(self, deferring: Deferring) -> None:
        """Every message that says so is taken, also those whose time has not come."""
        while messages := self.work.of("close"):
            self.work.sent.clear()
            for message in messages:
                await deferring.close(message["group"])

    async def batches(self) -> list[Batch]:
        found, _ = await self.rows.page(100, where={"key_name": self.key.name})
        return found

    async def input(self, batch: Batch) -> list[Any]:
        whole = b"".join([piece async for piece in self.files.read(batch.input_file)])
        return [json.loads(line) for line in whole.splitlines()]

    async def over(self, batch: Batch, output: list[Any], errors: list[Any], status: Any = "completed") -> Batch:
        """As its engine would have ended it."""
        ids: dict[str, str] = {}
        for name, lines in (("output_file", output), ("error_file", errors)):
            content = each("".join(json.dumps(line) + "\n" for line in lines).encode())
            file = await self.files.write_output(content, batch.payer.owner, "o.jsonl", f"file-{uuid.uuid4().hex}")
            ids[name] = file.id if file else ""
        ended = await self.rows.change(batch.id, lambda b: b.to(status, self.desk.clock(), **ids))
        assert ended is not None
        return ended


async def close_at_once(group: str, *closers: Deferring) -> None:
    """Whoever is in the way of another one fails, and its message comes again."""
    waiting = list(closers)
    while waiting:
        outcomes = await asyncio.gather(*(one.close(group) for one in waiting), return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, StoreUnavailable) for outcome in outcomes), outcomes
        waiting = [one for one, outcome in zip(waiting, outcomes, strict=True) if outcome is not None]


async def each(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        if piece:
            yield piece


def said(answer: HereAnswer) -> Any:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


def chat(text: str, model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def line_of(custom_id: str, text: str) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": "r", "body": {"id": f"chatcmpl-{text}", "said": text}}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}


def play(azurite: Any, work: Callable[[Parts], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, NOW, CONFIG) as desk:
            await work(await parts_of(desk))

    asyncio.run(whole())


async def parts_of(desk: TestDesk) -> Parts:
    rows, keys, log, catalog = TableBatches(desk.tables), TableKeys(desk.tables), Lines(), await desk.catalog()
    registry, work = Registry(catalog, desk.settings.keyring()), KeptWork()
    index, folder = TableObjects(desk.tables), Folder(desk.folders, f"deferred-{uuid.uuid4().hex}")
    files = Files(catalog, registry, rows, desk.folders.folder(FILES), index, log, desk.clock)
    looking = Looking(rows, work, {}, [], log, desk.clock)
    callbacks = Callbacks(rows, work, registry, log, desk.clock, b"pepper", (), cast("Any", None), "source")
    api = BatchApi(catalog, registry, rows, files, index, looking, callbacks, log, desk.clock)
    name = f"key-{uuid.uuid4().hex[:8]}"
    key = Principal(uuid.uuid4().hex * 2, name, f"team-{name}", prefix="sk-a…b")
    await keys.put_key(key)
    return Parts(desk, rows, keys, files, api, registry, work, key, log, folder)


# Into a group and out of it.


def test_a_call_goes_into_a_batch_and_its_answer_comes_back(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        body = chat("hi", service_tier="batch", fallbacks=["other"], metadata={"tags": ["a"], "mine": "x"})
        answer = await deferring.put_off(parts.call(body))
        told, headers = said(answer), dict(answer.headers)
        assert told == {
            "id": told["id"], "object": "deferred", "status": "queued", "created_at": int(NOW), "model": "gpt-4o",
            "poll": f"/v1/deferred/{told['id']}",
        }  # fmt: skip
        assert (headers[b"location"].decode(), headers[b"retry-after"]) == (told["poll"], b"60")
        assert said(await parts.fetched(deferring, told["id"])) == told
        ((message, delay),) = parts.work.sent
        assert (message["do"], delay) == ("close", 295.0)
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        assert (batch.source, batch.lines, batch.origin) == ("defer", 1, message["group"])
        assert (batch.payer.key_id, batch.endpoint) == (parts.key.key_id, "/v1/chat/completions")
        (line,) = await parts.input(batch)
        own = parts.own(told["id"]).text
        cleaned = chat("hi", metadata={"mine": "x"})
        assert line == {"custom_id": own, "method": "POST", "url": "/v1/chat/completions", "body": cleaned}
        assert said(await parts.fetched(parts.instance(), told["id"])) == told
        await parts.rows.change(batch.id, lambda b: b.to("in_progress", NOW))
        assert said(await parts.fetched(deferring, told["id"])) == {**told, "status": "in_progress"}
        ended = await parts.over(batch, [line_of("x", "no"), line_of(own, "yes")], [])
        assert (await parts.fetched(deferring, told["id"])).status == 202, "the index comes next"
        for _ in range(2):
            await deferring.after_end(ended)
            answer = await parts.fetched(deferring, told["id"])
            assert (answer.status, said(answer)["said"]) == (200, "yes")

    play(azurite, work)


def test_what_becomes_of_calls_without_a_good_answer(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        names = ("refused", "expired", "broken", "missing")
        ids = {name: await parts.put_off(deferring, name) for name in names}
        own = {name: parts.own(ids[name]).text for name in ids}
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        error = {"error": {"message": "no", "code": "content_filter"}}
        refused = {**line_of(own["refused"], ""), "response": {"status_code": 400, "request_id": "r", "body": error}}
        lines = [
            refused,
            {**line_of(own["expired"], ""), "response": None, "error": {"code": "batch_expired", "message": "late"}},
            {**line_of(own["broken"], ""), "response": None, "error": {"code": "odd", "message": "odd words"}},
        ]
        await deferring.after_end(await parts.over(batch, [], lines, "expired"))
        found = {name: await parts.fetched(deferring, ids[name]) for name in names}
        codes = {name: (answer.status, said(answer)["error"]["code"]) for name, answer in found.items()}
        assert codes == {
            "refused": (400, "content_filter"),
            "expired": (504, "batch_expired"),
            "broken": (502, "odd"),
            "missing": (504, "batch_expired"),
        }
        assert said(found["refused"]) == error

    play(azurite, work)


@pytest.mark.parametrize(
    ("status", "code"), [("failed", (502, "batch_failed")), ("cancelled", (409, "batch_cancelled"))]
)
def test_a_batch_that_came_to_nothing(azurite: Any, status: str, code: tuple[int, str]) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        one = await parts.put_off(deferring)
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        ended = replace(await parts.over(batch, [], [], status), errors=({"code": "c", "message": "Why it failed."},))
        await deferring.after_end(ended)
        answer = await parts.fetched(deferring, one)
        assert (answer.status, said(answer)["error"]["code"]) == code
        assert ("Why it failed." in said(answer)["error"]["message"]) is (status == "failed")

    play(azurite, work)


def test_answers_that_are_no_longer_kept(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        one = await parts.put_off(deferring)
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        ended = await parts.over(batch, [line_of(parts.own(one).text, "yes")], [])
        await deferring.after_end(ended)
        assert (await parts.fetched(deferring, one)).status == 200
        await parts.files.folder.delete(f"files/{ended.output_file}")
        await refused_with(parts.fetched(deferring, one), 410, "answer_gone")
        parts.desk.clock.forward(3600)
        await deferring.close(parts.own(one).group.name)  # as the sweep does, long before the row goes
        await parts.folder.delete(f"answers/{batch.id}")
        await parts.rows.drop_batch(batch.id)
        await refused_with(parts.fetched(deferring, one), 404, "not_found")
        parts.desk.clock.forward(31 * 86400)
        await refused_with(parts.fetched(deferring, one), 410, "answer_gone")
        file = parts.registry.sealer(HERE, parts.key)(batch.input_file)
        await refused_with(parts.fetched(deferring, file), 404, "not_found")

    play(azurite, work)


async def refused_with(asked: Awaitable[Any], status: int, code: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await asked
    assert (refused.value.status, refused.value.code) == (status, code)
    return refused.value


# Who shares a group.


def test_groups_are_by_payer_model_operation_and_tags(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        other = replace(parts.key, key_id=uuid.uuid4().hex * 2)
        await parts.keys.put_key(other)
        calls = [
            parts.call(chat("a")),
            parts.call(chat("b")),
            parts.call(chat("c", "other")),
            parts.call(chat("d"), tags=("x",)),
            parts.call(chat("e"), principal=other),
            parts.call({"model": "gpt-4o", "prompt": "f"}, "completions"),
        ]
        for call in calls:
            assert (await deferring.put_off(call)).status == 202
        await parts.closed(deferring)
        found = await parts.batches()
        assert sorted(batch.lines for batch in found) == [1, 1, 1, 1, 2]
        assert {(b.alias, b.endpoint, b.payer.key_id == other.key_id, b.payer.tags) for b in found} == {
            ("gpt-4o", "/v1/chat/completions", False, ()),
            ("other", "/v1/chat/completions", False, ()),
            ("gpt-4o", "/v1/chat/completions", False, ("x",)),
            ("gpt-4o", "/v1/chat/completions", True, ()),
            ("gpt-4o", "/v1/completions", False, ()),
        }

    play(azurite, work)


def test_what_is_no_line_is_refused_at_once(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        await refused_with(deferring.put_off(parts.call(chat("x" * 4 * 2**20))), 413, "line_too_large")
        refused = await refused_with(
            deferring.put_off(parts.call(chat("x", background=True))), 400, "unsupported_value"
        )
        assert "Line" not in refused.message
        await refused_with(deferring.put_off(parts.call(chat("x", "vectors"))), 400, "unsupported_operation")
        narrow = replace(parts.key, allowance=Allowance(endpoints=frozenset({"chat"})))
        await refused_with(deferring.put_off(parts.call(chat("x"), principal=narrow)), 403, "endpoint_not_allowed")
        assert parts.work.sent == []

    play(azurite, work)


# When a group is closed.


def test_a_full_group_is_closed_at_once_and_followed_by_another(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance(most_lines=3)
        ids = [await parts.put_off(deferring, str(n)) for n in range(7)]
        groups = [parts.own(one).group.number for one in ids]
        assert groups == [0, 0, 0, 1, 1, 1, 2]
        at_once = [message["group"] for message, delay in parts.work.sent if delay == 0]
        assert at_once == [parts.own(ids[2]).group.name, parts.own(ids[5]).group.name]
        await parts.closed(deferring)
        assert sorted(batch.lines for batch in await parts.batches()) == [1, 3, 3]

    play(azurite, work)


def test_each_window_has_its_own_group(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        first = parts.own(await parts.put_off(deferring)).group
        parts.desk.clock.forward(289.9)
        assert parts.own(await parts.put_off(deferring)).group == first
        parts.desk.clock.forward(0.1)
        second = parts.own(await parts.put_off(deferring)).group
        assert (second.start - first.start, first.due) == (300_000, NOW + 290)
        await parts.closed(deferring)
        assert sorted(batch.lines for batch in await parts.batches()) == [1, 2]

    play(azurite, work)


def test_calls_that_come_at_once_are_written_together(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        await asyncio.gather(*(parts.put_off(deferring, str(n)) for n in range(100)))
        assert parts.folder.appends <= 5
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        assert {line["body"]["messages"][0]["content"] for line in await parts.input(batch)} == set(
            map(str, range(100))
        )

    play(azurite, work)


def test_two_instances_and_a_closer_lose_nothing(azurite: Any) -> None:
    """Both write while groups are closed as soon as anybody says so, each by two closers."""

    async def work(parts: Parts) -> None:
        instances = [parts.instance(most_lines=20) for _ in range(2)]
        ids: list[str] = []
        done = asyncio.Event()

        async def client(number: int) -> None:
            for n in range(12):
                ids.append(await parts.put_off(instances[number % 2], f"{number}-{n}"))

        async def closer() -> None:
            closed: set[str] = set()
            while not done.is_set() or {message["group"] for message in parts.work.of("close")} - closed:
                for group in {message["group"] for message in parts.work.of("close")} - closed:
                    if await parts.folder.facts(f"deferred/{group}"):  # its message is sent before there is anything
                        closed.add(group)
                        await close_at_once(group, *instances)
                await asyncio.sleep(0.001)

        closing = asyncio.create_task(closer())
        await asyncio.gather(*map(client, range(10)))
        done.set()
        await closing
        found = await parts.batches()
        lines = [line for batch in found for line in await parts.input(batch)]
        assert sorted(line["custom_id"] for line in lines) == sorted(parts.own(one).text for one in ids)
        assert len(ids) == 120
        assert all(0 < batch.lines <= 20 for batch in found)
        assert all(batch.id == parts_id(batch) for batch in found)

    play(azurite, work)


def parts_id(batch: Batch) -> str:
    group = read_group(batch.origin)
    assert group is not None
    return group.batch_id


def test_a_group_that_is_closed_while_it_is_written_to_takes_nothing_more(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        first = parts.own(await parts.put_off(deferring, "one"))

        async def close(name: str, at: int) -> None:
            parts.folder.before_append = None
            assert (name, at > 0) == (first.group.blob, True)
            await parts.instance().close(first.group.name)

        parts.folder.before_append = close
        second = parts.own(await parts.put_off(deferring, "two"))
        assert second.group == first.group.following
        await parts.closed(deferring)
        assert [batch.lines for batch in await parts.batches()] == [1, 1]

    play(azurite, work)


def test_a_late_message_and_the_sweep_close_nothing_twice(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        group = parts.own(await parts.put_off(deferring)).group
        assert overdue(group.blob, parts.desk.clock()) is None
        await close_at_once(group.name, *(parts.instance() for _ in range(4)))
        (batch,) = await parts.batches()
        assert await parts.folder.facts(group.blob), "a slow writer must find it closed"
        parts.desk.clock.forward(290 + 301)
        assert overdue(group.blob, parts.desk.clock()) == group.name
        await deferring.close(group.name)
        assert await parts.folder.facts(group.blob) is None
        await deferring.close(group.name)
        await deferring.close("rubbish")
        await deferring.close(group_at(parts.desk.clock(), 300, "0" * 16).name)
        assert [one.id for one in await parts.batches()] == [batch.id]

    play(azurite, work)


# What goes wrong.


def test_storage_that_fails_is_told_and_the_next_call_goes_on(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        await parts.put_off(deferring, "one")

        async def fail(name: str, at: int) -> None:
            parts.folder.before_append = None
            raise StoreUnavailable("down")

        parts.folder.before_append = fail
        with pytest.raises(StoreUnavailable):
            await parts.put_off(deferring, "two")
        await parts.put_off(deferring, "three")
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        assert [line["body"]["messages"][0]["content"] for line in await parts.input(batch)] == ["one", "three"]

    play(azurite, work)


def test_a_client_who_leaves_takes_nobody_along(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(name: str, at: int) -> None:
            begun.set()
            await go_on.wait()

        parts.folder.before_append = wait
        first = asyncio.create_task(parts.put_off(deferring, "one"))
        await begun.wait()
        others = [asyncio.create_task(parts.put_off(deferring, text)) for text in ("two", "three")]
        await asyncio.sleep(0)
        first.cancel()
        others[0].cancel()
        go_on.set()
        stayed = await others[1]
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        ids = [line["custom_id"] for line in await parts.input(batch)]
        assert ids == [parts.own(stayed).text]

    play(azurite, work)


def test_a_key_that_is_gone_pays_for_nothing(azurite: Any) -> None:
    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        one = await parts.put_off(deferring)
        await parts.keys.put_key(replace(parts.key, disabled=True))
        for _ in range(2):
            await deferring.close(parts.own(one).group.name)
        answer = await parts.fetched(deferring, one)
        assert (answer.status, said(answer)["error"]["code"]) == (403, "key_not_active")
        assert await parts.batches() == []
        assert len(parts.log.warnings) == 1

    play(azurite, work)


def test_a_line_that_cannot_be_taken_spoils_only_itself(azurite: Any) -> None:
    """As another version of the gateway may have written it."""

    async def work(parts: Parts) -> None:
        deferring = parts.instance()
        good = await parts.put_off(deferring, "good")
        group = parts.own(good).group
        facts = await parts.folder.facts(group.blob)
        assert facts is not None
        bad = CallId(group, "0" * 20)
        line = {"custom_id": bad.text, "method": "POST", "url": "/v1/chat/completions", "body": chat("bad", "nothing")}
        twice = b"".join([piece async for piece in parts.folder.read(group.blob)]).splitlines()[1]
        await parts.folder.append(
            group.blob, json.dumps(line, separators=(",", ":")).encode() + b"\n" + twice + b"\n", facts.size
        )
        await parts.closed(deferring)
        (batch,) = await parts.batches()
        assert [line["custom_id"] for line in await parts.input(batch)] == [parts.own(good).text]
        public = parts.registry.sealer(HERE, parts.key)(bad.text)
        answer = await parts.fetched(deferring, public)
        assert (answer.status, said(answer)["error"]["code"]) == (400, "model_mismatch")
        assert not said(answer)["error"]["message"].startswith("Line")
        assert (await parts.fetched(deferring, good)).status == 202
        await deferring.after_end(await parts.over(batch, [line_of(parts.own(good).text, "yes")], []))
        assert (await parts.fetched(deferring, public)).status == 400
        assert said(await parts.fetched(deferring, good))["said"] == "yes"

    play(azurite, work)


def test_names_tell_what_they_stand_for() -> None:
    group = Group(1_790_000_000_000, 300_000, "0123456789abcdef", 3)
    assert read_group(group.name) == group
    assert read_group(group.name + "0") is None
    call = CallId(group, "00002710" + "f" * 12)
    assert read_call(call.text) == call
    assert call.created_at == 1_790_000_010
    assert overdue("deferred/rubbish", 1e12) is None
    assert len({replace(group, number=n).batch_id for n in range(5)} | {replace(group, family="0" * 16).batch_id}) == 6
