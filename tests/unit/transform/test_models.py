"""The model list in OpenAI's shape, with what is known of each model."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import pytest

from shared.transform.models import CREATED, describe_model, list_models
from shared.types import Json
from tests.unit.given import AT, catalog, entry


def test_list_holds_the_aliases_in_order_with_openais_own_fields() -> None:
    found = catalog(entry(f"model: azure/x, {AT}", "b") + entry(f"model: azure/y, {AT}", "a/ż").partition("\n")[2])
    listed = orjson.loads(list_models(found, ["b", "a/ż"]))
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == ["b", "a/ż"]
    assert all((row["object"], row["created"]) == ("model", CREATED) for row in listed["data"])
    assert orjson.loads(list_models(found, [])) == {"object": "list", "data": []}


class Known(NamedTuple):
    params: str
    facts: Json
    info: str = ""


KNOWN = [
    Known("model: azure/gpt-4o", {"owned_by": "openai", "context_window": 128_000, "max_output_tokens": 16_384,
                                  "modes": ["chat", "responses", "messages", "completions"]}),
    Known("model: azure/dep", {"owned_by": "openai", "modes": ["chat", "responses", "messages", "completions"]}),
    Known("model: azure/dep", {"owned_by": "openai", "context_window": 200_000, "max_output_tokens": 100_000,
                               "modes": ["chat", "responses", "messages", "completions"]},
          "{base_model: azure/o3-mini, mode: chat}"),
    Known("model: azure/dep", {"owned_by": "openai", "context_window": 1000, "max_input_tokens": 1000,
                               "input_cost_per_token": 0.005, "modes": ["chat", "responses", "messages", "completions"]},
          "{max_input_tokens: 1000, input_cost_per_token: 0.005, note: secret}"),
    Known("model: azure/claude-sonnet-4-5", {"owned_by": "anthropic", "context_window": 200_000,
                                             "modes": ["chat", "responses", "messages", "completions"]}),
    Known("model: azure/text-embedding-3-small", {"owned_by": "openai", "context_window": 8_192,
                                                  "modes": ["embeddings"]}),
    Known("model: azure/whisper", {"owned_by": "openai", "modes": ["transcription"]}),
    Known("model: azure_text/gpt-35-turbo-instruct", {"owned_by": "openai", "context_window": 4_097,
                                                      "max_output_tokens": 4_097, "modes": ["chat", "responses", "messages", "completions"]}),
    Known("model: content_safety/text", {"owned_by": "azure", "modes": ["moderations"]}),
]  # fmt: skip


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{case.params} {case.info}")
def test_model_is_described_by_what_is_known_of_it(case: Known) -> None:
    info = f"  model_info: {case.info}\n" if case.info else ""
    found = catalog(entry(f"{case.params}, {AT}") + info)
    described = orjson.loads(describe_model(found, "alias"))
    assert described == {"id": "alias", "object": "model", "created": CREATED, **case.facts}


CALLS = ["chat", "responses", "messages", "completions"]


@pytest.mark.parametrize(
    ("rows", "modes"),
    [(("batch",), ["batch"]), (("batch", "batch"), ["batch"]), (("chat", "batch"), [*CALLS, "batch"]),
     (("batch", "chat"), [*CALLS, "batch"]), (("batch", "embedding"), ["embeddings", "batch"])],
)  # fmt: skip
def test_what_azures_batch_service_serves_is_told_last(rows: tuple[str, ...], modes: list[str]) -> None:
    text = "model_list:\n" + "".join(
        f"- {{model_name: alias, litellm_params: {{model: azure/d{n}, {AT}}}, model_info: {{mode: {mode}}}}}\n"
        for n, mode in enumerate(rows)
    )
    assert orjson.loads(describe_model(catalog(text), "alias"))["modes"] == modes
