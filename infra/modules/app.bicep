// The function app on Flex Consumption, and its settings.

param name string
param planName string
param location string
param tags object
param identityName string
param storageName string
param vaultName string
param insightsName string

@description('Empty: no network of our own.')
param subnetId string
param instanceMemoryMB int
param perInstanceConcurrency int
param maximumInstanceCount int
param alwaysReady int
param zoneRedundant bool
param rollingUpdates bool

@description('Secret name of the vault for ID_KEYS; empty: derived from KEY_PEPPER.')
param idKeysName string

@description('App settings of docs/configuration.md that differ from the defaults.')
param settings { *: string }

var vaultUri = 'https://${vaultName}${environment().suffixes.keyvaultDns}/'

// Every setting that the gateway reads (shared/settings.py) and that the platform does not decide. A test compares them.
var defaults = {
  KEY_PEPPER: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/key-pepper)'
  ADMIN_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/admin-key)'
  ID_KEYS: empty(idKeysName) ? '' : '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${idKeysName})'
  MANAGE_API: 'on'
  ENTRA_TENANTS: ''
  ENTRA_AUDIENCES: ''
  CONTACT: ''
  CONFIG_SOURCE: 'blob:config/config.yaml'
  CONFIG_REFRESH_SECONDS: '60'
  AZURE_KEY_VAULT_URI: vaultUri
  TRUSTED_HOSTS: ''
  KEY_CACHE_SECONDS: '30'
  USAGE_FLUSH: 'interval'
  STORAGE_DOWN: 'open'
  RETENTION_MONTHS: '24'
  EXPORT_CONTAINER: 'tollgate-export'
  PRICES_URL: ''
  RESOURCE_MANAGER_URL: environment().resourceManager
  EVENTS: 'queue:tollgate-events'
  EVENTS_KEY: ''
  ON_DISCONNECT: 'close'
  FIRST_BYTE_SECONDS: '210'
  CALLBACK_HOSTS: ''
  DEFER_LINES: '1000'
  DEFER_SECONDS: '300'
  CORS_ORIGINS: ''
  LOG_LEVEL: 'INFO'
}

// Not for the operator to change: where things are, and as whom the app goes there.
var fixed = {
  AzureWebJobsStorage__blobServiceUri: 'https://${storageName}.blob.${environment().suffixes.storage}'
  AzureWebJobsStorage__queueServiceUri: 'https://${storageName}.queue.${environment().suffixes.storage}'
  AzureWebJobsStorage__tableServiceUri: 'https://${storageName}.table.${environment().suffixes.storage}'
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AZURE_CLIENT_ID: identity.properties.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'gateway' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: { minTlsVersion: '1.2', scmMinTlsVersion: '1.2' }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: 'https://${storageName}.blob.${environment().suffixes.storage}/app-package'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady > 0 ? [{ name: 'http', instanceCount: alwaysReady }] : []
        triggers: { http: { perInstanceConcurrency: perInstanceConcurrency } } // Azure's default for Python is 1
      }
      // Azure's default drops every instance at each deployment. No version of the types has it, hence any().
      ...any(rollingUpdates ? { siteUpdateStrategy: { type: 'RollingUpdate' } } : {})
    }
  }

  resource values 'config' = {
    name: 'appsettings'
    properties: union(defaults, settings, fixed)
  }

  // One after the other: Azure may refuse two changes of a site at once.
  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    dependsOn: [values]
    properties: { allow: false }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    dependsOn: [scm]
    properties: { allow: false }
  }
}

output hostName string = app.properties.defaultHostName
