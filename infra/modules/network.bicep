@minLength(13)
param token string
param location string
param tags object
@description('true: a subnet for a machine that deploys.')
param runnerSubnet bool

var zoneNames = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  database: 'privatelink.postgres.database.azure.com'
  vault: 'privatelink.vaultcore.azure.net'
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.60.0.0/24'] }
  }
}

// Children of their own: subnets written into the network would delete one that was added by hand.
// One at a time, because the network takes one change at a time.
resource appSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' = {
  parent: network
  name: 'app'
  properties: {
    addressPrefix: '10.60.0.0/26'
    delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
  }
}

resource endpointSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' = {
  parent: network
  name: 'endpoints'
  properties: { addressPrefix: '10.60.0.64/27', privateEndpointNetworkPolicies: 'Disabled' }
  dependsOn: [appSubnet]
}

resource runners 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' = if (runnerSubnet) {
  parent: network
  name: 'runner'
  properties: { addressPrefix: '10.60.0.96/27' }
  dependsOn: [endpointSubnet]
}

resource blobZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zoneNames.blob
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: 'app'
    location: 'global'
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
}

resource databaseZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zoneNames.database
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: 'app'
    location: 'global'
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
}

resource vaultZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zoneNames.vault
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: 'app'
    location: 'global'
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
}

output appSubnetId string = appSubnet.id
output endpointSubnetId string = endpointSubnet.id
output blobZoneId string = blobZone.id
output databaseZoneId string = databaseZone.id
output vaultZoneId string = vaultZone.id
