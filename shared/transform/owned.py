"""Where ids hide in JSON: the one table of places, and what seals or opens the ids in them.

An id is known by the name of its field and by what stands around it, never by its text. Knows nothing of how an
envelope is made (shared/ids.py) nor of routes; ids in paths, queries and headers are the caller's.
Sources: OpenAI's specification of 2026-08-21, Azure's v1 specification, Anthropic's of 2026-01; a test walks them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from shared.ids import Keyring
from shared.types import Json

ID_FIELDS = frozenset(
    "approval_request_id batch_id container container_id conversation conversation_id error_file_id eval_id file_id "
    "file_ids fineTuningJobId fine_tuning_job_id first_id input_file_id item_id job_id last_id output_file_id part_ids "
    "previous_item_id previous_response_id remixed_from_video_id response_id result_files run_id training_file "
    "upload_id validation_file vector_store_id vector_store_ids video_id".split()
)
"""Fields that hold an id, a list of ids, or (`conversation`, `container`) an object with ids in it.

`id` is one as well, except where `_is_plain_id` says no."""

OPAQUE = frozenset(
    "arguments attributes datasource_item embedding env filters headers input_schema innererror item_schema "
    "json_schema logit_bias logprobs metadata model_sample output_schema parameters prompt_filter_results sample "
    "schema session".split()
)
"""What lies below is the client's or the tool's own data, or (`session`) goes to Azure without the gateway."""

_PLAIN_BELOW = frozenset(
    "acknowledged_safety_checks messages pending_safety_checks prompt segments tool_calls voice".split()
)
"""An `id` directly below these opens nothing: a client's correlation, a chat message, a segment of a transcript.

`prompt`: templates are made in a portal; no operation creates or lists them, so the gateway can never have handed out
an envelope of one. They are the operator's, shared like a deployment, and their ids pass as they are."""

_TOOL_USE = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Anthropic's calls of tools: `id` is a correlation, `input` is the tool's own data. Only where such calls stand: what
a request says of its type anywhere else (`"conversation": {"type": "tool_use", "id": …}`) opens no door."""
_CALLS_STAND_BELOW = frozenset({"content", "content_block"})
_OF_MCP = frozenset({"mcp_call", "mcp_list_tools"})
"""Items that repeat what a server of the client's own choice has said. An id in that must not be sealed for it."""
_OF_TALK = frozenset({"audio", "container", "conversation"})
"""Objects whose `id` is one in chats and messages too. Clients echo there what answers of all makers have held: any
other `id` is a correlation."""

_TOLD_BELOW = frozenset({"data", "error", "last_error"})
_ADDRESSES = frozenset({"report_url"})
"""Addresses in Azure's portal. They hold raw ids, and say where the resource is: clients see an empty text."""
_NAMED_IN_TEXT = re.compile(
    r"(?<![\w.-])((?:assistant|batch|cfile|cntr|conv|eval|evalrun|file|ftchkpt|ftckpt|ftevent|ftjob|msg|outputitem|part|"
    r"resp|rs|upload|video|vs|vsfb)[-_])[0-9A-Za-z]{8}[0-9A-Za-z_-]{6,}(?![\w-])"
)
"""Ids in what Azure says of a job or an error, as of 2026-11 ("Completed results file: file-…"): the one place where an
id is known by its text. They are taken out, never sealed: such a text may quote what a client has written, and who
could have any id sealed could open it."""

_STATELESS = ("chat.completion", "text_completion", "model", "realtime.")
"""Beginnings of `object` in answers behind which Azure keeps no state, or state that only Azure itself is asked for."""

type _Path = tuple[str | int, ...]
type _Place = tuple[_Path, Any, str | int]
"""The path of a dict or list, it itself, and the key or index in it that holds an id."""


class Sealer:
    """Seals the ids of one answer or stream; remembers them, for events repeat the same few."""

    def __init__(self, keyring: Keyring, resource: str, owner: str) -> None:
        self._keyring = keyring
        self._resource = resource
        self._owner = owner
        self._known: dict[str, str] = {}

    def __call__(self, upstream_id: str) -> str:
        known = self._known.get(upstream_id)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[upstream_id] = self._keyring.seal(upstream_id, self._resource, self._owner)
        return known


_MOST_KNOWN = 1024


def seal_ids(value: Any, seal: Callable[[str], str]) -> int:
    """Every id in an answer, an event or a list of rows is replaced in place by `seal(id)`. -> how many there were."""
    count = 0
    for _, node, key in _places(value, answer=True):
        if key in _ADDRESSES:
            node[key] = ""
        elif key == "message":
            node[key] = _NAMED_IN_TEXT.sub(lambda found: f"{found[1]}[hidden]", node[key])
        else:
            node[key] = seal(node[key])
        count += 1
    return count


def open_ids(body: Json, open_: Callable[[str], str], *, talk: bool = False) -> Json:
    """-> the request body with every id replaced by `open_(id)`, which raises for what it cannot open.

    Nothing of the client's body is changed: what lies on the way to an id is copied, the rest is shared. `talk`: the
    body is a chat's or a message's.
    """
    copies: dict[_Path, Any] = {}

    def copied(path: _Path) -> Any:
        if path not in copies:
            if path:
                parent = copied(path[:-1])
                copies[path] = parent[path[-1]] = parent[path[-1]].copy()
            else:
                copies[path] = body.copy()
        return copies[path]

    for path, node, key in _places(body, answer=False, talk=talk):
        copied(path)[key] = open_(node[key])
    return copies.get((), body)


def is_id_field(name: str) -> bool:
    """Whether a field of a form holds an id: `file_id`, `file_ids[]`, `input_reference[file_id]`, `video[id]`."""
    steps = [step for step in name.replace("]", "").split("[") if step]
    return bool(steps) and (steps[-1] == "id" or name == "video" or not ID_FIELDS.isdisjoint(steps))


def _places(value: Any, *, answer: bool, talk: bool = False) -> Iterator[_Place]:
    """Every place of an id below `value`. Without recursion: an upstream's answer may be of any depth."""
    todo: list[tuple[_Path, str, Any]] = [((), "", value)]  # path, the field that it stands in, what stands there
    while todo:
        path, below, node = todo.pop()
        if isinstance(node, list):
            holds_ids = below in ID_FIELDS or (below == "id" and not (talk and _OF_TALK.isdisjoint(path[-2:-1])))
            for index, item in enumerate(node):
                if isinstance(item, (dict, list)):
                    todo.append(((*path, index), below, item))
                elif item and isinstance(item, str) and holds_ids:
                    yield path, node, index
            continue
        if not isinstance(node, dict):
            continue
        for name, item in node.items():
            if isinstance(item, (dict, list)):
                todo.extend(_inside(path, name, item, node, below))
            elif item and isinstance(item, str) and _holds_id(name, node, below, answer, talk):
                yield path, node, name


def _inside(path: _Path, name: str, item: Any, node: Json, below: str) -> Iterator[tuple[_Path, str, Any]]:
    """What of the field `name` of `node` is to be walked."""
    if name == "variables" and isinstance(item, dict):  # a prompt's: the names are free, files are parts below them
        for variable, part in item.items():
            yield (*path, name, variable), "", part
    elif not _is_opaque(name, item, node, below):
        yield (*path, name), name, item


def _is_opaque(name: str, item: Any, node: Json, below: str) -> bool:
    if name in OPAQUE or name.startswith("content_filter"):
        return True
    if name == "annotations":  # a list holds citations; an object is what an MCP server says of its tool
        return isinstance(item, dict)
    if name in ("tools", "error"):
        return _kind(node) in _OF_MCP
    if name == "content":  # an evaluation's rows, given inline; what a remote tool says of its failure
        return _kind(node) in ("file_content", "mcp_tool_execution_error")
    if name == "item":  # the row that a grader is tried on
        return "grader" in node
    return name == "input" and _is_call(node, below)


def _holds_id(name: str, node: Json, below: str, answer: bool, talk: bool) -> bool:
    if name == "id":
        return below in _OF_TALK if talk else not _is_plain_id(node, below, answer)
    if name in ID_FIELDS:
        return True
    if name == "message":
        return answer and (below in _TOLD_BELOW or node.get("object") == "fine_tuning.job.event")
    return answer and name in _ADDRESSES


def _is_plain_id(node: Json, below: str, answer: bool) -> bool:
    """Whether the `id` of this object is none that Azure keeps state behind.

    What a request says of itself in other fields may not decide it: an item reference stays one with `choices` added.
    """
    if below in _PLAIN_BELOW or _is_call(node, below):
        return True
    if not answer:
        return False
    return (
        "choices" in node  # completions, chat and text, whole or streamed
        or "stop_reason" in node  # Anthropic's message, which nothing keeps
        or str(node.get("object", "")).startswith(_STATELESS)
        or _kind(node).startswith("transcript.")
    )


def _is_call(node: Json, below: str) -> bool:
    return below in _CALLS_STAND_BELOW and _kind(node) in _TOOL_USE


def _kind(node: Json) -> str:
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


class JsonLineSealer:
    """Seals the ids in a batch's output file, line by line as it streams through. Everything else stays as it is.

    The first line decides: a file that does not begin as such output passes untouched, byte for byte. So does any
    line without ids, any line that is not JSON, and any line above `most` bytes, so that memory is bounded.
    """

    def __init__(self, seal: Callable[[str], str], most: int = 8 * 1024 * 1024) -> None:
        self._seal = seal
        self._most = most
        self._buffer = bytearray()
        self._is_output: bool | None = None
        self._in_long_line = False

    def feed(self, chunk: bytes) -> bytes:
        """-> what can be sent on by now."""
        if self._is_output is False:
            return chunk
        searched = len(self._buffer)
        self._buffer += chunk
        out: list[bytes] = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, searched))) >= 0:
            out.append(self._line(bytes(self._buffer[start : end + 1])))
            start = end + 1
        del self._buffer[:start]
        if self._must_pass():
            out.append(bytes(self._buffer))
            self._buffer.clear()
        return b"".join(out)

    def end(self) -> bytes:
        """-> what is left: a last line without a line end."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return self._line(rest) if rest else b""

    def _must_pass(self) -> bool:
        """Whether what has come of an unfinished line can go on at once."""
        if self._is_output is None and not self._in_long_line:
            begin = bytes(self._buffer[:64]).lstrip()
            self._is_output = False if begin and not begin.startswith(b"{") else None
        if len(self._buffer) > self._most + 1:  # `\r` may be the line's end
            self._in_long_line = True
        return self._is_output is False or self._in_long_line

    def _line(self, line: bytes) -> bytes:
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        is_long, self._in_long_line = self._in_long_line or len(text) > self._most, False
        if is_long or self._is_output is False or not text.strip():
            return line
        row = _output_row(text)
        if self._is_output is None:
            self._is_output = row is not None
        if row is None or not self._seal_row(row):
            return line
        return _dumped(row) + line[len(text) :]

    def _seal_row(self, row: Json) -> bool:
        """Seals the row's own id and those of the answer in it. -> whether there were any."""
        answer = row.get("response")
        body = answer.get("body") if isinstance(answer, dict) else None
        own = row.get("id")
        if isinstance(own, str) and own:
            row["id"] = self._seal(own)
        return seal_ids(body, self._seal) > 0 or row.get("id") != own


def _dumped(row: Json) -> bytes:
    try:
        return orjson.dumps(row)
    except orjson.JSONEncodeError:  # it reads 1024 levels, but writes only 254
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def _output_row(text: bytes) -> Json | None:
    """The line of a batch's output or error file; None for any other, also for a line of a batch's input."""
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    is_output = isinstance(row, dict) and "custom_id" in row and ("response" in row or "error" in row)
    return row if is_output else None
