"""For which provisioned deployment a call was meant that another one served, paid by use. Pure.

An event names the deployment that served, and the alias that was asked for; of the provisioned ones it may have been
meant for it is the nearest: of the same alias, and there the one on the same resource.
"""

from __future__ import annotations

from shared.catalog import Catalog, Deployment


class Meant:
    """Made of the configuration as it is now: of what it does not name any more nothing is known."""

    def __init__(self, catalog: Catalog) -> None:
        self._provisioned: dict[str, list[Deployment]] = {}
        """By alias."""
        self._holding: dict[str, list[str]] = {}
        """Deployment -> aliases."""
        for alias, deployments in catalog.deployments.items():
            for deployment in deployments:
                self._holding.setdefault(deployment.id, []).append(alias)
                if deployment.terms.provisioned:
                    self._provisioned.setdefault(alias, []).append(deployment)
        self._all = [each for found in self._provisioned.values() for each in found]

    def of(self, alias: str, deployment: str) -> Deployment | None:
        """alias: that was asked for; deployment: the id of the one that served. None: there is none."""
        if itself := next((each for each in self._all if each.id == deployment), None):
            return itself
        holding = self._holding.get(deployment, [])
        for name in sorted(holding, key=lambda name: name != alias):
            if found := self._provisioned.get(name):
                return _nearest(found, deployment)
        if found := self._provisioned.get(alias):
            return _nearest(found, deployment)
        near = [each for each in self._all if each.resource == _resource(deployment)]
        return _nearest(near, deployment) if near else None


def _nearest(found: list[Deployment], deployment: str) -> Deployment:
    return min(found, key=lambda each: (each.resource != _resource(deployment), each.order, each.number))


def _resource(deployment: str) -> str:
    return deployment.partition("/")[0]
