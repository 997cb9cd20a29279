"""What a value can say of itself."""

from __future__ import annotations

import pytest

from shared.principals import Allowance, Principal
from shared.types import Credential, Secret


def test_secret_hides_in_every_text() -> None:
    secret = Secret("hunter2")
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret]), repr(Credential("api_key", secret))]
    assert not any("hunter2" in text for text in texts)
    assert secret.reveal() == "hunter2"
    assert not hasattr(secret, "__dict__")


def test_secret_of_the_vault_shows_its_name() -> None:
    assert (str(Secret(vault_name="n")), Secret(vault_name="n").reveal()) == ("Secret(keyvault/n)", "")


def test_secret_equals_by_value_and_name() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert len({Secret("a"), Secret("a"), Secret("b"), Secret(vault_name="a"), Secret(vault_name="b")}) == 4
    assert Secret("a") != "a"


def test_credential_that_is_equal_shares_one_cache() -> None:
    assert len({Credential("default", scope="s"), Credential("default", scope="s"), Credential("default")}) == 2


@pytest.mark.parametrize(
    ("models", "alias", "expect"),
    [(frozenset[str](), "a", True), (frozenset({"a"}), "a", True), (frozenset({"a"}), "b", False)],
)
def test_principal_may_use_its_models(models: frozenset[str], alias: str, expect: bool) -> None:
    assert Principal("d", "n", allowance=Allowance(models)).may_use(alias) is expect
