"""keep_chain: an input of items goes to the resource that made them, whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from shared.chain import keep_chain
from shared.errors import ApiError, no_such_object
from shared.objects import Opener, Registry
from shared.types import Json
from tests.unit.stored import ALICE, RING, bad_ids, sealed, two_resources

REMOVE = "  unusable_items: remove\n"
USER = {"role": "user", "content": "hi"}


def kept(
    items: list[Any], *, alias: str = "both", settings: str = "", **rest: Any
) -> tuple[list[Any], list[str], Json]:
    """-> the items that are sent, the resources that the call is bound to, and the rest of the body."""
    catalog = two_resources(settings)
    opener = Opener(Registry(catalog, RING), ALICE)
    given = {"model": alias, "input": items, **rest}
    body = keep_chain(given, opener, catalog, alias)
    assert given == {"model": alias, "input": items, **rest}
    return body.pop("input"), opener.resources, body


def refused(items: list[Any], **options: Any) -> str | None:
    with pytest.raises(ApiError) as raised:
        kept(items, **options)
    assert raised.value.status in (400, 404)
    return raised.value.code


def reasoning(on: str) -> Json:
    return {"type": "reasoning", "id": sealed("rs_1", on), "encrypted_content": "x", "summary": []}


def said(on: str, *files: str) -> Json:
    citations = [{"type": "file_citation", "file_id": sealed("file-1", file)} for file in files]
    content = [{"type": "output_text", "text": "hello", "annotations": citations}]
    return {"type": "message", "role": "assistant", "id": sealed("msg_1", on), "content": content}


def with_file(on: str, **more: Any) -> Json:
    return {"role": "user", "content": [{"type": "input_file", "file_id": sealed("file-1", on)}], **more}


def test_new_input_binds_nothing() -> None:
    assert kept([USER, "odd", 7, None, {"type": "function_call", "call_id": "c"}])[:2] == (
        [USER, "odd", 7, None, {"type": "function_call", "call_id": "c"}],
        [],
    )


def test_items_bind_to_where_they_were_made() -> None:
    items, resources, _ = kept([USER, reasoning("west"), said("west", "west"), with_file("west")])
    assert resources == ["west"]
    assert [item.get("id") for item in items] == [None, "rs_1", "msg_1", None]
    assert items[2]["content"][0]["annotations"] == [{"type": "file_citation", "file_id": "file-1"}]
    assert items[3]["content"][0]["file_id"] == "file-1"


def test_what_the_request_names_outright_decides() -> None:
    _, resources, rest = kept([USER], previous_response_id=sealed("resp_1", "west"), conversation=None)
    assert (resources, rest["previous_response_id"]) == (["west"], "resp_1")
    assert refused([reasoning("east")], previous_response_id=sealed("resp_1", "west")) == "items_elsewhere"
    items, resources, _ = kept(
        [reasoning("east"), USER], settings=REMOVE, previous_response_id=sealed("resp_1", "west")
    )
    assert (items, resources) == ([USER], ["west"])


@pytest.mark.parametrize("bad", bad_ids().values(), ids=bad_ids().keys())
@pytest.mark.parametrize("settings", ["", REMOVE], ids=["refuse", "remove"])
def test_no_wrong_id_gets_through(bad: str, settings: str) -> None:
    good = reasoning("east")
    for item in (
        {"type": "item_reference", "id": bad},
        {"type": "item_reference", "id": [bad]},
        [{"type": "item_reference", "id": bad}],
        {"type": ["x"], "id": bad},
        {"type": "tool_use", "id": bad},
        {"role": "user", "content": [{"type": "input_image", "file_id": bad}]},
        {**good, "container_id": bad},
    ):
        for items in ([item], [good, item], [item, good]):
            with pytest.raises(ApiError) as raised:
                kept(items, settings=settings)
            assert raised.value.body() == no_such_object().body()


def test_items_apart_are_refused() -> None:
    assert refused([reasoning("east"), reasoning("west")]) == "items_elsewhere"
    assert refused([said("east", "west")]) == "items_elsewhere"  # one item may be bound twice
    assert refused([with_file("east"), said("west")]) == "items_elsewhere"
    assert refused([[with_file("east")], said("west")]) == "items_elsewhere"


def test_newest_item_that_the_alias_serves_decides_what_is_removed() -> None:
    call = {"type": "function_call", "id": sealed("fc_1", "east"), "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "1"}
    reference = {"type": "item_reference", "id": sealed("rs_2", "east")}
    tool = {"type": "code_interpreter_call", "id": sealed("ci_1", "east"), "container_id": sealed("cntr_1", "east")}
    items, resources, _ = kept(
        [USER, reasoning("east"), call, result, reference, tool, said("east", "east"), reasoning("west")],
        settings=REMOVE,
    )
    assert resources == ["west"]
    without_id = {k: v for k, v in call.items() if k != "id"}
    assert items[:3] == [USER, without_id, result]
    assert items[3] == {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "hello", "annotations": []}]}  # fmt: skip
    assert items[4]["id"] == "rs_1"
    assert len(items) == 5


def test_alias_that_is_served_elsewhere_starts_anew_or_is_refused() -> None:
    items, resources, _ = kept([USER, reasoning("east"), said("east")], alias="west-only", settings=REMOVE)
    assert resources == []
    assert [sorted(item) for item in items] == [["content", "role"], ["content", "role", "type"]]
    _, resources, _ = kept([USER, reasoning("east")], alias="west-only")
    assert resources == ["east"]  # where admission finds no deployment of the alias


def test_files_of_the_clients_own_are_never_dropped_in_silence() -> None:
    for item in (
        with_file("east"),
        with_file("east", id=sealed("msg_1", "east")),
        [with_file("east")],
        {"type": "function_call_output", "id": sealed("fco_1", "east"), "call_id": "c",
         "output": [{"type": "input_file", "file_id": sealed("file-1", "east")}]},
    ):  # fmt: skip
        assert refused([item, reasoning("west")], settings=REMOVE) == "items_elsewhere"
