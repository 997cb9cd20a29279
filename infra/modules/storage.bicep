// The storage account: where the gateway keeps everything, and the Functions host its package and locks.
// Every container, queue and table with a fixed name. Tables of a month (tollgateusageYYYYMM, …) are made by the gateway.

param name string
param location string
param tags object
param zoneRedundant bool
param privateNetworking bool

@description('Containers beyond those that are always there.')
param moreContainers string[]

@description('Queues beyond those that are always there.')
param moreQueues string[]

@description('Days after which dropped files and their results are deleted; 0: never.')
param dropRetentionDays int

var containers = union(['app-package', 'batches', 'tollgate-files'], moreContainers)
var queues = union(
  [
    'tollgate-batch-looks'
    'tollgate-batch-looks-poison'
    'tollgate-batch-lines'
    'tollgate-batch-lines-poison'
    'tollgate-batch-drops'
    'tollgate-batch-drops-poison'
  ],
  moreQueues
)
var tables = [
  'tollgatebatches'
  'tollgatekeys'
  'tollgatelimits'
  'tollgateobjects'
  'tollgateowed'
  'tollgatestate'
  'tollgateteams'
]

// The gateway removes what it has kept in tollgate-files itself, for only it knows what a batch still needs: no rule there.
// What lies in tollgate-export is the books: nobody deletes it but you.
var rules = concat(
  contains(containers, 'azure-batches') ? [{ name: 'azure-batches', prefixes: ['azure-batches/'], days: 30 }] : [],
  dropRetentionDays > 0
    ? [
        {
          name: 'drops'
          prefixes: ['batches/in/', 'batches/out/', 'batches/rejected/']
          days: dropRetentionDays
        }
      ]
    : []
)

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: {
      // Event Grid and the resources of batches come as trusted services, with a role, also when the network is closed.
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    // No soft delete: a file that a client has deleted is gone.
    properties: {
      deleteRetentionPolicy: { enabled: false }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource container 'containers' = [
      for name in containers: {
        name: name
        properties: { publicAccess: 'None' }
      }
    ]
  }

  resource queueService 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [for name in queues: { name: name }]
  }

  resource tableService 'tableServices' = {
    name: 'default'

    resource table 'tables' = [for name in tables: { name: name }]
  }

  resource lifecycle 'managementPolicies' = if (!empty(rules)) {
    name: 'default'
    dependsOn: [blobs]
    properties: {
      policy: {
        rules: [
          for rule in rules: {
            name: rule.name
            enabled: true
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: rule.prefixes }
              actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: rule.days } } }
            }
          }
        ]
      }
    }
  }
}
