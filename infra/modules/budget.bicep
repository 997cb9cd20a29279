// A budget of the resource group: mails when its cost, models included, nears or passes an amount. It stops nothing.
targetScope = 'resourceGroup'

@description('Ends the name.')
param token string

@description('The amount of a month, in the currency of the billing account. Another amount makes another budget: delete the old one.')
@minValue(1)
param amount int

@description('Who is mailed, beside the owners of the resource group. Azure takes no budget without an address.')
@minLength(1)
param emails string[]

@description('The first day of the month in which the budget is made.')
param startDate string

var told = { enabled: true, contactEmails: emails, contactRoles: ['Owner'] }

// Azure refuses another startDate for a budget that exists, and an old one for a new budget: so it is made once.
@onlyIfNotExists()
resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: 'budget-${token}-${amount}'
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: startDate }
    notifications: {
      half: { ...told, operator: 'GreaterThanOrEqualTo', threshold: 50, thresholdType: 'Actual' }
      nearly: { ...told, operator: 'GreaterThanOrEqualTo', threshold: 90, thresholdType: 'Actual' }
      spent: { ...told, operator: 'GreaterThanOrEqualTo', threshold: 100, thresholdType: 'Actual' }
      forecast: { ...told, operator: 'GreaterThan', threshold: 110, thresholdType: 'Forecasted' }
    }
  }
}
