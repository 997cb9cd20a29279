// The key vault, and the two secrets that the gateway cannot do without. They are made once and never overwritten.

param name string
param location string
param tags object
param workspaceId string
param privateNetworking bool
param purgeProtection bool

@secure()
param keyPepper string

@secure()
param adminKey string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    enablePurgeProtection: purgeProtection ? true : null // Azure refuses false
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: { bypass: 'AzureServices', defaultAction: privateNetworking ? 'Deny' : 'Allow' }
  }
}

@onlyIfNotExists()
resource pepper 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: 'key-pepper'
  tags: tags
  properties: { value: keyPepper, contentType: 'KEY_PEPPER of Tollgate. Changing it ends every key.' }
}

@onlyIfNotExists()
resource admin 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: 'admin-key'
  dependsOn: [pepper] // one after the other: Azure may refuse two changes of a vault at once
  tags: tags
  properties: { value: adminKey, contentType: 'ADMIN_KEY of Tollgate: for /manage.' }
}

#disable-next-line use-recent-api-versions // no stable version knows groups of categories
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}
