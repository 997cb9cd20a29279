"""The control API: the fake's state, faults, recorded requests, rotation and deployments, over HTTP.

Owns the paths and their JSON. Every action is one of the methods of `Controls`, which tests in the same process
call directly.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web

from .batch_desk import BatchDesk
from .faults import FaultQueue
from .management.arranged import Arranged
from .recorder import RequestLog
from .webhooks import Webhooks

_POLL = 0.01


class Controls(Protocol):
    """What can be done to a running fake."""

    log: RequestLog
    faults: FaultQueue
    batches: BatchDesk
    webhooks: Webhooks
    arm: Arranged

    def describe(self) -> dict[str, Any]: ...
    def add_fault(self, kind: str, **parameters: Any) -> None: ...
    def put_secret(self, name: str, value: str) -> None: ...
    def set_key(self, resource: str, key: str) -> None: ...
    def expire_tokens(self) -> None: ...
    def issue_token(self, audience: str, lifetime: float = 3600, **claims: Any) -> str: ...
    def give_claims(self, client_id: str, **claims: Any) -> None: ...
    def rotate_signing_key(self, keep: bool = True) -> None: ...
    def add_deployment(self, resource: str, deployment: str, model: str) -> None: ...
    def use(self, resource: str, deployment: str, day: str = "", **tokens: int) -> None: ...
    def set_quota(self, resource: str, deployment: str, **quota: Any) -> None: ...
    def put_prices(self, rows: Sequence[Mapping[str, Any]]) -> None: ...
    @property
    def events(self) -> list[dict[str, Any]]: ...
    def clear(self) -> Any: ...
    def kill(self, resource: str) -> Any: ...
    def revive(self, resource: str) -> Any: ...
    def end_batch(self, resource: str, batch: str, how: str = "completed", errors: Sequence[Any] = ()) -> Any: ...
    def send_webhook(self, resource: str, event: str, batch: str, **more: Any) -> Any: ...


class ControlApp:
    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/state", self.state),
            web.post("/control/faults", self.add_fault),
            web.get("/control/faults", self.faults),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/requests", self.requests),
            web.delete("/control/requests", self.clear_requests),
            web.post("/control/clear", self.clear),
            web.post("/control/secrets/{name}", self.put_secret),
            web.post("/control/keys", self.set_key),
            web.post("/control/tokens/expire", self.expire_tokens),
            web.post("/control/tokens/issue", self.issue_token),
            web.post("/control/tokens/rotate", self.rotate_signing_key),
            web.post("/control/claims/{client_id}", self.give_claims),
            web.post("/control/deployments", self.add_deployment),
            web.post("/control/use", self.use),
            web.post("/control/quotas", self.set_quota),
            web.post("/control/prices", self.put_prices),
            web.get("/control/events", self.events),
            *self._batch_routes(),
        ]

    def _batch_routes(self) -> list[web.RouteDef]:
        """What is ordered of batches, webhooks, whole resources, Resource Manager: each is the method that it names."""
        controls, batches, webhooks = self._controls, self._controls.batches, self._controls.webhooks
        arm = controls.arm
        actions: Mapping[str, Callable[..., Any]] = {
            "batches": batches.set,
            "batches/hold": batches.hold,
            "batches/release": batches.release,
            "batches/end": controls.end_batch,
            "webhooks": webhooks.register,
            "webhooks/send": controls.send_webhook,
            "kill": controls.kill,
            "revive": controls.revive,
            "arm/account": arm.set_account,
            "arm/deployment": arm.set_deployment,
            "arm/roles": arm.set_roles,
            "arm/usage": arm.set_usage,
            "arm/scaling": arm.set_scaling,
        }

        def posted(action: Callable[..., Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
            async def act(request: web.Request) -> web.Response:
                return await _act(request, action)

            return act

        async def listed(request: web.Request) -> web.Response:
            """`?resource=NAME`"""
            return await _act(request, lambda: batches.rows(request.query["resource"]))

        async def delivered(_request: web.Request) -> web.Response:
            return _json(webhooks.deliveries)

        return [
            *(web.post(f"/control/{path}", posted(action)) for path, action in actions.items()),
            web.get("/control/batches", listed),
            web.get("/control/webhooks", delivered),
        ]

    async def state(self, _request: web.Request) -> web.Response:
        return _json(self._controls.describe())

    async def add_fault(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.add_fault)

    async def faults(self, _request: web.Request) -> web.Response:
        return _json(self._controls.faults.snapshot())

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._controls.faults.clear()
        return _json({})

    async def requests(self, request: web.Request) -> web.Response:
        """`?settled=SECONDS` first waits, at most so long, until no request is being answered."""
        query, log = request.query, self._controls.log
        for _ in range(int(float(query.get("settled", 0)) / _POLL)):
            if log.idle:
                break
            await asyncio.sleep(_POLL)
        records = log.snapshot(query.get("resource"), query.get("path_contains", ""))
        return _json([record.as_dict() for record in records])

    async def clear_requests(self, _request: web.Request) -> web.Response:
        self._controls.log.clear()
        return _json({})

    async def clear(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.clear)

    async def put_secret(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.put_secret, name=request.match_info["name"])

    async def set_key(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.set_key)

    async def expire_tokens(self, _request: web.Request) -> web.Response:
        self._controls.expire_tokens()
        return _json({})

    async def issue_token(self, request: web.Request) -> web.Response:
        """`audience`, `lifetime`, and any claims. -> {"access_token": …}"""
        return await _act(request, lambda **given: {"access_token": self._controls.issue_token(**given)})

    async def rotate_signing_key(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.rotate_signing_key)

    async def give_claims(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.give_claims, client_id=request.match_info["client_id"])

    async def add_deployment(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.add_deployment)

    async def use(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.use)

    async def set_quota(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.set_quota)

    async def put_prices(self, request: web.Request) -> web.Response:
        return await _act(request, self._controls.put_prices)

    async def events(self, _request: web.Request) -> web.Response:
        return _json(self._controls.events)


async def _act(request: web.Request, action: Callable[..., Any], **given: str) -> web.Response:
    """Calls the action with the members of the JSON body; says what is wrong with them."""
    try:
        body: Mapping[str, Any] = orjson.loads(await request.read() or b"{}")
        told = action(**{**body, **given})
        if inspect.isawaitable(told):
            told = await told
    except (ValueError, TypeError, KeyError) as error:
        return _json({"error": str(error)}, 400)
    return _json(told or {})


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
