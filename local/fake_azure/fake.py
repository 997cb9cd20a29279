"""Puts the fake together: opens the listeners, wires the parts, starts and stops them.

The only module that knows all the others. `FakeAzure` is the public face, in-process and behind the control API.
"""

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from . import managed_identity, resource_app
from .authority import Authority, Directory
from .batch_desk import BatchDesk
from .control import ControlApp
from .door import Door
from .faults import Fault, FaultQueue
from .listener import Listener
from .managed_identity import ManagedIdentity
from .management import Management, monitor, retail_prices, topic
from .models import DEFAULT_RESOURCES, Resource
from .quota import Quotas
from .recorder import RequestLog, RequestRecord, on_prepare, recording
from .served import Served
from .state import CLIENT_ID, MANAGED_CLIENT_ID, TENANT_ID, USERNAME, ResourceState, State, secret_of
from .tls import server_context
from .tokens import TokenIssuer
from .vault import Vault
from .webhooks import Webhooks

HOST = "127.0.0.1"
_LARGEST_BODY = 256 * 2**20
_FEDERATED_LIFETIME = 10 * 365 * 24 * 3600
_STOP_SECONDS = 0.2  # for answers that are still being sent


class FakeAzure:
    def __init__(self, state_dir: Path, resources: Sequence[str] = DEFAULT_RESOURCES, base_port: int = 0) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.log = RequestLog()
        self.faults = FaultQueue()
        self.counters: Counter[str] = Counter()
        self._resources = {name: Resource.default(name, secret_of(f"key {name}")) for name in resources}
        self._sockets = _listen(["control", "identity", "tls", *resources, "management"], base_port)
        self._tls, ca_file = server_context(state_dir)
        self._urls = {name: f"http://{HOST}:{_port(opened)}" for name, opened in self._sockets.items()}
        self._urls["tls"] = f"https://localhost:{_port(self._sockets['tls'])}"
        self._tokens = TokenIssuer(state_dir, f"{self._urls['tls']}/{TENANT_ID}/v2.0", TENANT_ID)
        self._directory = Directory(
            TENANT_ID,
            {CLIENT_ID: secret_of("client secret")},
            {USERNAME: secret_of("password")},
            self._tokens.issue("api://AzureADTokenExchange", _FEDERATED_LIFETIME, sub="system:serviceaccount:dev:app"),
        )
        secrets = {f"{r.name}-api-key": r.key for r in self._resources.values() if r.name in ("main", "second")}
        self.served = Served()
        self.quotas = Quotas()
        self.webhooks = Webhooks()
        self.batches = BatchDesk(self.webhooks)
        self.management = Management(
            self._resources, self._urls, self.served, self._tokens, self.faults, secret_of("topic key")
        )
        self.arm = self.management.arm
        self._vault = Vault(self._urls["tls"], secrets, self._tokens, self.faults, self.counters)
        self._ca_file = ca_file
        self._token_file = state_dir / "federated-token"
        self._token_file.write_text(self._directory.federated_assertion)
        self._listeners: dict[str, Listener] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    @contextmanager
    def running(
        cls, state_dir: Path, resources: Sequence[str] = DEFAULT_RESOURCES, base_port: int = 0
    ) -> Generator[Self]:
        """Runs the fake on an event loop in a thread of its own, for tests in this process."""
        fake = cls(state_dir, resources, base_port)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="fake-azure", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(fake.start(), loop).result()
            yield fake
        finally:
            asyncio.run_coroutine_threadsafe(fake.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        identity = ManagedIdentity(
            secret_of("identity header"), MANAGED_CLIENT_ID, self._tokens, self.faults, self.counters
        )
        authority = Authority(self._urls["tls"], self._directory, self._tokens, self.faults, self.counters)
        await self._serve("control", ControlApp(self).routes(), recorded=False)
        await self._serve("identity", identity.routes())
        await self._serve("tls", [*self._vault.routes(), *authority.routes()], tls=self._tls)
        await self._serve("management", self.management.routes())
        for name, resource in self._resources.items():
            door = Door(resource, self._tokens, self.faults, self.served, self.quotas, self.batches)
            await self._serve(name, resource_app.routes(door))

    async def stop(self) -> None:
        await self.batches.stop()
        for listener in self._listeners.values():
            await listener.stop()
        self._listeners.clear()
        for opened in self._sockets.values():
            opened.close()

    async def _serve(
        self, name: str, routes: Sequence[web.RouteDef], *, tls: ssl.SSLContext | None = None, recorded: bool = True
    ) -> None:
        middlewares = [recording(self.log, _tls_place if tls else lambda _request: name)] if recorded else []
        app = web.Application(middlewares=middlewares, client_max_size=_LARGEST_BODY)
        app.on_response_prepare.append(on_prepare)
        app.add_routes(routes)
        # Cancelled handlers are how a client that leaves is noticed while nothing is being written to it.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        self._listeners[name] = Listener(self._sockets[name], runner, tls)
        await self._listeners[name].start()

    # What tests use.

    @property
    def state(self) -> State:
        urls = self._urls
        return State(
            control_url=urls["control"],
            resources={
                r.name: ResourceState(urls[r.name], r.key, r.kind, dict(r.deployments))
                for r in self._resources.values()
            },
            authority_url=urls["tls"],
            ca_file=str(self._ca_file.resolve()),
            vault_url=urls["tls"],
            tenant_id=TENANT_ID,
            clients=self._directory.clients,
            users=self._directory.users,
            federated_assertion=self._directory.federated_assertion,
            federated_token_file=str(self._token_file.resolve()),
            identity_endpoint=urls["identity"] + managed_identity.PATH,
            identity_header=secret_of("identity header"),
            managed_client_id=MANAGED_CLIENT_ID,
            secrets=self._vault.current(),
            management_url=urls["management"],
            prices_url=urls["management"] + retail_prices.PATH,
            topic_url=urls["management"] + topic.PATH,
            topic_key=self.management.topic.key,
            resource_ids={r.name: monitor.resource_id(r.name) for r in self._resources.values() if r.kind != "plain"},
        )

    @property
    def requests(self) -> list[RequestRecord]:
        return self.log.snapshot()

    def wait_idle(self, timeout: float = 2.0) -> bool:
        """Waits until every request so far was answered or given up; its record is then final."""
        return self.log.wait_idle(timeout)

    def add_fault(self, kind: str, **parameters: Any) -> None:
        self.faults.add(Fault.parse({"kind": kind, **parameters}))

    def clear(self) -> Any:
        """Forgets faults, quotas, requests, counters, events, webhooks, orders for batches and of what Resource Manager
        says; revives what was killed.

        Keeps deployments, keys, secrets, batches, and what was served. It may have to be awaited, as `kill`.
        """
        self.faults.clear()
        self.quotas.clear()
        self.management.topic.clear()
        self.arm.clear()
        self.log.clear()
        self.counters.clear()
        self.batches.clear()
        self.webhooks.clear()
        down = [name for name, listener in self._listeners.items() if listener.down]
        return self._act(self._revive(down)) if down else None

    # Outages.

    def kill(self, resource: str) -> Any:
        """Connections to the resource are refused, those that are open are dropped; its batches stand still.

        On the fake's own loop what comes back has to be awaited; from any other thread it has happened.
        """
        return self._act(self._kill(resource))

    def revive(self, resource: str) -> Any:
        """As `kill`. What the resource kept is still there."""
        return self._act(self._revive([resource]))

    def end_batch(self, resource: str, batch: str, how: str = "completed", errors: Sequence[Any] = ()) -> Any:
        """As `kill`. See `BatchDesk.end`."""
        return self._act(self.batches.end(resource, batch, how, errors))

    def send_webhook(self, resource: str, event: str, batch: str, **more: Any) -> Any:
        """As `kill`. See `Webhooks.send`."""
        return self._act(self.webhooks.send(resource, event, batch, **more))

    async def _kill(self, resource: str) -> None:
        self._resources[resource]  # nothing else is killed
        self.batches.stand(resource, True)
        await self._listeners[resource].kill()

    async def _revive(self, resources: Sequence[str]) -> None:
        for resource in resources:
            await self._listeners[resource].start()
            self.batches.stand(resource, False)

    def _act(self, act: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
        assert self._loop is not None, "the fake is not running"
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            return act
        return asyncio.run_coroutine_threadsafe(act, self._loop).result()

    # What the control API adds.

    def describe(self) -> dict[str, Any]:
        kinds = ("client_secret", "client_assertion", "password", "managed_identity")
        counters = {"token_requests": {kind: self.counters[kind] for kind in kinds}}
        return {**self.state.as_dict(), "counters": {**counters, "vault_reads": self.counters["vault_reads"]}}

    def put_secret(self, name: str, value: str) -> None:
        self._vault.put(name, value)

    def set_key(self, resource: str, key: str) -> None:
        self._resources[resource].key = key

    def expire_tokens(self) -> None:
        self._tokens.expire_all()

    def issue_token(self, audience: str, lifetime: float = 3600, **claims: Any) -> str:
        """A token that the authority has signed, whatever it says."""
        return self._tokens.issue(audience, lifetime, **claims)

    def give_claims(self, client_id: str, **claims: Any) -> None:
        self._tokens.give(client_id, claims)

    def rotate_signing_key(self, keep: bool = True) -> None:
        self._tokens.rotate(keep)

    def use(self, resource: str, deployment: str, day: str = "", **tokens: int) -> None:
        """Somebody else has used a deployment: `requests`, `input`, `output`. `day`: YYYY-MM-DD, today when empty."""
        self.served.add(resource, deployment, day, **tokens)

    def set_quota(self, resource: str, deployment: str, **quota: Any) -> None:
        """`requests` and `tokens` in each `window` of seconds; what is over it is refused, or served by `spill_to`."""
        self.quotas.put(resource, deployment, **quota)

    def put_prices(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The rows of the Retail Prices API from now on."""
        self.management.prices.rows = list(rows)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the topic has taken."""
        return self.management.topic.events

    def add_deployment(self, resource: str, deployment: str, model: str) -> None:
        self._resources[resource].deployments[deployment] = model


def _tls_place(request: web.Request) -> str:
    return "vault" if request.path.startswith("/secrets/") else "authority"


def _listen(names: Sequence[str], base_port: int) -> dict[str, socket.socket]:
    """One socket a listener, opened before anything else: the addresses are part of what is served."""
    ports = range(base_port, base_port + len(names)) if base_port else [0] * len(names)
    return {name: socket.create_server((HOST, port), backlog=512) for name, port in zip(names, ports, strict=True)}


def _port(opened: socket.socket) -> int:
    return opened.getsockname()[1]
