"""A storage account that takes Entra's tokens alone: Azurite over TLS, and a gate before it as Azure's own would be.

Owns what Azurite does not know: roles, refused account keys, and a record of who has asked with which token. Knows
nothing of what is stored. Trusted by the fake Azure's CA.

with OAuthStorage(folder, fake) as storage: Stack(..., **storage.settings)
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from xml.sax.saxutils import escape

import aiohttp
import httpx
import jwt
from aiohttp import web

from local.fake_azure import FakeAzure
from tests.support.azurite import ACCOUNT, MISSING, SCRIPT, find_node
from tests.support.polling import until

SERVICES = ("blob", "queue", "table")
AUDIENCE = "https://storage.azure.com"
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (https://\S+)")
_OWN = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "keep-alive", "date", "server"}
_MESSAGES = {
    "AuthorizationPermissionMismatch": (403, "This request is not authorized to perform this operation using this permission."),
    "KeyBasedAuthenticationNotPermitted": (403, "Key based authentication is not permitted on this storage account."),
    "InvalidAuthenticationInfo": (401, "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the account."""

    service: str
    method: str
    path: str
    status: int
    claims: dict[str, Any]
    """Of its token; empty for a signed address."""


class OAuthStorage:
    """A context manager. `denied` names the services for which the identity has no role."""

    def __init__(self, folder: Path, fake: FakeAzure) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._fake, self._tenant = fake, fake.state.tenant_id
        self._authority = fake.state.authority_url
        self._chain = Path(fake.state.ca_file).with_name("localhost.pem")
        self._ca = fake.state.ca_file
        self.denied: set[str] = set()
        self._seen: set[str] = set()
        self._revoked: set[str] = set()
        self.asked: list[Asked] = []
        self._urls: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="storage gate")
        self._runners: list[web.AppRunner] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._client: aiohttp.ClientSession

    @property
    def settings(self) -> dict[str, str]:
        """The app settings that lead to it, as infra/ has them."""
        return {f"AzureWebJobsStorage__{name}ServiceUri": f"{url}/{ACCOUNT}" for name, url in self._urls.items()}

    def clear(self) -> None:
        """Every role is assigned, every token good, nothing recorded."""
        for kept in (self.denied, self._revoked, self.asked):
            kept.clear()

    def put(self, container: str, name: str, data: bytes) -> str:
        """A blob, as an operator with a role uploads it. -> its path."""
        headers = {
            "authorization": f"Bearer {self._fake.issue_token(AUDIENCE)}", "x-ms-version": "2025-05-05",
            "x-ms-blob-type": "BlockBlob",
        }  # fmt: skip
        with httpx.Client(verify=ssl.create_default_context(cafile=self._ca), trust_env=False) as client:
            base = f"{self._urls['blob']}/{ACCOUNT}/{container}"
            client.put(base, params={"restype": "container"}, headers=headers)
            client.put(f"{base}/{name}", content=data, headers=headers).raise_for_status()
        return f"{container}/{name}"

    def revoke(self) -> None:
        """No token that was seen so far is accepted any more."""
        self._revoked |= self._seen

    def __enter__(self) -> Self:
        behind = self._start_azurite()
        self._thread.start()
        try:
            self._run(self._open(behind))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _start_azurite(self) -> dict[str, str]:
        node = find_node()
        assert node is not None, MISSING
        assert SCRIPT.is_file(), MISSING
        log = self._folder / "azurite.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    node, str(SCRIPT), "--blobPort", "0", "--queuePort", "0", "--tablePort", "0", "--inMemoryPersistence",
                    "--skipApiVersionCheck", "--disableTelemetry", "--oauth", "basic", "--cert", str(self._chain),
                    "--key", str(self._chain),
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        found = until(lambda: len(said := dict(_LISTENING.findall(log.read_text()))) == 3 and said, 30, 0.05)
        assert isinstance(found, dict)
        return {name.lower(): url for name, url in found.items()}

    async def _open(self, behind: dict[str, str]) -> None:
        trust, shown = ssl.create_default_context(cafile=self._ca), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(self._chain)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), auto_decompress=False, skip_auto_headers=("accept", "user-agent")
        )
        for service in SERVICES:
            app = web.Application(client_max_size=256 * 2**20)
            app.router.add_route("*", "/{path:.*}", self._at(service, behind[service]))
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=shown)
            await site.start()
            self._runners.append(runner)
            self._urls[service] = f"https://127.0.0.1:{runner.addresses[0][1]}"

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self._runners:
            await self._client.close()

    def _at(self, service: str, behind: str) -> Any:
        async def answer(request: web.Request) -> web.Response:
            claims, refused = self._judged(service, request)
            response = _refusal(service, refused) if refused else await self._passed(request, behind)
            if refused == "InvalidAuthenticationInfo":
                uri = f"{self._authority}/{self._tenant}/oauth2/authorize"
                response.headers["WWW-Authenticate"] = f"Bearer authorization_uri={uri} resource_id={AUDIENCE}"
            self.asked.append(Asked(service, request.method, request.path, response.status, claims))
            return response

        return answer

    def _judged(self, service: str, request: web.Request) -> tuple[dict[str, Any], str]:
        """-> the token's claims, and why it is refused."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme and "sig" in request.query and "skoid" in request.query:
            return {}, ""  # signed with a key that an identity got for it
        if scheme.lower() != "bearer":
            return {}, "KeyBasedAuthenticationNotPermitted"
        self._seen.add(token)
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        if str(claims["aud"]).rstrip("/") != AUDIENCE or claims["tid"] != self._tenant or token in self._revoked:
            return claims, "InvalidAuthenticationInfo"
        return claims, "AuthorizationPermissionMismatch" if service in self.denied else ""

    async def _passed(self, request: web.Request, behind: str) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        headers["Host"] = request.host  # continuation addresses and the like are to lead here
        data = await request.read()
        async with self._client.request(
            request.method, behind + request.raw_path, headers=headers, data=data or None, allow_redirects=False
        ) as found:
            body = await found.read()
            kept = [(name, value) for name, value in found.headers.items() if name.lower() not in _OWN]
        response = web.Response(status=found.status, body=body, headers=kept)
        if request.method == "HEAD" and (length := found.headers.get("Content-Length")):
            response.headers["Content-Length"] = length
        return response


def _refusal(service: str, code: str) -> web.Response:
    """In the words and the form of the service."""
    status, message = _MESSAGES[code]
    message += "\nRequestId:00000000-0000-0000-0000-000000000000\nTime:2026-11-23T12:00:00.0000000Z"
    headers = {"x-ms-error-code": code}
    if service == "table":
        body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}}
        return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)
    xml = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>'
    )
    return web.Response(status=status, text=xml, content_type="application/xml", headers=headers)
