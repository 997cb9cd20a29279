// The models are there already, also in other groups and subscriptions: the gateway only gets its roles on them.
using '../main.bicep'

param accounts = [
  { name: 'contoso-openai', location: 'swedencentral', existing: true, resourceGroup: 'rg-ai' }
  { name: 'contoso-foundry', location: 'eastus2', existing: true, resourceGroup: 'rg-ai', partners: true }
  {
    name: 'contoso-research'
    location: 'westus3'
    existing: true
    resourceGroup: 'rg-research'
    subscriptionId: '00000000-0000-0000-0000-000000000002'
  }
]
param files = false
