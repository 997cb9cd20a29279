// Everything on: several regions, every kind of deployment, Claude, batches by a container, a private network, watching.
using '../main.bicep'

param name = 'gateway'
param tags = { costCenter: '4711', environment: 'production' }

param accounts = [
  {
    name: 'europe'
    location: 'swedencentral'
    batchStorage: true
    deployments: [
      {
        name: 'gpt-4.1'
        model: { format: 'OpenAI', name: 'gpt-4.1', version: '2025-04-14' }
        sku: { name: 'DataZoneStandard', capacity: 300 }
      }
      {
        name: 'gpt-4.1-provisioned'
        model: { format: 'OpenAI', name: 'gpt-4.1', version: '2025-04-14' }
        sku: { name: 'DataZoneProvisionedManaged', capacity: 15 }
        spillover: 'gpt-4.1'
        versionUpgradeOption: 'NoAutoUpgrade'
      }
      {
        name: 'gpt-4.1-batch'
        model: { format: 'OpenAI', name: 'gpt-4.1', version: '2025-04-14' }
        sku: { name: 'DataZoneBatch', capacity: 1000 }
      }
      {
        name: 'text-embedding-3-large'
        model: { format: 'OpenAI', name: 'text-embedding-3-large', version: '1' }
        sku: { name: 'Standard', capacity: 120 }
        raiPolicy: 'Microsoft.DefaultV2'
      }
    ]
  }
  {
    name: 'america'
    location: 'eastus2'
    partners: true
    deployments: [
      {
        name: 'gpt-4.1'
        model: { format: 'OpenAI', name: 'gpt-4.1', version: '2025-04-14' }
        sku: { name: 'GlobalStandard', capacity: 300 }
      }
      {
        name: 'claude-sonnet-4-5'
        model: { format: 'Anthropic', name: 'claude-sonnet-4-5', version: '20250929' }
        sku: { name: 'GlobalStandard', capacity: 100 }
        modelProviderData: { organizationName: 'Contoso', industry: 'technology', countryCode: 'SE' }
      }
    ]
  }
  { name: 'safety', location: 'swedencentral', kind: 'ContentSafety', partners: true }
  { name: 'contoso-openai', location: 'francecentral', existing: true, resourceGroup: 'rg-ai', batchStorage: true }
]

param operatorPrincipalId = '00000000-0000-0000-0000-000000000003'
param operatorPrincipalType = 'Group'

param instanceMemoryMB = 4096
param perInstanceConcurrency = 64
param maximumInstanceCount = 100
param alwaysReady = 2
param zoneRedundant = true
param privateNetworking = true
param networkAddressPrefix = '10.90.0.0/24'
param natGateway = true

param logRetentionDays = 90
param dailyCapGb = 20
param alertEmails = ['ai-platform@contoso.example']
param budgetAmount = 5000
param workbook = true

param configSource = 'blob:settings/gateway.yaml'
param entraTenants = ['00000000-0000-0000-0000-000000000001']
param entraAudiences = ['api://tollgate']
param contact = 'ai-platform@contoso.example'
param corsOrigins = ['https://chat.contoso.example']
param callbackHosts = ['callbacks.internal.contoso.example']
param events = 'queue:gateway-events'
param exportContainer = 'usage'
param retentionMonths = 36
param dropRetentionDays = 30
param idKeysName = 'id-keys' // makes no secret: put it into the vault after the first deployment (docs/ids.md)
param settings = { ON_DISCONNECT: 'drain', LOG_LEVEL: 'WARNING' }
