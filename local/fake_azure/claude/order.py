"""The rules about messages and their blocks: what a block has to have, and what has to follow what.

Owns the wording of each. The signature of a thinking block is checked: a block that was changed is refused.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ApiError
from .conversation import Block, blocks_of, is_base64
from .errors import invalid, required

_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_RESULT_RULE = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
_USE_RULE = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."


def signature_of(thinking: str) -> str:
    """What stands under a thinking block. Empty thinking, which was left out, has one as well."""
    return base64.b64encode(hashlib.sha512(f"signed by Claude: {thinking}".encode()).digest()).decode()


# Blocks.


def check_blocks(messages: Sequence[Any]) -> ApiError | None:
    for place, message in enumerate(messages):
        path = f"messages.{place}"
        if not isinstance(message, dict):
            return invalid(f"{path}: Input should be a valid dictionary")
        for name in ("role", "content"):
            if name not in message:
                return required(f"{path}.{name}")
        if message["role"] == "system":
            return invalid(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
                '"system" as an input message role.'
            )
        if message["role"] not in ("user", "assistant"):
            return invalid(f"{path}.role: Input should be 'user' or 'assistant'")
        if not isinstance(message["content"], str | list):
            return invalid(f"{path}.content: Input should be a valid list")
        for number, block in enumerate(blocks_of(message["content"])):
            problem = _check_block(f"{path}.content.{number}", message["role"], block)
            if problem is not None:
                return problem
    return None


def _check_block(path: str, role: str, block: Any) -> ApiError | None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind is None:
        return required(f"{path}.type")
    check = _BLOCKS.get(kind)
    if check is None:
        tags = ", ".join(f"'{known}'" for known in _BLOCKS)
        return invalid(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    if role == "user" and kind in ("tool_use", "thinking", "redacted_thinking"):
        return invalid(f"{path}: `{kind}` blocks can only be in `assistant` messages")
    if role == "assistant" and kind in ("tool_result", "image", "document"):
        return invalid(f"{path}: `{kind}` blocks can only be in `user` messages")
    return check(f"{path}.{kind}", block)


def _text(path: str, block: Block) -> ApiError | None:
    if not isinstance(block.get("text"), str):
        return required(f"{path}.text")
    return None if block["text"] else invalid("messages: text content blocks must be non-empty")


def _image(path: str, block: Block) -> ApiError | None:
    source = block.get("source")
    if not isinstance(source, dict):
        return required(f"{path}.source")
    match source.get("type"):
        case "base64":
            if source.get("media_type") not in _IMAGE_TYPES:
                known = ", ".join(f"'{kind}'" for kind in _IMAGE_TYPES)
                return invalid(f"{path}.source.base64.media_type: Input should be {known}")
            if not is_base64(source.get("data")):
                return invalid(f"{path}.source.base64.data: Could not process image")
            return None
        case "url":
            return None if source.get("url") else required(f"{path}.source.url.url")
        case "file":
            return None if source.get("file_id") else required(f"{path}.source.file.file_id")
        case kind:
            return invalid(
                f"{path}.source: Input tag '{kind}' does not match any of the expected tags: 'base64', 'url'"
            )


def _document(path: str, block: Block) -> ApiError | None:
    source = block.get("source")
    if not isinstance(source, dict):
        return required(f"{path}.source")
    match source.get("type"):
        case "base64":
            if source.get("media_type") != "application/pdf":
                return invalid(f"{path}.source.base64.media_type: Input should be 'application/pdf'")
            ok = is_base64(source.get("data"))
            return None if ok else invalid(f"{path}.source.base64.data: The PDF specified was not valid.")
        case "text":
            return None if isinstance(source.get("data"), str) else required(f"{path}.source.text.data")
        case "url" | "file" | "content":
            return None
        case kind:
            tags = "'base64', 'content', 'text', 'url'"
            return invalid(f"{path}.source: Input tag '{kind}' does not match any of the expected tags: {tags}")


def _tool_use(path: str, block: Block) -> ApiError | None:
    for name in ("id", "name", "input"):
        if name not in block:
            return required(f"{path}.{name}")
    return None if isinstance(block["input"], dict) else invalid(f"{path}.input: Input should be a valid dictionary")


def _tool_result(path: str, block: Block) -> ApiError | None:
    return None if block.get("tool_use_id") else required(f"{path}.tool_use_id")


def _thinking(path: str, block: Block) -> ApiError | None:
    for name in ("thinking", "signature"):
        if not isinstance(block.get(name), str):
            return required(f"{path}.{name}")
    # A block whose text was left out is signed for the text that it had: it is taken as it is.
    if block["thinking"] and block["signature"] != signature_of(block["thinking"]):
        return invalid(f"{path.removesuffix('.thinking')}: Invalid `signature` in `thinking` block")
    return None


def _anything(_path: str, _block: Block) -> ApiError | None:
    return None


_BLOCKS: dict[str, Callable[[str, Block], ApiError | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _anything,
    "search_result": _anything,
    "server_tool_use": _anything,
    "web_search_tool_result": _anything,
}


# Order.


def check_order(messages: Sequence[Block], *, thinking: bool) -> ApiError | None:
    if not messages:
        return invalid("messages: at least one message is required")
    if messages[0]["role"] != "user":
        return invalid('messages: first message must use the "user" role')
    for place, message in enumerate(messages):
        last = place == len(messages) - 1
        if not message["content"] and not (last and message["role"] == "assistant"):
            rule = "all messages must have non-empty content except for the optional final assistant message"
            return invalid(f"messages.{place}: {rule}")
        problem = _check_results(messages, place) or _check_uses(messages, place)
        if problem is not None:
            return problem
    return _check_last(messages) or (_check_thinking(messages) if thinking else None)


def _ids(message: Block, kind: str, key: str) -> list[str]:
    return [str(block[key]) for block in blocks_of(message["content"]) if block.get("type") == kind]


def _check_uses(messages: Sequence[Block], place: int) -> ApiError | None:
    """Every call is answered, at the beginning of the next message."""
    called = _ids(messages[place], "tool_use", "id")
    following = messages[place + 1] if place + 1 < len(messages) else {"content": []}
    first: list[str] = []
    for block in blocks_of(following["content"]):
        if block.get("type") != "tool_result":
            break
        first.append(str(block["tool_use_id"]))
    unanswered = [identity for identity in called if identity not in first]
    if not unanswered:
        return None
    found = "`tool_use` ids were found without `tool_result` blocks immediately after"
    return invalid(f"messages.{place}: {found}: {', '.join(unanswered)}. {_RESULT_RULE}")


def _check_results(messages: Sequence[Block], place: int) -> ApiError | None:
    before = messages[place - 1] if place else {"content": []}
    called = _ids(before, "tool_use", "id")
    for number, block in enumerate(blocks_of(messages[place]["content"])):
        if block.get("type") == "tool_result" and block["tool_use_id"] not in called:
            found = f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}"
            return invalid(f"messages.{place}.content.{number}: {found}. {_USE_RULE}")
    return None


def _check_last(messages: Sequence[Block]) -> ApiError | None:
    last = messages[-1]
    if last["role"] != "assistant" or not last["content"]:
        return None
    block = blocks_of(last["content"])[-1]
    if block.get("type") == "text" and block["text"] != block["text"].rstrip():
        return invalid("messages: final assistant content cannot end with trailing whitespace")
    return None


def _check_thinking(messages: Sequence[Block]) -> ApiError | None:
    """With thinking on, an assistant's turn whose calls are being answered has to begin with its thinking."""
    if not _ids(messages[-1], "tool_result", "tool_use_id"):
        return None
    place = len(messages) - 2
    first = blocks_of(messages[place]["content"])[0].get("type")
    if first in ("thinking", "redacted_thinking"):
        return None
    return invalid(
        f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When "
        "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
        "set of `tool_use` and `tool_result` blocks)."
    )
