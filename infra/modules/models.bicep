// One account with models, and its deployments. Keys are off: it knows Entra ID alone.

import { account } from 'types.bicep'

param name string
param tags object
param spec account
param privateNetworking bool

resource models 'Microsoft.CognitiveServices/accounts@2025-12-01' = {
  name: name
  location: spec.location
  tags: tags
  kind: spec.?kind ?? 'AIServices'
  sku: { name: 'S0' }
  identity: { type: 'SystemAssigned' } // by which it reads and writes batches (batchStorage); Foundry's projects need one
  properties: {
    customSubDomainName: name // without it Entra tokens are refused
    disableLocalAuth: true
    allowProjectManagement: (spec.?kind ?? 'AIServices') == 'AIServices' ? true : null
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: { defaultAction: privateNetworking ? 'Deny' : 'Allow' }
  }
}

@batchSize(1) // Azure refuses a second change of an account while one is under way
resource deployments 'Microsoft.CognitiveServices/accounts/deployments@2025-12-01' = [
  for one in spec.?deployments ?? []: {
    parent: models
    name: one.name
    sku: one.sku
    properties: {
      model: one.model
      raiPolicyName: one.?raiPolicy
      spilloverDeploymentName: one.?spillover
      versionUpgradeOption: one.?versionUpgradeOption ?? 'OnceCurrentVersionExpired'
      // Azure demands it for Claude; no version of the types has it, hence any().
      ...any(one.?modelProviderData == null ? {} : { modelProviderData: one.?modelProviderData })
    }
  }
]
