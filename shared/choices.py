"""Where a call may go: the deployments of an alias that can answer it, or the one by which a resource is asked.

Which of them is asked is routing's business. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import errors
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.endpoints import Endpoint
from shared.errors import ApiError
from shared.objects import HERE, Opener, Registry
from shared.principals import Principal
from shared.router_settings import FailureKind
from shared.transform import answering

MODEL_HEADERS = ("x-tollgate-model", "x-litellm-model")
"""Name an alias whose resource shall keep what is made, where the body has no place for it."""
_KINDS: tuple[FailureKind, ...] = ("server", "context_window", "content_filter")
"""One of each list of fallbacks."""
_MOST_KNOWN = 10_000
OF_MODELS = "fine_tuning"
"""Operations whose `model` is a model of Azure's, not an alias."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Built once per configuration."""

    catalog: Catalog
    registry: Registry
    _known: dict[tuple[str, ...], Sequence[Deployment]] = field(default_factory=dict[tuple[str, ...], Any])
    """By alias, operation and resource, worked out once: routing keeps what it knows of each."""

    def of_alias(self, endpoint: Endpoint, alias: str, resources: Sequence[str]) -> Sequence[Deployment]:
        """The alias's deployments that can answer this operation, on the resource that the ids bind it to. Raises
        ApiError 400."""
        found = self._serving(endpoint, alias)
        if not resources:
            return found
        if HERE in resources:
            raise _for_batches_only()
        if len(resources) == 1:
            place = ("on", alias, endpoint.name, resources[0])
            if place not in self._known:
                self._known[place] = tuple(d for d in found if d.resource in resources)
            if there := self._known[place]:
                return there
        raise errors.bad_request(
            f"The ids in this request belong to a resource that does not serve the model '{alias}', or to "
            "several resources. Use the model that made them, or make them anew.",
            code="objects_elsewhere",
        )

    def _serving(self, endpoint: Endpoint, alias: str) -> Sequence[Deployment]:
        """Those that speak the operation's own language, else those that are translated to. Raises ApiError 400."""
        place = ("of", alias, endpoint.name)
        found = self._known.get(place)
        if found is None:
            rows = [deployment for deployment in self.catalog.of(alias) if not deployment.only_batches]
            found = self._known[place] = answering(endpoint, rows)
        if not found:
            raise errors.bad_request(
                f"The model '{alias}' does not serve /{endpoint.path}.{self._what_else(alias)}",
                param="model",
                code="unsupported_operation",
            )
        return found

    def _what_else(self, alias: str) -> str:
        """What an alias is for whose deployments Azure sells for batches alone."""
        deployments = self.catalog.of(alias)
        if not deployments or not all(deployment.only_batches for deployment in deployments):
            return ""
        return (
            " It serves batches only: upload its calls as lines by POST /v1/files and send POST /v1/batches, or name "
            "another model (GET /v1/models)."
        )

    def stand_in(self, call: Call, alias: str, resources: Sequence[str]) -> Sequence[Deployment]:
        """-> the deployments of another alias that may answer in its place; none where the key may not use it, or where
        it does not serve what was asked."""
        assert call.principal is not None
        if alias == call.alias or not call.principal.may_use(alias):
            return ()
        try:
            choices = self.of_alias(call.endpoint, alias, resources)
        except ApiError:
            return ()
        place = ("for", call.alias, alias, call.endpoint.name, *resources)
        if (found := self._known.get(place)) is None:
            found = tuple(deployment.standing_in(call.alias) for deployment in choices)
            if len(self._known) < _MOST_KNOWN:
                self._known[place] = found
        return found

    def spares(self, call: Call, resources: Sequence[str]) -> Sequence[Deployment]:
        """-> the deployments of all aliases that may stand in, whatever the call fails with."""
        settings = self.catalog.router
        if call.wishes.fallbacks_off or not (call.wishes.fallbacks or settings.any_fallbacks):
            return ()
        aliases = [alias for kind in _KINDS for alias in settings.stand_ins(call.alias, kind)]
        every = dict.fromkeys((*call.wishes.fallbacks, *aliases))
        return [deployment for alias in every for deployment in self.stand_in(call, alias, resources)]

    def elsewhere(self, call: Call, resources: Sequence[str]) -> tuple[str, Sequence[Deployment]]:
        """What a call names by id was made by an alias that stood in for its own. -> that alias, and its deployments
        there; none where there is no such alias."""
        aliases = (*call.wishes.fallbacks, *self.catalog.router.stand_ins(call.alias, "server"))
        found = ((alias, self.stand_in(call, alias, resources)) for alias in aliases)
        return next(((alias, choices) for alias, choices in found if choices), ("", ()))

    def keeper(self, call: Call, principal: Principal, opener: Opener) -> Sequence[Deployment]:
        """The deployment by whose credential the resource is asked. Raises ApiError."""
        found = self._keeper(call, principal, opener)
        return self._known.setdefault(("keeps", found.resource), (found,))

    def _keeper(self, call: Call, principal: Principal, opener: Opener) -> Deployment:
        if HERE in opener.resources:
            raise _for_batches_only()
        if len(opener.resources) > 1:
            raise errors.bad_request(
                "The objects in this request are kept by different resources and cannot be used together. Make them "
                "anew in one place.",
                code="objects_elsewhere",
            )
        if opener.resources:
            return self.registry.keepers[opener.resources[0]]
        if call.endpoint.target == "id":  # of a translated answer, which nothing keeps
            raise errors.no_such_object()
        alias = _resource_alias(call)
        if alias:
            if not self.catalog.of(alias):
                raise errors.model_not_found(alias)
            if not principal.may_use(alias):
                raise errors.model_not_allowed(alias)
            for deployment in self.catalog.of(alias):
                if deployment.resource in self.registry.keepers:
                    return self.registry.keepers[deployment.resource]
            raise errors.bad_request(
                f"The resource of the model '{alias}' keeps no such objects. Name another model, or none.",
                param="model",
                code="no_resource",
            )
        return self._default(principal)

    def _default(self, principal: Principal) -> Deployment:
        """The resource for what nothing binds: the configured one, else the first that the key may use."""
        if name := self.catalog.rules.default_resource:
            return self.registry.keepers[name]
        for alias, rows in self.catalog.deployments.items():
            for deployment in rows:
                if principal.may_use(alias) and deployment.resource in self.registry.keepers:
                    return self.registry.keepers[deployment.resource]
        raise errors.bad_request(
            "No resource that your key may use keeps such objects. GET /v1/models lists your models; your platform "
            "team can add others.",
            code="no_resource",
        )

    def names_on(self, resource: str, principal: Principal) -> dict[str, str]:
        """-> alias -> deployment name, of those on a resource that the caller may use."""
        return {
            alias: deployment.name
            for alias, rows in self.catalog.deployments.items()
            for deployment in rows
            if deployment.resource == resource and principal.may_use(alias)
        }


def _for_batches_only() -> ApiError:
    return errors.bad_request(
        "A file with the purpose 'batch' is good for batches only. Upload it again with the purpose that this "
        "operation needs.",
        code="wrong_purpose",
    )


def _resource_alias(call: Call) -> str:
    """An alias by which a client chooses the resource, for operations whose body has no place for one."""
    headers: Mapping[str, str] = call.request.headers
    named = next((headers[name] for name in MODEL_HEADERS if headers.get(name)), "")
    if named or call.endpoint.name.startswith(OF_MODELS):
        return named
    value = call.body.get("model") or dict(call.request.query).get("model")
    return value if isinstance(value, str) else ""
