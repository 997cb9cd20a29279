"""From the deployments that may answer a call to its answer, or to the error that says why there is none.

Drives the call's journey (shared/routing): asks, waits, moves on to aliases that stand in, gives up. All of it happens
before the client's first byte. How one deployment is asked is asking.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared import errors
from shared.admission import Admission
from shared.asking import Asking
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.delivery import Delivery, Refused
from shared.errors import ApiError, UpstreamFailed
from shared.failures import of_failure, of_refusal
from shared.router_settings import FINAL, FailureKind
from shared.routing import Ask, Failure, NothingFits, Over, Router, Wait, Wish
from shared.types import Reply

_DEAD: frozenset[FailureKind] = frozenset({"unreachable", "timeout", "server"})
_CLIENTS: frozenset[FailureKind] = FINAL - {"quota"}
"""Failures that another request would not have met; what is left of Azure's quota is the operator's business."""
_SOON = 0.05


class Unserved(Exception):
    """No deployment of one alias has answered. `public` is what the client would be told."""

    def __init__(self, public: ApiError, kind: FailureKind) -> None:
        super().__init__(public.message)
        self.public = public
        self.kind: FailureKind = kind


@dataclass(frozen=True, slots=True)
class Attempts:
    """Built once per configuration."""

    catalog: Catalog
    admission: Admission
    asking: Asking
    delivery: Delivery
    router: Router
    keeping: Router
    """For what resources keep: it takes nothing of a deployment's limits, which may be used up while it works."""
    clock: Callable[[], float]
    """Unix seconds."""

    async def serve(self, call: Call, deadline: float) -> Reply:
        """deadline: Unix seconds; whoever calls ends the waiting then. Raises ApiError."""
        wish = self._wish(call, deadline)
        try:
            return await self._through(call, call.choices, wish)
        except Unserved as failed:
            first = failed
        tried, kind = {call.alias}, first.kind
        while alias := self._next_alias(call, kind, tried):
            tried.add(alias)
            if not (choices := self.admission.choices.stand_in(call, alias)):
                continue
            call.fallbacks += 1
            try:
                reply = await self._through(call, choices, wish)
            except Unserved as failed:
                kind = failed.kind
            except ApiError:  # what was asked is nothing for that model
                continue
            else:
                call.served_alias = alias
                return reply
        call.outcome = "client_error" if first.kind in _CLIENTS else "upstream_error"
        raise first.public

    def _wish(self, call: Call, deadline: float) -> Wish:
        said = call.wishes
        tokens = call.need.tokens or len(call.request.body) // 4
        # what is kept must not be made twice: a call that failed in an unknown state may have made it
        making = call.endpoint.target != "model" and call.endpoint.method != "GET"
        retries = 0 if making else said.num_retries
        return Wish(tokens, call.stream, self.admission.cache_key(call), call.tags, said.region, retries, deadline)

    def _next_alias(self, call: Call, kind: FailureKind, tried: set[str]) -> str | None:
        """Which alias to give the call to, after the last one failed with this kind."""
        if call.wishes.fallbacks_off or call.endpoint.target != "model":
            return None
        if len(tried) > self.catalog.router.most_fallbacks:
            return None
        return next((alias for alias in self._listed(call, kind) if alias not in tried), None)

    def _listed(self, call: Call, kind: FailureKind) -> Sequence[str]:
        settings, alias = self.catalog.router, call.alias
        if kind == "context_window":
            return settings.context_window_fallbacks.get(alias, ())
        if kind == "content_filter":
            return settings.content_policy_fallbacks.get(alias, ())
        if kind in ("bad_request", "conflict"):  # it would be as bad for another model
            return ()
        return (*call.wishes.fallbacks, *settings.fallbacks.get(alias, settings.default_fallbacks))

    async def _through(self, call: Call, choices: Sequence[Deployment], wish: Wish) -> Reply:
        """One journey. Raises Unserved, ApiError."""
        try:
            router = self.router if call.endpoint.target == "model" else self.keeping
            journey = router.begin(choices, wish, self.clock())
        except NothingFits as misfit:
            raise _nothing_fits(misfit, call) from None
        before, failure = call.attempts, None
        error: ApiError | None = None
        while True:
            step = journey.next(self.clock())
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                continue
            if isinstance(step, Over):
                raise self._unserved(call, choices, step, failure, error)
            call.attempts, call.journey, call.deployment = before + journey.attempts, journey, step.deployment
            try:
                return await self._attempt(call, step)
            except UpstreamFailed as failed:
                failure, error, headers = of_failure(failed), errors.from_failure(failed), None
                self.delivery.note_failure(call, failed.kind, failed.detail)
            except Refused as refused:
                error, headers = refused.public, refused.headers
                failure = of_refusal(refused.status, error, headers, self.clock())
                self.delivery.note_failure(call, str(refused.status), error.code or "")
            call.journey = None
            journey.failed(failure, self.clock(), headers)

    async def _attempt(self, call: Call, step: Ask) -> Reply:
        """Raises UpstreamFailed, Refused, ApiError. Whatever else ends it, nothing is in flight after it."""
        call.asked_at = self.delivery.timer()
        try:
            return await self.asking.attempt(call, step.deployment, step.timeout)
        except (UpstreamFailed, Refused):
            raise
        except BaseException:
            if call.journey and not call.client.gone and self.clock() >= call.at + self.total - _SOON:
                journey, call.journey = call.journey, None
                journey.failed(Failure("timeout"), self.clock())  # it was the operator's patience that ended
            call.left(self.clock(), tokens=0, good=True)
            raise

    @property
    def total(self) -> float:
        """Seconds from a call's beginning until its answer must have begun."""
        most = self.delivery.limits.first_byte
        return min(self.catalog.router.total or most, most)

    def _unserved(
        self, call: Call, choices: Sequence[Deployment], over: Over, failure: Failure | None, error: ApiError | None
    ) -> Unserved:
        kind = failure.kind if failure else "rate_limit" if over.why == "limited" else "server"
        if error is not None and kind in FINAL:
            return Unserved(error, kind)
        if call.bound and kind in _DEAD and (error is None or error.status != 500):
            return Unserved(errors.home_unavailable(over.retry_after), kind)
        if error is None or (len(choices) > 1 and kind != "auth"):
            error = errors.nothing_serves(over.retry_after, limited=over.why == "limited" or kind == "rate_limit")
        elif over.retry_after is not None and "retry-after" not in error.headers:
            error.headers["retry-after"] = errors.whole_seconds(over.retry_after)
        return Unserved(error, kind)


def _nothing_fits(error: NothingFits, call: Call) -> ApiError:
    return errors.no_such_place(call.alias) if error.what == "region" else errors.no_such_tags(call.alias)
