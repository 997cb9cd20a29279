"""Keys: their form, their digest, where a request carries them, and one answer for all that fail."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.auth import check, entra_digest, is_admin, key_digest, key_of, new_key, shown, token_of
from shared.errors import ApiError
from shared.principals import Principal, Team

KEY = "sk-" + "A" * 43
OTHER = "sk-" + "B" * 43


def test_new_key_is_46_characters_of_base64url() -> None:
    assert new_key(bytes(32)) == KEY
    assert new_key(b"\xff" * 32) == "sk-" + "_" * 42 + "8"
    assert key_of({"api-key": new_key(bytes(range(32)))}) == "sk-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_new_key_needs_all_its_random_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        new_key(bytes(size))


def test_key_digest_is_hmac_sha256_in_hex() -> None:
    # RFC 4231, test case 2
    expect = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert key_digest(b"Jefe", "what do ya want for nothing?") == expect


def test_shown_is_the_beginning_and_the_end() -> None:
    assert shown("sk-abcdefghijklmnop") == "sk-abc…mnop"


class Given(NamedTuple):
    id: str
    headers: dict[str, str]
    expect: str = KEY


@pytest.mark.parametrize(
    "case",
    [
        Given("bearer", {"authorization": f"Bearer {KEY}"}),
        Given("bearer in any case", {"authorization": f"bEARER  {KEY} "}),
        Given("Azure's", {"api-key": KEY}),
        Given("Anthropic's", {"x-api-key": KEY}),
        Given("bearer first", {"authorization": f"Bearer {KEY}", "api-key": OTHER, "x-api-key": OTHER}),
        Given("Azure's before Anthropic's", {"api-key": KEY, "x-api-key": OTHER}),
        Given("an empty one is none", {"api-key": "", "x-api-key": KEY}),
        Given("another scheme is not ours", {"authorization": "Basic eDp5", "api-key": KEY}),
    ],
    ids=lambda case: case.id,
)
def test_key_is_found_in_the_header_that_the_sdk_uses(case: Given) -> None:
    assert key_of(case.headers) == case.expect


@pytest.mark.parametrize(
    "case",
    [
        Given("token", {"authorization": "Bearer eyJh.eyJi.sig-_"}, "eyJh.eyJi.sig-_"),
        Given("in any case", {"authorization": "bEARER  eyJh.eyJi.s "}, "eyJh.eyJi.s"),
        Given("unsigned", {"authorization": "Bearer eyJh.eyJi."}, "eyJh.eyJi."),
        Given("two parts", {"authorization": "Bearer eyJh.eyJi"}, ""),
        Given("four parts", {"authorization": "Bearer eyJh.eyJi.s.t"}, ""),
        Given("no JSON", {"authorization": "Bearer abc.eyJi.s"}, ""),
        Given("other letters", {"authorization": "Bearer eyJh.ey+i.s"}, ""),
        Given("two", {"authorization": "Bearer eyJh.eyJi.s, eyJh.eyJi.s"}, ""),
        Given("line end", {"authorization": "Bearer eyJh.eyJi.s\nx"}, ""),
        Given("a key", {"authorization": f"Bearer {KEY}"}, ""),
        Given("no bearer", {"authorization": "eyJh.eyJi.s"}, ""),
        Given("a key's header", {"api-key": "eyJh.eyJi.s", "x-api-key": "eyJh.eyJi.s"}, ""),
        Given("nothing", {}, ""),
    ],
    ids=lambda case: case.id,
)
def test_token_is_found_as_a_bearer_token_only(case: Given) -> None:
    assert token_of(case.headers) == case.expect


def test_entra_digest_tells_its_parts_apart() -> None:
    # sha256sum of "entra|app|x"
    assert entra_digest("app", "x") == "58668f6d81846ad26597a1d663432901c35e54a0f450076885df6e68dffdf216"
    assert len({entra_digest("a", "b"), entra_digest("b", "a"), entra_digest("a", "c")}) == 3


def same_401(error: ApiError) -> tuple[int, bytes, dict[str, str]]:
    return error.status, error.body(), error.headers


def unknown() -> tuple[int, bytes, dict[str, str]]:
    with pytest.raises(ApiError) as caught:
        check(None, 0)
    return same_401(caught.value)


@pytest.mark.parametrize(
    "case",
    [
        Given("nothing", {}),
        Given("empty bearer", {"authorization": "Bearer ", "api-key": KEY}),
        Given("bearer alone", {"authorization": "Bearer"}),
        Given("raw", {"authorization": KEY}),
        Given("short", {"api-key": KEY[:-1]}),
        Given("long", {"api-key": KEY + "A"}),
        Given("OpenAI's own", {"api-key": "sk-proj-" + "A" * 40}),
        Given("other letters", {"api-key": KEY[:-1] + "é"}),
        Given("line end", {"api-key": KEY + "\n"}),
        Given("upper case", {"api-key": KEY.replace("sk", "SK")}),
        Given("two", {"authorization": f"Bearer {KEY}, {KEY}"}),
    ],
    ids=lambda case: case.id,
)
def test_key_that_cannot_be_ours_is_the_same_401(case: Given) -> None:
    with pytest.raises(ApiError) as caught:
        key_of(case.headers)
    assert same_401(caught.value) == unknown()
    assert caught.value.headers == {"www-authenticate": "Bearer"}


@pytest.mark.parametrize(
    "principal",
    [
        Principal("d", "n", disabled=True),
        Principal("d", "n", expires_at=100.0),
        Principal("d", "n", expires_at=99.0),
        Principal("d", "n", expires_at=0.0),
        Principal("d", "n", expires_at=200.0, disabled=True),
        Principal("d", "n", "t", of_team=Team("t", disabled=True)),
    ],
)
def test_principal_that_may_not_call_is_the_same_401(principal: Principal) -> None:
    with pytest.raises(ApiError) as caught:
        check(principal, 100.0)
    assert same_401(caught.value) == unknown()


@pytest.mark.parametrize(
    "principal",
    [Principal("d", "n"), Principal("d", "n", expires_at=100.5), Principal("d", "n", "t", of_team=Team("t"))],
)
def test_principal_that_may_call_is_given_back(principal: Principal) -> None:
    assert check(principal, 100.0) is principal


class Admin(NamedTuple):
    headers: dict[str, str]
    key: str
    expect: bool


@pytest.mark.parametrize(
    "case",
    [
        Admin({"authorization": "Bearer secret"}, "secret", True),
        Admin({"api-key": "secret"}, "secret", True),
        Admin({"authorization": "Bearer wrong", "api-key": "secret"}, "secret", False),
        Admin({"authorization": "Bearer wrong"}, "secret", False),
        Admin({"api-key": "é"}, "secret", False),
        Admin({}, "secret", False),
        Admin({}, "", False),
        Admin({"authorization": "Bearer "}, "", False),
    ],
    ids=str,
)
def test_admin_is_known_by_the_operators_key_alone(case: Admin) -> None:
    assert is_admin(case.headers, case.key) is case.expect
