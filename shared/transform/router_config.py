"""`router_settings` become RouterSettings: LiteLLM's names and ours, with every problem in them and its line.

Owns what the names mean. Knows models by their aliases only; what a setting does is shared/routing's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ValidationError

from shared.catalog import Catalog
from shared.config import Config, form_problem, params_at, suggestion
from shared.document import Document, Path
from shared.errors import BadSetting, Problem
from shared.router_settings import FINAL, FailureKind, RouterSettings
from shared.transform.router_fallbacks import Findings, Names, listed
from shared.transform.router_names import (
    FROM_SETTINGS,
    KINDS,
    MOST_SECONDS,
    NO_EFFECT,
    NOT_COUNTED,
    OWN_KINDS,
    STRATEGIES,
    Given,
)
from shared.transform.terms import place_of

ROUTER = "router_settings"
RETRIES, FAILS = "Retries", "AllowedFails"
"""How LiteLLM's names of a policy end."""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """What a file says of routing."""

    settings: RouterSettings
    second_names: Mapping[str, str]
    """alias -> the alias whose deployments serve it too (model_group_alias)."""
    tags_count: bool
    """Whether the tags of deployments decide which calls are sent there."""
    problems: list[Problem]
    warnings: list[str]


def _aliases(config: Config, document: Document) -> list[str]:
    """Also those of entries with mistakes of their own."""
    found: list[str] = []
    for index in range(len(config.file.model_list)):
        entry = config.entries.get(index)
        name: Any = entry.model_name if entry else document.at(("model_list", index, "model_name"))
        if isinstance(name, str):
            found.append(name)
    return found


def read_router(config: Config, document: Document) -> RouterConfig:
    return _Reading(config, document).result()


def matters(problem: Problem) -> bool:
    """False: it is about a setting that means nothing here, such as a reference without a value in redis_password."""
    section, _, name = problem.where.partition(".")
    return section != ROUTER or name.partition("[")[0].partition(".")[0] not in NO_EFFECT


def without_a_region(catalog: Catalog, document: Document) -> list[Problem]:
    """Models that no call could reach, for none of their deployments is in a region that is allowed."""
    regions = catalog.router.regions
    lost = [
        alias
        for alias, deployments in catalog.deployments.items()
        if regions and not any({d.terms.region, d.terms.zone} & regions for d in deployments)
    ]
    remedy = "give them their `region`, or add theirs to the list"
    return [
        document.problem((ROUTER, "regions"), f"no deployment of {alias!r} is in one of these regions", remedy)
        for alias in lost
    ]


class _Reading(Findings):
    def __init__(self, config: Config, document: Document) -> None:
        super().__init__(document)
        self._config = config
        self._names = Names(self, _aliases(config, document))

    def result(self) -> RouterConfig:
        given = self._form(self._found())
        second_names = self._names.second(given.model_group_alias)
        settings = self._settings(given)
        problems = sorted(self.problems, key=lambda problem: problem.line)
        return RouterConfig(settings, second_names, given.enable_tag_filtering, problems, self.warnings)

    def _found(self) -> dict[str, Any]:
        """What is given, of both sections; router_settings win."""
        found: dict[str, Any] = {}
        section = "litellm_settings" if "litellm_settings" in self.document.data else "settings"
        own = self._config.file.router_settings
        for name, meant in FROM_SETTINGS.items():
            value = (self._config.file.settings.model_extra or {}).get(name)
            if value is not None:
                found[meant], self.places[meant] = value, (section, name)
        if own.get("first_byte_timeout") is not None:
            found.pop("timeout", None)
        for name, value in own.items():
            path: Path = (ROUTER, name)
            if name in NO_EFFECT:
                self.warn(path, f"{name} has no effect here{NO_EFFECT[name]}")
            elif value is not None:
                found[name], self.places[name] = value, path
        return found

    def _form(self, found: dict[str, Any]) -> Given:
        """What is of the right form; the rest is complained of and left out."""
        try:
            return Given.model_validate(found)
        except ValidationError as error:
            wrong = error.errors()
        for one in wrong:
            path = (*self.places[str(one["loc"][0])], *one["loc"][1:])
            self.problems.append(form_problem(dict(one), path, self.document, Given.model_fields))
        bad = {str(one["loc"][0]) for one in wrong}
        return Given.model_validate({name: value for name, value in found.items() if name not in bad})

    def _settings(self, given: Given) -> RouterSettings:
        names = self._names
        fallbacks, others = names.fallbacks("fallbacks", given.fallbacks)
        default = names.targets(given.default_fallbacks, self.places.get("default_fallbacks", ()))
        told: dict[str, Any] = {
            "strategy": self._strategy(given.routing_strategy),
            "num_retries": given.num_retries,
            "most_retries": given.max_retries_of_clients,
            "cooldown": self._cooldown(given),
            "longest_cooldown": self._longest_cooldown(given),
            "allowed_fails": given.allowed_fails,
            "least_wait": given.retry_after,
            "longest_wait": given.max_wait,
            "near_limit": given.near_limit,
            "most_fallbacks": given.max_fallbacks,
            "connect": given.connect_timeout,
            "first_byte": given.first_byte_timeout or given.timeout,
            "stream_first_byte": given.stream_timeout,
            "idle": given.idle_timeout,
            "total": given.total_timeout,
        }
        self._check_times(given)
        return RouterSettings(
            **{name: value for name, value in told.items() if value is not None},
            retries=self._policy("retry_policy", RETRIES, given.retry_policy),
            fails=self._policy("allowed_fails_policy", FAILS, given.allowed_fails_policy),
            cooldowns=not given.disable_cooldowns,
            fallbacks=fallbacks,
            context_window_fallbacks=names.of_each("context_window_fallbacks", given.context_window_fallbacks),
            content_policy_fallbacks=names.of_each("content_policy_fallbacks", given.content_policy_fallbacks),
            default_fallbacks=tuple(dict.fromkeys((*others, *default))),
            regions=self._regions(given.regions),
            tags_match_all=not given.tag_filtering_match_any,
        )

    def _strategy(self, name: str | None) -> str | None:
        if name is None or name in STRATEGIES:
            return STRATEGIES[name] if name else None
        path = self.places["routing_strategy"]
        near = suggestion(name, STRATEGIES)
        remedy = near if near != "remove it" else f"write one of {', '.join(dict.fromkeys(STRATEGIES.values()))}"
        self.complain(path, f"there is no strategy {self.document.at(path)!r}", remedy)
        return None

    def _cooldown(self, given: Given) -> float | None:
        if given.cooldown_time is None and given.max_cooldown is not None:
            return min(RouterSettings().cooldown, given.max_cooldown)
        return given.cooldown_time

    def _longest_cooldown(self, given: Given) -> float | None:
        """At least as long as any that is asked for, unless it is given itself."""
        asked: list[tuple[float, Path]] = []
        for index, entry in self._config.entries.items():
            if entry.params.cooldown_time is not None:
                asked.append((entry.params.cooldown_time, (*params_at(self.document, index), "cooldown_time")))
        if given.cooldown_time is not None:
            asked.append((given.cooldown_time, self.places["cooldown_time"]))
        if given.max_cooldown is None:
            return max([RouterSettings().longest_cooldown, *(seconds for seconds, _ in asked)])
        for seconds, path in asked:
            if seconds > given.max_cooldown:
                self.complain(path, f"longer than max_cooldown ({given.max_cooldown:g} s)", "raise max_cooldown")
        return given.max_cooldown

    def _check_times(self, given: Given) -> None:
        usual = RouterSettings()
        most = usual.longest_wait if given.max_wait is None else given.max_wait
        if given.retry_after is not None and given.retry_after > most:
            remedy = "write less, or raise max_wait"
            self.complain(self.places["retry_after"], f"longer than a call may wait (max_wait: {most:g} s)", remedy)
        if given.timeout and given.first_byte_timeout:
            self.complain(self.places["timeout"], "the same as first_byte_timeout", "keep one of the two")
        if given.total_timeout and given.total_timeout > MOST_SECONDS:
            message = f"the front end of Azure Functions ends a call after {MOST_SECONDS:g} s"
            self.complain(self.places["total_timeout"], message, "write less, or leave the field out")
        for name in ("timeout", "first_byte_timeout", "stream_timeout"):
            if (getattr(given, name) or 0) > MOST_SECONDS:
                path = self.places[name]
                self.warn(path, f"{path[-1]}: an answer must begin within total_timeout or FIRST_BYTE_SECONDS anyway")

    def _policy(self, setting: str, ending: str, given: Mapping[str, int | None]) -> dict[FailureKind, int]:
        """How many for each kind of failure. A name that stands for fewer kinds wins."""
        known: dict[str, tuple[FailureKind, ...]] = {f"{name}{ending}": kinds for name, kinds in KINDS.items()}
        known |= {kind: (kind,) for kind in OWN_KINDS}
        if ending == RETRIES:
            known["DefaultRetries"] = OWN_KINDS
        found: dict[FailureKind, int] = {}
        for name in sorted(given, key=lambda name: -len(known.get(name, ()))):
            path, count = (*self.places[setting], name), given[name]
            kinds = known.get(name)
            if kinds is None:
                self.complain(path, "unknown kind of failure", suggestion(name, known))
            elif count is not None and (why := _idle(kinds, ending)):
                self.warn(path, f"{name} has no effect here: {why}")
            elif count is not None:
                found.update((kind, count) for kind in kinds)
        return found

    def _regions(self, given: Any) -> frozenset[str]:
        found: set[str] = set()
        path = self.places.get("regions", ())
        for index, one in enumerate(listed(given)):
            here = (*path, index) if isinstance(given, list) else path
            try:
                region, zone = place_of(str(one) if isinstance(one, str) else "")
            except BadSetting as error:
                self.complain(here, f"{self.document.at(here)!r} is no region of Azure", error.remedy)
                continue
            if region or zone:
                found.add(region or zone)
            else:
                self.complain(here, "this is no region of Azure", "write its name, such as swedencentral, or eu or us")
        return frozenset(found)


def _idle(kinds: Sequence[FailureKind], ending: str) -> str:
    """Why a number for such failures has no effect; empty: it has."""
    if FINAL.issuperset(kinds):
        return "the same model is not asked again" if ending == RETRIES else "no deployment rests because of it"
    return "such failures are not counted" if ending == FAILS and NOT_COUNTED.issuperset(kinds) else ""
