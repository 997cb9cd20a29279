"""Browsers: off unless CORS_ORIGINS names the page's origin."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.stack import Key, Stack, ask

PAGE = "https://page.example"


def preflight(stack: Stack, origin: str, path: str = "/v1/chat/completions") -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, x-stainless-lang",
    }
    return stack.http.options(path, headers=headers)


def cors(reply: httpx.Response) -> dict[str, str]:
    return {k: v for k, v in reply.headers.items() if k.startswith("access-control")}


def test_off_by_default(stack: Stack, key: Key) -> None:
    reply = preflight(stack, PAGE)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "cors_not_allowed")
    assert "CORS_ORIGINS" in reply.json()["error"]["message"]
    assert not cors(reply)
    answer = stack.post(key, ask("hi"), headers={"origin": PAGE})
    assert answer.status_code == 200
    assert not cors(answer)


def test_on_for_the_named_origins(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(CORS_ORIGINS=f"{PAGE}, https://other.example")
    key = stack.key()
    for path in ("/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions", "/v1/models"):
        reply = preflight(stack, PAGE, path)
        assert reply.status_code == 204
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["access-control-allow-headers"] == "authorization, x-stainless-lang"
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert reply.headers["vary"] == "origin"
    for body, headers, status in (
        (ask("hi"), key.bearer, 200),
        (ask("hi", stream=True), key.bearer, 200),
        (ask("hi"), {}, 401),
        (ask("hi", "nobody"), key.bearer, 404),
    ):
        answer = stack.post(None, body, headers={**headers, "origin": PAGE})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE, answer.text
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
    lost = stack.http.get("/nowhere", headers={"origin": PAGE})
    assert (lost.status_code, lost.headers["access-control-allow-origin"]) == (404, PAGE)
    refused = preflight(stack, "https://evil.example")
    assert (refused.status_code, cors(refused)) == (403, {})
    assert not cors(stack.post(key, ask("hi"), headers={"origin": "https://evil.example"}))


def test_star_allows_everybody_without_credentials(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(CORS_ORIGINS="*")
    answer = stack.post(stack.key(), ask("hi"), headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
