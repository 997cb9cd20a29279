"""Who calls and who pays, and what they may do: keys, teams, their limits and budgets. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Period = Literal["day", "month", "total"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Money for a UTC day, a UTC month or for ever."""

    period: Period
    nanos: int
    """Nano-dollars: 1 USD is 1,000,000,000."""
    hard: bool = True
    """Whether calls are refused once it is used up; a soft one only reports."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key or a team may do, how fast and for how much. None and empty mean: not limited."""

    models: frozenset[str] = frozenset()
    """Aliases."""
    endpoints: frozenset[str] = frozenset()
    """Names of rows of ENDPOINTS, or the first part of their paths: `chat`, `files`, `responses`."""
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    """Calls in flight at once."""
    budgets: tuple[Budget, ...] = ()
    shadow: bool = False
    """Limits and budgets are only reported, nothing is refused."""

    @property
    def limited(self) -> bool:
        return bool(self.rpm is not None or self.tpm is not None or self.parallel is not None or self.budgets)


@dataclass(frozen=True, slots=True)
class Team:
    """Who pays for several keys."""

    name: str
    allowance: Allowance = Allowance()
    contact: str = ""
    """Whom a caller asks who has reached a limit: an address or a channel, as it is shown in the message."""
    disabled: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `key_id` stays when the key's secret is replaced: the digest of its first secret (64 hex digits), or
    of an Entra caller's own name. The secret itself is kept nowhere."""

    key_id: str
    name: str
    team: str = ""
    allowance: Allowance = Allowance()
    of_team: Team | None = None
    """The team's own record, where there is one: its limits hold for all its keys together."""
    expires_at: float | None = None
    disabled: bool = False
    prefix: str = ""
    """What may be shown of the key: its first characters and its last four."""
    created_at: float = 0.0
    tags: tuple[str, ...] = ()
    """Tags that every call of the key gets."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def may_use(self, alias: str) -> bool:
        return _allows(self.allowance.models, alias) and (
            self.of_team is None or _allows(self.of_team.allowance.models, alias)
        )

    def may_call(self, endpoint: str, path: str) -> bool:
        """endpoint: a row of ENDPOINTS; path: the row's path, whose first part names a group of them."""
        group = path.partition("/")[0]
        rules = [self.allowance.endpoints, *([self.of_team.allowance.endpoints] if self.of_team else [])]
        return all(not rule or endpoint in rule or group in rule for rule in rules)

    @property
    def limited(self) -> bool:
        return self.allowance.limited or (self.of_team is not None and self.of_team.allowance.limited)

    @property
    def owner(self) -> str:
        """Who owns what this key makes: its team, so that a key can be replaced, or the key itself."""
        return f"team:{self.team}" if self.team else f"key:{self.key_id}"


def _allows(allowed: frozenset[str], alias: str) -> bool:
    return not allowed or alias in allowed
