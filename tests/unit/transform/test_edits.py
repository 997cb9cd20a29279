"""What each family does with each parameter: taken, renamed, left out or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from shared.errors import ApiError
from shared.transform.edits import edit_chat, older
from shared.transform.families import FAMILIES, with_capabilities
from tests.unit.given import deployment

HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
ALL = tuple(FAMILIES)
GPT5 = ("gpt-5", "gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5")
REASONING = ("o_series", "o1-mini", *GPT5)
CHATTY = ("ordinary", "gpt-35", "audio", "gpt-5-chat", "open")


def edited(given: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    """What becomes of the parameters beside the messages."""
    body = {"messages": HELLO, **given}
    edit_chat(body, deployment(**how))
    assert body.pop("messages") == HELLO
    return body


def others(*names: str) -> tuple[str, ...]:
    return tuple(name for name in ALL if name not in names)


class Passes(NamedTuple):
    families: tuple[str, ...]
    given: dict[str, Any]


PASSES = [
    Passes(ALL, {"seed": 1, "n": 2, "user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "flex"}),
    Passes(ALL, {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}),
    Passes(ALL, {"response_format": {"type": "json_object"}}),
    Passes(ALL, {"response_format": {"type": "text"}}),
    Passes(others("gpt-35", "audio", "o1-mini"), {"response_format": SCHEMA}),
    Passes(ALL, {"max_completion_tokens": 5}),
    Passes(("ordinary", "gpt-35", "audio", "open"), {"max_tokens": 5}),
    Passes(("ordinary", "gpt-35", "audio", "open"), {"max_tokens": 5, "max_completion_tokens": 6}),
    Passes(CHATTY, {"temperature": 0.2, "top_p": 0.5, "logprobs": True, "top_logprobs": 3}),
    Passes(CHATTY, {"presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 2}}),
    Passes(others(*GPT5), {"stop": ["x"], "prediction": {"type": "content"}, "web_search_options": {}}),
    Passes(("audio", "open"), {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
    Passes(ALL, {"modalities": ["text"]}),
    Passes((*GPT5, "open"), {"verbosity": "low"}),
    Passes(("o_series", *GPT5, "open"), {"reasoning_effort": "low"}),
    Passes(("gpt-5", "gpt-5.4", "open"), {"reasoning_effort": "minimal"}),
    Passes(("gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5", "open"), {"reasoning_effort": "none"}),
    Passes(("gpt-5.2", "gpt-5.4", "gpt-5.5", "open"), {"reasoning_effort": "xhigh"}),
    Passes(("open",), {"reasoning_effort": "whatever"}),
    Passes(("gpt-5.1", "gpt-5.2", "gpt-5.4"), {"temperature": 0.2, "top_p": 0.5}),
    Passes(("gpt-5.2", "gpt-5.4"), {"logprobs": True, "top_logprobs": 3}),
    Passes(
        ("gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5"), {"temperature": 0.2, "top_p": 0.5, "reasoning_effort": "none"}
    ),
    Passes(("gpt-5.2", "gpt-5.4"), {"logprobs": True, "reasoning_effort": "none"}),
    Passes(ALL, {"data_sources": [{"type": "azure_search"}], "dataSources": [], "enhancements": {}, "top_k": 4}),
    Passes(ALL, {"functions": [{"name": "f"}], "function_call": "auto", "safety_identifier": "s"}),
]


@pytest.mark.parametrize(
    ("family", "given"),
    [pytest.param(f, row.given, id=f"{f}-{'-'.join(row.given)}") for row in PASSES for f in row.families],
)
def test_parameter_that_the_family_takes_passes_unchanged(family: str, given: dict[str, Any]) -> None:
    assert edited(given, family=family) == given


class No(NamedTuple):
    families: tuple[str, ...]
    given: dict[str, Any]
    param: str
    why: str


FIXED = "is not supported"
IDLE = "is supported only with reasoning_effort 'none'"
REFUSED = [
    No(("o_series", "o1-mini", "gpt-5"), {"temperature": 0}, "temperature", FIXED),
    No(("o_series", "o1-mini", "gpt-5"), {"top_p": 0.1}, "top_p", FIXED),
    No(("gpt-5.5",), {"temperature": 0.2}, "temperature", IDLE),
    No(("gpt-5.1", "gpt-5.2", "gpt-5.4"), {"top_p": 0.2, "reasoning_effort": "low"}, "top_p", IDLE),
    No(("o_series", "o1-mini", "gpt-5", "gpt-5.1", "gpt-5.5"), {"logprobs": True}, "logprobs", FIXED),
    No(("o_series", "o1-mini", "gpt-5", "gpt-5.1", "gpt-5.5"), {"top_logprobs": 2}, "top_logprobs", FIXED),
    No(("gpt-5.2", "gpt-5.4"), {"logprobs": True, "reasoning_effort": "high"}, "logprobs", IDLE),
    No(REASONING, {"presence_penalty": 0.5}, "presence_penalty", FIXED),
    No(REASONING, {"frequency_penalty": 0.5}, "frequency_penalty", FIXED),
    No(REASONING, {"logit_bias": {"1": 1}}, "logit_bias", FIXED),
    No(GPT5, {"stop": "x"}, "stop", FIXED),
    No(GPT5, {"prediction": {"type": "content"}}, "prediction", FIXED),
    No(GPT5, {"web_search_options": {}}, "web_search_options", FIXED),
    No(others("audio", "open"), {"audio": {"voice": "alloy"}}, "audio", FIXED),
    No(others("audio", "open"), {"modalities": ["text", "audio"]}, "modalities", "must be ['text']"),
    No(others(*GPT5, "open"), {"verbosity": "low"}, "verbosity", FIXED),
    No(("ordinary", "gpt-35", "audio", "o1-mini", "gpt-5-chat"), {"reasoning_effort": "low"}, "reasoning_effort", FIXED),
    No(("o_series",), {"reasoning_effort": "minimal"}, "reasoning_effort", "must be one of high, low, medium"),
    No(("gpt-5",), {"reasoning_effort": "none"}, "reasoning_effort", "must be one of high, low, medium, minimal"),
    No(("gpt-5.1",), {"reasoning_effort": "minimal"}, "reasoning_effort", "must be one of high, low, medium, none"),
    No(("gpt-5.1",), {"reasoning_effort": "xhigh"}, "reasoning_effort", "must be one of high, low, medium, none"),
    No(("gpt-5.2",), {"reasoning_effort": "max"}, "reasoning_effort", "must be one of high, low, medium, none, xhigh"),
    No(
        ("gpt-35", "audio", "o1-mini"), {"response_format": SCHEMA}, "response_format",
        "of type 'json_schema' is not supported (use 'json_object')",
    ),
    No(ALL, {"tool_choice": "required"}, "tool_choice", "is allowed only together with 'tools'"),
    No(ALL, {"tool_choice": {"type": "function"}, "tools": []}, "tool_choice", "is allowed only together with 'tools'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "case"), [pytest.param(f, row, id=f"{f}-{'-'.join(row.given)}") for row in REFUSED for f in row.families]
)
def test_parameter_that_the_family_does_not_take_is_refused(family: str, case: No) -> None:
    with pytest.raises(ApiError) as caught:
        edited(case.given, family=family)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, case.param, "unsupported_parameter")
    assert error.message == (
        f"Unsupported parameter: '{case.param}' {case.why} with the model 'alias'. Leave it out, or ask your platform "
        "team to set drop_params for this model."
    )


DROPPABLE = [row for row in REFUSED if row.param != "response_format"]


@pytest.mark.parametrize(
    ("family", "case"),
    [pytest.param(f, row, id=f"{f}-{'-'.join(row.given)}") for row in DROPPABLE for f in row.families],
)
def test_drop_params_leaves_out_what_would_be_refused(family: str, case: No) -> None:
    kept = edited({**case.given, "seed": 1}, family=family, drop_params=True)
    assert case.param not in kept
    assert kept["seed"] == 1


@pytest.mark.parametrize("family", ["gpt-35", "audio", "o1-mini"])
def test_drop_params_never_drops_the_answers_format(family: str) -> None:
    with pytest.raises(ApiError, match="json_schema"):
        edited({"response_format": SCHEMA}, family=family, drop_params=True)


@pytest.mark.parametrize("family", ALL)
def test_drop_params_keeps_json_mode(family: str) -> None:
    wanted = {"response_format": {"type": "json_object"}}
    assert edited(wanted, family=family, drop_params=True) == wanted
    old = {"surface": "dated", "api_version": "2023-05-15"}
    assert edited(wanted, family=family, drop_params=True, **old) == wanted


@pytest.mark.parametrize(
    ("family", "case"), [pytest.param(f, row, id=f"{f}-{'-'.join(row.given)}") for row in REFUSED for f in row.families]
)
def test_allowed_openai_params_passes_what_would_be_refused(family: str, case: No) -> None:
    assert edited(case.given, family=family, allowed=[case.param]) == case.given


class LeftOut(NamedTuple):
    families: tuple[str, ...]
    given: dict[str, Any]


@pytest.mark.parametrize(
    ("family", "given"),
    [
        pytest.param(f, row.given, id=f"{f}-{'-'.join(row.given)}")
        for row in [
            LeftOut(("o_series", "o1-mini", "gpt-5", "gpt-5.5"), {"temperature": 1, "top_p": 1.0}),
            LeftOut(REASONING, {"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}}),
            LeftOut(("o_series", "gpt-5"), {"logprobs": False, "top_logprobs": 0}),
            LeftOut(("o_series", "gpt-5"), {"temperature": None, "top_p": None, "logit_bias": None}),
            LeftOut(GPT5, {"stop": None, "prediction": None, "audio": None}),
            LeftOut(("ordinary", "o_series"), {"verbosity": "medium"}),
            LeftOut(("ordinary", "gpt-5"), {"audio": None}),
            LeftOut(ALL, {"tool_choice": "auto"}),
            LeftOut(ALL, {"tool_choice": "none"}),
        ]
        for f in row.families
    ],
)
def test_default_that_changes_nothing_is_left_out(family: str, given: dict[str, Any]) -> None:
    assert edited(given, family=family) == {}


def test_default_is_kept_where_the_family_takes_the_parameter() -> None:
    given = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "logprobs": False, "modalities": None}
    assert edited(given, family="ordinary") == given


class Limit(NamedTuple):
    id: str
    family: str
    given: dict[str, Any]
    expect: dict[str, Any]


@pytest.mark.parametrize(
    "case",
    [
        *(
            Limit(f"{f} renames", f, {"max_tokens": 5}, {"max_completion_tokens": 5})
            for f in (*REASONING, "gpt-5-chat")
        ),
        Limit(
            "the new name wins", "gpt-5", {"max_tokens": 5, "max_completion_tokens": 9}, {"max_completion_tokens": 9}
        ),
        Limit("null is no limit", "gpt-5", {"max_tokens": None}, {}),
        Limit("null loses", "gpt-5", {"max_tokens": 5, "max_completion_tokens": None}, {"max_completion_tokens": 5}),
        Limit("old keeps", "old", {"max_tokens": 5}, {"max_tokens": 5}),
        Limit("old renames", "old", {"max_completion_tokens": 5}, {"max_tokens": 5}),
        Limit("old: the new name wins", "old", {"max_completion_tokens": 9, "max_tokens": 5}, {"max_tokens": 9}),
        Limit("old: null loses", "old", {"max_completion_tokens": None, "max_tokens": 5}, {"max_tokens": 5}),
    ],
    ids=lambda case: case.id,
)
def test_token_limit_gets_the_name_that_the_model_knows(case: Limit) -> None:
    old = with_capabilities(FAMILIES["ordinary"], {"token_limit": "max_tokens"})
    assert edited(case.given, family={**FAMILIES, "old": old}[case.family]) == case.expect


class Roles(NamedTuple):
    families: tuple[str, ...]
    expect: tuple[str, ...]
    """What becomes of system, developer, user."""


@pytest.mark.parametrize(
    ("family", "expect"),
    [
        (f, row.expect)
        for row in [
            Roles(("ordinary", "gpt-35", "audio"), ("system", "system", "user")),
            Roles(("o_series", *GPT5, "gpt-5-chat", "open"), ("system", "developer", "user")),
            Roles(("o1-mini",), ("user", "user", "user")),
        ]
        for f in row.families
    ],
)
def test_roles_are_those_that_the_family_knows(family: str, expect: tuple[str, ...]) -> None:
    given = [{"role": role, "content": role} for role in ("system", "developer", "user")]
    body: dict[str, Any] = {"messages": given}
    edit_chat(body, deployment(family))
    assert [m["role"] for m in body["messages"]] == list(expect)
    assert [m["content"] for m in body["messages"]] == ["system", "developer", "user"]
    assert [m["role"] for m in given] == ["system", "developer", "user"], "the client's own messages are not changed"


def test_roles_that_need_no_change_leave_the_list_alone() -> None:
    body: dict[str, Any] = {"messages": HELLO}
    edit_chat(body, deployment("o1-mini"))
    assert body["messages"] is HELLO


def test_roles_of_what_is_no_message_are_left_to_the_model() -> None:
    body: dict[str, Any] = {"messages": ["text", {"role": "developer", "content": "x"}]}
    edit_chat(body, deployment("ordinary"))
    assert body["messages"] == ["text", {"role": "system", "content": "x"}]


class Version(NamedTuple):
    id: str
    surface: str
    version: str
    given: dict[str, Any]
    refused: tuple[str, ...]


USES = {"tools": TOOLS}
BEFORE_CHOICE = ("needs api_version 2023-12-01-preview or later",)
BEFORE_REQUIRED = ("'required' needs api_version 2024-06-01 or later",)
BEFORE_SCHEMA = ("needs api_version 2024-08-01-preview, v1 or later",)
VERSIONS = [
    Version("auto, old", "dated", "2023-05-15", {**USES, "tool_choice": "auto"}, BEFORE_CHOICE),
    Version("auto, old extensions", "extensions", "2023-09-01-preview", {**USES, "tool_choice": "auto"}, BEFORE_CHOICE),
    Version("auto, first", "dated", "2023-12-01-preview", {**USES, "tool_choice": "auto"}, ()),
    Version("required, before", "dated", "2024-05-01-preview", {**USES, "tool_choice": "required"}, BEFORE_REQUIRED),
    Version("required, first", "dated", "2024-06-01", {**USES, "tool_choice": "required"}, ()),
    Version("required, v1", "v1", "v1", {**USES, "tool_choice": "required"}, ()),
    Version("required, preview", "v1", "preview", {**USES, "tool_choice": "required"}, ()),
    Version("required, Foundry", "foundry", "2024-05-01-preview", {**USES, "tool_choice": "required"}, ()),
    Version("tools, old", "dated", "2023-05-15", USES, ()),
    Version("schema, before", "dated", "2024-07-01-preview", {"response_format": SCHEMA}, BEFORE_SCHEMA),
    Version("schema, first", "dated", "2024-08-01-preview", {"response_format": SCHEMA}, ()),
    Version("schema, v1", "v1", "v1", {"response_format": SCHEMA}, ()),
    Version("schema, Foundry", "foundry", "2024-05-01-preview", {"response_format": SCHEMA}, ()),
    Version("schema, elsewhere", "openai", "", {"response_format": SCHEMA}, ()),
    Version("json mode, old", "dated", "2023-05-15", {"response_format": {"type": "json_object"}}, ()),
]


@pytest.mark.parametrize("case", [row for row in VERSIONS if not row.refused], ids=lambda case: case.id)
def test_version_that_knows_a_parameter_gets_it(case: Version) -> None:
    assert edited(case.given, surface=case.surface, api_version=case.version) == case.given


@pytest.mark.parametrize("case", [row for row in VERSIONS if row.refused], ids=lambda case: case.id)
def test_version_that_does_not_know_a_parameter_refuses_it(case: Version) -> None:
    with pytest.raises(ApiError) as caught:
        edited(case.given, surface=case.surface, api_version=case.version)
    assert case.refused[0] in caught.value.message


def test_older_is_a_matter_of_dated_versions() -> None:
    assert older(deployment(surface="dated", api_version="2024-02-01"), "2024-06-01")
    assert not older(deployment(surface="dated", api_version="2024-06-01"), "2024-06-01")
    assert not older(deployment(surface="v1", api_version="latest"), "2024-06-01")


def test_additional_drop_params_are_left_out_also_when_they_would_pass() -> None:
    assert edited({"seed": 1, "user": "u", "temperature": 0}, dropped=["seed", "user", "absent"]) == {"temperature": 0}


def test_additional_drop_params_come_before_refusals() -> None:
    assert edited({"verbosity": "low"}, family="ordinary", dropped=["verbosity"]) == {}


def test_defaults_of_the_entry_yield_to_the_client() -> None:
    defaults = {"temperature": 0.5, "seed": 7, "enhancements": {"ocr": {"enabled": True}}}
    expect = {"temperature": 0.1, "seed": 7, "enhancements": {"ocr": {"enabled": True}}}
    assert edited({"temperature": 0.1}, defaults=defaults) == expect


@pytest.mark.parametrize("family", ALL)
def test_default_token_limit_yields_to_the_clients_under_either_name(family: str) -> None:
    for default, own in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        assert list(edited({own: 5}, family=family, defaults={default: 9}).values()) == [5]
        assert list(edited({}, family=family, defaults={default: 9}).values()) == [9]


def test_defaults_of_the_entry_are_edited_like_the_clients_own() -> None:
    assert edited({}, family="gpt-5", defaults={"max_tokens": 9}) == {"max_completion_tokens": 9}


def test_capabilities_override_what_the_family_takes() -> None:
    family = with_capabilities(FAMILIES["ordinary"], {"efforts": ["low"], "unsupported": ["seed"], "sampling": "fixed"})
    assert edited({"reasoning_effort": "low", "verbosity": "low"}, family=family) == {
        "reasoning_effort": "low",
        "verbosity": "low",
    }
    with pytest.raises(ApiError, match="'seed' is not supported"):
        edited({"seed": 1}, family=family)
    with pytest.raises(ApiError, match="'temperature' is not supported"):
        edited({"temperature": 0}, family=family)
