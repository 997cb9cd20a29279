"""Claude's prompt cache: what a request writes and what it reads, by its `cache_control` marks.

Owns which prefixes were seen. A prefix shorter than 1024 tokens is not cached, as with the real models.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from .conversation import Conversation, Piece

_SHORTEST = 1_024  # tokens
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Cached:
    """Tokens: neither read nor written ones are in `fresh`."""

    fresh: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class Cache:
    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def look(self, asked: Conversation) -> Cached:
        """What the request reads from the cache and writes to it; it is written at once."""
        read = written_5m = written_1h = reached = 0
        for digest, tokens, long_lived in self._marks(asked):
            if digest in self._seen:
                read, written_5m, written_1h = tokens, 0, 0
            elif long_lived:
                written_1h += tokens - reached
            else:
                written_5m += tokens - reached
            reached = tokens
            self._seen[digest] = None
            self._seen.move_to_end(digest)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return Cached(asked.tokens - reached, read, written_5m, written_1h)

    def _marks(self, asked: Conversation) -> list[tuple[bytes, int, bool]]:
        """Of each marked prefix that is long enough: its digest, its length in tokens, does it live an hour."""
        found: list[tuple[bytes, int, bool]] = []
        digest, tokens = hashlib.sha256(asked.deployment.encode()), 0
        pieces: Sequence[Piece] = asked.pieces
        whole = asked.body.get("cache_control")  # marks the last block that there is
        for place, piece in enumerate(pieces):
            digest.update(piece.material)
            tokens += piece.tokens
            mark = piece.cache or (whole if place == len(pieces) - 1 else None)
            if mark and tokens >= _SHORTEST:
                found.append((digest.digest(), tokens, mark.get("ttl") == "1h"))
        return found
