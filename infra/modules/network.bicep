// The private network: one subnet for the app, one for the addresses of what it uses, and the zones that name these.

param name string
param location string
param tags object

@description('Ends the names of the private endpoints.')
param token string

@description('A /24 or larger: private endpoints take its first 64 addresses, the app 64 of the others.')
param addressPrefix string

@description('The app goes out by one fixed address.')
param natGateway bool
param storageId string
param vaultId string
param accountIds string[]

var services = ['blob', 'queue', 'table']
var storageZones = [for service in services: 'privatelink.${service}.${environment().suffixes.storage}']
var vaultZone = 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
var accountZones = [
  'privatelink.cognitiveservices.azure.com'
  'privatelink.openai.azure.com'
  'privatelink.services.ai.azure.com'
]
var zoneNames = concat(storageZones, [vaultZone], accountZones)

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = if (natGateway) {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource nat 'Microsoft.Network/natGateways@2025-05-01' = if (natGateway) {
  name: 'nat-${name}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIpAddresses: [{ id: address.id }] }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          defaultOutboundAccess: false
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 2)
          // Prices, Entra ID's keys, callbacks and telemetry are on the internet.
          defaultOutboundAccess: !natGateway
          natGateway: natGateway ? { id: nat.id } : null
          delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zoneNames: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in zoneNames: {
    parent: zones[i]
    name: name
    location: 'global'
    tags: tags
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
]

@batchSize(1) // Azure refuses a second change of a storage account while one is under way
module storageEndpoints 'private-endpoint.bicep' = [
  for (service, i) in services: {
    params: {
      name: 'pe-${service}-${token}'
      location: location
      tags: tags
      subnetId: '${network.id}/subnets/endpoints'
      targetId: storageId
      groupId: service
      zoneNames: [storageZones[i]]
    }
    dependsOn: [zones]
  }
]

module vaultEndpoint 'private-endpoint.bicep' = {
  params: {
    name: 'pe-vault-${token}'
    location: location
    tags: tags
    subnetId: '${network.id}/subnets/endpoints'
    targetId: vaultId
    groupId: 'vault'
    zoneNames: [vaultZone]
  }
  dependsOn: [zones]
}

module accountEndpoints 'private-endpoint.bicep' = [
  for id in accountIds: {
    params: {
      name: 'pe-${last(split(id, '/'))}-${token}'
      location: location
      tags: tags
      subnetId: '${network.id}/subnets/endpoints'
      targetId: id
      groupId: 'account'
      zoneNames: accountZones
    }
    dependsOn: [zones]
  }
]
