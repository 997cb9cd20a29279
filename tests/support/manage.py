"""The command line against the fake's Azure Resource Manager: in this process, signed in by managed identity."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.manage.cli import run


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class SignedIn:
    """`signed_in("init", "--json")` runs a command and keeps what it printed."""

    def __init__(self, fake: FakeAzure, patch: pytest.MonkeyPatch, **environ: str) -> None:
        """azure-identity reads where the managed identity is from the environment."""
        state = fake.state
        patch.setenv("IDENTITY_ENDPOINT", state.identity_endpoint)
        patch.setenv("IDENTITY_HEADER", state.identity_header)
        patch.setenv("AZURE_CLIENT_ID", state.managed_client_id)
        self.environ = {"RESOURCE_MANAGER_URL": state.management_url, "TRUSTED_HOSTS": "127.0.0.1", **environ}

    def __call__(self, *arguments: str, **changed: str) -> Said:
        return run_quietly(self.environ | changed, *arguments)


def run_quietly(environ: Mapping[str, str], *arguments: str) -> Said:
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            code = run(arguments, environ)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Said(code, said.getvalue(), complained.getvalue())
