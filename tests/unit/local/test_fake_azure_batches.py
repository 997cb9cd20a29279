"""Batches of the fake as clients see them: by the real SDKs and raw, on both surfaces and on the plain server."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
CHAT = "/chat/completions"
EARLY = "2024-07-01-preview"


@pytest.fixture(autouse=True)
def _clean(azure: FakeAzure) -> Iterator[None]:
    azure.clear()
    for resource in ("main", "second", "openai"):
        azure.batches.set(resource, seconds=0)
    yield
    azure.clear()


@pytest.fixture(scope="module")
def client(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["main"]
    with openai.OpenAI(base_url=f"{row.url}/openai/v1", api_key=row.key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def plain(azure: FakeAzure) -> Iterator[openai.OpenAI]:
    row = azure.state.resources["openai"]
    with openai.OpenAI(base_url=f"{row.url}/v1", api_key=row.key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def http(azure: FakeAzure) -> Iterator[httpx.Client]:
    row = azure.state.resources["main"]
    with httpx.Client(base_url=row.url, headers={"api-key": row.key}, timeout=5) as made:
        yield made


def line(custom_id: str, text: str = "hi", model: str = "gpt-4o-batch", url: str = CHAT, **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def upload(client: openai.OpenAI, *rows: dict[str, Any]) -> str:
    return client.files.create(file=("a.jsonl", jsonl(*rows)), purpose="batch").id


def create(client: openai.OpenAI, file_id: str, endpoint: Any = "/v1/chat/completions", **more: Any) -> Any:
    return client.batches.create(input_file_id=file_id, endpoint=endpoint, completion_window="24h", **more)


def ended(client: openai.OpenAI, batch: Any) -> Any:
    def look() -> Any:
        found = client.batches.retrieve(batch.id)
        return found if found.status in ("completed", "failed", "expired", "cancelled") else None

    return until(look)


def rows_of(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id
    return [json.loads(row) for row in client.files.content(file_id).content.splitlines()]


def failed(client: openai.OpenAI, data: bytes, endpoint: str = CHAT) -> Any:
    file = client.files.create(file=("a.jsonl", data), purpose="batch")
    found = ended(client, create(client, file.id, endpoint))
    assert (found.status, found.output_file_id or None, bool(found.failed_at)) == ("failed", None, True)
    return found.errors.data


# Lives.


def test_batch_is_answered_like_calls(azure: FakeAzure, client: openai.OpenAI) -> None:
    before = azure.served.on("main", _today()).get("gpt-4o-batch")
    file_id = upload(client, *(line(f"c{place}", f"count to {place + 1}") for place in range(3)))
    batch = create(client, file_id, metadata={"a": "b"})
    assert (batch.status, batch.endpoint, batch.output_file_id) == ("validating", CHAT, "")
    done = ended(client, batch)
    assert (done.status, done.metadata, done.errors) == ("completed", {"a": "b"}, None)
    assert done.request_counts == openai.types.BatchRequestCounts(total=3, completed=3, failed=0)
    assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
    found = rows_of(client, done.output_file_id)
    assert [row["custom_id"] for row in found] == ["c1", "c0", "c2"]
    assert all("id" not in row and row["error"] is None and row["response"]["status_code"] == 200 for row in found)
    body = found[0]["response"]["body"]
    assert (body["choices"][0]["message"]["content"], body["usage"]["completion_tokens"]) == ("1 2", 2)
    assert client.files.retrieve(done.error_file_id).bytes == 0, "Azure makes one in any case"
    after = azure.served.on("main", _today())["gpt-4o-batch"]
    assert after.requests - (before.requests if before else 0) == 3


def test_lines_fail_one_by_one(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.add_fault("batch_line", status=429, deployment="gpt-4o-batch")
    texts = {"first": "hi", "filtered": "filter me", "busy": "fail with 503", "well": "hi", "wrong": "hi"}
    lines = [line(name, text) for name, text in texts.items()]
    lines[-1]["body"]["n"] = 0
    done = ended(client, create(client, upload(client, *lines, line("streamed", stream=True))))
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 5)
    assert [row["custom_id"] for row in rows_of(client, done.output_file_id)] == ["well"]
    wrong = {row["custom_id"]: row["response"] for row in rows_of(client, done.error_file_id)}
    statuses = {name: row["status_code"] for name, row in wrong.items()}
    assert statuses == {"first": 429, "filtered": 400, "busy": 503, "wrong": 400, "streamed": 400}
    assert wrong["filtered"]["body"]["error"]["code"] == "content_filter"


def test_responses_and_a_deployment_that_was_given_the_sku(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.set("main", deployments={"gpt-4.1-mini": True})
    row = line("r", model="gpt-4.1-mini", url="/v1/responses", input="hi", store=False)
    del row["body"]["messages"]
    done = ended(client, create(client, upload(client, row), "/v1/responses"))
    (only,) = rows_of(client, done.output_file_id)
    assert only["response"]["body"]["object"] == "response"


def test_plain_server_says_it_as_openai_does(plain: openai.OpenAI) -> None:
    row = {
        "custom_id": "e",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "text-embedding-3-small", "input": "a"},
    }
    batch = create(plain, upload(plain, row), "/v1/embeddings")
    assert (batch.endpoint, batch.output_file_id, batch.error_file_id) == ("/v1/embeddings", None, None)
    done = ended(plain, batch)
    assert (done.status, done.error_file_id) == ("completed", None)
    (only,) = rows_of(plain, done.output_file_id)
    assert only["id"].startswith("batch_req_")
    assert only["response"]["body"]["usage"]["prompt_tokens"] == 1
    with pytest.raises(openai.ConflictError, match="completed"):
        plain.batches.cancel(batch.id)


def test_cancelled_batch_keeps_what_was_done(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.hold("main", "in_progress", lines=1)
    azure.batches.hold("main", "cancelling")
    batch = create(client, upload(client, line("a"), line("b"), line("c")))
    until(lambda: client.batches.retrieve(batch.id).request_counts.completed == 1)  # type: ignore[union-attr]
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert client.batches.cancel(batch.id).status == "cancelling"
    azure.batches.release("main")
    done = ended(client, batch)
    assert (done.status, bool(done.cancelling_at), bool(done.cancelled_at)) == ("cancelled", True, True)
    assert [row["custom_id"] for row in rows_of(client, done.output_file_id)] == ["a"]
    assert [row["error"]["code"] for row in rows_of(client, done.error_file_id)] == ["batch_cancelled"] * 2
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        client.batches.cancel(batch.id)
    azure.batches.hold("main", "validating")
    azure.batches.hold("main", "cancelling")
    batch = create(client, upload(client, line("a")))
    client.batches.cancel(batch.id)
    azure.end_batch("main", batch.id)
    assert client.batches.retrieve(batch.id).status == "cancelled", "an end that was ordered hurries it"


def test_batch_expires_fails_and_finishes_when_told(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.hold("main", "in_progress", lines=1)
    file_id = upload(client, line("a"), line("b"))
    first, second, third = (create(client, file_id) for _ in range(3))
    until(lambda: all(row["completed"] == 1 for row in azure.batches.rows("main")[-3:]))
    azure.end_batch("main", first.id, "expired")
    azure.end_batch("main", second.id, "failed", [{"code": "input_modified", "message": "m", "line": 2, "param": None}])
    azure.end_batch("main", third.id)
    found = [client.batches.retrieve(batch.id) for batch in (first, second, third)]
    assert [batch.status for batch in found] == ["expired", "failed", "completed"]
    assert [row["error"]["code"] for row in rows_of(client, found[0].error_file_id)] == ["batch_expired"]
    assert found[1].errors
    assert found[1].errors.data
    assert (found[1].errors.data[0].code, found[1].errors.data[0].line) == ("input_modified", 2)
    assert len(rows_of(client, found[2].output_file_id)) == 2
    with pytest.raises(ValueError, match="no batch"):
        azure.end_batch("main", "batch_nothing")


def test_files_are_told_after_completion(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.hold("main", "completed")
    batch = ended(client, create(client, upload(client, line("a"))))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("completed", "", "")
    azure.batches.release("main")
    until(lambda: client.batches.retrieve(batch.id).output_file_id)


# Looks.


def test_first_api_versions_tell_other_words(azure: FakeAzure, client: openai.OpenAI, http: httpx.Client) -> None:
    azure.batches.hold("main", "validating")
    batch = create(client, upload(client, line("a")))
    early = http.get(f"/openai/batches/{batch.id}?api-version={EARLY}").json()
    assert (early["status"], early["output_file_id"]) == ("Validating", None)
    assert early["created_at"].endswith("+00:00")
    assert early["request_counts"] == {"total": None, "completed": None, "failed": None}
    assert "endpoint" not in early
    assert http.get(f"/openai/batches/{batch.id}?api-version=2024-10-21").json()["status"] == "validating"
    azure.batches.set("main", style="early")
    assert http.get(f"/openai/v1/batches/{batch.id}").json()["status"] == "Validating"
    azure.batches.release("main")
    until(lambda: http.get(f"/openai/v1/batches/{batch.id}").json()["status"] == "Completed")
    assert http.get("/openai/batches?api-version=2024-06-01").status_code == 404


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recordings (../shared/samples) are not here")
@pytest.mark.parametrize("sample", ["az-batch-created", "az-batch-list", "az-batch-output-jsonl"])
def test_members_are_those_of_the_samples(client: openai.OpenAI, http: httpx.Client, sample: str) -> None:
    file_id = upload(client, line("a"))
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    made = http.post("/openai/v1/batches", json=body).json()
    done = ended(client, client.batches.retrieve(made["id"]))
    (path,) = SAMPLES.glob(f"{sample}.body.*")
    wanted = json.loads(path.read_text())
    found = {
        "az-batch-created": lambda: made,
        "az-batch-list": lambda: http.get("/openai/v1/batches?limit=2").json(),
        "az-batch-output-jsonl": lambda: rows_of(client, done.output_file_id)[0],
    }[sample]()
    assert set(found) == set(wanted)
    if sample == "az-batch-created":
        gone = {name for name, value in wanted.items() if value in (None, "")}
        assert {name: found[name] for name in gone} == {name: wanted[name] for name in gone}


def test_azure_sdk_lists_by_cursor(azure: FakeAzure) -> None:
    row = azure.state.resources["second"]
    with openai.AzureOpenAI(
        azure_endpoint=row.url, api_key=row.key, api_version="2025-04-01-preview", max_retries=0
    ) as client:
        file_id = upload(client, line("a"))
        made = [create(client, file_id, CHAT).id for _ in range(3)]
        assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
        assert client.batches.retrieve(made[0]).endpoint == CHAT
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_nothing")


# Refusals.


def test_create_refuses_what_azure_refuses(azure: FakeAzure, client: openai.OpenAI, http: httpx.Client) -> None:
    file_id, other = upload(client, line("a")), client.files.create(file=("a.jsonl", b"{}"), purpose="fine-tune").id
    good = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"input_file_id": "file-nothing"}, 404, "file-nothing"),
        ({"input_file_id": other}, 400, "purpose"),
        ({"endpoint": "/v1/embeddings"}, 400, "/v1/responses"),
        ({"completion_window": "1h"}, 400, "24h"),
        ({"input_file_id": None}, 400, "input_file_id"),
        ({"input_blob": "https://a.example/b"}, 400, "storage"),
        ({"output_expires_after": {"seconds": 1}}, 400, "output_expires_after"),
    ]
    for changed, status, told in cases:
        answer = http.post("/openai/v1/batches", json={**good, **changed})
        assert (answer.status_code, told in answer.json()["error"]["message"]) == (status, True), answer.text
    on_second = azure.state.resources["second"]
    away = httpx.post(f"{on_second.url}/openai/v1/batches", json=good, headers={"api-key": on_second.key})
    assert away.status_code == 404, "a file is known on its own resource alone"


def test_file_can_be_slow_to_be_processed(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.set("main", slow_files=True)
    file_id = upload(client, line("a"))
    with pytest.raises(openai.BadRequestError, match="pending"):
        create(client, file_id)
    assert client.files.retrieve(file_id).status == "processed"
    assert ended(client, create(client, file_id)).status == "completed"


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        pytest.param(b"\xef\xbb\xbf" + jsonl(line("a")), "invalid_request", None, id="byte order mark"),
        pytest.param(b"\n \n", "empty_file", None, id="empty"),
        pytest.param(jsonl(line("a")) + b"\n{", "invalid_json_line", 2, id="no JSON"),
        pytest.param(jsonl(line("a"), {"custom_id": "b"}), "invalid_request", 2, id="members missing"),
        pytest.param(jsonl(line("a"), line("a")), "duplicate_custom_id", 2, id="twice"),
        pytest.param(jsonl(line("a"), line("b", url="/v1/responses")), "url_mismatch", 2, id="other url"),
        pytest.param(jsonl(line("a"), line("b", model="gpt-4.1-mini-batch")), "model_mismatch", 2, id="two models"),
        pytest.param(jsonl(line("a", model="nobody")), "model_not_found", 1, id="no deployment"),
        pytest.param(jsonl(line("a", model="gpt-4o")), "invalid_request", 1, id="other SKU"),
        pytest.param(jsonl(*(line(str(n)) for n in range(4))), "too_many_tasks", None, id="too many"),
    ],
)
def test_input_is_validated(
    azure: FakeAzure, client: openai.OpenAI, data: bytes, code: str, number: int | None
) -> None:
    azure.batches.set("main", lines=3)
    errors = failed(client, data)
    assert [(error.code, error.line) for error in errors] == [(code, number)]


def test_limits(azure: FakeAzure, client: openai.OpenAI) -> None:
    azure.batches.hold("main", "validating")
    file_id = upload(client, line("a"))
    azure.batches.set("main", tokens=len(jsonl(line("a"))) // 4)
    first = create(client, file_id)
    for refusal, kind in (("429", openai.RateLimitError), ("400", openai.BadRequestError)):
        azure.batches.set("main", refusal=refusal)
        with pytest.raises(kind) as refused:
            create(client, file_id)
        assert (refused.value.code, "enqueued tokens" in refused.value.message) == ("token_limit_exceeded", True)
    azure.batches.set("main", refusal="late")
    late = create(client, file_id)
    assert late.errors is None
    azure.batches.release("main")
    assert ended(client, late).errors.data[0].code == "token_limit_exceeded"
    assert ended(client, first).status == "completed"
    azure.batches.set("main", tokens=None, batches=0, refusal="429")
    with pytest.raises(openai.RateLimitError) as refused:
        create(client, file_id)
    assert refused.value.code == "quotaExceeded"


def test_orders_are_checked(azure: FakeAzure) -> None:
    control = azure.state.control_url + "/control"
    cases: list[tuple[str, dict[str, Any]]] = [
        ("batches", {"resource": "main", "style": "new"}),
        ("batches", {"resource": "nobody"}),
        ("batches", {"resource": "main", "speed": 1}),
        ("batches/hold", {"resource": "main", "state": "failed"}),
        ("batches/end", {"resource": "main", "batch": "b", "how": "cancelled"}),
        ("webhooks", {"resource": "main", "url": "http://127.0.0.1:9", "events": ["batch.begun"]}),
        ("webhooks", {"resource": "main", "url": "http://127.0.0.1:9", "secret": "whsec_?"}),
        ("kill", {"resource": "nobody"}),
    ]
    for path, body in cases:
        assert httpx.post(f"{control}/{path}", json=body).status_code == 400, (path, body)


# Outages.


def test_resource_goes_down_with_its_batches_and_comes_back(azure: FakeAzure, client: openai.OpenAI) -> None:
    control, row = azure.state.control_url + "/control", azure.state.resources["main"]

    def do(path: str, **body: Any) -> None:
        assert httpx.post(f"{control}/{path}", json=body).status_code == 200

    do("batches/hold", resource="main", state="in_progress", lines=1)
    batch = create(client, upload(client, line("a"), line("b")))
    until(lambda: client.batches.retrieve(batch.id).request_counts.completed == 1)  # type: ignore[union-attr]
    do("kill", resource="main")
    do("kill", resource="main")
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            httpx.get(row.url, timeout=2)
    with pytest.raises(openai.APIConnectionError):
        client.batches.retrieve(batch.id)
    do("batches/release", resource="main")
    (seen,) = [row for row in httpx.get(f"{control}/batches?resource=main").json() if row["id"] == batch.id]
    assert (seen["status"], seen["completed"], seen["total"]) == ("in_progress", 1, 2)
    do("revive", resource="main")
    assert ended(client, batch).request_counts.completed == 2
    azure.kill("second")
    do("clear")
    assert httpx.get(azure.state.resources["second"].url).status_code == 401


def test_calls_that_are_being_answered_break_with_the_resource(azure: FakeAzure) -> None:
    row = azure.state.resources["second"]
    azure.add_fault("slow_first_byte", seconds=30, resource="second")
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(httpx.get, f"{row.url}/openai/v1/models", headers={"api-key": row.key}, timeout=20)
        until(lambda: azure.log.snapshot("second"))
        azure.kill("second")
        assert isinstance(asking.exception(10), httpx.TransportError)
    azure.revive("second")
    assert httpx.get(f"{row.url}/openai/v1/models", headers={"api-key": row.key}).status_code == 200


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
