"""The tools that the service runs itself: what they leave in an output, and the annotations that point at it.

Owns their items. They do nothing: a search finds the first file, the interpreter prints a line.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...store import Json, Store
from .. import ids
from ..containers import make

_COMPUTE = re.compile(r"\b(compute|python)\b", re.IGNORECASE)
_SEARCH = re.compile(r"\bsearch\b", re.IGNORECASE)
_DRAW = re.compile(r"\bdraw\b", re.IGNORECASE)
# A transparent pixel.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def check(store: Store, tools: Sequence[Mapping[str, Any]]) -> None:
    """Whatever a tool names has to be on this resource."""
    for tool in tools:
        for vector_store in tool.get("vector_store_ids") or ():
            store.vector_stores.get(vector_store)
        container = tool.get("container")
        if isinstance(container, str):
            store.containers.get(container)
        elif isinstance(container, dict):
            for file_id in container.get("file_ids") or ():
                store.files.get(file_id)


def used(store: Store, tools: Sequence[Mapping[str, Any]], text: str) -> list[Json]:
    """The items of the tools that the text makes the model use."""
    found: list[Json] = []
    for tool in tools:
        match tool.get("type"):
            case "file_search":
                call: Json = {"id": ids.hexed("fs_"), "type": "file_search_call", "status": "completed"}
                found.append({**call, "queries": [text], "results": _results(store, tool)})
            case "code_interpreter" if _COMPUTE.search(text):
                call = {"id": ids.hexed("ci_"), "type": "code_interpreter_call", "status": "completed"}
                found.append({**call, "code": "print(42)", "container_id": _room(store, tool), "outputs": None})
            case "web_search" | "web_search_preview" if _SEARCH.search(text):
                action = {"type": "search", "query": text, "queries": [text]}
                found.append(
                    {"id": ids.hexed("ws_"), "type": "web_search_call", "status": "completed", "action": action}
                )
            case "image_generation" if _DRAW.search(text):
                call = {"id": ids.hexed("ig_"), "type": "image_generation_call", "status": "completed"}
                found.append({**call, "result": _PNG, "output_format": "png", "size": "1024x1024"})
            case _:
                pass
    return found


def annotations(items: Sequence[Json]) -> list[Json]:
    """One for the first result of each file search."""
    return [
        {"type": "file_citation", "file_id": item["results"][0]["file_id"], "filename": item["results"][0]["filename"]}
        | {"index": 0}
        for item in items
        if item["type"] == "file_search_call" and item["results"]
    ]


def _room(store: Store, tool: Mapping[str, Any]) -> str:
    container = tool.get("container")
    return container if isinstance(container, str) else make(store, "auto")["id"]


def _results(store: Store, tool: Mapping[str, Any]) -> list[Json]:
    results: list[Json] = []
    for vector_store in tool.get("vector_store_ids") or ():
        for row in store.vector_files(vector_store):
            text = store.contents[row["id"]].decode("utf-8", "replace")[:200]
            file = {"file_id": row["id"], "filename": store.files.get(row["id"])["filename"]}
            results.append({**file, "score": 0.9, "text": text, "attributes": row["attributes"]})
    return results
