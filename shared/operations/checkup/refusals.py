"""Why Azure said no, and what to do: a role that is missing, one that is too new, rules that keep us out.

Owns the reading of errors and of shared/roles.json; each subject asks and decides what that means for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import orjson

from shared.adapters.azure_errors import code_of
from shared.inventory import Assignment
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Finding, age, failed, warning
from shared.operations.checkup.scene import Scene
from shared.types import Credential

PARTNERS = ("anthropic", "foundry", "content_safety", "serverless")
"""Surfaces for which Azure wants Cognitive Services User."""
PROPAGATION = timedelta(minutes=10)
"""So long a new role may take until it counts."""
_ROLES = Path(__file__).resolve().parents[2] / "roles.json"
_WALLS = ("AuthorizationFailure", "PublicNetworkAccessDisabled", "ForbiddenByFirewall", "ForbiddenByConnection")
_WALL_WORDS = ("firewall", "public access is disabled", "public network access", "virtual network", "private endpoint")
_CODE = re.compile(r'"code":\s*"(\w+)"|ErrorCode:(\w+)')
_BROADER = {
    # role -> roles that contain it, as far as the gateway needs it (Azure's list of built-in roles, 2026-08)
    "Storage Blob Data Owner": {"Storage Blob Data Contributor"},
    "Key Vault Secrets User": {"Key Vault Secrets Officer"},
    "Cognitive Services OpenAI User": {"Cognitive Services OpenAI Contributor"},
}
_OF_PEOPLE = {"Storage Blob Data Owner": "Storage Blob Data Contributor"}
"""Who runs a command line signs no upload addresses."""


@dataclass(frozen=True, slots=True)
class Role:
    """A row of shared/roles.json."""

    name: str
    id: str
    who: str
    on: str
    when: str
    why: str


@functools.cache
def app_roles() -> tuple[Role, ...]:
    """What the gateway itself needs."""
    return tuple(role for row in orjson.loads(_ROLES.read_bytes()) if (role := Role(**row)).who == "app")


def role_named(name: str) -> Role:
    return next(role for role in app_roles() if role.name == name)


def gives(role: Role, assigned: Assignment) -> bool:
    """Whether what is assigned is this role, or one that contains it."""
    enough = {role.name, *_BROADER.get(role.name, ())}
    return assigned.role.lower() in {row["id"] for row in orjson.loads(_ROLES.read_bytes()) if row["name"] in enough}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What Azure has answered."""

    status: int
    """0: there was no answer."""
    code: str
    text: str

    @property
    def wall(self) -> bool:
        """Network rules keep us out: no role helps."""
        words = f"{self.code} {self.text}".lower()
        return self.status == 403 and (self.code in _WALLS or any(each in words for each in _WALL_WORDS))

    @property
    def denied(self) -> bool:
        return self.status in (401, 403) and not self.wall


def wrong_of(error: BaseException) -> Wrong:
    """Of an error of Azure's SDKs, or of ours around one."""
    for each in _causes(error):
        if (status := getattr(each, "status_code", None)) is not None:
            return Wrong(int(status), code_of(each) or _code_in(str(each)), _line(each))
    return Wrong(0, "", _line(error))


def _code_in(text: str) -> str:
    """Where the SDK leaves an error undecoded."""
    return found[1] or found[2] if (found := _CODE.search(text)) else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _line(error: BaseException) -> str:
    return (str(error).partition("\n")[0] or type(error).__name__).strip()[:240]


async def lacking(scene: Scene, about: str, role: Role, credential: Credential, scope: str, at: str) -> Finding:
    """What is to be said when Azure denies what a role allows. scope: Azure's id, or what prints it."""
    who = await scene.principal(credential)
    principal = who.object_id if who else ""
    if who and who.kind == "User":
        role = replace(role, name=_OF_PEOPLE.get(role.name, role.name))
    fix = commands.give_role(role.name, principal, who.kind if who else "ServicePrincipal", scope)
    found = await scene.assignments(scope, principal)
    if found is None:
        return failed(about, f"the role {role.name} on {at} is missing, or was given less than 10 minutes ago", fix)
    given = next((one for one in found if gives(role, one)), None)
    if given is None:
        return failed(about, f"the role {role.name} on {at} is missing", fix)
    return too_new(scene, about, role, given)


def too_new(scene: Scene, about: str, role: Role, given: Assignment) -> Finding:
    """It is assigned, and does not count yet."""
    since = scene.desk.clock() - given.created.timestamp() if given.created else PROPAGATION.total_seconds() * 2
    if since < PROPAGATION.total_seconds():
        text = f"the role {role.name} was given {age(since)} ago and does not count yet; that takes up to 10 minutes"
        return warning(about, text, f"wait, then: {commands.DOCTOR}")
    text = f"the role {role.name} is assigned, and Azure says no: a token from before may be in use for up to 24 hours"
    return failed(about, text, commands.restart(scene.place) if scene.place.site else commands.sign_in())
