"""Files dropped in the container, through the real queue trigger: run once, results beside them, rubbish put aside.

Events are sent by what stands for Event Grid locally, or written by hand where they are late, doubled or odd. All is
dropped at once: what waits, waits together.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.blob_events import BlobEvents
from local.fake_azure import FakeAzure
from tests.support.batching import batching
from tests.support.polling import until
from tests.support.stack import Key, Stack, ask, upstream_calls

type Json = dict[str, Any]
URL = "/v1/chat/completions"
ODD = ("a b/ü&%2F+#é.JSONL", "x/y/z/1 (2).ndjson", "💎.jsonl")
TEMPLATE = {"custom_id": "{{id}}", "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "{{text}}"}]}}


class Container:
    """The container `batches`, as people use it."""

    def __init__(self, stack: Stack) -> None:
        connection = stack.settings["AzureWebJobsStorage"]
        self.events = BlobEvents(connection)
        self.events.make_places()
        self.log = stack.log
        self.blobs: ContainerClient = BlobServiceClient.from_connection_string(connection).get_container_client(
            "batches"
        )

    def drop(self, path: str, data: bytes, **metadata: str) -> Any:
        """Put it there and let it be told of. -> the blob's facts."""
        found = self.put(f"in/{path}", data, **metadata)
        assert f"in/{path}" in self.events.round()
        return found

    def put(self, name: str, data: bytes, **metadata: str) -> Any:
        blob = self.blobs.get_blob_client(name)
        blob.upload_blob(data, overwrite=True, metadata=metadata)
        return blob.get_blob_properties()

    def tell(self, *events: Json, coded: bool = True) -> None:
        """By hand: several events are one message."""
        text = json.dumps(events[0] if len(events) == 1 else events)
        queue = self.events.queue
        queue.send_message(base64.b64encode(text.encode()).decode() if coded else text)

    def read(self, name: str) -> bytes | None:
        try:
            return self.blobs.download_blob(name).readall()
        except ResourceNotFoundError:
            return None

    def wait(self, name: str) -> bytes:
        found: list[bytes | None] = []

        def there() -> bool:
            found[:] = [self.read(name)]
            return found[0] is not None

        try:
            until(there, 12, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.names('')}\n{self.log()[-6000:]}") from error
        return found[0] or b""

    def lines(self, name: str) -> list[Json]:
        return [json.loads(line) for line in self.wait(name).splitlines()]

    def summary(self, stem: str) -> Json:
        return json.loads(self.wait(f"out/{stem}-summary.json"))

    def taken(self) -> bool:
        """Whether all messages have been worked off."""
        return (
            not self.events.queue.peek_messages(1)
            and not self.events.queue.get_queue_properties().approximate_message_count
        )

    def names(self, prefix: str) -> list[str]:
        return [blob.name for blob in self.blobs.list_blobs(name_starts_with=prefix)]


@dataclass
class Dropped:
    """What was put there before the first test."""

    stack: Stack
    container: Container
    key: Key
    doubled: Key
    event: Json

    def batches(self, key: Key) -> list[Json]:
        with self.stack.openai(key) as client:
            return [batch.to_dict() for batch in client.batches.list()]


def line(custom_id: str, text: str = "hi", **body: Any) -> Json:
    return {"custom_id": custom_id, "method": "POST", "url": URL, "body": ask(text, **body)}


def jsonl(*rows: Json) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure) -> Generator[Dropped]:
    with batching(tmp_path_factory.mktemp("drops"), fake_azure) as stack:
        container, key, doubled = Container(stack), stack.key("drops"), stack.key("doubled")
        facts = container.put("in/doubled/once.jsonl", jsonl(*(line(f"l{n}", "only once") for n in range(5))))
        event = container.events.event(facts)
        cloud = {
            "specversion": "1.0", "type": event["eventType"], "source": event["topic"], "id": "c-1",
            "time": event["eventTime"], "subject": event["subject"], "data": event["data"],
        }  # fmt: skip
        container.tell(event)
        container.tell(event)
        container.tell(cloud, event)
        container.tell({**event, "id": "another", "data": {**event["data"], "eTag": "0x0"}}, coded=False)
        container.tell({"hello": "world"})
        for path in ODD:
            container.put(f"in/drops/{path}", jsonl(line("a")))
        container.put("in/drops/daily.jsonl", jsonl(line("first"), line("bad", "filter me")))
        container.put("in/drops/june.jsonl", jsonl(line("a"), line("b"), line("c", "filter me")))
        container.put("templates/drops.json", json.dumps(TEMPLATE).encode())
        container.put("in/drops/2026/words.csv", b'\xef\xbb\xbfid;text\r\nx-1;"one\r\n""two"""\r\nx-2;three\r\n')
        nameless = line("only")
        del nameless["body"]["model"]
        container.put("in/bare.jsonl", json.dumps(nameless).encode(), key=key.id, Model="gpt-4o")
        container.put("in/drops/twice.jsonl", jsonl(line("a"), line("a")))
        assert set(container.events.round()) >= {f"in/drops/{path}" for path in ODD}
        yield Dropped(stack, container, key, doubled, event)


def test_a_dropped_file_is_run_and_its_results_lie_beside_it(dropped: Dropped) -> None:
    container, name = dropped.container, "drops/june"
    told = container.summary(name)
    assert told["status"] == "completed"
    assert told["lines"] == {"total": 3, "completed": 2, "failed": 1}
    assert told["message"].startswith("2 of 3 lines were answered, 1 failed in ")
    assert told["message"].endswith("See june-errors.jsonl.")
    assert (told["file"], told["model"], told["endpoint"], told["engine"]) == (f"{name}.jsonl", "gpt-4o", URL, "own")
    assert told["usage"]["input_tokens"] > 0
    assert float(told["cost_usd"]) > 0
    answers = {row["custom_id"]: row["response"] for row in container.lines(f"out/{name}.jsonl")}
    assert set(answers) == {"a", "b"}
    assert all(answer["status_code"] == 200 for answer in answers.values())
    (failed,) = container.lines(f"out/{name}-errors.jsonl")
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("c", 400)
    assert container.read(f"in/{name}.jsonl") is None
    with dropped.stack.openai(dropped.key) as client:
        batch = client.batches.retrieve(told["batch_id"])
        assert batch.metadata == {"dropped": f"{name}.jsonl"}
        assert batch.output_file_id
        assert len(client.files.content(batch.output_file_id).content.splitlines()) == 2


def test_a_csv_with_a_template_is_run(dropped: Dropped) -> None:
    assert dropped.container.summary("drops/2026/words.csv")["message"].startswith("All 2 lines were answered in ")
    rows = dropped.container.lines("out/drops/2026/words.csv.jsonl")
    assert sorted(row["custom_id"] for row in rows) == ["x-1", "x-2"]
    assert dropped.container.read("out/drops/2026/words.csv-errors.jsonl") is None


def test_metadata_names_the_key_and_the_model(dropped: Dropped) -> None:
    told = dropped.container.summary("bare")
    assert (told["paid_by"], told["model"]) == ("drops", "gpt-4o")
    assert told["message"].startswith("The one line was answered in ")


@pytest.mark.parametrize("path", ODD)
def test_odd_names_and_deep_paths(dropped: Dropped, path: str) -> None:
    stem = f"drops/{path.removesuffix('.jsonl')}"
    assert dropped.container.summary(stem)["file"] == f"drops/{path}"
    assert [row["custom_id"] for row in dropped.container.lines(f"out/{stem}.jsonl")] == ["a"]


def test_rubbish_is_put_aside_with_a_reason(dropped: Dropped) -> None:
    reason = dropped.container.wait("rejected/drops/twice.jsonl-reason.txt").decode()
    assert "Line 2" in reason
    assert "custom_id" in reason
    assert dropped.container.read("rejected/drops/twice.jsonl") == jsonl(line("a"), line("a"))
    until(lambda: dropped.container.read("in/drops/twice.jsonl") is None, 10, 0.05)


def test_the_same_name_again_is_a_new_job(dropped: Dropped) -> None:
    container, stem = dropped.container, "drops/daily"
    first = container.summary(stem)["batch_id"]
    assert container.read(f"out/{stem}-errors.jsonl")
    container.put(f"in/{stem}.jsonl", jsonl(line("second")))
    assert container.events.round() == [f"in/{stem}.jsonl"]
    until(lambda: container.summary(stem)["batch_id"] != first, 20, 0.05)
    assert [row["custom_id"] for row in container.lines(f"out/{stem}.jsonl")] == ["second"]
    assert container.read(f"out/{stem}-errors.jsonl") is None, "the errors of the first one stay"


def test_doubled_late_and_odd_events_do_nothing_twice(dropped: Dropped, fake_azure: FakeAzure) -> None:
    container = dropped.container
    assert container.summary("doubled/once")["lines"]["completed"] == 5
    container.tell(dropped.event)
    container.tell({**dropped.event, "eventType": "Microsoft.Storage.BlobDeleted"})
    until(container.taken, 20, 0.05)
    assert len(dropped.batches(dropped.doubled)) == 1
    asked = [call for call in upstream_calls(fake_azure) if "only once" in str(call.body)]
    assert len(asked) == 5
    assert not [name for name in container.names("rejected/") if "doubled" in name]
