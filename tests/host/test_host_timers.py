"""The app's timers in the real worker: started by hand through the host, as by the clock, and their jobs ran."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from azure.data.tables import TableServiceClient

from local.fake_azure import FakeAzure
from shared.operations.timers import SCHEDULES, TIMERS, Timer
from tests.support.own_azurite import OwnAzurite
from tests.support.stack import Stack


def fire(stack: Stack, timer: Timer) -> None:
    """As the host does when the timer is due. It answers when the function has ended."""
    answer = stack.http.post(f"/admin/functions/{timer}", json={"input": ""})
    assert answer.status_code == 202, stack.log()


def jobs(storage: str) -> dict[str, dict[str, Any]]:
    with TableServiceClient.from_connection_string(storage) as service:
        rows = service.get_table_client("tollgatestate").query_entities("PartitionKey eq 'job'")
        return {row["RowKey"]: dict(row) for row in rows}


def test_a_timer_runs_its_jobs(stack_of_mode: Stack) -> None:
    """With the worker in the host's process, and in one of its own as in Azure."""
    began = time.time()
    fire(stack_of_mode, "timer_minutes")
    found = jobs(stack_of_mode.storage)
    for job in TIMERS["timer_minutes"]:
        assert found[job.name]["started"] >= began - 0.001
        assert (found[job.name]["outcome"], found[job.name]["error"]) == ("ok", "")


def test_the_host_knows_the_schedules(stack_of_mode: Stack) -> None:
    listed = stack_of_mode.http.get("/admin/functions").json()
    timers = {each["name"]: each["config"]["bindings"][0] for each in listed if each["name"] in SCHEDULES}
    assert {name: binding["schedule"] for name, binding in timers.items()} == dict(SCHEDULES)
    assert {binding["type"] for binding in timers.values()} == {"timerTrigger"}
    assert not any(binding.get("runOnStartup") for binding in timers.values())


def test_on_a_new_account_every_job_of_every_timer_ends_well(fake: FakeAzure, tmp_path: Path) -> None:
    with (
        OwnAzurite(tmp_path / "azurite") as azurite,
        Stack(
            tmp_path / "gateway", fake, azurite.connection_string, PRICES_URL=fake.state.prices_url,
            RESOURCE_MANAGER_URL=fake.state.management_url, EXPORT_CONTAINER="tollgate-export", EVENTS="queue:tollgate-events",
        ) as stack,
    ):  # fmt: skip
        for timer in TIMERS:
            fire(stack, timer)
        found = jobs(azurite.connection_string)
    assert {name: row["error"] for name, row in found.items() if row["outcome"] != "ok"} == {}
    assert found.keys() == {job.name for each in TIMERS.values() for job in each}
