"""What the fake serves besides models: list prices in pages, a topic that checks, metrics of what was really served."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.fake_azure import FakeAzure
from local.fake_azure.management.retail_prices import price_row

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading the machine's certificates costs more than all calls
BATCH = "application/cloudevents-batch+json"
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def metrics(fake: FakeAzure, account: str = "main", **changed: str) -> httpx.Response:
    today = datetime.now(UTC).date()
    day, next_day = today.isoformat(), (today + timedelta(days=1)).isoformat()
    query = {
        "api-version": "2023-10-01", "metricnames": "ProcessedPromptTokens,GeneratedTokens", "interval": "P1D",
        "timespan": f"{day}T00:00:00Z/{next_day}T00:00:00Z", "aggregation": "Total",
        "$filter": "ModelDeploymentName eq '*'", "top": "1000",
    }  # fmt: skip
    address = fake.state.management_url + fake.state.resource_ids[account] + "/providers/Microsoft.Insights/metrics"
    token = fake.issue_token("https://management.azure.com")
    return httpx.get(
        address, params=query | changed, headers={"authorization": f"Bearer {token}"}, trust_env=False, verify=NO_TLS
    )


def sums(answer: httpx.Response, deployment: str) -> list[float]:
    """One figure for each metric."""
    return [
        sum(point["total"] for series in metric["timeseries"] for point in series["data"]
            if series["metadatavalues"][0]["value"] == deployment)
        for metric in answer.json()["value"]
    ]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_metrics_count_what_an_answer_says(fake: FakeAzure, stream: bool) -> None:
    name = f"counted-{stream}"
    fake.add_deployment("main", name, "gpt-4o-2024-11-20")
    main = fake.state.resources["main"]
    body: Any = {"model": name, "messages": [{"role": "user", "content": "one two three"}], "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    for _ in range(2):
        answer = httpx.post(
            f"{main.url}/openai/v1/chat/completions",
            json=body,
            headers={"api-key": main.key},
            trust_env=False,
            verify=NO_TLS,
        )
        assert answer.status_code == 200
    read, made = sums(metrics(fake), name)
    assert read >= 6
    assert made >= 2
    fake.use("main", name, input=100, output=10)
    assert sums(metrics(fake), name) == [read + 100, made + 10]


def test_metrics_are_asked_as_azure_wants_it(fake: FakeAzure) -> None:
    assert metrics(fake).status_code == 200
    assert metrics(fake, metricnames="InputTokens").json()["error"]["code"] == "BadRequest"
    assert metrics(fake, "foundry", metricnames="InputTokens").status_code == 200
    assert metrics(fake, **{"api-version": "2018-01-01"}).status_code == 400
    served = len(metrics(fake, "second", metricnames="AzureOpenAIRequests").json()["value"][0]["timeseries"])
    for number in range(12):
        fake.use("second", f"n{number}", requests=1)
    answer = metrics(fake, "second", metricnames="AzureOpenAIRequests")
    assert len(answer.json()["value"][0]["timeseries"]) == served + 12
    wanted = answer.request.url.copy_remove_param("top")
    few = httpx.get(
        wanted, headers={"authorization": answer.request.headers["authorization"]}, trust_env=False, verify=NO_TLS
    )
    assert len(few.json()["value"][0]["timeseries"]) == 10
    assert httpx.get(wanted, trust_env=False, verify=NO_TLS).status_code == 401


def test_prices_come_in_pages_and_filtered(fake: FakeAzure) -> None:
    client = httpx.Client(trust_env=False, verify=NO_TLS)
    first = client.get(fake.state.prices_url).json()
    assert first["NextPageLink"] is None
    assert {row["currencyCode"] for row in first["Items"]} == {"USD"}
    before = [*fake.management.prices.rows]
    rows = [price_row(f"sku {n}", f"meter {n}", "1M", 1.5, productName="A" if n % 2 else "B's") for n in range(250)]
    httpx.post(
        fake.state.control_url + "/control/prices", json={"rows": rows}, trust_env=False, verify=NO_TLS
    ).raise_for_status()
    seen: list[str] = []
    following = str(
        httpx.URL(fake.state.prices_url, params={"$filter": "contains(productName, 'B''s') and currencyCode eq 'USD'"})
    )
    pages = 0
    while following:
        page = client.get(following).json()
        seen += [row["skuName"] for row in page["Items"]]
        following, pages = page["NextPageLink"], pages + 1
    assert (len(seen), pages) == (125, 2)
    assert (
        client.get(fake.state.prices_url, params={"$filter": "skuName eq 'sku 1' or skuName eq 'sku 3'"}).json()[
            "Count"
        ]
        == 2
    )
    assert client.get(fake.state.prices_url, params={"$filter": "startswith(skuName,'x')"}).status_code == 400
    fake.put_prices(before)
    client.close()


def test_a_topic_checks_what_it_gets(fake: FakeAzure) -> None:
    def post(events: Any, key: str = fake.state.topic_key, kind: str = BATCH, version: str = "2018-01-01") -> int:
        headers = {"aeg-sas-key": key, "content-type": kind}
        address = f"{fake.state.topic_url}?api-version={version}"
        return httpx.post(address, json=events, headers=headers, trust_env=False, verify=NO_TLS).status_code

    assert post([EVENT, {**EVENT, "id": "2"}]) == 200
    assert post([EVENT], key="wrong") == 401
    assert post([EVENT], kind="application/json") == post(EVENT) == 400
    assert post([{**EVENT, "specversion": "0.3"}]) == 400
    assert post([{"specversion": "1.0", "id": "1"}]) == 400
    assert post([EVENT], version="x") == 400
    assert post([{**EVENT, "data": "x" * 1_100_000}]) == 413
    assert [event["id"] for event in fake.events] == ["1", "2"]
    listed = httpx.get(fake.state.control_url + "/control/events", trust_env=False, verify=NO_TLS).json()
    assert listed == fake.events
    fake.clear()
    assert fake.events == []


def test_use_may_be_put_over_http(fake: FakeAzure) -> None:
    given = {"resource": "main", "deployment": "by-http", "input": 7, "output": 3}
    httpx.post(fake.state.control_url + "/control/use", json=given, trust_env=False, verify=NO_TLS).raise_for_status()
    assert sums(metrics(fake), "by-http") == [7, 3]
    wrong = httpx.post(fake.state.control_url + "/control/use", json={"nothing": 1}, trust_env=False, verify=NO_TLS)
    assert wrong.status_code == 400
