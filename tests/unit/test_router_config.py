"""router_settings: what LiteLLM's names and ours come to, what is refused with its line, what is said to mean nothing."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.catalog import Catalog, Deployment
from shared.client.connections import Gateways, InvalidParameter
from shared.client.ports import Notes
from shared.config import parse
from shared.document import Document
from shared.errors import ConfigError, Problem
from shared.router_settings import FINAL, RouterSettings
from shared.transform.resolve import resolve
from shared.transform.router_names import FROM_SETTINGS, NO_EFFECT, STRATEGIES, Given
from tests.support.doubles import Lines
from tests.support.stack import ROOT
from tests.unit.given import AT, catalog

MODELS = "model_list:\n" + "".join(
    f"- {{model_name: {name}, params: {{model: azure/gpt-4o-{name}, {AT}}}}}\n" for name in ("one", "two", "three")
)
"""Three models on lines 2 to 4; what follows begins on line 5."""


def settings(routing: str = "", of_all: str = "") -> RouterSettings:
    found = read(routing, of_all)
    assert found.warnings == ()
    return found.router


def read(routing: str = "", of_all: str = "") -> Catalog:
    text = f"router_settings: {{{routing}}}\n" if routing else ""
    return catalog(MODELS + text + (f"litellm_settings: {{{of_all}}}\n" if of_all else ""))


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        catalog(text)
    return [str(problem) for problem in caught.value.problems]


class Row(NamedTuple):
    given: str
    field: str
    value: Any


KINDS = ("rate_limit", "timeout", "unreachable", "server", "auth", "conflict", "bad_answer")
ROWS = [
    *(Row(f"routing_strategy: {name}", "strategy", strategy) for name, strategy in STRATEGIES.items()),
    Row("num_retries: 0", "num_retries", 0),
    Row("num_retries: '4'", "num_retries", 4),
    Row("max_retries_of_clients: 1", "most_retries", 1),
    Row("retry_policy: {RateLimitErrorRetries: 4, TimeoutErrorRetries: 0, AuthenticationErrorRetries: null}", "retries",
        {"rate_limit": 4, "timeout": 0}),
    Row("retry_policy: {InternalServerErrorRetries: 3}", "retries", {"server": 3, "bad_answer": 3}),
    Row("retry_policy: {server: 1, InternalServerErrorRetries: 3, DefaultRetries: 2}", "retries",
        dict.fromkeys(KINDS, 2) | {"server": 1, "bad_answer": 3}),
    Row("retry_policy: {BadRequestErrorRetries: null}", "retries", {}),
    Row("retry_after: 2", "least_wait", 2.0),
    Row("max_wait: 5.5", "longest_wait", 5.5),
    Row("allowed_fails: 0", "allowed_fails", 0),
    Row("allowed_fails_policy: {TimeoutErrorAllowedFails: 9, AuthenticationErrorAllowedFails: 1000}", "fails",
        {"timeout": 9, "auth": 1000}),
    Row("allowed_fails_policy: {InternalServerErrorAllowedFails: 5, unreachable: 1}", "fails",
        {"server": 5, "bad_answer": 5, "unreachable": 1}),
    Row("cooldown_time: 30", "cooldown", 30.0),
    Row("cooldown_time: 30", "longest_cooldown", 60.0),
    Row("cooldown_time: 300", "longest_cooldown", 300.0),
    Row("max_cooldown: 90", "longest_cooldown", 90.0),
    Row("max_cooldown: 2", "longest_cooldown", 2.0),
    Row("max_cooldown: 2", "cooldown", 2.0),
    Row("disable_cooldowns: true", "cooldowns", False),
    Row("near_limit: 0.8", "near_limit", 0.8),
    Row("fallbacks: [{one: [two, three, two]}, {two: three}]", "fallbacks", {"one": ("two", "three"), "two": ("three",)}),
    Row("fallbacks: {one: [two], two: [one]}", "fallbacks", {"one": ("two",), "two": ("one",)}),
    Row("fallbacks: [{one: [two]}, {'*': [three]}]", "fallbacks", {"one": ("two",)}),
    Row("fallbacks: [{one: [two]}, {'*': [three]}], default_fallbacks: [two, three]", "default_fallbacks", ("three", "two")),
    Row("default_fallbacks: two", "default_fallbacks", ("two",)),
    Row("context_window_fallbacks: [{one: [two]}]", "context_window_fallbacks", {"one": ("two",)}),
    Row("context_window_fallbacks: [{'*': [three]}, {one: [two]}]", "context_window_fallbacks",
        {"one": ("two",), "two": ("three",)}),
    Row("content_policy_fallbacks: [{one: [two]}]", "content_policy_fallbacks", {"one": ("two",)}),
    Row("max_fallbacks: 0", "most_fallbacks", 0),
    Row("timeout: 20", "first_byte", 20.0),
    Row("first_byte_timeout: 20", "first_byte", 20.0),
    Row("stream_timeout: 3", "stream_first_byte", 3.0),
    Row("connect_timeout: 3", "connect", 3.0),
    Row("idle_timeout: 60", "idle", 60.0),
    Row("total_timeout: 100", "total", 100.0),
    Row("tag_filtering_match_any: false", "tags_match_all", True),
    Row("fallbacks: null, num_retries: null, retry_policy: null", "num_retries", 2),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.field}: {row.given}")
def test_setting_comes_to_a_value(row: Row) -> None:
    assert getattr(settings(row.given), row.field) == row.value


def test_every_value_can_be_set() -> None:
    regions = "regions"  # needs deployments that say where they are, so it has tests of its own
    assert {row.field for row in ROWS} | {regions} == {field.name for field in fields(RouterSettings)}


@pytest.mark.parametrize("text", ["", "router_settings:\n", "router_settings: {}\n"])
def test_without_settings_the_defaults_hold(text: str) -> None:
    assert catalog(MODELS + text).router == RouterSettings()


OF_ALL = [
    Row("num_retries: 4", "num_retries", 4),
    Row("request_timeout: 12", "first_byte", 12.0),
    Row("allowed_fails: 7", "allowed_fails", 7),
    Row("cooldown_time: 7", "cooldown", 7.0),
    Row("fallbacks: [{one: [two]}]", "fallbacks", {"one": ("two",)}),
    Row("context_window_fallbacks: [{one: [two]}]", "context_window_fallbacks", {"one": ("two",)}),
    Row("content_policy_fallbacks: [{one: [two]}]", "content_policy_fallbacks", {"one": ("two",)}),
    Row("default_fallbacks: [two]", "default_fallbacks", ("two",)),
]


@pytest.mark.parametrize("row", OF_ALL, ids=lambda row: row.given)
def test_setting_for_all_entries_counts_where_the_router_has_none(row: Row) -> None:
    assert getattr(settings(of_all=row.given), row.field) == row.value
    assert getattr(catalog(MODELS + f"settings: {{{row.given}}}\n").router, row.field) == row.value


def test_of_all_entries_every_name_is_tried() -> None:
    assert {row.given.partition(":")[0] for row in OF_ALL} == FROM_SETTINGS.keys()


@pytest.mark.parametrize(
    ("own", "of_all", "field", "value"),
    [
        ("num_retries: 1", "num_retries: 4", "num_retries", 1),
        ("timeout: 1", "request_timeout: 4", "first_byte", 1.0),
        ("first_byte_timeout: 1", "request_timeout: 4", "first_byte", 1.0),
        ("timeout: null", "request_timeout: 4", "first_byte", 4.0),
        ("fallbacks: [{one: [two]}]", "fallbacks: [{one: [three]}]", "fallbacks", {"one": ("two",)}),
    ],
)
def test_router_settings_win_over_those_for_all_entries(own: str, of_all: str, field: str, value: Any) -> None:
    assert getattr(settings(own, of_all), field) == value


class Bad(NamedTuple):
    given: str
    says: str


AT_LINE = "line 5: router_settings"
CORRECT = "correct the value, or leave the field out"
BAD = [
    Bad("num_retry: 1", f"{AT_LINE}.num_retry: unknown field → write 'num_retries'"),
    Bad("xyzzy: 1", f"{AT_LINE}.xyzzy: unknown field → remove it"),
    Bad("num_retries: -1", f"{AT_LINE}.num_retries: input should be greater than or equal to 0 (it is -1) → {CORRECT}"),
    Bad("num_retries: yes", f"{AT_LINE}.num_retries: input should be a number (it is True) → {CORRECT}"),
    Bad("cooldown_time: often", f"{AT_LINE}.cooldown_time: input should be a valid number, unable to parse string as a number "
        f"(it is 'often') → {CORRECT}"),
    Bad("timeout: .inf", f"{AT_LINE}.timeout: input should be a finite number (it is inf) → {CORRECT}"),
    Bad("near_limit: 1.5", f"{AT_LINE}.near_limit: input should be less than or equal to 1 (it is 1.5) → {CORRECT}"),
    Bad("retry_policy: {RateLimitErrorRetries: many}", f"{AT_LINE}.retry_policy.RateLimitErrorRetries: input should be a valid "
        f"integer, unable to parse string as an integer (it is 'many') → {CORRECT}"),
    Bad("retry_policy: {RateLimitRetries: 1}",
        f"{AT_LINE}.retry_policy.RateLimitRetries: unknown kind of failure → write 'RateLimitErrorRetries'"),
    Bad("allowed_fails_policy: {DefaultRetries: 1}", f"{AT_LINE}.allowed_fails_policy.DefaultRetries: unknown kind of failure → remove it"),
    Bad("routing_strategy: simple_shuffle", f"{AT_LINE}.routing_strategy: there is no strategy 'simple_shuffle' → write 'simple-shuffle'"),
    Bad("routing_strategy: best", f"{AT_LINE}.routing_strategy: there is no strategy 'best' → write one of simple-shuffle, "
        "least-used, least-busy, lowest-latency, lowest-cost, prompt-cache"),
    Bad("fallbacks: [{one: [tow]}]", f"{AT_LINE}.fallbacks[0].one[0]: there is no model 'tow' → remove it, or add an entry of this name"),
    Bad("fallbacks: [{thre: [two]}]", f"{AT_LINE}.fallbacks[0].thre: there is no model 'thre' → write 'three'"),
    Bad("fallbacks: {one: [one]}", f"{AT_LINE}.fallbacks.one[0]: a model cannot stand in for itself → remove it"),
    Bad("fallbacks: [{one: [two]}, {one: [three]}]", f"{AT_LINE}.fallbacks[1].one: given twice → write its fallbacks in one list"),
    Bad("fallbacks: [one]", f"{AT_LINE}.fallbacks[0]: this names no model and its fallbacks → write - ALIAS: [OTHER-ALIAS]"),
    Bad("fallbacks: [{one: [{model: two}]}]", f"{AT_LINE}.fallbacks[0].one[0]: a fallback is the name of a model → "
        "write - ALIAS: [OTHER-ALIAS]"),
    Bad("default_fallbacks: [four]", f"{AT_LINE}.default_fallbacks[0]: there is no model 'four' → remove it, or add an entry of this name"),
    Bad("context_window_fallbacks: [{'*': [tree]}]", f"{AT_LINE}.context_window_fallbacks[0].*[0]: there is no model 'tree' → write 'three'"),
    Bad("model_group_alias: [one]", f"{AT_LINE}.model_group_alias: this is no mapping of names to models → write {{NAME: ALIAS}}"),
    Bad("model_group_alias: {one: two}", f"{AT_LINE}.model_group_alias.one: there is a model 'one' already → "
        "choose another name, or remove its entries"),
    Bad("model_group_alias: {uno: onne}", f"{AT_LINE}.model_group_alias.uno: there is no model 'onne' → write 'one'"),
    Bad("model_group_alias: {uno: {hidden: false}}", f"{AT_LINE}.model_group_alias.uno: this names no model → write {{NAME: ALIAS}}"),
    Bad("model_group_alias: {'u*': one}", f"{AT_LINE}.model_group_alias.u*: this names no model → write {{NAME: ALIAS}}"),
    Bad("cooldown_time: 90, max_cooldown: 60", f"{AT_LINE}.cooldown_time: longer than max_cooldown (60 s) → raise max_cooldown"),
    Bad("retry_after: 30", f"{AT_LINE}.retry_after: longer than a call may wait (max_wait: 20 s) → write less, or raise max_wait"),
    Bad("timeout: 5, first_byte_timeout: 5", f"{AT_LINE}.timeout: the same as first_byte_timeout → keep one of the two"),
    Bad("total_timeout: 231", f"{AT_LINE}.total_timeout: the front end of Azure Functions ends a call after 230 s → "
        "write less, or leave the field out"),
    Bad("regions: [Mordor 1!]", f"{AT_LINE}.regions[0]: 'Mordor 1!' is no region of Azure → write its name, such as swedencentral"),
    Bad("regions: ['']", f"{AT_LINE}.regions[0]: this is no region of Azure → write its name, such as swedencentral, or eu or us"),
    Bad("regions: 5", f"{AT_LINE}.regions: this is no region of Azure → write its name, such as swedencentral, or eu or us"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.given)
def test_setting_that_cannot_work_is_refused_with_its_place_and_a_remedy(case: Bad) -> None:
    assert refused(MODELS + f"router_settings: {{{case.given}}}\n") == [case.says]


def test_problems_come_all_at_once_each_with_its_own_line() -> None:
    text = MODELS.replace("model_name: three, params: {model: azure/gpt-4o-three", "model_name: three, params: {tpm: x")
    text += """\
router_settings:
  num_retries: x
  routing_strategy: y
  fallbacks:
  - one: [two,
          four]
  - three: [five]
litellm_settings:
  allowed_fails: -1
  default_fallbacks: [three, six]
"""
    assert [line.split(" → ")[0].split(" (it is")[0] for line in refused(text)] == [
        "line 4: model_list[2].params: model is missing",
        "line 4: model_list[2].params.tpm: input should be a valid integer, unable to parse string as an integer",
        "line 6: router_settings.num_retries: input should be a valid integer, unable to parse string as an integer",
        "line 7: router_settings.routing_strategy: there is no strategy 'y'",
        "line 10: router_settings.fallbacks[0].one[1]: there is no model 'four'",
        "line 11: router_settings.fallbacks[1].three[0]: there is no model 'five'",
        "line 13: litellm_settings.allowed_fails: input should be greater than or equal to 0",
        "line 14: litellm_settings.default_fallbacks[1]: there is no model 'six'",
    ]


@pytest.mark.parametrize(
    ("routing", "of_all", "says"),
    [
        ("redis_host: h, set_verbose: true", "", [
            "line 5: redis_host has no effect here: instances share what they know through Table Storage",
            "line 5: set_verbose has no effect here"]),
        ("redis_password: os.environ/NOT_SET", "", [
            "line 5: redis_password has no effect here: instances share what they know through Table Storage"]),
        ("optional_pre_call_checks: [prompt_caching]", "", [
            "line 5: optional_pre_call_checks has no effect here: ids always lead to their resource; for cached prompts write "
            "routing_strategy: prompt-cache"]),
        ("retry_policy: {BadRequestErrorRetries: 1, NotFoundErrorRetries: 0}", "", [
            "line 5: BadRequestErrorRetries has no effect here: the same model is not asked again",
            "line 5: NotFoundErrorRetries has no effect here: the same model is not asked again"]),
        ("allowed_fails_policy: {ContentPolicyViolationErrorAllowedFails: 1, RateLimitErrorAllowedFails: 1, conflict: 3}", "", [
            "line 5: ContentPolicyViolationErrorAllowedFails has no effect here: no deployment rests because of it",
            "line 5: RateLimitErrorAllowedFails has no effect here: such failures are not counted",
            "line 5: conflict has no effect here: such failures are not counted"]),
        ("timeout: 600, stream_timeout: 6000", "", [
            "line 5: timeout: an answer must begin within total_timeout or FIRST_BYTE_SECONDS anyway",
            "line 5: stream_timeout: an answer must begin within total_timeout or FIRST_BYTE_SECONDS anyway"]),
        ("model_group_alias: {uno: {model: one, hidden: true}}", "", ["line 5: hidden has no effect here"]),
        ("", "request_timeout: 600, cache: true", [
            "line 5: litellm_settings.cache is not read",
            "line 5: request_timeout: an answer must begin within total_timeout or FIRST_BYTE_SECONDS anyway"]),
    ],
)  # fmt: skip
def test_setting_that_means_nothing_here_is_a_warning(routing: str, of_all: str, says: list[str]) -> None:
    assert read(routing, of_all).warnings == tuple(says)


def test_value_of_a_reference_is_never_shown() -> None:
    text = MODELS + (
        "router_settings: {num_retries: os.environ/S, routing_strategy: os.environ/S, default_fallbacks: [os.environ/S], "
        "regions: [os.environ/S], model_group_alias: {uno: os.environ/S}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        catalog(text, {"S": "hunter2!"})
    found = "\n".join(str(problem) for problem in caught.value.problems)
    assert "hunter2" not in found
    assert found.count("os.environ/S") == 5


def test_reference_without_a_value_is_a_problem_where_the_setting_matters() -> None:
    assert "environment variable NOT_SET" in refused(MODELS + "router_settings: {timeout: os.environ/NOT_SET}\n")[0]


# ---------------------------------------------------------------------------------------------- single deployments


def one(params: str, more: str = "", routing: str = "") -> Deployment:
    text = f"model_list:\n- {{model_name: a, params: {{model: azure/gpt-4o, {AT}, {params}}}{more}}}\n"
    return catalog(text + (f"router_settings: {{{routing}}}\n" if routing else "")).of("a")[0]


def test_entry_says_how_it_is_routed() -> None:
    found = one(
        "tags: [' free ', 7], stream_timeout: 2, timeout: 4, cooldown_time: 9, ptu: {units: 1, whole_share: 0.25}"
    )
    assert (found.tags, found.stream_timeout, found.timeout, found.cooldown) == ({"free", "7"}, 2.0, 4.0, 9.0)
    assert found.terms.ptu
    assert found.terms.ptu.whole_share == 0.25


def test_entry_that_says_nothing_is_routed_by_the_settings() -> None:
    found = one("weight: 1")
    assert (found.tags, found.stream_timeout, found.timeout, found.cooldown, found.order) == (
        set(),
        None,
        None,
        None,
        1,
    )


@pytest.mark.parametrize(
    ("params", "more", "order"),
    [
        ("ptu: {units: 1}", "", 0),
        ("sku: ProvisionedManaged", "", 0),
        ("sku: GlobalStandard", "", 1),
        ("ptu: {units: 1}, order: 3", "", 3),
        ("ptu: {units: 1}", ", order: 2", 2),
        ("order: 0", "", 0),
        ("weight: 1", ", model_info: {ptu: {units: 1}}", 0),
    ],
)
def test_provisioned_throughput_comes_first_unless_an_order_is_given(params: str, more: str, order: int) -> None:
    assert one(params, more).order == order


def test_tags_mean_nothing_where_filtering_is_off() -> None:
    assert one("tags: [free]", routing="enable_tag_filtering: false").tags == frozenset()
    assert one("tags: [free]", routing="enable_tag_filtering: true").tags == {"free"}


def test_longest_cooldown_covers_those_of_entries() -> None:
    text = f"model_list:\n- {{model_name: a, params: {{model: azure/x, {AT}, cooldown_time: 500}}}}\n"
    assert catalog(text).router.longest_cooldown == 500
    assert refused(text + "router_settings: {max_cooldown: 60}\n") == [
        "line 2: model_list[0].params.cooldown_time: longer than max_cooldown (60 s) → raise max_cooldown"
    ]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ("tags: ['']", "tags[0]"), ("tags: free", "tags"), ("stream_timeout: 0", "stream_timeout"),
        ("cooldown_time: -1", "cooldown_time"), ("ptu: {units: 1, whole_share: 1.1}", "ptu.whole_share"),
        ("weight: .inf", "weight"), ("order: -1", "order"),
    ],
)  # fmt: skip
def test_entry_that_cannot_be_routed_so_is_refused(params: str, field: str) -> None:
    (says,) = refused(f"model_list:\n- {{model_name: a, params: {{model: azure/x, {AT}, {params}}}}}\n")
    assert says.startswith(f"line 2: model_list[0].params.{field}: ")


def test_misspelt_field_of_provisioned_throughput_is_told_the_right_one() -> None:
    (says,) = refused(
        f"model_list:\n- {{model_name: a, params: {{model: azure/x, {AT}, ptu: {{units: 1, whole_shares: 1}}}}}}\n"
    )
    assert says == "line 2: model_list[0].params.ptu.whole_shares: unknown field → write 'whole_share'"


# ------------------------------------------------------------------------------------------------ regions and names


def placed(*places: str) -> str:
    return "model_list:\n" + "".join(
        f"- {{model_name: m{n}, params: {{model: azure/gpt-4o, {AT}, {place}}}}}\n" for n, place in enumerate(places)
    )


def test_regions_are_named_as_azure_or_the_portal_names_them() -> None:
    text = placed("region: swedencentral", "region: North Europe")
    assert catalog(text + "router_settings: {regions: [Sweden Central, EU]}\n").router.regions == {
        "swedencentral",
        "eu",
    }
    assert catalog(text + "router_settings: {regions: eu}\n").router.regions == {"eu"}


def test_data_zone_holds_its_regions() -> None:
    text = placed(
        "region: westeurope", "region_name: eu", "base_model: azure/eu/gpt-4o", "region: westeurope, sku: Standard"
    )
    assert len(catalog(text + "router_settings: {regions: [eu]}\n").aliases()) == 4


def test_model_without_a_deployment_in_a_region_that_is_allowed_is_refused() -> None:
    text = placed("region: swedencentral", "region: eastus2", "weight: 1")
    remedy = "give them their `region`, or add theirs to the list"
    assert refused(text + "router_settings: {regions: [eu]}\n") == [
        f"line 5: router_settings.regions: no deployment of '{alias}' is in one of these regions → {remedy}"
        for alias in ("m1", "m2")
    ]


def test_second_name_leads_to_the_same_deployments() -> None:
    text = MODELS + "router_settings: {model_group_alias: {uno: one, due: {model: two}}, fallbacks: [{uno: [due]}]}\n"
    found = catalog(text)
    assert found.aliases() == ("one", "two", "three", "uno", "due")
    assert found.router.fallbacks == {"uno": ("due",)}
    (first,), (second,) = found.of("one"), found.of("uno")
    assert (second.alias, second.label, second.id, second.credential) == ("uno", "uno#1", first.id, first.credential)
    assert found.facts["uno"] == found.facts["one"]


def test_second_name_may_be_a_default_model() -> None:
    text = MODELS + "router_settings: {model_group_alias: {uno: one}}\nsettings: {default_models: {chat: uno}}\n"
    assert catalog(text).default_models == {"chat": "uno"}


# ------------------------------------------------------------------------------------------- programs, and the page


def without_lines(routing: dict[str, Any]) -> Catalog:
    """As a program gives it: values, no file."""
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": "azure/x", "api_base": "https://r.openai.azure.com", "api_key": "k"},
        }
        for name in ("one", "two")
    ]
    document = Document({"model_list": entries, "router_settings": routing, "litellm_settings": {}}, {})
    return resolve(parse(document, {}, {}), document, {})


def test_program_without_a_file_gives_the_same_settings() -> None:
    found = without_lines(
        {
            "routing_strategy": "latency-based-routing", "redis_host": "h", "redis_password": None, "redis_port": 6379,
            "cache_responses": True, "num_retries": None, "fallbacks": [{"one": ["two"]}], "timeout": 30,
            "retry_policy": {"TimeoutErrorRetries": 1}, "set_verbose": False,
        }
    )  # fmt: skip
    assert found.router == RouterSettings(
        "lowest-latency", fallbacks={"one": ("two",)}, first_byte=30.0, retries={"timeout": 1}
    )


NAMES = st.sampled_from(["one", "two", "three", "*", "", "server", "RateLimitErrorRetries", "model", "eu", "x y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Given.model_fields, *NO_EFFECT]), VALUES, max_size=4))
def test_whatever_is_given_comes_to_settings_or_to_problems(routing: dict[str, Any]) -> None:
    problems: list[Problem] = []
    found = RouterSettings()
    try:
        found = without_lines(routing).router
    except ConfigError as error:
        problems = error.problems
    assert {problem.where.partition(".")[0] for problem in problems} <= {"router_settings"}
    second = routing.get("model_group_alias")
    known = {"one", "two", *(second if isinstance(second, dict) else ())}
    assert {*found.fallbacks, *found.default_fallbacks} <= known
    assert all(known.issuperset(others) for others in found.fallbacks.values())
    assert found.longest_cooldown >= found.cooldown
    assert found.longest_wait >= found.least_wait
    assert not FINAL & {*found.retries, *found.fails}


def test_program_is_told_what_is_wrong() -> None:
    made = Gateways({}, None, Notes(Lines()), lambda: None)  # type: ignore[arg-type]
    entry = {
        "model_name": "one",
        "litellm_params": {"model": "azure/x", "api_base": "https://r.openai.azure.com", "api_key": "k"},
    }
    with pytest.raises(InvalidParameter) as caught:
        made.of({"model_list": [entry], "router_settings": {"num_retrys": 1}, "litellm_settings": {}})
    assert str(caught.value) == "num_retrys: unknown field → write 'num_retries'"


def listed(page: str, begin: str) -> set[str]:
    """The names in the first column of the table after a heading."""
    table = page.partition(begin)[2].partition("\n#")[0]
    return {name for row in re.findall(r"^\| (`.+?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}


def test_configuration_page_lists_exactly_the_settings_of_the_router() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert listed(page, "\n### Routing\n") == set(Given.model_fields)
    assert {name for name in STRATEGIES if f"`{name}`" not in page} == set()
    assert not set(Given.model_fields) & NO_EFFECT.keys()


def test_example_on_the_configuration_page_loads() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    (example,) = re.findall(r"^```yaml\n(router_settings:\n.*?)^```", page, re.S | re.M)
    models = "".join(
        f"- {{model_name: {name}, params: {{model: azure/{name}, {AT}}}}}\n" for name in ("gpt-4o", "gpt-4.1-mini")
    )
    found = catalog(f"model_list:\n{models}{example}")
    assert found.warnings == ()
    assert found.router.strategy == "prompt-cache"
