"""Ids that route and authorise: the signed envelope in which clients see every id that Azure keeps state behind.

Owns the envelope's form, its keys and what makes one valid. It knows nothing of HTTP, of where in a body ids stand
(transform/owned.py) or of which resource belongs to a tag (the caller compares tags).

    resp_TAE…     the upstream id's own prefix, then base64url without padding of:
    0     1       mark and packing: 0x4C (text), 0x4D (hex), 0x4E (UUID); so the text always begins with `T`
    1     1       version of the key
    2     5       tag of the resource that holds the state
    7     8       tag of the owner
    15    n       the rest of the upstream id, packed
    15+n  16      HMAC-SHA256, cut, over the SHA-256 of the owner, the prefix and everything before it

The rest is packed, not encrypted: an upstream id is no secret, it merely opens nothing here without its signature.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.errors import BadSetting

SHORTEST_KEY = 16
"""Bytes of the shortest key that may sign."""

_TEXT, _HEX, _UUID = 0x4C, 0x4D, 0x4E
_HEAD, _MAC = 15, 16
_NO_PREFIX = "id_"
"""Stands in front of an id that has no prefix; an upstream id that begins so itself counts as having none."""

_PREFIX = re.compile(r"[A-Za-z]{1,24}[_-]")
_ENVELOPE = re.compile(r"([A-Za-z]{1,24}[_-])(T[A-Za-z0-9_-]{41,})")
_IS_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_IS_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a valid envelope holds."""

    upstream_id: str
    resource_tag: bytes


class Keyring:
    """The keys that sign and verify. The highest version signs, every version verifies."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """`keys`: version (1 to 255) -> key. Raises ValueError without a key, or for one that is too short."""
        if not keys:
            raise ValueError("no key to sign ids with")
        for version, key in keys.items():
            if not 1 <= version <= 255:
                raise ValueError(f"{version} is no version of a key: 1 to 255")
            if len(key) < SHORTEST_KEY:
                raise ValueError(f"key {version} is shorter than {SHORTEST_KEY} bytes")
        self._keys = dict(keys)
        self._newest = max(keys)

    def seal(self, upstream_id: str, resource: str, owner: str) -> str:
        """-> the envelope, always the same for the same arguments. Raises ValueError for an empty id."""
        if not upstream_id:
            raise ValueError("an empty id cannot be sealed")
        found = _PREFIX.match(upstream_id)
        prefix = found.group() if found and found.group() != _NO_PREFIX else ""
        packing, packed = _pack(upstream_id[len(prefix) :])
        prefix = prefix or _NO_PREFIX
        owner_digest = _owner_digest(owner)
        head = bytes((packing, self._newest)) + resource_tag(resource) + owner_digest[:8] + packed
        mac = _mac(self._keys[self._newest], owner_digest, prefix, head)
        return prefix + urlsafe_b64encode(head + mac).rstrip(b"=").decode()

    def open(self, public_id: str, owner: str) -> Sealed | None:
        """What the envelope holds; None for whatever is no valid envelope of this owner. Why is not told."""
        found = _ENVELOPE.fullmatch(public_id)
        if found is None:
            return None
        prefix, text = found.groups()
        data = _canonical(text)
        if data is None:
            return None
        head, given = data[:-_MAC], data[-_MAC:]
        key = self._keys.get(head[1])
        if key is None:
            return None
        owner_digest = _owner_digest(owner)
        # the tag of the owner is within `head`, and the MAC covers the owner's whole digest: one comparison decides
        if not hmac.compare_digest(_mac(key, owner_digest, prefix, head), given):
            return None
        rest = _unpack(head[0], head[_HEAD:])
        if rest is None:
            return None
        return Sealed(rest if prefix == _NO_PREFIX else prefix + rest, head[2:7])


def resource_tag(resource: str) -> bytes:
    """Five bytes that name a resource: made of its name alone, so they outlive every key and configuration."""
    return hashlib.sha256(resource.lower().encode()).digest()[:5]


def looks_sealed(text: str) -> bool:
    """Whether the text has the form of an envelope (prefix, mark, alphabet, least length), valid or damaged."""
    return _ENVELOPE.fullmatch(text) is not None


def unpacked(public_id: str) -> str | None:
    """The upstream's id that an envelope names. Nothing is verified: good for finding a row whose owner then opens the
    envelope (Keyring.open), and for nothing else."""
    found = _ENVELOPE.fullmatch(public_id)
    data = _canonical(found[2]) if found else None
    try:
        rest = _unpack(data[0], data[_HEAD:-_MAC]) if data else None
    except UnicodeDecodeError:
        rest = None
    if found is None or rest is None:
        return None
    return rest if found[1] == _NO_PREFIX else found[1] + rest


def parse_keys(text: str) -> dict[int, bytes]:
    """The setting ID_KEYS, `version:base64` separated by commas -> version -> key. Raises BadSetting; shows no key."""
    keys: dict[int, bytes] = {}
    for part in text.split(","):
        number, colon, encoded = part.strip().partition(":")
        if not colon or not re.fullmatch(r"[0-9]{1,3}", number) or not 1 <= int(number) <= 255:
            raise _bad_keys("each key is written as VERSION:BASE64 with a version from 1 to 255")
        version = int(number)
        if version in keys:
            raise _bad_keys(f"version {version} is given twice")
        try:
            key = b64decode(encoded.strip().translate(_PLAIN_ALPHABET), validate=True)
        except (binascii.Error, ValueError):
            raise _bad_keys(f"the key of version {version} is not base64") from None
        if len(key) < SHORTEST_KEY:
            raise _bad_keys(f"the key of version {version} has {len(key)} bytes, {SHORTEST_KEY} is the least")
        keys[version] = key
    return keys


def derived_key(pepper: bytes) -> bytes:
    """What signs as version 1 when ID_KEYS is not set: 32 bytes made of the pepper of the keys."""
    return hmac.digest(pepper, b"tollgate ids v1", hashlib.sha256)


_PLAIN_ALPHABET = str.maketrans("-_", "+/")


def _bad_keys(what: str) -> BadSetting:
    return BadSetting("ID_KEYS", what, "write for example 2:NEW,1:OLD, each key as from: openssl rand -base64 32")


def _owner_digest(owner: str) -> bytes:
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).digest()


def _mac(key: bytes, owner_digest: bytes, prefix: str, head: bytes) -> bytes:
    # unambiguous: the digest has a fixed length and the prefix ends in the first `_` or `-`
    return hmac.digest(key, owner_digest + prefix.encode() + head, hashlib.sha256)[:_MAC]


def _canonical(text: str) -> bytes | None:
    """The bytes, when the text is the one way to write them: the unused bits of the last character are 0."""
    if len(text) % 4 == 1:
        return None
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return data if urlsafe_b64encode(data).rstrip(b"=") == text.encode() else None


def _pack(rest: str) -> tuple[int, bytes]:
    if _IS_HEX.fullmatch(rest):
        return _HEX, bytes.fromhex(rest)
    if _IS_UUID.fullmatch(rest):
        return _UUID, UUID(rest).bytes
    return _TEXT, rest.encode("utf-8", "surrogatepass")


def _unpack(packing: int, packed: bytes) -> str | None:
    if packing == _HEX:
        return packed.hex()
    if packing == _UUID:
        return str(UUID(bytes=packed)) if len(packed) == 16 else None
    return packed.decode("utf-8", "surrogatepass") if packing == _TEXT else None
