// One account with one model; everything else as it comes.
using '../main.bicep'

param accounts = [
  {
    name: 'models'
    location: 'swedencentral'
    deployments: [
      {
        name: 'gpt-5.4-mini'
        model: { format: 'OpenAI', name: 'gpt-5.4-mini', version: '2026-03-17' }
        sku: { name: 'GlobalStandard', capacity: 50 }
      }
    ]
  }
]
