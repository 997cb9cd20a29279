"""From connection parameters to a gateway: the credential of each form, what is kept, what makes it anew."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.client.connections import CONNECTION, DEPLOYMENT_VERSION, MOST, Gateways, InvalidParameter
from shared.client.ports import CALLER, AskedPrices, Callback, Notes, OnUsage, RawIds, Waiting
from shared.errors import ApiError, UpstreamFailed
from shared.types import NO_COST, UpstreamReply, UpstreamRequest, Usage, UsageRecord
from tests.support.doubles import Lines, a_record
from tests.unit.given import AT, catalog, entry

BASE = "https://res.openai.azure.com"
TOKEN = "eyJ.a.b"


class Unreachable:
    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        raise UpstreamFailed("unreachable")


def gateways(environ: dict[str, str] | None = None) -> Gateways:
    return Gateways({} if environ is None else environ, Unreachable(), Notes(Lines()), lambda: None)


def document(model: str = "azure/dep", refresh: bool = False, **params: Any) -> dict[str, Any]:
    given = {"model": model, "api_base": BASE, **params}
    return {
        "model_list": [{"model_name": model, "litellm_params": given}],
        "litellm_settings": {"enable_azure_ad_token_refresh": refresh},
    }


def deployment(made: Any) -> Any:
    ((only,),) = made.gateway.catalog.deployments.values()
    return only


FORMS: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"api_key": "k"}, {}, "api_key"),
    ({"azure_ad_token": TOKEN}, {}, "static_token"),
    ({"azure_ad_token": TOKEN}, {"AZURE_API_KEY": "k"}, "static_token"),
    ({"tenant_id": "t", "client_id": "c", "client_secret": "s"}, {}, "client_secret"),
    ({"client_id": "c", "azure_username": "u", "azure_password": "p"}, {}, "password"),
    ({"tenant_id": "t", "client_id": "c", "azure_federated_token_file": "/f"}, {}, "federated"),
    ({}, {"AZURE_API_KEY": "k"}, "api_key"),
    ({}, {"AZURE_AD_TOKEN": TOKEN}, "static_token"),
    ({"refresh": True}, {"AZURE_API_KEY": "k"}, "default"),
    ({"api_key": "os.environ/MY_KEY"}, {"MY_KEY": "k"}, "api_key"),
    ({"api_key": "keyvault/my-key"}, {}, "api_key"),
    ({}, {}, "default"),
]


@pytest.mark.parametrize(("given", "environ", "kind"), FORMS)
def test_every_credential_form_is_the_configurations_own(given: Any, environ: dict[str, str], kind: str) -> None:
    assert deployment(gateways(environ).of(document(**given))).credential.kind == kind


def test_a_host_that_the_program_chose_is_trusted_with_its_token() -> None:
    own = "https://models.example.com"
    assert deployment(gateways().of(document(api_base=own, azure_ad_token=TOKEN))).root == own
    by_environment = document(azure_ad_token=TOKEN)
    del by_environment["model_list"][0]["litellm_params"]["api_base"]
    assert deployment(gateways({"AZURE_API_BASE": own}).of(by_environment)).root == own


def test_a_base_that_names_a_deployment_has_a_version() -> None:
    base = f"{BASE}/openai/deployments/vision/extensions"
    assert deployment(gateways().of(document(api_base=base))).api_version == DEPLOYMENT_VERSION
    assert (
        deployment(gateways().of(document(api_base=base, api_version="2023-12-01-preview"))).api_version
        == "2023-12-01-preview"
    )
    assert (
        deployment(gateways({"AZURE_API_VERSION": "2024-02-01"}).of(document(api_base=base))).api_version
        == "2024-02-01"
    )
    assert deployment(gateways().of(document(api_base=f"{base}?api-version=2024-06-01"))).api_version == "2024-06-01"
    assert deployment(gateways().of(document())).api_version == "v1"


def test_a_gateway_is_made_once_and_anew_when_the_environment_has_changed() -> None:
    environ = {"AZURE_API_KEY": "one"}
    several = gateways(environ)
    first = several.of(document())
    assert several.of(document()) is first
    assert several.of(document(api_key="own")) is not first
    environ["UNRELATED"] = "x"
    assert several.of(document()) is first
    environ["AZURE_API_KEY"] = "two"
    second = several.of(document())
    assert deployment(second).credential.secret.reveal() == "two"
    environ["AZURE_API_VERSION"] = "2024-10-21"  # was asked for, and not there
    assert deployment(several.of(document())).surface.name == "dated"


def test_only_the_most_recently_used_are_kept() -> None:
    several = gateways()
    first, second = several.of(document(api_key="0")), several.of(document(api_key="1"))
    for number in range(2, MOST + 1):
        assert several.of(document(api_key="0")) is first
        several.of(document(api_key=str(number)))
    assert several.of(document(api_key="0")) is first
    assert several.of(document(api_key="1")) is not second


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        ({"api_base": "http://res.openai.azure.com"}, "api_base", "https"),
        ({"api_version": "soon"}, "api_version", "2024-10-21"),
        ({"client_secret": "very-secret"}, "client_secret", "tenant_id and client_id"),
        ({"model": "cohere/x"}, "model", "azure"),
        ({"family": "gpt-99"}, "family", "gpt-99"),
        ({"api_key": "os.environ/MISSING"}, "api_key", "MISSING is not set"),
    ],
)
def test_what_cannot_work_names_its_parameter(given: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words) as refused:
        gateways().of(document(**given))
    assert refused.value.param == param
    assert "very-secret" not in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_parameter_that_is_no_value_is_named_as_such() -> None:
    with pytest.raises(InvalidParameter, match="no JSON value"):
        gateways().of(document(api_key=object()))


def test_several_entries_are_told_apart_in_what_is_wrong() -> None:
    both = document()
    both["model_list"].append({"model_name": "b", "litellm_params": {"model": "azure/b", "api_base": "nonsense"}})
    with pytest.raises(InvalidParameter, match=r"^model_list\[1\].litellm_params.api_base: "):
        gateways().of(both)


def test_ids_pass_as_they_are_where_one_resource_keeps_them() -> None:
    one = RawIds(catalog(entry(f"model: azure/dep, {AT}")))
    assert one.open("resp_1", CALLER) == ("res", "resp_1")
    assert one.sealer("res", CALLER)("resp_1") == "resp_1"
    other = entry("model: azure/dep, api_base: 'https://other.openai.azure.com', api_key: k", "b").partition("\n")[2]
    with pytest.raises(ApiError, match="2 such resources"):
        RawIds(catalog(entry(f"model: azure/dep, {AT}") + other)).open("resp_1", CALLER)


def test_a_record_goes_to_whoever_is_named_when_it_comes() -> None:
    told: list[UsageRecord] = []
    listeners: list[OnUsage | None] = [None]
    usage = Callback(lambda: listeners[0])
    usage.add(a_record(1))
    listeners[0] = told.append
    usage.add(a_record(2))
    usage.add(None)
    assert [record.request_id for record in told] == ["req_2"]


def test_nothing_is_reckoned_while_nobody_listens() -> None:
    listeners: list[OnUsage | None] = [None]
    prices = AskedPrices(lambda: listeners[0])
    known = next(iter(catalog(entry(f"model: azure/gpt-4o, {AT}")).deployments.values()))[0]
    assert prices.cost(known, Usage(1_000, 1_000), time.time()) == NO_COST
    listeners[0] = lambda _: None
    cost = prices.cost(known, Usage(1_000, 1_000), time.time())
    assert (cost.priced, cost.nanos > 0) == (True, True)
    assert prices.figures(known, 0.0) == {}


def test_what_a_call_costs_may_be_said_with_its_connection() -> None:
    made = gateways().of(document(api_key="k", sku="DataZoneStandard", region="swedencentral"))
    assert (deployment(made).terms.sku, deployment(made).terms.region) == ("DataZoneStandard", "swedencentral")
    assert {"sku", "region", "input_cost_per_token", "output_cost_per_token", "model_version"} <= CONNECTION


def test_a_listener_that_fails_takes_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    def fails(record: UsageRecord) -> None:
        raise ValueError("mine")

    Callback(lambda: fails).add(a_record())
    assert "on_usage failed" in caplog.text


def test_why_an_upstream_failed_is_kept_for_its_own_call_only() -> None:
    lines = Lines()
    notes = Notes(lines)
    notes.warning("attempt failed", request_id="a", detail="refused")
    notes.warning("no call of anybody", detail="x")
    assert (notes.take("b"), notes.take("a"), notes.take("a")) == ("", "refused", "")
    assert len(lines.warnings) == 2


def test_a_caller_who_has_left_is_noticed_late_as_well() -> None:
    left: list[str] = []
    caller = Waiting()
    stop = caller.when_gone(lambda: left.append("during"))
    stop()
    caller.leave()
    assert (left, caller.gone) == ([], True)
    caller.when_gone(lambda: left.append("before"))
    assert left == ["before"]
