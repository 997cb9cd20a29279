"""Counting the tokens of a message before it is sent: asked of Claude, estimated for every other model."""

from __future__ import annotations

import orjson

from shared.transform.relayed import RelayedExchange


class CountExchange(RelayedExchange):
    """Relayed where Claude answers; `local` where the gateway's own rule does (docs/translation-claude.md)."""

    def local(self) -> bytes | None:
        """-> the answer, when the deployment has nothing that counts."""
        if "count" in self._asked.deployment.serves:
            return None
        from shared.transform.messages_on_chat import estimate_tokens

        return orjson.dumps({"input_tokens": estimate_tokens(self._asked.body)})
