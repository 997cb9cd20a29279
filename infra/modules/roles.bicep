// Roles of one principal on the storage account, the vault and Application Insights, as shared/roles.json lists them.

@description('Whose rows of the list.')
@allowed(['app', 'operator'])
param who string
param principalId string

@description('Stands for the principal in the assignments\' names, and is known before the deployment runs: so what-if can show them.')
param holder string

@allowed(['ServicePrincipal', 'User', 'Group'])
param principalType string

@description('Empty: none there.')
param storageName string = ''

@description('Empty: none there.')
param vaultName string = ''

@description('Empty: none there.')
param insightsName string = ''

var rows = filter(loadJsonContent('../../shared/roles.json'), row => row.who == who)
var onStorage = filter(rows, row => row.on == 'storage' && !empty(storageName))
var onVault = filter(rows, row => row.on == 'vault' && !empty(vaultName))
var onInsights = filter(rows, row => row.on == 'insights' && !empty(insightsName))

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: empty(storageName) ? 'none' : storageName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: empty(vaultName) ? 'none' : vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: empty(insightsName) ? 'none' : insightsName
}

resource storageRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in onStorage: {
    scope: storage
    name: guid(storage.id, holder, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: principalId
      principalType: principalType
      description: row.why
    }
  }
]

resource vaultRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in onVault: {
    scope: vault
    name: guid(vault.id, holder, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: principalId
      principalType: principalType
      description: row.why
    }
  }
]

resource insightsRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in onInsights: {
    scope: insights
    name: guid(insights.id, holder, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: principalId
      principalType: principalType
      description: row.why
    }
  }
]
