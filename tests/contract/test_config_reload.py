"""The configuration while it changes: served when it is good, refused when it is not, and never a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local.fake_azure import FakeAzure
from tests.support.app_copy import copy_app
from tests.support.leaks import assert_nothing_leaks
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.stack import ADMIN, Key, Stack, ask, upstream_calls

BROKEN = """model_list:
  - model_name: a
    litellm_params:
      model: azure/x
      api_base: ftp://nowhere
  - model_name: b
    litellm_parms:
      model: azure/x
"""


def small(fake: FakeAzure, *names: str) -> str:
    rows = {alias: (alias, params, info) for alias, params, info in aliases(fake)}
    return config_text([(name, rows["gpt-4o"][1], {}) for name in names])


def models(stack: Stack, key: Key) -> list[str]:
    reply = stack.http.get("/v1/models", headers=key.bearer)
    return [row["id"] for row in reply.json()["data"]] if reply.status_code == 200 else [str(reply.status_code)]


def ready(stack: Stack) -> dict[str, Any]:
    return stack.http.get("/health/ready", headers={"authorization": f"Bearer {ADMIN}"}).json()


class File:
    source = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        self._path.write_text(text, "utf-8")


class Blob:
    def __init__(self, connection: str, container: str) -> None:
        self.source = f"blob:{container}/conf/models.yaml"
        with BlobServiceClient.from_connection_string(connection) as service:
            service.create_container(container)
        self._connection, self._container = connection, container

    def write(self, text: str) -> None:
        with BlobServiceClient.from_connection_string(self._connection) as service:
            service.get_blob_client(self._container, "conf/models.yaml").upload_blob(text, overwrite=True)


@pytest.mark.parametrize("kind", ["file", "blob"])
def test_changed_configuration_is_served_and_a_broken_one_is_not(
    new_stack: Callable[..., Stack], fake: FakeAzure, azurite: Any, kind: str
) -> None:
    blob = Blob(azurite.connection_string, "reloaded") if kind == "blob" else None
    if blob:
        blob.write(small(fake, "first"))
        stack = new_stack(CONFIG_SOURCE=blob.source)
    else:
        stack = new_stack(config=small(fake, "first"))
    place = blob or File(stack.config_file)
    key = stack.key()
    assert models(stack, key) == ["first"]
    assert stack.post(key, ask("hi", "first")).status_code == 200

    place.write(small(fake, "first", "second"))
    until(lambda: models(stack, key) == ["first", "second"], 5, 0.1)
    assert stack.post(key, ask("hi", "second")).status_code == 200

    place.write(BROKEN)
    until(lambda: (models(stack, key), "refused" in ready(stack)["checks"]["config"])[1], 5, 0.1)
    assert models(stack, key) == ["first", "second"]
    assert stack.post(key, ask("hi", "second")).status_code == 200
    said = ready(stack)
    assert said["status"] == "ok"
    reasons = said["reasons"]["config"]
    assert any(r.startswith("line 5: model_list[0].litellm_params.api_base") for r in reasons)
    assert any(r.startswith("line 7: model_list[1]") and "litellm_params" in r for r in reasons)
    assert "configuration refused, the last good one stays in force" in stack.log()
    public = stack.http.get("/health/ready")
    assert public.status_code == 200
    assert "reasons" not in public.json()

    place.write(small(fake, "third"))
    until(lambda: models(stack, key) == ["third"], 5, 0.1)
    assert stack.post(key, ask("hi", "first")).status_code == 404
    assert ready(stack)["checks"]["config"] == "ok"


@pytest.mark.parametrize("mode", ["asgi", "process"])
def test_broken_configuration_at_the_start_is_a_503_until_it_is_mended(
    new_stack: Callable[..., Stack], fake: FakeAzure, mode: str
) -> None:
    stack = new_stack(mode=mode, config=BROKEN)
    key = stack.key()
    reply = stack.post(key, ask("hi"))
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["type"]) == (503, "gateway_misconfigured", "server_error")
    assert reply.headers["retry-after"]
    assert_nothing_leaks(fake, reply)
    assert "ftp://" not in reply.text
    assert stack.http.get("/health/live").status_code == 200
    public = stack.http.get("/health/ready")
    assert (public.status_code, public.json()["checks"]["config"]) == (503, "refused")
    assert len(ready(stack)["reasons"]["config"]) >= 2
    assert not upstream_calls(fake)
    File(stack.config_file).write(small(fake, "gpt-4o"))
    until(lambda: stack.post(key, ask("hi")).status_code == 200, 8, 0.1)


@pytest.mark.parametrize(
    "text",
    ["model_list: [", "a: &a [*a]", "\x00", "!!python/object:os.system {}"],
    ids=["cut", "recursive", "nul", "python"],
)
def test_rubbish_is_refused_and_crashes_nothing(rubbish_stack: Stack, text: str) -> None:
    key = Key("sk-" + "A" * 43, "", "")
    before = rubbish_stack.log().count("configuration refused")
    File(rubbish_stack.config_file).write(text)

    def refused_anew() -> bool:
        reply = rubbish_stack.post(key, ask("hi"))
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "gateway_misconfigured")
        return rubbish_stack.log().count("configuration refused") > before

    until(refused_anew, 6, 0.1)
    assert "unexpected failure" not in rubbish_stack.log()


def test_missing_file_and_missing_blob_are_a_503(new_stack: Callable[..., Stack], fake: FakeAzure) -> None:
    for source in ("no-such-file.yaml", "blob:no-such-container/models.yaml"):
        stack = new_stack(CONFIG_SOURCE=source)
        reply = stack.post(stack.key(), ask("hi"))
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "gateway_misconfigured")
        assert ready(stack)["reasons"]["config"]


def test_missing_settings_are_a_503_that_says_which(
    new_stack: Callable[..., Stack], fake: FakeAzure, tmp_path: Path
) -> None:
    """On a copy of the app: a local.settings.json beside the real one would fill them in."""
    app = copy_app(tmp_path / "app")
    stack = new_stack(app=app, without=("KEY_PEPPER", "AzureWebJobsStorage"), KEY_CACHE_SECONDS="soon")
    reply = stack.post(Key("sk-" + "A" * 43, "", ""), ask("hi"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "gateway_misconfigured")
    assert stack.http.get("/health/live").status_code == 200
    assert stack.http.get("/health/ready").status_code == 503
    assert stack.http.get("/nowhere").status_code == 404
    for name in ("KEY_PEPPER", "AzureWebJobsStorage", "KEY_CACHE_SECONDS"):
        assert name in stack.log()
