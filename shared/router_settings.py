"""What an operator says of routing: strategy, retries, cooldown, fallbacks, timeouts. Values with good defaults only.

How a file becomes these is transform/router_config.py's, what they mean is shared/routing's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Strategy = Literal[
    "simple-shuffle", "least-used", "least-busy", "lowest-latency", "lowest-cost", "prompt-cache"
]  # fmt: skip
"""simple-shuffle   by weight, else rpm, else tpm, else evenly
least-used       the least tokens used of this minute, of those under their limit
least-busy       the fewest calls in flight
lowest-latency   the shortest time to the first token (of whole answers: to the answer)
lowest-cost      the lowest price of a token in and a token out
prompt-cache     where the same beginning of a prompt, or the same prompt_cache_key, went before"""

FailureKind = Literal[
    "rate_limit", "timeout", "unreachable", "server", "auth", "conflict", "bad_answer",
    "bad_request", "not_found", "content_filter", "context_window", "quota",
]  # fmt: skip
"""What a deployment's failure is. The kinds of the second line are final: the same model is not asked again because of
them, and no deployment cools down."""
FINAL: frozenset[FailureKind] = frozenset({"bad_request", "not_found", "content_filter", "context_window", "quota"})

type Fallbacks = Mapping[str, tuple[str, ...]]
"""alias -> the aliases that stand in for it, in this order."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Times in seconds."""

    strategy: Strategy = "simple-shuffle"
    num_retries: int = 2
    """How often a call asks again when every deployment that it may ask has failed, after a wait."""
    retries: Mapping[FailureKind, int] = field(default_factory=dict[FailureKind, int])
    """The same for one kind of failure (retry_policy)."""
    most_retries: int = 5
    """What a client may ask for at most."""
    cooldowns: bool = True
    cooldown: float = 5.0
    """How long a deployment rests that has said nothing of it; doubled each time a probe fails."""
    longest_cooldown: float = 60.0
    allowed_fails: int = 2
    """Failures within a minute that do not yet make it rest, while they are fewer than its successes or so few."""
    fails: Mapping[FailureKind, int] = field(default_factory=dict[FailureKind, int])
    """The same for one kind of failure (allowed_fails_policy)."""
    least_wait: float = 0.0
    """A call that asks again waits at least so long."""
    longest_wait: float = 20.0
    """A call waits so long for a deployment to be ready again, and no longer: else it is told when to come back."""
    near_limit: float = 0.95
    """From this share of a limit on a deployment is passed over while there is another."""
    fallbacks: Fallbacks = field(default_factory=dict[str, tuple[str, ...]])
    context_window_fallbacks: Fallbacks = field(default_factory=dict[str, tuple[str, ...]])
    content_policy_fallbacks: Fallbacks = field(default_factory=dict[str, tuple[str, ...]])
    default_fallbacks: tuple[str, ...] = ()
    most_fallbacks: int = 5
    """Aliases that one call is given to, besides its own."""
    connect: float = 10.0
    first_byte: float | None = None
    """Until one deployment's answer must have begun; None: as long as the whole call may take."""
    stream_first_byte: float | None = None
    """The same for streams."""
    idle: float = 300.0
    """The longest silence within an answer."""
    total: float | None = None
    """Until the answer to the client must have begun, waits included; None: FIRST_BYTE_SECONDS."""
    regions: frozenset[str] = frozenset()
    """Only deployments in one of these regions or data zones (`eu`, `us`) are asked; empty: in all."""
    tags_match_all: bool = False
    """Whether a deployment must have all tags of a call that names some, rather than one."""

    def stand_ins(self, alias: str, kind: FailureKind) -> tuple[str, ...]:
        """-> the aliases for calls to `alias` that failed with this kind, in this order."""
        if kind == "context_window":
            return self.context_window_fallbacks.get(alias, ())
        if kind == "content_filter":
            return self.content_policy_fallbacks.get(alias, ())
        if kind == "bad_request":  # it would be as bad for another model
            return ()
        return self.fallbacks.get(alias, self.default_fallbacks)

    @property
    def any_fallbacks(self) -> bool:
        return bool(
            self.fallbacks or self.default_fallbacks or self.context_window_fallbacks or self.content_policy_fallbacks
        )

    def also_for(self, name: str, alias: str) -> RouterSettings:
        """-> the same, where a second name of an alias has the stand-ins of the first, unless it has its own."""

        def also(fallbacks: Fallbacks) -> Fallbacks:
            return {name: fallbacks[alias], **fallbacks} if alias in fallbacks else fallbacks

        return replace(
            self,
            fallbacks=also(self.fallbacks),
            context_window_fallbacks=also(self.context_window_fallbacks),
            content_policy_fallbacks=also(self.content_policy_fallbacks),
        )
