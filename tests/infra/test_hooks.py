"""The hooks: what they leave in the vault and the database, once, twice and when it goes wrong."""

import itertools
import json
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet

from pc_core.store import migrate
from tests.infra.conftest import SUBSCRIPTION, TOKEN, Cloud, Server

POST = "infra/hooks/postprovision.py"
PARTNER_API = "4990cffe-04e8-4e8b-808a-1175604b879f"

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

GOOD = {"ALERT_EMAIL": "team@example.com"}


def test_after_provisioning_twice_everything_is_as_after_once(
    cloud: Cloud, each_postgres: Server
) -> None:
    first = cloud.run(POST, **each_postgres.environ)
    state = cloud.state
    second = cloud.run(POST, **each_postgres.environ, AZURE_ENV_NAME="prod")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert cloud.state == state
    assert (state["rules"], state["modes"], state["restarts"]) == ({}, ["0o600"], 0)
    Fernet(state["secrets"]["token-cache-key"])
    assert "stays as it is" in second.out
    assert "as this release expects" in second.out
    assert "deploy hook -e prod --confirm prod register_page_sign_in" in second.out
    with each_postgres.connect() as superuser:
        owners = superuser.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'partner_center_%'"
        ).fetchall()
        assert owners == [("partner_center_owner",)]
        assert migrate.read_revision(superuser) == migrate.revisions()[-1]


def test_the_key_and_the_token_are_never_shown(cloud: Cloud, each_postgres: Server) -> None:
    done = cloud.run(POST, **each_postgres.environ)

    shown = done.out + done.err + json.dumps(cloud.calls)
    assert cloud.state["secrets"]["token-cache-key"] not in shown
    assert TOKEN not in shown


def test_a_release_that_is_taken_back_leaves_a_newer_schema_and_its_grants_alone(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.run(POST, **each_postgres.environ)
    with each_postgres.connect() as superuser:
        superuser.execute("UPDATE partner_center_schema_version SET version_num = '9999'")
        superuser.execute("SET ROLE partner_center_owner")
        superuser.execute("CREATE TABLE partner_center_secrets ()")
        superuser.execute("REVOKE ALL ON partner_center_secrets FROM partner_center_reader")

    done = cloud.run(POST, **each_postgres.environ)

    assert done.code == 0, done.err
    assert "the schema is at 9999, newer than this release's" in done.out
    with each_postgres.connect() as superuser:
        assert migrate.read_revision(superuser) == "9999"
        granted = superuser.execute(
            "SELECT has_table_privilege("
            "'partner_center_reader', 'partner_center_secrets', 'SELECT')"
        ).fetchone()
    assert granted == (False,)


def test_the_apps_role_may_change_rows_and_nothing_else(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.run(POST, **each_postgres.environ)

    with each_postgres.connect("id-app") as app:
        app.execute("DELETE FROM partner_center_referrals")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE partner_center_mine ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("UPDATE partner_center_schema_version SET version_num = '0000'")


def test_the_app_leaves_connections_to_people(cloud: Cloud, each_postgres: Server) -> None:
    first = cloud.run(POST, **each_postgres.environ)
    with each_postgres.connect() as superuser:
        limit = superuser.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'id-app'")
        assert limit.fetchone() == (80,)
        # Whether Azure's administrator may limit a role that Azure made has been seen nowhere.
        superuser.execute('REVOKE ADMIN OPTION FOR "id-app" FROM azure_admin')
        may = superuser.execute("SHOW server_version_num").fetchone()
    second = cloud.run(POST, **each_postgres.environ)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    is_refused = may is not None and int(may[0]) >= 160000
    assert ("lets nobody limit the connections" in second.out) is is_refused


def test_a_person_a_group_and_a_service_read_the_tables_but_not_the_lease(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.run(POST, **each_postgres.environ)
    readers = {"ada@example.com": "user", "CRM readers": "group", "crm-app": "service"}

    outcomes = [
        cloud.run(
            *("infra/hooks/grant_reader.py", "--name", name, "--type", kind),
            *("--object-id", "99999999-2222-3333-4444-555555555555"),
            **each_postgres.environ,
        )
        for name, kind in [*readers.items(), ("ada@example.com", "user")]
    ]

    assert [done.code for done in outcomes] == [0] * 4, [done.err for done in outcomes]
    assert "was let in" not in outcomes[-1].out
    assert cloud.state["rules"] == {}
    for name in readers:
        with each_postgres.connect(name) as reader:
            found = reader.execute("SELECT count(*) FROM partner_center_referrals").fetchone()
            assert found == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT * FROM partner_center_sync_state")


def test_a_database_that_refuses_leaves_no_hole_in_the_firewall(
    cloud: Cloud, each_postgres: Server
) -> None:
    wrong = each_postgres.environ | {"DATABASE_ADMIN_NAME": "nobody"}

    done = cloud.run(POST, **wrong)

    assert done.code == 1
    assert "run it again" in done.err
    assert cloud.state["rules"] == {}
    assert TOKEN not in done.err


def test_the_firewall_is_waited_for_when_it_opens_and_when_it_closes(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.set(order_takes=3)

    done = cloud.run(POST, **each_postgres.environ, SPREAD_WAIT_S="0")

    assert done.code == 0, done.err
    methods = [call[3] for call in cloud.calls if "/firewallRules/" in " ".join(call)]
    assert methods == ["put", *["get"] * 4, "delete", *["get"] * 4]
    assert (cloud.state["rules"], cloud.state["orders"]) == ({}, {})


def test_a_rule_that_cannot_be_made_is_not_removed_either(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.set(failing={"--method put": "on purpose"})

    done = cloud.run(POST, **each_postgres.environ)

    assert done.code == 1
    assert "on purpose" in done.err
    assert not [call for call in cloud.calls if "delete" in call]


def test_a_rule_that_cannot_be_removed_does_not_hide_what_went_wrong_first(
    cloud: Cloud, each_postgres: Server
) -> None:
    cloud.set(failing={"--method delete": "on purpose"})

    alone = cloud.run(POST, **each_postgres.environ)
    beside = cloud.run(POST, **(each_postgres.environ | {"DATABASE_ADMIN_NAME": "nobody"}))

    assert (alone.code, beside.code) == (1, 1)
    assert "The firewall of psql-test may still let 203.0.113.7 in" in alone.err
    assert "No connection to postgres" in beside.err
    assert "az rest --method delete" in beside.out


def test_the_server_that_is_restarted_is_the_environments(cloud: Cloud) -> None:
    code = "import sys; sys.path[0] = 'infra/hooks'; import postprovision as p; p.restart_server()"

    done = cloud.run(
        *("-c", code),
        AZURE_SUBSCRIPTION_ID="a",
        AZURE_RESOURCE_GROUP="b",
        DATABASE_SERVER="c",
    )

    assert done.code == 0, done.err
    [call] = cloud.calls
    named = dict(itertools.pairwise(call))
    wanted = {"--subscription": "a", "--resource-group": "b", "--name": "c"}
    assert wanted.items() <= named.items()


def test_a_server_with_a_certificate_of_somebody_else_gets_no_token(
    cloud: Cloud, each_postgres: Server
) -> None:
    environ = {key: value for key, value in each_postgres.environ.items() if "SSL" not in key}

    done = cloud.run(POST, **environ)

    assert done.code == 1
    assert "certificate verify failed" in done.err


def test_a_vault_behind_a_closed_network_is_not_waited_for(cloud: Cloud) -> None:
    cloud.set(failing={"keyvault secret list": "(Forbidden) Code: ForbiddenByConnection"})

    done = cloud.run(POST, KEY_VAULT_NAME="kv-test")

    assert done.code == 1
    assert "ForbiddenByConnection" in done.err
    assert len(cloud.calls) == 1


def test_a_deleted_key_is_not_replaced_by_another(cloud: Cloud) -> None:
    cloud.set(deleted=["token-cache-key"])

    done = cloud.run(POST, KEY_VAULT_NAME="kv-test")

    assert done.code == 1
    assert "secret recover" in done.err
    assert cloud.state["secrets"] == {}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(cloud: Cloud) -> None:
    environ = {
        "KEY_VAULT_NAME": "kv-test",
        "DATABASE_NAME": "hunter",
        "DATABASE_SERVER": "psql-test",
        "APP_IDENTITY_NAME": "id-app",
        "APP_URL": "https://func-test.azurewebsites.net",
        **GOOD,
    }

    outcomes = [
        cloud.run(f"infra/hooks/{name}.py", *further, "--dry-run", **environ)
        for name, *further in (
            ("preprovision",),
            ("postprovision",),
            ("prepackage",),
            ("register_partner_center",),
            ("register_page_sign_in",),
            ("grant_reader", "--name", "a", "--object-id", "b", "--type", "user"),
        )
    ]

    assert [done.code for done in outcomes] == [0] * 6, [done.err for done in outcomes]
    # The first one only looks in any case.
    assert all("Would" in done.out for done in outcomes[1:])
    assert [call[:3] for call in cloud.calls] == [["az", "account", "show"]]


def test_what_the_hook_needs_is_named_when_it_is_missing(cloud: Cloud) -> None:
    done = cloud.run(POST)

    assert done.code == 1
    assert "KEY_VAULT_NAME is not set" in done.err


def test_registering_partner_center_twice_makes_one_registration(cloud: Cloud) -> None:
    scope = {"id": "aaaaaaaa-0000-0000-0000-000000000000", "value": "user_impersonation"}
    cloud.set(apis={PARTNER_API: [{"oauth2PermissionScopes": [scope]}]})

    outcomes = [cloud.run("infra/hooks/register_partner_center.py") for _ in range(2)]

    assert [done.code for done in outcomes] == [0, 0], outcomes[0].err
    [app] = cloud.state["apps"]
    assert [access["resourceAppId"] for access in app["requiredResourceAccess"]] == [PARTNER_API]
    assert cloud.state["environment"] == {"HUNTER_PARTNER_CENTER_CLIENT_ID": app["appId"]}
    assert ["az", "ad", "app", "permission", "admin-consent"] in [call[:5] for call in cloud.calls]


def test_a_tenant_without_partner_center_is_told_so(cloud: Cloud) -> None:
    done = cloud.run("infra/hooks/register_partner_center.py")

    assert done.code == 1
    assert "does not know Microsoft Partner" in done.err
    assert cloud.state["apps"] == []


def test_registering_the_page_twice_makes_one_registration_with_both_roles(cloud: Cloud) -> None:
    url = "https://func-test.azurewebsites.net"
    cloud.set(unknown_for=2)

    outcomes = [
        cloud.run("infra/hooks/register_page_sign_in.py", APP_URL=url, SPREAD_WAIT_S="0")
        for _ in range(2)
    ]

    assert [done.code for done in outcomes] == [0, 0], outcomes[0].err
    [app] = cloud.state["apps"]
    assert [role["value"] for role in app["appRoles"]] == ["Referrals.Read", "Referrals.Operate"]
    assert app["web"]["redirectUris"] == [f"{url}/.auth/login/aad/callback"]
    assert app["api"]["requestedAccessTokenVersion"] == 2
    assert len(app["api"]["preAuthorizedApplications"]) == 1
    assert cloud.state["principals"] == [app["appId"]]
    assert cloud.state["environment"] == {"AUTH_CLIENT_ID": app["appId"]}


def test_registering_the_page_again_keeps_what_was_added_to_it(cloud: Cloud) -> None:
    url = "https://func-test.azurewebsites.net"
    added: dict[str, Any] = {
        "identifierUris": ["https://example.com/page"],
        "web": {"redirectUris": ["https://page.example.com/.auth/login/aad/callback"]},
        "appRoles": [{"id": "another", "value": "Another", "origin": "Application"}],
        "api": {
            "oauth2PermissionScopes": [{"id": "another", "value": "another"}],
            "preAuthorizedApplications": [{"appId": "a", "delegatedPermissionIds": ["another"]}],
        },
    }
    app = {"appId": "b", "displayName": "partner-center-sync-page"}
    cloud.set(apps=[app | added])

    for _ in range(2):
        done = cloud.run("infra/hooks/register_page_sign_in.py", APP_URL=url, SPREAD_WAIT_S="0")
        assert done.code == 0, done.err

    [kept] = cloud.state["apps"]
    assert kept["identifierUris"] == [*added["identifierUris"], "api://b"]
    assert kept["web"]["redirectUris"] == [
        *added["web"]["redirectUris"],
        f"{url}/.auth/login/aad/callback",
    ]
    assert kept["appRoles"][0] == {"id": "another", "value": "Another"}
    assert [role["value"] for role in kept["appRoles"]] == [
        "Another",
        "Referrals.Read",
        "Referrals.Operate",
    ]
    api = kept["api"]
    assert [scope["value"] for scope in api["oauth2PermissionScopes"]] == [
        "another",
        "user_impersonation",
    ]
    assert [client["appId"] for client in api["preAuthorizedApplications"]] == ["a", AZURE_CLI]


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"ALERT_EMAIL": ""}, "ALERT_EMAIL is not an e-mail address"),
        ({"ALERT_EMAIL": "nobody"}, "ALERT_EMAIL is not an e-mail address"),
        ({"SILENCE_WINDOW": "PT15M"}, "would fire although all is well"),
        ({"SILENCE_WINDOW": "PT6H"}, "later than promised"),
        ({"HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY": "48h"}, "SWEEP_WINDOW"),
        ({"HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": "often"}, "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"),
        ({"HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": "00:10:00"}, "time span"),
        ({"HUNTER_PARTNER_CENTER_ENABLED": "true"}, "HUNTER_PARTNER_CENTER_CLIENT_ID"),
        ({"DATABASE_HIGH_AVAILABILITY": "true"}, "DATABASE_SKU_TIER"),
        ({"DATABASE_ADMIN_GROUP_ID": "g"}, "DATABASE_ADMIN_NAME must be the display name"),
        (
            {"DATABASE_ADMIN_GROUP_ID": "g", "DATABASE_ADMIN_NAME": "ada@example.com"},
            "DATABASE_ADMIN_NAME must be the display name",
        ),
        ({"AZURE_SUBSCRIPTION_ID": "another"}, "`az account set --subscription another`"),
    ],
)
def test_what_would_not_work_is_refused_before_anything_is_created(
    cloud: Cloud, environ: dict[str, str], complaint: str
) -> None:
    done = cloud.run("infra/hooks/preprovision.py", **(GOOD | environ))

    assert done.code == 1
    assert complaint in done.err


def test_a_service_principal_that_deploys_has_to_be_named(cloud: Cloud) -> None:
    user = {"name": "00000000-0000-0000-0000-000000000009", "type": "servicePrincipal"}
    cloud.set(answers={"account show": {"id": SUBSCRIPTION, "user": user}})

    unnamed = cloud.run("infra/hooks/preprovision.py", **GOOD)
    named = cloud.run("infra/hooks/preprovision.py", **GOOD, DATABASE_ADMIN_NAME="releases")

    assert (unnamed.code, named.code) == (1, 0)
    assert "DATABASE_ADMIN_NAME is not set" in unnamed.err


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AZURE_SUBSCRIPTION_ID": SUBSCRIPTION.upper()},
        {"DATABASE_ADMIN_GROUP_ID": "g", "DATABASE_ADMIN_NAME": "deployers"},
    ],
    ids=["defaults", "subscription", "group"],
)
def test_the_defaults_with_an_address_are_accepted(cloud: Cloud, environ: dict[str, str]) -> None:
    done = cloud.run("infra/hooks/preprovision.py", **GOOD, **environ)

    assert done.code == 0, done.err


# What is in Azure already

ENVIRONMENT = {**GOOD, "AZURE_ENV_NAME": "prod", "AZURE_LOCATION": "West Europe"}
GROUP = "rg-partner-center-sync-prod"
IN_GROUP = f"rest --method get --url /subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
SERVER = "psql-3q3j4b4fks7p4"
SITE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Web/sites/func-x"
ADMINISTRATOR = {
    "name": "11111111-0000-0000-0000-000000000000",
    "properties": {"principalName": "ada@example.com", "principalType": "User"},
}
CAPABILITIES = (
    f"rest --method get --url /subscriptions/{SUBSCRIPTION}/providers/Microsoft.DBforPostgreSQL/"
    "locations/westeurope/capabilities?"
)


def in_azure(
    *, tags: dict[str, str] | None = None, settings: dict[str, str] | None = None, **server: Any
) -> dict[str, Any]:
    """az's answers where an environment has been deployed.

    The shapes are those of Azure Resource Manager's specifications of 2025.
    """
    properties = {
        "storage": {"storageSizeGB": 32, "autoGrow": "Enabled"},
        "backup": {"backupRetentionDays": 14},
        "highAvailability": {"mode": "Disabled"},
    }
    sku = {"name": "Standard_B1ms", "tier": "Burstable"}
    found = {"name": SERVER, "sku": server.pop("sku", sku), "properties": properties | server}
    restored = {"name": f"{SERVER}-then", "sku": sku, "properties": properties}
    servers = f"{IN_GROUP}/Microsoft.DBforPostgreSQL/flexibleServers"
    return {
        "group list": [
            {"name": "rg-other", "tags": None},
            {"name": GROUP.upper(), "tags": {"azd-env-name": "prod"} if tags is None else tags},
        ],
        f"{servers}?": {"value": [restored, found]},
        f"{servers}/{SERVER}/administrators?": {"value": [ADMINISTRATOR]},
        f"{IN_GROUP}/Microsoft.OperationalInsights/workspaces?": {
            "value": [{"name": "log-x", "properties": {"retentionInDays": 90}}]
        },
        f"{IN_GROUP}/Microsoft.Web/sites?": {"value": [{"name": "func-x", "id": SITE}]},
        f"rest --method post --url {SITE}/config/appsettings/list?": {
            "properties": settings or {"HUNTER_RETENTION_DAYS": "400"}
        },
        "ad signed-in-user show": ADMINISTRATOR["name"],
    }


PREPROVISION = "infra/hooks/preprovision.py"


@pytest.mark.parametrize("tags", [{}, {"azd-env-name": "production"}])
def test_a_resource_group_of_somebody_else_is_left_alone(
    cloud: Cloud, tags: dict[str, str]
) -> None:
    cloud.set(answers=in_azure(tags=tags))

    done = cloud.run(PREPROVISION, **ENVIRONMENT)

    assert done.code == 1
    assert "belongs to something else" in done.err


def test_a_deployment_under_another_name_is_not_doubled(cloud: Cloud) -> None:
    done = cloud.run(PREPROVISION, **ENVIRONMENT, AZURE_RESOURCE_GROUP="rg-prod")

    assert done.code == 1
    assert "deployed in the resource group rg-prod" in done.err


@pytest.mark.parametrize(
    ("live", "environ", "kept"),
    [
        ({}, {}, {}),
        ({"storage": {"storageSizeGB": 64}}, {}, {"DATABASE_STORAGE_GB": "64"}),
        ({"storage": {"storageSizeGB": 64}}, {"DATABASE_STORAGE_GB": "128"}, {}),
    ],
    ids=["as it was", "grown", "to grow"],
)
def test_the_disk_is_deployed_with_the_size_that_it_has(
    cloud: Cloud, live: dict[str, Any], environ: dict[str, str], kept: dict[str, str]
) -> None:
    cloud.set(answers=in_azure(**live))

    dry = cloud.run(PREPROVISION, "--dry-run", **ENVIRONMENT, **environ)
    assert cloud.state["environment"] == {}
    done = cloud.run(PREPROVISION, **ENVIRONMENT, **environ)

    assert (dry.code, done.code) == (0, 0), dry.err + done.err
    assert cloud.state["environment"] == kept


LARGE = {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}


@pytest.mark.parametrize(
    ("live", "environ", "name", "value"),
    [
        ({"sku": LARGE}, {}, "DATABASE_SKU_TIER", "Burstable"),
        (
            {"sku": LARGE | {"name": "Standard_D4ds_v5"}},
            {"DATABASE_SKU_TIER": "GeneralPurpose", "DATABASE_SKU_NAME": "Standard_D2ds_v5"},
            "DATABASE_SKU_NAME",
            "Standard_D2ds_v5",
        ),
        (
            {"highAvailability": {"mode": "ZoneRedundant"}},
            {},
            "DATABASE_HIGH_AVAILABILITY",
            "false",
        ),
        ({"backup": {"backupRetentionDays": 35}}, {}, "DATABASE_BACKUP_DAYS", "14"),
        ({"settings": {"HUNTER_RETENTION_DAYS": "800"}}, {}, "HUNTER_RETENTION_DAYS", "400"),
        ({}, {"LOG_RETENTION_DAYS": "30"}, "LOG_RETENTION_DAYS", "30"),
        ({}, {"DATABASE_BACKUP_DAYS": "many"}, "DATABASE_BACKUP_DAYS", "many"),
        ({}, {"DATABASE_SKU_TIER": "Tiny"}, "DATABASE_SKU_TIER", "Tiny"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_be_reduced_needs_an_explicit_yes(
    cloud: Cloud, live: dict[str, Any], environ: dict[str, str], name: str, value: str
) -> None:
    cloud.set(answers=in_azure(**live))
    given = ENVIRONMENT | environ

    refused = cloud.run(PREPROVISION, **given)
    of_something_else = cloud.run(PREPROVISION, **given, ACCEPT_REDUCTION=f"{name}=1")
    accepted = cloud.run(PREPROVISION, **given, ACCEPT_REDUCTION=f"OTHER=1, {name}={value}")

    assert (refused.code, of_something_else.code, accepted.code) == (1, 1, 0), accepted.err
    assert f"azd env set ACCEPT_REDUCTION {name}={value}" in refused.err


def test_a_larger_database_and_longer_retention_need_no_yes(cloud: Cloud) -> None:
    cloud.set(answers=in_azure())
    more = {
        "DATABASE_SKU_NAME": "Standard_D2ds_v5",
        "DATABASE_SKU_TIER": "GeneralPurpose",
        "DATABASE_HIGH_AVAILABILITY": "true",
        "DATABASE_BACKUP_DAYS": "35",
        "HUNTER_RETENTION_DAYS": "800",
        "LOG_RETENTION_DAYS": "365",
    }

    done = cloud.run(PREPROVISION, **ENVIRONMENT, **more)

    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("principal", "environ", "code"),
    [
        ("11111111-0000-0000-0000-000000000000", {}, 0),
        ("99999999-0000-0000-0000-000000000000", {}, 1),
        ("99999999-0000-0000-0000-000000000000", {"DATABASE_ADMIN_NAME": "bob@example.com"}, 0),
    ],
    ids=["the same", "somebody else", "under the own name"],
)
def test_somebody_else_does_not_deploy_under_the_administrators_name(
    cloud: Cloud, principal: str, environ: dict[str, str], code: int
) -> None:
    cloud.set(answers=in_azure() | {"ad signed-in-user show": principal})

    done = cloud.run(
        PREPROVISION, **(ENVIRONMENT | {"DATABASE_ADMIN_NAME": "ada@example.com"} | environ)
    )

    assert done.code == code, done.err
    assert ("ada@example.com administers the database" in done.err) is bool(code)


@pytest.mark.parametrize(
    ("offer", "complaint"),
    [
        ({"restricted": "Enabled", "reason": "Not on sale here"}, "Not on sale here"),
        (
            {
                "supportedServerEditions": [
                    {"supportedServerSkus": [{"name": "Standard_D2ds_v5"}]},
                ]
            },
            "does not offer the database size Standard_B1ms",
        ),
        ({"restricted": "Disabled"}, ""),
    ],
)
def test_a_region_without_the_database_is_refused_first(
    cloud: Cloud, offer: dict[str, Any], complaint: str
) -> None:
    cloud.set(answers={"group list": [], CAPABILITIES: {"value": [offer]}})

    done = cloud.run(PREPROVISION, **ENVIRONMENT)

    assert done.code == (1 if complaint else 0), done.err
    assert complaint in done.err
