"""The templates agree with the code, the example and the runbook."""

import inspect
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dev.folders import CLONE
from pc_core.config import Settings
from pc_core.store.pool import Database
from tests.infra import templates
from tests.infra.templates import NEEDED, Deployment, deployment, needs_bicep
from tests.infra.windows import load, windows

NOT_IN_AZURE = {
    "AzureFunctionsJobHost__functionTimeout": "in host.json",
    "AzureWebJobsStorage": "a connection string; the identity is used instead",
    "AzureWebJobsStorage__accountName": "the blob address says the same",
    "HUNTER_TOKEN_CACHE_KEY": "in the Key Vault",
    "HUNTER_API_KEY": "in the Key Vault",
    "WEBSITE_AUTH_ENABLED": "set by the platform",
    "WEBSITE_HOSTNAME": "set by the platform",
}
OF_THE_PLATFORM = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsDisableHomepage",
    "WEBSITE_AUTH_AAD_ALLOWED_TENANTS",
}
COMPUTED = {
    "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH",
    "HUNTER_DATABASE_URL",
    "HUNTER_KEY_VAULT_URL",
}
REFUSED_BY_FLEX = (
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_CONTENTSHARE",
)


GROUP = {"DATABASE_ADMIN_GROUP_ID": "22222222-0000-0000-0000-000000000000"}
SIGN_IN = {"AUTH_CLIENT_ID": "33333333-0000-0000-0000-000000000000"}
PRIVATE = {"PRIVATE_NETWORK": "true"}
VARIANTS = {
    "default": {},
    "private network": PRIVATE,
    "high availability": {
        "DATABASE_SKU_NAME": "Standard_D2ds_v5",
        "DATABASE_SKU_TIER": "GeneralPurpose",
        "DATABASE_HIGH_AVAILABILITY": "true",
    },
    "group": GROUP,
    "service principal": {
        "AZURE_PRINCIPAL_TYPE": "ServicePrincipal",
        "DATABASE_ADMIN_NAME": "releases",
    },
    "sign-in": SIGN_IN,
}
OTHER = {
    "ACTION_GROUP_IDS": "/subscriptions/a/one, /subscriptions/a/two",
    "APP_SUFFIX": "b",
    "DATABASE_STORAGE_GB": "64",
    "SILENCE_WINDOW": "PT3H",
    "SWEEP_WINDOW": "P1D",
}
"""Settings that none of the variants changes."""

every_variant = pytest.mark.parametrize("variant", VARIANTS)


# The compiler


@needs_bicep
@pytest.mark.parametrize("command", [("build", "--stdout"), ("lint",)], ids=["build", "lint"])
def test_the_compiler_has_nothing_to_say(command: tuple[str, ...]) -> None:
    done = templates.bicep(command[0], templates.INFRA / "main.bicep", *command[1:])

    assert (done.returncode, done.stderr) == (0, "")


@needs_bicep
def test_every_parameter_gets_its_value_from_azd_with_the_default_of_the_template() -> None:
    parameters = templates.compiled()["parameters"]
    azd = templates.azd_parameters()
    defaults = {
        name: str(each["defaultValue"]).lower()
        for name, each in parameters.items()
        if "defaultValue" in each and name in azd
    }

    assert set(parameters) - set(azd) == {"firstOfMonth"}
    assert {name: azd[name][1].lower() for name in defaults} == defaults
    assert all(each["metadata"]["description"] for each in parameters.values())


# Settings


@needs_bicep
def test_the_app_settings_are_the_settings_of_the_code() -> None:
    names = set(deployment().settings)

    assert names - OF_THE_PLATFORM == set(Settings.keys()) - set(NOT_IN_AZURE)
    assert not names & set(REFUSED_BY_FLEX)


@needs_bicep
@pytest.mark.parametrize(
    "setting",
    [
        name
        for name in Settings.keys()  # noqa: SIM118 - a method of ours
        if name.startswith("HUNTER_") and name not in {*COMPUTED, *NOT_IN_AZURE}
    ],
)
def test_code_example_and_azure_have_the_same_default(setting: str) -> None:
    example = json.loads((CLONE / "local.settings.example.json").read_text())["Values"]
    default = deployment().settings[setting]

    if setting == "HUNTER_PARTNER_CENTER_AUTHORITY":
        assert default == "[environment().authentication.loginEndpoint]"
        return
    if setting == "HUNTER_PARTNER_CENTER_TENANT_ID":
        assert default == templates.TENANT
        return
    assert default == example[setting]
    info = next(info for info in Settings.model_fields.values() if info.alias == setting)
    name = next(name for name, each in Settings.model_fields.items() if each is info)
    as_if_set = Settings.from_env({setting: default})
    assert getattr(as_if_set, name) == getattr(Settings.from_env({}), name)


EVERY_SETTING = {
    **GROUP,
    **SIGN_IN,
    "DATABASE_ADMIN_NAME": "deployers",
    "ACTION_GROUP_IDS": "/subscriptions/a/on-call",
    "APP_SUFFIX": "b",
    "BUDGET_AMOUNT": "2000000",
    "PRIVATE_NETWORK": "true",
    "RUNNER_SUBNET": "true",
    "EXISTING_APP_SUBNET_ID": "/subscriptions/a/app",
    "EXISTING_ENDPOINT_SUBNET_ID": "/subscriptions/a/endpoints",
    "EXISTING_BLOB_ZONE_ID": "/subscriptions/a/blob",
    "EXISTING_DATABASE_ZONE_ID": "/subscriptions/a/database",
    "EXISTING_VAULT_ZONE_ID": "/subscriptions/a/vault",
    "DATABASE_SKU_NAME": "Standard_D2ds_v5",
    "DATABASE_SKU_TIER": "GeneralPurpose",
    "DATABASE_HIGH_AVAILABILITY": "true",
    "DATABASE_STORAGE_GB": "64",
    "DATABASE_BACKUP_DAYS": "35",
    "LOG_RETENTION_DAYS": "365",
    "LOG_DAILY_CAP_GB": "3",
    "SILENCE_WINDOW": "PT3H",
    "SWEEP_WINDOW": "P1D",
    "HUNTER_PARTNER_CENTER_ENABLED": "true",
    "HUNTER_RETENTION_DAYS": "800",
    "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES": "none",
}


@needs_bicep
def test_another_machine_that_refreshes_its_environment_deploys_the_same() -> None:
    set_by_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
    names = {variable for variable, _ in templates.azd_parameters().values()} - set_by_azd
    # Its values are checked by nobody here.
    others = {
        name: f"a-{name}" for name in names - set(NEEDED) if name.startswith("HUNTER_")
    } | EVERY_SETTING
    assert set(others) | set(NEEDED) >= names
    first = deployment(others)

    # azd writes an output's value as Go does: true, 64, text.
    refreshed = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in first.outputs.items()
        if name in names
    }

    assert set(refreshed) == names
    assert all(isinstance(first.outputs[name], str | bool) for name in names)
    again = deployment({name: refreshed[name] for name in names})
    assert again.resources == first.resources
    assert again.outputs == first.outputs


def test_what_the_hooks_and_commands_read_is_an_output() -> None:
    sources = [*(CLONE / "infra" / "hooks").glob("*.py"), *(CLONE / "dev" / "deploy").glob("*.py")]
    read = {
        name
        for source in sources
        for name in re.findall(r'(?:need|output)\("([A-Z_]+)"\)', source.read_text())
    }

    assert read
    set_by_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID"}
    assert read - set_by_azd <= templates.outputs()


# Names, roles and money


@needs_bicep
@every_variant
def test_everything_is_in_one_group_whose_name_says_the_product(variant: str) -> None:
    found = deployment(VARIANTS[variant])
    group = f"/subscriptions/{templates.SUBSCRIPTION}/resourceGroups/rg-partner-center-sync-prod"

    [only] = found.of("Resources/resourceGroups")
    assert (only["id"], only["tags"]) == (group, {"azd-env-name": "prod"})
    assert found.outputs["AZURE_RESOURCE_GROUP"] == group.rpartition("/")[2]
    assert all("rg-partner-center-sync-prod" in each["id"] for each in found.resources)


@needs_bicep
@every_variant
def test_nothing_is_reached_by_a_key_or_a_password(variant: str) -> None:
    found = deployment(VARIANTS[variant])
    storage = found.one("Storage/storageAccounts")["properties"]

    assert (storage["allowSharedKeyAccess"], storage["allowBlobPublicAccess"]) == (False, False)
    auth = found.one("DBforPostgreSQL/flexibleServers")["properties"]["authConfig"]
    assert (auth["passwordAuth"], auth["activeDirectoryAuth"]) == ("Disabled", "Enabled")
    assert found.one("Insights/components")["properties"]["DisableLocalAuth"] is True
    assert found.one("KeyVault/vaults")["properties"]["enableRbacAuthorization"] is True
    assert "?sslmode=verify-full'" in found.settings["HUNTER_DATABASE_URL"]
    site = found.one("Web/sites")["properties"]
    assert (site["httpsOnly"], site["siteConfig"]) == (True, {"minTlsVersion": "1.2"})
    everything = json.dumps(found.resources)
    for name in ("HUNTER_TOKEN_CACHE_KEY", "HUNTER_API_KEY", "vaults/secrets", "listKeys"):
        assert name not in everything


ROLES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}


@needs_bicep
@pytest.mark.parametrize(
    ("variant", "person"),
    [
        ("default", (NEEDED["AZURE_PRINCIPAL_ID"], "User")),
        ("service principal", (NEEDED["AZURE_PRINCIPAL_ID"], "ServicePrincipal")),
        ("group", (GROUP["DATABASE_ADMIN_GROUP_ID"], "Group")),
    ],
)
def test_the_app_and_who_deploys_get_four_roles_each_on_one_resource(
    variant: str, person: tuple[str, str]
) -> None:
    found = deployment(VARIANTS[variant])
    given = {}
    for each in found.of("Authorization/roleAssignments"):
        properties = each["properties"]
        role = ROLES[properties["roleDefinitionId"].rpartition("/")[2]]
        scope = re.search(r"/providers/Microsoft\.\w+/(\w+)/", each["id"])
        assert scope is not None
        given[role] = scope[1], properties["principalId"], properties["principalType"]

    [administrator] = found.of("DBforPostgreSQL/flexibleServers/administrators")
    assert administrator["name"].rpartition("/")[2] == person[0]
    assert administrator["properties"]["principalType"] == person[1]
    assert given.pop("Key Vault Secrets Officer") == ("vaults", *person)
    assert {role: scope for role, (scope, _, _) in given.items()} == {
        "Monitoring Metrics Publisher": "components",
        "Key Vault Secrets User": "vaults",
        "Storage Blob Data Owner": "storageAccounts",
    }
    assert {who for _, who, _ in given.values()} == {found.outputs["APP_IDENTITY_OBJECT_ID"]}
    assert {kind for _, _, kind in given.values()} == {"ServicePrincipal"}


@needs_bicep
def test_money_and_alarms_are_told_to_the_same_people() -> None:
    on_call = OTHER["ACTION_GROUP_IDS"].split(", ")
    found = deployment(OTHER)
    [people] = found.of("Insights/actionGroups")
    notified = found.one("Consumption/budgets")["properties"]["notifications"]

    assert [each["emailAddress"] for each in people["properties"]["emailReceivers"]] == [
        NEEDED["ALERT_EMAIL"]
    ]
    assert len(notified) == 2
    for each in notified.values():
        assert each["contactEmails"] == [NEEDED["ALERT_EMAIL"]]
        assert each["contactGroups"] == [people["id"], *on_call]
    for alert in found.of("Insights/scheduledQueryRules"):
        assert alert["properties"]["actions"]["actionGroups"] == [people["id"], *on_call]
    for alert in found.of("Insights/metricAlerts"):
        actions = alert["properties"]["actions"]
        assert [each["actionGroupId"] for each in actions] == [people["id"], *on_call]
    assert templates.compiled()["parameters"]["alertEmail"]["minLength"] == 6


@needs_bicep
def test_a_subscription_without_cost_management_leaves_the_budget_out() -> None:
    assert len(deployment().of("Consumption/budgets")) == 1
    assert deployment({"BUDGET_AMOUNT": "0"}).of("Consumption/budgets") == []


# The sign-in


@needs_bicep
@pytest.mark.parametrize("variant", ["default", "sign-in"])
def test_without_a_registration_the_sign_in_is_off(variant: str) -> None:
    found = deployment(VARIANTS[variant])
    auth = found.one("Web/sites/config", "/authsettingsV2")["properties"]
    entra = auth["identityProviders"]["azureActiveDirectory"]
    client = SIGN_IN["AUTH_CLIENT_ID"]
    is_on = variant == "sign-in"

    assert (auth["platform"]["enabled"], entra["enabled"]) == (is_on, is_on)
    assert found.outputs["PAGE_SIGN_IN"] is is_on
    audiences = [client, f"api://{client}"] if is_on else []
    assert entra["validation"]["allowedAudiences"] == audiences
    assert auth["globalValidation"]["unauthenticatedClientAction"] == "AllowAnonymous"


@needs_bicep
def test_a_dead_app_can_be_replaced_by_one_of_another_name() -> None:
    names = [each.one("Web/sites")["name"] for each in (deployment(), deployment(OTHER))]

    assert names[1] == f"{names[0]}-b"


# The database


@needs_bicep
def test_the_disk_has_the_size_that_it_has_grown_to() -> None:
    server = deployment(OTHER).one("DBforPostgreSQL/flexibleServers")

    assert server["properties"]["storage"] == {"storageSizeGB": 64, "autoGrow": "Enabled"}


@needs_bicep
def test_a_second_server_takes_over_only_where_it_is_asked_for() -> None:
    modes = {
        variant: deployment(VARIANTS[variant]).one("DBforPostgreSQL/flexibleServers")["properties"][
            "highAvailability"
        ]["mode"]
        for variant in ("default", "high availability")
    }

    assert modes == {"default": "Disabled", "high availability": "ZoneRedundant"}


@needs_bicep
def test_the_connections_of_the_app_and_of_people_fit_the_server() -> None:
    found = deployment()
    site = found.one("Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    limit = found.one("DBforPostgreSQL/flexibleServers/configurations", "/max_connections")
    [alert] = [each for each in found.of("Insights/metricAlerts") if "connections" in each["name"]]
    per_instance = inspect.signature(Database).parameters["max_size"].default
    kept_by_the_service, for_people = 15, 20
    of_the_app = load("postprovision").APP_CONNECTIONS

    assert of_the_app == site["maximumInstanceCount"] * per_instance
    assert of_the_app + for_people + kept_by_the_service <= int(limit["properties"]["value"])
    assert alert["properties"]["criteria"]["allOf"][0]["threshold"] < of_the_app


# The network


def closed(found: Deployment) -> dict[str, str]:
    """By resource type, what it says of access from outside."""
    server = found.one("DBforPostgreSQL/flexibleServers")["properties"]["network"]
    return {
        "database": server["publicNetworkAccess"],
        "storage": found.one("Storage/storageAccounts")["properties"]["publicNetworkAccess"],
        "vault": found.one("KeyVault/vaults")["properties"]["publicNetworkAccess"],
    }


@needs_bicep
def test_a_private_network_closes_database_storage_and_vault() -> None:
    public, private = deployment(), deployment(PRIVATE)

    assert set(closed(public).values()) == {"Enabled"}
    assert set(closed(private).values()) == {"Disabled"}
    assert private.of("DBforPostgreSQL/flexibleServers/firewallRules") == []
    assert len(private.of("Network/privateEndpoints")) == 3
    assert public.one("Web/sites")["properties"].get("virtualNetworkSubnetId") is None
    subnets = {each["name"].rpartition("/")[2]: each for each in private.of(SUBNETS)}
    assert private.one("Web/sites")["properties"]["virtualNetworkSubnetId"] == subnets["app"]["id"]
    assert set(subnets) == {"app", "endpoints"}


SUBNETS = "Network/virtualNetworks/subnets"


@needs_bicep
def test_a_subnet_that_was_added_by_hand_stays() -> None:
    # What a network lists itself replaces what it has.
    [network] = deployment(PRIVATE).of("Network/virtualNetworks")

    assert "subnets" not in network["properties"]


@needs_bicep
def test_a_runner_can_have_a_subnet_of_its_own() -> None:
    found = deployment({**PRIVATE, "RUNNER_SUBNET": "true"})
    ranges = {each["name"]: each["properties"]["addressPrefix"] for each in found.of(SUBNETS)}

    assert [name.rpartition("/")[2] for name in ranges] == ["app", "endpoints", "runner"]
    assert len(set(ranges.values())) == 3


@needs_bicep
def test_an_existing_network_and_its_zones_are_used() -> None:
    existing = {
        name: value for name, value in EVERY_SETTING.items() if name.startswith("EXISTING_")
    }
    found = deployment(PRIVATE | existing)

    assert not [each for each in found.resources if "virtualNetworks" in each["type"]]
    assert found.of("Network/privateDnsZones") == []
    assert found.one("Web/sites")["properties"]["virtualNetworkSubnetId"] == "/subscriptions/a/app"
    zones: dict[str, Any] = {
        each["properties"]["privateDnsZoneConfigs"][0]["name"]: each["properties"][
            "privateDnsZoneConfigs"
        ][0]["properties"]["privateDnsZoneId"]
        for each in found.of("Network/privateEndpoints/privateDnsZoneGroups")
    }
    assert zones == {
        "blob": "/subscriptions/a/blob",
        "psql": "/subscriptions/a/database",
        "vault": "/subscriptions/a/vault",
    }
    subnets = {each["properties"]["subnet"]["id"] for each in found.of("Network/privateEndpoints")}
    assert subnets == {"/subscriptions/a/endpoints"}


# Alerts


@needs_bicep
@pytest.mark.parametrize("is_enabled", [False, True])
def test_the_alert_rules_are_those_of_alerts_json(is_enabled: bool) -> None:
    found = deployment({"HUNTER_PARTNER_CENTER_ENABLED": "true" if is_enabled else ""})
    deployed = {
        each["name"].removeprefix("alert-").rpartition("-")[0]: each["properties"]
        for each in found.of("Insights/scheduledQueryRules")
    }

    assert set(deployed) == set(templates.rules())
    for name, rule in templates.rules().items():
        given = deployed[name]
        [condition] = given["criteria"]["allOf"]
        assert condition["query"] == rule.query
        assert (condition["operator"], condition["threshold"]) == (rule.operator, rule.threshold)
        assert [each["name"] for each in condition.get("dimensions", [])] == rule.dimensions
        assert (given["windowSize"], given["evaluationFrequency"]) == (rule.window, rule.frequency)
        assert given["enabled"] is (is_enabled or not rule.onlyWhileEnabled)
        assert f'section "{rule.section}"' in given["description"]
        # A workspace that is minutes old does not know its tables yet.
        assert given["skipQueryValidation"] is True
        assert given["autoMitigate"] is True
    assert all(each["properties"]["autoMitigate"] for each in found.of("Insights/metricAlerts"))


@needs_bicep
def test_the_windows_of_the_environment_replace_those_of_alerts_json() -> None:
    found = deployment(OTHER)
    windows_found = {
        each["name"].rpartition("-")[0]: each["properties"]["windowSize"]
        for each in found.of("Insights/scheduledQueryRules")
    }

    assert windows_found["alert-silence"] == "PT3H"
    assert windows_found["alert-sweep-overdue"] == "P1D"
    assert windows_found["alert-run-failed"] == "PT15M"


def test_the_mail_about_a_failed_sync_names_its_code() -> None:
    # Azure's mail shows a rule's dimensions, and none of the lines.
    for name in ("run-failed", "sign-in-needed"):
        rule = templates.rules()[name]
        [dimension] = rule.dimensions
        assert f"| extend {dimension} =" in rule.query


def test_every_alert_names_a_section_of_the_runbook() -> None:
    alerts = templates.text("modules/alerts.bicep")
    runbook = (CLONE / "docs" / "operations.md").read_text()
    headings = set(re.findall(r"^#+ (.+)$", runbook, re.MULTILINE))
    named = set(re.findall(r'section "(Alert: [^"$]+)"', alerts))
    named |= {rule.section for rule in templates.rules().values()}

    assert len(named) == 10
    assert named <= headings


# The host and the schedules


def test_sampling_leaves_the_lines_alone_that_the_alerts_count() -> None:
    host = json.loads((CLONE / "host.json").read_text())
    excluded = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"]

    assert {"Request", "Trace", "Exception"} <= set(excluded.split(";"))


def test_the_windows_fit_the_schedules_of_the_template() -> None:
    given = {name: default for name, (_, default) in templates.azd_parameters().items()}
    now = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    every = Settings.from_env({}).full_sync_every

    assert windows.silence_problem(given["syncSchedule"], given["silenceWindow"], now) is None
    assert windows.sweep_problem(every, given["sweepWindow"]) is None
    assert templates.rules()["silence"].window == given["silenceWindow"]
    assert templates.rules()["sweep-overdue"].window == given["sweepWindow"]


@pytest.mark.parametrize(
    ("schedule", "window", "fits"),
    [
        ("0 */10 * * * *", "PT30M", True),
        ("0 */10 * * * *", "PT15M", False),
        ("0 */10 * * * *", "PT45M", False),
        ("0 */5 * * * *", "PT15M", True),
        ("0 0 * * * *", "PT3H", True),
        ("0 0 * * * *", "PT1H", False),
        ("0 */20 * * * *", "PT1H", True),
        ("0 */10 8-18 * * *", "PT30M", False),
        ("0 */10 * * * *", "PT40M", False),
    ],
)
def test_a_window_fits_three_scheduled_times(schedule: str, window: str, *, fits: bool) -> None:
    now = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

    assert (windows.silence_problem(schedule, window, now) is None) is fits
