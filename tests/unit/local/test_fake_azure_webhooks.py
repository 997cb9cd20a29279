"""Webhooks of the fake: signed as the real SDK checks it, and twice, late, forged or stale when that was ordered."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until

ROW = b'{"custom_id":"a","method":"POST","url":"/chat/completions","body":{"model":"gpt-4o-batch","messages":[{"role":"user","content":"hi"}]}}'


class Receiver(ThreadingHTTPServer):
    """Takes deliveries; answers with the statuses that wait, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(server.statuses.pop(0) if server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> None:
    azure.clear()
    azure.batches.set("main", seconds=0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["main"]
    with openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0) as made:
        yield made


def begin(client: openai.OpenAI, data: bytes = ROW) -> str:
    file = client.files.create(file=("a.jsonl", data), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id


def unwrap(client: openai.OpenAI, delivery: tuple[dict[str, str], bytes], secret: str) -> Any:
    headers, body = delivery
    return client.webhooks.unwrap(body, headers, secret=secret)


def test_every_end_is_told_and_signed(azure: FakeAzure, client: openai.OpenAI, receiver: Receiver) -> None:
    secret = azure.webhooks.register("main", receiver.url)["secret"]
    completed, failed = begin(client), begin(client, b"{}")
    azure.batches.hold("main", "in_progress")
    expired, cancelled = begin(client), begin(client)
    azure.end_batch("main", expired, "expired")
    client.batches.cancel(cancelled)
    until(lambda: len(receiver.got) == 4)
    events = [unwrap(client, delivery, secret) for delivery in receiver.got]
    wanted = {
        "batch.completed": completed,
        "batch.failed": failed,
        "batch.expired": expired,
        "batch.cancelled": cancelled,
    }
    assert {event.type: event.data.id for event in events} == wanted
    with pytest.raises(openai.InvalidWebhookSignatureError):
        unwrap(client, receiver.got[0], "whsec_AAAA")


def test_deliveries_come_twice_and_again(azure: FakeAzure, client: openai.OpenAI, receiver: Receiver) -> None:
    receiver.statuses = [500]
    azure.webhooks.register("main", receiver.url, copies=2, delay=0.01, events=["batch.completed"])
    batch = begin(client)
    begin(client, b"{}")
    until(lambda: len(receiver.got) == 3)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    told = httpx.get(f"{azure.state.control_url}/control/webhooks").json()
    assert [(row["batch"], row["status"]) for row in told] == [(batch, 500), (batch, 200), (batch, 200)]


def test_any_event_can_be_sent(azure: FakeAzure, client: openai.OpenAI, receiver: Receiver) -> None:
    control, secret = f"{azure.state.control_url}/control", "whsec_" + "A" * 32
    assert (
        httpx.post(f"{control}/webhooks", json={"resource": "main", "url": receiver.url, "secret": secret}).json()[
            "secret"
        ]
        == secret
    )
    azure.send_webhook("main", "batch.completed", "batch_x", webhook_id="wh_1")
    event = {"resource": "main", "event": "batch.failed", "batch": "batch_y"}
    assert httpx.post(f"{control}/webhooks/send", json={**event, "age": 3_600}).status_code == 200
    assert httpx.post(f"{control}/webhooks/send", json={**event, "secret": "whsec_BBBB"}).status_code == 200
    true, stale, forged = receiver.got
    assert (true[0]["webhook-id"], unwrap(client, true, secret).data.id) == ("wh_1", "batch_x")
    for delivery in (stale, forged):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            unwrap(client, delivery, secret)


def test_addresses_that_nobody_answers_at_are_given_up(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.webhooks.register("main", "http://127.0.0.1:9/", attempts=2)
    begin(client)
    until(lambda: len(azure.webhooks.deliveries) == 2 and "error" in azure.webhooks.deliveries[1])
    assert {row["status"] for row in azure.webhooks.deliveries} == {None}


def test_addresses_are_registered_as_azure_has_it(azure: FakeAzure, client: openai.OpenAI, receiver: Receiver) -> None:
    row = azure.state.resources["main"]
    with httpx.Client(base_url=f"{row.url}/openai/v1/dashboard", headers={"api-key": row.key}) as http:
        path, good = "/webhook_endpoints", {"name": "n", "url": receiver.url, "event_types": ["batch.failed"]}
        for wrong in ({"name": "n"}, {**good, "url": "ftp://a"}, {**good, "event_types": ["batch.begun"]}):
            assert http.post(path, json=wrong).status_code == 400
        made = http.post(path, json=good).json()
        changed = http.post(f"{path}/{made['id']}", json={"event_types": ["batch.completed"]}).json()
        assert changed["event_types"] == ["batch.completed"]
        assert ("signing_secret" in changed, made["signing_secret"][-4:]) == (
            False,
            changed["signing_secret_hint"][-4:],
        )
        assert [found["id"] for found in http.get(path).json()["data"]] == [made["id"]]
        batch = begin(client)
        until(lambda: receiver.got)
        assert unwrap(client, receiver.got[0], made["signing_secret"]).data.id == batch
        assert http.delete(f"{path}/{made['id']}").json()["deleted"]
        assert http.delete(f"{path}/{made['id']}").status_code == 404
