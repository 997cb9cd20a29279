"""The operator's command line, run as a program: what it prints, what it teaches, how it ends."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.manage.arguments import words
from shared.manage.cli import parser
from shared.manage.cli import run as run_cli
from shared.operations.asking import fields_of, path_fields
from shared.operations.operation import Operation
from shared.operations.registry import operations
from tests.support.app_copy import copy_app
from tests.support.models import aliases, config_text
from tests.support.own_azurite import dead_connection_string
from tests.support.stack import ADMIN, ROOT, Key, Stack, app_settings, ask, clean_environment

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


@dataclass(frozen=True, slots=True)
class Said:
    out: str
    err: str


class InProcess:
    """The program's own entry point, without the cost of a process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, *arguments: str, code: int = 0) -> Said:
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            try:
                ended = run_cli(arguments, self._environ)
            except SystemExit as done:
                ended = done.code
        assert ended == code, complained.getvalue()
        return Said(said.getvalue(), complained.getvalue())

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").out)


@pytest.fixture
def run(settings: dict[str, str]) -> InProcess:
    return InProcess(settings)


def test_life_of_a_key(manage: Run, run: InProcess, stack: Stack) -> None:
    run("teams", "create", "--name", "life-team")
    made = manage(
        "keys", "create", "--name", "life", "--team", "life-team", "--models", "gpt-4o, gpt-5", "--expires", "90d"
    )
    assert (made.returncode, made.stderr) == (0, "")
    text, told = made.stdout.splitlines()
    assert re.fullmatch(r"sk-[\w-]{43}", text)
    key_id = re.findall(r"Its id is (\w{12})\.", told)[0]
    key = Key(text, key_id, "life")
    assert stack.post(key, ask("hi")).status_code == 200
    stack.usage(key, 1)

    listed = run("keys", "list", "--team", "life-team")
    (line,) = [line for line in listed.out.splitlines() if line.startswith(key_id)]
    assert text not in listed.out
    assert f"{text[:6]}…{text[-4:]}" in line
    assert "active" in line
    assert "gpt-4o,gpt-5" in line
    (row,) = [row for row in run.json("keys", "list", "--team", "life-team") if row["id"] == key_id]
    assert (row["team"], row["models"], row["state"]) == ("life-team", ["gpt-4o", "gpt-5"], "active")

    used = run("usage", "--by", "team", "--key", "life")
    assert re.search(r"^TEAM +REQUESTS +FAILED +INPUT TOKENS", used.out, re.M)
    assert re.search(r"^life-team +1 +0 ", used.out, re.M)
    (line,) = run.json("usage", "--key", "life")
    assert (line["key"], line["requests"], line["key_id"][:12]) == ("life", 1, key_id)

    revoked = run("keys", "revoke", "life")
    assert "revoked" in revoked.out
    assert revoked.err.startswith("note: The key ends within 1 s")
    again = manage("keys", "revoke", "life")
    assert (again.returncode, again.stdout) == (1, "")
    assert "keys list" in again.stderr
    assert "revoked" in [row["state"] for row in run.json("keys", "list", "--team", "life-team")]


def test_a_key_is_changed_field_by_field(run: InProcess) -> None:
    """What is not named stays; `none` takes away."""
    run("keys", "create", "--name", "changed", "--models", "gpt-4o", "--models", "gpt-5,gpt-5-mini", "--rpm", "5",
        "--metadata", "cost-center=4711", "--metadata", "owner=ana", "--budgets", "day=5,month=100:soft")  # fmt: skip
    told = run.json("keys", "show", "changed")
    assert told["models"] == ["gpt-4o", "gpt-5", "gpt-5-mini"]
    assert told["metadata"] == {"cost-center": "4711", "owner": "ana"}
    assert [(b["period"], b["usd"], b["hard"]) for b in told["budgets"]] == [
        ("day", "5", True),
        ("month", "100", False),
    ]
    told = run.json(
        "keys", "update", "changed", "--tpm", "200000", "--models", "none", "--metadata", "none", "--shadow"
    )
    assert (told["rpm"], told["tpm"], told["models"], told["metadata"], told["shadow"]) == (5, 200_000, [], {}, True)
    assert run.json("keys", "update", "changed", "--no-shadow", "--rpm", "none")["rpm"] is None
    shown = run("keys", "show", "changed").out
    assert re.search(r"^NAME +changed$", shown, re.M)


def test_lists_as_table_json_csv_and_page_by_page(run: InProcess) -> None:
    for number in range(3):
        run("keys", "create", "--name", f"listed-{number}", "--team", "listed")
    page = run("keys", "list", "--team", "listed", "--limit", "2")
    assert len(page.out.splitlines()) == 3
    cursor = re.findall(r"--cursor '([^']+)'", page.err)[0]
    rest = run("keys", "list", "--team", "listed", "--limit", "2", "--cursor", cursor)
    assert ("listed-2" in rest.out, rest.err) == (True, "")
    whole = run("keys", "list", "--team", "listed", "--limit", "1", "--all", "--csv")
    assert [row["name"] for row in csv.DictReader(io.StringIO(whole.out))] == ["listed-0", "listed-1", "listed-2"]
    assert whole.err == ""
    assert run("keys", "list", "--team", "nobody").out == "Nothing to show.\n"
    assert run.json("keys", "list", "--team", "nobody") == []


def test_what_is_done_is_written_down(run: InProcess) -> None:
    run("teams", "create", "--name", "audited", "--budgets", "month=5")
    (row,) = run.json("audit", "list", "--operation", "teams_create")[:1]
    assert (row["actor"], row["status"]) == ("cli", 200)
    assert row["changed"] == {"name": "audited", "budgets": ["month=5"]}


def test_the_same_on_a_deployed_gateway(run: InProcess, stack: Stack) -> None:
    """Without the account's settings: everything goes through the manage API."""
    there = ("--url", stack.url, "--admin-key-env", "GATEWAY_KEY")
    far = InProcess({"GATEWAY_KEY": ADMIN})
    made = far.json("keys", "create", "--name", "far a/b", "--models", "gpt-4o,gpt-5", *there)
    assert run.json("keys", "show", "far a/b")["models"] == ["gpt-4o", "gpt-5"]
    assert far.json("keys", "show", "far a/b", *there)["id"] == made["id"]
    assert far.json("keys", "update", made["id"], "--models", "none", "--rpm", "3", *there)["rpm"] == 3
    listed = [row["name"] for row in far.json("keys", "list", "--limit", "50", "--all", *there)]
    assert listed == [row["name"] for row in run.json("keys", "list", "--all")]
    assert far.json("usage", "--by", "team,day", "--from", "2020-01-01", "--to", "2020-01-02", *there) == []
    assert far("keys", "show", "nobody-has-this-name", *there, code=1).err.startswith("No such key")
    assert far("keys", "create", *there, "--name", "x", "--budgets", "week=5", code=2).err.startswith("--budgets")
    (row,) = run.json("audit", "list", "--operation", "keys_create", "--actor", "admin-key", "--limit", "1")
    assert row["changed"]["name"] == "far a/b"


def test_a_gateway_that_cannot_be_asked_is_explained(run: InProcess, stack: Stack) -> None:
    for arguments, environ, text in (
        (("--url", "http://gateway.example"), {"ADMIN_KEY": "x"}, "https://"),
        (("--url", stack.url), {}, "ADMIN_KEY is empty"),
        (("--url", stack.url), {"ADMIN_KEY": "wrong"}, "Incorrect credential"),
        (("--url", stack.url + "/v1"), {"ADMIN_KEY": ADMIN}, "Invalid URL"),
        (("--url", "http://127.0.0.1:9"), {"ADMIN_KEY": "x"}, "does not answer"),
    ):
        refused = InProcess(environ)("keys", "list", *arguments, code=1)
        assert (refused.out, text in refused.err) == ("", True), refused.err


def test_key_created_as_json(run: InProcess) -> None:
    made = run.json("keys", "create", "--name", "j")
    assert made["key"].startswith("sk-")
    assert (made["state"], made["expires"]) == ("active", "")


def test_two_keys_of_one_name_are_told_apart(run: InProcess, stack: Stack) -> None:
    one, two = stack.key("twins"), stack.key("twins")
    refused = run("keys", "revoke", "twins", code=1)
    assert one.id in refused.err
    assert two.id in refused.err
    assert run.json("keys", "revoke", one.id)["state"] == "revoked"
    assert stack.post(two, ask("hi")).status_code == 200


def test_config_check(run: InProcess, settings: dict[str, str], tmp_path: Path) -> None:
    good = run("config", "check")
    assert good.err == ""
    assert re.search(r"^gpt-5#1 +gpt-5 +dated +api_key ", good.out, re.M)
    assert re.search(r"^entra#1 +ordinary +dated +default ", good.out, re.M)
    assert re.search(r"^ok: \d+ models on \d+ deployments$", good.out, re.M)
    answer = run.json("config", "check", settings["CONFIG_SOURCE"])
    assert answer["ok"] is True
    assert "two#2" in [row["model"] for row in answer["deployments"]]
    assert not any(
        key in good.out for key in re.findall(r'api_key: "(\w{32})"', Path(settings["CONFIG_SOURCE"]).read_text())
    )

    bad = tmp_path / "bad.yaml"
    bad.write_text("model_list:\n  - model_name: a\n    litellm_params:\n      model: azure/x\n      api_versoin: v1\n")
    refused = run("config", "check", str(bad), code=1)
    assert refused.out == ""
    assert re.search(r"^line 5: .*api_versoin: unknown setting → write 'api_version'", refused.err, re.M)
    assert re.search(r"^line 4: .*no api_base", refused.err, re.M)
    assert "2 problem(s)" in refused.err
    refused = run("config", "check", str(bad), "--json", code=1)
    assert {p["line"] for p in json.loads(refused.out)["problems"]} == {4, 5}


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


def test_missing_file(run: InProcess) -> None:
    assert "no-such-file.yaml" in run("config", "check", "no-such-file.yaml", code=1).err


def test_help_of_the_program(manage: Run, run: InProcess) -> None:
    told = manage("--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("usage: python3 -m shared.manage")
    assert "Exit codes: 0 done, 1 the command failed, 2 the arguments are wrong." in told.stdout
    assert "rotate" in run("keys", code=2).out


COMMANDS = [*{(words(row)[0],) for row in operations()}, *{tuple(filter(None, words(row))) for row in operations()},
            ("config",), ("config", "check")]  # fmt: skip


@pytest.mark.parametrize("command", sorted(set(COMMANDS)), ids=" ".join)
def test_help_of_every_command(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*command, "--help"])
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (0, "")
    assert told.out.startswith(f"usage: python3 -m shared.manage {' '.join(command)}")
    row = next((row for row in operations() if tuple(filter(None, words(row))) == command), None)
    if row is not None:
        text = " ".join(told.out.split())
        assert row.summary in text
        for name, field in fields_of(row.asks).items():
            assert (name.upper() if name in path_fields(row) else f"--{name.replace('_', '-')}") in text
            if name != "cursor":
                assert field.description.rstrip(".").replace(" ", "")[:60] in text.replace(" ", ""), name
        assert f"example: python3 -m shared.manage {' '.join(command)}" in text


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nonsense"], 2, "invalid choice"),
        (["keys", "create"], 2, "--name"),
        (["keys", "create", "--name", "x", "--expires", "soon"], 2, "--expires: "),
        (["keys", "create", "--name", "x", "--rpm", "many"], 2, "--rpm: should be a valid integer"),
        (["keys", "create", "--name", "x", "--metadata", "owner"], 2, "write NAME=VALUE"),
        (["keys", "list", "--state", "gone"], 2, "invalid choice"),
        (["keys", "list", "--json", "--csv"], 2, "not allowed with"),
        (["usage", "--by", "colour"], 2, "--by[0]: should be 'key', "),
        (["usage", "--from", "yesterday"], 2, "--from: "),
        (["usage", "--from", "2026-02-01", "--to", "2026-01-01"], 1, "2026-02-01"),
        (["keys", "revoke", "nobody-has-this-name"], 1, "keys list"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_explained(run: InProcess, arguments: list[str], code: int, text: str) -> None:
    refused = run(*arguments, code=code)
    assert refused.out == ""
    assert text in refused.err


@pytest.mark.parametrize("command", [("keys", "list"), ("keys", "create", "--name", "x")], ids=" ".join)
def test_store_that_does_not_answer_is_explained(settings: dict[str, str], command: tuple[str, ...]) -> None:
    run = InProcess({**settings, "AzureWebJobsStorage": dead_connection_string()})
    refused = run(*command, code=1)
    assert refused.out == ""
    assert "The storage account does not answer" in refused.err


def test_usage_by_day_names_days(run: InProcess, stack: Stack) -> None:
    key = stack.key("by-day")
    stack.post(key, ask("hi"))
    stack.usage(key, 1)
    (line,) = run.json("usage", "--by", "day", "--key", "by-day")
    assert line["day"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert run("usage", "--from", "2020-01-01", "--to", "2020-02-01").out == "Nothing to show.\n"


LISTS = [row for row in operations() if row.method == "GET" and row.lines is None and not path_fields(row) and not
         [field for field in fields_of(row.asks).values() if field.required]]  # fmt: skip


@pytest.mark.parametrize("row", LISTS, ids=lambda row: row.name)
def test_every_list_is_shown(run: InProcess, row: Operation) -> None:
    command = tuple(filter(None, words(row)))
    assert run(*command).out
    assert isinstance(run.json(*command), list)


def test_a_reader_that_goes_away_is_no_error(settings: dict[str, str]) -> None:
    """As in `… | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "shared.manage", "config", "check", "--json"],
            cwd=ROOT, env=clean_environment() | settings, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
