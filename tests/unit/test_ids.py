"""The envelope: every id comes back exactly, and nothing but a whole envelope of the same owner opens."""

from __future__ import annotations

import re
import string
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import BadSetting
from shared.ids import Keyring, Sealed, derived_key, looks_sealed, parse_keys, resource_tag

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
RING = Keyring({1: KEY})
RESOURCE, OWNER = "contoso-eu", "team:search"

RESPONSE = "resp_0403f5aa511abbe4016a85bf1b2af0819681a499d99b05b8d5"
BATCH = "batch_1e1e7b9f-d4b4-41fa-bd2e-8d2ec50fb8cc"
FILE = "file-7733bc35e32841e297a62a9ee50b3461"
OPENAIS = "file-AbCdEfGhIjKlMnOpQrStUv"
KNOWN = [RESPONSE, BATCH, FILE, OPENAIS]
ALPHABET = string.ascii_letters + string.digits + "-_"

hexes = st.binary(max_size=32).map(bytes.hex)
prefixes = st.sampled_from("resp_ file- batch_ ftjob- ft- vs_ vsfb_ msg_ cntr_ cfile_ fc_ rs_ eval_ conv_ id_".split())
likely_ids = st.builds(str.__add__, prefixes, hexes | st.uuids().map(str) | st.text(ALPHABET, max_size=30))
any_text = st.text(st.characters(), min_size=1)  # lone surrogates too: JSON can hold them
any_id = likely_ids | any_text
owners = st.text(st.characters(), max_size=40)


@given(any_id, owners, st.text(max_size=30))
@example("id_", "", "")
@example("_", "", "")
@example("resp_", "", "")
@example("id_abc", OWNER, RESOURCE)
@example("abc", OWNER, RESOURCE)
@example("00", OWNER, RESOURCE)
@example("1e1e7b9f-d4b4-41fa-bd2e-8d2ec50fb8cc", OWNER, RESOURCE)
@example("resp_AB", OWNER, RESOURCE)
@example("batch_1E1E7B9F-D4B4-41FA-BD2E-8D2EC50FB8CC", OWNER, RESOURCE)
@example("resp_00\n", OWNER, RESOURCE)
@example("resp_zażółć", OWNER, RESOURCE)
@example("resp_\u0660\u0660", OWNER, RESOURCE)
@example("a" * 25 + "_b", OWNER, RESOURCE)
@example("\ud800", OWNER, RESOURCE)
def test_any_id_comes_back_exactly(upstream_id: str, owner: str, resource: str) -> None:
    sealed = RING.seal(upstream_id, resource, owner)
    assert RING.open(sealed, owner) == Sealed(upstream_id, resource_tag(resource))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", sealed)
    assert looks_sealed(sealed)
    assert RING.seal(upstream_id, resource, owner) == sealed


@given(st.lists(any_id, min_size=2, max_size=2, unique=True))
def test_two_ids_never_share_an_envelope(ids: list[str]) -> None:
    first, second = (RING.seal(upstream_id, RESOURCE, OWNER) for upstream_id in ids)
    assert first != second


def test_empty_id_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="empty"):
        RING.seal("", RESOURCE, OWNER)


class Size(NamedTuple):
    id: str
    given: str
    prefix: str
    most: int


@pytest.mark.parametrize(
    "case",
    [
        Size("response", RESPONSE, "resp_", 80),
        Size("response of 48 digits", RESPONSE[:-2], "resp_", 90),
        Size("batch, a UUID", BATCH, "batch_", 90),
        Size("file, 32 digits", FILE, "file-", 90),
        Size("file of OpenAI's own form", OPENAIS, "file-", 90),
        Size("fine-tuning job", "ftjob-" + "0a" * 16, "ftjob-", 90),
        Size("item", "rs_" + "0a" * 25, "rs_", 90),
        Size("vector store", "vs_" + "a" * 24, "vs_", 90),
        Size("no prefix", "0a1b", "id_", 60),
        Size("digits before the separator are no prefix", "v1_abc", "id_", 60),
        Size("nor is a prefix too long for one", "a" * 25 + "_b", "id_", 120),
    ],
    ids=lambda case: case.id,
)
def test_envelope_is_short_and_keeps_the_prefix_readable(case: Size) -> None:
    sealed = RING.seal(case.given, RESOURCE, OWNER)
    assert sealed.startswith(case.prefix + "T")
    assert len(sealed) <= case.most


def test_envelope_form_is_fixed() -> None:
    """Clients keep ids for months: a change of this value breaks every one of them."""
    sealed = RING.seal(RESPONSE, RESOURCE, OWNER)
    assert sealed == "resp_TQExjPvu38pul7ANEfFKBAP1qlEau-QBaoW_GyrwgZaBpJnZmwW41fxOa7CTtEUocr7sO5A2IPc"
    data = urlsafe_b64decode(sealed.removeprefix("resp_") + "==")
    assert (data[0], data[1], data[2:7]) == (0x4D, 1, resource_tag(RESOURCE))
    assert data[15:-16].hex() == RESPONSE.removeprefix("resp_")


@pytest.mark.parametrize("upstream_id", [*KNOWN, "0a1b", "vs_x", "vs_xy", "vs_xyz", "id_7"])
def test_every_changed_character_is_refused(upstream_id: str) -> None:
    sealed = RING.seal(upstream_id, RESOURCE, OWNER)
    for at, old in enumerate(sealed):
        for new in ALPHABET + "=+/. \n%é":
            if new != old:
                assert RING.open(sealed[:at] + new + sealed[at + 1 :], OWNER) is None, (at, old, new)


@pytest.mark.parametrize("upstream_id", KNOWN)
def test_every_flipped_bit_is_refused(upstream_id: str) -> None:
    prefix, text = re.fullmatch(r"([a-z]+[_-])(.+)", RING.seal(upstream_id, RESOURCE, OWNER)).groups()  # type: ignore[union-attr]
    data = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        assert RING.open(prefix + urlsafe_b64encode(data).rstrip(b"=").decode(), OWNER) is None, bit
        data[bit // 8] ^= 1 << bit % 8


@given(any_id)
def test_cut_and_prolonged_envelopes_are_refused(upstream_id: str) -> None:
    sealed = RING.seal(upstream_id, RESOURCE, OWNER)
    assert [at for at in range(len(sealed)) if RING.open(sealed[:at], OWNER)] == []
    assert [at for at in range(1, len(sealed)) if RING.open(sealed[at:], OWNER)] == []
    assert [more for more in ("A", "AA", "AAAA", "=", "==", "\n", " ", "\0") if RING.open(sealed + more, OWNER)] == []
    assert [more for more in ("A", "resp_", " ", "\n") if RING.open(more + sealed, OWNER)] == []


@pytest.mark.parametrize("prefix", ["file-", "resp-", "Resp_", "id_", "batch_", "", "_"])
def test_another_prefix_is_refused(prefix: str) -> None:
    sealed = RING.seal(RESPONSE, RESOURCE, OWNER)
    assert RING.open(prefix + sealed.removeprefix("resp_"), OWNER) is None


@given(any_id, owners, owners)
@example(RESPONSE, OWNER, OWNER.upper())
@example(RESPONSE, OWNER, OWNER + " ")
@example(RESPONSE, "", "\0")
def test_another_owner_is_refused(upstream_id: str, owner: str, other: str) -> None:
    opened = RING.open(RING.seal(upstream_id, RESOURCE, owner), other)
    assert (opened is not None) == (owner == other)


def test_owner_tag_alone_opens_nothing() -> None:
    """The tag is public and short: an owner whose digest begins the same must still be refused by the MAC."""
    sealed, foreign = RING.seal(FILE, RESOURCE, OWNER), RING.seal(FILE, RESOURCE, "team:other")
    data, other = (bytearray(urlsafe_b64decode(text.removeprefix("file-") + "==")) for text in (sealed, foreign))
    data[7:15] = other[7:15]
    assert RING.open("file-" + urlsafe_b64encode(data).rstrip(b"=").decode(), "team:other") is None


@given(any_id)
def test_another_key_is_refused(upstream_id: str) -> None:
    assert RING.open(Keyring({1: OTHER_KEY}).seal(upstream_id, RESOURCE, OWNER), OWNER) is None


@given(any_text | likely_ids | st.from_regex(r"\A[a-z]{1,8}[_-]T[A-Za-z0-9_-]{41,90}\Z"))
@example(RESPONSE)
@example(BATCH)
@example("")
def test_raw_and_invented_ids_are_refused(text: str) -> None:
    assert RING.open(text, OWNER) is None


@given(st.sampled_from(KNOWN) | likely_ids)
def test_upstream_ids_do_not_look_sealed(text: str) -> None:
    assert not looks_sealed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resp_",
        "T" * 60,
        "resp_T",
        "resp_" + "U" * 60,
        "resp_T" + "A" * 40,
        "resp_T=" + "A" * 60,
    ],
)
def test_other_forms_do_not_look_sealed(text: str) -> None:
    assert not looks_sealed(text)


def test_what_looks_sealed_need_not_be_valid() -> None:
    sealed = RING.seal(RESPONSE, RESOURCE, OWNER)
    forged = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBA")
    assert looks_sealed(forged)
    assert RING.open(forged, OWNER) is None


def test_rotation_step_by_step() -> None:
    old, new = Keyring({1: KEY}), Keyring({2: OTHER_KEY})
    both = Keyring({2: OTHER_KEY, 1: KEY})
    sealed_before = old.seal(FILE, RESOURCE, OWNER)
    sealed_since = both.seal(FILE, RESOURCE, OWNER)

    assert sealed_since == new.seal(FILE, RESOURCE, OWNER)  # the highest version signs
    assert both.open(sealed_before, OWNER) == both.open(sealed_since, OWNER) == Sealed(FILE, resource_tag(RESOURCE))
    assert new.open(sealed_before, OWNER) is None  # a version that was removed
    assert old.open(sealed_since, OWNER) is None  # one that is not known yet
    assert Keyring({2: KEY}).open(sealed_before, OWNER) is None  # the number belongs to the key


def test_keyring_keeps_its_own_copy_of_the_keys() -> None:
    keys = {1: KEY}
    ring = Keyring(keys)
    keys.clear()
    assert ring.open(ring.seal(FILE, RESOURCE, OWNER), OWNER)


@pytest.mark.parametrize("keys", [{}, {1: b""}, {1: b"k" * 15}, {2: KEY, 1: b"short"}, {0: KEY}, {256: KEY}, {-1: KEY}])
def test_keyring_refuses_keys_that_cannot_work(keys: dict[int, bytes]) -> None:
    with pytest.raises(ValueError, match=r"key|version"):
        Keyring(keys)


@pytest.mark.parametrize("version", [1, 255])
def test_keyring_takes_every_version_of_a_byte(version: int) -> None:
    ring = Keyring({version: b"k" * 16})
    assert ring.open(ring.seal(FILE, RESOURCE, OWNER), OWNER)


def test_resource_tag_is_made_of_the_name_alone() -> None:
    assert resource_tag("contoso-eu").hex() == "318cfbeedf"
    assert resource_tag("Contoso-EU") == resource_tag("contoso-eu")
    assert resource_tag("contoso-us") != resource_tag("contoso-eu")


def test_derived_key_is_fixed() -> None:
    # printf 'tollgate ids v1' | openssl dgst -sha256 -hmac 'pepper'
    assert derived_key(b"pepper").hex() == "656b5daf90d5d1b286b7eaa664b862a782186c7367644182af5f703b0ad16e69"
    assert derived_key(b"other") != derived_key(b"pepper")


ENCODED, OTHER_ENCODED = b64encode(KEY).decode(), b64encode(bytes(range(224, 256))).decode()


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        (f"1:{ENCODED}", {1: KEY}),
        (f"2:{OTHER_ENCODED},1:{ENCODED}", {2: bytes(range(224, 256)), 1: KEY}),
        (f" 2 : {ENCODED} ".replace(" :", ":"), {2: KEY}),
        (f"255:{OTHER_ENCODED.replace('+', '-').replace('/', '_')}", {255: bytes(range(224, 256))}),
    ],
)
def test_id_keys_are_read(text: str, expect: dict[int, bytes]) -> None:
    assert parse_keys(text) == expect


class Bad(NamedTuple):
    id: str
    given: str
    message: str


@pytest.mark.parametrize(
    "case",
    [
        Bad("empty", "", "VERSION:BASE64"),
        Bad("no version", ENCODED, "VERSION:BASE64"),
        Bad("version 0", f"0:{ENCODED}", "1 to 255"),
        Bad("version 256", f"256:{ENCODED}", "1 to 255"),
        Bad("version in words", f"one:{ENCODED}", "1 to 255"),
        Bad("digits of another script", f"\u0661:{ENCODED}", "1 to 255"),
        Bad("trailing comma", f"1:{ENCODED},", "VERSION:BASE64"),
        Bad("twice", f"1:{ENCODED},01:{ENCODED}", "version 1 is given twice"),
        Bad("no base64", "1:not base64 at all!", "version 1 is not base64"),
        Bad("not even ASCII", "1:zażółć", "version 1 is not base64"),
        Bad("padding lost", f"1:{ENCODED.rstrip('=')}", "version 1 is not base64"),
        Bad("short", f"2:{ENCODED},1:{b64encode(bytes(15)).decode()}", "version 1 has 15 bytes"),
        Bad("no key", "1:", "version 1 has 0 bytes"),
    ],
    ids=lambda case: case.id,
)
def test_id_keys_that_cannot_work_are_refused_without_showing_them(case: Bad) -> None:
    with pytest.raises(BadSetting, match=case.message) as caught:
        parse_keys(case.given)
    assert caught.value.field == "ID_KEYS"
    assert "openssl rand" in caught.value.remedy
    assert ENCODED not in str(caught.value)
