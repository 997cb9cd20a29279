"""Makes small image files by hand: a PNG of one colour, the smallest JPEG and WebP, each different for each seed.

Owns bytes only. The files open in any viewer; their size in pixels is not the size that was asked for.
"""

import base64
import hashlib
import struct
import zlib
from functools import cache

_EDGE = 8
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP" + "/" * 86 + "wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)
_WEBP = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@cache
def picture(seed: str, kind: str = "png") -> bytes:
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    match kind:
        case "jpeg":  # the seed is in a comment segment
            return _JPEG[:2] + b"\xff\xfe" + struct.pack(">H", 34) + digest + _JPEG[2:]
        case "webp":  # a chunk of an unknown name is skipped by readers
            body = _WEBP[8:] + b"SEED" + struct.pack("<I", 32) + digest
            return b"RIFF" + struct.pack("<I", len(body)) + body
        case _:
            return _png(digest[:3])


def dimensions(file: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, or None when the bytes are none."""
    if not file.startswith(b"\x89PNG\r\n\x1a\n") or len(file) < 24:
        return None
    width, height = struct.unpack(">II", file[16:24])
    return width, height


def is_image(file: bytes) -> bool:
    webp = file[:4] == b"RIFF" and file[8:12] == b"WEBP"
    return dimensions(file) is not None or file.startswith(b"\xff\xd8\xff") or webp


def _png(colour: bytes) -> bytes:
    rows = (b"\0" + colour * _EDGE) * _EDGE
    header = struct.pack(">IIBBBBB", _EDGE, _EDGE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
