"""Whether this machine's clock is right, by storage's: tokens and signatures are good by time."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, age, failed, ok, skipped, warning
from shared.operations.checkup.scene import Scene

WARN_SECONDS, FAIL_SECONDS = 60.0, 300.0


def checks(scene: Scene) -> list[Check]:
    return [Check("clock", lambda: _look(scene))]


async def _look(scene: Scene) -> list[Finding]:
    """No credential is sent: a refusal has the date as well."""
    import httpx

    desk, url = scene.desk, str(scene.desk.folders.service.url).partition("?")[0]
    before = desk.clock()
    try:
        answer = await desk.http.get(url, params={"comp": "list"})
    except httpx.HTTPError as error:
        return [skipped("clock", f"storage does not answer: {type(error).__name__}", commands.again("storage"))]
    try:
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return [skipped("clock", "storage does not say the time")]
    ours = (before + desk.clock()) / 2
    apart, way = abs(ours - theirs), "fast" if ours > theirs else "slow"
    fix = commands.restart(scene.place) if scene.place.site else "set this machine's clock by a time server"
    if apart > FAIL_SECONDS:
        return [failed("clock", f"it is {age(apart)} {way}: Azure refuses what is signed", fix)]
    if apart > WARN_SECONDS:
        return [warning("clock", f"it is {age(apart)} {way}", fix)]
    return [ok("clock", "less than 2 s from storage's" if apart < 2 else f"{apart:.0f} s {way}, by storage's")]
