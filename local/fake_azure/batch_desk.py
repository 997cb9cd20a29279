"""What was ordered of the batches of each resource: how long they take, how they look, what holds them, how they end.

Owns the orders and hands them on. What becomes of a batch is `stateful/batches`, which joins the desk once a resource.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, cast, get_args

from .webhooks import Webhooks

Json = dict[str, Any]
Style = Literal["", "early", "usual"]
Refusal = Literal["429", "400", "late"]
End = Literal["completed", "failed", "expired", "cancelled"]
_ORDERED = ("completed", "failed", "expired")
HOLDABLE = ("validating", "in_progress", "finalizing", "completed", "cancelling")


@dataclass(frozen=True, slots=True)
class Terms:
    """How one resource does batches."""

    seconds: float = 0.005  # that a state lasts at least
    line_seconds: float = 0.0  # that a line takes
    files_late: float = 0.0  # seconds from the end of a batch until it tells the ids of its files
    style: Style = ""  # of Azure's JSON; empty: early with api-versions before 2024-08-01, usual with all others
    tokens: int | None = None  # that may wait for one deployment
    batches: int | None = None  # that may be open at once
    refusal: Refusal = "429"  # of what is over these limits; late: the batch is made and fails
    lines: int = 100_000  # of an input file
    storage: str = ""  # connection string of the account that the resource's identity may use; empty: of none
    slow_files: bool = False  # a file for a batch can be used only after somebody has looked at it
    deployments: Mapping[str, bool] = field(default_factory=dict[str, bool])  # which do batches, and which do not

    def does_batches(self, deployment: str, model: str, kind: str) -> bool:
        """Unless it was set: on Azure those that are called so, with OpenAI all."""
        usual = kind == "plain" or "batch" in deployment.lower() or "batch" in model.lower()
        return self.deployments.get(deployment, usual)


class Jobs(Protocol):
    """The batches of one resource."""

    def wake(self) -> None:
        """Something was ordered: whoever waits looks again. Called on the loop."""
        ...

    async def end(self, batch: str, how: End, errors: Iterable[Mapping[str, Any]]) -> None: ...
    def rows(self) -> list[Json]: ...
    async def stop(self) -> None: ...


class BatchDesk:
    """Orders may come from any thread; `end` has to run on the fake's loop."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.webhooks = webhooks
        self._terms: dict[str, Terms] = {}
        self._jobs: dict[str, tuple[Jobs, asyncio.AbstractEventLoop]] = {}
        self._held: dict[tuple[str, str, str], int] = {}  # resource, state, batch or empty: lines answered before it
        self._standing: set[str] = set()  # resources that are down

    def join(self, resource: str, jobs: Jobs) -> None:
        self._jobs[resource] = (jobs, asyncio.get_running_loop())

    # What batches ask.

    def terms(self, resource: str) -> Terms:
        return self._terms.get(resource) or Terms()

    def holds(self, resource: str, state: str, batch: str, lines: int | None = None) -> bool:
        """Whether the batch has to stay in the state. `lines`: that were answered, of a batch that is at work."""
        if resource in self._standing:
            return True
        found = [self._held.get((resource, state, of)) for of in (batch, "")]
        return any(most is not None and (lines is None or lines >= most) for most in found)

    # What is ordered.

    def set(self, resource: str, **terms: Any) -> None:
        """Members of Terms; what is not given stays. `deployments` is added to what was set before."""
        self._known(resource)
        unknown = set(terms) - {member.name for member in fields(Terms)}
        if unknown:
            raise ValueError(f"unknown terms of batches: {', '.join(sorted(unknown))}")
        for name, words in (("style", get_args(Style)), ("refusal", get_args(Refusal))):
            if name in terms and terms[name] not in words:
                raise ValueError(f"{name} is one of {', '.join(map(repr, words))}")
        now = self.terms(resource)
        if "deployments" in terms:
            terms["deployments"] = {**now.deployments, **terms["deployments"]}
        self._terms[resource] = replace(now, **terms)

    def hold(self, resource: str, state: str, lines: int = 0, batch: str = "") -> None:
        """Batches stay in the state. `lines`: so many are answered before one stays in in_progress. `completed`: it is
        complete, but does not tell its files."""
        self._known(resource)
        if state not in HOLDABLE:
            raise ValueError(f"a batch can be held in one of {', '.join(HOLDABLE)}")
        self._held[resource, state, batch] = lines

    def release(self, resource: str, state: str = "", batch: str = "") -> None:
        """Of all that is held, what fits."""
        for of, held, which in list(self._held):
            if of == resource and state in ("", held) and batch in ("", which):
                del self._held[of, held, which]
        self._wake(resource)

    def stand(self, resource: str, standing: bool) -> None:
        """The batches of a resource that is down stand still."""
        (self._standing.add if standing else self._standing.discard)(resource)
        self._wake(resource)

    async def end(
        self, resource: str, batch: str, how: str = "completed", errors: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Now, whatever holds it; returns when it has ended. One that is being cancelled ends as cancelled.

        `errors`, of one that fails: `code`, `message`, `line`, `param`.
        """
        if how not in _ORDERED:
            raise ValueError(f"a batch is ended as one of {', '.join(_ORDERED)}; it is cancelled by a request")
        await self._known(resource).end(batch, cast("End", how), errors)

    def rows(self, resource: str) -> list[Json]:
        """All batches of a resource as they are, whatever the resource tells of them."""
        return self._known(resource).rows()

    def clear(self) -> None:
        """Forgets the orders; batches that were held go on."""
        self._terms.clear()
        self._held.clear()
        for resource in self._jobs:
            self._wake(resource)

    async def stop(self) -> None:
        for jobs, _ in self._jobs.values():
            await jobs.stop()
        self._jobs.clear()
        await self.webhooks.stop()

    def _known(self, resource: str) -> Jobs:
        if resource not in self._jobs:
            raise ValueError(f"there is no resource {resource!r}")
        return self._jobs[resource][0]

    def _wake(self, resource: str) -> None:
        if resource in self._jobs:
            jobs, loop = self._jobs[resource]
            loop.call_soon_threadsafe(jobs.wake)
