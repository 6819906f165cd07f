@minLength(13)
param token string
param location string
param tags object
param skuName string
param skuTier string
param highAvailability bool
param storageGb int
param backupDays int
param adminId string
param adminName string
param adminType string
param workspaceId string
param privateNetwork bool
param endpointSubnetId string
param dnsZoneId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: 'psql-${token}'
  location: location
  tags: tags
  sku: { name: skuName, tier: skuTier }
  properties: {
    version: '17'
    authConfig: { activeDirectoryAuth: 'Enabled', passwordAuth: 'Disabled', tenantId: tenant().tenantId }
    storage: { storageSizeGB: storageGb, autoGrow: 'Enabled' }
    backup: { backupRetentionDays: backupDays, geoRedundantBackup: 'Disabled' }
    highAvailability: { mode: highAvailability ? 'ZoneRedundant' : 'Disabled' }
    network: { publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled' }
  }
}

// The service refuses to change an administrator while another child changes: one at a time.
resource data 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = {
  parent: server
  name: 'hunter'
  properties: { charset: 'UTF8', collation: 'en_US.utf8' }
}

// Lets in addresses of Azure, other tenants' too: the Entra sign-in is the wall. Where that is not
// enough, set privateNetwork.
resource azureServices 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = if (!privateNetwork) {
  parent: server
  name: 'azure-services'
  properties: { startIpAddress: '0.0.0.0', endIpAddress: '0.0.0.0' }
  dependsOn: [data]
}

// The app's role may hold 80 connections: the postprovision hook sets that limit, because Flex
// Consumption scales HTTP and the timer apart and may exceed 40 instances in a burst. Beside them 20
// for people and reports, and the 15 that the service keeps for itself. It counts after a restart
// of the server, which the postprovision hook does when one is due.
resource maxConnections 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'max_connections'
  properties: { value: '115', source: 'user-override' }
  dependsOn: [azureServices]
}

resource idleInTransaction 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'idle_in_transaction_session_timeout'
  properties: { value: '300000', source: 'user-override' }
  dependsOn: [maxConnections]
}

resource tls 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'require_secure_transport'
  properties: { value: 'on', source: 'user-override' }
  dependsOn: [idleInTransaction]
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: adminId
  properties: { principalName: adminName, principalType: adminType, tenantId: tenant().tenantId }
  dependsOn: [tls]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: server
  name: 'logs'
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'PostgreSQLLogs', enabled: true }]
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = if (privateNetwork) {
  name: 'pe-psql-${token}'
  location: location
  tags: tags
  properties: {
    subnet: { id: endpointSubnetId }
    privateLinkServiceConnections: [
      { name: 'psql', properties: { privateLinkServiceId: server.id, groupIds: ['postgresqlServer'] } }
    ]
  }
  dependsOn: [administrator]

  resource zones 'privateDnsZoneGroups' = {
    name: 'default'
    properties: { privateDnsZoneConfigs: [{ name: 'psql', properties: { privateDnsZoneId: dnsZoneId } }] }
  }
}

output serverId string = server.id
output serverName string = server.name
output host string = server.properties.fullyQualifiedDomainName
output databaseName string = data.name
output adminName string = adminName
