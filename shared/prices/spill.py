"""What a call is billed by that Azure itself has moved from a provisioned deployment to one that is paid by the token.

Azure does so when the provisioned one is full, on the same resource, to a deployment of the same model that processes
data in the same places (Azure "Manage traffic with spillover", 2026-10). The headers of the answer say so. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shared.catalog import Catalog, Deployment, Sku, Terms

IS_SPILLED = "x-ms-is-spilled-over"
SPILLED_FROM = "x-ms-spillover-from-"
SERVED_BY = "x-ms-deployment-name"
SERVED_MODEL = "x-ms-served-model"
_BY_TOKEN: Mapping[Sku, Sku] = {
    "GlobalProvisionedManaged": "GlobalStandard",
    "DataZoneProvisionedManaged": "DataZoneStandard",
    "ProvisionedManaged": "Standard",
}
_MOST_KEPT = 1_000


def is_spilled(headers: Mapping[str, str]) -> bool:
    """Whether Azure says so, in either of its two ways; when they differ, the one that costs. headers: of the answer
    of a provisioned deployment."""
    if headers.get(IS_SPILLED, "").lower() == "true":
        return True
    return any(name.lower().startswith(SPILLED_FROM) for name in headers)


def by_token(terms: Terms, model: str = "") -> Terms:
    """The terms of the same model when it is paid by the token. model: its name, if that is known better.

    Rates of a provisioned entry can only mean such calls, for its own calls cost nothing by themselves. When all of
    them are 0 that is what they say, and the price book is asked.
    """
    return replace(
        terms,
        sku=_BY_TOKEN.get(terms.sku, terms.sku),
        ptu=None,
        model=model or terms.model,
        rates=terms.rates if any(terms.rates.values()) else {},
    )


class Spillover:
    """Made once per configuration. Equal calls get the same terms, so that a price list finds its table again."""

    def __init__(self, catalog: Catalog) -> None:
        self._named: dict[tuple[str, str], list[Deployment]] = {}
        for deployments in catalog.deployments.values():
            for deployment in deployments:
                if not deployment.terms.provisioned:
                    self._named.setdefault(_place(deployment, deployment.name), []).append(deployment)
        self._terms: dict[tuple[int, str], tuple[Terms, Terms]] = {}

    def billed(self, deployment: Deployment, headers: Mapping[str, str]) -> Deployment:
        """deployment: the one that was asked; headers: of its answer. -> by whose terms the call is paid: itself,
        unless Azure has spilled the call over; the one that Azure names, if it is configured; else itself, at the
        price of its model by the token."""
        if not (deployment.terms.provisioned and is_spilled(headers)):
            return deployment
        if found := self._named.get(_place(deployment, headers.get(SERVED_BY, ""))):
            aliases = deployment.home, deployment.alias
            return next((other for other in found if other.alias in aliases), found[0])
        # without a base_model there is only the deployment's own name to go by, and Azure knows better
        guessed = deployment.terms.model in ("", deployment.name)
        model = headers.get(SERVED_MODEL, "") if guessed else ""
        return replace(deployment, terms=self._by_token(deployment.terms, model))

    def _by_token(self, terms: Terms, model: str) -> Terms:
        kept = self._terms.get((id(terms), model))
        if kept is None or kept[0] is not terms:
            kept = terms, by_token(terms, model)
            if len(self._terms) < _MOST_KEPT:  # whatever an upstream may call its models, it fills no memory
                self._terms[id(terms), model] = kept
        return kept[1]


def _place(deployment: Deployment, name: str) -> tuple[str, str]:
    """Azure takes a deployment's name in any case."""
    return deployment.resource, name.lower()
