"""A gateway whose deployments nobody else asks: what one test does to their health is no other's business.

Owns the entries of such a configuration. Knows nothing of what is tested.
"""

from __future__ import annotations

from typing import Any

from local.fake_azure import FakeAzure
from tests.support.models import Row, config_text
from tests.support.stack import Key, Stack, upstream_calls

VERSION = "gpt-4o-2024-11-20"


class Entries:
    """The configuration as it is being written. Each deployment is made on the fake with it."""

    def __init__(self, fake: FakeAzure, prefix: str) -> None:
        self._fake, self._prefix = fake, prefix
        self.rows: list[Row] = []

    def add(self, alias: str, resource: str = "main", **params: Any) -> None:
        """`order`, `tags`, `sku` and what else an entry may say; nothing means a good deployment of gpt-4o."""
        name, state = self.name(alias), self._fake.state.resources[resource]
        self._fake.add_deployment(resource, name, VERSION)
        usual = {"model": f"azure/{name}", "api_base": state.url, "api_key": state.key, "base_model": VERSION}
        self.rows.append((alias, usual | params, {}))

    def pair(self, alias: str, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> None:
        """On `main`, and when that does not answer on `second`."""
        self.add(alias, "main", **{"order": 1, **(first or {})})
        self.add(alias, "second", **{"order": 2, **(second or {})})

    def break_down(self, alias: str, **fault: Any) -> None:
        """Its deployments fail from now on; or as the fault says."""
        usual: dict[str, Any] = {"kind": "status", "status": 500, "times": -1}
        self._fake.add_fault(**(usual | fault), deployment=self.name(alias))

    def name(self, alias: str) -> str:
        """Of the deployments of an alias; no name is a part of another."""
        return f"{self._prefix}-{alias}-x"

    def text(self, **router: Any) -> str:
        return config_text(self.rows, router)


def resources_asked(fake: FakeAzure) -> list[str]:
    """In the order in which they were asked."""
    return [record.resource for record in upstream_calls(fake)]


def served_from(fake: FakeAzure, stack: Stack, key: Key, body: dict[str, Any], **options: Any) -> str:
    """The resource that has answered a call."""
    reply = stack.post(key, body, **options)
    assert reply.status_code == 200, reply.text
    return resources_asked(fake)[-1]
