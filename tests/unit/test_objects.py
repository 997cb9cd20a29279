"""Registry and Opener: which ids open, for whom, and what they bind a call to."""

from __future__ import annotations

import pytest

from shared.errors import ApiError, no_such_object
from shared.ids import Keyring
from shared.objects import Opener, Registry
from shared.principals import Principal
from tests.unit.stored import ALICE, BOB, EVE, RING, bad_ids, sealed, two_resources

FILE = "file-" + "0a" * 16


def refused(registry: Registry, public_id: str, principal: Principal = ALICE) -> bool:
    """Whether it is refused, in the one way in which ids are refused."""
    try:
        registry.open(public_id, principal)
    except ApiError as error:
        return (error.status, error.body()) == (404, no_such_object().body())
    return False


def test_id_opens_for_its_team_and_nobody_else() -> None:
    registry = Registry(two_resources(), RING)
    assert registry.open(sealed(FILE), ALICE) == ("east", FILE)
    assert registry.open(sealed(FILE, "west"), BOB) == ("west", FILE)  # of the same team
    assert refused(registry, sealed(FILE), EVE)
    alone = Principal("a" * 64, "alice")  # the same key, but of no team
    assert refused(registry, sealed(FILE), alone)
    assert registry.open(sealed(FILE, owner=alone), alone) == ("east", FILE)
    impostor = Principal("f" * 64, "x", team="key:" + "a" * 64)  # a team that is called like a key's owner
    assert refused(registry, sealed(FILE, owner=alone), impostor)


@pytest.mark.parametrize("what", bad_ids())
def test_everything_else_is_one_refusal(what: str) -> None:
    assert refused(Registry(two_resources(), RING), bad_ids()[what])


def test_keys_rotate() -> None:
    catalog = two_resources()
    old, both, new = Keyring({1: b"k" * 32}), Keyring({2: b"n" * 32, 1: b"k" * 32}), Keyring({2: b"n" * 32})
    first = Registry(catalog, old).sealer("east", ALICE)(FILE)
    rotated = Registry(catalog, both)
    second = rotated.sealer("east", ALICE)(FILE)
    assert first != second
    assert rotated.open(first, ALICE) == rotated.open(second, ALICE) == ("east", FILE)
    assert Registry(catalog, new).open(second, ALICE) == ("east", FILE)
    assert refused(Registry(catalog, new), first)
    assert refused(Registry(catalog, old), second)


@pytest.mark.parametrize(
    ("setting", "may"),
    [("[search]", {"alice", "bob"}), ("[eve]", {"eve"}), ('"*"', {"alice", "bob", "eve"}), ("[nobody]", set[str]())],
    ids=["team", "key", "everybody", "nobody"],
)
def test_raw_ids_are_imported_for_whom_the_operator_names(setting: str, may: set[str]) -> None:
    registry = Registry(two_resources(f"  import_raw_ids: {{West: {setting}}}\n"), RING)
    for who in (ALICE, BOB, EVE):
        assert refused(registry, FILE, who) == (who.name not in may)
        if who.name in may:
            assert registry.open(FILE, who) == ("west", FILE)
    for name, bad in bad_ids().items():
        if name != "raw":
            assert refused(registry, bad), name


@pytest.mark.parametrize(
    "odd", ["..", ".", "a/b", "a%2Fb", "a?b", "", "-a", "file 1", "f\n", "ä", "a" * 201, "a.b", "a#b"]
)
def test_what_has_a_meaning_in_an_address_is_never_imported(odd: str) -> None:
    assert refused(Registry(two_resources('  import_raw_ids: {west: "*"}\n'), RING), odd)


def test_opener_remembers_what_ids_bind_to() -> None:
    opener = Opener(Registry(two_resources(), RING), ALICE)
    east, west = sealed(FILE), sealed("file-" + "1b" * 16, "west")
    assert [opener(east), opener(east)] == [FILE, FILE]
    assert (opener.resources, opener.opened) == (["east"], [(FILE, east)])
    apart = opener.apart()
    assert apart(west) == "file-" + "1b" * 16
    assert (opener.resources, apart.resources) == (["east"], ["west"])
    assert [public for _, public in opener.opened] == [east, west]
    assert opener(west)
    assert opener.resources == ["east", "west"]
