targetScope = 'resourceGroup'

metadata name = 'Tollgate'
metadata description = 'An OpenAI-compatible gateway to Azure OpenAI and Azure AI Foundry, as a function app without any key.'

import { account } from 'modules/types.bicep'

// ---- What it is called, and where it is

@description('The region of everything but the accounts with models. `az functionapp list-flexconsumption-locations` lists those that can be used.')
param location string = resourceGroup().location

@description('Part of the resources\' names. A second gateway in the same group needs another one.')
@minLength(2)
@maxLength(16)
param name string = 'tollgate'

@description('Tags of every resource.')
param tags object = {}

// ---- Models

@description('Accounts with models, in any region: made here, or existing ones that the gateway is given roles on. See README.md.')
@maxLength(50)
param accounts account[]

@description('The gateway serves files, batches and fine-tuning: gives it the role Cognitive Services OpenAI Contributor.')
param files bool = true

// ---- Who operates it

@description('Object id of the person or group that reads the admin key, uploads the configuration and uses the command line; empty: nobody gets roles. `az ad signed-in-user show --query id -o tsv`')
param operatorPrincipalId string = ''

@description('What operatorPrincipalId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string = 'User'

// ---- How it scales

@description('Memory of one instance. 2048 has one core.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Calls that one instance is given at once. Calls to models wait most of the time; Azure\'s own default for Python is 1.')
@minValue(1)
@maxValue(1000)
param perInstanceConcurrency int = 32

@description('Instances at most. With perInstanceConcurrency it bounds the calls under way.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that always run, so that no call waits for a start. They are paid around the clock; 0: none.')
@minValue(0)
@maxValue(1000)
param alwaysReady int = 0

@description('Spreads instances and storage over the region\'s zones. It cannot be changed later. alwaysReady is to be 0, or 2 and more.')
param zoneRedundant bool = false

@description('A deployment replaces the instances bit by bit, and calls under way end well. false in regions that refuse siteUpdateStrategy: then all instances are replaced at once.')
param rollingUpdates bool = true

// ---- Network

@description('Storage, vault and accounts are reached by private endpoints only. The gateway itself stays public.')
param privateNetworking bool = false

@description('Addresses of the private network, a /24 or larger.')
param networkAddressPrefix string = '10.90.0.0/24'

@description('With a private network: the gateway calls others from one fixed address. It is paid by the hour.')
param natGateway bool = false

// ---- What it watches and costs

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Gigabytes of logs a day, after which Azure takes none until the next day.')
@minValue(1)
param dailyCapGb int = 5

@description('Mail addresses for alerts and the budget; none: alerts are only shown in the portal.')
param alertEmails string[] = []

@description('A budget for the resource group, in US dollars a month; 0: none. It warns, it stops nothing. Another amount makes another budget.')
@minValue(0)
param budgetAmount int = 0

@description('The first day of the month in which the budget is made: Azure takes no other for a new one.')
param budgetStart string = utcNow('yyyy-MM-01')

@description('A workbook with usage, errors and latency in Application Insights.')
param workbook bool = true

// ---- How the gateway behaves (docs/configuration.md)

@description('Where config.yaml is: blob:CONTAINER/NAME in the storage account, config.yaml in the package, or a blob\'s https URL.')
param configSource string = 'blob:config/config.yaml'

@description('Tenants whose Entra tokens are accepted beside keys.')
param entraTenants string[] = []

@description('Audiences of these tokens, as api://tollgate.')
param entraAudiences string[] = []

@description('Whom a caller asks who has reached a limit.')
param contact string = ''

@description('Origins whose browsers may call, or *.')
param corsOrigins string[] = []

@description('Hosts that callbacks of batches may reach although they are private.')
param callbackHosts string[] = []

@description('Where events go: queue:NAME in the storage account, the address of an Event Grid topic, or nowhere.')
param events string = 'queue:tollgate-events'

@description('The container for each day\'s usage as CSV; empty: none.')
param exportContainer string = 'tollgate-export'

@description('Months for which usage, ledger, audit and events are kept; 0: for ever.')
@minValue(0)
@maxValue(999)
param retentionMonths int = 24

@description('Days after which dropped files and their results are deleted from the container batches; 0: never.')
@minValue(0)
@maxValue(3650)
param dropRetentionDays int = 90

@description('Any other app setting of docs/configuration.md, as strings. Secrets: as @Microsoft.KeyVault(…) only.')
param settings { *: string } = {}

// ---- Secrets: made once by the first deployment, and never overwritten by a later one

@description('The vault cannot be emptied before 7 days have gone, by nobody. false for trials: it can be purged, and its name used again. It cannot be taken back.')
param purgeProtection bool = true

@description('What keys are digested with. Made here unless it is given.')
@secure()
param keyPepper string = '${newGuid()}${newGuid()}'

@description('The operator\'s key for /manage. Made here unless it is given.')
@secure()
param adminKey string = '${newGuid()}${newGuid()}'

@description('Name of a secret in the vault with the keys that sign ids (docs/ids.md), which you put there: the gateway does not start without it. Empty: derived from keyPepper.')
param idKeysName string = ''

// ---- Names

var token = toLower(uniqueString(subscription().id, resourceGroup().id, name))
var identityName = 'id-${name}-${token}'
var storageName = 'st${token}'
var vaultName = 'kv-${token}'
var appName = 'func-${name}-${token}'
var networkName = 'vnet-${name}-${token}'
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
var insightsName = 'appi-${token}'
var insightsId = resourceId('Microsoft.Insights/components', insightsName)
var workspaceId = resourceId('Microsoft.OperationalInsights/workspaces', 'log-${token}')
var accountNames = [for one in accounts: one.?existing ?? false ? one.name : '${one.name}-${token}']
var batchStorage = !empty(filter(accounts, one => one.?batchStorage ?? false))

module identity 'modules/identity.bicep' = {
  params: { name: identityName, location: location, tags: tags }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    location: location
    tags: tags
    token: token
    logRetentionDays: logRetentionDays
    dailyCapGb: dailyCapGb
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: storageName
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    privateNetworking: privateNetworking
    dropRetentionDays: dropRetentionDays
    moreContainers: union(
      startsWith(configSource, 'blob:') ? [split(replace(configSource, 'blob:', ''), '/')[0]] : [],
      empty(exportContainer) ? [] : [exportContainer],
      batchStorage ? ['azure-batches'] : []
    )
    moreQueues: startsWith(events, 'queue:') ? [replace(events, 'queue:', '')] : []
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    name: vaultName
    location: location
    tags: tags
    workspaceId: workspaceId
    privateNetworking: privateNetworking
    purgeProtection: purgeProtection
    keyPepper: keyPepper
    adminKey: adminKey
  }
  dependsOn: [monitoring]
}

module models 'modules/models.bicep' = [
  for (one, i) in accounts: if (!(one.?existing ?? false)) {
    params: {
      name: accountNames[i]
      tags: tags
      spec: one
      privateNetworking: privateNetworking
    }
  }
]

// ---- Roles (shared/roles.json)

module appRoles 'modules/roles.bicep' = {
  params: {
    who: 'app'
    principalId: identity.outputs.principalId
    holder: identityId
    principalType: 'ServicePrincipal'
    storageName: storageName
    vaultName: vaultName
    insightsName: insightsName
  }
  dependsOn: [storage, vault, monitoring]
}

module operatorRoles 'modules/roles.bicep' = if (!empty(operatorPrincipalId)) {
  params: {
    who: 'operator'
    principalId: operatorPrincipalId
    holder: operatorPrincipalId
    principalType: operatorPrincipalType
    storageName: storageName
    vaultName: vaultName
  }
  dependsOn: [storage, vault]
}

module accountRoles 'modules/roles-on-account.bicep' = [
  for (one, i) in accounts: {
    scope: resourceGroup(
      one.?subscriptionId ?? subscription().subscriptionId,
      one.?resourceGroup ?? resourceGroup().name
    )
    params: {
      accountName: accountNames[i]
      principalId: identity.outputs.principalId
      // A role on an existing account outlives the identity: another one must not find its name taken.
      #disable-next-line what-if-short-circuiting
      holder: one.?existing ?? false ? identity.outputs.principalId : identityId
      files: files
      partners: one.?partners ?? false
    }
    dependsOn: [models]
  }
]

module batchRoles 'modules/roles-on-container.bicep' = [
  for (one, i) in accounts: if (one.?batchStorage ?? false) {
    params: {
      storageName: storageName
      containerName: 'azure-batches'
      accountName: accountNames[i]
      accountGroup: one.?resourceGroup ?? resourceGroup().name
      accountSubscription: one.?subscriptionId ?? subscription().subscriptionId
    }
    dependsOn: [storage, models]
  }
]

// ---- The private network

module network 'modules/network.bicep' = if (privateNetworking) {
  params: {
    name: networkName
    location: location
    tags: tags
    token: token
    addressPrefix: networkAddressPrefix
    natGateway: natGateway
    storageId: resourceId('Microsoft.Storage/storageAccounts', storageName)
    vaultId: resourceId('Microsoft.KeyVault/vaults', vaultName)
    accountIds: [
      for (one, i) in accounts: resourceId(
        one.?subscriptionId ?? subscription().subscriptionId,
        one.?resourceGroup ?? resourceGroup().name,
        'Microsoft.CognitiveServices/accounts',
        accountNames[i]
      )
    ]
  }
  dependsOn: [storage, vault, models]
}

// ---- The app

module app 'modules/app.bicep' = {
  params: {
    name: appName
    planName: 'plan-${name}-${token}'
    location: location
    tags: tags
    identityName: identityName
    storageName: storageName
    vaultName: vaultName
    insightsName: insightsName
    subnetId: privateNetworking ? resourceId('Microsoft.Network/virtualNetworks/subnets', networkName, 'app') : ''
    instanceMemoryMB: instanceMemoryMB
    perInstanceConcurrency: perInstanceConcurrency
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    zoneRedundant: zoneRedundant
    rollingUpdates: rollingUpdates
    idKeysName: idKeysName
    settings: union(
      {
        CONFIG_SOURCE: configSource
        ENTRA_TENANTS: join(entraTenants, ',')
        ENTRA_AUDIENCES: join(entraAudiences, ',')
        CONTACT: contact
        CORS_ORIGINS: join(corsOrigins, ',')
        CALLBACK_HOSTS: join(callbackHosts, ',')
        EVENTS: events
        EXPORT_CONTAINER: exportContainer
        RETENTION_MONTHS: string(retentionMonths)
      },
      settings
    )
  }
  dependsOn: [appRoles, monitoring, network] // its package and its secrets are there, and it may read them
}

module siteRoles 'modules/roles-on-site.bicep' = {
  params: { siteName: appName, principalId: identity.outputs.principalId, holder: identityId }
  dependsOn: [app]
}

module eventGrid 'modules/events.bicep' = {
  params: {
    name: 'evgt-${name}-${token}'
    location: location
    tags: tags
    storageName: storageName
    batchStorage: batchStorage
  }
  dependsOn: [storage]
}

// ---- What watches it

module alerts 'modules/alerts.bicep' = {
  params: {
    location: location
    tags: tags
    token: token
    insightsId: insightsId
    workspaceId: workspaceId
    alertEmails: alertEmails
  }
  dependsOn: [monitoring]
}

module budget 'modules/budget.bicep' = if (budgetAmount > 0) {
  params: { token: token, amount: max(budgetAmount, 1), emails: alertEmails, startDate: budgetStart }
}

module workbooks 'modules/workbook.bicep' = if (workbook) {
  params: {
    location: location
    tags: tags
    insightsId: insightsId
    workspaceId: workspaceId
  }
  dependsOn: [monitoring]
}

output functionAppName string = appName
output gatewayUrl string = 'https://${app.outputs.hostName}'
output storageAccountName string = storageName
output keyVaultName string = vaultName
output identityClientId string = identity.outputs.clientId
output identityPrincipalId string = identity.outputs.principalId

@description('Where the gateway reads its configuration.')
output configSource string = configSource

@description('As Azure has them, in the order of accounts.')
output accountNames string[] = accountNames
