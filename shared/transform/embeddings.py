"""Embeddings: what exceeds Azure's number of inputs per call is split, and joined again in order."""

from __future__ import annotations

from typing import Any

import orjson

from shared.transform.exchange import Part
from shared.transform.relayed import RelayedAnswer, RelayedExchange, dump, finisher, parse
from shared.types import Json, Usage
from shared.usage import read_usage

MOST_INPUTS = 2048
"""Inputs of one call (Azure OpenAI "quotas and limits", 2026-08)."""


class EmbeddingsExchange(RelayedExchange):
    def parts(self, *, ask_usage: bool) -> list[Part]:
        body = self.body(ask_usage=ask_usage)
        given = body.get("input")
        if not isinstance(given, list) or len(given) <= MOST_INPUTS or isinstance(given[0], int):
            return [Part(self.operation, dump(body))]
        pieces = [given[i : i + MOST_INPUTS] for i in range(0, len(given), MOST_INPUTS)]
        return [Part(self.operation, dump({**body, "input": piece})) for piece in pieces]

    def answer(self) -> EmbeddingsAnswer:
        return EmbeddingsAnswer(self._asked, finisher(self._asked))


class EmbeddingsAnswer(RelayedAnswer):
    def paid(self, answers: list[bytes]) -> Usage:
        total = 0
        for data in answers:
            found = read_usage(parse(data).get("usage"))
            total += found.input_tokens if found else 0
        return Usage(input_tokens=total)

    def join(self, answers: list[bytes]) -> bytes:
        """One answer of several: rows numbered on, usage summed. Raises ApiError (502)."""
        first, *rest = [parse(data) for data in answers]
        rows: list[Any] = list(first.get("data") or [])
        for answer in rest:
            for row in answer.get("data") or []:
                if isinstance(row, dict):
                    row["index"] = len(rows)
                rows.append(row)
            _add_usage(first, answer)
        first["data"] = rows
        return self.read(orjson.dumps(first))


def _add_usage(first: Json, other: Json) -> None:
    usage, more = first.get("usage"), other.get("usage")
    if not isinstance(usage, dict) or not isinstance(more, dict):
        first.pop("usage", None)  # in part is worse than none: none is estimated as a whole
        return
    for name, value in more.items():
        if isinstance(value, int) and isinstance(usage.get(name), int):
            usage[name] += value
