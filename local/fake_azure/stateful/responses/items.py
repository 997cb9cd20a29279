"""The items of an input: completed with ids, references followed, sealed content opened, all of them checked.

Owns what an input may refer to. What a model reads of it is `reading.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ...errors import ApiError, invalid
from ...store import Json, Shelf, Store, unknown
from .. import ids
from .sealed import Seal

_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "compaction": "cmp_",
    "file_search_call": "fs_",
    "web_search_call": "ws_",
    "code_interpreter_call": "ci_",
    "image_generation_call": "ig_",
    "computer_call": "cu_",
    "computer_call_output": "cuo_",
    "local_shell_call": "lsh_",
    "local_shell_call_output": "lsho_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "mcp_approval_response": "mcpa_",
}
_PARTS = ("input_text", "input_image", "input_file", "input_audio", "output_text", "refusal", "text", "summary_text")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def unknown_item(item_id: str) -> ApiError:
    message = (
        "Item with id 'ID' not found. Items are not persisted when `store` is set to false. Try again with `store` set "
        "to true, or remove this item from your input."
    )
    return unknown(message, param="input")(item_id)


class Intake:
    """What a resource knows when it takes in items."""

    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self.kept = Shelf[Json](unknown_item)  # every item of a stored response or of a conversation

    def take(self, given: Any) -> list[Json]:
        """`input` as items; raises what Azure says of an item that it cannot take."""
        if given is None:
            return []
        if isinstance(given, str):
            return [_message({"role": "user", "content": given})]
        return [self._item(item, f"input[{place}]") for place, item in enumerate(given)]

    def keep(self, items: Sequence[Json]) -> None:
        for item in items:
            self.kept.put(item["id"], item)

    def forget(self, items: Sequence[Json]) -> None:
        for item in items:
            if item["id"] in self.kept:
                self.kept.remove(item["id"])

    def compacted(self, item: Json) -> list[Json]:
        """The items that a compaction stands for."""
        payload = self._seal.open(item["encrypted_content"]) or b"[]"
        return orjson.loads(payload)

    def _item(self, given: Any, where: str) -> Json:
        if not isinstance(given, dict):
            raise invalid(f"Invalid type for '{where}': expected an object.", where, "invalid_type")
        kind = given.get("type") or ("message" if "role" in given else "item_reference")
        if kind == "item_reference":
            return self.kept.get(str(given.get("id")))
        if kind not in _PREFIXES:
            supported = ", ".join(f"'{name}'" for name in _PREFIXES)
            message = f"Invalid value: '{kind}'. Supported values are: {supported}."
            raise invalid(message, f"{where}.type", "invalid_value")
        item = _message(given, where) if kind == "message" else {**given, "type": kind}
        item["id"] = given.get("id") or ids.hexed(_PREFIXES[kind])
        if kind in (*_CALLS, *_OUTPUTS) and not isinstance(item.get("call_id"), str):
            where = f"{where}.call_id"
            raise invalid(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
        self._check_sealed(item, given)
        self._check_files(item)
        return item

    def _check_sealed(self, item: Json, given: Mapping[str, Any]) -> None:
        if item["type"] not in ("reasoning", "compaction"):
            return
        token = item.get("encrypted_content")
        if token is None:
            if given.get("id") not in self.kept:
                raise unknown_item(str(given.get("id")))
        elif self._seal.open(str(token)) is None:
            shown = f"{str(token)[:4]}...{str(token)[-4:]}"  # as users of Azure report it (2025-11 to 2026-05)
            message = (
                f"The encrypted content {shown} could not be verified. Reason: Encrypted content could not be "
                "decrypted or parsed."
            )
            raise invalid(message, None, "invalid_encrypted_content")

    def _check_files(self, item: Json) -> None:
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("file_id") and part["file_id"] not in self._store.files:
                raise invalid(f"File with id '{part['file_id']}' not found.", "input", "file_not_found")


def _message(given: Mapping[str, Any], where: str = "input") -> Json:
    role, content = given.get("role"), given.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        message = f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        raise invalid(message, f"{where}.role", "invalid_value")
    parts = _parts(content, str(role), where)
    return {"id": ids.hexed("msg_"), "type": "message", "status": "completed", "content": parts, "role": role}


def _parts(content: Any, role: str, where: str) -> list[Json]:
    if isinstance(content, str):
        if role == "assistant":
            return [{"type": "output_text", "text": content, "annotations": [], "logprobs": []}]
        return [{"type": "input_text", "text": content}]
    if not isinstance(content, list):
        raise invalid(
            f"Missing required parameter: '{where}.content'.", f"{where}.content", "missing_required_parameter"
        )
    for place, part in enumerate(content):
        known = part.get("type") if isinstance(part, dict) else part
        if not isinstance(part, dict) or known not in _PARTS:
            supported = ", ".join(f"'{name}'" for name in _PARTS)
            message = f"Invalid value: '{known}'. Supported values are: {supported}."
            raise invalid(message, f"{where}.content[{place}]", "invalid_value")
    return content


def check_calls(context: Sequence[Json]) -> None:
    """Every output answers a call, and every call is answered, once the model is to read it."""
    called = {item["call_id"] for item in context if item["type"] in _CALLS}
    answered = {item["call_id"] for item in context if item["type"] in _OUTPUTS}
    for call_id in answered - called:
        raise invalid(f"No tool call found for function call output with call_id {call_id}.", "input")
    for call_id in called - answered:
        raise invalid(f"No tool output found for function call {call_id}.", "input")
