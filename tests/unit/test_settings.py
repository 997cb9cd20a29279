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
        storage_client_id="",
        key_pepper=Secret("pepper-1"),
        id_keys=Secret(""),
        admin_key=Secret(""),
        config_source="",
        config_refresh_seconds=60,
        key_vault_uri="",
        trusted_hosts=(),
        key_cache_seconds=30,
        usage_flush="interval",
        on_disconnect="close",
        first_byte_seconds=210,
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
