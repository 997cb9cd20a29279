"""The app settings: one frozen value made from a mapping, all mistakes reported at once.

Only bootstrap.py hands in the environment. tests/project compares the fields with local.settings.example.json
and (from infra/ on) with what Bicep provisions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shared.addresses import is_safe_url
from shared.errors import BadSetting, ConfigError, Problem
from shared.ids import Keyring, derived_key, parse_keys
from shared.types import Secret

STORAGE = "AzureWebJobsStorage"
RETAIL_PRICES = "https://prices.azure.com/api/retail/prices"
RESOURCE_MANAGER = "https://management.azure.com"
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
REFERENCE = "@Microsoft.KeyVault("
"""How a setting begins that the platform has not replaced by the vault's secret: anybody could write that text."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is one app setting; its comment in docs/configuration.md says what it does."""

    storage_connection: Secret
    """AzureWebJobsStorage: a connection string; empty when an identity is used."""
    storage_account: str
    """AzureWebJobsStorage__accountName."""
    table_service_uri: str
    """AzureWebJobsStorage__tableServiceUri."""
    blob_service_uri: str
    """AzureWebJobsStorage__blobServiceUri."""
    queue_service_uri: str
    """AzureWebJobsStorage__queueServiceUri."""
    storage_client_id: str
    """AzureWebJobsStorage__clientId: the user-assigned identity for storage."""
    key_pepper: Secret
    id_keys: Secret
    """ID_KEYS: the keys that sign ids, `2:BASE64,1:BASE64`; empty: one that is derived from the pepper."""
    admin_key: Secret
    manage_api: Literal["on", "off"]
    entra_tenants: tuple[str, ...]
    entra_audiences: tuple[str, ...]
    contact: str
    config_source: str
    config_refresh_seconds: float
    key_vault_uri: str
    trusted_hosts: tuple[str, ...]
    key_cache_seconds: float
    usage_flush: Literal["interval", "request"]
    storage_down: Literal["open", "closed"]
    retention_months: int
    export_container: str
    prices_url: str
    resource_manager_url: str
    events: str
    """EVENTS: `queue:NAME`, the https address of an Event Grid topic, or empty."""
    events_key: Secret
    on_disconnect: Literal["close", "drain"]
    first_byte_seconds: float
    callback_hosts: tuple[str, ...]
    defer_lines: int
    defer_seconds: float
    cors_origins: tuple[str, ...]
    log_level: str

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Settings:
        """Raises ConfigError with everything that is missing or wrong, and what to set instead."""
        read = _Reader(values)
        settings = cls(
            storage_connection=Secret(values.get(STORAGE, "")),
            storage_account=values.get(f"{STORAGE}__accountName", ""),
            table_service_uri=values.get(f"{STORAGE}__tableServiceUri", ""),
            blob_service_uri=values.get(f"{STORAGE}__blobServiceUri", ""),
            queue_service_uri=values.get(f"{STORAGE}__queueServiceUri", ""),
            storage_client_id=values.get(f"{STORAGE}__clientId", ""),
            key_pepper=Secret(read.required("KEY_PEPPER", "32 random bytes, as from: openssl rand -base64 32")),
            id_keys=Secret(read.id_keys("ID_KEYS")),
            admin_key=Secret(read.secret("ADMIN_KEY")),
            manage_api=read.choice("MANAGE_API", "on", "off"),
            entra_tenants=read.tenants("ENTRA_TENANTS"),
            entra_audiences=_names(values, "ENTRA_AUDIENCES"),
            contact=values.get("CONTACT", ""),
            config_source=values.get("CONFIG_SOURCE", ""),
            config_refresh_seconds=read.seconds("CONFIG_REFRESH_SECONDS", 60),
            key_vault_uri=values.get("AZURE_KEY_VAULT_URI", ""),
            trusted_hosts=cls.trusted(values),
            key_cache_seconds=read.seconds("KEY_CACHE_SECONDS", 30),
            usage_flush=read.choice("USAGE_FLUSH", "interval", "request"),
            storage_down=read.choice("STORAGE_DOWN", "open", "closed"),
            retention_months=read.months("RETENTION_MONTHS", 24),
            export_container=read.container("EXPORT_CONTAINER"),
            prices_url=read.address("PRICES_URL", RETAIL_PRICES),
            resource_manager_url=read.address("RESOURCE_MANAGER_URL", RESOURCE_MANAGER),
            events=read.events("EVENTS"),
            events_key=Secret(read.secret("EVENTS_KEY")),
            on_disconnect=read.choice("ON_DISCONNECT", "close", "drain"),
            first_byte_seconds=read.seconds("FIRST_BYTE_SECONDS", 210),
            callback_hosts=_names(values, "CALLBACK_HOSTS"),
            defer_lines=read.count("DEFER_LINES", 1000),
            defer_seconds=read.seconds("DEFER_SECONDS", 300),
            cors_origins=_names(values, "CORS_ORIGINS"),
            log_level=read.level("LOG_LEVEL"),
        )
        read.together(settings)
        if read.problems:
            raise ConfigError(read.problems)
        return settings

    def keyring(self) -> Keyring:
        """What signs and checks ids."""
        given = self.id_keys.reveal()
        return Keyring(parse_keys(given) if given else {1: derived_key(self.key_pepper.reveal().encode())})

    @staticmethod
    def trusted(values: Mapping[str, str]) -> tuple[str, ...]:
        """TRUSTED_HOSTS alone, for those who look at a configuration without an app around it."""
        return _names(values, "TRUSTED_HOSTS")


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def complain(self, name: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(f"app setting {name}", 0, message, remedy))

    def required(self, name: str, remedy: str) -> str:
        if not self._values.get(name):
            self.complain(name, "not set", f"set it to {remedy}")
        return self.secret(name)

    def secret(self, name: str) -> str:
        text = self._values.get(name, "")
        if not text.startswith(REFERENCE):
            return text
        self.complain(
            name, "the Key Vault reference was not resolved",
            "give the app's identity the role Key Vault Secrets User and make the secret, then refresh the references "
            "(docs/troubleshooting.md)",
        )  # fmt: skip
        return ""

    def id_keys(self, name: str) -> str:
        text = self.secret(name)
        try:
            if text:
                parse_keys(text)
        except BadSetting as error:
            self.complain(name, str(error), error.remedy)
            return ""
        return text

    def seconds(self, name: str, default: float) -> float:
        text = self._values.get(name, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value <= 86400:
            self.complain(name, f"{text!r} is not a number of seconds", f"write a number, for example {default:g}")
            return default
        return value

    def tenants(self, name: str) -> tuple[str, ...]:
        found = _names(self._values, name)
        for text in found:
            if not _GUID.fullmatch(text):
                self.complain(
                    name, f"{text!r} is not a tenant's id", "write the GUID that the portal's Entra overview shows"
                )
        return tuple(text.lower() for text in found)

    def count(self, name: str, default: int) -> int:
        text = self._values.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= 50_000):
            self.complain(name, f"{text!r} is not a number from 1 to 50000", f"write a number, for example {default}")
            return default
        return int(text)

    def together(self, settings: Settings) -> None:
        """What one setting alone does not show."""
        if bool(settings.entra_tenants) != bool(settings.entra_audiences):
            missing = "ENTRA_AUDIENCES" if settings.entra_tenants else "ENTRA_TENANTS"
            remedy = "set both to accept Entra callers, or neither (docs/keys.md)"
            self.complain(missing, "not set, although its counterpart is", remedy)
        if not (self._values.get(STORAGE) or settings.storage_account or settings.table_service_uri):
            remedy = f"set {STORAGE} to a connection string, or {STORAGE}__accountName to use the app's identity"
            self.complain(STORAGE, "no storage account is set", remedy)

    def months(self, name: str, default: int) -> int:
        text = self._values.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            self.complain(
                name, f"{text!r} is not a number of months", f"write a number, for example {default}; 0: keep all"
            )
            return default
        return int(text)

    def container(self, name: str) -> str:
        text = self._values.get(name, "")
        if text and not _CONTAINER.fullmatch(text):
            self.complain(
                name, f"{text!r} is not a name of a container", "use 3 to 63 small letters, digits and hyphens"
            )
            return ""
        return text

    def address(self, name: str, default: str) -> str:
        """An https URL, or one of this machine; `off` for none."""
        text = (self._values.get(name) or default).rstrip("/")
        if text.lower() == "off":
            return ""
        if not is_safe_url(text):
            self.complain(name, f"{text!r} is not an https address", f"write {default}, or off")
            return ""
        return text

    def events(self, name: str) -> str:
        text = self._values.get(name, "")
        if text.startswith("queue:") and _CONTAINER.fullmatch(text.removeprefix("queue:")):
            return text
        if text and not is_safe_url(text):
            self.complain(name, f"{text!r}", "write queue:NAME, or the https address of an Event Grid topic")
            return ""
        return text

    def level(self, name: str) -> str:
        text = (self._values.get(name) or "INFO").upper()
        if text not in _LEVELS:
            self.complain(name, f"{text!r}", f"write one of {', '.join(_LEVELS)}")
            return "INFO"
        return text

    def choice[T: str](self, name: str, default: T, other: T) -> T:
        text = (self._values.get(name) or default).lower()
        if text == default:
            return default
        if text != other:
            self.complain(name, f"{text!r}", f"write {default} or {other}")
        return other


def _names(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in values.get(name, "").split(",") if part.strip())
