// Event Grid tells the gateway of dropped files, and of batches that a resource has written: messages in a queue.

param name string
param location string
param tags object
param storageName string

@description('Batches go by way of the container azure-batches, too.')
param batchStorage bool

var rows = filter(loadJsonContent('../../shared/roles.json'), row => row.who == 'topic')
var places = concat(
  [{ name: 'drops', below: '/blobServices/default/containers/batches/blobs/in/' }],
  batchStorage ? [{ name: 'batch-output', below: '/blobServices/default/containers/azure-batches/' }] : []
)

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: storage.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource roles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in rows: {
    scope: storage
    name: guid(storage.id, topic.id, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: topic.identity.principalId
      principalType: 'ServicePrincipal'
      description: row.why
    }
  }
]

@batchSize(1)
resource subscriptions 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [
  for place in places: {
    parent: topic
    name: place.name
    dependsOn: [roles]
    properties: {
      eventDeliverySchema: 'EventGridSchema'
      filter: {
        includedEventTypes: ['Microsoft.Storage.BlobCreated']
        subjectBeginsWith: place.below
      }
      retryPolicy: { eventTimeToLiveInMinutes: 1440, maxDeliveryAttempts: 30 }
      deliveryWithResourceIdentity: {
        identity: { type: 'SystemAssigned' }
        destination: {
          endpointType: 'StorageQueue'
          properties: {
            resourceId: storage.id
            queueName: 'tollgate-batch-drops'
            queueMessageTimeToLiveInSeconds: -1
          }
        }
      }
    }
  }
]
