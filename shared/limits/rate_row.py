"""The row `rate` of a key or a team, which all processes lease requests and tokens from.

win                      the UTC minute since 1970 that the row stands at
requests, tokens         granted in that minute, to all processes together
lessees                  how many processes have been granted something in it
next_…                   the same for the minute after: what is leased ahead
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.limits.lease import Values

BROKEN_CLOCK = 5
"""A row that is so many minutes ahead was written by a clock that is wrong: it is begun anew."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What has been granted in one window."""

    requests: int = 0
    tokens: int = 0
    lessees: int = 0


@dataclass(frozen=True, slots=True)
class RateRow:
    win: int = 0
    now: Cell = Cell()
    next: Cell = Cell()

    @classmethod
    def read(cls, row: Values | None) -> RateRow:
        if row is None:
            return cls()
        cells = [Cell(*(int(row.get(p + n) or 0) for n in ("requests", "tokens", "lessees"))) for p in ("", "next_")]
        return cls(int(row.get("win") or 0), *cells)

    def values(self) -> dict[str, int]:
        now, ahead = self.now, self.next
        return {
            "win": self.win, "requests": now.requests, "tokens": now.tokens, "lessees": now.lessees,
            "next_requests": ahead.requests, "next_tokens": ahead.tokens, "next_lessees": ahead.lessees,
        }  # fmt: skip

    def at(self, win: int) -> RateRow:
        """The row when it is `win` for somebody: it never goes back."""
        if win <= self.win <= win + BROKEN_CLOCK:
            return self
        return RateRow(win, self.next) if win == self.win + 1 else RateRow(win)

    def cell(self, win: int) -> tuple[int, Cell]:
        """-> the window that is leased from when `win` is wanted, of the two that there are."""
        return (self.win + 1, self.next) if win > self.win else (self.win, self.now)

    def granting(self, win: int, cell: Cell) -> RateRow:
        return replace(self, next=cell) if win > self.win else replace(self, now=cell)
