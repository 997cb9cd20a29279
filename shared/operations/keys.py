"""Keys: made, listed, changed, rotated, revoked. A key's text is told once, when it is made; its digest is kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.adapters.key_rows import KeyRecord, KeySecret
from shared.adapters.key_store import TableKeys, Unreadable
from shared.auth import KEY_BYTES, key_digest, new_key, shown
from shared.errors import ApiError
from shared.operations.allowances import allowance, assign, check_free, doubts, iso, page, unreadable
from shared.operations.key_forms import (
    SHOWN_ID,
    KeyAsked,
    KeyCreate,
    KeyFields,
    KeyMade,
    KeyRotate,
    KeysAsked,
    KeysTold,
    KeyTold,
    KeyUpdate,
    key_fields,
    moment,
    span,
    state_of,
)
from shared.operations.operation import Actor, Desk, Operation
from shared.principals import Principal

_KEPT_SECRETS = 8


async def create(asked: KeyCreate, _: Actor, desk: Desk) -> KeyMade:
    keys, now = _store(desk), desk.clock()
    text, secret = _new_secret(desk, now)
    principal = Principal(
        key_id=secret.digest,
        name=asked.name,
        team=asked.team,
        allowance=allowance(asked),
        expires_at=moment(asked.expires, now),
        prefix=secret.prefix,
        created_at=now,
        tags=tuple(asked.tags or ()),
        metadata=asked.metadata or {},
    )
    await check_free(keys, asked.entra)
    warnings = await _doubts(asked, asked.team, keys, desk)
    if twins := await keys.named(asked.name):
        warnings.append(f"name: {len(twins)} other keys have this name too; name them by their ids.")
    if principal.expires_at is not None and principal.expires_at <= now:
        warnings.append("expires: that is over already, so that the key does not work.")
    record = await keys.put_key(principal, entra=tuple(asked.entra or ()))
    await assign(keys, record)
    return KeyMade(**await _fields(keys, record, now, warnings), key=text)


async def list_keys(asked: KeysAsked, _: Actor, desk: Desk) -> KeysTold:
    keys, now = _store(desk), desk.clock()
    disabled = {team.name for team in await keys.all_teams() if team.disabled}
    rows: list[KeyTold] = []
    names: list[str] = []
    for record in await keys.records():
        key = record.principal
        state = state_of(record, now, disabled)
        ends = asked.expiring_in is None or (
            state == "active" and key.expires_at is not None and key.expires_at <= now + asked.expiring_in * 86_400
        )
        if ends and asked.team in ("", key.team) and asked.state in (None, state):
            rows.append(KeyTold(**key_fields(record, now, state)))
            names.append(f"{key.created_at:020.6f}-{key.key_id}")
    found, end = page(rows, names, asked.limit, asked.cursor)
    return KeysTold(rows=found, next=end)


async def show(asked: KeyAsked, _: Actor, desk: Desk) -> KeyTold:
    keys = _store(desk)
    return KeyTold(**await _fields(keys, await find(keys, asked.key, desk), desk.clock()))


async def update(asked: KeyUpdate, _: Actor, desk: Desk) -> KeyTold:
    keys, now = _store(desk), desk.clock()
    found = await find(keys, asked.key, desk)
    await check_free(keys, asked.entra, key_id=found.principal.key_id)
    given = asked.model_fields_set

    def edit(record: KeyRecord) -> KeyRecord:
        changed: dict[str, Any] = {"allowance": allowance(asked, record.principal.allowance)}
        if asked.name is not None:
            changed["name"] = asked.name
        if "team" in given:
            changed["team"] = asked.team or ""
        if "expires" in given:
            changed["expires_at"] = moment(asked.expires, now)
        if "tags" in given:
            changed["tags"] = tuple(asked.tags or ())
        if "metadata" in given:
            changed["metadata"] = asked.metadata or {}
        entra = tuple(asked.entra or ()) if "entra" in given else record.entra
        return replace(record, principal=replace(record.principal, **changed), entra=entra)

    record = await _changed(keys, found, edit)
    await assign(keys, record)
    warnings = await _doubts(asked, asked.team or "", keys, desk)
    return KeyTold(**await _fields(keys, record, now, warnings))


async def rotate(asked: KeyRotate, _: Actor, desk: Desk) -> KeyMade:
    keys, now = _store(desk), desk.clock()
    found = await find(keys, asked.key, desk)
    text, made = _new_secret(desk, now)
    made, ends = replace(made, rotation_id=asked.rotation_id), now + span(asked.overlap)

    def edit(record: KeyRecord) -> KeyRecord:
        _check_active(record, now)
        done = [s for s in record.secrets if s.rotation_id and s.rotation_id == asked.rotation_id]
        if done:
            raise _done(done[0])
        live = [secret for secret in record.secrets if secret.live(now)]
        ended = [replace(secret, expires_at=now) for secret in live[:-1]]
        last = [replace(s, expires_at=min(ends, s.expires_at or ends)) for s in live[-1:]]
        over = [secret for secret in record.secrets if not secret.live(now)]
        kept = (*over, *ended, *last, made)[-_KEPT_SECRETS:]
        return replace(record, secrets=kept, principal=replace(record.principal, prefix=made.prefix))

    edit(found)  # refuse before anything is written
    await keys.put_secret(made.digest, found.principal.key_id)
    record = await _changed(keys, found, edit)
    expires = record.principal.expires_at
    warnings: list[str] = []
    if expires is not None and expires <= now + 30 * 86_400:
        warnings.append(
            f"expires: the key itself ends at {iso(expires)}, with all its secrets; keys update changes that."
        )
    return KeyMade(**await _fields(keys, record, now, warnings), key=text)


async def revoke(asked: KeyAsked, _: Actor, desk: Desk) -> KeyTold:
    keys = _store(desk)
    found = await find(keys, asked.key, desk)
    record = await keys.disable_key(found.principal.key_id)
    if record is None:
        raise no_such_key()
    seconds = desk.settings.key_cache_seconds
    warnings = [f"The key ends within {seconds:g} s, for so long instances know it (KEY_CACHE_SECONDS)."]
    return KeyTold(**await _fields(keys, record, desk.clock(), warnings))


async def find(keys: TableKeys, given: str, desk: Desk) -> KeyRecord:
    """The key that is named by its secret, its id or its name. Raises ApiError 404, 409."""
    if given.startswith("sk-"):
        owner = await keys.owner_of(key_digest(desk.settings.key_pepper.reveal().encode(), given))
        found = [record] if owner and (record := await keys.record(owner)) else []
    else:
        found = await keys.beginning(given) or await keys.named(given)
    if not found:
        raise no_such_key()
    if len(found) > 1:
        ids = ", ".join(r.principal.key_id[:SHOWN_ID] for r in found)
        raise ApiError(
            409, f"{len(found)} keys are called {given!r}: name one by its id ({ids}).", code="key_ambiguous",
            param="key",
        )  # fmt: skip
    return found[0]


def no_such_key() -> ApiError:
    return ApiError(404, "No such key. 'keys list' (GET /manage/keys) shows all.", code="key_not_found", param="key")


def _store(desk: Desk) -> TableKeys:
    return TableKeys(desk.tables, desk.log)


def _new_secret(desk: Desk, now: float) -> tuple[str, KeySecret]:
    text = new_key(secrets.token_bytes(KEY_BYTES))
    return text, KeySecret(key_digest(desk.settings.key_pepper.reveal().encode(), text), shown(text), now)


async def _fields(keys: TableKeys, record: KeyRecord, now: float, warnings: list[str] | None = None) -> dict[str, Any]:
    team = await keys.get_team(record.principal.team) if record.principal.team else None
    disabled = {team.name} if team and team.disabled else set[str]()
    return key_fields(record, now, state_of(record, now, disabled), warnings)


async def _doubts(asked: KeyFields, team: str, keys: TableKeys, desk: Desk) -> list[str]:
    found = await doubts(asked, desk)
    teams = {one.name: one for one in await keys.all_teams()} if team else {}
    if team and team not in teams:
        if teams:
            found.append(f"team: {team} has no record, so that only the key's own limits hold (teams create).")
    elif team and teams[team].disabled:
        found.append(f"team: {team} is disabled, so that the key does not work.")
    return found


async def _changed(keys: TableKeys, found: KeyRecord, edit: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
    try:
        record = await keys.change_key(found.principal.key_id, edit)
    except Unreadable as error:
        raise unreadable("key", found.principal.name, str(error), "Revoke it and make another.") from error
    if record is None:
        raise no_such_key()
    return record


def _check_active(record: KeyRecord, now: float) -> None:
    key = record.principal
    if record.fault:
        raise unreadable("key", key.name, record.fault, "Revoke it and make another.")
    if key.disabled:
        raise ApiError(409, "The key is revoked. Make another: keys create.", code="key_not_active", param="key")
    if key.expires_at is not None and key.expires_at <= now:
        raise ApiError(
            409, "The key has expired. Give it a new end first: keys update KEY --expires 90d.", code="key_not_active",
            param="key",
        )  # fmt: skip


def _done(secret: KeySecret) -> ApiError:
    return ApiError(
        409,
        f"This rotation was done at {iso(secret.created_at)} and made {secret.prefix}, which was shown then and only "
        "then. If it is lost, rotate again with another rotation_id.",
        code="rotation_done",
        param="rotation_id",
    )


_ALL = (
    "id", "name", "team", "state", "models", "endpoints", "rpm", "tpm", "parallel", "budgets", "shadow", "tags",
    "entra", "metadata", "secrets", "expires", "created",
)  # fmt: skip
_COLUMNS = ("id", "name", "team", "prefix", "state", "models", "expires", "created")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "keys_create", "POST", "keys", "Make a key and show it, once.", KeyCreate, KeyMade, create, _COLUMNS,
        "--name ci --team data --models gpt-4o --rpm 60 --budgets day=5,month=100 --expires 90d",
    ),
    Operation(
        "keys_list", "GET", "keys", "All keys, without their secrets.", KeysAsked, KeysTold, list_keys, _COLUMNS,
        "--team data --expiring-in 14",
    ),
    Operation("keys_show", "GET", "keys/{key}", "One key and its limits.", KeyAsked, KeyTold, show, _ALL, "ci"),
    Operation(
        "keys_update", "PATCH", "keys/{key}", "Change a key; what is not named stays, `none` takes a limit away.",
        KeyUpdate, KeyTold, update, _ALL, "ci --tpm 200000 --rpm none --expires 180d",
    ),
    Operation(
        "keys_rotate", "POST", "keys/{key}/rotate", "Make a new secret for a key; the old one works on for a while.",
        KeyRotate, KeyMade, rotate, _COLUMNS, "ci --overlap 7d --rotation-id 2027-q1",
    ),
    Operation(
        "keys_revoke", "POST", "keys/{key}/revoke", "End a key with all its secrets, within KEY_CACHE_SECONDS.",
        KeyAsked, KeyTold, revoke, _COLUMNS, "ci",
    ),
)  # fmt: skip
