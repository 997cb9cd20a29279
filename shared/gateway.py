"""The one pipeline: a client's call in, an answer out.

Call order: relay → admission.admit → accounts.reserve → attempts.serve → asking.attempt → delivery.reply. Everything
outside is a port; what a body or an event looks like is the transforms' business, never this module's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import unquote

from shared import auth, errors
from shared.accounts import Accounts
from shared.admission import Admission
from shared.asking import Asking
from shared.attempts import Attempts
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.choices import Choices
from shared.delivery import Delivery, Limits
from shared.endpoints import ENDPOINTS
from shared.errors import ApiError, UpstreamFailed
from shared.expected import token_price
from shared.here import Here
from shared.limits import FreeCapacity
from shared.objects import Registry
from shared.ports import Callers, CallLog, Capacity, Client, ClientGone, KeyStore, StoreUnavailable, Upstream
from shared.principals import Principal
from shared.routing import Router, States
from shared.tagging import tags_of, user_of
from shared.transform.models import describe_model, list_models
from shared.types import ApiRequest, Reply


@dataclass(slots=True)
class Gateway:
    """Built once per configuration; holds no state of single calls."""

    catalog: Catalog
    admission: Admission
    keys: KeyStore
    callers: Callers | None
    attempts: Attempts
    delivery: Delivery
    accounts: Accounts
    log: CallLog
    pepper: bytes
    clock: Callable[[], float]
    """Unix seconds."""
    here: Here | None = None

    async def authenticate(self, request: ApiRequest) -> Principal:
        """Raises ApiError 401, 403, or 503 when the key store or Entra's signing keys cannot be asked."""
        try:
            principal = await self._principal(request.headers)
        except StoreUnavailable as error:
            self.log.warning("key store unavailable", error=str(error))
            raise errors.unavailable(
                "The gateway cannot check keys at the moment. Retry in a few seconds.", "key_store_unavailable"
            ) from error
        principal = auth.check(principal, self.clock())
        endpoint = ENDPOINTS[request.endpoint]
        if endpoint.shape != "models" and not principal.may_call(endpoint.name, endpoint.path):
            raise errors.endpoint_not_allowed(endpoint.path)
        return principal

    async def _principal(self, headers: Mapping[str, str]) -> Principal | None:
        if self.callers is not None and (token := auth.token_of(headers)):
            return await self.callers.principal(token)
        return await self.keys.get(auth.key_digest(self.pepper, auth.key_of(headers)))

    def models(self, request: ApiRequest, principal: Principal) -> bytes:
        """The models that the key may use, or one of them, as JSON. Raises ApiError."""
        allowed = [a for a in self.catalog.aliases() if principal.may_use(a)]
        if request.endpoint == "models_list":
            return list_models(self.catalog, allowed, self._costs)
        alias = unquote(request.path_params.get("alias", ""))
        if alias not in allowed:
            raise errors.model_not_found(alias)
        return describe_model(self.catalog, alias, self._costs)

    def _costs(self, deployment: Deployment) -> Mapping[str, float]:
        return self.accounts.prices.figures(deployment, self.clock())

    async def relay(self, request: ApiRequest, principal: Principal, client: Client) -> Reply:
        """Answer one call by a deployment. Raises ApiError; then the record has been written already."""
        call = Call(request, ENDPOINTS[request.endpoint], client, self.delivery.timer(), self.clock())
        call.principal = principal
        self.accounts.usage.begin()
        try:
            call.tags = tags_of(request.headers, principal.tags)
            await self.admission.admit(call)
            call.user = user_of(call.body)
            await self.accounts.reserve(call)
            return await self._answer(call)
        except ApiError as error:
            error.headers.update({name.decode(): value.decode() for name, value in call.own_headers()})
            call.status = error.status
            if call.outcome == "ok":
                call.outcome = "client_error" if error.status < 500 else "upstream_error"
            await self.accounts.settle_early(call)
            await self.accounts.settle(call)
            raise
        except ClientGone:  # in the middle of its upload
            call.status, call.outcome = 499, "client_closed"
            await self.accounts.settle(call)
            raise
        except BaseException:
            call.status, call.outcome = 500, "gateway_error"
            await self.accounts.settle(call)
            raise

    async def _answer(self, call: Call) -> Reply:
        """All of it happens before the client's first byte, and within its time."""
        patience = min(self.attempts.total, call.wishes.timeout or self.attempts.total)
        stop: Callable[[], None] | None = None
        try:
            async with asyncio.timeout(patience) as deadline:
                if not self.delivery.limits.drain:
                    stop = call.client.when_gone(lambda: deadline.reschedule(0))
                if call.here:
                    return await self._here(call)
                if call.endpoint.target == "list":
                    return await self.attempts.asking.list_own(call)
                return await self.attempts.serve(call, self.clock() + patience)
        except TimeoutError:
            if call.client.gone:
                call.outcome = "client_closed"
                raise ApiError(499, "The client closed the connection.", code="client_closed") from None
            allowed = call.wishes.timeout
            if allowed is not None and allowed <= patience:
                raise errors.too_slow_for(allowed) from None
            raise errors.from_failure(UpstreamFailed("timeout")) from None
        finally:
            if stop:
                stop()

    async def _here(self, call: Call) -> Reply:
        """Raises ApiError."""
        assert self.here is not None
        try:
            return self.delivery.here(call, await self.here.answer(call))
        except StoreUnavailable as error:
            self.log.warning("storage unavailable", request_id=call.request.id, error=str(error))
            raise errors.unavailable(
                "The gateway's storage does not answer at the moment. Retry in a few seconds.", "storage_unavailable"
            ) from error


def assembled(
    catalog: Catalog,
    registry: Registry,
    accounts: Accounts,
    upstream: Upstream,
    limits: Limits,
    keys: KeyStore,
    *,
    states: States,
    capacity: Capacity,
    rng: Random,
    callers: Callers | None = None,
    pepper: bytes = b"",
    here: Here | None = None,
    routing: type[Router] = Router,
) -> Gateway:
    """The pipeline of one configuration."""
    owners, log, clock = accounts.owners, accounts.log, accounts.clock
    choices = Choices(catalog, registry)
    admission = Admission(catalog, registry, choices, keeps=here is not None)
    delivery = Delivery(accounts, owners, log, accounts.timer, limits)
    asking = Asking(choices, owners, upstream, delivery, catalog.router, here)

    def price(deployment: Deployment) -> float:
        return token_price(accounts.prices, deployment, clock())

    router = routing(catalog.router, states, capacity, rng, price)
    keeping = Router(replace(catalog.router, cooldowns=False), States(), FreeCapacity(), rng, price)
    attempts = Attempts(catalog, admission, asking, delivery, router, keeping, clock)
    return Gateway(catalog, admission, keys, callers, attempts, delivery, accounts, log, pepper, clock, here)
