// Where the gateway's log lines and the host's metrics go: a workspace, and Application Insights upon it. Both take data
// from Entra identities alone; the app's identity has the role Monitoring Metrics Publisher.
targetScope = 'resourceGroup'

@description('Where the workspace and Application Insights live.')
param location string

@description('Tags of both.')
param tags object

@description('Ends the names.')
param token string

@description('Days for which the workspace keeps its data. The first 31 cost nothing.')
@minValue(30)
@maxValue(730)
param logRetentionDays int

@description('Gigabytes that the workspace takes in a day; what comes later on that day is lost. 0: no cap.')
@minValue(0)
param dailyCapGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
    workspaceCapping: { dailyQuotaGb: dailyCapGb == 0 ? -1 : dailyCapGb }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
  }
}

@description('Id of the Log Analytics workspace.')
output workspaceId string = workspace.id

@description('Name of Application Insights.')
output insightsName string = insights.name

@description('Id of Application Insights.')
output insightsId string = insights.id

@description('Says where to send to. It is no secret: without a token of a permitted identity nothing is taken.')
output connectionString string = insights.properties.ConnectionString
