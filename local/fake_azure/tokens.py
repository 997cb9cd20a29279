"""Owns the signing keys: issues and verifies the access tokens of the fake tenant.

Knows claims and signatures, not who may have a token (`authority.py`, `managed_identity.py`) nor what it opens.
"""

import time
import uuid
from collections.abc import Collection, Mapping
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
STORAGE_AUDIENCE = "https://storage.azure.com"
DEFAULT_LIFETIME = 3600
_REMEMBERED = 1_000


class TokenRefused(Exception):
    """The token is no token of this tenant, has expired, or is meant for somebody else."""


class TokenIssuer:
    def __init__(self, state_dir: Path, issuer: str, tenant_id: str) -> None:
        self.issuer = issuer
        self.tenant_id = tenant_id
        # by name, the newest last: that one signs, all are published
        self._keys = {"fake-azure-1": _load_or_make(state_dir / "signing-key.pem")}
        self._generation = 0
        self._claims: dict[str, dict[str, Any]] = {}
        # RS256 costs more than the rest of an answer, and the same few tokens come with every request.
        self._verified: dict[str, dict[str, Any]] = {}

    def issue(self, audience: str, lifetime: float = DEFAULT_LIFETIME, **claims: Any) -> str:
        """`claims` replace the usual ones and those of the application (`give`); None takes one away."""
        now = int(time.time())
        kid, key = list(self._keys.items())[-1]
        standard = {
            "aud": audience,
            "iss": self._issuer_for(audience),
            "tid": self.tenant_id,
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            "uti": uuid.uuid4().hex,
            "ver": "2.0",
            "xms_generation": self._generation,
        }
        given = self._claims.get(str(claims.get("appid", "")), {})
        said = {name: value for name, value in {**standard, **given, **claims}.items() if value is not None}
        return jwt.encode(said, key, algorithm="RS256", headers={"kid": kid})

    def _issuer_for(self, audience: str) -> str:
        """Storage wants tokens in the first form, whose issuer is always the same host."""
        first = audience.rstrip("/") == STORAGE_AUDIENCE
        return f"https://sts.windows.net/{self.tenant_id}/" if first else self.issuer

    def give(self, client_id: str, claims: Mapping[str, Any]) -> None:
        """What every token of an application holds from now on, such as `roles`. Nothing: no more than usual."""
        self._claims[client_id] = dict(claims)

    def rotate(self, keep: bool = True) -> None:
        """Sign with a new key from now on. `keep`: the old ones are still published."""
        name = f"fake-azure-{uuid.uuid4().hex[:8]}"
        old = self._keys if keep else {}
        self._keys = {**old, name: rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self._verified.clear()

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
        """As Entra publishes them: without `alg`, and with the tenant as a place-holder."""
        issuer = self.issuer.replace(self.tenant_id, "{tenantid}")
        published = {name: RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for name, key in self._keys.items()}
        return {
            "keys": [
                {"kty": "RSA", "use": "sig", "kid": name, "n": key["n"], "e": key["e"], "issuer": issuer}
                for name, key in published.items()
            ]
        }

    def _check_signature(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                token,
                self._keys[jwt.get_unverified_header(token)["kid"]].public_key(),
                algorithms=["RS256"],
                issuer=[self.issuer, self._issuer_for(STORAGE_AUDIENCE)],
                options={"verify_aud": False, "verify_exp": False, "require": ["aud", "exp", "xms_generation"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
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
