"""A gateway as it is deployed: the app's own folder on the Functions host, a child process, with everything around it.

Owns the settings, the start and the end of that process, and the keys made for it by the command line. Knows
nothing of what is tested. What stands around it (Azurite, the fake Azure) is given.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import httpx
from openai import AsyncOpenAI, AzureOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

from local.fake_azure import FakeAzure
from shared.adapters.work_queue import QUEUES
from shared.manage.cli import run as manage
from tests.support.ledger import Ledger, Row
from tests.support.models import aliases, config_text
from tests.support.polling import until
from tests.support.tls import NO_TLS

ROOT = Path(__file__).resolve().parents[2]
PEPPER = "a pepper for tests, which protects nothing at all"
ADMIN = "the-operators-own-key-of-these-tests"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the command line made."""

    text: str
    id: str
    name: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.text}"}


def clean_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without anything that an Azure SDK or the app would take for a setting."""
    unwanted = ("AZURE", "MSI_", "IDENTITY_", "OPENAI_", "CONFIG_", "KEY_", "FUNCHOST_", "LOG_LEVEL", "CORS_")
    return {k: v for k, v in base.items() if not k.upper().startswith(unwanted)}


def app_settings(fake: FakeAzure, storage: str, config: Path | str) -> dict[str, str]:
    """The app settings of a gateway that uses the fake Azure."""
    state = fake.state
    return {
        "AzureWebJobsStorage": storage,
        "KEY_PEPPER": PEPPER,
        "ADMIN_KEY": ADMIN,
        "CONFIG_SOURCE": str(config),
        "CONFIG_REFRESH_SECONDS": "1",
        "KEY_CACHE_SECONDS": "1",
        "TRUSTED_HOSTS": "127.0.0.1,localhost",
        # no timer fires by the clock while tests run; by hand they still do
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in ("timer_minutes", "timer_hour", "timer_day")},
        # nor does a gateway take another one's messages: they share a storage account (tests/support/batching.py)
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in QUEUES},
        "AZURE_KEY_VAULT_URI": state.vault_url,
        "AZURE_AUTHORITY_HOST": state.authority_url,
        "AZURE_TENANT_ID": state.tenant_id,
        "AZURE_CLIENT_ID": state.managed_client_id,
        "IDENTITY_ENDPOINT": state.identity_endpoint,
        "IDENTITY_HEADER": state.identity_header,
        "SSL_CERT_FILE": state.ca_file,
        "REQUESTS_CA_BUNDLE": state.ca_file,
        "PRICES_URL": state.prices_url,
        "RESOURCE_MANAGER_URL": state.management_url,
    }


def run_manage(environ: Mapping[str, str], *arguments: str) -> Any:
    """The command line's own entry point, without the cost of a process: its JSON. tests/manage runs the process."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = manage([*arguments, "--json"], environ)
    assert code == 0, complained.getvalue()
    return json.loads(said.getvalue())


class Stack:
    """One gateway. A context manager; `folder` is its own, for its configuration, log and ready file."""

    def __init__(
        self, folder: Path, fake: FakeAzure, storage: str, *, mode: str = "asgi", app: Path = ROOT,
        config: str | None = None, without: tuple[str, ...] = (), **settings: str,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.fake, self.mode, self.app, self.storage = fake, mode, app, storage
        self.config_file = folder / "config.yaml"
        self.config_file.write_text(config_text(aliases(fake)) if config is None else config, "utf-8")
        self.settings = {**app_settings(fake, storage, self.config_file), **settings}
        for name in without:
            del self.settings[name]
        self.ledger = Ledger(storage)
        """Open to the end: a gateway that was stopped or killed has still written what it has written."""
        self.facts: dict[str, Any] = {}
        self.http: httpx.Client
        self._ready, self._log_file = folder / "ready.json", folder / "log"
        self._process: subprocess.Popen[bytes]
        self._output: IO[bytes]
        self._made = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.ledger.close()

    def start(self) -> None:
        self._output = self._log_file.open("ab")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "local.host", str(self.app), "--port", "0", "--no-auth", "--mode", self.mode,
                "--grace", "1", "--ready-file", str(self._ready),
            ],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
            env=clean_environment() | self.settings,
        )  # fmt: skip
        try:
            until(lambda: self._ready.exists() or self._process.poll() is not None, 30)
            assert self._process.poll() is None, self.log()
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        self.facts = json.loads(self._ready.read_text())
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=NO_TLS)

    def stop(self) -> None:
        """End it in good order."""
        self.http.close()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As when an instance vanishes: nothing gets a chance to be written."""
        self.http.close()
        if self.facts["worker_pid"] != self._process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.facts["worker_pid"], signal.SIGKILL)
        self._end(signal.SIGKILL)
        self._ready.unlink(missing_ok=True)

    def _end(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._output.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def url(self) -> str:
        return self.facts["url"]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def worker_pid(self) -> int:
        return int(self.facts["worker_pid"])

    def log(self) -> str:
        return self._log_file.read_text("utf-8", "replace")

    # Keys and usage.

    def key(self, name: str = "", **options: str) -> Key:
        """A new key, made as an operator makes it."""
        self._made += 1
        name = name or f"test-{self._made}"
        arguments = [part for option, value in options.items() for part in (f"--{option}", value)]
        made = run_manage(self.settings, "keys", "create", "--name", name, *arguments)
        return Key(made["key"], made["id"], name)

    def usage(self, key: Key, calls: int) -> list[Row]:
        """The ledger of a key, as soon as it and the totals have so many events; fails if there are more."""
        found: list[Row] = []

        def there() -> bool:
            found[:] = self.ledger.events(key.id)
            # the totals are a write of their own, which may come a moment later
            return len(found) >= calls and self.ledger.summed(key.id)["requests"] >= calls

        until(there, every=0.05)
        assert len(found) == calls
        return found

    # Clients.

    def openai(self, key: Key, path: str = "/v1", **options: Any) -> OpenAI:
        http = DefaultHttpxClient(verify=NO_TLS)
        return OpenAI(api_key=key.text, base_url=self.url + path, http_client=http, **(_PATIENT | options))

    def async_openai(self, key: Key, path: str = "/v1", **options: Any) -> AsyncOpenAI:
        http = DefaultAsyncHttpxClient(verify=NO_TLS)
        return AsyncOpenAI(api_key=key.text, base_url=self.url + path, http_client=http, **(_PATIENT | options))

    def azure_openai(self, key: Key, version: str = "2024-10-21", **options: Any) -> AzureOpenAI:
        usual: dict[str, Any] = {**_PATIENT, "http_client": DefaultHttpxClient(verify=NO_TLS)}
        return AzureOpenAI(api_key=key.text, azure_endpoint=self.url, api_version=version, **(usual | options))

    def post(self, key: Key | None, body: Any, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        headers = {**(key.bearer if key else {}), **options.pop("headers", {})}
        return self.http.post(path, json=body, headers=headers, **options)


_PATIENT: dict[str, Any] = {"max_retries": 0, "timeout": 30}


def ask(text: str, model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    """The body of a call."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def upstream_calls(fake: FakeAzure, resource: str | None = None) -> list[Any]:
    """What reached the deployments: not the vault, not the authority."""
    names = set(fake.state.resources)
    return [r for r in fake.requests if r.resource in names and resource in (None, r.resource)]


def last_upstream(fake: FakeAzure) -> Any:
    return upstream_calls(fake)[-1]


def wait_for_upstream(fake: FakeAzure, check: Callable[[Any], bool], limit: float = 10) -> Any:
    """The newest request to a deployment, once the check holds for it."""
    return until(lambda: (calls := upstream_calls(fake)) and check(calls[-1]) and calls[-1], limit)
