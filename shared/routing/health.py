"""When a deployment rests, for how long, and how it comes to be well again.

A rest that is over is half-open: one call probes, and the others pass the deployment by until that call has been
answered. Only a rate limit whose end the upstream has told ends by itself.
Pure functions over a State; who is asked in which rank is ranks.py's.
"""

from __future__ import annotations

from shared.router_settings import FINAL, FailureKind, RouterSettings
from shared.routing.rest import Rest
from shared.routing.states import State, States
from shared.routing.steps import Failure

WINDOW = 60.0
"""Failures count for so long."""
MOST_KEPT = 500
"""Failures that are remembered of one deployment."""
PROBE = 30.0
"""A probe that has taken so long does not keep others from probing."""
AT_ONCE: frozenset[FailureKind] = frozenset({"unreachable", "auth"})
"""After one failure, if the operator says nothing else: the next call would fare no better."""

IN_A_ROW = 5
"""So many failures with less than half as many successes between them are an outage, however well it was before."""
ANSWERS: frozenset[FailureKind] = frozenset({"bad_request", "content_filter", "context_window"})
"""The deployment works: it is the call that it will not serve."""


def begun(state: State, now: float) -> bool:
    """A call is being sent there. -> whether it is the probe."""
    if not state.until or now < state.until:
        return False
    if state.rest is not None and state.rest.told:
        state.until = 0.0
        return False
    if now < state.probe_until:
        return False
    state.probe_until = now + PROBE
    return True


def well(states: States, state: State, *, asked_at: float) -> None:
    """A call has been answered that was asked at `asked_at`: it is well, unless it began to rest since."""
    if state.until and state.rest is not None and asked_at >= state.rest.at:
        state.failures.clear()
        _note(states, state, Rest(asked_at, 0.0, state.rest.why))  # of then it is the evidence


def probed(state: State, *, probe: bool) -> None:
    """The attempt has shown nothing: if it was the probe, another call may be."""
    if probe:
        state.probe_until = 0.0


def failed(
    states: States,
    state: State,
    failure: Failure,
    settings: RouterSettings,
    *,
    cooldown: float,
    asked_at: float,
    probe: bool,
    now: float,
) -> None:
    """cooldown: how long this deployment rests when the upstream says nothing of it; 0: it never rests."""
    kind = failure.kind
    if kind in ANSWERS:
        well(states, state, asked_at=asked_at)
    if kind in FINAL or kind == "conflict" or not settings.cooldowns or not cooldown:
        probed(state, probe=probe)
        return
    last = state.rest
    probe = probe and last is not None and asked_at >= last.at  # else others have found out since
    level = last.level + probe if state.until and last is not None else 0
    seconds = min(cooldown * 2.0 ** min(level, 20), max(settings.longest_cooldown, cooldown))
    said = min(failure.retry_after or 0.0, settings.longest_cooldown)
    if kind == "rate_limit":
        _limit(states, state, Rest(now, now + (said or seconds), kind, level, told=bool(said)), probe=probe)
        return
    _count(state, kind, now)
    if state.until and not probe:
        return  # it rests, or is being probed: what was asked beside that changes nothing
    length = max(seconds, said) if probe or _too_many(state, kind, settings, now) else said
    if length:
        _note(states, state, Rest(now, now + length, kind, level))


def _limit(states: States, state: State, rest: Rest, *, probe: bool) -> None:
    if rest.until <= rest.at:
        return  # it never rests
    if probe or not state.limited or state.until <= rest.at:
        _note(states, state, rest)
    elif rest.until > state.until:  # one of many that were under way: no news, only a little later
        state.take(rest)


def _note(states: States, state: State, rest: Rest) -> None:
    state.take(rest)
    states.changes += 1


def _count(state: State, kind: FailureKind, now: float) -> None:
    kept = state.failures
    kept.append((now, kind, state.all_good))
    if kept[0][0] <= now - WINDOW or len(kept) > MOST_KEPT:
        state.failures = [f for f in kept[-MOST_KEPT:] if f[0] > now - WINDOW]


def _too_many(state: State, kind: FailureKind, settings: RouterSettings, now: float) -> bool:
    """Kinds that have a bound of their own are counted by themselves, all others together."""
    own = settings.fails
    if kind in AT_ONCE and kind not in own:
        return True
    allowed = own.get(kind, settings.allowed_fails)
    counted = [f for f in state.failures if (f[1] == kind if kind in own else f[1] not in own)]
    if len(counted) <= allowed:
        return False
    row = max(IN_A_ROW, allowed + 1)
    return len(counted) >= state.successes(now) or (
        len(counted) >= row and (state.all_good - counted[-row][2]) * 2 < row
    )
