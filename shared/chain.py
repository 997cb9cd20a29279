"""A Responses input whose items were made earlier: which resource holds them, and what becomes of those it does not.

An item is bound to its resource by its id. What names another object outright (a previous response, a conversation, a
file) must be opened; an item that carries its own content needs its id only where it was made. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared import errors
from shared.catalog import Catalog
from shared.errors import ApiError
from shared.objects import Opener
from shared.transform.owned import open_ids
from shared.types import Json

_ONLY_THERE = ("item_reference", "reasoning", "compaction", "image_generation_call")
"""Items that mean nothing on another resource: references, and what is encrypted for the resource that made it."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of the input, opened, and the resources that the ids in it bind it to: its own, and those in it."""

    value: Any
    own: str
    inner: frozenset[str]


def keep_chain(body: Json, opener: Opener, catalog: Catalog, alias: str) -> Json:
    """-> the body with its ids opened, all on one resource. Raises ApiError 404, or 400 when items are apart.

    With `unusable_items: remove`, items that another resource holds are taken out, and items that carry their own
    content lose their id, rather than being refused.
    """
    given: list[Any] = body["input"]
    rest = open_ids({k: v for k, v in body.items() if k != "input"}, opener)
    bound = list(opener.resources)
    items = [found for item in given if (found := _opened(item, opener))]
    homes = [resource for item in items for resource in (*sorted(item.inner), item.own) if resource]
    home = bound[0] if bound else _home(homes, catalog, alias)
    kept: list[Any] = []
    for item in items:
        if item.inner | {item.own} <= {"", home}:
            kept.append(item.value)
        elif not catalog.rules.remove_unusable_items:
            raise _elsewhere("your platform team can have such items removed (unusable_items: remove)")
        elif (usable := _without_ids(item, home)) is not None:
            kept.append(usable)
    if home and home not in opener.resources:
        opener.resources.append(home)
    return {**rest, "input": kept}


def _opened(item: Any, opener: Opener) -> _Item | None:
    """-> None: an item that holds nothing for a model."""
    own, inner = opener.apart(), opener.apart()

    def open_one(public_id: str) -> str:
        return (own if isinstance(item, dict) and public_id == item.get("id") else inner)(public_id)

    value = open_ids({"input": [item]}, open_one)["input"][0]
    if isinstance(item, dict) and own.opened_nothing:
        # of a translated answer, which nothing keeps (objects.NOWHERE): its content alone
        if value.get("type") == "item_reference":
            raise errors.no_such_object()
        if value.get("type") == "reasoning":
            return None
        value = {k: v for k, v in value.items() if k != "id"}
    return _Item(value, next(iter(own.resources), ""), frozenset(inner.resources))


def _without_ids(item: _Item, home: str) -> Json | None:
    """What of an item can be used where it was not made. -> None: nothing. Raises ApiError (400) for a client's own."""
    value: Json = item.value if isinstance(item.value, dict) else {}
    kind, role = value.get("type"), value.get("role")
    if kind in _ONLY_THERE:
        return None
    if not item.inner <= {home}:
        if role == "assistant":  # it has cited files
            value = {**value, "content": _uncited(value.get("content"))}
        elif role or not item.own or str(kind).endswith("_output"):
            raise _elsewhere("upload the files in it anew")
        else:
            return None  # the call of a built-in tool, in a container or on files of its own
    return {k: v for k, v in value.items() if k != "id"} if item.own not in ("", home) else value


def _uncited(content: Any) -> Any:
    """What an assistant has written, without the files that it names."""
    if not isinstance(content, list):
        return content
    return [
        {**part, "annotations": []} if isinstance(part, dict) and "annotations" in part else part for part in content
    ]


def _elsewhere(remedy: str) -> ApiError:
    return errors.bad_request(
        "The input holds items that were made by different models' resources and cannot be used together. Start a new "
        f"conversation, or send only items of one model; {remedy}.",
        param="input",
        code="items_elsewhere",
    )


def _home(resources: list[str], catalog: Catalog, alias: str) -> str:
    """The resource of the newest item that serves the alias; else, where items may be removed, none."""
    serving = {d.resource for d in catalog.of(alias)}
    for resource in reversed(resources):
        if resource in serving:
            return resource
    if resources and not catalog.rules.remove_unusable_items:
        return resources[-1]  # refused as a whole: the alias is not served there
    return ""
