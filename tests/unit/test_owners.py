"""Owners: what is noted of objects, what a list shows, and that work in the background is charged once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from shared.call import Call
from shared.errors import ApiError
from shared.objects import Registry
from shared.owed import Charges
from shared.owners import Owners, Page
from shared.ports import ObjectIndex, OwnedObject, StoreUnavailable, UnknownCursor
from shared.prices import NoPrices
from shared.transform import Asked
from shared.transform.relayed import RelayedAnswer, finisher
from shared.types import Json
from tests.support.doubles import KeptUsage, Lines, MemoryOwed
from tests.unit.stored import ALICE, RING, call, sealed, two_resources

CATALOG = two_resources()
REGISTRY = Registry(CATALOG, RING)
TEAM = ALICE.owner


class MemoryIndex(ObjectIndex):
    """Objects in a dictionary, newest first as they were added (ports.ObjectIndex)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[tuple[str, str], OwnedObject]] = {}
        self.gone: list[tuple[str, str]] = []
        self.asked: dict[str, Any] = {}
        self.down = False

    def of(self, kind: str) -> list[str]:
        return [f"{made.resource}/{made.upstream_id}" for made in self.rows.get((TEAM, kind), {}).values()]

    async def add(self, owner: str, kind: str, made: OwnedObject) -> None:
        self._check()
        self.rows.setdefault((owner, kind), {})[made.resource, made.upstream_id] = made

    async def remove(self, owner: str, kind: str, resource: str, upstream_id: str) -> OwnedObject | None:
        self._check()
        self.gone.append((kind, upstream_id))
        return self.rows.get((owner, kind), {}).pop((resource, upstream_id), None)

    async def page(self, owner: str, kind: str, **asked: Any) -> tuple[list[OwnedObject], bool]:
        self._check()
        self.asked = asked
        rows = self.rows.get((owner, kind), {})
        if asked["after"] and asked["after"] not in rows:
            raise UnknownCursor(asked["after"][1])
        return list(rows.values())[: asked["limit"]], len(rows) > asked["limit"]

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("down")


class Given:
    """An index, and the owners that write it."""

    def __init__(self) -> None:
        self.index, self.log = MemoryIndex(), Lines()
        self.owed, self.usage = MemoryOwed(), KeptUsage()
        charges = Charges(self.owed, self.usage, NoPrices(), CATALOG)
        self.owners = Owners(self.index, REGISTRY, self.log, lambda: 1_700_000_000.5, charges)

    def note(self, name: str, said: Json, *, operation: str = "", alias: str = "") -> tuple[Call, RelayedAnswer]:
        """An answer of the resource east to one call, as the pipeline notes it."""
        made = call(name)
        made.operation, made.alias, made.known = operation, alias, bool(alias)
        keeper = REGISTRY.keepers["east"]
        asked = Asked(made.endpoint, operation, {}, keeper, False, REGISTRY.sealer("east", ALICE))
        answer = RelayedAnswer(asked, finisher(asked))
        answer.read(orjson.dumps(said))
        asyncio.run(self.owners.note(made, keeper, answer))
        return made, answer

    def page(self, name: str, **query: str) -> Page:
        return asyncio.run(self.owners.page(call(name, query=tuple(query.items()))))

    def show(self, name: str, page: Page, found: list[Json | None]) -> tuple[Call, Json]:
        made = call(name)
        return made, orjson.loads(asyncio.run(self.owners.show(made, page, found)))


def test_what_is_made_is_noted_and_what_is_deleted_forgotten() -> None:
    given = Given()
    given.note("files_create", {"id": "file-1", "object": "file", "purpose": "batch"})
    given.note("vector_stores_create", {"id": "vs_1", "object": "vector_store"})
    upload = {"id": "upload_1", "file": {"id": "file-2", "object": "file", "purpose": "assistants"}}
    given.note("uploads_complete", upload)  # the ids within are sealed by the time it is noted
    assert (given.index.of("file"), given.index.of("vector_store")) == (["east/file-1", "east/file-2"], ["east/vs_1"])
    assert [made.note for made in given.index.rows[TEAM, "file"].values()] == ["batch", "assistants"]
    given.note("files_delete", {"id": "file-1", "deleted": True}, operation="files/file-1")
    given.note("vector_stores_files_delete", {"id": "file-2"}, operation="vector_stores/vs_1/files/file-2")
    assert given.index.of("file") == ["east/file-2"]  # which only left the store
    assert not given.log.warnings


@pytest.mark.parametrize("said", [{}, {"id": None}, {"id": 7}, {"id": ""}, {"file": None}, {"file": {"id": ["x"]}}])
def test_odd_answers_are_noted_as_nothing(said: Json) -> None:
    given = Given()
    for name in ("files_create", "uploads_complete", "fine_tuning_jobs_create", "responses_create"):
        given.note(name, {**said, "background": True, "trained_tokens": None})
    assert given.index.rows == {}


def test_index_that_is_down_fails_no_creation_and_every_list() -> None:
    given = Given()
    given.index.down = True
    given.note("files_create", {"id": "file-1"})
    assert [message for message, _ in given.log.warnings] == ["object index unavailable"]
    with pytest.raises(ApiError) as raised:
        given.page("files_list")
    assert (raised.value.status, raised.value.code) == (503, "object_index_unavailable")
    assert raised.value.headers["retry-after"]
    _, shown = given.show("files_list", Page([OwnedObject("east", "file-1", 0)], False), [None])
    assert shown["data"] == []


def test_trained_tokens_are_charged_once_by_whoever_sees_them_first() -> None:
    for first in ("retrieve", "list"):
        given = Given()
        given.note("fine_tuning_jobs_create", {"id": "ftjob-1", "status": "queued", "trained_tokens": None})
        assert given.owed.names() == given.index.of("ftjob") == ["east/ftjob-1"]
        ended: Json = {"id": "ftjob-1", "status": "succeeded", "trained_tokens": 90}
        page = given.page("fine_tuning_jobs_list")
        for by in (first, "retrieve", "list"):
            given.note("fine_tuning_jobs_retrieve", {**ended, "status": "running"})
            if by == "list":
                given.show("fine_tuning_jobs_list", page, [{**ended, "id": sealed("ftjob-1")}])
            else:
                given.note("fine_tuning_jobs_retrieve", dict(ended))
            (record,) = given.usage.once.values()
            assert (record.usage.training_tokens, record.alias, record.deployment) == (90, "", ""), first
            assert record.endpoint == "fine_tuning_jobs_create"
        assert given.usage.times == 1
        assert given.owed.names() == []


def test_background_response_is_charged_to_the_call_that_began_it() -> None:
    given = Given()
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    begun, answer = given.note(
        "responses_create", {"id": "resp_1", "background": True, "status": "queued"}, alias="o3-pro"
    )
    given.note("responses_create", {"id": "resp_2", "status": "completed", "usage": usage}, alias="o3-pro")
    assert given.owed.names() == ["east/resp_1"]
    assert answer.usage_or_estimate().total_tokens == 0
    ended: Json = {"id": "resp_1", "background": True, "status": "completed", "usage": usage}
    for _ in range(2):
        seen, answer = given.note("responses_retrieve", ended)
        assert (seen.alias, seen.known, answer.usage_or_estimate().total_tokens) == ("", False, 0)
    (record,) = given.usage.once.values()
    assert (record.alias, record.usage.output_tokens, record.at, record.team) == ("o3-pro", 7, begun.at, "search")
    assert record.key_id == ALICE.key_id


def test_what_ends_as_it_is_made_is_charged_with_its_call() -> None:
    given = Given()
    said: Json = {"id": "resp_1", "background": True, "status": "completed", "usage": {"input_tokens": 5}}
    _, answer = given.note("responses_create", said, alias="o3-pro")
    assert answer.usage_or_estimate().input_tokens == 5
    assert given.owed.names() == []


def test_a_program_of_its_own_keeps_nothing_and_charges_nothing() -> None:
    given = Given()
    given.owners = Owners(given.index, REGISTRY, given.log, lambda: 0.0)
    for name in ("responses_create", "responses_retrieve", "fine_tuning_jobs_create", "fine_tuning_jobs_retrieve"):
        given.note(name, {"id": "x", "background": True, "trained_tokens": 5, "status": "succeeded"})
    given.show("fine_tuning_jobs_list", given.page("fine_tuning_jobs_list"), [{"status": "succeeded"}])
    assert given.usage.times == 0


def test_list_shows_what_is_there_and_forgets_what_is_gone() -> None:
    given = Given()
    for number in range(3):
        given.note("files_create", {"id": f"file-{number}"})
    page = given.page("files_list", limit="2")
    assert page.more
    row = {"id": sealed("file-1"), "object": "file"}
    _, shown = given.show("files_list", page, [None, row])
    assert shown == {"object": "list", "data": [row], "first_id": row["id"], "last_id": row["id"], "has_more": True}
    assert given.index.of("file") == ["east/file-1", "east/file-2"]
    left = Page([OwnedObject("gone", "file-9", 0)], False)
    given.index.gone.clear()
    given.show("files_list", left, [None])
    assert given.index.gone == []  # its resource may come back


def test_what_a_page_asks_of_the_index() -> None:
    given = Given()
    given.note("files_create", {"id": "file-1"})
    assert given.page("files_list", after=sealed("file-1"), order="asc", purpose="fine-tune").items
    assert given.index.asked == {"limit": 20, "newest_first": False, "after": ("east", "file-1"), "note": "fine-tune"}
    given.page("files_list", before=sealed("file-1"), limit="10000")
    assert given.index.asked == {"limit": 100, "newest_first": False, "after": ("east", "file-1"), "note": ""}


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [({"limit": "x"}, 400, "limit"), ({"limit": "-1"}, 400, "limit"), ({"limit": "²"}, 400, "limit"),
     ({"limit": "9" * 5000}, 400, "limit"), ({"limit": "1.5"}, 400, "limit"), ({"order": "up"}, 400, "order"),
     ({"purpose": "x' or note ne '"}, 400, "purpose"), ({"purpose": "x" * 70}, 400, "purpose"),
     ({"after": "file-1"}, 404, None), ({"after": sealed("vs_1")}, 404, None), ({"before": "file-1"}, 404, None),
     ({"after": sealed("file-1", "gone")}, 404, None), ({"after": sealed("file-1", "")}, 404, None)],
)  # fmt: skip
def test_wrong_parameters_of_a_list_are_named(query: dict[str, str], status: int, param: str | None) -> None:
    given = Given()
    given.note("files_create", {"id": "file-1"})
    with pytest.raises(ApiError) as raised:
        given.page("files_list", **query)
    assert (raised.value.status, raised.value.param) == (status, param)
