"""Puts a zip onto a function app: one POST to its publishing site, then waiting until the platform has taken it.

It is what az's config-zip does, without the build that az always asks for with Python: the package is built already.
Must not know how the app was made, nor where the token comes from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from deploy import DeployError

DONE = 4
ENDED = {
    -1: "was cancelled",
    3: "failed",
    5: "was cancelled: another one is under way",
    6: "succeeded in part only",
}
"""What the publishing site's numbers mean, but for DONE and those of work under way."""
TRIES = 300
SECONDS = 2.0
_UPLOAD = httpx.Timeout(60, write=600, read=600)


def publish(file: Path, host: str, token: str, pause: float = SECONDS) -> None:
    """Raises DeployError."""
    headers = {"authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=f"https://{host}", headers=headers, timeout=_UPLOAD) as http:
            before = (_latest(http) or {}).get("id")
            answer = http.post(
                "/api/publish",
                params={"RemoteBuild": "false", "Deployer": "tollgate"},
                # with its length, as az and curl send it: that the site takes chunks is written nowhere
                headers={"content-type": "application/zip", "content-length": str(file.stat().st_size)},
                content=_pieces(file),
            )
            if answer.status_code not in (200, 202):
                raise DeployError(_refused(answer))
            _wait(http, pause, before)
    except httpx.HTTPError as error:
        raise DeployError(
            f"The publishing site {host} does not answer ({error or type(error).__name__}): check that this network "
            "reaches it, then run this again with --code-only"
        ) from error


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            yield piece


def _refused(answer: httpx.Response) -> str:
    advice = {
        401: "sign in again (az login), then run this again with --code-only",
        403: "you need Website Contributor on the function app, or its access restrictions refuse this network",
        404: "the app is not there (yet): wait a minute, then run this again with --code-only",
        409: "another publication is under way: wait for it, then run this again with --code-only",
    }.get(answer.status_code, "run this again with --code-only")
    return f"Publishing was refused ({answer.status_code} {answer.text[:300]}): {advice}"


def _latest(http: httpx.Client) -> dict[str, Any] | None:
    """The newest publication; None when there is none, empty when the site cannot tell just now."""
    answer = http.get("/api/deployments/latest")
    if answer.status_code == 404:
        return None
    return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}


def _wait(http: httpx.Client, pause: float, before: str | None) -> None:
    """Until the publication has ended that is not the one of `before`."""
    seen = False
    for _ in range(TRIES):
        time.sleep(pause)
        found = _latest(http)
        if found is None and seen:
            return  # the app has been replaced by the new one, and its record with it
        if not found or (before and found.get("id") == before):
            continue
        status = found.get("status")
        seen = seen or status is not None
        if status == DONE:
            return
        if status in ENDED:
            raise DeployError(
                f"Publishing {ENDED[status]}: {found.get('status_text') or found.get('message') or 'no word of why'}. "
                "Run this again with --code-only"
            )
    raise DeployError("Publishing has not ended after 10 minutes: look at the app's Deployments in the portal")
