"""What no client may see, searched for in everything that an answer holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from local.fake_azure import FakeAzure

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = ("my-gpt4-deployment", "my-random-deployment-name", "my-gpt-5-deployment", "azure-openai-4o-audio",
          "no-such-deployment", "Traceback", "127.0.0.1", "localhost", "eastus2", "10.41.7.12", ".py")  # fmt: skip


def assert_nothing_leaks(fake: FakeAzure, reply: Any) -> None:
    """No host, port, deployment, credential, path or traceback in an answer, whatever library has read it."""
    headers = {k: v for k, v in reply.headers.items() if k not in ("date", "x-request-id")}
    seen = reply.text + repr(headers)
    state = fake.state
    urls = [r.url for r in state.resources.values()] + [state.authority_url, state.vault_url, state.control_url]
    hidden = [*HIDDEN, str(ROOT), *(r.key for r in state.resources.values()), *state.clients.values()]
    hidden += [f":{url.rpartition(':')[2]}" for url in urls]
    found = [text for text in hidden if text in seen]
    assert not found, f"{found} in {seen}"
    assert not re.search(r"\beyJ\w{10}", seen), seen
