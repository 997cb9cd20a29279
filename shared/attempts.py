"""From the deployments that may answer a call to its answer, or to the error that says why there is none.

Drives the call's journey (shared/routing): asks, moves on to aliases that stand in, waits, gives up. All of it happens
before the client's first byte. How one deployment is asked is asking.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from shared import errors
from shared.admission import Admission
from shared.asking import Asking, Unfit
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.delivery import Delivery, Refused
from shared.errors import ApiError, UpstreamFailed
from shared.expected import expected_usage
from shared.failures import of_failure, of_refusal
from shared.router_settings import FINAL, FailureKind
from shared.routing import Ask, Failure, NothingFits, Over, Router, Wait, Wish
from shared.types import Reply

MOST_WAITING = 256
MOST_HELD = 64 * 1024 * 1024
"""Calls that wait at once, and bytes of their bodies: who comes then is told at once when to come back."""
_DEAD: frozenset[FailureKind] = frozenset({"unreachable", "timeout", "server"})
_NOT_MADE: frozenset[FailureKind] = frozenset({*FINAL, "rate_limit", "unreachable", "auth"})
"""After these it is sure that nothing was made."""
_CLIENTS: frozenset[FailureKind] = FINAL - {"quota"}
"""Failures that another request would not have met; what is left of Azure's quota is the operator's business."""
_SOON = 0.05


class Unserved(Exception):
    """No deployment of one alias has answered. `public` is what the client would be told; unknown: what was to be made
    may have been."""

    def __init__(self, public: ApiError, kind: FailureKind, *, unknown: bool = False) -> None:
        super().__init__(public.message)
        self.public = public
        self.kind: FailureKind = kind
        self.unknown = unknown


@dataclass(slots=True)
class Waiting:
    """The calls of this process that wait for a deployment to be ready again."""

    calls: int = 0
    held: int = 0

    def full(self, size: int) -> bool:
        return self.calls >= MOST_WAITING or (self.held + size > MOST_HELD and self.held > 0)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Built once per configuration."""

    catalog: Catalog
    admission: Admission
    asking: Asking
    delivery: Delivery
    router: Router
    keeping: Router
    """For what resources keep: it takes nothing of a deployment's limits, and Azure limits each operation by itself."""
    clock: Callable[[], float]
    """Unix seconds."""
    waiting: Waiting = field(default_factory=Waiting)

    async def serve(self, call: Call, deadline: float) -> Reply:
        """deadline: Unix seconds; whoever calls ends the waiting then. Raises ApiError."""
        if (reply := self.asking.own_answer(call)) is not None:
            return reply
        wish = self._wish(call, deadline)
        # another alias is asked before anything is waited for
        has_spare = self._next_alias(call, "server", {call.alias}) is not None
        quick = replace(wish, num_retries=0, only_well=True) if has_spare else wish
        try:
            return await self._through(call, call.choices, quick)
        except Unfit as unfit:
            raise unfit.public from None
        except Unserved as failed:
            last = failed
        if (reply := await self._stood_in(call, last, quick)) is not None:
            return reply
        if has_spare and last.kind not in FINAL and not last.unknown:
            try:
                return await self._through(call, call.choices, replace(wish, again=True))
            except Unfit:
                pass
            except Unserved as failed:
                last = failed
        call.outcome = "client_error" if last.kind in _CLIENTS else "upstream_error"
        raise last.public

    def _wish(self, call: Call, deadline: float) -> Wish:
        said, choices = call.wishes, call.choices
        counts = len(choices) > 1 or any(d.tpm is not None or d.rpm is not None for d in choices)
        tokens = call.need.tokens or (expected_usage(call).total_tokens if counts else 0)
        key = self.admission.cache_key(call)
        return Wish(tokens, call.stream, key, call.tags, said.region, said.num_retries, deadline=deadline)

    async def _stood_in(self, call: Call, failed: Unserved, wish: Wish) -> Reply | None:
        """The answer of an alias that stands in; None when there is none."""
        tried, own = {call.alias}, call.served_alias
        while not failed.unknown and (alias := self._next_alias(call, failed.kind, tried)):
            tried.add(alias)
            if not (choices := self._spares(call, alias)):
                continue
            call.fallbacks += 1
            call.served_alias = alias
            try:
                return await self._through(call, choices, wish)
            except Unserved as again:
                failed = again
            except Unfit:  # what was asked is nothing for that model
                pass
            call.served_alias = own
        return None

    def _next_alias(self, call: Call, kind: FailureKind, tried: set[str]) -> str | None:
        """Which alias to give the call to, after the last one failed with this kind."""
        settings = self.catalog.router
        if not call.spares or len(tried) > settings.most_fallbacks:
            return None
        listed = settings.stand_ins(call.alias, kind)
        if kind not in _NO_OTHER:
            listed = (*call.wishes.fallbacks, *listed)
        return next((alias for alias in listed if alias not in tried), None)

    def _spares(self, call: Call, alias: str) -> Sequence[Deployment]:
        resources = call.opener.resources if call.opener else ()
        return self.admission.choices.stand_in(call, alias, resources)

    async def _through(self, call: Call, choices: Sequence[Deployment], wish: Wish) -> Reply:
        """One journey. Raises Unserved, Unfit, ApiError."""
        router = self.router if call.endpoint.target == "model" else self.keeping
        try:
            journey = router.begin(choices, wish, self.clock())
        except NothingFits as misfit:
            raise Unfit(_nothing_fits(misfit, call)) from None
        failure: Failure | None = None
        error: ApiError | None = None
        while True:
            step = journey.next(self.clock())
            if isinstance(step, Wait):
                await self._wait(call, step.seconds)
                continue
            if isinstance(step, Over):
                raise self._unserved(call, choices, wish, step, failure, error)
            call.attempts, call.journey, call.deployment = call.attempts + 1, journey, step.deployment
            try:
                return await self._attempt(call, step, wish)
            except Unfit:
                call.attempts -= 1
                if journey.has_more:
                    continue
                if error is None:
                    raise
                raise self._unserved(call, choices, wish, Over("failed"), failure, error) from None
            except UpstreamFailed as failed:
                failure, error, headers = of_failure(failed), errors.from_failure(failed), None
                self.delivery.note_failure(call, failed.kind, failed.detail)
            except Refused as refused:
                error, headers = refused.public, refused.headers
                failure = of_refusal(refused.status, error, headers, self.clock())
                self.delivery.note_failure(call, str(refused.status), refused.remedy or error.code or "")
            call.journey = None
            journey.failed(failure, self.clock(), headers)
            if call.making and failure.kind not in _NOT_MADE:
                raise Unserved(_of_home(call, failure.kind, error, None) or error, failure.kind, unknown=True)

    async def _attempt(self, call: Call, step: Ask, wish: Wish) -> Reply:
        """Raises UpstreamFailed, Refused, Unfit, ApiError. Whatever else ends it, nothing is in flight after it."""
        call.asked_at = self.delivery.timer()
        try:
            return await self.asking.attempt(call, step.deployment, step.timeout)
        except (UpstreamFailed, Refused):
            raise
        except asyncio.CancelledError:
            if call.client.gone:
                call.leave_unanswered()
            elif call.journey and self._is_to_blame(call, wish):
                journey, call.journey = call.journey, None
                journey.failed(Failure("timeout"), self.clock())
            call.left(self.clock(), tokens=0, good=True)
            raise
        except BaseException:
            call.left(self.clock(), tokens=0, good=True)
            raise

    def _is_to_blame(self, call: Call, wish: Wish) -> bool:
        """Whether the deployment, rather than the client, has used the call's time up."""
        form = call.request.form
        sent = form is None or form.complete
        return sent and call.wishes.timeout is None and self.clock() >= wish.deadline - _SOON

    async def _wait(self, call: Call, seconds: float) -> None:
        """Raises Unserved when so many wait that one more had better come back by itself."""
        size = len(call.request.body)
        if self.waiting.full(size):
            raise Unserved(errors.nothing_serves(seconds, limited=True), "rate_limit")
        self.waiting.calls += 1
        self.waiting.held += size
        try:
            await asyncio.sleep(seconds)
        finally:
            self.waiting.calls -= 1
            self.waiting.held -= size

    @property
    def total(self) -> float:
        """Seconds until the answer must have begun."""
        most = self.delivery.limits.first_byte
        return min(self.catalog.router.total or most, most)

    def _unserved(
        self,
        call: Call,
        choices: Sequence[Deployment],
        wish: Wish,
        over: Over,
        failure: Failure | None,
        error: ApiError | None,
    ) -> Unserved:
        if failure is None and self.clock() >= wish.deadline:
            return Unserved(errors.from_failure(UpstreamFailed("timeout")), "timeout")
        kind = failure.kind if failure else "rate_limit" if over.why == "limited" else "server"
        if error is not None and kind in FINAL:
            return Unserved(error, kind)
        if home := _of_home(call, kind, error, over.retry_after):
            return Unserved(home, kind)
        if error is None or (len(choices) > 1 and kind != "auth"):
            error = errors.nothing_serves(over.retry_after, limited=over.why == "limited" or kind == "rate_limit")
        elif over.retry_after is not None and "retry-after" not in error.headers:
            error.headers["retry-after"] = errors.whole_seconds(over.retry_after)
        return Unserved(error, kind)


_NO_OTHER: frozenset[FailureKind] = frozenset({"context_window", "content_filter", "bad_request"})
"""For these only the operator says who stands in."""


def _of_home(call: Call, kind: FailureKind, error: ApiError | None, retry_after: float | None) -> ApiError | None:
    """What a call names by id is kept by one resource, and that one does not answer."""
    if call.bound and kind in _DEAD and (error is None or error.status != 500):
        return errors.home_unavailable(retry_after)
    return None


def _nothing_fits(error: NothingFits, call: Call) -> ApiError:
    return errors.no_such_place(call.alias) if error.what == "region" else errors.no_such_tags(call.alias)
