"""FAMILIES: what each model family accepts on the chat endpoint. One frozen row per family, with its evidence.

A row answers only what would be so on any host. The family comes from the configuration first
(`family`, the `o_series/` and `gpt5_series/` prefixes, `base_model`) and from the deployment's name last.
To add a family: one row here, one row in tests/unit/transform/test_families.py.

Evidence: [az] Azure "Reasoning models" and "Chat completions" pages, 2026-10; [rec] recorded refusals
(samples of 2026-03); [obs] behaviour that a peer's parameter table encodes, observed on the wire 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from shared.catalog import Family
from shared.config import suggestion
from shared.errors import BadSetting

TEXT = frozenset({"text"})
VISION = frozenset({"text", "image"})
LOW_TO_HIGH = frozenset({"low", "medium", "high"})

_ORDINARY = Family(
    name="ordinary",
    # gpt-4o and later take both names, gpt-35 and gpt-4 of old api-versions only max_tokens: what came is sent [az]
    token_limit="either",
    sampling="any",
    logprobs="any",
    # `developer` is new; old deployments know only `system`, which means the same to them [obs]
    system_role="system",
    efforts=frozenset(),
    default_effort="none",
    unsupported=frozenset({"verbosity"}),
    input_modalities=VISION,
    audio_output=False,
    json_schema=True,
)
_O_SERIES = Family(
    name="o_series",
    token_limit="max_completion_tokens",  # [rec] err-unsupported-max-tokens
    sampling="fixed",  # temperature, top_p other than 1 are refused [az]
    logprobs="fixed",
    system_role="keep",  # o1 and later take system and developer, and rank them above the user [az]
    efforts=LOW_TO_HIGH,
    default_effort="medium",
    unsupported=frozenset({"presence_penalty", "frequency_penalty", "logit_bias", "verbosity"}),
    input_modalities=VISION,
    audio_output=False,
    json_schema=True,
)
_GPT5 = Family(
    name="gpt-5",
    token_limit="max_completion_tokens",
    sampling="fixed",
    logprobs="fixed",
    system_role="keep",
    efforts=LOW_TO_HIGH | {"minimal"},
    default_effort="medium",
    unsupported=frozenset(
        {
            "stop",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "prediction",
            "audio",
            "web_search_options",
        }
    ),
    input_modalities=VISION,
    audio_output=False,
    json_schema=True,
)

FAMILIES: Mapping[str, Family] = {
    row.name: row
    for row in (
        _ORDINARY,
        # gpt-35: JSON mode yes, JSON schema no [az "Structured outputs", supported models]
        replace(_ORDINARY, name="gpt-35", input_modalities=TEXT, json_schema=False),
        # gpt-4o-audio: text and audio both ways, no images, no JSON schema [az "Audio generation"]
        replace(
            _ORDINARY,
            name="audio",
            input_modalities=frozenset({"text", "audio"}),
            audio_output=True,
            json_schema=False,
        ),
        _O_SERIES,
        # o1-mini and o1-preview know neither system nor developer [az]
        replace(
            _O_SERIES,
            name="o1-mini",
            system_role="user",
            efforts=frozenset(),
            input_modalities=TEXT,
            json_schema=False,
        ),
        _GPT5,
        # 5.1: effort `none` is new and the default; without reasoning, sampling is free again [az, obs]
        replace(
            _GPT5, name="gpt-5.1", sampling="without_effort", default_effort="none", efforts=LOW_TO_HIGH | {"none"}
        ),
        replace(
            _GPT5,
            name="gpt-5.2",
            sampling="without_effort",
            logprobs="without_effort",
            default_effort="none",
            efforts=LOW_TO_HIGH | {"none", "xhigh"},
        ),
        replace(
            _GPT5,
            name="gpt-5.4",
            sampling="without_effort",
            logprobs="without_effort",
            default_effort="none",
            efforts=LOW_TO_HIGH | {"none", "minimal", "xhigh"},
        ),
        # 5.5 and what follows: reasons by default again [obs]
        replace(_GPT5, name="gpt-5.5", sampling="without_effort", efforts=LOW_TO_HIGH | {"none", "xhigh"}),
        # gpt-5-chat: an ordinary model under gpt-5's name for the token limit; it does not reason [az]
        replace(_ORDINARY, name="gpt-5-chat", token_limit="max_completion_tokens", system_role="keep"),
        # Models of other makers on Foundry and plain OpenAI-compatible hosts: nothing is known, everything passes
        replace(
            _ORDINARY,
            name="open",
            system_role="keep",
            efforts=None,
            unsupported=frozenset(),
            input_modalities=frozenset({"text", "image", "audio", "video", "file"}),
            audio_output=True,
        ),
    )
}

_O_NAME = re.compile(r"(?:^|[^a-z0-9])o[134](?=[-.]|$)", re.I)
_O_MINI_NAME = re.compile(r"(?:^|[^a-z0-9])o1-(?:mini|preview)(?=[-.]|$)", re.I)
_GPT5_NAME = re.compile(r"gpt-(?P<major>[5-9])(?:\.(?P<minor>\d+))?(?P<chat>-chat)?(?=[-.]|$)", re.I)
_GPT35_NAME = re.compile(r"gpt-?3\.?5", re.I)
_AUDIO_NAME = re.compile(r"(?:^|[^a-z0-9])audio(?=[-.]|$)", re.I)
_OTHERS = re.compile(
    r"grok|deepseek|llama|mistral|ministral|codestral|phi-|cohere|command-|kimi|qwen|jais|gpt-oss|mai-|claude", re.I
)
_MAKERS_OWN = re.compile(r"gpt(?!-oss)|^o\d|davinci|omni", re.I)  # gpt-oss takes reasoning_effort, as others' models do


def family_of_name(name: str, *, openai_models: bool = True) -> Family:
    """The family that a model's or deployment's name tells: matched up to `-`, `.` or the end.

    openai_models: False where the name may be any maker's model (Foundry, plain hosts): an unknown name is
    then `open`, not `ordinary`.
    """
    if _O_MINI_NAME.search(name):
        return FAMILIES["o1-mini"]
    if _O_NAME.search(name):
        return FAMILIES["o_series"]
    if found := _GPT5_NAME.search(name):
        return _gpt5_row(found)
    if _AUDIO_NAME.search(name):
        return FAMILIES["audio"]
    if _GPT35_NAME.search(name):
        return FAMILIES["gpt-35"]
    if _OTHERS.search(name) or (not openai_models and not _MAKERS_OWN.search(name)):
        return FAMILIES["open"]
    return FAMILIES["ordinary"]


def _gpt5_row(found: re.Match[str]) -> Family:
    """The newest row that is not newer than the version in the name; a later generation is taken as the last row."""
    if found["chat"]:
        return FAMILIES["gpt-5-chat"]
    version = (int(found["major"]), int(found["minor"] or 0))
    chosen = "gpt-5"
    for row in ("gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.5"):
        if version >= (5, int(row.rpartition(".")[2])):
            chosen = row
    return FAMILIES[chosen]


def family_named(name: str) -> Family:
    """The row of that name. Raises BadSetting."""
    if name not in FAMILIES:
        raise BadSetting("family", f"{name!r} is not a family", f"write one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def family_of_series(series: str, by_name: Family) -> Family:
    """What an `o_series/` or `gpt5_series/` prefix says; the name may say more: gpt5_series/gpt-5.1 is gpt-5.1."""
    own = ("o_series", "o1-mini") if series == "o_series" else ("gpt-5",)
    return by_name if by_name.name.startswith(own) else FAMILIES[series]


_CHOICES = {
    "token_limit": ("max_tokens", "max_completion_tokens", "either"),
    "sampling": ("any", "fixed", "without_effort"),
    "logprobs": ("any", "fixed", "without_effort"),
    "system_role": ("keep", "system", "user"),
}


def with_capabilities(family: Family, given: Mapping[str, Any]) -> Family:
    """The row with single capabilities as an entry's `capabilities` sets them. Raises BadSetting."""
    known = {f.name for f in fields(Family) if f.name != "name"}
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise BadSetting("capabilities", f"there is no capability {name!r}", suggestion(name, known))
        changes[name] = _capability(name, getattr(family, name), value)
    return replace(family, **changes)


def _capability(name: str, current: Any, value: Any) -> Any:
    """The value in the type of the row's field."""
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise BadSetting("capabilities", f"{name}: {value!r}", f"write one of {', '.join(_CHOICES[name])}")
        return value
    if isinstance(current, bool):
        if not isinstance(value, bool):
            raise BadSetting("capabilities", f"{name}: {value!r}", "write true or false")
        return value
    if isinstance(current, str):
        return str(value)
    if value is None and name == "efforts":
        return None
    if not isinstance(value, list):
        raise BadSetting("capabilities", f"{name}: {value!r}", "write a list, for example [low, medium, high]")
    return frozenset(str(v) for v in cast("list[Any]", value))
