"""Asks a gateway that was just deployed whether it works: alive, ready, and one call with a key of its own.

Owns what is asked and how long is waited. Must not know how it was deployed: it speaks HTTP to it, as anybody does.
"""

from __future__ import annotations

import time
from typing import Any

import httpx

from deploy import DeployError

WAIT = 300.0
"""The first start of an instance, and the time until a new role of the gateway's identity counts."""
NAME = "deploy-smoke-test"
TOKENS = 512
"""Enough for a model that thinks first: Azure answers 400 to a limit that thinking alone has used up."""
DOCTOR = "python3 -m shared.manage doctor"


def smoke(url: str, admin_key: str, *, configured: bool = True, wait: float = WAIT, pause: float = 5.0) -> None:
    """Print each step as it passes. Raises DeployError with what the gateway says is wrong."""
    with httpx.Client(base_url=url, timeout=60) as http:
        _until(http, "/health/live", {}, wait, pause)
        print("✓ it is alive (GET /health/live)")
        if not configured and http.get("/health/ready").status_code != 200:
            print("- it is not ready: there is no configuration yet")
            return
        admin = {"authorization": f"Bearer {admin_key}"} if admin_key else {}
        _until(http, "/health/ready", admin, wait, pause)
        print("✓ it is ready: configuration read, key store answers (GET /health/ready)")
        if admin_key:
            _call(http, admin)
    if not admin_key:
        print("- no call was made: that takes the admin key, which you may not read")


def _until(http: httpx.Client, path: str, headers: dict[str, str], wait: float, pause: float) -> dict[str, Any]:
    """The answer as soon as it is a 200."""
    deadline = time.monotonic() + wait
    while True:
        said = ""
        try:
            answer = http.get(path, headers=headers)
            if answer.status_code == 200:
                return answer.json()
            said = f"{answer.status_code} {answer.text[:2000]}"
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
        if time.monotonic() >= deadline:
            raise DeployError(
                f"The gateway does not answer 200 to GET {path} after {wait:.0f} s. The last answer: {said}\n"
                f"→ {DOCTOR} --url {http.base_url} says what is missing"
            )
        time.sleep(pause)


def _call(http: httpx.Client, admin: dict[str, str]) -> None:
    made = http.post("/manage/keys", headers=admin, json={"name": NAME, "expires": "1h"})
    if made.status_code != 200:
        raise DeployError(f"A key could not be made: {made.status_code} {made.text[:500]}")
    key: dict[str, Any] = made.json()
    try:
        bearer = {"authorization": f"Bearer {key['key']}"}
        listed = http.get("/v1/models", headers=bearer).json().get("data", [])
        chat = [row["id"] for row in listed if "chat" in row.get("modes", [])]
        if not chat:
            print("- no call was made: the configuration has no model for chat")
            return
        body = {"model": chat[0], "messages": [{"role": "user", "content": "Say OK."}], "max_tokens": TOKENS}
        answer = http.post("/v1/chat/completions", headers=bearer, json=body)
        if answer.status_code != 200:
            raise DeployError(
                f"A call of {chat[0]} answers {answer.status_code} {answer.text[:1000]}\n"
                f"→ a role takes up to 10 minutes to count: {DOCTOR} --url {http.base_url} says what is missing"
            )
        print(f"✓ {chat[0]} answers a call with a fresh key (POST /v1/chat/completions)")
    finally:
        http.post(f"/manage/keys/{key['id']}/revoke", headers=admin)
