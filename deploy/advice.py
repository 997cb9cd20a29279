"""What to do when az or Azure refuses a step. Owns the list, which docs/deploy.md shows as a table.

Must not know which step it was.
"""

from __future__ import annotations

ADVICE: dict[str, str] = {
    "az login": "Sign in: az login, then az account set --subscription NAME",
    "AuthorizationFailed": (
        "You may not do that here. It takes Owner of the resource group, or Contributor and Role Based Access Control "
        "Administrator together: ask who owns the subscription"
    ),
    "RequestDisallowedByPolicy": "A policy of your organisation forbids it: the message names it. Ask who owns it",
    "PrincipalNotFound": (
        "Entra ID does not know operatorPrincipalId in the subscription's tenant: give the object id of somebody there"
    ),
    "UnmatchedPrincipalType": "operatorPrincipalType says what operatorPrincipalId is: User, Group or ServicePrincipal",
    "FlagMustBeSetForRestore": (
        "An account of that name was deleted and is kept for 48 hours. Free the name with: az cognitiveservices "
        "account list-deleted, then az cognitiveservices account purge --location L --resource-group G --name N"
    ),
    "exists in deleted state": (
        "A vault of that name was deleted and is kept. Free the name with: az keyvault list-deleted, then az keyvault "
        "purge --name N; where purge protection is on, recover it with az keyvault recover --name N, or choose another "
        "name by the parameter name"
    ),
    "ObjectIsDeletedButRecoverable": (
        "A secret of the vault was deleted and is kept: az keyvault secret recover --vault-name V --name N, then run "
        "this again"
    ),
    "InsufficientQuota": (
        "The region has no more quota for a model: lower its sku.capacity, choose another region, or ask for more "
        "quota in the Foundry portal. What is left: az cognitiveservices usage list --location L --output table"
    ),
    "DeploymentModelNotSupported": (
        "The region does not serve that model in that version and SKU. What it serves: az cognitiveservices model list "
        "--location L --output table"
    ),
    "ServiceModelDeprecat": (
        "Azure is retiring that model and takes no new deployments of it: choose a newer one. What the region serves: "
        "az cognitiveservices model list --location L --output table"
    ),
    "InvalidModelProviderData": "Claude needs modelProviderData: infra/README.md shows it",
    "LocationNotAvailableForResourceType": (
        "The region has no Flex Consumption: az functionapp list-flexconsumption-locations --output table lists those "
        "that have"
    ),
    "MissingSubscriptionRegistration": (
        "The subscription has never used that service: az provider register --namespace NAMESPACE, wait a few minutes, "
        "then run this again"
    ),
    "RoleAssignmentUpdateNotPermitted": (
        "A role of an earlier identity of the same name is left over: az role assignment list --resource-group G "
        "--include-inherited shows it without a name; az role assignment delete --ids ID, then run this again"
    ),
    "Only one system topic is allowed per source": (
        "Something else watches the storage account already, as Defender for Storage does. Where nothing needs its "
        "topic: az eventgrid system-topic delete --resource-group G --name N, then run this again"
    ),
    "OperationInProgress": "Azure was still at work on the same resource: wait a minute, then run this again",
    "InUseSubnetCannotBeDeleted": "Azure frees the subnet some time after the app is gone: run this again in an hour",
    "onlyIfNotExists": "Its Bicep is older than 0.38: az bicep upgrade, then run this again",
    "download Bicep CLI": (
        "The Bicep compiler cannot be fetched: put a bicep on the PATH, then az config set "
        "bicep.use_binary_from_path=true"
    ),
    "DeploymentNotFound": (
        "Nothing was deployed there under that name: run this without --code-only, or give the deployment's --name"
    ),
    "DeploymentActive": "Another deployment of that group is under way: wait for it, then run this again",
    "required permissions needed": (
        "You have no role on the storage account, or not yet: a new one takes up to 10 minutes. operatorPrincipalId "
        "says who gets one; then run this again"
    ),
    "blocked by network rules": (
        "The storage account refuses this network. With private networking put the configuration into the package: "
        "--config-in package"
    ),
    "Network Error": "The name does not resolve or nothing answers: check the network and a proxy's settings",
}
"""A word that Azure says → what to do. The first that is found counts."""


def advice_on(said: str) -> str:
    """What to do about it; empty when nobody knows."""
    return next((advice for word, advice in ADVICE.items() if word in said), "")
