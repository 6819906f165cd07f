"""The templates agree with the code, the example and the runbook."""

import inspect
import json
import re
from datetime import UTC, datetime

import pytest

from dev.folders import CLONE
from pc_core.config import Settings
from pc_core.store.pool import Database
from tests.infra import templates
from tests.infra.windows import windows

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


def test_the_app_settings_are_the_settings_of_the_code() -> None:
    assert set(templates.app_settings()) - OF_THE_PLATFORM == set(Settings.keys()) - set(
        NOT_IN_AZURE
    )


def test_no_app_setting_is_given_twice_or_refused_by_the_platform() -> None:
    names = templates.app_settings()

    assert len(names) == len(set(names))
    assert not set(names) & set(REFUSED_BY_FLEX)


@pytest.mark.parametrize(
    "setting",
    [
        name
        for name in templates.app_settings()
        if name.startswith("HUNTER_") and name not in COMPUTED
    ],
)
def test_code_example_template_and_azd_have_the_same_default(setting: str) -> None:
    example = json.loads((CLONE / "local.settings.example.json").read_text())["Values"]
    parameter = templates.parameter_of(setting)
    default = templates.defaults()[parameter]

    assert default == templates.azd_defaults()[parameter]
    if setting == "HUNTER_PARTNER_CENTER_AUTHORITY":
        assert default == ""  # the cloud's own
        return
    assert default == example[setting]
    info = next(info for info in Settings.model_fields.values() if info.alias == setting)
    name = next(name for name, each in Settings.model_fields.items() if each is info)
    as_if_set = Settings.from_env({setting: default})
    assert getattr(as_if_set, name) == getattr(Settings.from_env({}), name)


def test_every_parameter_gets_its_value_from_azd_with_the_default_of_the_template() -> None:
    parameters = re.findall(r"^param (\w+) ", templates.text("main.bicep"), re.MULTILINE)
    azd = templates.azd_defaults()
    template = templates.defaults()

    assert set(parameters) - set(azd) == {"firstOfMonth"}
    assert {name: azd[name] for name in azd if name in template} == {
        name: template[name] for name in azd if name in template
    }


def test_every_parameter_of_the_main_template_is_described() -> None:
    main = templates.text("main.bicep")

    described = re.findall(r"@description\([^\n]+\)\n(?:@[^\n]+\n)*param (\w+) ", main)
    assert described == re.findall(r"^param (\w+) ", main, re.MULTILINE)


def test_what_the_hooks_and_commands_read_is_an_output() -> None:
    sources = [*(CLONE / "infra" / "hooks").glob("*.py"), *(CLONE / "dev" / "deploy").glob("*.py")]
    read = {
        name
        for source in sources
        for name in re.findall(r'(?:need|output)\("([A-Z_]+)"\)', source.read_text())
    }
    outputs = set(re.findall(r"^output ([A-Z_]+) ", templates.text("main.bicep"), re.MULTILINE))

    assert read
    set_by_azd = {"AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID"}
    assert read - set_by_azd <= outputs


def test_a_group_that_is_named_administers_the_database_and_the_deployer_the_vault() -> None:
    template = templates.text("main.bicep")

    assert "adminId: empty(databaseAdminGroupId) ? principalId : databaseAdminGroupId" in template
    assert "adminType: empty(databaseAdminGroupId) ? principalType : 'Group'" in template
    assert "deployerId: principalId" in template
    # azd puts in whoever is signed in, so that nobody else can be named by these two.
    parameters = templates.text("main.parameters.json")
    assert '"${AZURE_PRINCIPAL_ID}"' in parameters
    assert '"${DATABASE_ADMIN_GROUP_ID}"' in parameters


def test_the_connections_of_all_instances_fit_the_server() -> None:
    instances = re.search(r"maximumInstanceCount: (\d+)", templates.text("modules/app.bicep"))
    limit = re.search(
        r"name: 'max_connections'\n  properties: \{ value: '(\d+)'",
        templates.text("modules/database.bicep"),
    )
    assert instances is not None
    assert limit is not None
    per_instance = inspect.signature(Database).parameters["max_size"].default
    kept_by_the_service, for_people = 15, 20

    assert int(instances[1]) * per_instance + for_people + kept_by_the_service <= int(limit[1])


def test_sampling_leaves_the_lines_alone_that_the_alerts_count() -> None:
    host = json.loads((CLONE / "host.json").read_text())
    excluded = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"]

    assert {"Request", "Trace", "Exception"} <= set(excluded.split(";"))


def test_the_windows_fit_the_schedules_of_the_template() -> None:
    template = templates.defaults()
    now = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    every = Settings.from_env({}).full_sync_every

    assert windows.silence_problem(template["syncSchedule"], template["silenceWindow"], now) is None
    assert windows.sweep_problem(every, template["sweepWindow"]) is None


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


def test_every_alert_names_a_section_of_the_runbook() -> None:
    alerts = templates.text("modules/alerts.bicep")
    runbook = (CLONE / "docs" / "operations.md").read_text()
    headings = set(re.findall(r"^#+ (.+)$", runbook, re.MULTILINE))
    named = set(re.findall(r'section "(Alert: [^"$]+)"', alerts))
    named |= {rule.section for rule in templates.rules().values()}

    assert len(named) == 10
    assert named <= headings


def test_every_secret_stays_out_of_templates_and_environment() -> None:
    for name in ("HUNTER_TOKEN_CACHE_KEY", "HUNTER_API_KEY", "vaults/secrets", "listKeys"):
        assert not any(
            name in path.read_text(encoding="utf-8") for path in (CLONE / "infra").rglob("*.bicep")
        )


def test_every_role_is_given_to_the_app_or_the_deployer_on_one_resource() -> None:
    given = [
        (found[1], found[2], found[3])
        for path in (CLONE / "infra").rglob("*.bicep")
        for found in re.finditer(
            r"'Microsoft.Authorization/roleAssignments@[^']+' = \{\n  scope: (\w+)\n"
            r".*?principalId: (\w+)\n.*?roleDefinitions', (\w+)\)",
            path.read_text(encoding="utf-8"),
            re.DOTALL,
        )
    ]

    assert sorted(given) == [
        ("account", "appPrincipalId", "blobDataOwner"),
        ("insights", "appPrincipalId", "metricsPublisher"),
        ("vault", "appPrincipalId", "secretsUser"),
        ("vault", "deployerId", "secretsOfficer"),
    ]
    everywhere = "".join(path.read_text("utf-8") for path in (CLONE / "infra").rglob("*.bicep"))
    assert everywhere.count("Microsoft.Authorization/roleAssignments@") == len(given)


def test_nothing_is_reached_by_a_key_or_a_password() -> None:
    for file, line in (
        ("modules/storage.bicep", "allowSharedKeyAccess: false"),
        ("modules/storage.bicep", "allowBlobPublicAccess: false"),
        ("modules/database.bicep", "passwordAuth: 'Disabled'"),
        ("modules/database.bicep", "activeDirectoryAuth: 'Enabled'"),
        ("modules/monitoring.bicep", "DisableLocalAuth: true"),
        ("modules/vault.bicep", "enableRbacAuthorization: true"),
        ("main.bicep", "?sslmode=verify-full'"),
    ):
        assert line in templates.text(file), line


def test_money_and_alarms_are_told_to_the_same_address() -> None:
    budget, main = templates.text("modules/budget.bicep"), templates.text("main.bicep")

    assert budget.count("contactEmails: [email]") == budget.count("operator: 'GreaterThan'") == 2
    assert "    email: alertEmail\n" in main
    assert "emailAddress: alertEmail" in templates.text("modules/monitoring.bicep")
    assert "@minLength(6)\nparam alertEmail string\n" in main


def test_every_alert_reaches_the_action_group_and_closes_by_itself() -> None:
    alerts = templates.text("modules/alerts.bicep")
    kinds = len(re.findall(r"^resource ", alerts, re.MULTILINE))

    assert kinds == 3
    assert (
        len(re.findall(r"actionGroups?(?:Id)?: (?:\[actionGroupId\]|actionGroupId)", alerts)) == 3
    )
    assert alerts.count("autoMitigate: true") == 3
