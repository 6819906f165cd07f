// Every alert's description names the section of docs/operations.md that says what to do.
param token string
param location string
param tags object
@description('The feature flag: while it is off nothing is expected to run.')
param enabled bool
param insightsId string
param actionGroupId string
param databaseServerId string
param silenceWindow string
param sweepWindow string

// Each query answers with the lines that matter; the rule counts them. `LessThan 1` also fires
// when nothing at all arrives, which is what a dead app looks like.
var rules = [
  {
    name: 'silence'
    title: 'No sync has completed'
    section: 'Alert: no sync has completed'
    severity: 1
    query: loadTextContent('../queries/silence.kql')
    operator: 'LessThan'
    threshold: 1
    window: silenceWindow
    frequency: 'PT5M'
    onlyWhileEnabled: true
  }
  {
    name: 'sweep-overdue'
    title: 'No full sync has completed'
    section: 'Alert: no full sync has completed'
    severity: 2
    query: loadTextContent('../queries/sweep-overdue.kql')
    operator: 'LessThan'
    threshold: 1
    window: sweepWindow
    frequency: 'PT1H'
    onlyWhileEnabled: true
  }
  {
    name: 'sign-in-needed'
    title: 'Somebody has to sign in'
    section: 'Alert: somebody has to sign in'
    severity: 1
    query: loadTextContent('../queries/sign-in-needed.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
    onlyWhileEnabled: false
  }
  {
    name: 'sign-in-ageing'
    title: 'The sign-in is getting old'
    section: 'Alert: the sign-in is getting old'
    severity: 2
    query: loadTextContent('../queries/sign-in-ageing.kql')
    operator: 'GreaterThan'
    threshold: 0
    // So that it stays open while the line comes once a day.
    window: 'P2D'
    frequency: 'PT1H'
    onlyWhileEnabled: false
  }
  {
    name: 'run-failed'
    title: 'A sync has failed'
    section: 'Alert: a sync has failed'
    severity: 2
    query: loadTextContent('../queries/run-failed.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
    onlyWhileEnabled: false
  }
  {
    name: 'quarantine'
    title: 'Referrals were set aside'
    section: 'Alert: referrals were set aside'
    severity: 3
    query: loadTextContent('../queries/quarantine.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
    onlyWhileEnabled: false
  }
  {
    name: 'drift'
    title: 'Changes had been missed'
    section: 'Alert: changes had been missed'
    severity: 2
    query: loadTextContent('../queries/drift.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
    onlyWhileEnabled: false
  }
  {
    name: 'throttling'
    title: 'Partner Center throttles'
    section: 'Alert: Partner Center throttles'
    severity: 3
    query: loadTextContent('../queries/throttling.kql')
    operator: 'GreaterThan'
    threshold: 9
    window: 'PT1H'
    frequency: 'PT15M'
    onlyWhileEnabled: false
  }
]

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
      windowSize: rule.window
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [actionGroupId] }
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
    actions: [{ actionGroupId: actionGroupId }]
  }
}

// 80 are the app's, 20 are for people and reports.
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
          threshold: 80
        }
      ]
    }
    actions: [{ actionGroupId: actionGroupId }]
  }
}
