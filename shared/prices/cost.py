"""The arithmetic: what was used times what it costs, summed exactly in pico-dollars and rounded once. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from shared.prices.rates import Rates, Table
from shared.types import NO_COST, Cost, Usage

PICO_PER_NANO = 1_000


def cost_of(usage: Usage, table: Table) -> Cost:
    """What has no rate is left out and makes the whole unpriced.

    Tokens and units (images, characters, seconds) may both be reported of one call: two measures of one thing. It is
    priced when one of them is, whole.
    """
    rates = table.rates
    for limit, others in table.longer:
        if usage.input_tokens > limit:
            rates = others
            break
    total, known = 0, True
    if usage.input_tokens or usage.output_tokens:
        total, known = _tokens(usage, rates)
        counted = True
    else:
        counted = False
    exact: int | Fraction = total
    if usage.images or usage.characters or usage.audio_seconds or usage.video_seconds:
        more, units_known = _units(usage, rates)
        exact = total + more
        known = known or units_known if counted else units_known
        counted = True
    if usage.training_tokens:
        known = known and rates.training is not None
        exact += usage.training_tokens * (rates.training or 0)
        counted = True
    if not counted:
        return NO_COST
    nanos = int((exact + PICO_PER_NANO // 2) // PICO_PER_NANO)
    return Cost(nanos, known, table.basis)


def _tokens(usage: Usage, rates: Rates) -> tuple[int, bool]:
    """-> pico-dollars, and whether every class that was used has a rate."""
    if usage.audio_input_tokens or usage.image_input_tokens or usage.cache_write_tokens:
        total, known = _mixed_input(usage, rates)
    else:
        cached = usage.cached_input_tokens
        plain = usage.input_tokens - cached
        if plain < 0:
            plain = 0
        total = plain * (rates.input or 0) + cached * (rates.cached or 0)
        known = rates.input is not None or not usage.input_tokens
    if usage.audio_output_tokens or usage.image_output_tokens or usage.images:
        more, all_known = _mixed_output(usage, rates)
        return total + more, known and all_known
    reasoning = usage.reasoning_tokens
    plain = usage.output_tokens - reasoning
    if plain < 0:
        plain = 0
    total += plain * (rates.output or 0) + reasoning * (rates.reasoning or 0)
    return total, known and (rates.output is not None or not usage.output_tokens)


def _mixed_input(usage: Usage, rates: Rates) -> tuple[int, bool]:
    """Input of several kinds. Cached tokens are text first: upstreams do not say of which kind they are, and text saves
    least; what is more than all text was an image, then sound."""
    sound, pictures = usage.audio_input_tokens, usage.image_input_tokens
    written = usage.cache_write_tokens
    long_written = min(usage.cache_write_1h_tokens, written)
    text = max(0, usage.input_tokens - sound - pictures - written)
    cached = usage.cached_input_tokens
    cached_text = min(cached, text)
    cached_pictures = min(cached - cached_text, pictures)
    cached_sound = min(cached - cached_text - cached_pictures, sound)
    return _sum(
        (text - cached_text, rates.input),
        (cached_text, rates.cached),
        (written - long_written, rates.cache_write),
        (long_written, rates.cache_write_1h),
        (pictures - cached_pictures, rates.image_input),
        (cached_pictures, rates.image_cached),
        (sound - cached_sound, rates.audio_input),
        (cached_sound, rates.audio_cached),
    )


def _mixed_output(usage: Usage, rates: Rates) -> tuple[int, bool]:
    sound, pictures = usage.audio_output_tokens, usage.image_output_tokens
    if usage.images and not pictures and not usage.reasoning_tokens:
        pictures = usage.output_tokens - sound  # a call for images whose output nobody divided
    text = max(0, usage.output_tokens - sound - pictures)
    reasoning = min(usage.reasoning_tokens, text)
    return _sum(
        (text - reasoning, rates.output),
        (reasoning, rates.reasoning),
        (sound, rates.audio_output),
        (pictures, rates.image_output),
    )


def _units(usage: Usage, rates: Rates) -> tuple[int | Fraction, bool]:
    total: int | Fraction = 0
    total, known = _sum(
        (usage.images, of_kind(rates.images, usage.image_kind) if usage.images else None),
        (usage.characters, rates.character),
    )
    for seconds, rate in (
        (usage.audio_seconds, rates.audio_second),
        (usage.video_seconds, of_kind(rates.videos, usage.image_kind, usage.video_seconds)),
    ):
        if seconds:
            total += Fraction(str(seconds)) * (rate or 0)
            known = known and rate is not None
    return total, known


def _sum(*parts: tuple[int, int | None]) -> tuple[int, bool]:
    total, known = 0, True
    for count, rate in parts:
        if count:
            if rate is None:
                known = False
            else:
                total += count * rate
    return total, known


_SIZE = re.compile(r"(\d+)x(\d+)")
_RANGE = re.compile(r"(\d+)-(\d+)s$")


def of_kind(rates: Mapping[str, int], said: str, seconds: float = 0) -> int | None:
    """The rate for a size and quality; the dearest when they are not among the kinds. None when there are none."""
    if not rates:
        return None
    if len(rates) == 1:
        return next(iter(rates.values()))
    size = _SIZE.search(said)
    short, long = sorted((int(size[1]), int(size[2]))) if size else (0, 0)
    fitting = [rate for kind, rate in rates.items() if _fits(kind, said, short, long, seconds)]
    return max(fitting or rates.values())


def _fits(kind: str, said: str, short: int, long: int, seconds: float) -> bool:
    if kind in ("high", "standard"):  # sora-2-pro: above 720p, or not
        return short > 0 and (kind == "high") == (short > 720)
    if "p " in kind:  # sora: 1080p sq 6-10s
        span = _RANGE.search(kind)
        fits = bool(span) and int(span[1]) - 1 < seconds <= int(span[2]) if span else False
        return fits and kind.startswith(f"{short}p") and (" sq " in kind) == (short == long)
    quality, _, side = kind.partition(" ")  # dall-e-3: hd high
    wanted = "hd" if "hd" in said.split() else "standard"
    return quality == wanted and side == ("high" if long > 1024 else "low")
