"""What Azure Resource Manager says of a deployment, beside what the configuration says: model, SKU, region, quota, end.

Where it cannot be read, that is one word and no failure: calls work without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from shared.adapters.resource_manager import ArmFailed
from shared.catalog import Deployment
from shared.inventory import Account, Deployed, Quota
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Finding, failed, warning
from shared.operations.checkup.scene import Scene

NEARLY_TAKEN = 0.9
SOON_DAYS = 60
_OTHER_NAMES = {
    "gpt-35-turbo": "gpt-3.5-turbo", "gpt-35-turbo-16k": "gpt-3.5-turbo-16k", "tts": "tts-1", "tts-hd": "tts-1-hd",
    "gpt-35-turbo-instruct": "gpt-3.5-turbo-instruct", "whisper": "whisper-1",
}  # fmt: skip
"""Azure's names of models that OpenAI and price lists write otherwise."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Empty where nothing can be read."""

    text: str = ""
    account: Account | None = None
    found: Deployed | None = None
    others: tuple[str, ...] = ()
    """Deployments of the account; some of them."""
    findings: tuple[Finding, ...] = ()

    @property
    def known(self) -> bool:
        return self.found is not None

    @property
    def missing(self) -> bool:
        """Azure knows the account and not the deployment."""
        return self.account is not None and self.found is None

    @property
    def group(self) -> str:
        return self.account.group if self.account else ""

    @property
    def account_id(self) -> str:
        return self.account.id if self.account else ""

    @property
    def no_keys(self) -> bool:
        return self.account is not None and not self.account.local_auth

    @property
    def no_domain(self) -> bool:
        return self.account is not None and not self.account.custom_domain

    def account_name(self, one: Deployment) -> str:
        if self.account:
            return self.account.name
        return (urlsplit(one.root).hostname or "").partition(".")[0]


async def of(scene: Scene, one: Deployment) -> Facts:
    """Never fails."""
    if one.provider == "openai":
        return Facts()
    try:
        account = await scene.account_of(one)
        if account is None:
            return Facts("SKU and quota not looked up: no azure_resource_id")
        there = await scene.deployments(account)
    except ArmFailed as error:
        return Facts(f"SKU and quota not read: {error.code or error.message[:100]}")
    found = there.get(one.name.lower())
    if found is None:
        if one.provider == "content_safety":  # a service of the account, no deployment
            return Facts(account=account)
        return Facts(account=account, others=tuple(sorted(each.name for each in there.values())[:10]))
    now = datetime.fromtimestamp(scene.desk.clock(), UTC).date()
    findings = [*_differences(one, account, found), *_ends(account, found, now)]
    findings += _quota(await _quotas(scene, account), account, found)
    return Facts(_told(account, found), account, found, findings=tuple(findings))


async def _quotas(scene: Scene, account: Account) -> Sequence[Quota]:
    try:
        return await scene.quotas(account)
    except ArmFailed:
        return ()


def _told(account: Account, found: Deployed) -> str:
    size = f" {found.capacity}" if found.capacity else ""
    return f"{found.model} {found.version}".rstrip() + f", {found.sku}{size} in {account.location}"


def _differences(one: Deployment, account: Account, found: Deployed) -> Iterator[Finding]:
    """What the configuration says otherwise: families and prices go by that."""
    about = one.label
    if found.state not in ("Succeeded", ""):
        show = commands.show_deployment(account.name, account.group, found.name)
        verdict = failed if found.state in ("Failed", "Canceled", "Disabled", "Deleting") else warning
        yield verdict(about, f"its provisioning state is {found.state}", show)
    if not _same_model(one, found):
        yield warning(
            about,
            f"config.yaml takes it for {one.terms.model or one.model}, Azure has {found.model}",
            f"set model_info.base_model: azure/{_usual(found.model)} in config.yaml",
        )
    if found.sku and one.terms.sku != found.sku and not (one.terms.provisioned and "Provisioned" in found.sku):
        said = one.terms.sku if one.terms.sku_given else f"{one.terms.sku}, for none is given"
        yield warning(about, f"config.yaml says sku {said}; Azure has {found.sku}: the price may be wrong",
                      f"set litellm_params.sku: {found.sku} in config.yaml")  # fmt: skip
    if one.terms.region and account.location and one.terms.region != account.location:
        yield warning(about, f"config.yaml says region {one.terms.region}; the account is in {account.location}",
                      f"set litellm_params.region: {account.location} in config.yaml")  # fmt: skip


def _same_model(one: Deployment, found: Deployed) -> bool:
    """By name, with or without the version; Claude's and embeddings' names may go on."""
    said, real = (_usual(name).lower().removesuffix("-preview") for name in (one.terms.model or one.model, found.model))
    return said == real or said == f"{real}-{found.version}".lower() or said.startswith(f"{real}-20")


def _usual(model: str) -> str:
    return _OTHER_NAMES.get(model.lower(), model)


def _ends(account: Account, found: Deployed, now: date) -> Iterator[Finding]:
    if not found.retires:
        return
    left = (date.fromisoformat(found.retires) - now).days
    fix = commands.list_models(account.name, account.group)
    if left <= 0:
        yield failed(found.name, f"Azure has retired {found.model} {found.version} on {found.retires}", fix)
    elif left <= SOON_DAYS:
        yield warning(
            found.name, f"Azure retires {found.model} {found.version} on {found.retires}, in {left} days", fix
        )


def _quota(quotas: Sequence[Quota], account: Account, found: Deployed) -> Iterator[Finding]:
    wanted = {f"{found.format}.{found.sku}.{found.model}".lower(), f"{found.format}.{found.sku}".lower()}
    for one in quotas:
        if one.name.lower() in wanted and one.limit > 0 and one.used >= NEARLY_TAKEN * one.limit:
            text = f"{one.used:g} of {one.limit:g} of the quota {one.name} in {account.location} are taken"
            yield warning(found.name, f"{text}: there is little left to grow", commands.show_quota(account.location))
