"""`simulate`: which deployment would serve a call, and why; and how many calls would share themselves out.

The decisions are those of shared/routing, which is asked as the gateway asks it; here stand only the question and the
words of the answer. How many calls are played is played_calls.py's.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field, field_validator

from shared.call import served_by
from shared.catalog import Catalog, Deployment
from shared.endpoints import ENDPOINTS, Endpoint
from shared.errors import BadSetting, bad_request, model_not_found
from shared.operations.allowances import iso
from shared.operations.operation import Actor, Asked, Desk, Told
from shared.operations.played_calls import Played, play
from shared.operations.route_facts import Known, as_given, live, router_of
from shared.prompt_key import prompt_key
from shared.routing import Wish
from shared.routing.view import View
from shared.transform import answering
from shared.transform.terms import place_of

MOST_CALLS = 20_000
NEVER = ("limited", "unfit")
"""Ranks of which none is asked."""
_NAMES = tuple(name for name, row in ENDPOINTS.items() if row.target == "model")


class SimulateAsked(Asked):
    model: str = Field(description="The model that the call names: a model_name of the configuration.")
    endpoint: str = Field(
        default="chat_completions",
        description="The operation, by its name or its path: chat_completions or chat/completions, embeddings, "
        "responses_create, images_generations.",
    )
    stream: bool = Field(default=False, description="Whether the call asks for a stream.")
    tokens: int = Field(
        default=1000, ge=0, le=10_000_000, description="How many tokens it may take at most, in and out."
    )
    tags: list[str] = Field(default_factory=list[str], max_length=10, description="Tags that the call names.")
    region: str = Field(
        default="", max_length=64, description="The region or data zone (eu, us) that the call is bound to."
    )

    @field_validator("region")
    @classmethod
    def _place(cls, value: str) -> str:
        try:
            region, zone = place_of(value)
        except BadSetting as error:
            raise ValueError(f"{error}: {error.remedy}") from error
        return region or zone

    cache_key: str = Field(
        default="", max_length=200, description="Its prompt_cache_key; only the strategy prompt-cache goes by it."
    )
    num_retries: int | None = Field(
        default=None, ge=0, le=100, description="As the call bounds it; default: as the configuration has it."
    )
    down: list[str] = Field(
        default_factory=list[str],
        max_length=100,
        description="Deployments that are taken to be out of reach, by number or label: 1, gpt-4o#2.",
    )
    calls: int = Field(
        default=0,
        ge=0,
        le=MOST_CALLS,
        description="Play so many such calls, spread over a minute, and count which deployment serves each.",
    )
    seed: int = Field(default=1, description="Of the chance by which calls are shared out: the same, the same again.")
    state: dict[str, Any] | list[dict[str, Any]] | None = Field(
        default=None,
        json_schema_extra={"file": True},
        description="What instances have reported, as 'route reports --json' prints it, in place of what they report "
        "now; the time is then that of the newest report.",
    )


class SimulatedRow(Told):
    place: int | None = Field(
        description="Which of them is asked first, and next should that fail; of equals, one of them. Empty: never."
    )
    deployment: str = Field(description="Which of the model's deployments, by number.")
    id: str = Field(description="Resource and deployment, as in Azure.")
    order: int
    tier: str = Field(description="ptu, spill (beside provisioned throughput, paid by the token) or standard.")
    rank: str = Field(
        description="well; near (a limit); resting: asked for want of others; limited: rests because of a rate limit; "
        "unfit: by its tags or region."
    )
    share: float = Field(description="Percent of such calls that ask it first.")
    why: str
    served: int | None = Field(default=None, description="Calls that it served, of --calls.")
    asked: int | None = Field(default=None, description="Calls that it was asked for, failures included.")


class SimulateTold(Told):
    rows: list[SimulatedRow]
    strategy: str
    at: str = Field(description="The time of what is known, ISO 8601, UTC.")
    unserved: int = Field(default=0, description="Calls of --calls that nothing could serve.")
    waited: int = Field(default=0, description="Calls of --calls that had to wait, and were then served.")
    warnings: list[str] = Field(description="What else there is to know.")


async def simulate(asked: SimulateAsked, _: Actor, desk: Desk) -> SimulateTold:
    """Raises ApiError 400, 404; StoreUnavailable, ConfigError."""
    catalog, endpoint = await desk.catalog(), _endpoint(asked.endpoint)
    choices = _choices(catalog, endpoint, asked.model)
    down = _down(asked, choices)
    known = as_given(asked.state) if asked.state is not None else await live(desk)
    for name in down if catalog.router.cooldowns else ():  # as an instance would report it
        rest = {"at": known.now, "until": known.now + catalog.router.longest_cooldown, "why": "unreachable", "level": 0}
        known.states.hear({"at": known.now, "deployments": {name: {"rest": rest}}}, known.now)
    router = router_of(catalog, known, desk.prices, asked.seed)
    wish = Wish(
        tokens=asked.tokens,
        stream=asked.stream,
        cache_key=prompt_key({"prompt_cache_key": asked.cache_key})
        if catalog.router.strategy == "prompt-cache"
        else "",
        tags=tuple(asked.tags),
        region=asked.region,
        num_retries=asked.num_retries,
    )
    views = await asyncio.to_thread(router.view, choices, wish, known.now)
    told = SimulateTold(rows=[], strategy=catalog.router.strategy, at=iso(known.now), warnings=[])
    played = await asyncio.to_thread(play, router, choices, wish, asked.calls, known, down)
    for place, view in enumerate(_likely_first(views), 1):
        name, never = view.deployment.id, view.rank in NEVER
        told.rows.append(
            SimulatedRow(
                place=None if never else place,
                deployment=view.deployment.label,
                id=name,
                order=view.deployment.order,
                tier=served_by(view.deployment, choices, {}) or "standard",
                rank=view.rank,
                share=round(100 * view.share, 1),
                why=view.why,
                served=played.served[name] if asked.calls else None,
                asked=played.asked[name] if asked.calls else None,
            )
        )
    told.unserved, told.waited = played.unserved, played.waited
    told.warnings = list(_notes(asked, catalog, known, played, told.rows))
    return told


def _likely_first(views: Sequence[View]) -> Iterator[View]:
    """Of equals the one that is asked most often stands first."""
    for _, equals in itertools.groupby(views, key=lambda view: (view.rank, view.deployment.order)):
        yield from sorted(equals, key=lambda view: -view.share)


def _endpoint(text: str) -> Endpoint:
    path = text.strip("/").removeprefix("v1/")
    for name in _NAMES:
        if path in (name, ENDPOINTS[name].path):
            return ENDPOINTS[name]
    raise bad_request(f"endpoint: write one of {', '.join(_NAMES)}.", param="endpoint", code="invalid_value")


def _choices(catalog: Catalog, endpoint: Endpoint, model: str) -> Sequence[Deployment]:
    if not catalog.of(model):
        raise model_not_found(model)
    if found := answering(endpoint, catalog.of(model)):
        return found
    raise bad_request(
        f"The model '{model}' does not serve /{endpoint.path}.", param="endpoint", code="unsupported_operation"
    )


def _down(asked: SimulateAsked, choices: Sequence[Deployment]) -> frozenset[str]:
    by_name = {name: d.id for d in choices for name in (str(d.number), d.label, d.id)}
    if unknown := [name for name in asked.down if name not in by_name]:
        raise bad_request(
            f"down: {unknown[0]!r} is none of the deployments that may answer: {', '.join(d.label for d in choices)}.",
            param="down",
            code="invalid_value",
        )
    return frozenset(by_name[name] for name in asked.down)


def _notes(
    asked: SimulateAsked, catalog: Catalog, known: Known, played: Played, rows: Sequence[SimulatedRow]
) -> Iterator[str]:
    settings = catalog.router
    if not known.instances:
        yield "no instance has reported within the last minute: all deployments count as well, and as not used."
    if all(row.rank == "unfit" for row in rows):
        yield "no deployment fits the call's tags and region: it would be refused with 400."
    elif all(row.place is None for row in rows):
        yield "nothing can be asked now: the call would wait, or be refused with 429 and Retry-After."
    if any(n > 1 for n in Counter((row.rank, row.order) for row in rows if row.share > 0).values()):
        yield f"among equals the strategy {settings.strategy} decides."
    if settings.strategy == "prompt-cache" and not asked.cache_key:
        yield "without --cache-key the calls have no beginning in common, and the weights decide."
    if others := settings.fallbacks.get(asked.model, settings.default_fallbacks):
        yield f"should none of them answer, fallbacks lead to: {', '.join(others)}."
    if asked.calls:
        yield (
            f"of {asked.calls:,} calls within a minute {played.unserved:,} could not be served, and {played.waited:,} "
            "were served after a wait."
        )
