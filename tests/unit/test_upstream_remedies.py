"""What the operator's log says of a deployment that refuses the gateway itself."""

from __future__ import annotations

import json

import pytest

from shared.upstream_errors import remedy_of

LACKS = "The principal `x` lacks the required data action `Microsoft.CognitiveServices/accounts/%s` to perform `POST`."
ROWS = [
    (401, "PermissionDenied", LACKS % "OpenAI/deployments/chat/completions/action", "the role Cognitive Services OpenAI User"),
    (401, "PermissionDenied", LACKS % "OpenAI/files/import/action", "the role Cognitive Services OpenAI Contributor"),
    (401, "PermissionDenied", LACKS % "MaaS/chat/completions/action", "the role Cognitive Services User"),
    (403, "PermissionDenied", "Principal does not have access to API/Operation.", "the role Cognitive Services OpenAI User"),
    (403, "403", "Access denied due to Virtual Network/Firewall rules.", "network rules"),
    (403, "403", "Public access is disabled. Please configure private endpoint.", "network rules"),
    (401, "401", "Access denied due to invalid subscription key or wrong API endpoint.", "api key"),
    (401, "401", "Unauthorized. Access token is missing, invalid, audience is incorrect.", "azure_scope"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "message", "said"), ROWS, ids=range(len(ROWS)))
def test_a_refusal_says_what_to_do(status: int, code: str, message: str, said: str) -> None:
    assert said in remedy_of(status, json.dumps({"error": {"code": code, "message": message}}).encode())


@pytest.mark.parametrize(
    ("status", "body"), [(400, b'{"error":{"code":"PermissionDenied"}}'), (401, b"<html>"), (403, b"{}")]
)
def test_anything_else_says_nothing(status: int, body: bytes) -> None:
    assert remedy_of(status, body) == ""
