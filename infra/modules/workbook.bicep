@minLength(13)
param token string
param location string
param tags object
param insightsId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'partner-center-sync', token)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Partner Center sync'
    category: 'workbook'
    sourceId: insightsId
    serializedData: loadTextContent('../workbook.json')
  }
}
