"""Whether the configuration can be read, and what it comes to."""

from __future__ import annotations

from shared.adapters.config_source import blob_place
from shared.errors import ConfigError
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, many, ok, warning
from shared.operations.checkup.refusals import wrong_of
from shared.operations.checkup.scene import Scene
from shared.ports import StoreUnavailable

CHECK = "python3 -m shared.manage config check"


def checks(scene: Scene) -> list[Check]:
    async def look() -> list[Finding]:
        return [_found(scene)]

    return [Check(_name(scene), look)]


def _name(scene: Scene) -> str:
    return scene.desk.settings.config_source or "config.yaml"


def _found(scene: Scene) -> Finding:
    name, refused = _name(scene), scene.refused
    if isinstance(refused, ConfigError):
        more = f" (and {many(len(refused.problems) - 1, 'more problem')})" if len(refused.problems) > 1 else ""
        return failed(name, f"refused: {refused.problems[0]}{more}", CHECK)
    if isinstance(refused, StoreUnavailable):
        return _not_read(scene, name, refused)
    if refused is not None:
        return failed(name, "not read: no answer", commands.again("storage"))
    catalog = scene.catalog
    count = sum(len(rows) for rows in catalog.deployments.values())
    text = f"{many(len(catalog.deployments), 'model')} on {many(count, 'deployment')}"
    if catalog.warnings:
        return warning(name, f"{text}, with {many(len(catalog.warnings), 'warning')}: {catalog.warnings[0]}", CHECK)
    return ok(name, text) if count else warning(name, "it names no model", "python3 -m shared.manage init")


def _not_read(scene: Scene, name: str, error: StoreUnavailable) -> Finding:
    place = blob_place(scene.desk.settings.config_source)
    if place is None:
        return failed(name, f"not read: {error}", "python3 -m shared.manage init")
    wrong = wrong_of(error)
    account = (place[0].removeprefix("https://").partition(".")[0]) or scene.storage_account
    if wrong.status == 404:
        return failed(name, "there is no such blob", commands.upload(account, place[1], place[2]))
    return failed(name, f"not read: {wrong.code or wrong.text}", commands.again("storage"))
