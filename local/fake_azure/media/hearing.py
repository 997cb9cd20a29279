"""Reads an uploaded sound: is it a format that the models take, how long does it last, what is "heard" in it.

Pure. WAV is measured; of the compressed formats the length is estimated by the size. What is heard names the file, its
length and its digest, so that a test sees whether the upload arrived whole.
"""

import hashlib
import io
import wave
from dataclasses import dataclass

from ..errors import ApiError, invalid

LARGEST = 25 * 2**20  # bytes; Azure's limit for audio files as of 2026-08
FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_BYTES_PER_SECOND = 16_000  # 128 kbit/s
_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\x1aE\xdf\xa3")


@dataclass(frozen=True, slots=True)
class Sound:
    name: str
    seconds: float
    heard: str


def listen(name: str, file: bytes, verb: str = "Heard") -> Sound:
    """Raises Azure's refusals: 413 above 25 MB, 400 for a format that is not known."""
    if len(file) > LARGEST:
        message = f"Maximum content size limit ({LARGEST}) exceeded ({len(file)} bytes read)"
        body = {"message": message, "type": "server_error", "param": None, "code": None}
        raise ApiError(413, {"error": body})
    if name.rpartition(".")[2].lower() not in FORMATS:
        raise invalid(f"Invalid file format. Supported formats: {list(FORMATS)}", "file")
    seconds = _seconds(file)
    if seconds is None:
        message = "Audio file might be corrupted or unsupported"
        raise invalid(message, "file", "invalid_value")
    if seconds < 0.1:
        message = "Audio file is too short. Minimum audio length is 0.1 seconds."
        raise invalid(message, "file", "audio_too_short")
    digest = hashlib.sha256(file).hexdigest()[:8]
    return Sound(name, seconds, f"{verb} {name}: {len(file)} bytes, {seconds:g} seconds, digest {digest}.")


def _seconds(file: bytes) -> float | None:
    try:
        with wave.open(io.BytesIO(file)) as sound:
            return round(sound.getnframes() / sound.getframerate(), 3)
    except (wave.Error, EOFError, ZeroDivisionError):
        pass
    # ISO media (mp4, m4a) say their brand behind a length.
    if file.startswith(_MAGIC[1:]) or file[4:8] == b"ftyp":
        return round(max(len(file) / _BYTES_PER_SECOND, 0.1), 3)
    return None
