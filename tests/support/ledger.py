"""What the gateway wrote down, read from the table service as anybody would read it.

Knows the tables' form (docs say the same), nothing of the process that wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

type Row = dict[str, Any]
COUNTED = ("requests", "failed", "estimated", "input_tokens", "output_tokens", "cached_input_tokens",
           "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "cost_nanos", "unpriced", "spilled", "spill_nanos")  # fmt: skip


class Ledger:
    """Events and totals of one key, which is named by its id: the first 12 characters of its digest."""

    def __init__(self, connection: str) -> None:
        self._service = TableServiceClient.from_connection_string(connection)

    def close(self) -> None:
        self._service.close()

    def events(self, key_id: str) -> list[Row]:
        """Every event, in the order in which they were written."""
        rows = sorted(self._rows("tollgateledger", key_id), key=lambda row: row["RowKey"])
        found = [json.loads(line) for row in rows for line in row["events"].split("\n")]
        assert len(found) == sum(row["count"] for row in rows)
        return found

    def totals(self, key_id: str) -> list[Row]:
        """The rows of totals, one for each model and process."""
        return list(self._rows("tollgateusage", key_id))

    def summed(self, key_id: str) -> Row:
        rows = self.totals(key_id)
        return {name: sum(row[name] for row in rows) for name in COUNTED}

    def _rows(self, prefix: str, key_id: str) -> Iterator[Row]:
        day = datetime.now(UTC)
        for month in sorted({f"{d:%Y%m}" for d in (day - timedelta(days=1), day)}):
            client = self._service.get_table_client(prefix + month)
            inside = f"PartitionKey ge '{key_id}' and PartitionKey lt '{key_id}~'"
            try:
                for entity in client.query_entities(inside):
                    yield {k: v.value if hasattr(v, "value") else v for k, v in entity.items()}
            except ResourceNotFoundError:
                continue


def sum_of(events: list[Row]) -> Row:
    """The same sums, from events."""
    counted = {name: sum(int(event.get(name) or 0) for event in events) for name in COUNTED}
    counted["requests"] = len(events)
    spilled = [event["cost_nanos"] for event in events if event.get("capacity") in ("spill", "azure-spill")]
    counted["spilled"], counted["spill_nanos"] = len(spilled), sum(spilled)
    counted["failed"] = sum(event["outcome"] not in ("ok", "client_closed") for event in events)
    return counted
