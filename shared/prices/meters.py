"""What a row of Azure's retail price list is the price of: read from its meter's name, product and unit. Pure.

Azure spells one thing in many ways ("cchd Inpt DZone", "cd inp Dz", "cached-FT-inp-datazone"). A name is split into
words; each word says a zone, a tier, a direction, a kind of content, a version, or is noise; what is left over is the
model (model_names.py). A meter that is not understood is an answer too (`Skipped`), and every report names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from shared.prices.model_names import name_of_meter

PICO = 10**12
LONG_CONTEXT = 272_000
"""Above so many input tokens a call is on the LongCo meters as a whole (Azure OpenAI pricing, GPT-5.4, 2026-03)."""
GROK_LONG_CONTEXT = 200_000
"""The same for Grok's L meters (xAI models page, Grok 4.3, 2026-05)."""


@dataclass(frozen=True, slots=True)
class Meter:
    """What one meter measures. `of` is a class of tokens or another unit, as docs/prices.md lists them."""

    model: str
    of: str
    version: str = ""
    """As the meter says it, `1120`; a full date where the meter has one; empty: for all versions."""
    zone: str = "global"
    tier: str = "standard"
    context: int = 0
    """For calls with more input tokens than this."""
    kind: str = ""
    """Size and quality of an image or a video."""

    @property
    def key(self) -> str:
        """Its place below model and version in the price book."""
        return key_of(self.zone, self.tier, self.context, self.of, self.kind)


def key_of(zone: str, tier: str, context: int, of: str, kind: str = "") -> str:
    return f"{zone}.{tier}.{context}.{of}.{kind}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A meter that is no price of a model, with the reason; `unknown`: it was not understood."""

    reason: str


UNKNOWN = Skipped("unknown")

_SKIP: tuple[tuple[re.Pattern[str], Skipped], ...] = tuple(
    (re.compile(pattern, re.I), Skipped(reason))
    for pattern, reason in (
        (r"^standard unit$", "a free meter without a model"),
        (r"provisioned throughput", "classic provisioned throughput, which is no longer sold"),
        (r"assistants|file-search|code-interpreter", "the fee of a hosted tool"),
        (r"grader|\bgrdr\b", "grading within a fine-tuning job"),
        (r"^az-gpt-3\.5-turbo tokens$", "a retired meter of one rate"),
    )
)
_SPECIAL: tuple[tuple[re.Pattern[str], Meter], ...] = tuple(
    (re.compile(pattern, re.I), meter)
    for pattern, meter in (
        (r"^provisioned managed", Meter("ptu", "ptu_hour")),
        (r"dall-e-2", Meter("dall-e-2", "image")),
        (r"dall-e-3 hd high", Meter("dall-e-3", "image", kind="hd high")),
        (r"dall-e-3 hd low", Meter("dall-e-3", "image", kind="hd low")),
        (r"dall-e-3 std high", Meter("dall-e-3", "image", kind="standard high")),
        (r"dall-e-3 std low", Meter("dall-e-3", "image", kind="standard low")),
        (r"text to speech hd", Meter("tts-hd", "character")),
        (r"text to speech", Meter("tts", "character")),
        (r"batch-whisper", Meter("whisper", "audio_second")),
        (r"^gpt-realtime-whisper", Meter("gpt-realtime-whisper", "audio_second")),
        (r"^gpt-realtime-translate", Meter("gpt-realtime-translate", "audio_second")),
        (r"^sora 2 pro high res", Meter("sora-2-pro", "video_second", kind="high")),
        (r"^sora 2 pro", Meter("sora-2-pro", "video_second", kind="standard")),
        (r"^sora 2", Meter("sora-2", "video_second")),
    )
)
_SORA = re.compile(r"^sora (\d+p)( sq)? (\d+-\d+)s", re.I)

_ZONES = {
    word: zone
    for zone, words in {
        "datazone": "dzone dz dzn datazone",
        "global": "glbl global gl glb",
        "regional": "regnl rgnl regional regn rg",
    }.items()
    for word in words.split()
}
_WORDS = {
    word: meaning
    for meaning, words in {
        "input": "inp inpt input in",
        "output": "opt outp outpt out output",
        "cached": "cchd cd cached cach cache ch ccchd cched",
        "write": "wr write",
        "batch": "batch",
        "priority": "pp",
        "long": "longco",
        "audio": "aud audio",
        "image": "img image",
        "text": "txt text",
        "tuned": "ft rft",
        "dev": "dev",
        "training": "training trng",
        "hosting": "hosting hstng",
        "page": "pages",
        "search": "search",
        "": "tokens token tkn 1m 1k unit units ep az std shortco prvw model deployment base video second",
    }.items()
    for word in words.split()
}
# What is glued together or spelt in two words, before the name is split; applied in this order to lower-case text.
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"(?<=[a-z]{3})(?=\d)", " "),
        (r"[\s_/-]+", " "),
        (r"\b4omini\b", "4o mini"),
        (r"\bftregnl\b", "ft regnl"),
        (r"\bfine tuned\b", "ft"),
        (r"\bdata zone\b", "datazone"),
        (r"\bdeep seek\b", "deepseek"),
        (r"\bmini max\b", "minimax"),
        (r"\blong co\b", "longco"),
        (r"\bshort co\b", "shortco"),
        (r"^(?:gpt )?(?:image|img) (?=\d)", "gpt-image "),
        (r"\btext embedding\b", "text-embedding"),
    )
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_VERSION = re.compile(r"(?:0[1-9]|1[0-2])[0-3]\d|2[45](?:0[1-9]|1[0-2])")
_DATED = re.compile(r"(\d\d)(\d\d)(20\d\d)")


def read_meter(name: str, product: str) -> Meter | Skipped:
    """-> what it measures, or why it is left out."""
    for pattern, skipped in _SKIP:
        if pattern.search(name):
            return skipped
    words = _words(name)
    zone = next((_ZONES[w] for w in words if w in _ZONES), "")
    for pattern, meter in _SPECIAL:
        if pattern.search(name):
            model = f"ptu:{_maker(product)}" if meter.model == "ptu" else meter.model
            return replace(meter, model=model, zone=zone or "global")
    if found := _SORA.match(name):
        kind = " ".join(part.strip().lower() for part in found.groups() if part)
        return Meter("sora", "video_second", zone=zone or "global", kind=f"{kind}s")
    return _by_words(words, zone, product)


def _words(name: str) -> list[str]:
    text = _CAMEL.sub(" ", name.strip()).lower()
    for pattern, to in _SPELLINGS:
        text = pattern.sub(to, text)
    return text.split()


def _by_words(words: list[str], zone: str, product: str) -> Meter | Skipped:
    said: set[str] = set()
    version, rest = "", list[str]()
    grok = "Grok" in product
    for word in words:
        if word in _ZONES:
            continue
        if dated := _DATED.fullmatch(word):
            version = f"{dated[3]}-{dated[1]}-{dated[2]}"
        elif _VERSION.fullmatch(word):
            version = word
        elif grok and word == "l":
            said.add("long")
        elif (meaning := _WORDS.get(word)) is None:
            rest.append(word)
        elif meaning:
            said.add(meaning)
    found = name_of_meter(rest, version, said, product)
    if found is None:
        return UNKNOWN
    model, version, of = found[0], found[1], _class(said, found[0])
    if not of:
        return UNKNOWN
    if "tuned" in said and (of != "training" or "dev" in said):
        model = f"ft-dev:{model}" if "dev" in said else f"ft:{model}"
    tier = "batch" if "batch" in said else "priority" if "priority" in said else "standard"
    context = 0 if "long" not in said else GROK_LONG_CONTEXT if grok else LONG_CONTEXT
    return Meter(model, of, version, zone or _unmarked(product), tier, context)


def _class(said: set[str], model: str) -> str:
    """The class of token, or the unit; empty when the words name none."""
    for of in ("hosting", "training", "page", "search"):
        if of in said:
            return f"{of}_hour" if of == "hosting" else of
    content = "audio_" if "audio" in said else "image_" if "image" in said else ""
    if "text" in said:
        content = ""
    if "cached" in said and "write" in said:
        return "cache_write"
    if "cached" in said:
        return f"{content}cached_input"
    if "output" in said or "input" in said:
        return f"{content}output" if "output" in said else f"{content}input"
    if "embed" in model:
        return f"{content}input"  # there is only one direction
    if "tuned" in said:
        return "training"  # other makers' models: what is neither in nor out is what they learn from
    return "token" if model in ("babbage-002", "davinci-002") else ""


def _maker(product: str) -> str:
    """Whose provisioned units they are: Azure prices them by maker."""
    words = product.removeprefix("Azure ").split()
    return words[0].lower() if words else ""


def _unmarked(product: str) -> str:
    """Meters that name no zone: OpenAI's are old, regional ones; other makers' cost what their Global ones cost."""
    return "regional" if product == "Azure OpenAI" else "global"


_UNIT = re.compile(r"(\d+)\s*([KM]?)\s*(?:/?\s*(Hour|Second|Day|Month))?", re.I)
_OF_TIME = {"hosting_hour", "ptu_hour", "training_hour", "audio_second", "video_second"}


@dataclass(frozen=True, slots=True)
class Price:
    """One row of the list: a price in force from a day on, in some regions."""

    meter: Meter
    name: str
    """Of the meter, as Azure has it."""
    since: str
    """2026-06-01"""
    pico: int
    """Per token, image, second, hour, …: rounded to whole pico-dollars, which only prices by the hour need."""
    regions: frozenset[str]


def read_row(row: Mapping[str, object]) -> Price | Skipped:
    """One row of the list, as the API sends it (`armRegionName`) or gathered over regions (`regions`)."""
    name, product = str(row.get("meterName") or ""), str(row.get("productName") or "")
    meter = read_meter(name, product)
    if isinstance(meter, Skipped):
        return meter
    unit = _UNIT.fullmatch(str(row.get("unitOfMeasure") or "").strip())
    since = str(row.get("effectiveStartDate") or "")[:10]
    try:
        amount = Decimal(str(row.get("retailPrice")))
    except ArithmeticError:
        return UNKNOWN
    if not unit or not amount.is_finite() or amount < 0 or not re.fullmatch(r"\d{4}-\d\d-\d\d", since):
        return UNKNOWN
    if amount == 0:
        return Skipped("a price of nothing")
    count = int(unit[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[unit[2].lower()]
    per = (unit[3] or "").lower()
    if meter.of == "training" and per == "hour":
        meter = replace(meter, of="training_hour")
    if not count or bool(per and per != "second") != (meter.of in _OF_TIME and meter.of != "video_second"):
        return UNKNOWN  # a price of tokens by the hour, or of hours by the thousand
    if meter.of == "audio_second":
        count *= 3600
    pico = (amount * PICO / count).quantize(Decimal(1), ROUND_HALF_UP)
    given = row.get("regions")
    places: Iterable[object] = given if isinstance(given, list) else [row.get("armRegionName")]
    return Price(meter, name, since, int(pico), frozenset(region_of(str(place or "")) for place in places))


ANYWHERE = "*"


def region_of(text: str) -> str:
    """`East US 2` and `eastus2` are one; `Global` and nothing at all mean anywhere."""
    name = re.sub(r"[\s_-]+", "", text).lower()
    return ANYWHERE if name in ("", "global") else name
