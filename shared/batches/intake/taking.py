"""The checks that an input passes on its way into a blob: its lines, and what only the gateway knows of them. Pure.

Which model a line may name, and whose ids may stand in it, is told by the catalog and the ids' signatures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable

from shared import errors
from shared.batches.intake.lines import BadLine, LineReader
from shared.catalog import Catalog
from shared.errors import ApiError
from shared.objects import HERE, NOWHERE, Registry
from shared.principals import Principal

AT_ONCE = 256 * 1024
"""Bytes that are checked before other calls have their turn: 2 to 5 ms."""

type Late = Callable[[], Awaitable[tuple[str, int]]]
"""-> the alias of lines that name none, and for how many seconds the file is kept (0: as usual). Asked once, when all
of the content has been read: fields of a form may stand behind its file. May raise ApiError."""


class Taking:
    """One input on its way."""

    def __init__(self, catalog: Catalog, registry: Registry, principal: Principal) -> None:
        self._ids = _Ids(registry, principal)
        self.reader = LineReader(self._ids)  # which knows nothing of us: no circle keeps all custom_ids in memory
        self._catalog = catalog
        self._principal = principal
        self._alias = ""

    @property
    def bound(self) -> str:
        """The resource that ids in its lines are kept by; empty: none."""
        return self._ids.bound

    async def checked(self, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The same bytes. Raises BadLine, ApiError."""
        async for piece in content:
            for start in range(0, len(piece), AT_ONCE):
                part = piece[start : start + AT_ONCE]
                self._feed(part)
                yield part
                await asyncio.sleep(0)  # what was read before is being sent meanwhile
        self._end(self.reader.end)

    def settle(self, alias: str) -> str:
        """alias: of lines that name none. -> that of all lines. Raises BadLine."""
        reader = self.reader
        if reader.nameless_line and not (reader.alias or alias):
            raise BadLine(
                reader.nameless_line,
                "missing_required_parameter",
                "'body.model' is missing. Write the model there, or name it by the field 'model' of the upload "
                "(of a dropped file: by its metadata 'model').",
                "body.model",
            )
        if not reader.alias:
            self._check_alias(alias, 0)
        return reader.alias or alias

    def _feed(self, piece: bytes) -> None:
        self._end(lambda: self.reader.feed(piece))

    def _end(self, act: Callable[[], None]) -> None:
        act()
        if self.reader.alias and not self._alias:
            self._alias = self.reader.alias
            self._check_alias(self._alias, self.reader.alias_line)

    def _check_alias(self, alias: str, line: int) -> None:
        refused = None
        if not self._catalog.of(alias):
            refused = errors.model_not_found(alias, "body.model")
        elif not self._principal.may_use(alias):
            refused = errors.model_not_allowed(alias, "body.model")
        if refused is not None:
            raise BadLine(line, refused.code or "", refused.message, refused.param)


class _Ids:
    """The ids in the lines of one input: every one must be the caller's own, and all of one resource."""

    def __init__(self, registry: Registry, principal: Principal) -> None:
        self.bound = ""
        self._registry = registry
        self._principal = principal
        self._known: set[str] = set()

    def __call__(self, public_id: str) -> str:
        """Raises ApiError."""
        if public_id in self._known:
            return public_id
        resource, _ = self._registry.open(public_id, self._principal)
        if resource == HERE:
            raise errors.bad_request(
                "It names a file with the purpose 'batch'. Upload that again with the purpose that the call needs.",
                code="wrong_purpose",
            )
        if resource != NOWHERE:
            if self.bound and resource != self.bound:
                raise errors.bad_request(
                    "What it names by id is kept by another resource than what the lines before name. Write one file "
                    "for each.",
                    code="objects_elsewhere",
                )
            self.bound = resource
        if len(self._known) < _MOST_KNOWN:
            self._known.add(public_id)
        return public_id


_MOST_KNOWN = 10_000


def refused(error: BadLine) -> ApiError:
    """As clients see it."""
    extra = {"line": error.line} if error.line else {}
    return ApiError(error.status, str(error), code=error.code, param=error.param, extra=extra)
