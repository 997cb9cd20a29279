// The app's roles on itself: what the doctor reads of it.

param siteName string
param principalId string

@description('Stands for the principal in the assignments\' names.')
param holder string

var rows = filter(loadJsonContent('../../shared/roles.json'), row => row.who == 'app' && row.on == 'site')

resource site 'Microsoft.Web/sites@2025-03-01' existing = {
  name: siteName
}

resource roles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in rows: {
    scope: site
    name: guid(site.id, holder, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: principalId
      principalType: 'ServicePrincipal'
      description: row.why
    }
  }
]
