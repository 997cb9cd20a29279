"""What is refused on the way through another language is named in the client's own words."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.endpoints import ENDPOINTS
from shared.errors import ApiError
from shared.transform import Asked, exchange
from shared.types import Json
from tests.unit.given import deployment


class Case(NamedTuple):
    endpoint: str
    body: Json
    param: str
    family: str = "gpt-5"
    serves: str = "chat"


HI: list[Json] = [{"role": "user", "content": "hi"}]
CASES = [
    Case("messages", {"messages": HI, "max_tokens": 9, "stop_sequences": ["x"]}, "stop_sequences"),
    Case("messages", {"messages": HI, "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2000}},
         "thinking", "ordinary"),
    Case("messages", {"messages": HI, "max_tokens": 9, "stop_sequences": ["x"]}, "stop_sequences", "open", "responses"),
    Case("responses_create", {"input": "hi", "reasoning": {"effort": "high"}}, "reasoning", "ordinary"),
    Case("responses_create", {"input": "hi", "messages": HI}, "messages", "ordinary"),
    Case("completions", {"prompt": "hi", "stop": "x"}, "stop"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.endpoint} {case.param}")
def test_parameter_is_named_as_the_client_sent_it(case: Case) -> None:
    one = deployment(case.family, serves=[case.serves])  # type: ignore[list-item]
    asked = Asked(ENDPOINTS[case.endpoint], "x", case.body, one, stream=False)
    with pytest.raises(ApiError) as caught:
        exchange(asked).parts(ask_usage=True)
    assert caught.value.param == case.param
    assert f"'{case.param}'" in caught.value.message
