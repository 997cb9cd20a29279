"""What is known of one call while it runs, and the record that is left of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.catalog import Deployment
from shared.endpoints import Endpoint
from shared.objects import Opener
from shared.ports import Client, Grant, Prices
from shared.prices.spill import is_spilled
from shared.principals import Principal
from shared.routing import Journey
from shared.transform import Answer, Stream
from shared.types import NO_COST, ApiRequest, CapacityTier, Cost, Json, Need, Outcome, RawHeaders, Usage, UsageRecord
from shared.usage import estimate_usage
from shared.wishes import NONE, Wishes

NO_USAGE = Usage()
NO_NEED = Need()


@dataclass(slots=True)
class Call:
    """What is known of one call while it runs."""

    request: ApiRequest
    endpoint: Endpoint
    client: Client
    began: float
    at: float
    principal: Principal | None = None
    alias: str = ""
    known: bool = False
    """Whether the alias exists: an unknown one is any text a client sends, and must not become a row."""
    body: Json = field(default_factory=dict[str, Any])
    """Its ids opened; the text fields of a form."""
    operation: str = ""
    """The endpoint's path with the upstream's own ids in it."""
    query: str = ""
    """What is passed on of the query, encoded, its ids opened."""
    choices: Sequence[Deployment] = ()
    """Deployments that may answer: those of the alias that can, or the one by which a resource is asked."""
    spares: Sequence[Deployment] = ()
    """Deployments of all aliases that may stand in."""
    wishes: Wishes = NONE
    """What the client says of routing."""
    journey: Journey | None = None
    """Over the deployments of one alias: its own, or one that stands in for it."""
    asked_at: float = 0.0
    """When the present attempt began, as `began`."""
    fallbacks: int = 0
    """Aliases that it was given to besides its own."""
    served_alias: str = ""
    """The one of them that has answered."""
    capacity: CapacityTier = ""
    blameless: bool = False
    """It broke off for a reason that says nothing against the deployment."""
    here: bool = False
    """It is answered by the gateway itself (here.py)."""
    deferred: bool = False
    """It asks a model, and its answer is fetched later."""
    stream: bool = False
    raw_type: str = ""
    """Of a body that is neither JSON nor a form."""
    opener: Opener | None = None
    """Has opened the request's ids; opens those of a form's later fields."""
    deployment: Deployment | None = None
    billed: Deployment | None = None
    """By whose terms it is paid, once an answer has begun: another when Azure has spilled the call over."""
    attempts: int = 0
    status: int = 200
    outcome: Outcome = "ok"
    first_token: float | None = None
    settled: bool = False
    paid: list[tuple[Deployment, Usage]] = field(default_factory=list[tuple[Deployment, Usage]])
    """What deployments were paid for that did not answer the whole call: of its parts, some were answered."""
    need: Need = NO_NEED
    """What it reserved of its limits."""
    grant: Grant | None = None
    """What it was granted of its limits; None before that, and when nothing limits the caller."""
    costed: tuple[Answer | Stream, tuple[Usage, Cost]] | None = None
    tags: tuple[str, ...] = ()
    user: str = ""
    answer: Answer | Stream | None = None
    usage: Usage = NO_USAGE

    def own_headers(self) -> RawHeaders:
        """What every answer and every error says: what is left of limits, and how the call was routed."""
        headers = self.grant.headers() if self.grant else []
        if self.attempts:
            headers.append((b"x-tollgate-attempts", b"%d" % self.attempts))
        if self.fallbacks:
            headers.append((b"x-tollgate-fallbacks", b"%d" % self.fallbacks))
        return headers

    @property
    def making(self) -> bool:
        """Whether it makes something that stays, so that a call which failed in an unknown state may have made it."""
        if self.endpoint.method != "POST":
            return False
        return self.endpoint.target != "model" or self.endpoint.shape in _STAYS or self.body.get("background") is True

    @property
    def bound(self) -> bool:
        """Whether what it names is kept by one resource, so that no other can serve it."""
        return bool(self.opener and self.opener.resources)

    def answered(self, now: float, headers: Mapping[str, str], billed: Deployment) -> None:
        """A deployment's answer has begun, well. now: Unix seconds; billed: by whose terms it is paid."""
        assert self.deployment is not None
        self.billed = billed
        if self.journey:
            self.journey.answered(now, headers)
            if self.endpoint.target == "model":
                self.capacity = served_by(self.deployment, self.journey.deployments, headers)

    def leave_unanswered(self) -> None:
        """The client has left while a deployment was being asked, which counts what it had been sent."""
        self.usage = estimate_usage(self.body, 0)

    def left(self, now: float, *, tokens: int, good: bool) -> None:
        """Whatever becomes of it, it is in flight no more. now: Unix seconds."""
        if self.journey:
            journey, self.journey = self.journey, None
            first = self.first_token
            seconds = self.began + first - self.asked_at if first is not None and self.stream else None
            journey.ended(now, tokens, seconds, good=good)

    @property
    def complete(self) -> bool:
        """Whether the client has all of the answer: SDKs close the connection as soon as they have read [DONE]."""
        return self.answer is not None and self.answer.ended

    def costs(self, prices: Prices) -> tuple[Usage, Cost]:
        """What was used and what that costs. Of a whole answer it is asked twice, and worked out once."""
        if self.costed and self.costed[0] is self.answer:
            return self.costed[1]
        usage = self.answer.usage_or_estimate() if self.answer else self.usage
        paid = self.billed or self.deployment
        found = usage, prices.cost(paid, usage, self.at) if paid else NO_COST
        if self.answer:
            self.costed = self.answer, found
        return found

    def record(self, now: float, prices: Prices) -> UsageRecord:
        """The row of the ledger. `now`: on the clock that gave `began`."""
        principal, deployment = self.principal, self.billed or self.deployment
        assert principal is not None
        usage, cost = self.costs(prices)
        for asked, parts in self.paid:
            more = prices.cost(asked, parts, self.at)
            usage = replace(usage, input_tokens=usage.input_tokens + parts.input_tokens)
            cost = Cost(cost.nanos + more.nanos, cost.priced and more.priced, cost.basis or more.basis)
        return UsageRecord(
            request_id=self.request.id,
            at=self.at,
            key_id=principal.key_id,
            key_name=principal.name,
            team=principal.team,
            alias=self.alias if self.known else "",
            endpoint=self.endpoint.name,
            deployment=deployment.id if deployment else "",
            label=deployment.label if deployment else "",
            upstream_model=(self.answer.model if self.answer else "") or (deployment.model if deployment else ""),
            status=self.status,
            outcome=self.outcome,
            stream=self.stream,
            attempts=self.attempts,
            usage=usage,
            latency=now - self.began,
            first_token=self.first_token,
            cost=cost,
            tags=self.tags,
            user=self.user,
            shadow=self.grant.shadow if self.grant else "",
            capacity=self.capacity,
            served_alias=self.served_alias,
        )


_STAYS = frozenset({"videos", "realtime"})


def served_by(deployment: Deployment, choices: Sequence[Deployment], headers: Mapping[str, str]) -> CapacityTier:
    """Of an alias with provisioned throughput: what served. choices: those that fit the call; headers:
    of the answer."""
    if deployment.terms.provisioned:
        return "azure-spill" if is_spilled(headers) else "ptu"
    return "spill" if any(other.terms.provisioned for other in choices) else ""
