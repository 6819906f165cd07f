// Everything the app needs in Azure, in one resource group. Nobody gets a password or a key: the
// app, its database, its storage and its telemetry know each other by one managed identity.
targetScope = 'subscription'

@description('Name of the azd environment; part of the resource group\'s name.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Azure region of every resource, e.g. westeurope.')
param location string

@description('Object id of whoever deploys; azd sets it. May write secrets to the vault and administers the database, unless a group does.')
param principalId string

@description('What the deployer is; azd sets it. Must match, or the role assignments are refused.')
@allowed(['User', 'ServicePrincipal'])
param principalType string = 'User'

@description('Object id of an Entra group that administers the database and writes secrets to the vault, so that each of its members can deploy. Empty: the deployer does.')
param databaseAdminGroupId string = ''

@description('Sign-in name of the database administrator. Empty: the deployer\'s user principal name; a group and a service principal have none and must be named here by their display name.')
param databaseAdminName string = ''

@description('Who hears the alarms. Required: an alert that reaches nobody is worse than none.')
@minLength(6)
param alertEmail string

@description('Resource ids of action groups that hear the alarms too, separated by commas: whoever is on call.')
param actionGroupIds string = ''

@description('Amount per month, in the currency of the subscription, that the budget warns at. 0: no budget, for a subscription that Cost Management does not support.')
@minValue(0)
param budgetAmount int = 60

@description('First day that the budget counts, the first of a month. Empty: this month; the first deployment\'s answer stays, because Azure may refuse to move it.')
param budgetStart string = ''

@description('Not to be set: the clock can only be read here.')
param firstOfMonth string = utcNow('yyyy-MM-01')

@description('Client id of the app registration that signs people in to the page. Empty: sign-in is off and the page shows no data to anybody.')
param authClientId string = ''

@description('Ends the app\'s name. Another one makes another app, where the old one cannot be brought back to life.')
@maxLength(10)
param appSuffix string = ''

@description('true: database, storage and vault are reachable from a virtual network only.')
param privateNetwork bool = false

@description('true: the new virtual network has a subnet for a machine that deploys, such as a runner.')
param runnerSubnet bool = false

@description('Subnet of an existing network for the app, delegated to Microsoft.App/environments. Empty: a new network is made. All five ids are set together.')
param existingAppSubnetId string = ''

@description('Subnet of an existing network for the private endpoints.')
param existingEndpointSubnetId string = ''

@description('Existing private DNS zone privatelink.blob.core.windows.net.')
param existingBlobZoneId string = ''

@description('Existing private DNS zone privatelink.postgres.database.azure.com.')
param existingDatabaseZoneId string = ''

@description('Existing private DNS zone privatelink.vaultcore.azure.net.')
param existingVaultZoneId string = ''

@description('Size of the database server. The instance limit below fits it; see the runbook before changing.')
param databaseSkuName string = 'Standard_B1ms'

@description('Tier that the size belongs to.')
@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param databaseSkuTier string = 'Burstable'

@description('true: a second server in another zone takes over. Not for the Burstable tier.')
param databaseHighAvailability bool = false

@description('Gigabytes of the database\'s disk. It grows by itself and cannot shrink, so the preprovision hook sets the size that it has.')
@minValue(32)
param databaseStorageGb int = 32

@description('Days for which the database can be restored to any instant.')
@minValue(7)
@maxValue(35)
param databaseBackupDays int = 14

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Most gigabytes of logs a day. When they are used up, no line arrives, and the silence alert fires.')
@minValue(1)
param logDailyCapGb int = 1

@description('The silence alert\'s window: three scheduled times. Set it together with the schedule; the pre-flight check compares them.')
@allowed(['PT15M', 'PT30M', 'PT45M', 'PT1H', 'PT2H', 'PT3H', 'PT4H', 'PT5H', 'PT6H', 'P1D', 'P2D'])
param silenceWindow string = 'PT30M'

@description('The sweep alert\'s window: twice the interval of full syncs; Azure takes two days at most.')
@allowed(['PT30M', 'PT45M', 'PT1H', 'PT2H', 'PT3H', 'PT4H', 'PT5H', 'PT6H', 'P1D', 'P2D'])
param sweepWindow string = 'P2D'

// The app's own settings, by their meaning in the README's table.

@description('HUNTER_PARTNER_CENTER_ENABLED: the feature flag.')
param enabled bool = false
@description('HUNTER_PARTNER_CENTER_CLIENT_ID: the app registration that reads Partner Center.')
param clientId string = ''
@description('HUNTER_PARTNER_CENTER_TENANT_ID. Empty: the deployment\'s tenant.')
param tenantId string = ''
@description('HUNTER_PARTNER_CENTER_API_URL')
param apiUrl string = 'https://api.partner.microsoft.com'
@description('HUNTER_PARTNER_CENTER_SCOPE')
param scope string = 'https://api.partner.microsoft.com/.default'
@description('HUNTER_PARTNER_CENTER_AUTHORITY. Empty: the cloud\'s own sign-in address.')
param authority string = ''
@description('HUNTER_PARTNER_CENTER_SYNC_SCHEDULE: NCRONTAB in UTC.')
param syncSchedule string = '0 */10 * * * *'
@description('HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY')
param fullSyncEvery string = '24h'
@description('HUNTER_PARTNER_CENTER_OVERLAP')
param overlap string = '15m'
@description('HUNTER_RETENTION_DAYS')
param retentionDays string = '400'
@description('HUNTER_PARTNER_CENTER_DIRECTIONS')
param directions string = 'Incoming'
@description('HUNTER_PARTNER_CENTER_STATUSES')
param statuses string = 'New,Active'
@description('HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES; none: nothing is excluded.')
param excludedSubstatuses string = 'Declined,Lost,Expired,Error'
@description('HUNTER_PARTNER_CENTER_OWN_DOMAINS')
param ownDomains string = ''
@description('HUNTER_PARTNER_CENTER_PAGE_SIZE. Empty: Partner Center\'s own.')
param pageSize string = ''
@description('HUNTER_PARTNER_CENTER_RUN_BUDGET')
param runBudget string = '8m'
@description('HUNTER_PARTNER_CENTER_REQUEST_TIMEOUT')
param requestTimeout string = '30s'
@description('HUNTER_PARTNER_CENTER_RETRY_BUDGET')
param retryBudget string = '90s'
@description('HUNTER_PARTNER_CENTER_PAGE_DELAY')
param pageDelay string = '200ms'
@description('HUNTER_PUBLIC_HOSTS: further host names that the app answers to.')
param publicHosts string = ''

var budgetBegins = empty(budgetStart) ? firstOfMonth : budgetStart
var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
var deployerName = deployer().?userPrincipalName ?? ''
var isNetworkOurs = privateNetwork && empty(existingAppSubnetId)
var actionGroups = concat(
  [monitoring.outputs.actionGroupId],
  empty(actionGroupIds) ? [] : map(split(actionGroupIds, ','), id => trim(id))
)

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-partner-center-sync-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: { name: 'id-${token}', location: location, tags: tags }
}

module network 'modules/network.bicep' = if (isNetworkOurs) {
  name: 'network'
  scope: group
  params: { token: token, location: location, tags: tags, runnerSubnet: runnerSubnet }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
    alertEmail: alertEmail
    appPrincipalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identity.outputs.principalId
    privateNetwork: privateNetwork
    endpointSubnetId: network.?outputs.endpointSubnetId ?? existingEndpointSubnetId
    dnsZoneId: network.?outputs.blobZoneId ?? existingBlobZoneId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identity.outputs.principalId
    deployerId: empty(databaseAdminGroupId) ? principalId : databaseAdminGroupId
    deployerType: empty(databaseAdminGroupId) ? principalType : 'Group'
    workspaceId: monitoring.outputs.workspaceId
    privateNetwork: privateNetwork
    endpointSubnetId: network.?outputs.endpointSubnetId ?? existingEndpointSubnetId
    dnsZoneId: network.?outputs.vaultZoneId ?? existingVaultZoneId
  }
}

module database 'modules/database.bicep' = {
  name: 'database'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    skuName: databaseSkuName
    skuTier: databaseSkuTier
    highAvailability: databaseHighAvailability
    storageGb: databaseStorageGb
    backupDays: databaseBackupDays
    adminId: empty(databaseAdminGroupId) ? principalId : databaseAdminGroupId
    adminName: empty(databaseAdminName) ? deployerName : databaseAdminName
    adminType: empty(databaseAdminGroupId) ? principalType : 'Group'
    workspaceId: monitoring.outputs.workspaceId
    privateNetwork: privateNetwork
    endpointSubnetId: network.?outputs.endpointSubnetId ?? existingEndpointSubnetId
    dnsZoneId: network.?outputs.databaseZoneId ?? existingDatabaseZoneId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    token: token
    suffix: appSuffix
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    insightsConnectionString: monitoring.outputs.connectionString
    vaultUri: vault.outputs.uri
    databaseUrl: 'postgresql://${identity.outputs.name}@${database.outputs.host}:5432/${database.outputs.databaseName}?sslmode=verify-full'
    tokenCachePath: '${storage.outputs.tokenCacheContainer}/token-cache'
    authClientId: authClientId
    subnetId: privateNetwork ? (network.?outputs.appSubnetId ?? existingAppSubnetId) : ''
    enabled: enabled
    clientId: clientId
    tenantId: empty(tenantId) ? tenant().tenantId : tenantId
    apiUrl: apiUrl
    scope: scope
    authority: empty(authority) ? environment().authentication.loginEndpoint : authority
    syncSchedule: syncSchedule
    fullSyncEvery: fullSyncEvery
    overlap: overlap
    retentionDays: retentionDays
    directions: directions
    statuses: statuses
    excludedSubstatuses: excludedSubstatuses
    ownDomains: ownDomains
    pageSize: pageSize
    runBudget: runBudget
    requestTimeout: requestTimeout
    retryBudget: retryBudget
    pageDelay: pageDelay
    publicHosts: publicHosts
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    enabled: enabled
    insightsId: monitoring.outputs.insightsId
    actionGroupIds: actionGroups
    databaseServerId: database.outputs.serverId
    silenceWindow: silenceWindow
    sweepWindow: sweepWindow
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: { token: token, location: location, tags: tags, insightsId: monitoring.outputs.insightsId }
}

module budget 'modules/budget.bicep' = if (budgetAmount > 0) {
  name: 'budget'
  scope: group
  params: {
    token: token
    amount: budgetAmount
    start: budgetBegins
    email: alertEmail
    actionGroupIds: actionGroups
  }
}

// What the hooks and the runbook's commands read.
output AZURE_RESOURCE_GROUP string = group.name
output APP_NAME string = app.outputs.name
output APP_URL string = 'https://${app.outputs.hostName}'
output APP_IDENTITY_NAME string = identity.outputs.name
output APP_IDENTITY_OBJECT_ID string = identity.outputs.principalId
output DATABASE_SERVER string = database.outputs.serverName
output DATABASE_HOST string = database.outputs.host
output DATABASE_NAME string = database.outputs.databaseName
output DATABASE_ADMIN_NAME string = database.outputs.adminName
output KEY_VAULT_NAME string = vault.outputs.name
output PRIVATE_NETWORK bool = privateNetwork
output BUDGET_START string = budgetBegins
output PAGE_SIGN_IN bool = !empty(authClientId)

// Every setting under its own name, so that `azd env refresh` brings them to another machine and to
// a release from GitHub. Numbers are text: azd would write a large one as 1e+06.
output DATABASE_ADMIN_GROUP_ID string = databaseAdminGroupId
output ALERT_EMAIL string = alertEmail
output ACTION_GROUP_IDS string = actionGroupIds
output BUDGET_AMOUNT string = string(budgetAmount)
output AUTH_CLIENT_ID string = authClientId
output APP_SUFFIX string = appSuffix
output RUNNER_SUBNET bool = runnerSubnet
output EXISTING_APP_SUBNET_ID string = existingAppSubnetId
output EXISTING_ENDPOINT_SUBNET_ID string = existingEndpointSubnetId
output EXISTING_BLOB_ZONE_ID string = existingBlobZoneId
output EXISTING_DATABASE_ZONE_ID string = existingDatabaseZoneId
output EXISTING_VAULT_ZONE_ID string = existingVaultZoneId
output DATABASE_SKU_NAME string = databaseSkuName
output DATABASE_SKU_TIER string = databaseSkuTier
output DATABASE_HIGH_AVAILABILITY bool = databaseHighAvailability
output DATABASE_STORAGE_GB string = string(databaseStorageGb)
output DATABASE_BACKUP_DAYS string = string(databaseBackupDays)
output LOG_RETENTION_DAYS string = string(logRetentionDays)
output LOG_DAILY_CAP_GB string = string(logDailyCapGb)
output SILENCE_WINDOW string = silenceWindow
output SWEEP_WINDOW string = sweepWindow
output HUNTER_PARTNER_CENTER_ENABLED bool = enabled
output HUNTER_PARTNER_CENTER_CLIENT_ID string = clientId
output HUNTER_PARTNER_CENTER_TENANT_ID string = tenantId
output HUNTER_PARTNER_CENTER_API_URL string = apiUrl
output HUNTER_PARTNER_CENTER_SCOPE string = scope
output HUNTER_PARTNER_CENTER_AUTHORITY string = authority
output HUNTER_PARTNER_CENTER_SYNC_SCHEDULE string = syncSchedule
output HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY string = fullSyncEvery
output HUNTER_PARTNER_CENTER_OVERLAP string = overlap
output HUNTER_RETENTION_DAYS string = retentionDays
output HUNTER_PARTNER_CENTER_DIRECTIONS string = directions
output HUNTER_PARTNER_CENTER_STATUSES string = statuses
output HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES string = excludedSubstatuses
output HUNTER_PARTNER_CENTER_OWN_DOMAINS string = ownDomains
output HUNTER_PARTNER_CENTER_PAGE_SIZE string = pageSize
output HUNTER_PARTNER_CENTER_RUN_BUDGET string = runBudget
output HUNTER_PARTNER_CENTER_REQUEST_TIMEOUT string = requestTimeout
output HUNTER_PARTNER_CENTER_RETRY_BUDGET string = retryBudget
output HUNTER_PARTNER_CENTER_PAGE_DELAY string = pageDelay
output HUNTER_PUBLIC_HOSTS string = publicHosts
