"""What an operator does with keys, on real tables: limits that are never lost, rotations that are never doubled."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from shared.adapters.key_store import KEYS_TABLE
from shared.auth import key_digest
from shared.errors import ApiError
from shared.operations import keys
from shared.operations.asking import understand
from shared.operations.key_forms import KeyCreate, KeyMade, moment, span
from shared.principals import Budget, Principal
from tests.support.acting import caller, do, new_key, refused
from tests.support.desk import TestDesk, desk_at

NOW = 1_790_000_000.0
CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: https://r.openai.azure.com, api_key: k}
"""


def play(azurite: Any, work: Callable[[TestDesk], Awaitable[None]], **settings: str) -> None:
    async def whole() -> None:
        async with desk_at(azurite.connection_string, NOW, CONFIG, **settings) as desk:
            await work(desk)

    asyncio.run(whole())


def test_a_key_is_what_was_asked_for(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        told = await new_key(
            desk, name="näme", team="", models=["gpt-4o"], endpoints=["chat", "files_list"], rpm=60, tpm=1000, parallel=3,
            budgets=["day=5", "month=100.50:soft", "total=0.000000001"], shadow=True, expires="12h", tags=["a", "b c"],
            metadata={"cost-center": "4711"},
        )  # fmt: skip
        principal = await caller(desk, told.key)
        assert principal is not None
        limits = principal.allowance
        assert (limits.models, limits.endpoints) == ({"gpt-4o"}, {"chat", "files_list"})
        assert (limits.rpm, limits.tpm, limits.parallel, limits.shadow) == (60, 1000, 3, True)
        assert limits.budgets == (
            Budget("day", 5_000_000_000), Budget("month", 100_500_000_000, hard=False), Budget("total", 1),
        )  # fmt: skip
        assert (principal.tags, principal.metadata) == (("a", "b c"), {"cost-center": "4711"})
        assert principal.expires_at == NOW + 43_200
        assert (told.id, told.prefix) == (principal.key_id[:12], f"{told.key[:6]}…{told.key[-4:]}")
        assert [b.model_dump() for b in told.budgets] == [
            {"period": "day", "usd": "5", "hard": True},
            {"period": "month", "usd": "100.5", "hard": False},
            {"period": "total", "usd": "0.000000001", "hard": True},
        ]
        assert (told.state, told.created, told.expires) == ("active", "2026-09-21T14:13:20Z", "2026-09-22T02:13:20Z")
        assert await caller(desk, "sk-" + "A" * 43) is None

    play(azurite, work)


def test_an_update_changes_what_it_names_and_nothing_else(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        told = await new_key(desk, rpm=60, tpm=1000, budgets=["day=5"], models=["gpt-4o"], expires="90d", tags=["t"])
        for change, expect in (
            ({"tpm": 2000}, {"tpm": 2000, "rpm": 60}),
            ({"rpm": "none"}, {"rpm": None, "tpm": 2000, "models": ["gpt-4o"]}),
            ({"models": "none"}, {"models": [], "tags": ["t"]}),
            ({"budgets": [{"period": "month", "usd": "7.5", "hard": False}]}, {"tpm": 2000, "tags": ["t"]}),
            ({"budgets": ["none"], "tags": None, "expires": "none"}, {"budgets": [], "tags": [], "expires": ""}),
            ({"metadata": {"a": "1"}, "team": "x"}, {"metadata": {"a": "1"}, "team": "x", "tpm": 2000}),
            ({"metadata": "none", "team": "none"}, {"metadata": {}, "team": "", "tpm": 2000}),
        ):
            answer = await do(desk, "keys_update", key=told.id, **change)
            shown = (await do(desk, "keys_show", key=told.id)).model_dump()
            assert {**answer.model_dump(), "warnings": []} == shown
            assert {name: shown[name] for name in expect} == expect, change

    play(azurite, work)


def test_two_updates_at_once_do_not_undo_each_other(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        told = await new_key(desk)
        names = [{"rpm": 1}, {"tpm": 2}, {"parallel": 3}, {"shadow": True}, {"tags": ["x"]}, {"budgets": ["day=1"]}]
        await asyncio.gather(*(do(desk, "keys_update", key=told.id, **n) for n in names))
        shown = await do(desk, "keys_show", key=told.id)
        assert (shown.rpm, shown.tpm, shown.parallel, shown.shadow, shown.tags) == (1, 2, 3, True, ["x"])
        assert shown.budgets[0].usd == "1"

    play(azurite, work)


def test_a_key_is_named_by_itself_its_id_or_its_name(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        told = await new_key(desk, name=f"only-{uuid.uuid4().hex}")
        for name in (told.key, told.id, told.id[:8], told.name):
            assert (await do(desk, "keys_show", key=name)).id == told.id
        twin = await new_key(desk, name=told.name)
        assert any("this name" in text for text in twin.warnings)
        error = await refused(do(desk, "keys_show", key=told.name))
        assert (error.status, error.code) == (409, "key_ambiguous")
        assert told.id in error.message
        assert twin.id in error.message
        for name in ("no-such-key", "sk-" + "A" * 43, told.id[:5]):
            assert (await refused(do(desk, "keys_show", key=name))).code == "key_not_found"

    play(azurite, work)


def test_a_revoked_key_ends_with_all_its_secrets(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        first = await new_key(desk)
        second = await do(desk, "keys_rotate", key=first.id)
        answer = await do(desk, "keys_revoke", key=first.name)
        assert answer.state == "revoked"
        assert "30 s" in answer.warnings[0]
        for text in (first.key, second.key):
            principal = await caller(desk, text)
            assert principal is not None
            assert principal.disabled
        assert (await do(desk, "keys_revoke", key=first.id)).state == "revoked"
        assert (await refused(do(desk, "keys_revoke", key=first.name))).code == "key_not_found"
        assert (await refused(do(desk, "keys_rotate", key=first.id))).code == "key_not_active"

    play(azurite, work)


def test_rotation_leaves_the_old_secret_its_time(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        first = await new_key(desk, rpm=5)
        second = await do(desk, "keys_rotate", key=first.key, overlap="2h")
        old, new = await caller(desk, first.key), await caller(desk, second.key)
        assert old is not None
        assert new is not None
        assert (old.expires_at, new.expires_at) == (NOW + 7200, None)
        assert old.key_id == new.key_id  # usage, limits and objects stay
        assert new.allowance.rpm == 5
        assert second.id == first.id
        assert [s.prefix for s in second.secrets] == [first.prefix, second.prefix]

        third = await do(desk, "keys_rotate", key=first.id)  # never more than two
        assert [s.prefix for s in third.secrets] == [second.prefix, third.prefix]
        oldest = await caller(desk, first.key)
        assert oldest is not None
        assert oldest.expires_at == NOW

        desk.clock.forward(10)
        fourth = await do(desk, "keys_rotate", key=first.id, overlap="0")
        assert [s.prefix for s in fourth.secrets] == [fourth.prefix]
        assert (await caller(desk, third.key) or Principal("", "")).expires_at == NOW + 10

    play(azurite, work)


def test_the_keys_own_end_stands_above_its_secrets(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        first = await new_key(desk, expires="1h")
        second = await do(desk, "keys_rotate", key=first.id, overlap="7d")
        assert "ends at" in second.warnings[0]
        for text in (first.key, second.key):
            assert (await caller(desk, text) or Principal("", "")).expires_at == NOW + 3600
        desk.clock.forward(3600)
        assert (await do(desk, "keys_show", key=first.id)).state == "expired"
        error = await refused(do(desk, "keys_rotate", key=first.id))
        assert "keys update" in error.message

    play(azurite, work)


def test_a_repeated_rotation_makes_no_third_secret(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        first = await new_key(desk)
        asked = {"key": first.id, "rotation_id": "q1"}
        answers = await asyncio.gather(*(do(desk, "keys_rotate", **asked) for _ in range(6)), return_exceptions=True)
        done = [answer for answer in answers if isinstance(answer, KeyMade)]
        failed = [answer for answer in answers if isinstance(answer, ApiError)]
        assert (len(done), len(failed)) == (1, 5)
        assert {(error.status, error.code) for error in failed} == {(409, "rotation_done")}
        assert done[0].prefix in failed[0].message
        assert (await caller(desk, first.key) or Principal("", "")).expires_at == NOW + 86_400
        shown = await do(desk, "keys_show", key=first.id)
        assert [s.prefix for s in shown.secrets] == [first.prefix, done[0].prefix]
        assert isinstance(await do(desk, "keys_rotate", key=first.id, rotation_id="q2"), KeyMade)
        assert (await refused(do(desk, "keys_rotate", **asked))).code == "rotation_done"

    play(azurite, work)


def test_many_rotations_at_once_leave_two_secrets(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        first = await new_key(desk)
        answers = await asyncio.gather(*(do(desk, "keys_rotate", key=first.id) for _ in range(5)))
        living = [
            p for a in answers if (p := await caller(desk, a.key)) and (p.expires_at is None or p.expires_at > NOW)
        ]
        assert len(living) == 2

    play(azurite, work)


def test_list_by_team_state_and_end(azurite: Any) -> None:
    team = f"team {uuid.uuid4().hex}"

    async def work(desk: TestDesk) -> None:
        one, two, three, four = [await new_key(desk, team=team, expires=when) for when in ("", "3d", "30d", "90d")]
        await do(desk, "keys_revoke", key=three.id)
        desk.clock.forward(60)

        async def ids(**asked: Any) -> list[str]:
            return [row.id for row in (await do(desk, "keys_list", team=team, **asked)).rows]

        assert sorted(await ids()) == sorted([one.id, two.id, three.id, four.id])
        assert await ids(state="revoked") == [three.id]
        assert await ids(expiring_in=7) == [two.id]
        assert await ids(expiring_in=40) == [two.id]
        desk.clock.forward(4 * 86_400)
        assert await ids(state="expired") == [two.id]
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            page = await do(desk, "keys_list", team=team, limit=3, cursor=cursor)
            seen += [row.id for row in page.rows]
            cursor = page.next
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 4
        await do(desk, "teams_create", name=team, disabled=True)
        assert sorted(await ids(state="team_disabled")) == sorted([one.id, four.id])

    play(azurite, work)


def test_what_may_be_a_mistake_is_said(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        known = f"t{uuid.uuid4().hex}"
        await do(desk, "teams_create", name=known, disabled=True)
        told = await new_key(desk, models=["gpt-4o", "gpt-4oo"], team=known, shadow=True, expires="2020-01-01",
                          entra=[f"role:{known}"])  # fmt: skip
        said = " ".join(told.warnings)
        for part in ("no gpt-4oo yet", "ENTRA_TENANTS", "is disabled", "nothing is refused", "over already"):
            assert part in said
        other = await new_key(desk, team=known + "x")
        assert "has no record" in other.warnings[0]
        assert (await new_key(desk, models=["gpt-4o"])).warnings == []
        desk.config = "model_list: [{model_name: a}]"
        assert "cannot be read" in (await new_key(desk, models=["gpt-4o"])).warnings[0]

    play(azurite, work)


def test_a_row_that_cannot_be_understood_is_refused_and_cannot_be_changed(azurite: Any) -> None:
    async def work(desk: TestDesk) -> None:
        told = await new_key(desk, budgets=["day=5"])
        row = await desk.tables.get(KEYS_TABLE, key_digest(b"pepper-1", told.key), "key")
        assert row is not None
        assert await desk.tables.replace_if(KEYS_TABLE, {**row, "budgets": "[5]"}, row["etag"])
        principal = await caller(desk, told.key)
        assert principal is not None
        assert principal.disabled
        shown = await do(desk, "keys_show", key=told.id)
        assert shown.state == "unreadable"
        assert shown.warnings
        assert (await refused(do(desk, "keys_update", key=told.id, rpm=1))).code == "unreadable"
        assert (await refused(do(desk, "keys_rotate", key=told.id))).code == "unreadable"
        assert await do(desk, "keys_revoke", key=told.id)
        assert desk.log.warnings

    play(azurite, work)


WRONG = [
    ({"budgets": ["dya=5"]}, "write day=5"),
    ({"budgets": ["day=five"]}, "not an amount"),
    ({"budgets": ["day=-1"]}, "between 0"),
    ({"budgets": ["day=nan"]}, "between 0"),
    ({"budgets": ["day=5:maybe"]}, "write day=5"),
    ({"budgets": ["day=5", "day=6"]}, "each period once"),
    ({"budgets": ["none", "day=6"]}, "stands alone"),
    ({"budgets": [{"period": "day"}]}, "not an amount"),
    ({"endpoints": ["chats"]}, "audio, batches, chat"),
    ({"rpm": 0}, "greater than or equal to 1"),
    ({"rpm": "60 per minute"}, "valid integer"),
    ({"rpn": 60}, "not permitted"),
    ({"expires": "soon"}, "write 90d"),
    ({"expires": "2027-13-01"}, "write 90d"),
    ({"entra": ["app:my-app"]}, "GUID"),
    ({"entra": ["Tollgate.Admin"]}, "role:"),
    ({"tags": ["a,b"]}, "no comma"),
    ({"metadata": {"": "x"}}, "1 to 64"),
    ({"team": "x" * 101}, "100 characters"),
    ({"team": "a\nb"}, "control"),
    ({"name": ""}, "at least 1 character"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG, ids=str)
def test_a_mistake_is_refused_with_what_to_write(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KeyCreate.model_validate({"name": "n", **asked})


def test_what_the_api_and_the_command_line_send_is_understood() -> None:
    (create,) = [row for row in keys.OPERATIONS if row.name == "keys_create"]
    sent = {"name": "n", "rpm": 60, "budgets": ["day=5"], "models": ["a"], "shadow": True, "metadata": {"a": "b"}}
    typed = {**sent, "rpm": "60", "shadow": "true"}
    assert understand(create, sent, typed=True) == understand(create, typed)
    (update,) = [row for row in keys.OPERATIONS if row.name == "keys_update"]
    asked = understand(update, {"key": "k", "rpm": None, "tpm": "none"}, typed=True)
    assert asked.model_fields_set == {"key", "rpm", "tpm"}


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("", None), ("none", None), (None, None), ("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1800),
        ("1970-01-02", 2 * 86_400), ("1970-01-02T00:00:00", 86_400), ("1970-01-02 00:00", 86_400),
        ("1970-01-02T02:00:00+02:00", 86_400), ("1970-01-02T00:00:00Z", 86_400), ("0001-01-01", 1.0), ("19700102", 2 * 86_400),
    ],
)  # fmt: skip
def test_moments(text: str | None, expect: float | None) -> None:
    assert moment(text, 0.0) == expect


def test_spans() -> None:
    assert [span(text) for text in ("0", "24h", "7d", "30m")] == [0, 86_400, 604_800, 1800]
    for text in ("", "1", "-1h", "1w", "none"):
        with pytest.raises(ValueError, match="write 24h"):
            span(text)
