"""How the app scales: calls that one instance is given at once, memory, the runtime."""

from __future__ import annotations

from collections.abc import Iterator

from shared.adapters.resource_manager import ArmFailed
from shared.inventory import Scaling
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, ok, skipped, warning
from shared.operations.checkup.scene import Scene
from shared.operations.checkup.worker import PYTHON

CALLS_AT_ONCE = 32
LEAST_AT_ONCE, MOST_AT_ONCE = 4, 100
LEAST_MB, GOOD_MB = 512, 2048


def checks(scene: Scene) -> list[Check]:
    return [Check("app", lambda: _look(scene))]


async def _look(scene: Scene) -> list[Finding]:
    place = scene.place
    if not place.on_azure:
        return [skipped("app", "this is no Function App")]
    if not place.site_id:
        return [skipped("app", "the platform does not say where the app is", commands.show_scale(place))]
    try:
        scaling = await scene.scaling()
    except ArmFailed as error:
        return [skipped("app", f"not read: {error.code or error.message[:150]}", commands.show_scale(place))]
    return list(_judge(scene, scaling)) or [ok("app", _told(scaling))]


def _told(scaling: Scaling) -> str:
    ready = sum(scaling.always_ready.values())
    return (
        f"{scaling.per_instance} calls an instance, {scaling.memory_mb} MB, at most {scaling.most_instances} "
        f"instances, {ready or 'none'} always ready, {scaling.runtime}"
    )


def _judge(scene: Scene, scaling: Scaling) -> Iterator[Finding]:
    place, at_once = scene.place, scaling.per_instance
    set_it = commands.set_concurrency(place, CALLS_AT_ONCE)
    if at_once is None:
        yield failed(
            "calls at once", "not set: the platform's default for Python is 1, and each call costs an instance", set_it
        )
    elif at_once < LEAST_AT_ONCE:
        yield warning("calls at once", f"{at_once}: a call mostly waits, so an instance can do many at once", set_it)
    elif at_once > MOST_AT_ONCE:
        yield warning("calls at once", f"{at_once}: one event loop would have to share itself out too thinly", set_it)
    if 0 < scaling.memory_mb <= LEAST_MB:
        text = f"{scaling.memory_mb} MB, with a quarter of a core: streams stutter"
        yield warning("memory", text, commands.set_memory(place, GOOD_MB))
    if not scaling.https_only:
        yield failed("https", "plain http is answered: keys would travel in the clear", commands.https_only(place))
    wanted = f"python {PYTHON[0]}.{PYTHON[1]}"
    if scaling.runtime and scaling.runtime.lower() != wanted:
        fix = commands.set_python(place, f"{PYTHON[0]}.{PYTHON[1]}")
        yield warning("runtime", f"{scaling.runtime}; the package is built for {wanted}", fix)
