"""How long a recording lasts, told by its first bytes and its size."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transform.sound import HEAD, seconds_of, wav_seconds


def wav(seconds: float, rate: int = 8_000, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(int(seconds * rate) * channels * width))
    return out.getvalue()


@given(
    st.integers(1, 400).map(lambda n: n / 100), st.sampled_from([8_000, 16_000, 44_100]), st.integers(1, 2),
    st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_wav_as_pythons_own_module_writes_it(seconds: float, rate: int, channels: int, width: int) -> None:
    file = wav(seconds, rate, channels, width)
    assert wav_seconds(file[:HEAD], len(file)) == pytest.approx(seconds, abs=2 / rate)


def test_other_chunks_before_the_samples_and_lengths_that_nobody_knew() -> None:
    file = wav(2)
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert wav_seconds(file[:36] + note + file[36:100], len(file) + len(note)) == 2
    for length in (0, 0xFFFFFFFF, 10**9):  # a recording that was piped, or cut
        assert wav_seconds(file[:40] + struct.pack("<I", length), len(file)) == 2


@pytest.mark.parametrize(
    "head",
    [b"", b"RIFF", b"ID3", wav(1)[:20], wav(1)[:36] + b"LIST" + bytes(8), b"RIFF\0\0\0\0WAVEdata\x08\0\0\0" + bytes(8)],
)
def test_what_says_nothing_is_guessed_by_its_size(head: bytes) -> None:
    assert wav_seconds(head, 32_000) == 0
    assert seconds_of(head, 32_000) == 2


@given(st.binary(max_size=200), st.integers(0, 10**9))
def test_rubbish_has_some_length(rubbish: bytes, size: int) -> None:
    for head in (rubbish, b"RIFF\0\0\0\0WAVE" + rubbish, wav(1)[:36] + rubbish):
        assert 0 <= seconds_of(head, size) < float("inf")
