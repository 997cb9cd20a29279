"""What lies in the queue of drops is read whatever schema, list and coding it has, and nothing else is taken for it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.batches.dropped.event import BlobCreated, blobs_created, created_event, read_events

SUBJECT = "/blobServices/default/containers/batches/blobs/in/team a/june.jsonl"
DATA = {
    "api": "PutBlockList",
    "eTag": "0x8DC5D5C1A2B3C4D",
    "contentLength": 524288,
    "blobType": "BlockBlob",
    "url": "https://account.blob.core.windows.net/batches/in/team%20a/june.jsonl",
    "sequencer": "00000000000004420000000000028963",
}
GRID: dict[str, Any] = {
    "topic": "/subscriptions/x/resourceGroups/y/providers/Microsoft.Storage/storageAccounts/account",
    "subject": SUBJECT,
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-11-23T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": DATA,
    "dataVersion": "",
    "metadataVersion": "1",
}
CLOUD: dict[str, Any] = {
    "source": GRID["topic"],
    "subject": SUBJECT,
    "type": "Microsoft.Storage.BlobCreated",
    "time": "2026-11-23T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": DATA,
    "specversion": "1.0",
}


def found(message: bytes) -> list[BlobCreated] | None:
    events = read_events(message)
    return None if events is None else blobs_created(events)


@pytest.mark.parametrize("event", [GRID, CLOUD], ids=["event grid", "cloud events"])
@pytest.mark.parametrize("listed", [False, True], ids=["one", "list"])
@pytest.mark.parametrize("coded", [False, True], ids=["plain", "base64"])
def test_every_form_is_read(event: dict[str, Any], listed: bool, coded: bool) -> None:
    text = json.dumps([event] if listed else event).encode()
    (blob,) = found(base64.b64encode(text) if coded else text) or []
    assert blob.container == "batches"
    assert blob.names[0] == "in/team a/june.jsonl"


def test_a_duplicate_in_one_message_is_one_blob() -> None:
    later = {**GRID, "id": "another", "eventTime": "2026-11-23T18:42:00Z"}
    assert len(found(json.dumps([GRID, later, CLOUD]).encode()) or []) == 1


def test_an_escaped_subject_offers_both_spellings() -> None:
    escaped = {**GRID, "subject": SUBJECT.replace(" ", "%20")}
    (blob,) = blobs_created([escaped])
    assert blob.names == ("in/team%20a/june.jsonl", "in/team a/june.jsonl")


def test_letters_that_the_subject_has_lost_are_found_in_the_address() -> None:
    data = {**DATA, "url": "https://account.blob.core.windows.net/batches/in/k/%F0%9F%92%8E.jsonl"}
    subject = "/blobServices/default/containers/batches/blobs/in/k/\ufffd\ufffd.jsonl"
    (blob,) = blobs_created([{**GRID, "subject": subject, "data": data}])
    assert "in/k/💎.jsonl" in blob.names


@pytest.mark.parametrize(
    "changed",
    [
        {"eventType": "Microsoft.Storage.BlobDeleted"},
        {"subject": "/blobServices/default/containers/batches"},
        {"subject": 7},
        {"data": {**DATA, "api": "CreateFile", "contentLength": 0}},
    ],
    ids=["deleted", "no blob", "no text", "not complete"],
)
def test_other_events_are_no_blobs(changed: dict[str, Any]) -> None:
    assert found(json.dumps({**GRID, **changed}).encode()) == []


@pytest.mark.parametrize("message", [b"", b"hello", b"7", b"[]", b"{}", b'["a"]', base64.b64encode(b"hello"), b"\xff"])
def test_what_is_no_event_is_none(message: bytes) -> None:
    assert read_events(message) is None


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_message_breaks_the_reader(message: bytes) -> None:
    blobs_created(read_events(message) or [])


def test_an_event_of_our_own_reads_like_one_of_azure() -> None:
    event = created_event("batches", "in/k/a b.jsonl", "0x1", 5, 1_760_000_000.5)
    (blob,) = found(json.dumps(event).encode()) or []
    assert (blob.container, blob.names[0]) == ("batches", "in/k/a b.jsonl")
