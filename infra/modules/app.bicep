@minLength(13)
param token string
@description('Makes another app of another name.')
param suffix string
param location string
param tags object
param identityId string
param identityClientId string
param storageName string
param packageContainer string
param insightsConnectionString string
param vaultUri string
param databaseUrl string
param tokenCachePath string
@description('Empty: App Service Authentication is off, and the app then answers 403 to everybody.')
param authClientId string
@description('Empty: no virtual network.')
param subnetId string
param enabled bool
param clientId string
param tenantId string
param apiUrl string
param scope string
param authority string
param syncSchedule string
param fullSyncEvery string
param overlap string
param retentionDays string
param directions string
param statuses string
param excludedSubstatuses string
param ownDomains string
param pageSize string
param runBudget string
param requestTimeout string
param retryBudget string
param pageDelay string
param publicHosts string

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: empty(suffix) ? 'func-${token}' : 'func-${token}-${suffix}'
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: { minTlsVersion: '1.2' }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      // The pool of an instance holds two connections. HTTP and the timer are scaled apart and a
      // burst may exceed this number, so the app's role in the database has a limit of its own.
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        triggers: { http: { perInstanceConcurrency: 32 } }
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsDisableHomepage: 'true'
    AZURE_CLIENT_ID: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    WEBSITE_AUTH_AAD_ALLOWED_TENANTS: tenant().tenantId
    HUNTER_PARTNER_CENTER_ENABLED: enabled ? 'true' : 'false'
    HUNTER_PARTNER_CENTER_CLIENT_ID: clientId
    HUNTER_PARTNER_CENTER_TENANT_ID: tenantId
    HUNTER_PARTNER_CENTER_API_URL: apiUrl
    HUNTER_PARTNER_CENTER_SCOPE: scope
    HUNTER_PARTNER_CENTER_AUTHORITY: authority
    HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH: tokenCachePath
    HUNTER_PARTNER_CENTER_SYNC_SCHEDULE: syncSchedule
    HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY: fullSyncEvery
    HUNTER_PARTNER_CENTER_OVERLAP: overlap
    HUNTER_RETENTION_DAYS: retentionDays
    HUNTER_PARTNER_CENTER_DIRECTIONS: directions
    HUNTER_PARTNER_CENTER_STATUSES: statuses
    HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES: excludedSubstatuses
    HUNTER_PARTNER_CENTER_OWN_DOMAINS: ownDomains
    HUNTER_PARTNER_CENTER_PAGE_SIZE: pageSize
    HUNTER_PARTNER_CENTER_RUN_BUDGET: runBudget
    HUNTER_PARTNER_CENTER_REQUEST_TIMEOUT: requestTimeout
    HUNTER_PARTNER_CENTER_RETRY_BUDGET: retryBudget
    HUNTER_PARTNER_CENTER_PAGE_DELAY: pageDelay
    HUNTER_DATABASE_URL: databaseUrl
    HUNTER_KEY_VAULT_URL: vaultUri
    HUNTER_PUBLIC_HOSTS: publicHosts
  }
}

// Requests without a sign-in come through: health and the static page answer them, and the app
// itself refuses the rest. The ID token's sign-in needs no secret.
resource auth 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: !empty(authClientId), runtimeVersion: '~1' }
    globalValidation: {
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
      redirectToProvider: 'azureactivedirectory'
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: !empty(authClientId)
        registration: {
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          clientId: authClientId
        }
        validation: { allowedAudiences: empty(authClientId) ? [] : [authClientId, 'api://${authClientId}'] }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
  dependsOn: [settings]
}

output name string = site.name
output hostName string = site.properties.defaultHostName
