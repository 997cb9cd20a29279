// Rules that look at the gateway's log lines and tell the people of alertEmails. Each rule is a query of infra/queries
// that finds a row when something is wrong; its bounds are in its first lines. What each means: docs/monitoring.md.
targetScope = 'resourceGroup'

@description('Where the rules are kept: that of the workspace.')
param location string

@description('Tags of all.')
param tags object

@description('Ends the names.')
param token string

@description('Application Insights: the rules are shown with it.')
param insightsId string

@description('The workspace that the rules ask.')
param workspaceId string

@description('Who is mailed. Without any, alerts are shown in the portal alone.')
param alertEmails string[]

@description('One rule. Those that last are resolved when the query finds nothing more; the others are told of once and then muted for six hours.')
type rule = {
  name: string
  title: string
  query: string

  @description('0: nothing works, 1: calls fail, 2: soon they may, 3: worth a look.')
  severity: 0 | 1 | 2 | 3

  @description('How often it is asked.')
  every: string

  @description('What it looks at: longer than `every`, since lines may come some minutes late.')
  window: string

  @description('Days of lines that the query sees, if more than the window.')
  sees: string?

  @description('Whether it ends by itself.')
  lasts: bool

  @description('Whether it is on from the beginning.')
  on: bool
}

var rules rule[] = [
  {
    name: 'failures'
    title: 'Calls fail'
    query: loadTextContent('../queries/alert-failures.kql')
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    lasts: true
    on: true
  }
  {
    name: 'credentials'
    title: 'Azure refuses the gateway\'s identity or keys'
    query: loadTextContent('../queries/alert-credentials.kql')
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    lasts: true
    on: true
  }
  {
    name: 'storage'
    title: 'Storage does not answer'
    query: loadTextContent('../queries/alert-storage.kql')
    severity: 1
    every: 'PT5M'
    window: 'PT15M'
    lasts: true
    on: true
  }
  {
    name: 'configuration'
    title: 'Configuration refused'
    query: loadTextContent('../queries/alert-configuration.kql')
    severity: 1
    every: 'PT15M'
    window: 'PT30M'
    lasts: false
    on: true
  }
  {
    name: 'internal'
    title: 'A fault in the gateway'
    query: loadTextContent('../queries/alert-internal.kql')
    severity: 1
    every: 'PT15M'
    window: 'PT30M'
    lasts: false
    on: true
  }
  {
    name: 'work'
    title: 'Work in the background was given up'
    query: loadTextContent('../queries/alert-work.kql')
    severity: 2
    every: 'PT15M'
    window: 'PT30M'
    lasts: false
    on: true
  }
  {
    name: 'books'
    title: 'Usage or prices may be wrong'
    query: loadTextContent('../queries/alert-books.kql')
    severity: 2
    every: 'PT15M'
    window: 'PT30M'
    lasts: false
    on: true
  }
  {
    name: 'cap'
    title: 'The daily cap of logs is reached'
    query: loadTextContent('../queries/alert-cap.kql')
    severity: 2
    every: 'PT15M'
    window: 'PT30M'
    lasts: false
    on: true
  }
  {
    name: 'limited'
    title: 'Many calls get 429'
    query: loadTextContent('../queries/alert-limited.kql')
    severity: 3
    every: 'PT15M'
    window: 'PT30M'
    lasts: true
    on: true
  }
  {
    name: 'first-token'
    title: 'Streams begin late'
    query: loadTextContent('../queries/alert-first-token.kql')
    severity: 3
    every: 'PT15M'
    window: 'PT30M'
    lasts: true
    on: true
  }
  {
    name: 'silence'
    title: 'No calls'
    query: loadTextContent('../queries/alert-silence.kql')
    severity: 2
    every: 'PT1H'
    window: 'PT1H'
    sees: 'P2D'
    lasts: true
    on: false
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmails)) {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'tollgate'
    enabled: true
    emailReceivers: [
      for (address, i) in alertEmails: {
        name: 'mail-${i}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}-${token}'
    location: location
    tags: { ...tags, 'hidden-link:${insightsId}': 'Resource' }
    kind: 'LogAlert'
    properties: {
      displayName: 'Tollgate: ${rule.title}'
      description: 'What it means and what to do: docs/monitoring.md#${rule.name}'
      enabled: rule.on
      severity: rule.severity
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      overrideQueryTimeRange: rule.?sees
      autoMitigate: rule.lasts
      muteActionsDuration: rule.lasts ? null : 'PT6H'
      skipQueryValidation: true // a new workspace has no such tables yet
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: empty(alertEmails) ? [] : [mail.id] }
    }
  }
]
