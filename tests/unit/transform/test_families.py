"""The whole matrix of families: which name is which family, and which family takes which value."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.catalog import Family
from shared.errors import BadSetting
from shared.transform.families import FAMILIES, family_named, family_of_name, family_of_series, with_capabilities


class Named(NamedTuple):
    name: str
    azure: str
    """Its family behind `azure/…`."""
    other: str
    """Its family where any maker's model may be served."""


NAMES = [
    Named("o1", "o_series", "o_series"),
    Named("o3", "o_series", "o_series"),
    Named("o4-mini", "o_series", "o_series"),
    Named("o3-mini", "o_series", "o_series"),
    Named("o3-model", "o_series", "o_series"),
    Named("O3-Pro", "o_series", "o_series"),
    Named("o1.eu", "o_series", "o_series"),
    Named("my-o3-deployment", "o_series", "o_series"),
    Named("my_o3", "o_series", "o_series"),
    Named("o1-2024-12-17", "o_series", "o_series"),
    Named("team.o4-mini-2025-04-16", "o_series", "o_series"),
    Named("o1-mini", "o1-mini", "o1-mini"),
    Named("o1-preview", "o1-mini", "o1-mini"),
    Named("my-o1-preview-2", "o1-mini", "o1-mini"),
    Named("o1-mini-2024-09-12", "o1-mini", "o1-mini"),
    Named("o1-minimum", "o_series", "o_series"),
    # no o-series: the letters occur inside a word
    Named("foo1", "ordinary", "open"),
    Named("proto3-x", "ordinary", "open"),
    Named("demo4", "ordinary", "open"),
    Named("o3pro", "ordinary", "ordinary"),
    Named("o1_x", "ordinary", "ordinary"),
    Named("o2", "ordinary", "ordinary"),
    Named("o5-mini", "ordinary", "ordinary"),
    Named("gpt-5", "gpt-5", "gpt-5"),
    Named("GPT-5", "gpt-5", "gpt-5"),
    Named("gpt-5-mini", "gpt-5", "gpt-5"),
    Named("gpt-5-nano", "gpt-5", "gpt-5"),
    Named("gpt-5-pro", "gpt-5", "gpt-5"),
    Named("gpt-5-codex", "gpt-5", "gpt-5"),
    Named("gpt-5-2025-08-07", "gpt-5", "gpt-5"),
    Named("my-gpt-5-deployment", "gpt-5", "gpt-5"),
    Named("gpt-5-chatty", "gpt-5", "gpt-5"),
    Named("gpt-5.1", "gpt-5.1", "gpt-5.1"),
    Named("gpt-5.1-codex", "gpt-5.1", "gpt-5.1"),
    Named("eu-gpt-5.1-mini", "gpt-5.1", "gpt-5.1"),
    Named("gpt-5.2", "gpt-5.2", "gpt-5.2"),
    Named("gpt-5.3-codex", "gpt-5.2", "gpt-5.2"),
    Named("gpt-5.4", "gpt-5.4", "gpt-5.4"),
    Named("gpt-5.4-mini", "gpt-5.4", "gpt-5.4"),
    Named("gpt-5.5", "gpt-5.5", "gpt-5.5"),
    Named("gpt-5.6", "gpt-5.5", "gpt-5.5"),
    Named("gpt-5.10", "gpt-5.5", "gpt-5.5"),
    Named("gpt-6", "gpt-5.5", "gpt-5.5"),
    Named("gpt-6.1-mini", "gpt-5.5", "gpt-5.5"),
    Named("gpt-5-chat", "gpt-5-chat", "gpt-5-chat"),
    Named("gpt-5-chat-latest", "gpt-5-chat", "gpt-5-chat"),
    Named("gpt-5.1-chat", "gpt-5-chat", "gpt-5-chat"),
    Named("gpt-5-2025-08-07-chat", "gpt-5", "gpt-5"),
    Named("gpt-5-team-chat", "gpt-5", "gpt-5"),
    Named("gpt-50", "ordinary", "ordinary"),
    Named("gpt-51-mini", "ordinary", "ordinary"),
    Named("gpt-5_mini", "ordinary", "ordinary"),
    Named("gpt5", "ordinary", "ordinary"),
    Named("gpt-35-turbo", "gpt-35", "gpt-35"),
    Named("gpt-3.5-turbo", "gpt-35", "gpt-35"),
    Named("gpt-35-turbo-16k-0613", "gpt-35", "gpt-35"),
    Named("gpt35", "gpt-35", "gpt-35"),
    Named("azure-openai-4o-audio", "audio", "audio"),
    Named("gpt-4o-audio-preview", "audio", "audio"),
    Named("gpt-audio", "audio", "audio"),
    Named("gpt-audio-mini", "audio", "audio"),
    Named("audiobooks", "ordinary", "open"),
    Named("gpt-4", "ordinary", "ordinary"),
    Named("gpt-4o", "ordinary", "ordinary"),
    Named("gpt-4o-mini", "ordinary", "ordinary"),
    Named("gpt-4.1-nano", "ordinary", "ordinary"),
    Named("gpt-4-vision", "ordinary", "ordinary"),
    Named("gpt-4-1106-preview", "ordinary", "ordinary"),
    Named("chatgpt-v-2", "ordinary", "ordinary"),
    Named("chatgpt-functioncalling", "ordinary", "ordinary"),
    Named("your-deployment-name", "ordinary", "open"),
    Named("grok-4", "open", "open"),
    Named("DeepSeek-R1", "open", "open"),
    Named("Llama-4-Maverick-17B", "open", "open"),
    Named("Phi-4", "open", "open"),
    Named("gpt-oss-120b", "open", "open"),
    Named("davinci-002", "ordinary", "ordinary"),
    Named("omni-moderation-latest", "ordinary", "ordinary"),
    Named("", "ordinary", "open"),
]


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.name or "empty")
def test_family_of_name_is_the_row(case: Named) -> None:
    assert family_of_name(case.name) is FAMILIES[case.azure]
    assert family_of_name(case.name, openai_models=False) is FAMILIES[case.other]


class Series(NamedTuple):
    series: str
    name: str
    expect: str


@pytest.mark.parametrize(
    "case",
    [
        Series("o_series", "my-random-deployment-name", "o_series"),
        Series("o_series", "o1-mini", "o1-mini"),
        Series("o_series", "gpt-5", "o_series"),
        Series("gpt-5", "my-random-deployment-name", "gpt-5"),
        Series("gpt-5", "gpt-5.1", "gpt-5.1"),
        Series("gpt-5", "gpt-6", "gpt-5.5"),
        Series("gpt-5", "gpt-5-chat", "gpt-5-chat"),
        Series("gpt-5", "o3", "gpt-5"),
    ],
    ids=lambda case: f"{case.series}/{case.name}",
)
def test_series_prefix_decides_and_the_name_may_say_more(case: Series) -> None:
    assert family_of_series(case.series, family_of_name(case.name)) is FAMILIES[case.expect]


LOW_TO_HIGH = {"low", "medium", "high"}
NOT_GPT5 = {
    "stop", "presence_penalty", "frequency_penalty", "logit_bias", "prediction", "audio", "web_search_options",
}  # fmt: skip
NOT_O = {"presence_penalty", "frequency_penalty", "logit_bias", "verbosity"}


class Facts(NamedTuple):
    name: str
    token_limit: str
    sampling: str
    logprobs: str
    system_role: str
    efforts: set[str] | None
    default_effort: str
    unsupported: set[str]
    modalities: set[str]
    audio: bool
    json_schema: bool


SEE, READ = {"text", "image"}, {"text"}
NEW, ANY = "max_completion_tokens", {"text", "image", "audio", "video", "file"}
FREE, FIXED, IDLE = "any", "fixed", "without_effort"
FACTS = [
    Facts("ordinary", "either", FREE, FREE, "system", set(), "none", {"verbosity"}, SEE, False, True),
    Facts("gpt-35", "either", FREE, FREE, "system", set(), "none", {"verbosity"}, READ, False, False),
    Facts("audio", "either", FREE, FREE, "system", set(), "none", {"verbosity"}, {"text", "audio"}, True, False),
    Facts("o_series", NEW, FIXED, FIXED, "keep", LOW_TO_HIGH, "medium", NOT_O, SEE, False, True),
    Facts("o1-mini", NEW, FIXED, FIXED, "user", set(), "medium", NOT_O, READ, False, False),
    Facts("gpt-5", NEW, FIXED, FIXED, "keep", LOW_TO_HIGH | {"minimal"}, "medium", NOT_GPT5, SEE, False, True),
    Facts("gpt-5.1", NEW, IDLE, FIXED, "keep", LOW_TO_HIGH | {"none"}, "none", NOT_GPT5, SEE, False, True),
    Facts("gpt-5.2", NEW, IDLE, IDLE, "keep", LOW_TO_HIGH | {"none", "xhigh"}, "none", NOT_GPT5, SEE, False, True),
    Facts(
        "gpt-5.4", NEW, IDLE, IDLE, "keep", LOW_TO_HIGH | {"none", "minimal", "xhigh"}, "none", NOT_GPT5, SEE, False,
        True,
    ),
    Facts("gpt-5.5", NEW, IDLE, FIXED, "keep", LOW_TO_HIGH | {"none", "xhigh"}, "medium", NOT_GPT5, SEE, False, True),
    Facts("gpt-5-chat", NEW, FREE, FREE, "keep", set(), "none", {"verbosity"}, SEE, False, True),
    Facts("open", "either", FREE, FREE, "keep", None, "none", set(), ANY, True, True),
]  # fmt: skip


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.name)
def test_family_row_is_as_pinned(facts: Facts) -> None:
    efforts = None if facts.efforts is None else frozenset(facts.efforts)
    assert FAMILIES[facts.name] == Family(
        facts.name, facts.token_limit, facts.sampling, facts.logprobs, facts.system_role,  # pyright: ignore[reportArgumentType]
        efforts, facts.default_effort, frozenset(facts.unsupported), frozenset(facts.modalities), facts.audio,
        facts.json_schema,
    )  # fmt: skip


def test_every_family_is_pinned() -> None:
    assert list(FAMILIES) == [facts.name for facts in FACTS]


def test_family_named_refuses_an_unknown_name() -> None:
    assert family_named("gpt-5") is FAMILIES["gpt-5"]
    with pytest.raises(BadSetting, match="'gpt5' is not a family") as caught:
        family_named("gpt5")
    assert caught.value.field == "family"
    assert "gpt-5.1" in caught.value.remedy


class Capability(NamedTuple):
    name: str
    given: Any
    expect: Any


@pytest.mark.parametrize(
    "case",
    [
        Capability("token_limit", "max_tokens", "max_tokens"),
        Capability("sampling", "any", "any"),
        Capability("logprobs", "without_effort", "without_effort"),
        Capability("system_role", "user", "user"),
        Capability("efforts", ["low", "none"], frozenset({"low", "none"})),
        Capability("efforts", [], frozenset[str]()),
        Capability("efforts", None, None),
        Capability("default_effort", "high", "high"),
        Capability("unsupported", ["seed"], frozenset({"seed"})),
        Capability("input_modalities", ["text"], frozenset({"text"})),
        Capability("audio_output", True, True),
        Capability("json_schema", False, False),
    ],
    ids=lambda case: f"{case.name}={case.given}",
)
def test_capability_overrides_one_fact(case: Capability) -> None:
    changed = with_capabilities(FAMILIES["gpt-5"], {case.name: case.given})
    assert getattr(changed, case.name) == case.expect


class Refused(NamedTuple):
    name: str
    given: Any
    message: str
    remedy: str


@pytest.mark.parametrize(
    "case",
    [
        Refused("samplin", "any", "no capability 'samplin'", "write 'sampling'"),
        Refused("name", "x", "no capability 'name'", "remove it"),
        Refused("sampling", "free", "sampling: 'free'", "write one of any, fixed, without_effort"),
        Refused("system_role", None, "system_role: None", "write one of keep, system, user"),
        Refused("json_schema", "yes", "json_schema: 'yes'", "write true or false"),
        Refused("unsupported", "seed", "unsupported: 'seed'", "write a list, for example [low, medium, high]"),
        Refused("unsupported", None, "unsupported: None", "write a list, for example [low, medium, high]"),
    ],
    ids=lambda case: f"{case.name}={case.given}",
)
def test_capability_that_makes_no_sense_is_refused(case: Refused) -> None:
    with pytest.raises(BadSetting, match=case.message) as caught:
        with_capabilities(FAMILIES["gpt-5"], {case.name: case.given})
    assert (caught.value.field, caught.value.remedy) == ("capabilities", case.remedy)


def test_capability_efforts_of_an_open_family_become_a_list() -> None:
    assert with_capabilities(FAMILIES["open"], {"efforts": ["high"]}).efforts == frozenset({"high"})
