"""The app settings: defaults, every value, every mistake at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from shared.errors import ConfigError
from shared.settings import Settings
from shared.types import Secret

LEAST = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "KEY_PEPPER": "pepper-1"}


def refused(values: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping(values)
    return [str(p) for p in caught.value.problems]


def test_settings_have_defaults() -> None:
    assert Settings.from_mapping(LEAST) == Settings(
        storage_connection=Secret("UseDevelopmentStorage=true"),
        storage_account="",
        table_service_uri="",
        blob_service_uri="",
        queue_service_uri="",
        storage_client_id="",
        key_pepper=Secret("pepper-1"),
        id_keys=Secret(""),
        admin_key=Secret(""),
        manage_api="on",
        entra_tenants=(),
        entra_audiences=(),
        contact="",
        config_source="",
        config_refresh_seconds=60,
        key_vault_uri="",
        trusted_hosts=(),
        key_cache_seconds=30,
        usage_flush="interval",
        storage_down="open",
        retention_months=24,
        export_container="",
        prices_url="https://prices.azure.com/api/retail/prices",
        resource_manager_url="https://management.azure.com",
        events="",
        events_key=Secret(""),
        on_disconnect="close",
        first_byte_seconds=210,
        callback_hosts=(),
        defer_lines=1000,
        defer_seconds=300,
        cors_origins=(),
        log_level="INFO",
    )


class Value(NamedTuple):
    name: str
    given: str
    field: str
    expect: Any


@pytest.mark.parametrize(
    "case",
    [
        Value("AzureWebJobsStorage__accountName", "acc", "storage_account", "acc"),
        Value("AzureWebJobsStorage__tableServiceUri", "https://t", "table_service_uri", "https://t"),
        Value("AzureWebJobsStorage__blobServiceUri", "https://b", "blob_service_uri", "https://b"),
        Value("AzureWebJobsStorage__clientId", "id", "storage_client_id", "id"),
        Value("ADMIN_KEY", "admin", "admin_key", Secret("admin")),
        Value("CONFIG_SOURCE", "blob:config", "config_source", "blob:config"),
        Value("CONFIG_REFRESH_SECONDS", "0", "config_refresh_seconds", 0),
        Value("CONFIG_REFRESH_SECONDS", "1.5", "config_refresh_seconds", 1.5),
        Value("CONFIG_REFRESH_SECONDS", "86400", "config_refresh_seconds", 86400),
        Value("CONFIG_REFRESH_SECONDS", "", "config_refresh_seconds", 60),
        Value("AZURE_KEY_VAULT_URI", "https://v", "key_vault_uri", "https://v"),
        Value("TRUSTED_HOSTS", " a.example , ,b.example,", "trusted_hosts", ("a.example", "b.example")),
        Value("KEY_CACHE_SECONDS", "5", "key_cache_seconds", 5),
        Value("USAGE_FLUSH", "Request", "usage_flush", "request"),
        Value("USAGE_FLUSH", "", "usage_flush", "interval"),
        Value("AzureWebJobsStorage__queueServiceUri", "https://q", "queue_service_uri", "https://q"),
        Value("MANAGE_API", "off", "manage_api", "off"),
        Value("CONTACT", "#ai-platform", "contact", "#ai-platform"),
        Value("STORAGE_DOWN", "closed", "storage_down", "closed"),
        Value("RETENTION_MONTHS", "0", "retention_months", 0),
        Value("EXPORT_CONTAINER", "usage-export", "export_container", "usage-export"),
        Value("PRICES_URL", "off", "prices_url", ""),
        Value("PRICES_URL", "http://127.0.0.1:1/prices/", "prices_url", "http://127.0.0.1:1/prices"),
        Value("RESOURCE_MANAGER_URL", "OFF", "resource_manager_url", ""),
        Value("EVENTS", "queue:gateway-events", "events", "queue:gateway-events"),
        Value(
            "EVENTS",
            "https://t.westeurope-1.eventgrid.azure.net/api/events",
            "events",
            "https://t.westeurope-1.eventgrid.azure.net/api/events",
        ),
        Value("EVENTS_KEY", "k", "events_key", Secret("k")),
        Value("ON_DISCONNECT", "drain", "on_disconnect", "drain"),
        Value("ON_DISCONNECT", "CLOSE", "on_disconnect", "close"),
        Value("FIRST_BYTE_SECONDS", "30", "first_byte_seconds", 30),
        Value("CORS_ORIGINS", "*", "cors_origins", ("*",)),
        Value("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ],
    ids=lambda case: f"{case.name}={case.given}",
)
def test_setting_is_read(case: Value) -> None:
    assert getattr(Settings.from_mapping({**LEAST, case.name: case.given}), case.field) == case.expect


@pytest.mark.parametrize("name", ["AzureWebJobsStorage__accountName", "AzureWebJobsStorage__tableServiceUri"])
def test_setting_of_an_identity_stands_for_the_connection_string(name: str) -> None:
    assert Settings.from_mapping({"KEY_PEPPER": "p", name: "x"}).storage_connection == Secret("")


@pytest.mark.parametrize("name", ["KEY_PEPPER", "ADMIN_KEY", "ID_KEYS", "EVENTS_KEY"])
def test_a_reference_that_the_platform_did_not_resolve_is_no_secret(name: str) -> None:
    """Its text is known to whoever knows the vault's name: it must not open /manage, nor digest a key."""
    (problem,) = refused({**LEAST, name: "@Microsoft.KeyVault(SecretUri=https://kv-abc.vault.azure.net/secrets/x)"})
    assert problem.startswith(f"app setting {name}: the Key Vault reference was not resolved → ")
    assert "kv-abc" not in problem


class Wrong(NamedTuple):
    name: str
    given: str
    expect: str


NUMBER = "app setting {}: {!r} is not a number of seconds → write a number, for example {}"


@pytest.mark.parametrize(
    "case",
    [
        Wrong("KEY_PEPPER", "", "app setting KEY_PEPPER: not set → set it to 32 random bytes, as from: openssl rand -base64 32"),
        Wrong("AzureWebJobsStorage", "", "app setting AzureWebJobsStorage: no storage account is set → set "
              "AzureWebJobsStorage to a connection string, or AzureWebJobsStorage__accountName to use the app's identity"),
        Wrong("CONFIG_REFRESH_SECONDS", "soon", NUMBER.format("CONFIG_REFRESH_SECONDS", "soon", 60)),
        Wrong("KEY_CACHE_SECONDS", "-1", NUMBER.format("KEY_CACHE_SECONDS", "-1", 30)),
        Wrong("FIRST_BYTE_SECONDS", "86401", NUMBER.format("FIRST_BYTE_SECONDS", "86401", 210)),
        Wrong("FIRST_BYTE_SECONDS", "nan", NUMBER.format("FIRST_BYTE_SECONDS", "nan", 210)),
        Wrong("FIRST_BYTE_SECONDS", "inf", NUMBER.format("FIRST_BYTE_SECONDS", "inf", 210)),
        Wrong("USAGE_FLUSH", "never", "app setting USAGE_FLUSH: 'never' → write interval or request"),
        Wrong("STORAGE_DOWN", "ajar", "app setting STORAGE_DOWN: 'ajar' → write open or closed"),
        Wrong("RETENTION_MONTHS", "-1", "app setting RETENTION_MONTHS: '-1' is not a number of months → write a number, for example 24; 0: keep all"),
        Wrong("EXPORT_CONTAINER", "Up", "app setting EXPORT_CONTAINER: 'Up' is not a name of a container → use 3 to 63 small letters, digits and hyphens"),
        Wrong("PRICES_URL", "http://prices.example", "app setting PRICES_URL: 'http://prices.example' is not an https address → write https://prices.azure.com/api/retail/prices, or off"),
        Wrong("RESOURCE_MANAGER_URL", "http://127.0.0.1.evil.example", "app setting RESOURCE_MANAGER_URL: 'http://127.0.0.1.evil.example' is not an https address → write https://management.azure.com, or off"),
        Wrong("EVENTS", "http://127.0.0.1@evil.example/q", "app setting EVENTS: 'http://127.0.0.1@evil.example/q' → write queue:NAME, or the https address of an Event Grid topic"),
        Wrong("EVENTS", "somewhere", "app setting EVENTS: 'somewhere' → write queue:NAME, or the https address of an Event Grid topic"),
        Wrong("ENTRA_TENANTS", "11111111-2222-3333-4444-555555555555", "app setting ENTRA_AUDIENCES: not set, although its counterpart is → set both to accept Entra callers, or neither (docs/keys.md)"),
        Wrong("ON_DISCONNECT", "wait", "app setting ON_DISCONNECT: 'wait' → write close or drain"),
    ],
    ids=lambda case: f"{case.name}={case.given}",
)  # fmt: skip
def test_setting_that_is_wrong_says_what_to_set(case: Wrong) -> None:
    assert refused({**LEAST, case.name: case.given}) == [case.expect]


def test_settings_report_all_mistakes_at_once() -> None:
    found = refused({"KEY_CACHE_SECONDS": "x", "FIRST_BYTE_SECONDS": "y", "USAGE_FLUSH": "z"})
    assert [line.split(":")[0] for line in found] == [
        "app setting KEY_PEPPER",
        "app setting KEY_CACHE_SECONDS",
        "app setting USAGE_FLUSH",
        "app setting FIRST_BYTE_SECONDS",
        "app setting AzureWebJobsStorage",
    ]


def test_settings_hide_their_secrets() -> None:
    text = repr(
        Settings.from_mapping(
            {"AzureWebJobsStorage": "AccountKey=hunter2", "KEY_PEPPER": "hunter2", "ADMIN_KEY": "hunter2"}
        )
    )
    assert "hunter2" not in text


def test_trusted_hosts_can_be_read_alone() -> None:
    assert Settings.trusted({"TRUSTED_HOSTS": "a, b"}) == ("a", "b")
    assert Settings.trusted({}) == ()


def test_tenants_are_ids() -> None:
    tenant = "11111111-AAAA-3333-4444-555555555555"
    values = {**LEAST, "ENTRA_TENANTS": tenant, "ENTRA_AUDIENCES": "api://tollgate"}
    assert Settings.from_mapping(values).entra_tenants == (tenant.lower(),)
    remedy = "write the GUID that the portal's Entra overview shows"
    assert refused({**values, "ENTRA_TENANTS": "contoso.onmicrosoft.com"}) == [
        f"app setting ENTRA_TENANTS: 'contoso.onmicrosoft.com' is not a tenant's id → {remedy}"
    ]
