"""What the doctor's findings are made of: commands that a shell takes, lines for a terminal, claims, errors."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from shared.operations.checkup import commands
from shared.operations.checkup import turns as turns_of
from shared.operations.checkup.claims import claims_of
from shared.operations.checkup.lines import MARKS, lines
from shared.operations.checkup.network import zone_of
from shared.operations.checkup.place import Place
from shared.operations.checkup.refusals import Wrong, wrong_of
from shared.operations.checkup.turns import Busy, Turns
from shared.operations.doctor import SUBJECTS
from shared.ports import StoreUnavailable
from tests.support.doctor_commands import KNOWN, every_command, makers


@pytest.mark.parametrize("command", every_command())
def test_a_command_is_one_for_a_shell(command: str) -> None:
    words = shlex.split(command)
    assert words[0] == "az"
    assert command.count("$(") == command.count(")")
    for word in words[1:]:
        assert word.startswith("$(") or "=$(" in word or not set(word) & set(";&|<>`"), word


@pytest.mark.parametrize(
    "name", ['"; rm -rf ~; "', "$(reboot)", "`reboot`", "a'; reboot; '", "a\u2019; reboot; \u2019", "x\nreboot", "x\x1b[2J", "a b!c",
             "rg (prod)", "-x", "--yes", "$HOME", "a\\"],
)  # fmt: skip
def test_a_name_is_never_a_command(name: str) -> None:
    """As one word it comes out of a real shell, which has run nothing else."""
    line = commands.show_deployment("ai", name, "gpt-4o")
    assert "\n" not in line
    assert "\x1b" not in line
    program = 'az() { printf "%s\\n" "$@"; }\n' + line
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, text=True, check=True, timeout=10)
    words = done.stdout.splitlines()
    named = [word for word in words if word.startswith("--resource-group=")]
    got = named[0].partition("=")[2] if named else words[words.index("--resource-group") + 1]
    assert got == re.sub(r"['\u2019\n\x1b]", "", name)
    assert words[-2:] == ["--deployment-name", "gpt-4o"]
    assert done.stderr == ""


def test_names_that_are_known_stand_in_the_command() -> None:
    assert len(makers()) > 25
    assert "$(" not in commands.restart(KNOWN)
    assert "rg-x" in commands.restart(KNOWN)
    assert commands.restart(Place("f")).startswith(
        'az functionapp restart --resource-group "$(az resource list --name f '
    )


def test_a_site_has_an_id_only_where_the_platform_says_enough() -> None:
    assert KNOWN.site_id.endswith("/resourceGroups/rg-x/providers/Microsoft.Web/sites/func-x")
    assert (Place("f").site_id, Place("f").on_azure, Place().on_azure) == ("", True, False)


def test_lines_are_broken_and_commands_are_not() -> None:
    text, fix = "long " * 40, "az " + "word " * 60
    row = {"subject": "roles", "about": "tables", "verdict": "failed", "text": text, "fix": fix.strip()}
    fine = {"subject": "models", "about": "a#1", "verdict": "ok", "text": "answers", "fix": ""}
    told = {"rows": [row, fine], "ok": 1, "warning": 0, "failed": 1, "skipped": 0}
    shown = list(lines(told, 80))
    assert shown[0].startswith("✗ roles   tables: long")
    assert [line for line in shown if len(line) > 80] == [f"          → {fix.strip()}"]
    assert "✓ models  a#1: answers" in shown
    assert shown[-1] == "1 ok, 0 warning, 1 failed, 0 skipped"


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.x"


def test_claims() -> None:
    user = claims_of(token(upn="jo@example.com", oid="o", appid="az", tid="t", aud="https://a", exp=5))
    assert user is not None
    assert (user.kind, user.called, user.object_id, user.expires) == ("User", "user jo@example.com", "o", 5.0)
    app = claims_of(token(idtyp="app", azp="c", xms_mirid="/subscriptions/s/providers/Microsoft.Web/sites/func-x"))
    assert app is not None
    assert (app.kind, app.called, app.client_id) == ("ServicePrincipal", "the own identity of func-x", "c")
    assert [claims_of(text) for text in ("", "opaque", "a.b.c", token().replace("e30", "e30", 1) + ".x")] == [None] * 4
    assert claims_of("e30.W10.x") is None


def test_a_guest_is_a_person() -> None:
    """Their tokens of version 1 have no upn."""
    guest = claims_of(token(unique_name="live.com#jo@example.com", scp="user_impersonation", oid="o"))
    nameless = claims_of(token(scp="user_impersonation", oid="o"))
    assert guest is not None
    assert (guest.kind, guest.called) == ("User", "user live.com#jo@example.com")
    assert nameless is not None
    assert nameless.kind == "User"


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        ("st.blob.core.windows.net", "privatelink.blob.core.windows.net"),
        ("st.table.core.usgovcloudapi.net", "privatelink.table.core.usgovcloudapi.net"),
        ("kv.vault.azure.net", "privatelink.vaultcore.azure.net"),
        ("kv.vault.usgovcloudapi.net", "privatelink.vaultcore.usgovcloudapi.net"),
        ("ai.openai.azure.us", "privatelink.openai.azure.us"),
        ("ai.services.ai.azure.com", "privatelink.services.ai.azure.com"),
        ("management.azure.com", ""), ("openai.azure.com", ""), ("a.b.openai.azure.com", ""), ("api.openai.com", ""),
    ],
)  # fmt: skip
def test_the_zone_of_a_name(host: str, zone: str) -> None:
    assert zone_of(host) == zone


@dataclasses.dataclass(frozen=True)
class Told:
    subject: str


class Examining:
    """Counts what is asked of it; `go` lets it answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.at_once = self.most = 0
        self.go = asyncio.Event()

    async def of(self, *subjects: str) -> list[Told]:
        self.asked.append(subjects)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.go.wait()
        finally:
            self.at_once -= 1
        return [Told(subject) for subject in subjects]


def test_whoever_asks_in_a_loop_is_told_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        turns, examining = Turns[Told](), Examining()

        async def take(*subjects: str) -> list[Told]:
            return await turns.take(subjects, lambda: examining.of(*subjects))

        first = asyncio.create_task(take("a", "b"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(take(*subjects)) for subjects in (("a", "b"), ("b",), ("c",), ("b", "a"))]
        await asyncio.sleep(0)
        assert examining.asked == [("a", "b")]
        examining.go.set()
        assert await first == [Told("a"), Told("b")]
        assert await asyncio.gather(*others) == [
            [Told("a"), Told("b")], [Told("b")], [Told("c")], [Told("a"), Told("b")],
        ]  # fmt: skip
        assert examining.asked == [("a", "b"), ("c",)]
        assert examining.most == 1
        monkeypatch.setattr(turns_of, "KEEP_SECONDS", 0.0)
        await take("a", "b")
        assert len(examining.asked) == 3

    asyncio.run(work())


def test_whoever_goes_makes_room_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        turns, examining = Turns[Told](), Examining()
        gone = asyncio.create_task(turns.take(["a"], lambda: examining.of("a")))
        await asyncio.sleep(0)
        monkeypatch.setattr(turns_of, "WAIT_SECONDS", 0.01)
        with pytest.raises(Busy):
            await turns.take(["a"], lambda: examining.of("a"))
        gone.cancel()
        await asyncio.wait([gone])
        examining.go.set()
        assert await turns.take(["a"], lambda: examining.of("a")) == [Told("a")]

    asyncio.run(work())


class Refused(Exception):
    status_code = 403

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.error_code = code


def test_errors_are_read_through_what_is_around_them() -> None:
    outer = StoreUnavailable("told otherwise")
    outer.__cause__ = Refused("This request is not authorized.\nRequestId:1", "AuthorizationPermissionMismatch")
    assert wrong_of(outer) == Wrong(403, "AuthorizationPermissionMismatch", "This request is not authorized.")
    assert wrong_of(Refused('{"odata.error": {"code": "AuthorizationFailure"}}')).wall
    assert wrong_of(Refused("x ErrorCode:AuthorizationPermissionMismatch")).denied
    assert wrong_of(StoreUnavailable("no name")) == Wrong(0, "", "no name")
    assert Wrong(403, "", "Access denied due to Virtual Network/Firewall rules.").wall
    assert not Wrong(401, "AuthorizationFailure", "").wall


def test_the_page_lists_exactly_the_subjects() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page.partition("## Subjects")[2], re.M) == list(SUBJECTS)
    assert {verdict: mark for mark, verdict in re.findall(r"^\| (\S) \| `(\w+)` \|", page, re.M)} == MARKS
