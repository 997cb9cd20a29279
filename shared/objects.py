"""Ids of one call: opened on the way in, sealed on the way out, and which resource they bind the call to.

Pure. What an envelope is made of is ids.py's business, where ids hide in a body transform/owned.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from shared import errors
from shared.catalog import Catalog, Deployment
from shared.ids import Keyring, looks_sealed, resource_tag
from shared.principals import Principal
from shared.transform.owned import Sealer

_RAW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
"""What may be imported: an id as Azure makes them, and nothing that has a meaning in an address (`..`, `/`, `%`)."""

NOWHERE = ""
"""The resource of what nothing keeps (a translated answer), or of what nobody has vouched for (the lines of a file):
its ids are sealed like any other, but are never opened for an upstream."""
HERE = "here:"
"""The resource of what the gateway keeps itself. No host is called so."""


class Registry:
    """The resources of one configuration that keep objects, and the keys by which ids are signed."""

    def __init__(self, catalog: Catalog, keyring: Keyring) -> None:
        self.keepers: Mapping[str, Deployment] = catalog.keepers()
        self._names = {resource_tag(name): name for name in (*self.keepers, HERE, NOWHERE)}
        self.catalog = catalog
        self._keyring = keyring
        self._imports = catalog.rules.import_raw_ids

    def open(self, public_id: str, principal: Principal) -> tuple[str, str]:
        """-> (resource, the upstream's id), or (NOWHERE, the id as it is). Raises ApiError 404, the same for whatever
        is wrong with an id."""
        sealed = self._keyring.open(public_id, principal.owner)
        if sealed is not None:
            resource = self._names.get(sealed.resource_tag)
            if resource is None:  # its deployments were taken out of the configuration
                raise errors.no_such_object()
            return resource, sealed.upstream_id if resource != NOWHERE else public_id
        if _RAW_ID.fullmatch(public_id) and not looks_sealed(public_id) and (resource := self._import(principal)):
            return resource, public_id
        raise errors.no_such_object()

    def _import(self, principal: Principal) -> str | None:
        """The resource whose raw ids the operator lets this caller use."""
        for resource, who in self._imports.items():
            if who & {"*", principal.name, principal.team} - {""}:
                return resource
        return None

    def sealer(self, resource: str, principal: Principal) -> Sealer:
        return Sealer(self._keyring, resource, principal.owner)


class Opener:
    """Opens the ids of one request, and remembers what they say."""

    def __init__(self, registry: Registry, principal: Principal) -> None:
        self._registry = registry
        self._principal = principal
        self._known: dict[str, tuple[str, str]] = {}
        self.resources: list[str] = []
        """Of each id opened so far, in order, each once."""
        self.opened: list[tuple[str, str]] = []
        """(upstream's id, client's id) of each, once."""
        self.opened_nothing = False
        """Whether an id was among them that nothing keeps."""

    def __call__(self, public_id: str) -> str:
        """Raises ApiError 404."""
        if (found := self._known.get(public_id)) is None:  # a body may name the same few very often
            found = self._known[public_id] = self._registry.open(public_id, self._principal)
            self.opened.append((found[1], public_id))
        resource, upstream_id = found
        if resource == NOWHERE:
            self.opened_nothing = True
        elif resource not in self.resources:
            self.resources.append(resource)
        return upstream_id

    def on(self, resource: str) -> Callable[[str], str]:
        """Opens ids that come once it is decided where the call goes: what another resource keeps is a 404."""

        def open_there(public_id: str) -> str:
            other = self.apart()
            upstream_id = other(public_id)
            if other.resources != [resource]:
                raise errors.no_such_object()
            return upstream_id

        return open_there

    def apart(self) -> Opener:
        """An opener of the same request that counts resources for itself."""
        other = Opener(self._registry, self._principal)
        other._known, other.opened = self._known, self.opened
        return other
