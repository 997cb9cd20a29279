"""How long an uploaded recording lasts, told by its first bytes and its size. Pure; for what Azure does not report.

wav_seconds(head, size)    exact, from the header (RIFF; Microsoft "Multimedia Programming Interface", 1991)
seconds_of(head, size)     the same, or a guess by the size for every other format
"""

from __future__ import annotations

HEAD = 4096
"""Bytes that hold a WAV file's format, and where its samples begin, in all but odd files."""
USUAL_BYTES_PER_SECOND = 16_000
"""128 kbit/s, the usual rate of MP3 and AAC (our own choice, 2026-11): a guess is better than nothing."""
_UNKNOWN = (0, 0xFFFFFFFF)
"""Lengths that programs write which do not know it yet."""


def seconds_of(head: bytes, size: int) -> float:
    """`head`: the first HEAD bytes of a file, `size`: all of its bytes."""
    return wav_seconds(head, size) or size / USUAL_BYTES_PER_SECOND


def wav_seconds(head: bytes, size: int) -> float:
    """-> 0 when it is no WAV file, or when its header says nothing."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return 0.0
    rate, at = 0, 12
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            rate = int.from_bytes(head[at + 8 : at + 12], "little")
        if name == b"data":
            there = max(0, size - at)
            samples = there if length in _UNKNOWN else min(length, there)
            return samples / rate if rate else 0.0
        at += length + length % 2
    return 0.0
