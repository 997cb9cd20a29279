"""The keys that sign ids, ids that operators import, and an index that does not answer: on gateways of their own."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from openai import InternalServerError, NotFoundError

from local.fake_azure import FakeAzure
from tests.support.models import aliases, config_text
from tests.support.own_azurite import OwnAzurite
from tests.support.stack import Stack, upstream_calls

ONE = "1:" + base64.b64encode(b"one".ljust(32, b".")).decode()
TWO = "2:" + base64.b64encode(b"two".ljust(32, b".")).decode()


def test_keys_rotate(new_stack: Any) -> None:
    stack: Stack = new_stack(ID_KEYS=ONE)
    key = stack.key()

    def restarted(keys: str) -> None:
        stack.stop()
        stack.settings["ID_KEYS"] = keys
        stack.start()

    with stack.openai(key) as client:
        old = client.files.create(file=("a.txt", b"old"), purpose="assistants").id
    restarted(f"{TWO},{ONE}")
    with stack.openai(key) as client:
        assert client.files.content(old).content == b"old"
        new = client.files.create(file=("b.txt", b"new"), purpose="assistants").id
        assert [row.id for row in client.files.list()][:1] == [new]
        assert old not in [row.id for row in client.files.list()], "the same object, signed by the newer key"
    restarted(TWO)
    with stack.openai(key) as client:
        assert client.files.content(new).content == b"new"
        with pytest.raises(NotFoundError, match="No such object"):
            client.files.content(old)
    restarted(f"3:{base64.b64encode(b'short').decode()}")
    reply = stack.http.get("/v1/models", headers=key.bearer)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "gateway_misconfigured")


def test_raw_ids_are_imported_by_those_who_may(new_stack: Any, fake: FakeAzure) -> None:
    resource = fake.state.resources["main"].url.removeprefix("http://")
    settings = f'settings: {{import_raw_ids: {{"{resource}": [movers, ana]}}}}\n'
    stack: Stack = new_stack(config=config_text(aliases(fake)) + settings)
    with stack.openai(stack.key()) as client:
        client.files.create(file=("portal.txt", b"from the portal"), purpose="assistants")
    raw = fake_file_id(fake)
    before = len(upstream_calls(fake))
    with stack.openai(stack.key(name="bob")) as stranger, pytest.raises(NotFoundError, match="No such object"):
        stranger.files.content(raw)
    assert len(upstream_calls(fake)) == before
    for who in (stack.key(name="ana"), stack.key(team="movers")):
        with stack.openai(who) as client:
            assert client.files.content(raw).content == b"from the portal"
            seen = client.files.retrieve(raw)
            assert seen.id != raw
            assert client.files.content(seen.id).content == b"from the portal", "from then on by an id of ours"
            with pytest.raises(NotFoundError, match="No such object"):
                client.files.retrieve(seen.id[:-1] + ("A" if seen.id[-1] != "A" else "B"))


def fake_file_id(fake: FakeAzure) -> str:
    """Azure's own id of the file that was made last, as the portal would show it."""
    main = fake.state.resources["main"]
    listed = httpx.get(f"{main.url}/openai/v1/files", headers={"api-key": main.key}, trust_env=False).json()
    return max(listed["data"], key=lambda row: (row["created_at"], row["filename"] == "portal.txt"))["id"]


def test_index_that_does_not_answer_loses_no_object(new_stack: Any, tmp_path: Any) -> None:
    with OwnAzurite(tmp_path / "azurite") as own:
        stack: Stack = new_stack(storage=own.connection_string, KEY_CACHE_SECONDS="600", CONFIG_REFRESH_SECONDS="0")
        key = stack.key()
        with stack.openai(key) as client:
            client.files.list()
            own.stop()
            made = client.files.create(file=("a.txt", b"kept"), purpose="assistants").id
            assert client.files.content(made).content == b"kept"
            with pytest.raises(InternalServerError) as caught:
                client.files.list()
            assert (caught.value.status_code, caught.value.code) == (503, "object_index_unavailable")
        assert "object index unavailable" in stack.log()
        own.start()
