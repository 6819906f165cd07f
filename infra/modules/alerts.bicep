// Every alert's description names the section of docs/operations.md that says what to do.
@minLength(13)
param token string
param location string
param tags object
@description('The feature flag: while it is off nothing is expected to run.')
param enabled bool
param insightsId string
param actionGroupIds array
param databaseServerId string
param silenceWindow string
param sweepWindow string

// Each query answers with the lines that matter; the rule counts them, for each value of its
// dimensions, and the mail names the value. `LessThan 1` also fires when nothing at all arrives,
// which is what a dead app looks like.
var rules = loadJsonContent('../alerts.json')

// The compiler reads files by names that stand here only.
var queries = {
  silence: loadTextContent('../queries/silence.kql')
  'sweep-overdue': loadTextContent('../queries/sweep-overdue.kql')
  'sign-in-needed': loadTextContent('../queries/sign-in-needed.kql')
  'sign-in-ageing': loadTextContent('../queries/sign-in-ageing.kql')
  'run-failed': loadTextContent('../queries/run-failed.kql')
  quarantine: loadTextContent('../queries/quarantine.kql')
  drift: loadTextContent('../queries/drift.kql')
  throttling: loadTextContent('../queries/throttling.kql')
}

// What the environment says in the place of alerts.json.
var windows = {
  silence: silenceWindow
  'sweep-overdue': sweepWindow
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}-${token}'
    location: location
    tags: tags
    properties: {
      displayName: 'Partner Center sync: ${rule.title}'
      description: 'What to do: docs/operations.md, section "${rule.section}".'
      severity: rule.severity
      enabled: enabled || !rule.onlyWhileEnabled
      scopes: [insightsId]
      evaluationFrequency: rule.frequency
      windowSize: windows[?rule.name] ?? rule.window
      autoMitigate: true
      // A workspace that is minutes old may not know its tables yet, and the rule would be refused.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: queries[rule.name]
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            dimensions: [for name in rule.dimensions: { name: name, operator: 'Include', values: ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: actionGroupIds }
    }
  }
]

resource databaseStorage 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-database-storage-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'What to do: docs/operations.md, section "Alert: the database fills up".'
    severity: 2
    enabled: true
    scopes: [databaseServerId]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'storage'
          metricName: 'storage_percent'
          timeAggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 80
        }
      ]
    }
    actions: map(actionGroupIds, id => { actionGroupId: id })
  }
}

// The app's role may hold 80, and 20 are left for people and reports.
resource databaseConnections 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-database-connections-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'What to do: docs/operations.md, section "Alert: the database runs out of connections".'
    severity: 2
    enabled: true
    scopes: [databaseServerId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'connections'
          metricName: 'active_connections'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 70
        }
      ]
    }
    actions: map(actionGroupIds, id => { actionGroupId: id })
  }
}
