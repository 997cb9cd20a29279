"""The operator's command line, run as a program: what it prints, what it teaches, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.app_copy import copy_app
from tests.support.models import aliases, config_text
from tests.support.own_azurite import dead_connection_string
from tests.support.stack import ROOT, Key, Stack, app_settings, ask, clean_environment

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def settings(fake_azure: FakeAzure, azurite: Any, tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "config.yaml"
    config.write_text(config_text(aliases(fake_azure)), "utf-8")
    return app_settings(fake_azure, azurite.connection_string, config)


@pytest.fixture
def manage(settings: dict[str, str]) -> Run:
    def run(*arguments: str, cwd: Path = ROOT, **changed: str) -> subprocess.CompletedProcess[str]:
        environ = clean_environment() | settings | changed
        return subprocess.run(
            [sys.executable, "-m", "shared.manage", *arguments],
            cwd=cwd, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_life_of_a_key(manage: Run, stack: Stack) -> None:
    made = manage("keys", "create", "--name", "life", "--team", "data", "--models", "gpt-4o, gpt-5", "--expires", "90d")
    assert (made.returncode, made.stderr) == (0, "")
    text, told = made.stdout.splitlines()
    assert re.fullmatch(r"sk-[\w-]{43}", text)
    key_id = re.findall(r"Its id is (\w{12})\.", told)[0]
    key = Key(text, key_id, "life")
    assert stack.post(key, ask("hi")).status_code == 200
    stack.usage(key, 1)

    listed = manage("keys", "list")
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith(key_id)]
    assert text not in listed.stdout
    assert f"{text[:6]}…{text[-4:]}" in line
    assert "active" in line
    assert "gpt-4o,gpt-5" in line
    (row,) = [row for row in json.loads(manage("keys", "list", "--json").stdout) if row["id"] == key_id]
    assert (row["team"], row["models"], row["state"]) == ("data", ["gpt-4o", "gpt-5"], "active")

    used = manage("usage", "--by", "team", "--key", "life")
    assert used.returncode == 0
    assert re.search(r"^TEAM +CALLS", used.stdout, re.M)
    assert re.search(r"^data +1 ", used.stdout, re.M)
    (line,) = json.loads(manage("usage", "--key", "life", "--json").stdout)
    assert (line["key"], line["requests"], line["id"]) == ("life", 1, key_id)

    revoked = manage("keys", "revoke", "life")
    assert (revoked.returncode, revoked.stdout.startswith("Revoked life")) == (0, True)
    again = manage("keys", "revoke", "life")
    assert (again.returncode, again.stdout) == (1, "")
    assert "keys list" in again.stderr
    assert '"revoked"' in manage("keys", "list", "--json").stdout


def test_key_created_as_json(manage: Run) -> None:
    made = json.loads(manage("keys", "create", "--name", "j", "--json").stdout)
    assert made["key"].startswith("sk-")
    assert made["state"] == "active"
    assert made["expires"] == ""


def test_two_keys_of_one_name_are_told_apart(manage: Run, stack: Stack) -> None:
    one, two = stack.key("twins"), stack.key("twins")
    refused = manage("keys", "revoke", "twins")
    assert refused.returncode == 1
    assert one.id in refused.stderr
    assert two.id in refused.stderr
    assert json.loads(manage("keys", "revoke", one.id, "--json").stdout)["state"] == "revoked"
    assert stack.post(two, ask("hi")).status_code == 200


def test_config_check(manage: Run, settings: dict[str, str], tmp_path: Path) -> None:
    good = manage("config", "check")
    assert (good.returncode, good.stderr) == (0, "")
    assert re.search(r"^gpt-5#1 +gpt-5 +dated +api_key ", good.stdout, re.M)
    assert re.search(r"^entra#1 +ordinary +dated +default ", good.stdout, re.M)
    assert re.search(r"^ok: \d+ models on \d+ deployments$", good.stdout, re.M)
    answer = json.loads(manage("config", "check", settings["CONFIG_SOURCE"], "--json").stdout)
    assert answer["ok"] is True
    assert "two#2" in [row["model"] for row in answer["deployments"]]
    assert not any(
        key in good.stdout for key in re.findall(r'api_key: "(\w{32})"', Path(settings["CONFIG_SOURCE"]).read_text())
    )

    bad = tmp_path / "bad.yaml"
    bad.write_text("model_list:\n  - model_name: a\n    litellm_params:\n      model: azure/x\n      api_versoin: v1\n")
    refused = manage("config", "check", str(bad))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.search(r"^line 5: .*api_versoin: unknown setting → write 'api_version'", refused.stderr, re.M)
    assert re.search(r"^line 4: .*no api_base", refused.stderr, re.M)
    assert "2 problem(s)" in refused.stderr
    refused = manage("config", "check", str(bad), "--json")
    assert refused.returncode == 1
    assert {p["line"] for p in json.loads(refused.stdout)["problems"]} == {4, 5}


def test_config_check_of_a_file_needs_no_settings(manage: Run, settings: dict[str, str], tmp_path: Path) -> None:
    """On a copy of the app, beside which no local.settings.json can lie."""
    app = copy_app(tmp_path / "app")
    unset = dict.fromkeys(("AzureWebJobsStorage", "KEY_PEPPER", "CONFIG_SOURCE"), "")
    checked = manage("config", "check", settings["CONFIG_SOURCE"], cwd=app, **unset)
    assert checked.returncode == 0, checked.stderr
    refused = manage("keys", "list", cwd=app, **unset)
    assert refused.returncode == 1
    for name in ("KEY_PEPPER", "AzureWebJobsStorage"):
        assert f"app setting {name}" in refused.stderr


def test_missing_file(manage: Run) -> None:
    refused = manage("config", "check", "no-such-file.yaml")
    assert refused.returncode == 1
    assert "no-such-file.yaml" in refused.stderr
    assert "Traceback" not in refused.stderr


COMMANDS = [[], ["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"], ["usage"], ["config"],
            ["config", "check"]]  # fmt: skip


def test_help_of_every_command(manage: Run) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda command: manage(*command, "--help"), COMMANDS))
    for command, told in zip(COMMANDS, answers, strict=True):
        assert (told.returncode, told.stderr) == (0, ""), command
        assert told.stdout.startswith("usage: python3 -m shared.manage"), command
    assert "Exit codes: 0 done, 1 the command failed, 2 the arguments are wrong." in answers[0].stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nonsense"], 2, "invalid choice"),
        (["keys", "create"], 2, "--name"),
        (["keys", "create", "--name", "x", "--expires", "soon"], 1, "write 90d, 12h or a date"),
        (["usage", "--by", "colour"], 2, "invalid choice"),
        (["usage", "--from", "yesterday"], 1, "write YYYY-MM-DD"),
        (["usage", "--from", "2026-02-01", "--to", "2026-01-01"], 1, "is after"),
        (["keys", "revoke", "nobody-has-this-name"], 1, "keys list"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_explained(manage: Run, arguments: list[str], code: int, text: str) -> None:
    refused = manage(*arguments)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert text in refused.stderr
    assert "Traceback" not in refused.stderr


def test_store_that_does_not_answer_is_explained(manage: Run) -> None:
    refused = manage("keys", "list", AzureWebJobsStorage=dead_connection_string())
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "The storage account does not answer" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_usage_without_any_is_said(manage: Run) -> None:
    told = manage("usage", "--from", "2020-01-01", "--to", "2020-02-01")
    assert (told.returncode, "No usage in these days." in told.stdout) == (0, True)
    assert json.loads(manage("usage", "--from", "2020-01-01", "--to", "2020-02-01", "--json").stdout) == []


def test_usage_by_day_names_days(manage: Run, stack: Stack) -> None:
    key = stack.key("by-day")
    stack.post(key, ask("hi"))
    stack.usage(key, 1)
    (line,) = json.loads(manage("usage", "--by", "day", "--key", "by-day", "--json").stdout)
    assert line["day"] == f"{datetime.now(UTC):%Y-%m-%d}"
