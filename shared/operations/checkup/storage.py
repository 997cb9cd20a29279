"""The storage account: its three services, and what has to be there.

The gateway makes tables, queues and containers of its own when it first needs them. What others send to or read from
has to be there before: queue and container of dropped batches, containers of batch_storage and the configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from shared.adapters.batch_rows import BATCHES_TABLE
from shared.adapters.blob_folder import DROPS, FILES
from shared.adapters.config_source import blob_place
from shared.adapters.key_store import KEYS_TABLE, TEAMS_TABLE
from shared.adapters.lease_store import LIMITS_TABLE
from shared.adapters.objects import OBJECTS_TABLE
from shared.adapters.owed_store import OWED_TABLE
from shared.adapters.tables import STATE_TABLE
from shared.adapters.work_queue import QUEUES
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, many, ok, warning
from shared.operations.checkup.refusals import wrong_of
from shared.operations.checkup.scene import Scene
from shared.ports import StoreUnavailable

TABLES = (KEYS_TABLE, TEAMS_TABLE, LIMITS_TABLE, STATE_TABLE, OBJECTS_TABLE, OWED_TABLE, BATCHES_TABLE)
DROPS_QUEUE = QUEUES["queue_batch_drops"]


def checks(scene: Scene) -> list[Check]:
    return [
        Check("tables", lambda: _look(scene, "tables", _tables)),
        Check("queues", lambda: _look(scene, "queues", _queues)),
        Check("containers", lambda: _look(scene, "containers", _containers)),
    ]


async def _look(scene: Scene, about: str, act: Callable[[Scene], Awaitable[list[Finding]]]) -> list[Finding]:
    from azure.core.exceptions import AzureError

    try:
        return await act(scene)
    except (StoreUnavailable, AzureError) as error:
        wrong = wrong_of(error)
        if wrong.denied or wrong.wall:
            return [failed(about, f"refused: {wrong.code or wrong.status}", commands.again("roles"))]
        account = scene.storage_account
        text = f"storage account {account} does not answer: {wrong.code or wrong.text}"
        return [failed(about, text, commands.again("network,identity"))]


def _summary(about: str, wanted: Iterable[str], there: Iterable[str]) -> Finding:
    names = list(dict.fromkeys(wanted))
    missing = [name for name in names if name not in set(there)]
    if not missing:
        return ok(about, f"all {len(names)} are there")
    text = f"{len(names) - len(missing)} of {len(names)} are there; made when first needed: {', '.join(missing)}"
    return ok(about, text)


async def _tables(scene: Scene) -> list[Finding]:
    return [_summary("tables", TABLES, await scene.desk.tables.table_names("tollgate"))]


async def _queues(scene: Scene) -> list[Finding]:
    there = {name for name in _every_queue(scene) if await exists(scene, name)}
    found = [_summary("queues", [name for name in _every_queue(scene) if name != DROPS_QUEUE], there)]
    if DROPS_QUEUE not in there:
        found.append(
            _dropping(
                scene, "queues", f"the queue {DROPS_QUEUE}", commands.make_queue(scene.storage_account, DROPS_QUEUE)
            )
        )
    return found


def _every_queue(scene: Scene) -> list[str]:
    events = scene.desk.settings.events
    own = [events.removeprefix("queue:")] if events.startswith("queue:") else []
    return [*QUEUES.values(), *own]


async def exists(scene: Scene, queue: str) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        await scene.desk.queue(queue).get_queue_properties()
    except ResourceNotFoundError:
        return False
    return True


def _dropping(scene: Scene, about: str, what: str, fix: str) -> Finding:
    text = f"{what} is missing: batches cannot be started by dropping files"
    return warning(about, text, fix) if scene.place.on_azure else ok(about, f"{text}, until the local stack makes it")


async def _containers(scene: Scene) -> list[Finding]:
    account, settings = scene.storage_account, scene.desk.settings
    there = {str(each.name) async for each in scene.desk.folders.service.list_containers()}
    found = [
        _summary("containers", [FILES, *([settings.export_container] if settings.export_container else [])], there)
    ]
    if DROPS not in there:
        found.append(_dropping(scene, "containers", f"the container {DROPS}", commands.make_container(account, DROPS)))
    place = blob_place(settings.config_source)
    needed = {
        one.batch_storage: f"{one.label} leaves its batches there" for one in scene.catalog.every() if one.batch_storage
    }
    if place and not place[0]:
        needed[place[1]] = "the configuration is read from there"
    for name, why in sorted(needed.items()):
        if name not in there:
            text = f"the container {name} is missing: {why}"
            found.append(failed("containers", text, commands.make_container(account, name)))
    if needed and len(found) == 1:
        found.append(ok("containers", f"{many(len(needed), 'container')} of the configuration: there"))
    return found
