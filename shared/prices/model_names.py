"""Names of models: those that Azure's meters abbreviate, and those that operators and upstreams use. Pure.

A price is kept under Azure's own name of the model in lower case (`gpt-4o`, `claude-sonnet-4-5`), fine-tuned ones as
`ft:gpt-4o` (developer tier: `ft-dev:gpt-4o`), apart from its version.
"""

from __future__ import annotations

import re

_SHORT = {"mn": "mini", "rt": "realtime", "rtime": "realtime", "trscb": "transcribe", "tcrb": "transcribe",
          "mnstrl": "ministral"}  # fmt: skip
_METER_NAMES: dict[str, tuple[str, str]] = {
    "gpt-35-turbo-4k": ("gpt-35-turbo", "0613"),
    "gpt-35-trb-16k-125": ("gpt-35-turbo", "0125"),
    "gpt-35-trb-16k": ("gpt-35-turbo", "1106"),
    "gpt-4-8k": ("gpt-4", ""),
    "gpt-4-turbo-128k": ("gpt-4-turbo", ""),
    "gpt-4-turbo-vision-128k": ("gpt-4-turbo-vision", ""),
    "gpt-4.5": ("gpt-4.5-preview", ""),
    "computer-use": ("computer-use-preview", ""),
    "embedding-ada": ("text-embedding-ada-002", ""),
    "embeddings-ada": ("text-embedding-ada-002", ""),
    "gpt-4o-transcribe-d": ("gpt-4o-transcribe-diarize", ""),
    "gpt-20b": ("gpt-oss-20b", ""),
    "oss-20b": ("gpt-oss-20b", ""),
    "deepseek-v3.2-sp": ("deepseek-v3.2-speciale", ""),
    "mistral-mm3.5": ("mistral-medium-3.5", ""),
    "mistral-ministral-3b": ("ministral-3b", ""),
    "mistral-codestral": ("codestral", ""),
    "mistral-doc-ai": ("mistral-document-ai", ""),
    "kimi-k2.5-thinking": ("kimi-k2.5", ""),
    "kimi-k2.6-thinking": ("kimi-k2.6", ""),
    "llama-3.3": ("llama-3.3-70b", ""),
    "deepseek-mai-ds-r1": ("mai-ds-r1", ""),
}
"""What the words of a meter come to -> model and version."""
_OF_MAKER = {"Azure Deepseek Models": "deepseek", "Azure Grok Models": "grok", "Azure Llama Models": "llama",
             "Azure Mistral Models": "mistral", "Azure Kimi": "kimi", "Cohere Models": "cohere"}  # fmt: skip
"""Other makers' meters leave the maker out."""


def name_of_meter(words: list[str], version: str, said: set[str], product: str) -> tuple[str, str] | None:
    """-> model and version, from the words of a meter that say nothing else. None when there are none."""
    words = [_SHORT.get(word, word) for word in words]
    if "OSS" in product and words and words[0] != "gpt":
        words = [word for word in words if word != "oss"]
        words[:0] = ["gpt", "oss"]
    elif maker := _OF_MAKER.get(product):
        if words[:1] != [maker]:
            words.insert(0, maker)
    elif product.startswith("Azure OpenAI") and words and words[0][0].isdigit():
        words.insert(0, "gpt")
    name = "-".join(words)
    if not name:
        return None
    if product.startswith("Azure OpenAI"):
        name = _media(name, words, said)
    if name == "gpt-35-turbo-16k" and (version or "tuned" in said):
        return "gpt-35-turbo", version  # 16k by itself is the model of 0613; later versions all have that much
    model, fixed = _METER_NAMES.get(name, (name, ""))
    return model, version or fixed


def _media(name: str, words: list[str], said: set[str]) -> str:
    """`gpt-realtime-mini`, `gpt-4o-audio-preview`: the meters say `gpt rt … mini` and `gpt-4o-aud-…`."""
    others = [word for word in words if word not in ("gpt", "realtime")]
    if "realtime" in words:
        old = others[:1] == ["4o"]
        parts = ["gpt", *others, "realtime", "preview"] if old else ["gpt", "realtime", *others]
        return "-".join(parts)
    if "audio" in said and not {"transcribe", "tts", "latest"} & set(words):
        old = others[:1] == ["4o"]
        parts = ["gpt", *others, "audio", "preview"] if old else ["gpt", "audio", *others]
        return "-".join(parts)
    return name


_ALIASES: dict[str, str] = {
    "gpt-4-1106-preview": "gpt-4-turbo",
    "gpt-4-0125-preview": "gpt-4-turbo",
    "gpt-4-turbo-preview": "gpt-4-turbo",
    "gpt-4-vision-preview": "gpt-4-turbo-vision",
    "gpt-4-turbo-vision-preview": "gpt-4-turbo-vision",
    "gpt-4-vision": "gpt-4-turbo-vision",
    "gpt-4o-audio": "gpt-4o-audio-preview",
    "gpt-4o-realtime": "gpt-4o-realtime-preview",
    "gpt-4o-mini-audio": "gpt-4o-mini-audio-preview",
    "gpt-4o-mini-realtime": "gpt-4o-mini-realtime-preview",
    "gpt-4.5": "gpt-4.5-preview",
    "tts-1": "tts",
    "tts-1-hd": "tts-hd",
    "whisper-1": "whisper",
    "ada": "text-embedding-ada-002",
    "computer-use": "computer-use-preview",
    "llama-3.3-70b-instruct": "llama-3.3-70b",
    "llama-4-maverick-17b-128e-instruct-fp8": "llama-4-maverick-17b",
    "grok-4-fast-reasoning": "grok-4-fast",
    "grok-4-fast-non-reasoning": "grok-4-fast",
    "grok-4-1-fast-reasoning": "grok-4.1",
    "grok-4-1-fast-non-reasoning": "grok-4.1",
    "grok-4.1-fast": "grok-4.1",
    "embed-v-4-0": "cohere-embed-v4",
    "cohere-embed-v-4-0": "cohere-embed-v4",
    "cohere-rerank-v4.0-fast": "cohere-rerank-v4-fast",
    "cohere-rerank-v4.0-pro": "cohere-rerank-v4-pro",
    "claude-opus-4": "claude-opus-4-0",
    "claude-sonnet-4": "claude-sonnet-4-0",
}
"""Names in use -> the name that prices are kept under. The versions are in Azure's "Foundry models" page, 2026-08."""
_DATE = re.compile(r"[-@](20\d\d-[01]\d-[0-3]\d)(?:-preview)?$")
_PACKED = re.compile(r"[-@](20\d\d)([01]\d)([0-3]\d)$")
_CODE = re.compile(r"-(\d{4})(?:-preview)?$")
_TUNED = re.compile(r"^(.+)\.ft-.+$")


def candidates(text: str, version: str = "") -> list[tuple[str, str]]:
    """-> (model, version) that a name may mean, the likeliest first: as it is written, then less and less literally.

    version: given apart, it wins over one in the name.
    """
    name = text.strip().lower()
    if tuned := _TUNED.match(name):
        name = f"ft:{tuned[1]}"
    prefix, colon = "", ""
    if name.startswith(("ft:", "ft-dev:")):
        prefix, colon, name = name.partition(":")
        name = name.split(":")[0]  # OpenAI's form goes on: ft:MODEL:organisation:name:id
    name = re.sub(r"^gpt-?3\.?5", "gpt-35", name)
    found = [(name, version)]
    bare, said = _without_version(name)
    for form in (name, bare, bare.removesuffix("-latest"), bare.removesuffix("-preview")):
        for model in (_ALIASES.get(form, form), _CLAUDE.sub(_dashed, form)):
            found.append((model, version or said))
    return [(f"{prefix}{colon}{model}", v) for model, v in dict.fromkeys(found) if model]


_CLAUDE = re.compile(r"^claude-.+$")


def _dashed(name: re.Match[str]) -> str:
    """`claude-opus-4.1` -> `claude-opus-4-1`"""
    return name[0].replace(".", "-")


def _without_version(name: str) -> tuple[str, str]:
    if found := _DATE.search(name):
        return name[: found.start()], found[1]
    if found := _PACKED.search(name):
        return name[: found.start()], "-".join(found.groups())
    if found := _CODE.search(name):
        return name[: found.start()], found[1]
    return name, ""


def spellings(version: str) -> tuple[str, ...]:
    """Under what a version's prices may be kept, the most exact first: `2024-11-20`, `1120`, and those for all."""
    code = version.replace("-preview", "")
    parts = code.split("-")
    return (code, parts[1] + parts[2], "") if len(parts) == 3 else (code, "") if code else ("",)
