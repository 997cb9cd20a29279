"""One rule by which an entry's credential is chosen."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.config import Params
from shared.errors import BadSetting
from shared.transform.credentials import DEFAULT_SCOPE, credential_of
from shared.transform.surfaces import locate
from shared.types import Credential, Secret
from tests.unit.given import NOTHING

PLACE = locate("https://res.openai.azure.com", "", "azure")
OPENAI = locate("https://api.openai.com/v1", "", "openai")
ENV_KEY = {"AZURE_API_KEY": "env-key"}
SP = {"tenant_id": "t", "client_id": "c", "client_secret": Secret("cs")}
ROPC = {"client_id": "c", "azure_username": "u", "azure_password": Secret("pw")}


def params(**given: Any) -> Params:
    return Params(model="azure/x", **given)


class Case(NamedTuple):
    id: str
    given: dict[str, Any]
    expect: Credential
    environ: dict[str, str] = NOTHING
    refresh: bool = False


CASES = [
    Case("key", {"api_key": Secret("k")}, Credential("api_key", Secret("k"))),
    Case("key in the vault", {"api_key": Secret(vault_name="n")}, Credential("api_key", Secret(vault_name="n"))),
    Case("key first", {"api_key": Secret("k"), "azure_ad_token": Secret("t"), **SP}, Credential("api_key", Secret("k"))),
    Case("empty key is none", {"api_key": Secret("")}, Credential("default", scope=DEFAULT_SCOPE)),
    Case("token", {"azure_ad_token": Secret("tok"), **SP}, Credential("static_token", Secret("tok"), scope=DEFAULT_SCOPE)),
    Case(
        "token in the vault", {"azure_ad_token": Secret(vault_name="n")},
        Credential("static_token", Secret(vault_name="n"), scope=DEFAULT_SCOPE),
    ),
    Case("secret", SP, Credential("client_secret", Secret("cs"), "t", "c", scope=DEFAULT_SCOPE)),
    Case("secret before password", {**ROPC, **SP}, Credential("client_secret", Secret("cs"), "t", "c", scope=DEFAULT_SCOPE)),
    Case("password", ROPC, Credential("password", Secret("pw"), "organizations", "c", "u", scope=DEFAULT_SCOPE)),
    Case("password, tenant", {**ROPC, "tenant_id": "t"}, Credential("password", Secret("pw"), "t", "c", "u", scope=DEFAULT_SCOPE)),
    Case(
        "federated", {"azure_federated_token_file": "/var/t", "tenant_id": "t", "client_id": "c"},
        Credential("federated", tenant_id="t", client_id="c", token_file="/var/t", scope=DEFAULT_SCOPE),
    ),
    Case(
        "federated, ids from the environment", {"azure_federated_token_file": "/var/t"},
        Credential("federated", tenant_id="et", client_id="ec", token_file="/var/t", scope=DEFAULT_SCOPE),
        {"AZURE_TENANT_ID": "et", "AZURE_CLIENT_ID": "ec"},
    ),
    Case("managed identity", {}, Credential("default", scope=DEFAULT_SCOPE)),
    Case("managed identity, by id", {"client_id": "c"}, Credential("default", client_id="c", scope=DEFAULT_SCOPE)),
    Case("by id before the environment", {"client_id": "c"}, Credential("default", client_id="c", scope=DEFAULT_SCOPE), ENV_KEY),
    Case("tenant and id alone", {"tenant_id": "t", "client_id": "c"}, Credential("default", client_id="c", scope=DEFAULT_SCOPE)),
    Case("key of the environment", {}, Credential("api_key", Secret("env-key")), {**ENV_KEY, "AZURE_AD_TOKEN": "t"}),
    Case("own before the environment", SP, Credential("client_secret", Secret("cs"), "t", "c", scope=DEFAULT_SCOPE), ENV_KEY),
    Case(
        "token of the environment", {}, Credential("static_token", Secret("et"), scope=DEFAULT_SCOPE), {"AZURE_AD_TOKEN": "et"}
    ),
    Case("refresh ignores the environment", {}, Credential("default", scope=DEFAULT_SCOPE), ENV_KEY, refresh=True),
    Case("refresh yields to the entry", {"api_key": Secret("k")}, Credential("api_key", Secret("k")), refresh=True),
    Case("refresh yields to a secret", SP, Credential("client_secret", Secret("cs"), "t", "c", scope=DEFAULT_SCOPE), refresh=True),
    Case("scope", {"azure_scope": "s"}, Credential("default", scope="s"), {"AZURE_SCOPE": "es"}),
    Case("scope of the environment", {}, Credential("default", scope="es"), {"AZURE_SCOPE": "es"}),
    Case(
        "authority", {**SP, "azure_authority_host": "a"},
        Credential("client_secret", Secret("cs"), "t", "c", authority="a", scope=DEFAULT_SCOPE), {"AZURE_AUTHORITY_HOST": "ea"},
    ),
    Case("authority of the environment", {}, Credential("default", authority="ea", scope=DEFAULT_SCOPE), {"AZURE_AUTHORITY_HOST": "ea"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_credential_is_chosen_by_the_order(case: Case) -> None:
    assert credential_of(params(**case.given), PLACE, case.environ, case.refresh) == case.expect


class Cloud(NamedTuple):
    base: str
    authority: str
    scope: str


@pytest.mark.parametrize(
    "case",
    [
        Cloud("https://r.openai.azure.com", "", DEFAULT_SCOPE),
        Cloud("https://r.openai.azure.us", "login.microsoftonline.us", "https://cognitiveservices.azure.us/.default"),
        Cloud("https://r.openai.azure.cn", "login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default"),
    ],
    ids=lambda case: case.base,
)
def test_credential_follows_the_cloud_of_the_host(case: Cloud) -> None:
    found = credential_of(params(), locate(case.base, "", "azure"), {}, False)
    assert (found.authority, found.scope) == (case.authority, case.scope)


class Assertion(NamedTuple):
    token: str
    environ: dict[str, str]
    expect: str


IDS = {"tenant_id": "t", "client_id": "c"}


@pytest.mark.parametrize(
    "case",
    [
        Assertion("oidc/azure/", {"AZURE_FEDERATED_TOKEN_FILE": "/var/a"}, "/var/a"),
        Assertion("oidc/azure", {"AZURE_FEDERATED_TOKEN_FILE": "/var/a"}, "/var/a"),
        Assertion("oidc/file/var/run/token", {}, "/var/run/token"),
        Assertion("oidc/file//var/run/token", {}, "/var/run/token"),
        Assertion("oidc/env/ASSERTION", {"ASSERTION": "x"}, "env:ASSERTION"),
        Assertion("oidc/env_path/WHERE", {"WHERE": "/var/b"}, "/var/b"),
    ],
    ids=lambda case: case.token,
)
def test_credential_oidc_names_an_assertion(case: Assertion) -> None:
    expect = Credential("federated", tenant_id="t", client_id="c", token_file=case.expect, scope=DEFAULT_SCOPE)
    assert credential_of(params(**IDS, azure_ad_token=Secret(case.token)), PLACE, case.environ, False) == expect
    environ = {**case.environ, "AZURE_AD_TOKEN": case.token, "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}
    assert credential_of(params(), PLACE, environ, False) == expect


class Refusal(NamedTuple):
    id: str
    given: dict[str, Any]
    field: str
    message: str


REFUSALS = [
    Refusal("secret alone", {"client_secret": Secret("s")}, "client_secret", "needs tenant_id and client_id beside it"),
    Refusal("secret, no tenant", {"client_secret": Secret("s"), "client_id": "c"}, "client_secret", "needs tenant_id"),
    Refusal("password alone", {"azure_password": Secret("p")}, "azure_password", "needs client_id and azure_username"),
    Refusal("username alone", {"azure_username": "u"}, "azure_username", "needs azure_password"),
    Refusal("tenant alone", {"tenant_id": "t"}, "tenant_id", "needs client_id and client_secret"),
    Refusal("file alone", {"azure_federated_token_file": "/f"}, "azure_federated_token_file", "needs tenant_id and client_id"),
    Refusal("unknown oidc", {**IDS, "azure_ad_token": Secret("oidc/google/x")}, "azure_ad_token", "'google' is not served"),
    Refusal("unset oidc env", {**IDS, "azure_ad_token": Secret("oidc/env/NOPE")}, "azure_ad_token", "names no assertion"),
    Refusal("unset oidc azure", {**IDS, "azure_ad_token": Secret("oidc/azure/")}, "azure_ad_token", "names no assertion"),
    Refusal("oidc without ids", {"azure_ad_token": Secret("oidc/file/f")}, "azure_ad_token", "needs tenant_id and client_id"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_credential_given_in_part_is_refused(case: Refusal) -> None:
    with pytest.raises(BadSetting) as caught:
        credential_of(params(**case.given), PLACE, ENV_KEY, False)
    assert caught.value.field == case.field
    assert case.message in str(caught.value)
    assert caught.value.remedy


def test_credential_of_a_plain_host_is_a_key() -> None:
    own = credential_of(params(api_key=Secret("k")), OPENAI, {}, True)
    assert own == Credential("api_key", Secret("k"))
    environ = {"OPENAI_API_KEY": "ok", "AZURE_API_KEY": "never", "AZURE_AD_TOKEN": "never"}
    assert credential_of(params(**SP), OPENAI, environ, False) == Credential("api_key", Secret("ok"))


def test_credential_of_a_plain_host_must_be_given() -> None:
    with pytest.raises(BadSetting, match="there is no api_key") as caught:
        credential_of(params(), OPENAI, {"AZURE_API_KEY": "never", "AZURE_AD_TOKEN": "never"}, True)
    assert "OPENAI_API_KEY" in caught.value.remedy
