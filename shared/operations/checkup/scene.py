"""What one run of the doctor works with, and what several checks want to know: asked once, shared by all.

Owns who the gateway is signed in as, and what Azure Resource Manager says. Judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from shared.adapters.config_blob import STORAGE_SCOPE
from shared.adapters.resource_manager import ArmFailed, ResourceManager
from shared.catalog import Catalog, Deployment
from shared.errors import ConfigError, UpstreamFailed
from shared.inventory import Account, Assignment, Deployed, Quota, Scaling
from shared.operations.checkup.claims import TokenClaims, claims_of
from shared.operations.checkup.place import Place
from shared.operations.operation import Desk
from shared.ports import StoreUnavailable
from shared.types import Credential

_MOST_SUBSCRIPTIONS = 10
ARM_SECONDS = 6.0
"""So long Azure Resource Manager has for one question; what it says is worth having and nothing depends on it."""


class Azure(Protocol):
    """adapters/resource_manager.py; every method raises ArmFailed."""

    async def subscriptions(self) -> list[tuple[str, str]]: ...
    async def accounts(self, subscription: str, group: str = "") -> list[Account]: ...
    async def account(self, resource_id: str) -> Account: ...
    async def deployments(self, account_id: str) -> list[Deployed]: ...
    async def quotas(self, subscription: str, location: str) -> list[Quota]: ...
    async def assignments(self, scope: str, principal_id: str) -> list[Assignment]: ...
    async def scaling(self, site_id: str) -> Scaling: ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A token that was got, or why there is none."""

    claims: TokenClaims | None
    problem: str = ""


class Scene:
    """One per run, for one event loop. `close` ends what is still under way."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.environ: Mapping[str, str] = desk.environ
        self.place = Place.of(desk.environ)
        url = desk.settings.resource_manager_url
        self.azure: Azure | None = ResourceManager(desk.http, url, desk.tokens) if url else None
        self.catalog = Catalog({})
        """Empty as well when the configuration is refused."""
        self.refused: ConfigError | StoreUnavailable | TimeoutError | None = None
        self._asked: dict[object, asyncio.Task[Any]] = {}
        self._throttled: ArmFailed | None = None
        """Azure Resource Manager is slow or wants no more questions: it is not asked again in this run."""

    async def load(self, seconds: float) -> None:
        """Read the configuration. What is wrong with it is `refused`."""
        try:
            async with asyncio.timeout(seconds):
                self.catalog = await self.desk.catalog()
        except (ConfigError, StoreUnavailable, TimeoutError) as error:
            self.refused = error

    async def once[T](self, name: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask what several checks want to know. A check that is out of time takes nothing from the others."""
        if name not in self._asked:
            self._asked[name] = asyncio.ensure_future(ask())
        return await asyncio.shield(self._asked[name])

    async def close(self) -> None:
        under_way = [task for task in self._asked.values() if not task.done()]
        for task in under_way:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.gather(*self._asked.values(), return_exceptions=True)

    # Who we are.

    def credential(self, scope: str, client_id: str = "") -> Credential:
        """As the gateway signs in to what is its own: storage, vault, Azure Resource Manager."""
        return Credential("default", client_id=client_id, authority=self._authority, scope=scope)

    @property
    def _authority(self) -> str:
        return self.environ.get("AZURE_AUTHORITY_HOST", "")

    async def signed_in(self, credential: Credential) -> SignedIn:
        return await self.once(("token", credential), lambda: self._sign_in(credential))

    async def _sign_in(self, credential: Credential) -> SignedIn:
        try:
            return SignedIn(claims_of(await self.desk.tokens.get(credential)))
        except UpstreamFailed as error:
            return SignedIn(None, error.detail)

    async def principal(self, credential: Credential) -> TokenClaims | None:
        """Whom a role has to be given to."""
        return (await self.signed_in(credential)).claims

    @property
    def storage_credential(self) -> Credential | None:
        """None: the storage account is reached by a connection string."""
        settings = self.desk.settings
        if settings.storage_connection.reveal():
            return None
        return self.credential(STORAGE_SCOPE, settings.storage_client_id)

    @property
    def storage_account(self) -> str:
        """Its name."""
        service = self.desk.folders.service
        return (
            str(service.account_name or "").partition(".")[0] or str(urlsplit(service.url).hostname).partition(".")[0]
        )

    # What Azure says.

    async def scaling(self) -> Scaling:
        """Raises ArmFailed."""
        return await self._ask("scaling", lambda azure: azure.scaling(self.place.site_id))

    async def assignments(self, scope: str, principal: str) -> Sequence[Assignment] | None:
        """Roles in force; None: they cannot be read."""
        if not (scope.startswith("/") and principal):
            return None
        with contextlib.suppress(ArmFailed):
            return await self._ask(("roles", scope, principal), lambda azure: azure.assignments(scope, principal))
        return None

    async def account_of(self, deployment: Deployment) -> Account | None:
        """The account that a deployment is on; None: neither the configuration nor Azure says. Raises ArmFailed."""
        if found := self.resource_id(deployment):
            return await self._ask(("account", found.lower()), lambda azure: azure.account(found))
        host = host_of(deployment.root)
        seen = await self._ask("accounts", _all_accounts)
        return next((one for one in seen if host in {host_of(url) for url in one.endpoints.values()}), None)

    def resource_id(self, deployment: Deployment) -> str:
        """As configured, there or at another deployment of the same host."""
        host = host_of(deployment.root)
        ids = [one.terms.resource_id for one in self.catalog.every() if host_of(one.root) == host]
        return deployment.terms.resource_id or next(filter(None, ids), "")

    async def deployments(self, account: Account) -> Mapping[str, Deployed]:
        """By name. Raises ArmFailed."""
        found = await self._ask(("deployments", account.id), lambda azure: azure.deployments(account.id))
        return {one.name.lower(): one for one in found}

    async def quotas(self, account: Account) -> Sequence[Quota]:
        """Of its subscription in its region. Raises ArmFailed."""
        place = account.subscription, account.location
        return await self._ask(("quotas", *place), lambda azure: azure.quotas(*place))

    async def _ask[T](self, name: object, ask: Callable[[Azure], Awaitable[T]]) -> T:
        """Raises ArmFailed."""
        azure = self.azure
        if azure is None:
            raise ArmFailed(0, "off", "RESOURCE_MANAGER_URL is off")
        return await self.once(name, lambda: self._patiently(azure, ask))

    async def _patiently[T](self, azure: Azure, ask: Callable[[Azure], Awaitable[T]]) -> T:
        if self._throttled is not None:
            raise self._throttled
        try:
            async with asyncio.timeout(ARM_SECONDS):
                return await ask(azure)
        except TimeoutError:
            text = f"Azure Resource Manager has not answered within {ARM_SECONDS:g} s"
            self._throttled = ArmFailed(0, "NotInTime", text)
            raise self._throttled from None
        except ArmFailed as error:
            if error.status == 429:
                self._throttled = error
            raise


async def _all_accounts(azure: Azure) -> list[Account]:
    """Of the subscriptions that the caller sees: an operator does, the app as a rule does not."""
    seen = (await azure.subscriptions())[:_MOST_SUBSCRIPTIONS]
    found = await asyncio.gather(*(azure.accounts(name) for name, _ in seen), return_exceptions=True)
    return [one for rows in found if isinstance(rows, list) for one in rows]


def host_of(url: str) -> str:
    """With its port, where one is given: local stand-ins share a host."""
    return urlsplit(url).netloc.lower()
