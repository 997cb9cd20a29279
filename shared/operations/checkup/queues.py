"""What waits in queues, and what could not be done: messages in poison queues."""

from __future__ import annotations

from shared.adapters.work_queue import QUEUES
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, many, ok, skipped, warning
from shared.operations.checkup.refusals import wrong_of
from shared.operations.checkup.scene import Scene
from shared.operations.checkup.storage import DROPS_QUEUE

POISON = "-poison"
_MEND = {
    # of which poison queue -> what is to be done about it, after the command that shows the messages
    DROPS_QUEUE: "drop the files again once the cause is mended",
}


def checks(scene: Scene) -> list[Check]:
    names = dict.fromkeys([*QUEUES.values(), DROPS_QUEUE + POISON])
    return [Check(name, lambda name=name: _look(scene, name)) for name in names]


async def _look(scene: Scene, name: str) -> list[Finding]:
    from azure.core.exceptions import AzureError, ResourceNotFoundError

    try:
        properties = await scene.desk.queue(name).get_queue_properties()
    except ResourceNotFoundError:
        return [ok(name, "not there yet, so nothing waits")]
    except AzureError as error:
        wrong = wrong_of(error)
        verdict = failed if wrong.denied else skipped
        return [verdict(name, f"not read: {wrong.code or wrong.text}", commands.again("roles,storage"))]
    waiting = int(properties.approximate_message_count or 0)
    if name.endswith(POISON) and waiting:
        return [_poison(scene, name, waiting)]
    return [ok(name, "empty" if not waiting else f"{many(waiting, 'message')} waiting")]


def _poison(scene: Scene, name: str, waiting: int) -> Finding:
    of = name.removesuffix(POISON)
    what = _MEND.get(of, "the function that empties it does not run: look at its errors in the log")
    text = f"{many(waiting, 'message')} could not be worked on, five times each; {what}"
    return warning(name, text, commands.peek(scene.storage_account, name))
