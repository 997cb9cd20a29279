"""What two gateways over one storage account know of each other: who rests, and where a prompt's cache is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until
from tests.support.routed import Entries, resources_asked, served_from
from tests.support.stack import Stack, ask, upstream_calls

RESOURCES = ("main", "second", "foundry")


@pytest.fixture(scope="module")
def entries(fake_azure: FakeAzure) -> Entries:
    made = Entries(fake_azure, "both")
    for alias in ("shared", "failing", "broken", "reloaded", "spare"):
        made.pair(alias)
    for alias in ("cached", "yielding"):
        for resource in RESOURCES:
            made.add(alias, resource)
    return made


@pytest.fixture(scope="module")
def gateways(
    tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any, entries: Entries
) -> Generator[tuple[Stack, Stack]]:
    text = entries.text(routing_strategy="prompt-cache", num_retries=0, cooldown_time=30, default_fallbacks=["spare"])
    with ExitStack() as running:
        one, other = (
            running.enter_context(
                Stack(tmp_path_factory.mktemp("both"), fake_azure, azurite.connection_string, config=text)
            )
            for _ in range(2)
        )
        yield one, other


@pytest.mark.parametrize(
    ("alias", "fault"),
    [("shared", {"kind": "status", "status": 429, "retry_after": 60}), ("failing", {"kind": "status", "status": 401})],
)
def test_rest_is_known_to_the_other_gateway(
    gateways: tuple[Stack, Stack], fake: FakeAzure, entries: Entries, alias: str, fault: dict[str, Any]
) -> None:
    one, other = gateways
    key = one.key()
    assert served_from(fake, other, key, ask("hi", alias)) == "main"
    fake.add_fault(**fault, resource="main", deployment=entries.name(alias))
    assert served_from(fake, one, key, ask("hi", alias)) == "second"
    assert served_from(fake, one, key, ask("hi", alias)) == "second"
    # healthy again, but only one of the two has been told to rest: what the other does is by hearsay. It is asked seldom:
    # a call that is under way while it hears, and is then answered well, is newer evidence than what it has heard
    until(lambda: served_from(fake, other, key, ask("hi", alias)) == "second", 30, every=2.6)
    assert [call.status for call in upstream_calls(fake)].count(fault["status"]) == 1


def test_same_beginning_goes_to_the_same_deployment_by_either_gateway(
    gateways: tuple[Stack, Stack], fake: FakeAzure
) -> None:
    key, used = gateways[0].key(), set[str]()
    for number in range(12):
        by_key = {"prompt_cache_key": f"talk-{number}"}
        bodies = [ask(f"question {n}", "cached", **by_key) for n in range(2)]
        homes = {served_from(fake, stack, key, body) for stack in gateways for body in bodies}
        assert len(homes) == 1
        used |= homes
    assert len(used) > 1, "not everything goes to one"
    long = "the same long instructions " * 60
    for number in range(3):
        asked = [ask(f"{number} {long} question {n}", "cached") for n in range(2)]
        assert len({served_from(fake, stack, key, body) for stack in gateways for body in asked}) == 1


def test_affinity_yields_to_health(gateways: tuple[Stack, Stack], fake: FakeAzure, entries: Entries) -> None:
    stack, key = gateways[0], gateways[0].key()
    body = ask("hi", "yielding", prompt_cache_key="talk")
    home = served_from(fake, stack, key, body)
    fake.add_fault("status", status=429, retry_after=60, resource=home, deployment=entries.name("yielding"))
    next_best = served_from(fake, stack, key, body)
    assert next_best != home
    assert {served_from(fake, stack, key, body) for _ in range(3)} == {next_best}


def test_default_stands_in_for_every_model(gateways: tuple[Stack, Stack], fake: FakeAzure, entries: Entries) -> None:
    stack = gateways[0]
    key = stack.key()
    fake.add_fault("status", status=503, deployment=entries.name("broken"), times=-1)
    reply = stack.post(key, ask("hi", "broken"))
    assert (reply.status_code, reply.json()["model"]) == (200, "broken")
    assert resources_asked(fake) == ["main", "second", "main"]
    assert stack.usage(key, 1)[0]["served_alias"] == "spare"


def test_new_configuration_forgets_nobody_who_rests(
    gateways: tuple[Stack, Stack], fake: FakeAzure, entries: Entries
) -> None:
    stack = gateways[0]
    key = stack.key()
    fake.add_fault("status", status=429, retry_after=60, resource="main", deployment=entries.name("reloaded"))
    assert served_from(fake, stack, key, ask("hi", "reloaded")) == "second"
    text = stack.config_file.read_text("utf-8")
    stack.config_file.write_text(
        text.replace('model_name: "spare"', 'model_name: "renewed"').replace('"spare"', '"renewed"')
    )
    until(lambda: stack.post(key, ask("hi", "renewed")).status_code == 200, every=0.1)
    assert served_from(fake, stack, key, ask("hi", "reloaded")) == "second"
