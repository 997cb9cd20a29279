"""Reads a Messages request: what is said in it, as the chat module understands it, and what it costs in tokens.

Owns the meaning of blocks, not what is wrong with them (`rules.py`). Nothing here fails on a request that was let in.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from ..chat.prompt import IMAGE_TOKENS
from ..chat.request import ChatRequest
from ..chat.tokenizer import split
from ..models import Model

Json = dict[str, Any]
Block = Mapping[str, Any]

_PDF_TOKENS = 1_500
_FRAME_TOKENS = 3  # of each message


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the prompt in the order in which it is cached: tools, then system, then messages."""

    material: bytes
    tokens: int
    cache: Block | None = None  # its `cache_control`


@dataclass(frozen=True)
class Conversation:
    body: Mapping[str, Any]
    deployment: str
    model: Model

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(self.body.get("stop_sequences") or ())

    @property
    def schema(self) -> Block | None:
        """The schema of a structured answer: of `output_config.format`, or of the beta's `output_format`."""
        wanted = (self.body.get("output_config") or {}).get("format") or self.body.get("output_format") or {}
        return wanted.get("schema") if wanted.get("type") == "json_schema" else None

    @property
    def thinking(self) -> Block | None:
        given = self.body.get("thinking") or {}
        return given if given.get("type") in ("enabled", "adaptive") else None

    @cached_property
    def pieces(self) -> list[Piece]:
        return list(self._pieces())

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @cached_property
    def chat(self) -> ChatRequest:
        """The same request in chat's words, which decide the answer."""
        body: Json = {"messages": list(self._chat_messages())}
        functions = [tool for tool in self.body.get("tools") or () if tool.get("type", "custom") == "custom"]
        choice: Block = self.body.get("tool_choice") or {}
        if functions:
            body["tools"] = [{"type": "function", "function": _function(tool)} for tool in functions]
            forced = {"type": "function", "function": {"name": choice.get("name")}}
            chosen: dict[str, Any] = {"any": "required", "none": "none", "tool": forced}
            body["tool_choice"] = chosen.get(str(choice.get("type")), "auto")
        if choice.get("disable_parallel_tool_use"):
            body["parallel_tool_calls"] = False
        if self.schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": self.schema}}
        return ChatRequest(body, self.deployment, self.model, "models")

    def _chat_messages(self) -> Iterator[Json]:
        for message in self.body.get("messages") or ():
            blocks = blocks_of(message["content"])
            for block in blocks:
                if block.get("type") == "tool_result":
                    yield {"role": "tool", "content": text_of(block.get("content"))}
            parts = [part for block in blocks for part in _chat_parts(block)]
            if parts:
                yield {"role": message["role"], "content": parts}

    def _pieces(self) -> Iterator[Piece]:
        for tool in self.body.get("tools") or ():
            said = orjson.dumps({name: value for name, value in tool.items() if name != "cache_control"})
            yield Piece(b"tool " + said, len(split(said.decode())), tool.get("cache_control"))
        for block in blocks_of(self.body.get("system") or []):
            yield _piece("system", block, 0)
        for message in self.body.get("messages") or ():
            for place, block in enumerate(blocks_of(message["content"])):
                yield _piece(message["role"], block, 0 if place else _FRAME_TOKENS)


def blocks_of(content: Any) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content or ())


def text_of(content: Any) -> str:
    return " ".join(str(block.get("text", "")) for block in blocks_of(content) if block.get("type") == "text")


def _function(tool: Block) -> Json:
    return {"name": tool["name"], "parameters": tool.get("input_schema") or {"type": "object"}}


def _chat_parts(block: Block) -> Iterator[Json]:
    match block.get("type"):
        case "text":
            yield {"type": "text", "text": block["text"]}
        case "image":
            yield {"type": "image_url", "image_url": {"url": "seen"}}
        case "document":
            title = block.get("title") or block["source"].get("media_type") or block["source"].get("type")
            yield {"type": "text", "text": f"[document: {title}]"}
        case _:
            pass


def _piece(role: str, block: Block, frame: int) -> Piece:
    said = orjson.dumps({name: value for name, value in block.items() if name != "cache_control"})
    return Piece(role.encode() + said, frame + _cost(block), block.get("cache_control"))


def _cost(block: Block) -> int:
    match block.get("type"):
        case "text":
            return len(split(block["text"]))
        case "image":
            return IMAGE_TOKENS
        case "document":
            return _document_cost(block["source"])
        case "tool_use":
            return len(split(orjson.dumps(block.get("input")).decode()))
        case "tool_result":
            return sum(_cost(inner) for inner in blocks_of(block.get("content")))
        case _:
            return 0  # earlier thinking is not counted


def _document_cost(source: Block) -> int:
    match source.get("type"):
        case "text":
            return len(split(str(source.get("data"))))
        case "content":
            return sum(_cost(inner) for inner in blocks_of(source.get("content")))
        case _:
            return _PDF_TOKENS


def is_base64(data: Any) -> bool:
    try:
        return isinstance(data, str) and bool(base64.b64decode(data, validate=True))
    except binascii.Error:
        return False
