"""A Responses input whose items were made earlier: which resource holds them, and what becomes of those it does not.

An item is bound to its resource by its id. What names another object outright (a previous response, a conversation, a
file) must be opened; an item that carries its own content needs its id only where it was made.
"""

from __future__ import annotations

from typing import Any

from shared import errors
from shared.catalog import Catalog
from shared.objects import Opener
from shared.transform.owned import open_ids
from shared.types import Json

_ONLY_THERE = frozenset({"item_reference", "reasoning", "compaction", "image_generation_call"})
"""Items that mean nothing on another resource: references, and what is encrypted for the resource that made it."""


def keep_chain(body: Json, opener: Opener, catalog: Catalog, alias: str) -> Json:
    """-> the body with its ids opened, all on one resource. Raises ApiError 404, or 400 when items are apart.

    With `unusable_items: remove`, items that another resource holds are taken out, and items that carry their own
    content lose their id, rather than being refused.
    """
    items: list[Any] = body["input"]
    rest = open_ids({k: v for k, v in body.items() if k != "input"}, opener)
    bound = list(opener.resources)
    opened: list[tuple[Any, str]] = []
    for item in items:
        before = list(opener.resources)
        opener.resources.clear()
        shown = open_ids({"input": [item]}, opener)["input"][0] if isinstance(item, dict) else item
        found, opener.resources[:] = list(opener.resources), before
        opened.append((shown, found[-1] if found else ""))
    home = bound[0] if bound else _home([resource for _, resource in opened if resource], catalog, alias)
    kept: list[Any] = []
    for item, resource in opened:
        if resource in ("", home):
            kept.append(item)
            continue
        if not catalog.rules.remove_unusable_items:
            raise errors.bad_request(
                "The input holds items that were made by different models' resources and cannot be used together. "
                "Start a new conversation, or send only items of one model; your platform team can have such items "
                "removed (unusable_items: remove).",
                param="input",
                code="items_elsewhere",
            )
        if item.get("type") not in _ONLY_THERE:
            kept.append({k: v for k, v in item.items() if k != "id"})
    if home and home not in opener.resources:
        opener.resources.append(home)
    return {**rest, "input": kept}


def _home(resources: list[str], catalog: Catalog, alias: str) -> str:
    """The resource of the newest item that serves the alias; else, where items may be removed, none."""
    serving = {d.resource for d in catalog.of(alias)}
    for resource in reversed(resources):
        if resource in serving:
            return resource
    if resources and not catalog.rules.remove_unusable_items:
        return resources[-1]  # refused as a whole: the alias is not served there
    return ""
