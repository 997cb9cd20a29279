"""The client leaves: the upstream is closed at once, and the call is written down all the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from local.fake_azure import FakeAzure
from tests.support.polling import until
from tests.support.raw import RawClient
from tests.support.stack import Stack, ask, upstream_calls, wait_for_upstream

RESET = pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])


def closed_early(fake: FakeAzure) -> bool:
    return wait_for_upstream(fake, lambda record: record.closed_early or record.completed).closed_early


@RESET
def test_client_leaves_in_the_middle_of_a_stream(stack_of_mode: Stack, fake: FakeAzure, reset: bool) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    fake.add_fault("slow_chunks", seconds=0.05)
    with RawClient(stack) as client:
        client.post(key, ask("count to 1000", stream=True))
        seen = client.read_until(b'" 5"')
        client.leave(reset=reset)
    assert closed_early(fake)
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event["status"], event["stream"]) == (
        "client_closed",
        True,
        200,
        True,
    )
    assert event["input_tokens"] > 0
    # at least what was delivered; what was on its way when the client left may be counted as well
    assert seen.count(b'"delta":{"content":') - 1 <= event["output_tokens"] < 200
    until(lambda: stack.ledger.summed(key.id)["estimated"] == 1)  # the totals are a write of their own


def test_client_leaves_a_stream_that_comes_faster_than_it_reads(stack_of_mode: Stack, fake: FakeAzure) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    with RawClient(stack) as client:
        client.post(key, ask("long 100000", stream=True))
        client.read_until(b"word3")
        client.leave()
    assert closed_early(fake)
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"]) == ("client_closed", True)
    assert 3 <= event["output_tokens"] < 100_000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_client_leaves_before_the_first_byte(stack_of_mode: Stack, fake: FakeAzure, stream: bool) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    fake.add_fault("slow_first_byte", seconds=30)
    with RawClient(stack) as client:
        client.post(key, ask("hello there", stream=stream))
        until(lambda: upstream_calls(fake))
        client.leave()
    assert closed_early(fake)
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["status"], event["attempts"]) == ("client_closed", 499, 1)
    assert event["estimated"]
    assert (event["input_tokens"] > 0, event["output_tokens"]) == (True, 0)


def test_client_leaves_while_another_deployment_would_be_next(stack: Stack, fake: FakeAzure) -> None:
    """Nobody waits any more: no second deployment is asked."""
    key = stack.key()
    fake.add_fault("slow_first_byte", seconds=30)
    with RawClient(stack) as client:
        client.post(key, ask("hello", "ordered"))
        until(lambda: upstream_calls(fake))
        client.leave()
    assert closed_early(fake)
    assert stack.usage(key, 1)[0]["outcome"] == "client_closed"
    assert len(upstream_calls(fake)) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_client_that_has_the_whole_answer_may_leave(stack_of_mode: Stack, fake: FakeAzure, stream: bool) -> None:
    """SDKs close the connection as soon as they have read [DONE]: that is an ordinary end."""
    stack, key = stack_of_mode, stack_of_mode.key()
    with RawClient(stack) as client:
        client.post(key, ask("count to 5", stream=stream))
        client.read_until(b"data: [DONE]\n\n" if stream else b"}}")
        client.leave()
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event["output_tokens"]) == ("ok", False, 5)


@pytest.mark.parametrize("mode", ["asgi", "process"])
def test_drain_reads_to_the_end_for_azures_own_figures(
    new_stack: Callable[..., Stack], fake: FakeAzure, mode: str
) -> None:
    stack = new_stack(mode=mode, ON_DISCONNECT="drain")
    key = stack.key()
    fake.add_fault("slow_chunks", seconds=0.01)
    with RawClient(stack) as client:
        client.post(key, ask("count to 60", stream=True))
        client.read_until(b'" 3"')
        client.leave()
    assert not closed_early(fake)
    (event,) = stack.usage(key, 1)
    assert (event["outcome"], event["estimated"], event["output_tokens"]) == ("client_closed", False, 60)
    with RawClient(stack) as client:  # and of an answer in one piece
        fake.add_fault("slow_first_byte", seconds=0.5)
        client.post(key, ask("count to 7"))
        until(lambda: len(upstream_calls(fake)) == 2)
        client.leave()
    assert not closed_early(fake)
    event = stack.usage(key, 2)[1]
    assert (event["estimated"], event["output_tokens"]) == (False, 7)


def test_client_leaves_while_it_sends_its_body(stack_of_mode: Stack, fake: FakeAzure) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    content = json.dumps(ask("hi " * 1000)).encode()
    with RawClient(stack) as client:
        client.send(client.head(key, len(content)) + content[:500])
        client.leave()
    with RawClient(stack) as client:
        client.send(client.head(key, len(content)) + content[:500])
        client.leave(reset=True)
    assert stack.post(key, ask("hi")).status_code == 200
    assert len(stack.usage(key, 1)) == 1
    assert len(upstream_calls(fake)) == 1
    for word in ("unexpected failure", "Traceback", "never retrieved"):
        assert word not in stack.log()


def test_many_clients_leave_at_once(stack_of_mode: Stack, fake: FakeAzure) -> None:
    stack, key = stack_of_mode, stack_of_mode.key()
    fake.add_fault("slow_chunks", seconds=0.05, times=-1)
    clients = [RawClient(stack) for _ in range(20)]
    for client in clients:
        client.post(key, ask("count to 1000", stream=True))
    for client in clients:
        client.read_until(b'" 2"')
    for client in clients:
        client.leave()
    assert fake.wait_idle(10)
    assert all(record.closed_early for record in upstream_calls(fake))
    assert {e["outcome"] for e in stack.usage(key, 20)} == {"client_closed"}
    until(lambda: stack.ledger.summed(key.id)["requests"] == 20)
