"""Results of a dropped file, written beside it: answers, errors, and a summary once both are there.

A file may be dropped again under its name while the one before still runs, and writers may be slow: what was dropped
later stays. Each blob says which batch it is of. Whoever finds one of a newer batch writes that batch's results
instead; whoever has written looks again. So the last one to look sees whatever another one has spoilt, and mends it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from shared.batches.batch import Batch
from shared.batches.dropped.names import ResultNames, result_names
from shared.batches.dropped.summary import errors_of, summary
from shared.batches.files import Files
from shared.batches.ports import BatchRows, BlobFacts, BlobFolder, NoBlob
from shared.objects import HERE, Registry
from shared.ports import CallLog, StoreUnavailable

_PASSES = 6
type Part = Literal["output", "errors", "summary"]
_PARTS: tuple[Part, ...] = ("output", "errors", "summary")
"""In this order, so that who finds a summary finds the rest."""


@dataclass(frozen=True, slots=True)
class DropResults:
    rows: BatchRows
    folder: BlobFolder
    """The container `batches`."""
    files: Files
    registry: Registry
    log: CallLog

    async def write(self, batch: Batch) -> None:
        """Idempotent. Raises StoreUnavailable: then again later."""
        for _ in range(_PASSES):
            result = await self._pass(batch)
            if result is None:
                return
            batch = result
        raise StoreUnavailable("the results of one file are being written by several at once")

    async def _pass(self, batch: Batch) -> Batch | None:
        """Write what is not yet there. -> whose results to go on with; None: all of it was there."""
        names, wrote = result_names(batch.origin), False
        for part in _PARTS:
            there = await self.folder.facts(getattr(names, part))
            if there is not None and (newer := await self._newer(there, batch)):
                return newer
            wrote = await self._written(batch, names, part, there) or wrote
        return batch if wrote else None

    async def _newer(self, there: BlobFacts, batch: Batch) -> Batch | None:
        """The batch that a result is of, when it was dropped after this one."""
        other = there.metadata.get("batch", "")
        if other == batch.id or not other:
            return None
        found = await self.rows.get(other)
        return found if found is not None and _age(found) > _age(batch) else None

    async def _written(self, batch: Batch, names: ResultNames, part: Part, there: BlobFacts | None) -> bool:
        """-> False when there was nothing to do."""
        name: str = getattr(names, part)
        if part == "errors" and not (batch.error_file or batch.errors):
            return there is not None and await self.folder.delete(name, there.etag)
        if there is not None and there.metadata.get("batch") == batch.id:
            return False
        mark = {"batch": batch.id}
        if part == "summary":
            told = summary(batch, names, self.registry.sealer(HERE, batch.payer.principal))
            await self.folder.write(name, _each([told]), "application/json", mark)
        elif part == "errors":
            await self._copy(name, batch.error_file, errors_of(batch), mark)
        else:
            await self._copy(name, batch.output_file, (), mark)
        return True

    async def _copy(self, name: str, file_id: str, otherwise: Iterable[bytes], mark: Mapping[str, str]) -> None:
        try:
            content = self.files.read(file_id) if file_id else _each(otherwise)
            await self.folder.write(name, content, metadata=mark)
        except NoBlob:  # somebody has deleted it: what is to be told without it is told
            self.log.warning("a result of a dropped file is gone", file=file_id)
            await self.folder.write(name, _each(otherwise), metadata=mark)


def _age(batch: Batch) -> tuple[str, float, str]:
    """By when the blob was written, as its batch's id says, then by when it was taken."""
    return batch.id.removeprefix("batch_")[:12], batch.created_at, batch.id


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
