"""The queries of infra/queries ask for what is really logged: by the source, and by a gateway that runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from conformance.npm import NpmError, package
from local.fake_azure import FakeAzure
from local.stack.node import find_node
from shared.errors import UpstreamFailure
from shared.types import Outcome
from tests.infra.said_lines import Said, said_lines
from tests.support.polling import until
from tests.support.stack import ROOT, Key, Stack, ask, last_upstream

INFRA = ROOT / "infra"
QUERIES = {path.stem: path.read_text("utf-8") for path in sorted((INFRA / "queries").glob("*.kql"))}
ALERTS = {name.removeprefix("alert-") for name in QUERIES if name.startswith("alert-")}
KUSTO = "12.4.1"
OF_CALLS = '\'{"event":"call"\''
# The queries themselves.


def wrong(folder: Path, *files: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [str(find_node()), str(Path(__file__).with_name("kusto.cjs")), str(folder), *map(str, files)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(each["file"]).stem: each["wrong"] for each in found}


def test_kusto_understands_every_query(tmp_path: Path) -> None:
    try:
        folder = package("@kusto/language-service-next", KUSTO)
    except NpmError as error:
        pytest.skip(f"Kusto's language service could not be installed by npm: {error}")
    misspelt = tmp_path / "misspelt.kql"
    misspelt.write_text("AppTraces | where Mesage == 'x' | summarise count()")
    found = wrong(folder, misspelt, *(INFRA / "queries").glob("*.kql"))
    assert len(found.pop("misspelt")) >= 2  # it does look
    assert {name: said for name, said in found.items() if said} == {}
    assert set(found) == set(QUERIES)


def messages(query: str) -> tuple[set[str], set[str]]:
    """What a query compares `message` with: whole texts, and beginnings."""
    listed = "".join(re.findall(r"message in \((.*?)\)", query, re.S))
    whole = set(re.findall(r'"([^"]+)"', listed)) | set(re.findall(r'message == "([^"]+)"', query))
    return whole, set(re.findall(r'message startswith_cs "([^"]+)"', query))


def asked_fields(query: str) -> set[str]:
    return set(re.findall(r"\bm\.(\w+)", query))


def lines_of(query: str) -> list[Said]:
    whole, beginnings = messages(query)
    return [s for s in said_lines() if any(map(s.may_be, whole)) or any(map(s.may_begin, beginnings))]


@pytest.mark.parametrize("name", [n for n, text in QUERIES.items() if any(messages(text))])
def test_every_message_that_is_looked_for_is_said(name: str) -> None:
    whole, beginnings = messages(QUERIES[name])
    lines = said_lines()
    assert {text for text in whole if not any(line.may_be(text) for line in lines)} == set()
    assert {text for text in beginnings if not any(line.may_begin(text) for line in lines)} == set()
    fields = {"event", "message"}.union(*(line.fields for line in lines_of(QUERIES[name])))
    assert asked_fields(QUERIES[name]) - fields == set()
    events = {f'\'{{"event":"{line.event}"\'' for line in lines_of(QUERIES[name])}
    assert {event for event in events if event not in QUERIES[name]} == set()


def test_what_an_operator_must_know_of_has_an_alert() -> None:
    """Every error, and every warning that speaks of storage, of something given up or lost."""
    watched = [line for name, text in QUERIES.items() if name.startswith("alert-") for line in lines_of(text)]
    grave = re.compile(r"unavailable|given up|lost|not durable|refused$|no token|never charged|run twice")
    left = {line.text for line in said_lines() if line.event == "error" or grave.search(line.text)}
    left -= {line.text for line in watched}
    assert left == {
        "an Entra token was refused",  # a client's
        "a group of deferred calls was refused",  # so is this: its answer says it
    }


def test_words_that_are_compared_are_words_of_the_code() -> None:
    for text in QUERIES.values():
        outcomes = set(re.findall(r'outcome [=!]= "(\w+)"', text))
        outcomes |= set(re.findall(r'"(\w+)"', "".join(re.findall(r"outcome in \((.*?)\)", text))))
        assert outcomes <= set(get_args(Outcome))
        reasons = set(re.findall(r'"([a-z]+)"', "".join(re.findall(r"reason in \((.*?)\)", text))))
        assert reasons <= set(get_args(UpstreamFailure))


# Where they are used.


def test_every_query_is_used_and_documented() -> None:
    book = json.loads((INFRA / "workbook.json").read_text("utf-8"))
    shown = {item["name"] for item in book["items"] if item["type"] == 3}
    bicep = (INFRA / "modules" / "workbook.bicep").read_text("utf-8")
    assert set(re.findall(r"queries/([\w-]+)\.kql", bicep)) == shown
    rules = (INFRA / "modules" / "alerts.bicep").read_text("utf-8")
    pairs = re.findall(r"name: '([\w-]+)'\n.*?queries/alert-([\w-]+)\.kql", rules, re.S)
    assert [name for name, query in pairs if name != query] == []
    assert {name for name, _ in pairs} == ALERTS
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    assert set(re.findall(r"\(\.\./infra/queries/([\w-]+)\.kql\)", page)) == set(QUERIES)
    assert set(re.findall(r"^### ([\w-]+)$", page, re.M)) == ALERTS  # rules' descriptions lead to these headings


def test_the_page_says_what_the_rules_say() -> None:
    rules = (INFRA / "modules" / "alerts.bicep").read_text("utf-8")
    found = re.findall(
        r"name: '([\w-]+)'\n.*?severity: (\d)\n\s+every: 'PT(\w+)'\n\s+window: 'PT(\w+)'.*?on: (\w+)\n", rules, re.S
    )
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    rows = re.findall(r"^\| \[([\w-]+)\]\(#[\w-]+\) \| (\d) \| (\w+) \| (\w+) \| (yes|no) \|", page, re.M)
    assert rows == [(*row[:4], "yes" if row[4] == "true" else "no") for row in found]


def test_the_host_lets_the_lines_through() -> None:
    levels = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["logLevel"]
    assert levels.get("Host.Function.Console") == "Information"
    assert levels["Host.Results"] == "Information"  # AppRequests


def test_the_host_writes_nothing_that_no_query_asks_for() -> None:
    """Each row costs: metrics of functions, and one dependency for each call that the host hands to the worker."""
    logging = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]
    asked = " ".join(QUERIES.values())
    assert ("AppMetrics" in asked) == ("Host.Aggregator" in logging["logLevel"])
    assert ("AppDependencies" in asked) == logging["applicationInsights"]["enableDependencyTracking"]


# A gateway that runs.


def said(stack: Stack) -> list[dict[str, Any]]:
    found = re.findall(r'^(\{"event":.*\})$', stack.log(), re.M)
    return [json.loads(line) for line in found]


def calls_of(stack: Stack, key: Key, number: int) -> list[dict[str, Any]]:
    def there() -> list[dict[str, Any]]:
        found = [line for line in said(stack) if line["event"] == "call" and line["key"] == key.name]
        return found if len(found) >= number else []

    return until(there)


def errors_of(stack: Stack) -> list[dict[str, Any]]:
    return [line for line in said(stack) if line["event"] == "error"]


def nothing_of_contents_is_said(stack: Stack, key: Key, fake: FakeAzure) -> None:
    """Neither of what is asked and answered, nor of who asks by which key, nor of Azure, though its errors say it all."""
    main = fake.state.resources["main"]
    url = main.url.removeprefix("http://")
    everything = f"Seldom at {main.url}/openai/deployments/x in main.openai.azure.com with {key.text}"
    for status in (400, 401, 403, 500):
        fake.add_fault("status", status=status, body={"error": {"code": "Odd", "message": everything}})
        assert stack.post(key, ask("Seldom asked", user="Seldom caller")).status_code >= 400
    assert stack.post(key, ask("Seldom asked")).status_code == 200
    calls_of(stack, key, 11)
    assert "Seldom asked" in str(last_upstream(fake).body)
    secrets = {"Seldom", key.text, main.key, url, "openai.azure.com", stack.settings["KEY_PEPPER"], "Bearer"}
    lines = [json.dumps(line) for line in said(stack)]
    assert {secret for secret in secrets if any(secret in line for line in lines)} == set()


@pytest.fixture
def on_azure(new_stack: Callable[..., Stack]) -> Stack:
    """It prints what it logs."""
    return new_stack(WEBSITE_SITE_NAME="func-tollgate")


def test_a_running_gateway_prints_the_lines_that_the_queries_ask_for(on_azure: Stack, fake: FakeAzure) -> None:
    key, poor = on_azure.key(), on_azure.key(rpm="1")
    assert on_azure.post(key, ask("hi")).status_code == 200
    assert on_azure.post(key, ask("hi", stream=True)).status_code == 200
    fake.add_fault("status", status=500)
    assert on_azure.post(key, ask("hi")).status_code == 500
    fake.add_fault("status", status=429)
    assert on_azure.post(key, ask("hi")).status_code == 429
    fake.add_fault("status", status=401)
    assert on_azure.post(key, ask("hi")).status_code == 502
    fake.add_fault("cut", after=2)
    with on_azure.http.stream("POST", "/v1/chat/completions", json=ask("hi", stream=True), headers=key.bearer) as cut:
        cut.read()
    assert [on_azure.post(poor, ask("hi")).status_code for _ in range(2)] == [200, 429]

    lines = calls_of(on_azure, key, 6)
    fields = set(lines[0])
    for name, text in QUERIES.items():
        if OF_CALLS in text:
            assert asked_fields(text) - fields == set(), name
    told = [(line["status"], line["outcome"], line["first_token_ms"] is not None) for line in lines]
    assert told == [
        (200, "ok", False),
        (200, "ok", True),
        (500, "upstream_error", False),
        (429, "upstream_error", False),  # by_azure
        (502, "upstream_error", False),
        (200, "upstream_cut", True),
    ]
    assert [(line["status"], line["outcome"]) for line in calls_of(on_azure, poor, 2)] == [
        (200, "ok"),
        (429, "client_error"),  # by_limits
    ]
    nothing_of_contents_is_said(on_azure, key, fake)
    failed = [line for line in said(on_azure) if line.get("message") == "attempt failed"]
    assert [line["reason"] for line in failed][:3] == ["500", "429", "401"]
    assert asked_fields(QUERIES["attempts"]) <= set(failed[0])

    on_azure.config_file.write_text("model_list: 5\n")
    (refused,) = until(lambda: on_azure.http.get("/health/ready") and errors_of(on_azure), every=0.1)
    assert refused["message"].startswith("configuration refused, the last good one")
    assert refused["problems"]
