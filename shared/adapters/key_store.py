"""Keys and teams in Table Storage (ports.KeyStore).

    tollgatekeys   secret's digest | secret   which key a secret belongs to
                   key_id          | key      the key itself, with all its secrets
                   digest of a name| entra    which key or team an Entra application or role belongs to
    tollgateteams  quoted name     | team     the team itself

A key's or a team's own row is the truth and is changed by ETag; the others only lead to it and count for nothing that
it does not list. So a rotation or a new assignment is one write, done or not done, whatever becomes of the process.
Partition keys lead with a digest: look-ups spread over the table's servers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from shared.adapters.key_rows import KeyRecord, KeySecret, TeamRecord, key_values, read_key, read_team, team_values
from shared.adapters.tables import Tables, in_filter
from shared.auth import entra_digest
from shared.ports import CallLog, StoreUnavailable
from shared.principals import Principal, Team
from shared.types import Row

KEYS_TABLE = "tollgatekeys"
TEAMS_TABLE = "tollgateteams"
SHORTEST_ID = 6
"""Letters of an id that name a key; less would be a guess."""
_SECRET, _KEY, _ENTRA, _TEAM = "secret", "key", "entra", "team"
_MOST_TRIES = 20


class Unreadable(Exception):
    """A row cannot be understood, and so cannot be changed; it may be disabled or deleted. Its text says why."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What an Entra application or role is assigned to: the one that is there."""

    key: KeyRecord | None = None
    team: TeamRecord | None = None


class TableKeys:
    """All of it raises StoreUnavailable."""

    def __init__(self, tables: Tables, log: CallLog | None = None) -> None:
        """log: is told of rows that cannot be understood."""
        self._tables = tables
        self._log = log

    # What a call asks.

    async def get(self, digest: str) -> Principal | None:
        """ports.KeyStore. The secret's row, the key's (in the same partition for a key's first secret), the team's."""
        found = self._tables.query(KEYS_TABLE, f"PartitionKey eq '{digest}'")
        rows = {str(row["RowKey"]): row async for row in found}
        if _SECRET not in rows:
            return None
        key_id = str(rows[_SECRET].get("key_id", ""))
        record = self._key(rows[_KEY]) if key_id == digest and _KEY in rows else await self.record(key_id)
        if record is None:
            return None
        if record.fault:
            return record.principal
        secret = next((secret for secret in record.secrets if secret.digest == digest), None)
        return await self.with_team(record.by(secret)) if secret else None

    async def with_team(self, principal: Principal) -> Principal:
        """The same with its team's own record, if there is one."""
        team = await self.get_team(principal.team) if principal.team else None
        return replace(principal, of_team=team) if team else principal

    async def bound(self, entra: str) -> Bound | None:
        """What `app:GUID` or `role:NAME` is assigned to."""
        row = await self._tables.get(KEYS_TABLE, _entra_place(entra), _ENTRA)
        if row is None:
            return None
        key = await self.record(str(row["key_id"])) if row.get("key_id") else None
        team = await self.team_record(str(row["team"])) if row.get("team") else None
        owner = key or team
        # one whose row cannot be understood may well list it: its calls are refused, not somebody else's
        return Bound(key, team) if owner and (owner.fault or entra in owner.entra) else None

    # Keys.

    async def record(self, key_id: str) -> KeyRecord | None:
        row = await self._tables.get(KEYS_TABLE, key_id, _KEY)
        return self._key(row) if row else None

    async def records(self) -> list[KeyRecord]:
        """Every key, oldest first."""
        return await self._where(f"RowKey eq '{_KEY}'")

    async def named(self, name: str) -> list[KeyRecord]:
        """Those that can be used and have this name, oldest first."""
        found = await self._where(f"RowKey eq '{_KEY}' and name eq '{in_filter(name)}'")
        return [record for record in found if not record.principal.disabled]

    async def beginning(self, key_id: str) -> list[KeyRecord]:
        """Those whose ids begin so, oldest first; none for less than an id's first SHORTEST_ID letters."""
        if len(key_id) < SHORTEST_ID:
            return []
        start = in_filter(key_id)
        found = await self._where(f"PartitionKey ge '{start}' and PartitionKey lt '{start}~' and RowKey eq '{_KEY}'")
        return [record for record in found if record.principal.key_id.startswith(key_id)]

    async def of_team(self, team: str) -> list[KeyRecord]:
        """Oldest first."""
        return await self._where(f"RowKey eq '{_KEY}' and team eq '{in_filter(team)}'")

    async def _where(self, wanted: str) -> list[KeyRecord]:
        found = [self._key(row) async for row in self._tables.query(KEYS_TABLE, wanted)]
        return sorted(found, key=lambda r: (r.principal.created_at, r.principal.key_id))

    async def all(self) -> list[Principal]:
        """Every key, oldest first, with its team's record."""
        teams = {team.name: team for team in await self.all_teams()}
        return [replace(r.principal, of_team=teams.get(r.principal.team)) for r in await self.records()]

    async def owner_of(self, digest: str) -> str | None:
        """-> the key_id that a secret belongs to, or once did."""
        row = await self._tables.get(KEYS_TABLE, digest, _SECRET)
        return str(row["key_id"]) if row else None

    async def put_key(self, principal: Principal, digest: str = "", entra: tuple[str, ...] = ()) -> KeyRecord:
        """Write a key with one secret; digest: the secret's, where the key's id is not."""
        secret = KeySecret(digest or principal.key_id, principal.prefix, principal.created_at)
        record = KeyRecord(principal, (secret,), entra)
        rows = _pointer(secret.digest, principal.key_id), _key_row(record)
        await self._tables.write(Row(KEYS_TABLE, row) for row in rows)
        return record

    async def put_secret(self, digest: str, key_id: str) -> None:
        """Say which key a secret belongs to; it is good once the key lists it."""
        await self._tables.write([Row(KEYS_TABLE, _pointer(digest, key_id))])

    async def change_key(self, key_id: str, edit: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        """Replace a key by what `edit` makes of it; called anew when somebody else was faster. -> None: no such key.
        Raises Unreadable, and what `edit` raises."""

        def edited(row: dict[str, Any]) -> dict[str, Any]:
            record = _sound(self._key(row))
            return _key_row(edit(record))

        row = await self._change(KEYS_TABLE, key_id, _KEY, edited)
        return read_key(row) if row else None

    async def disable_key(self, key_id: str) -> KeyRecord | None:
        """Also a key whose row cannot be understood."""
        row = await self._change(KEYS_TABLE, key_id, _KEY, lambda row: {**row, "disabled": True})
        return read_key(row) if row else None

    # Teams.

    async def get_team(self, name: str) -> Team | None:
        record = await self.team_record(name)
        return record.team if record else None

    async def team_record(self, name: str) -> TeamRecord | None:
        row = await self._tables.get(TEAMS_TABLE, _quoted(name), _TEAM)
        return self._team(row) if row else None

    async def team_records(self) -> list[TeamRecord]:
        """Every team, by name."""
        found = [self._team(row) async for row in self._tables.query(TEAMS_TABLE, f"RowKey eq '{_TEAM}'")]
        return sorted(found, key=lambda r: r.team.name)

    async def all_teams(self) -> list[Team]:
        return [record.team for record in await self.team_records()]

    async def put_team(self, team: Team, entra: tuple[str, ...] = ()) -> None:
        await self._tables.write([Row(TEAMS_TABLE, _team_row(TeamRecord(team, entra)))])

    async def add_team(self, team: Team, entra: tuple[str, ...] = ()) -> bool:
        """-> False when there is one of that name."""
        row = _team_row(TeamRecord(team, entra))
        if await self._tables.insert(TEAMS_TABLE, row):
            return True
        there = await self._tables.get(TEAMS_TABLE, row["PartitionKey"], _TEAM)
        return there is not None and there.get("change") == row["change"]  # an answer was lost, the row was not

    async def change_team(self, name: str, edit: Callable[[TeamRecord], TeamRecord]) -> TeamRecord | None:
        """As change_key."""

        def edited(row: dict[str, Any]) -> dict[str, Any]:
            record = _sound(self._team(row))
            return _team_row(edit(record))

        row = await self._change(TEAMS_TABLE, _quoted(name), _TEAM, edited)
        return read_team(row) if row else None

    async def delete_team(self, name: str) -> None:
        await self._tables.delete(TEAMS_TABLE, _quoted(name), _TEAM)

    # Entra.

    async def bind(self, entra: str, *, key_id: str = "", team: str = "") -> None:
        """Lead from an Entra application or role to a key or a team, which has to list it as well."""
        row = {"PartitionKey": _entra_place(entra), "RowKey": _ENTRA, "binding": entra, "key_id": key_id, "team": team}
        await self._tables.write([Row(KEYS_TABLE, row)])

    # Rows.

    async def _change(
        self, table: str, partition: str, key: str, edit: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any] | None:
        mark = uuid.uuid4().hex  # tells a write whose answer was lost from somebody else's
        for _ in range(_MOST_TRIES):
            row = await self._tables.get(table, partition, key)
            if row is None or row.get("change") == mark:
                return row
            changed = {**edit(row), "change": mark}
            if await self._tables.replace_if(table, changed, row["etag"]):
                return changed
        raise StoreUnavailable("a row is being changed by too many at once")

    def _key(self, row: dict[str, Any]) -> KeyRecord:
        record = read_key(row)
        self._tell(record.fault, "key", key_id=record.principal.key_id[:12], name=record.principal.name)
        return record

    def _team(self, row: dict[str, Any]) -> TeamRecord:
        record = read_team(row)
        self._tell(record.fault, "team", name=record.team.name)
        return record

    def _tell(self, fault: str, what: str, **fields: str) -> None:
        if fault and self._log:
            self._log.warning(f"a {what} cannot be understood and is refused", fault=fault, **fields)


def _sound[Record: KeyRecord | TeamRecord](record: Record) -> Record:
    if record.fault:
        raise Unreadable(record.fault)
    return record


def _quoted(name: str) -> str:
    """Keys of a table may not hold /, \\, # and ?."""
    return quote(name, safe="")


def _entra_place(entra: str) -> str:
    """entra: `app:GUID` or `role:NAME`."""
    kind, _, name = entra.partition(":")
    return entra_digest(kind, name)


def _key_row(record: KeyRecord) -> dict[str, Any]:
    return {"PartitionKey": record.principal.key_id, "RowKey": _KEY, **key_values(record)}


def _pointer(digest: str, key_id: str) -> dict[str, Any]:
    return {"PartitionKey": digest, "RowKey": _SECRET, "key_id": key_id}


def _team_row(record: TeamRecord) -> dict[str, Any]:
    place = {"PartitionKey": _quoted(record.team.name), "RowKey": _TEAM}
    return {**place, **team_values(record), "change": uuid.uuid4().hex}
