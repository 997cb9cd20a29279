// The app's roles on one account with models, made here or existing, in any resource group.

param accountName string
param principalId string

@description('Stands for the principal in the assignments\' names.')
param holder string

@description('The gateway serves files, batches and fine-tuning.')
param files bool

@description('The account serves models that are not OpenAI\'s, or Content Safety.')
param partners bool

var cases = concat(['always'], files ? ['files'] : [], partners ? ['partners'] : [])
var rows = filter(
  loadJsonContent('../../shared/roles.json'),
  row => row.who == 'app' && row.on == 'account' && contains(cases, row.when)
)

resource account 'Microsoft.CognitiveServices/accounts@2025-12-01' existing = {
  name: accountName
}

resource roles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in rows: {
    scope: account
    name: guid(account.id, holder, row.id)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', row.id)
      principalId: principalId
      principalType: 'ServicePrincipal'
      description: row.why
    }
  }
]
