// An account's own identity reads and writes batches in one container of the gateway's storage.

param storageName string
param containerName string

@description('It needs a system-assigned identity.')
param accountName string
param accountGroup string
param accountSubscription string

var rows = filter(loadJsonContent('../../shared/roles.json'), row => row.who == 'account')

resource account 'Microsoft.CognitiveServices/accounts@2025-12-01' existing = {
  scope: resourceGroup(accountSubscription, accountGroup)
  name: accountName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource container 'containers' existing = {
      name: containerName
    }
  }
}

resource roles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in rows: {
    scope: storage::blobs::container
    name: guid(storage::blobs::container.id, account.id, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: account.identity.principalId
      principalType: 'ServicePrincipal'
      description: row.why
    }
  }
]
