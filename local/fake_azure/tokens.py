"""Owns the signing key: issues and verifies the access tokens of the fake tenant.

Knows claims and signatures, not who may have a token (`authority.py`, `managed_identity.py`) nor what it opens.
"""

import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

COGNITIVE_AUDIENCES = frozenset(
    f"https://{host}.{cloud}" for host in ("cognitiveservices", "ai") for cloud in ("azure.com", "azure.us", "azure.cn")
)
VAULT_AUDIENCE = "https://vault.azure.net"
DEFAULT_LIFETIME = 3600
_KEY_ID = "fake-azure-1"
_REMEMBERED = 1_000


class TokenRefused(Exception):
    """The token is no token of this tenant, has expired, or is meant for somebody else."""


class TokenIssuer:
    def __init__(self, state_dir: Path, issuer: str, tenant_id: str) -> None:
        self.issuer = issuer
        self.tenant_id = tenant_id
        self._key = _load_or_make(state_dir / "signing-key.pem")
        self._public = self._key.public_key()
        self._generation = 0
        # RS256 costs more than the rest of an answer, and the same few tokens come with every request.
        self._verified: dict[str, dict[str, Any]] = {}

    def issue(self, audience: str, lifetime: float = DEFAULT_LIFETIME, **claims: Any) -> str:
        now = int(time.time())
        standard = {
            "aud": audience,
            "iss": self.issuer,
            "tid": self.tenant_id,
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            "uti": uuid.uuid4().hex,
            "ver": "2.0",
            "xms_generation": self._generation,
        }
        return jwt.encode({**standard, **claims}, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def verify(self, token: str, audiences: Collection[str]) -> dict[str, Any]:
        claims = self._verified.get(token)
        if claims is None:
            claims = self._check_signature(token)
        if claims["aud"].rstrip("/") not in audiences:
            raise TokenRefused("audience")
        if claims["exp"] <= time.time() or claims["xms_generation"] < self._generation:
            raise TokenRefused("expired")
        return claims

    def expire_all(self) -> None:
        """Every token issued so far is refused from now on."""
        self._generation += 1

    def public_keys(self) -> dict[str, Any]:
        key = RSAAlgorithm.to_jwk(self._public, as_dict=True)
        return {"keys": [{**key, "kid": _KEY_ID, "use": "sig", "alg": "RS256", "issuer": self.issuer}]}

    def _check_signature(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=["RS256"],
                issuer=self.issuer,
                options={"verify_aud": False, "verify_exp": False, "require": ["aud", "exp", "xms_generation"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(str(error)) from error
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims


def _load_or_make(file: Path) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError):
        key = None
    if isinstance(key, rsa.RSAPrivateKey):
        return key
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key
