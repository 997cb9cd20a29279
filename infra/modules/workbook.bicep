// The workbook "Tollgate": calls, errors, times, tokens, trouble, volume. What stands where is in infra/workbook.json;
// an item there that asks something has the name of a file of infra/queries.
targetScope = 'resourceGroup'

@description('Where the workbook is kept.')
param location string

@description('Tags of the workbook.')
param tags object

@description('Application Insights, in whose list of workbooks it stands.')
param insightsId string

@description('The workspace that the queries ask.')
param workspaceId string

var queries = {
  aliases: loadTextContent('../queries/aliases.kql')
  attempts: loadTextContent('../queries/attempts.kql')
  calls: loadTextContent('../queries/calls.kql')
  deployments: loadTextContent('../queries/deployments.kql')
  'first-token': loadTextContent('../queries/first-token.kql')
  functions: loadTextContent('../queries/functions.kql')
  instances: loadTextContent('../queries/instances.kql')
  keys: loadTextContent('../queries/keys.kql')
  tokens: loadTextContent('../queries/tokens.kql')
  volume: loadTextContent('../queries/volume.kql')
  warnings: loadTextContent('../queries/warnings.kql')
}

var layout object = loadJsonContent('../workbook.json')

// 3: an item that asks the workspace
var items = map(
  layout.items,
  item =>
    item.type == 3
      ? {
          ...item
          content: { ...item.content, query: queries[item.name], crossComponentResources: [workspaceId] }
        }
      : item
)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insightsId, 'tollgate')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Tollgate'
    category: 'workbook'
    sourceId: insightsId
    version: 'Notebook/1.0'
    serializedData: string({ ...layout, items: items, fallbackResourceIds: [workspaceId] })
  }
}
