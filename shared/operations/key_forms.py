"""How keys are asked for and told: the words of the operations on keys, and what they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from shared.adapters.key_rows import KeyRecord
from shared.operations.allowances import NONE, LimitsAsked, LimitsTold, iso, limits_told, team_name
from shared.operations.operation import Asked, Told
from shared.tagging import MOST_CHARACTERS, MOST_TAGS

State = Literal["active", "expired", "revoked", "team_disabled", "unreadable"]
SHOWN_ID = 12
"""Characters of an id that are shown, and under which ledger and usage are found."""
_SPAN = re.compile(r"(\d{1,5})([dhm])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_KEY = Field(description="The key's id (6 characters at least), its name if only one has it, or the key itself.")


class NewKey(Asked):
    name: str = Field(min_length=1, max_length=200, description="What the key is for; shown in reports.")
    team: str = Field("", description="Who pays. A team needs a record only if it has limits of its own.")

    @field_validator("team")
    @classmethod
    def _team(cls, value: str) -> str:
        return "" if value == NONE else team_name(value)


class KeyFields(LimitsAsked):
    expires: str | None = Field(
        None, description="When it ends: 90d, 12h, or a date such as 2027-03-31 (its end, UTC); none: never."
    )
    tags: list[str] | None = Field(
        None, max_length=MOST_TAGS, description="Tags that every call of the key gets in the ledger; none: no tags."
    )

    @field_validator("expires")
    @classmethod
    def _when(cls, value: str | None) -> str | None:
        moment(value, 0.0)
        return value

    @field_validator("tags")
    @classmethod
    def _short(cls, value: list[str] | None) -> list[str] | None:
        if any(not 0 < len(tag) <= MOST_CHARACTERS or "," in tag for tag in value or ()):
            raise ValueError(f"a tag has 1 to {MOST_CHARACTERS} characters and no comma")
        return value


class KeyCreate(KeyFields, NewKey):
    """The name comes first."""


class KeyUpdate(KeyFields):
    key: str = _KEY
    name: str | None = Field(None, min_length=1, max_length=200, description="What the key is for.")
    team: str | None = Field(
        None, description="Who pays from now on; none: no team. Files and other objects stay with the old team."
    )

    @field_validator("team")
    @classmethod
    def _team(cls, value: str | None) -> str | None:
        return None if value is None else team_name(value)


class KeyAsked(Asked):
    key: str = _KEY


class KeyRotate(KeyAsked):
    overlap: str = Field(
        "24h", description="How long the old secret still works: 24h, 7d, 30m, or 0 to end it at once."
    )
    rotation_id: str = Field(
        "", max_length=100, description="A text of your own: a rotation that is repeated with it makes no third secret."
    )

    @field_validator("overlap")
    @classmethod
    def _span(cls, value: str) -> str:
        span(value)
        return value


class KeysAsked(Asked):
    team: str = Field("", description="Only keys of this team.")
    state: State | None = Field(None, description="Only keys in this state.")
    expiring_in: int | None = Field(None, ge=0, le=3650, description="Only active keys that end within so many days.")
    limit: int = Field(100, ge=1, le=1000, description="Rows of one page, 1 to 1000.")
    cursor: str = Field("", description="Where the page begins: `next` of the page before.")


class SecretTold(Told):
    prefix: str = Field(description="What may be shown of it.")
    created: str = Field(description="ISO 8601, UTC.")
    expires: str = Field(description="When it ends; empty: with the key.")


class KeyHead(Told):
    id: str = Field(description="Stays when the key is rotated.")
    name: str = Field(description="What the key is for.")
    team: str = Field(description="Who pays; empty: no team.")
    prefix: str = Field(description="What may be shown of its newest secret.")
    state: State = Field(description="team_disabled: its team is; unreadable: its row cannot be understood.")
    expires: str = Field(description="ISO 8601, UTC; empty: never.")


class KeyTold(LimitsTold, KeyHead):
    """The name comes first."""

    tags: list[str] = Field(description="Tags that every call of the key gets.")
    secrets: list[SecretTold] = Field(description="The secrets that work now: two while a rotation overlaps.")


class KeyMade(KeyTold):
    key: str = Field(description="The key itself. It is shown this once.", json_schema_extra={"secret": True})


class KeysTold(Told):
    rows: list[KeyTold] = Field(description="The oldest first.")
    next: str = Field(description="The cursor of the next page; empty: there is none.")


def key_fields(record: KeyRecord, now: float, state: State, warnings: list[str] | None = None) -> dict[str, Any]:
    """The fields of KeyTold."""
    key = record.principal
    live = [secret for secret in record.secrets if secret.live(now)]
    return {
        **limits_told(key.allowance, key.metadata, record.entra, key.created_at),
        "id": key.key_id[:SHOWN_ID],
        "name": key.name,
        "team": key.team,
        "prefix": key.prefix,
        "state": state,
        "expires": iso(key.expires_at),
        "tags": list(key.tags),
        "secrets": [SecretTold(prefix=s.prefix, created=iso(s.created_at), expires=iso(s.expires_at)) for s in live],
        "warnings": [*(warnings or ()), *([f"Its row cannot be understood: {record.fault}"] if record.fault else ())],
    }


def state_of(record: KeyRecord, now: float, disabled_teams: set[str]) -> State:
    key = record.principal
    if record.fault:
        return "unreadable"
    if key.disabled:
        return "revoked"
    if (key.expires_at is not None and key.expires_at <= now) or not any(s.live(now) for s in record.secrets):
        return "expired"
    return "team_disabled" if key.team in disabled_teams else "active"


def is_active(record: KeyRecord, now: float) -> bool:
    return state_of(record, now, set()) == "active"


def moment(text: str | None, now: float) -> float | None:
    """90d, 12h, 30m, a date (its end, UTC) or a time as Unix seconds; None for nothing. Raises ValueError."""
    if not text or text == NONE:
        return None
    if found := _SPAN.fullmatch(text):
        return now + int(found[1]) * _SECONDS[found[2]]
    try:
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        whole_day = "T" not in text and " " not in text
        return max(when.timestamp() + (86_400 if whole_day else 0), 1.0)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r}: write 90d, 12h or a date such as 2027-03-31") from None


def span(text: str) -> float:
    """24h, 7d, 30m or 0 in seconds. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None and text != "0":
        raise ValueError(f"{text!r}: write 24h, 7d, 30m, or 0")
    return float(int(found[1]) * _SECONDS[found[2]]) if found else 0.0
