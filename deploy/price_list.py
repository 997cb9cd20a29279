"""What Azure asks for what a gateway uses: list prices in US dollars, East US 2, pay as you go, without tax.

Owns the figures, where each was seen, and the monthly free grants. costs.py counts what is used. These prices were not
read from Azure by this project: its pages were out of reach when the list was made (2026-11). `seen` says what each
figure rests on; look yours up on `page` before you decide by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PAGES = "https://azure.microsoft.com/pricing/details/"
HOURS = 730.0
"""Of a month, as Azure's own price pages count it."""

type Seen = Literal["retail", "published", "one"]
SEEN: dict[Seen, str] = {
    "retail": "in answers of Azure's Retail Prices API that others have published, the newest of 2026-08",
    "published": "in several publications that name Azure's price page, 2025 and 2026",
    "one": "in one publication of 2026",
}


@dataclass(frozen=True, slots=True)
class Price:
    what: str
    usd: float
    per: str
    page: str
    seen: Seen
    note: str = ""


PRICES: dict[str, Price] = {
    "execution": Price("execution time, on demand", 0.000026, "GB-second", "functions", "retail"),
    "executions": Price("executions", 0.40, "million", "functions", "retail"),
    "baseline": Price("always ready, around the clock", 0.000004, "GB-second", "functions", "published"),
    "ready_execution": Price("execution time, always ready", 0.000016, "GB-second", "functions", "published"),
    "table_operations": Price("table operations", 0.036, "million", "storage/tables", "retail", "LRS"),
    "table_data": Price("table data", 0.045, "GB-month", "storage/tables", "retail", "LRS"),
    "queue_operations": Price("queue operations", 0.40, "million", "storage/queues", "retail", "LRS"),
    "blob_data": Price("blob data, hot", 0.0184, "GB-month", "storage/blobs", "retail", "LRS, East US 2"),
    "blob_writes": Price("blob writes, hot", 5.00, "million", "storage/blobs", "retail", "LRS"),
    "blob_reads": Price("blob reads and other operations, hot", 0.40, "million", "storage/blobs", "retail", "LRS"),
    "events": Price("Event Grid operations", 0.60, "million", "event-grid", "retail"),
    "logs": Price("log ingestion", 2.76, "GB", "monitor", "retail", "East US 2; 2.30 in East US and others"),
    "rule_5": Price("alert rule asked every 5 minutes", 1.50, "month", "monitor", "published"),
    "rule_15": Price("alert rule asked every 15 minutes or less often", 0.50, "month", "monitor", "published"),
    "vault": Price("vault operations", 3.00, "million", "key-vault", "published"),
    "endpoint": Price("private endpoint", 0.01, "hour", "private-link", "retail"),
    "endpoint_data": Price("data through private endpoints", 0.01, "GB each way", "private-link", "retail"),
    "zone": Price("private DNS zone", 0.50, "month", "dns", "published"),
    "nat": Price("NAT gateway", 0.045, "hour", "azure-nat-gateway", "published", "0.045 per GB besides"),
    "address": Price("public address of the NAT gateway", 0.005, "hour", "ip-addresses", "retail"),
    "out": Price("data to the internet", 0.087, "GB", "bandwidth", "one", "first 10 TB"),
}

GRANTS: dict[str, float] = {
    "execution": 100_000,
    "executions": 0.25,
    "logs": 5,
    "events": 0.1,
    "out": 100,
}
"""Free every month, in the units of PRICES. Of a subscription, or of a billing account: shared with all else in it."""
