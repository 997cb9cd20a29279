"""Makes sound files of a given text: the right first bytes and container for each format, the same for the same text.

Owns bytes and durations. WAV and PCM play a tone; the compressed formats are frames of silence that carry the text's
digest, long enough to be sent in many pieces.
"""

import hashlib
import io
import math
import struct
import wave
from array import array
from functools import lru_cache

RATE = 24_000  # Hz; 16 bit, one channel, as OpenAI's speech is
SECONDS_PER_CHARACTER = 0.05
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def seconds_of(text: str, speed: float = 1.0) -> float:
    return round(max(len(text), 1) * SECONDS_PER_CHARACTER / speed, 3)


@lru_cache(maxsize=8)
def spoken(text: str, voice: str, kind: str = "mp3", speed: float = 1.0) -> bytes:
    digest = hashlib.sha256(f"{voice} {text}".encode("utf-8", "surrogatepass")).digest()
    seconds = seconds_of(text, speed)
    match kind:
        case "pcm":
            return _tone(digest, seconds)
        case "wav":
            return wav(_tone(digest, seconds))
        case "flac":  # STREAMINFO, then a block of application data
            info = struct.pack(">HH", 4_096, 4_096) + bytes(6) + _flac_numbers(seconds) + digest[:16]
            return b"fLaC" + b"\x00\x00\x00\x22" + info + b"\x82\x00\x00\x24" + b"FAKE" + digest
        case "opus":  # packets of 20 ms of silence, fifty to a page
            head = b"OpusHead\x01\x01" + struct.pack("<HIhB", 312, RATE, 0, 0)
            comment = b"OpusTags" + struct.pack("<I", 32) + digest + struct.pack("<I", 0)
            pages = (_ogg(place + 2, [b"\xf8\xff\xfe"] * 50) for place in range(_frames(seconds, 1.0)))
            return _ogg(0, [head], 2) + _ogg(1, [comment]) + b"".join(pages)
        case "aac":  # ADTS frames of 64 bytes
            frame = b"\xff\xf1\x58\x40\x08\x1f\xfc" + digest + bytes(25)
            return frame * _frames(seconds, 1_024 / RATE)
        case _:  # MPEG 1 layer III, 128 kbit/s at 44.1 kHz: 417 bytes a frame
            frame = b"\xff\xfb\x90\x64" + bytes(32) + digest + bytes(349)
            return frame * _frames(seconds, 1_152 / 44_100)


def wav(samples: bytes, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples)
    return file.getvalue()


def _tone(digest: bytes, seconds: float) -> bytes:
    """One period of a tone whose pitch is the digest's, repeated."""
    period = RATE // (220 + digest[0])
    wave_form = array("h", [int(8_000 * math.sin(2 * math.pi * place / period)) for place in range(period)])
    count = int(seconds * RATE)
    return (wave_form.tobytes() * (count // period + 1))[: count * 2]


def _frames(seconds: float, each: float) -> int:
    return max(1, math.ceil(seconds / each))


def _flac_numbers(seconds: float) -> bytes:
    """Rate (20 bits), channels - 1 (3), bits a sample - 1 (5), samples (36)."""
    return (RATE << 44 | 15 << 36 | int(seconds * RATE)).to_bytes(8, "big")


def _ogg(number: int, packets: list[bytes], flags: int = 0) -> bytes:
    position = max(0, number - 1) * 48_000  # Opus counts at 48 kHz, whatever it was made from
    sizes = bytes([len(packets), *map(len, packets)])
    page = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 1, number, 0) + sizes + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(page: bytes) -> int:
    """Ogg's own CRC-32: polynomial 04c11db7, not reflected, no final exclusive-or (RFC 3533)."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc
