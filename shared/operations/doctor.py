"""The operation `doctor`: is everything around the gateway as it has to be, and if not, which command mends it?

Owns which subjects there are, how long they may take, and what one row tells. What is looked at is checkup/'s. Run by
the command line it looks from there; as GET /manage/doctor, from the instance that answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from shared import errors
from shared.errors import ConfigError
from shared.operations.checkup import (
    clock,
    configuration,
    identity,
    models,
    network,
    queues,
    roles,
    scaling,
    storage,
    vault,
    worker,
)
from shared.operations.checkup.finding import Check, Finding, failed, skipped
from shared.operations.checkup.lines import lines
from shared.operations.checkup.scene import Scene
from shared.operations.checkup.turns import Busy, Turns
from shared.operations.operation import Actor, Asked, Desk, Operation, Told
from shared.operations.rendering import printable
from shared.redact import without_tokens

CHECK_SECONDS, WHOLE_SECONDS = 10.0, 30.0
AT_ONCE = 16
Subject = Literal[
    "config", "identity", "roles", "models", "network", "storage", "vault", "clock", "queues", "worker", "scaling"
]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
_CHECKS: Mapping[Subject, Callable[[Scene], Sequence[Check]]] = {
    "config": configuration.checks,
    "identity": identity.checks,
    "roles": roles.checks,
    "models": models.checks,
    "network": network.checks,
    "storage": storage.checks,
    "vault": vault.checks,
    "clock": clock.checks,
    "queues": queues.checks,
    "worker": worker.checks,
    "scaling": scaling.checks,
}


class DoctorAsked(Asked):
    only: list[Subject] = Field(default_factory=list[Subject], description="Look at these subjects alone.")


class DoctorRow(Told):
    subject: Subject
    about: str = Field(description="What was looked at.")
    verdict: Literal["ok", "warning", "failed", "skipped"] = Field(
        description="warning: it works, and will not for ever or not for everybody; skipped: it could not be looked at."
    )
    text: str = Field(description="What was found.")
    fix: str = Field(description="The command that mends it, or what to do; empty: nothing is to be done.")


class DoctorTold(Told):
    rows: list[DoctorRow]
    ok: int = Field(description="How many rows say so.")
    warning: int
    failed: int
    skipped: int


async def doctor(asked: DoctorAsked, _actor: Actor, desk: Desk) -> DoctorTold:
    subjects = asked.only or SUBJECTS
    turns: Turns[DoctorRow] = desk.part("doctor", Turns)
    try:
        return _told(await turns.take(subjects, lambda: _examined(desk, subjects)))
    except Busy as error:
        raise errors.unavailable(
            "Others have asked the doctor, and each is answered in turn. Ask again in half a minute.", "doctor_busy", 30
        ) from error


async def _examined(desk: Desk, subjects: Sequence[Subject]) -> list[DoctorRow]:
    scene = Scene(desk)
    try:
        return await examine(scene, subjects)
    finally:
        await scene.close()


def without_settings(asked: DoctorAsked, environ: Mapping[str, str], refused: ConfigError) -> DoctorTold:
    """What can be said before anything can be opened: what is wrong with the settings, and with the process."""
    subjects = asked.only or SUBJECTS
    rows = _rows("worker", worker.without_settings(environ, refused))
    text = "the app settings are refused: correct what 'worker' says first"
    for subject in SUBJECTS:
        if subject in subjects and subject != "worker":
            rows += _rows(subject, [skipped(subject, text)])
    return _told(rows)


def _told(rows: list[DoctorRow]) -> DoctorTold:
    counts = {
        verdict: sum(row.verdict == verdict for row in rows) for verdict in ("ok", "warning", "failed", "skipped")
    }
    return DoctorTold(rows=rows, **counts)


async def examine(scene: Scene, subjects: Sequence[Subject]) -> list[DoctorRow]:
    """All at once; what is not done by the end is said to be so. Never fails."""
    end = asyncio.get_running_loop().time() + WHOLE_SECONDS
    await scene.load(CHECK_SECONDS)
    gate = asyncio.Semaphore(AT_ONCE)
    wanted: list[tuple[Subject, Check]] = []
    for subject in sorted(set(subjects), key=SUBJECTS.index):
        wanted.extend((subject, check) for check in _checks_of(scene, subject))
    tasks = [asyncio.ensure_future(_carry_out(check, gate)) for _, check in wanted]
    try:
        await asyncio.wait(tasks, timeout=max(0.1, end - asyncio.get_running_loop().time()))
    finally:  # also when whoever asked has gone
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    rows: list[DoctorRow] = []
    for (subject, check), findings in zip(wanted, found, strict=True):
        rows += _rows(subject, _too_late(check) if isinstance(findings, BaseException) else findings)
    return rows


def _checks_of(scene: Scene, subject: Subject) -> Sequence[Check]:
    try:
        return _CHECKS[subject](scene)
    except Exception as error:  # a subject that cannot even begin must not keep the others from it
        said = error  # Python forgets the name `error` at the end of this block

        async def tell() -> Iterable[Finding]:
            return [_broken(subject, said)]

        return [Check(subject, tell)]


async def _carry_out(check: Check, gate: asyncio.Semaphore) -> list[Finding]:
    async with gate:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return list(await check.run())
        except TimeoutError:
            return [failed(check.about, f"no answer within {CHECK_SECONDS:g} s", "look at what 'network' says")]
        except Exception as error:
            return [_broken(check.about, error)]


def _broken(about: str, error: Exception) -> Finding:
    text = printable(str(error)[:200])
    return failed(
        about, f"it could not be looked at: {type(error).__name__} {text}".rstrip(), "tell the makers of Tollgate"
    )


def _too_late(check: Check) -> list[Finding]:
    return [skipped(check.about, f"there was no time for it within {WHOLE_SECONDS:g} s", "look at it alone: --only")]


def _rows(subject: Subject, found: Iterable[Finding]) -> list[DoctorRow]:
    """Some of what is told are words of others: no token, and nothing that a terminal obeys."""
    return [
        DoctorRow(
            subject=subject,
            about=printable(one.about),
            verdict=one.verdict,
            text=printable(without_tokens(one.text)),
            fix=printable(one.fix),
        )
        for one in found
    ]


def has_failed(told: Mapping[str, Any]) -> bool:
    return bool(told["failed"])


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="doctor",
        method="GET",
        path="doctor",
        summary="Is everything around the gateway as it has to be? One line each, with the command that mends it.",
        asks=DoctorAsked,
        answers=DoctorTold,
        act=doctor,
        columns=("subject", "about", "verdict", "text", "fix"),
        example="--only identity,roles",
        lines=lines,
        failed=has_failed,
        without_settings=without_settings,
    ),
)
