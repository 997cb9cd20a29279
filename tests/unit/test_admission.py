"""Admission: what a call asks for and where it may go, before any upstream is asked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.admission import MARKS
from shared.endpoints import ENDPOINTS
from shared.errors import no_such_object
from shared.principals import Allowance
from shared.transform.owned import ID_FIELDS
from tests.support.bodies import ID, Asking, askings, path_params
from tests.unit.stored import ALICE, EVE, NARROW, admitted, bad_ids, call, refusal, sealed, two_resources

GOOD = "vs_" + "1b" * 12
ASKINGS = [asking for asking in askings() if asking.endpoint.target != "list"]


WITH_FILE = ("files_create", "uploads_parts_create", "images_edits")


def filled(value: Any, public_id: str) -> Any:
    return orjson.loads(orjson.dumps(value).replace(ID.encode(), orjson.dumps(public_id)[1:-1]))


def asked(asking: Asking, public_id: str) -> Any:
    row = asking.endpoint
    good = sealed(GOOD)
    path = {param: public_id if param == asking.param else good for param in path_params(row)}
    query = tuple((k, public_id) for k, _, _ in [asking.query.partition("=")] if k)
    form = filled(asking.form, public_id) if asking.form else {"purpose": "batch"} if row.body == "form" else None
    return call(row.name, asking.body and filled(asking.body, public_id), path=path, query=query, form=form,
                filename="a.jsonl" if row.name in WITH_FILE else "")  # fmt: skip


@pytest.mark.parametrize("asking", ASKINGS, ids=lambda asking: asking.name)
def test_wrong_ids_are_one_404_wherever_they_stand(asking: Asking) -> None:
    for what, bad in bad_ids().items():
        if asking.form and "\r" in bad:
            continue  # no field of a form ends so: that the form is broken is another error
        error = refusal(asked(asking, bad))
        assert (error.status, error.body()) == (404, no_such_object().body()), what


RELAYED = [a for a in ASKINGS if a.endpoint.shape not in ("count", "batches")]


@pytest.mark.parametrize("asking", RELAYED, ids=lambda asking: asking.name)
def test_good_ids_are_opened_wherever_they_stand(asking: Asking) -> None:
    made = asked(asking, public := sealed("file-" + "0a" * 16))
    admitted(made)
    assert made.opener is not None
    assert ("file-" + "0a" * 16, public) in made.opener.opened
    assert {deployment.resource for deployment in made.choices} == {"east"}
    sent = f"{made.operation}?{made.query}" + ("" if asking.form else orjson.dumps(made.body).decode())
    assert public not in sent
    assert asking.form or "file-" + "0a" * 16 in sent


def test_marks_are_in_the_name_of_every_field_with_an_id() -> None:
    assert [name for name in ID_FIELDS if not any(mark in f'"{name}"'.encode() for mark in MARKS)] == []
    spelt = rb'{"model":"gpt-4o","messages":[{"role":"user","content":[{"file":{"\u0066ile\u005fid":"file-raw"}}]}]}'
    made = call("chat_completions")
    made.request.body = spelt
    assert refusal(made).status == 404


# ---- where a call goes


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("vector_stores_create", {"file_ids": ["EAST", "WEST"]}),
        ("fine_tuning_jobs_create", {"model": "m", "training_file": "EAST", "validation_file": "WEST"}),
        ("responses_create", {"model": "both", "input": "hi", "conversation": "EAST", "tools": [
            {"type": "file_search", "vector_store_ids": ["WEST"]}]}),
        ("responses_create", {"model": "west-only", "input": "hi", "previous_response_id": "EAST"}),
        ("images_edits", {"model": "image", "prompt": "x", "images": [{"file_id": "WEST"}]}),
    ],
)  # fmt: skip
def test_objects_on_two_resources_cannot_be_used_together(name: str, body: Any) -> None:
    text = orjson.dumps(body).decode().replace("EAST", sealed("file-1")).replace("WEST", sealed("file-2", "west"))
    error = refusal(call(name, orjson.loads(text)))
    assert (error.status, error.code) == (400, "objects_elsewhere")
    assert "file-" not in error.message


def test_path_body_query_and_form_are_bound_together() -> None:
    east, west = sealed("vs_1"), sealed("file-2", "west")
    store = {"vector_store_id": east}
    for made in (
        call("vector_stores_files_retrieve", path={**store, "file_id": west}),
        call("vector_stores_files_create", {"file_id": west}, path=store),
        call("vector_stores_files_list", path=store, query=(("after", west),)),
        call("containers_files_create", path={"container_id": east}, form={"file_id": west}),
        call("videos_create", form={"model": "sora", "prompt": "x", "input_reference[file_id]": west}),
    ):
        assert refusal(made).code == "objects_elsewhere"


def test_alias_on_two_resources_is_answered_where_its_ids_are() -> None:
    body = {"model": "both", "input": "hi", "previous_response_id": sealed("resp_1", "west")}
    made = admitted(call("responses_create", body))
    assert [deployment.resource for deployment in made.choices] == ["west"]
    assert made.body["previous_response_id"] == "resp_1"
    assert [d.resource for d in admitted(call("responses_create", {"model": "both", "input": "hi"})).choices] == [
        "east",
        "west",
    ]


def kept_at(made: Any, settings: str = "") -> list[str]:
    return [deployment.resource for deployment in admitted(made, two_resources(settings)).choices]


def test_resource_for_what_nothing_binds() -> None:
    header = {"x-tollgate-model": "west-only"}
    assert kept_at(call("conversations_create", {})) == ["east"]
    assert kept_at(call("conversations_create", {}), "  default_resource: West\n") == ["west"]
    assert kept_at(call("conversations_create", {}, headers=header)) == ["west"]
    assert kept_at(call("conversations_create", {}, headers={"x-litellm-model": "west-only"})) == ["west"]
    assert kept_at(call("conversations_create", {}, query=(("model", "west-only"),))) == ["west"]
    made = call("vector_stores_create", {"name": "x", "model": "west-only"})
    assert kept_at(made) == ["west"]
    assert made.body == {"name": "x"}  # Azure does not know it there
    assert kept_at(call("files_create", form={"model": "west-only", "purpose": "batch"}, filename="a")) == ["west"]
    assert kept_at(call("files_create", form={"purpose": "batch"}, filename="a", headers=header)) == ["west"]
    job = {"model": "west-only", "training_file": sealed("file-1")}  # here a model of Azure's
    made = call("fine_tuning_jobs_create", job)
    assert kept_at(made) == ["east"]
    assert made.body["model"] == "west-only"
    assert kept_at(call("vector_stores_create", {"file_ids": [sealed("file-1")]}, headers=header)) == ["east"]


@pytest.mark.parametrize(
    ("alias", "who", "status", "code"),
    [("nothing", ALICE, 404, "model_not_found"), ("west-only", NARROW, 403, "model_not_found"),
     ("claude", ALICE, 400, "no_resource")],
)  # fmt: skip
def test_resource_of_an_alias_that_may_not_or_cannot_keep(alias: str, who: Any, status: int, code: str) -> None:
    error = refusal(call("conversations_create", {}, principal=who, headers={"x-tollgate-model": alias}))
    assert (error.status, error.code) == (status, code)


def test_key_without_a_resource_that_keeps_objects() -> None:
    only_claude = type(EVE)("c" * 64, "c", allowance=Allowance(frozenset({"claude"})))
    assert refusal(call("conversations_create", {}, principal=only_claude)).code == "no_resource"
    assert kept_at(call("conversations_create", {}, principal=NARROW)) == ["east"]


def test_only_known_parameters_of_the_query_are_passed_on() -> None:
    path = {"vector_store_id": sealed("vs_1")}
    query = (("limit", "2"), ("after", sealed("file-1")), ("api-version", "x"), ("after[]", "raw"), ("filter", "a&b=c"))
    made = admitted(call("vector_stores_files_list", path=path, query=query))
    assert made.query == "limit=2&after=file-1&filter=a%26b%3Dc"
    assert made.operation == "vector_stores/vs_1/files"


def test_upstream_id_is_no_address() -> None:
    odd = sealed("file-a/../b?c#d")  # no such id is known, but an upstream's word becomes no path
    made = admitted(call("files_content", path={"file_id": odd}))
    assert made.operation == "files/file-a%2F..%2Fb%3Fc%23d/content"


def test_every_place_of_the_table_is_tried() -> None:
    tried = {asking.endpoint.name for asking in askings()}
    assert {row.name for row in ENDPOINTS.values() if path_params(row) and row.target != "here"} <= tried
