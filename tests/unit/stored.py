"""What the tests of stored objects start from: two resources, ids on them, a call as it reaches admission."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from starlette.types import Message

from shared.adapters.form import open_form
from shared.admission import Admission
from shared.call import Call
from shared.catalog import Catalog
from shared.choices import Choices
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError
from shared.ids import Keyring
from shared.objects import Registry
from shared.ports import Client
from shared.principals import Allowance, Principal
from shared.types import ApiRequest
from tests.unit.given import catalog

RING = Keyring({1: b"k" * 32})
ALICE = Principal("a" * 64, "alice", "search")
BOB = Principal("b" * 64, "bob", "search")
EVE = Principal("e" * 64, "eve", "other")
NARROW = Principal("c" * 64, "narrow", "search", Allowance(frozenset({"east-only"})))

_ENTRIES = (("both", "east", "gpt-4o"), ("both", "west", "gpt-4o"), ("east-only", "east", "o-model"),
            ("west-only", "west", "w-model"), ("instruct", "east", "gpt-35-turbo-instruct"),
            ("embedding", "east", "text-embedding-3-small"), ("image", "east", "gpt-image-1"), ("tts", "east", "tts-1"),
            ("sora", "east", "sora-2"), ("realtime", "east", "gpt-realtime"), ("gpt-4o", "east", "gpt-4o"),
            ("gpt-4o-v1", "east", "gpt-4o"), ("o3-pro", "east", "responses/o3-pro"), ("claude", "claudes", "claude-sonnet-4-5"))  # fmt: skip


@cache
def two_resources(settings: str = "") -> Catalog:
    """east and west, which keep objects, and one that has only Claude and keeps none. `settings`: lines of YAML."""
    rows = [
        f"- model_name: {alias}\n  litellm_params: {{model: azure/{name}, api_base: 'https://{resource}.openai.azure.com', "
        f"api_version: v1, api_key: secret-key-1}}"
        for alias, resource, name in _ENTRIES
    ]
    return catalog("model_list:\n" + "\n".join(rows) + f"\nsettings:\n  drop_params: false\n{settings}")


def sealed(upstream_id: str, resource: str = "east", owner: Principal = ALICE, ring: Keyring = RING) -> str:
    return ring.seal(upstream_id, resource, owner.owner)


def bad_ids() -> dict[str, str]:
    """Everything that is no id of Alice's, by what is wrong with it."""
    good = sealed("file-" + "0a" * 16)
    return {
        "raw": "file-" + "0a" * 16,
        "another team's": sealed("file-" + "0a" * 16, owner=EVE),
        "truncated": good[:-1],
        "prolonged": good + "A",
        "a bit flipped": good[:-1] + ("B" if good[-1] == "A" else "A"),
        "of another prefix": "resp_" + good.partition("-")[2],
        "on a resource that left": sealed("file-" + "0a" * 16, "gone"),
        "on a resource that keeps nothing": sealed("file-" + "0a" * 16, "claudes"),
        "signed by a key that left": sealed("file-" + "0a" * 16, ring=Keyring({1: b"z" * 32})),
        "of a version that is not here": sealed("file-" + "0a" * 16, ring=Keyring({2: b"k" * 32})),
        "sealed twice": sealed(good, owner=EVE),
        "padded": f" {good}",
        "a path": f"../files/{good}",
        "percent-encoded": good.replace("-", "%2D", 1),
        "a header": good + "\r\nx-evil: 1",
        "a null": good + "\0",
    }


def call(
    name: str,
    body: Any = None,
    *,
    principal: Principal = ALICE,
    path: Mapping[str, str] | None = None,
    query: tuple[tuple[str, str], ...] = (),
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    filename: str = "",
) -> Call:
    """A call as it is before admission. `form`: text fields, then a file if it has a name."""
    data = b"" if body is None else orjson.dumps(body)
    request = ApiRequest("req_1", name, ENDPOINTS[name].method, dict(headers or {}), dict(path or {}), data, query)
    if form is not None:
        request.form = open_form(_receiver(form, filename), "multipart/form-data; boundary=b", 10_000_000)
    made = Call(request, ENDPOINTS[name], _Nobody(), 0.0, 0.0)
    made.principal = principal
    return made


def admitted(made: Call, found: Catalog | None = None) -> Call:
    """The call after admission. Raises ApiError."""
    found = found or two_resources()

    async def work() -> None:
        try:
            registry = Registry(found, RING)
            await Admission(found, registry, Choices(found, registry)).admit(made)
        finally:
            if made.request.form:
                await made.request.form.discard()

    asyncio.run(work())
    return made


def refusal(made: Call, found: Catalog | None = None) -> ApiError:
    try:
        admitted(made, found)
    except ApiError as error:
        return error
    raise AssertionError("it was admitted")


class _Nobody(Client):
    """A client that stays."""

    @property
    def gone(self) -> bool:
        return False

    def when_gone(self, act: Any) -> Any:
        return lambda: None


def _receiver(fields: Mapping[str, str], filename: str) -> Any:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    if filename:
        parts.append(f'--b\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\nx\r\n')
    body = ("".join(parts) + "--b--\r\n").encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
