"""Queue, timer and blob triggers over Azurite, in both modes."""

from __future__ import annotations

import base64
import itertools
import json
import time
import uuid
from collections.abc import Generator
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.host.conftest import MODES, mode_of
from tests.host.host_process import MASTER, SAMPLE, HostProcess, until
from tests.support.azurite import Azurite


class Triggered(HostProcess):
    """A host with its storage."""

    queue = inbox = ""
    blobs: BlobServiceClient
    queues: QueueServiceClient

    def seen(self) -> dict[str, Any]:
        return self.client.get("/seen").json()

    def jobs(self, start: str) -> list[Any]:
        return [j for j in self.seen()["jobs"] if j[0].startswith(start)]


@pytest.fixture(scope="module", params=MODES)
def host(
    request: pytest.FixtureRequest, azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Triggered]:
    unique = uuid.uuid4().hex[:8]
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "FUNCHOST_MASTER_KEY": MASTER,
        "FUNCHOST_BLOB_POLL": "0.1",
        "JOBS_QUEUE": f"jobs{unique}",
        "INBOX": f"inbox{unique}",
        "TICK": "* * * * * *",
    }
    folder = tmp_path_factory.mktemp("triggers")
    with (
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
        QueueServiceClient.from_connection_string(azurite.connection_string) as queues,
        Triggered(folder, SAMPLE, mode=mode_of(request), **settings) as made,
    ):
        assert isinstance(made, Triggered)
        made.blobs, made.queues = blobs, queues
        made.queue, made.inbox = settings["JOBS_QUEUE"], settings["INBOX"]
        blobs.create_container(made.inbox)
        made.client.post("/enqueue", json={"id": "bad1", "fail": True})  # its tries take a while
        yield made
    assert not (SAMPLE / ".funchost-keys.json").exists()


def test_a_message_runs_the_function_and_writes_its_blob(host: Triggered) -> None:
    assert host.client.post("/enqueue", json={"id": "ok1"}).status_code == 202
    assert until(lambda: host.jobs("ok1"))[0][1] == 1
    blob = host.blobs.get_blob_client("results", "ok1.json")
    until(blob.exists)
    assert json.loads(blob.download_blob().readall()) == {"id": "ok1", "dequeue": 1}


def test_a_message_that_is_not_base64_is_poison_at_once(host: Triggered) -> None:
    host.queues.get_queue_client(host.queue).send_message("not base64!")
    assert poisoned(host, "not") == "not base64!"


def poisoned(host: Triggered, start: str) -> str:
    """The message in the poison queue that starts so. The host makes that queue at its first need."""
    poison = host.queues.get_queue_client(f"{host.queue}-poison")

    def one() -> Any:
        try:
            return next((m for m in poison.peek_messages(32) if m.content.startswith(start)), None)
        except ResourceNotFoundError:
            return None

    return until(one).content


def test_messages_run_side_by_side(host: Triggered) -> None:
    for i in range(6):
        host.client.post("/enqueue", json={"id": f"par{i}", "sleep": 0.7})
    jobs = until(lambda: host.jobs("par") if len(host.jobs("par")) == 6 else [])
    assert max(j[2] for j in jobs) - min(j[2] for j in jobs) < 2


def test_a_timer_fires_on_the_second(host: Triggered) -> None:
    ticks = until(lambda: t if len(t := host.seen()["timer"]) >= 2 else None, 8)
    assert ticks is not None
    assert all(abs(t - round(t)) < 0.4 for t in ticks), ticks


def test_blobs(host: Triggered) -> None:
    name = uuid.uuid4().hex
    container = host.blobs.get_container_client(host.inbox)
    container.upload_blob(f"{name}.txt", b"hello")
    container.upload_blob(f"{name}.bin", b"not this one")
    container.upload_blob(f"{name}-bad.txt", b"fail")
    seen = until(lambda: s if (s := host.seen())["blobs"] and s.get("blob_fail", 0) >= 5 else None)
    assert seen is not None
    assert [f"{host.inbox}/{name}.txt", 5, "hello"] in seen["blobs"]
    assert not any(".bin" in b[0] for b in seen["blobs"])
    time.sleep(0.4)
    assert host.seen()["blob_fail"] == 5  # then it is poison
    runs = len(host.seen()["blobs"])
    container.upload_blob(f"{name}.txt", b"again", overwrite=True)  # another version runs again
    until(lambda: len(host.seen()["blobs"]) == runs + 1)


def test_running_by_hand(host: Triggered) -> None:
    headers = {"x-functions-key": MASTER}
    given = json.dumps({"id": "hand1"})
    post = host.client.post
    assert post("/admin/functions/job", json={"input": given}, headers=headers).status_code == 202
    assert host.jobs("hand1")[0][1] == 1
    given = json.dumps({"id": "hand2", "fail": True})
    assert post("/admin/functions/job", json={"input": given}, headers=headers).status_code == 500
    host.blobs.get_blob_client(host.inbox, "hand.txt").upload_blob(b"by hand", overwrite=True)
    path = {"input": f"{host.inbox}/hand.txt"}
    assert post("/admin/functions/arrived", json=path, headers=headers).status_code == 202
    assert any(b[2] == "by hand" for b in host.seen()["blobs"])


def test_failures_are_tried_again_and_then_poison(host: Triggered) -> None:
    jobs = until(lambda: found if len(found := host.jobs("bad1")) == 3 else [])
    assert [j[1] for j in jobs] == [1, 2, 3]
    assert all(b[2] - a[2] >= 0.9 for a, b in itertools.pairwise(jobs))  # visibilityTimeout
    assert json.loads(base64.b64decode(poisoned(host, "ey")))["id"] == "bad1"
