"""One call's way over the deployments that may answer it: a state machine that is told what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping

from shared.routing.steps import Failure, Step


class Journey:
    """Made by Router.begin. Between `next` and `failed` or `answered` one attempt is under way."""

    attempts: int
    """Deployments asked so far, those that were asked again included."""
    retries: int
    """How often it has waited and asked again."""

    @property
    def may_go_on(self) -> bool:
        """Whether, should the present attempt fail, `next` would very likely find another deployment or a retry."""
        raise NotImplementedError

    def next(self, now: float) -> Step:
        raise NotImplementedError

    def failed(self, failure: Failure, now: float, headers: Mapping[str, str] | None = None) -> None:
        """The attempt gave no answer. headers: of the upstream's refusal, where there was one."""
        raise NotImplementedError

    def answered(self, now: float, headers: Mapping[str, str]) -> None:
        """The answer has begun. What is left of Azure's quotas is in its headers."""
        raise NotImplementedError

    def ended(self, now: float, tokens: int, first_token: float | None, *, good: bool) -> None:
        """What was answered has ended, or was given up by the client: called once after `answered`, and once instead
        of `failed` when the client left before an answer. first_token: seconds from the attempt's beginning; None: it
        was no stream. good: False for a stream that broke off."""
        raise NotImplementedError
