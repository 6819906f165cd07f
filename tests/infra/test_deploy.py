"""`python3 -m dev deploy`: backups that can be restored, confirmation, release, smoke, rollback."""

from __future__ import annotations

import base64
import itertools
import json
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from dev.deploy import backup, on_call, smoke
from dev.deploy.hooks import cloud as hooks_cloud
from dev.services.postgres import Postgres
from tests.infra.conftest import CLONE, SUBSCRIPTION, Cloud, Done, Server
from tests.web.conftest import API, Served, served, sign_in

__all__ = ["served"]

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PARTNER_API = "4990cffe-04e8-4e8b-808a-1175604b879f"
CLIENT = "00000000-0000-0000-0000-000000000001"

ENVIRONMENT = {
    "ALERT_EMAIL": "team@example.com",
    "AZURE_LOCATION": "westeurope",
    "HUNTER_PARTNER_CENTER_ENABLED": "true",
    "HUNTER_PARTNER_CENTER_CLIENT_ID": CLIENT,
}
ANSWERS: dict[str, Any] = {
    "ad app show": {
        "isFallbackPublicClient": True,
        "requiredResourceAccess": [{"resourceAppId": PARTNER_API}],
    },
    "ad app permission list-grants": [{"consentType": "AllPrincipals"}],
    "provider list": [
        "Microsoft.DBforPostgreSQL",
        "Microsoft.Insights",
        "Microsoft.KeyVault",
        "Microsoft.ManagedIdentity",
        "Microsoft.OperationalInsights",
        "Microsoft.Storage",
        "Microsoft.Web",
    ],
    "rest --method get --url /subscriptions/{subscriptionId}/providers/"
    "Microsoft.DBforPostgreSQL/locations/westeurope/": {
        "value": [
            {"name": {"value": "cores"}, "limit": 10, "currentValue": 9},
            {"name": {"value": "standardBSFamily"}, "limit": 10, "currentValue": 9},
            {"name": {"value": "standardMSFamily"}, "limit": 0, "currentValue": 0},
        ]
    },
    "functionapp list-flexconsumption-locations": ["West Europe"],
    "postgres flexible-server list-skus": [
        {"name": "Standard_B1ms"},
        {"name": "Standard_D2ds_v5"},
    ],
}


@pytest.fixture
def name() -> Iterator[str]:
    """An azd environment of this test's own."""
    chosen = f"test-{secrets.token_hex(4)}"
    yield chosen
    shutil.rmtree(CLONE / ".azure" / chosen, ignore_errors=True)


@pytest.fixture
def deploy(cloud: Cloud, name: str) -> Callable[..., Done]:
    """Runs a command on an environment in good order."""
    cloud.set(environment=ENVIRONMENT, answers=ANSWERS)

    def run(command: str, *arguments: str, **environ: str) -> Done:
        return cloud.run("-m", "dev", "deploy", command, "-e", name, *arguments, **environ)

    return run


# Backups


@pytest.fixture
def filled(tls_postgres: Postgres) -> Iterator[str]:
    """A database with a few referrals, on a server whose client programs are installed."""
    from pc_core.store.migrate import upgrade

    url = tls_postgres.create_database("filled")
    upgrade(url)
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO partner_center_referrals (referral_id, content_hash, raw_data, name) "
            "SELECT 'r-' || n, sha256(n::text::bytea), jsonb_build_object('id', n), "
            "repeat('çay ' || n, 50) FROM generate_series(1, 300) n"
        )
    yield url
    tls_postgres.drop_database("filled")


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.needs_tls_postgres
def test_a_backup_is_kept_once_it_was_restored_and_compared(
    filled: str, tmp_path: Path, name: str
) -> None:
    before = databases(filled)

    file = backup.make(filled, tmp_path, label="prod", now=NOW)

    manifest = backup.load_manifest(file)
    assert file.name == "prod-20261124T120000Z.dump"
    assert manifest["contents"]["partner_center_referrals"][0] == "300"
    assert (file.stat().st_mode & 0o077) == 0
    assert databases(filled) == before
    backup.prove(file, manifest, filled)


def middle_of_the_rows(dump: bytes | bytearray) -> int:
    """A place in the middle of the longest compressed stream, which is the referrals'."""
    begins = [found.start() for found in re.finditer(rb"x\x9c", dump)] + [len(dump)]
    length, begin = max((after - place, place) for place, after in itertools.pairwise(begins))
    assert length > 1000
    return begin + length // 2


@pytest.mark.needs_tls_postgres
@pytest.mark.parametrize("damage", ["cut", "flipped", "another", "rehashed", "explained"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    filled: str, tmp_path: Path, damage: str
) -> None:
    file = backup.make(filled, tmp_path, label="prod", now=NOW)
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "another":
        content = bytearray(b"-- no dump at all")
    elif damage == "explained":
        place = content.index(b"COMMENT ON COLUMN") + len(b"COMMENT ON COLUMN")
        place = content.index(b" IS '", place) + len(b" IS '")
        content[place] = ord("?")
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content[middle_of_the_rows(content)] ^= 0xFF
    file.write_bytes(content)
    if damage in ("rehashed", "cut", "explained"):
        manifest = backup.load_manifest(file) | {"sha256": backup._sha256(file)}
        file.with_suffix(".json").write_text(json.dumps(manifest))
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("DELETE FROM partner_center_referrals WHERE referral_id = 'r-1'")
        now_there = backup.read_contents(connection)

    with pytest.raises(backup.BadBackup):
        backup.restore(file, filled, app_role=None)

    with psycopg.connect(filled) as connection:
        assert backup.read_contents(connection) == now_there


@pytest.mark.needs_tls_postgres
def test_a_restore_brings_everything_back(filled: str, tmp_path: Path) -> None:
    file = backup.make(filled, tmp_path, label="prod", now=NOW)
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("DELETE FROM partner_center_referrals")
        connection.execute("DROP VIEW partner_center_companies")

    backup.restore(file, filled, app_role=None)

    with psycopg.connect(filled) as connection:
        assert backup.read_contents(connection) == backup.load_manifest(file)["contents"]
        connection.execute("SELECT * FROM partner_center_companies")


@pytest.mark.needs_tls_postgres
def test_an_empty_database_is_no_backup(tls_postgres: Postgres, tmp_path: Path) -> None:
    url = tls_postgres.create_database("hollow")

    with pytest.raises(hooks_cloud.HookError, match="nothing to back up"):
        backup.make(url, tmp_path, label="prod", now=NOW)

    tls_postgres.drop_database("hollow")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs_tls_postgres
def test_backup_and_restore_work_for_an_administrator_who_is_no_superuser(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server, tmp_path: Path, name: str
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    backups = tmp_path / "backups"

    made = deploy("backup", "--to", str(backups), **azure_postgres.environ)
    assert made.code == 0, made.err
    [file] = backups.glob("*.dump")
    proved = deploy("backup", "--verify", str(file), **azure_postgres.environ)
    unconfirmed = deploy("restore", "--from", str(file), **azure_postgres.environ)
    restored = deploy("restore", "--from", str(file), "--confirm", name, **azure_postgres.environ)

    assert (proved.code, unconfirmed.code, restored.code) == (0, 1, 0), restored.err
    assert cloud.state["rules"] == {}
    with azure_postgres.connect("id-app") as app:
        app.execute("DELETE FROM partner_center_referrals")
        owner = app.execute(
            "SELECT tableowner FROM pg_tables WHERE tablename = 'partner_center_referrals'"
        ).fetchone()
        assert owner == ("partner_center_owner",)


@pytest.mark.needs_tls_postgres
def test_the_apps_commands_run_on_the_environments_database(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server, name: str
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    there = azure_postgres.environ

    current = deploy("run", "--", "migrate", "--status", **there)
    status = deploy("run", "--", "status", "--json", **there)
    looked = deploy("run", "--", "erase", "--domain", "customer.example", **there)
    unconfirmed = [
        deploy("run", "--", "erase", "--domain", "customer.example", yes, **there)
        for yes in ("--yes", "--ye")
    ]
    erased = deploy(
        "run",
        "--confirm",
        name,
        "--",
        "erase",
        "--domain",
        "customer.example",
        "--yes",
        **there,
    )

    assert (current.code, looked.code, erased.code) == (0, 0, 0), erased.err
    assert [done.code for done in unconfirmed] == [1, 1]
    assert all("no confirmation was given" in done.err for done in unconfirmed)
    assert json.loads(status.out.splitlines()[-1])["enabled"] is True
    assert "Would erase" in looked.out
    assert "Erased" in erased.out
    assert cloud.state["rules"] == {}


@pytest.mark.needs_tls_postgres
def test_a_newer_schema_does_not_stop_a_release_that_is_taken_back(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    with azure_postgres.connect() as superuser:
        superuser.execute("UPDATE partner_center_schema_version SET version_num = '9999'")

    checked = deploy("check", **azure_postgres.environ)
    asked = deploy("run", "--", "migrate", "--status", **azure_postgres.environ)

    assert (checked.code, asked.code) == (0, 0), checked.out + asked.err
    assert "schema: at 9999, newer than this release's" in checked.out
    assert "newer than this release's" in asked.out


@pytest.mark.needs_tls_postgres
def test_the_database_can_be_asked_and_a_slip_changes_nothing(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    there = azure_postgres.environ

    asked = deploy("sql", "SELECT 'rows: ' || count(*) FROM partner_center_referrals", **there)
    changed = deploy("sql", "DELETE FROM partner_center_referrals", **there)

    assert asked.code == 0, asked.err
    assert "rows: 0" in asked.out
    assert changed.code == 1
    assert "read-only transaction" in changed.err
    assert cloud.state["rules"] == {}


@pytest.mark.needs_tls_postgres
def test_another_server_can_be_backed_up(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server, tmp_path: Path
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    # The environment's own server is gone.
    lost = azure_postgres.environ | {"DATABASE_HOST": "psql-lost"}

    done = deploy("backup", "--server", "localhost", "--to", str(tmp_path / "backups"), **lost)

    assert done.code == 0, done.err
    assert len(list((tmp_path / "backups").glob("*.dump"))) == 1
    rules = [word for call in cloud.calls for word in call if "/firewallRules/" in word]
    assert all("/flexibleServers/localhost/" in url for url in rules[-4:])


HOOK_VALUES = {
    "KEY_VAULT_NAME": "kv-test",
    "DATABASE_NAME": "hunter",
    "DATABASE_SERVER": "psql-test",
    "APP_IDENTITY_NAME": "id-app",
}


def test_a_hook_that_changes_something_has_to_be_confirmed(
    cloud: Cloud, deploy: Callable[..., Done], name: str
) -> None:
    cloud.set(environment=ENVIRONMENT | HOOK_VALUES)

    unconfirmed = deploy("hook", "postprovision")
    dry = [
        deploy("hook", "postprovision", "--dry-run"),
        deploy("hook", "--dry-run", "postprovision"),
    ]
    looking = deploy("hook", "preprovision")

    assert unconfirmed.code == 1
    assert f"Add --confirm {name} after -e {name}" in unconfirmed.err
    assert [done.code for done in (*dry, looking)] == [0, 0, 0], dry[1].err + looking.err
    assert all("Would make the database role" in done.out for done in dry)
    assert not [call for call in cloud.calls if "keyvault" in call or "put" in call]


def test_a_confirmed_hook_runs(cloud: Cloud, deploy: Callable[..., Done], name: str) -> None:
    cloud.set(environment=ENVIRONMENT | {"APP_URL": "https://func-test.azurewebsites.net"})

    done = deploy("hook", "--confirm", name, "register_page_sign_in", SPREAD_WAIT_S="0")

    assert done.code == 0, done.err
    assert len(cloud.state["apps"]) == 1


def test_a_sync_is_not_run_from_here(deploy: Callable[..., Done], name: str) -> None:
    done = deploy("run", "--confirm", name, "--", "sync")

    assert done.code == 1
    assert "Name one of" in done.err


# Release and rollback


@pytest.mark.parametrize("given", [None, "yes", "{name}2", "TEST", ""])
def test_only_the_environments_own_name_confirms(
    cloud: Cloud, deploy: Callable[..., Done], given: str | None, name: str
) -> None:
    confirmation = () if given is None else ("--confirm", given.format(name=name))

    done = deploy("release", *confirmation)

    assert done.code == 1
    assert f"Add --confirm {name}" in done.err
    assert all(call[:3] == ["azd", "env", "get-values"] for call in cloud.calls)


def test_a_dry_run_names_every_step_and_takes_none(
    cloud: Cloud, deploy: Callable[..., Done]
) -> None:
    done = deploy("release", "--dry-run")

    assert done.code == 0, done.err
    assert re.findall(r"would run: azd (\w+)", done.out) == ["package", "provision", "deploy"]
    assert not [
        call for call in cloud.calls if call[:2] in (["azd", "deploy"], ["azd", "provision"])
    ]


@pytest.mark.parametrize(
    ("answers", "environment", "complaint"),
    [
        ({"ad app show": {"isFallbackPublicClient": False}}, {}, "public client flows are off"),
        ({"ad app permission list-grants": []}, {}, "has not consented"),
        ({"functionapp list-flexconsumption-locations": ["Moon"]}, {}, "not offered in westeurope"),
        ({"postgres flexible-server list-skus": []}, {}, "Standard_B1ms is not offered"),
        ({}, {"DATABASE_SKU_NAME": "Standard_D2ds_v5"}, "takes 2 of the quota cores"),
        ({}, {"ALERT_EMAIL": ""}, "ALERT_EMAIL"),
        ({}, {"AZURE_SUBSCRIPTION_ID": "another"}, "az account set --subscription another"),
        ({}, {"HUNTER_PARTNER_CENTER_CLIENT_ID": ""}, "HUNTER_PARTNER_CENTER_CLIENT_ID"),
    ],
)
def test_a_release_stops_before_it_changes_anything(
    cloud: Cloud,
    deploy: Callable[..., Done],
    answers: dict[str, Any],
    environment: dict[str, str],
    complaint: str,
    name: str,
) -> None:
    cloud.set(answers=ANSWERS | answers, environment=ENVIRONMENT | environment)

    done = deploy("release", "--confirm", name)

    assert done.code == 1
    assert complaint in done.out
    assert {tuple(call[:2]) for call in cloud.calls if call[0] == "azd"} == {("azd", "env")}


def test_providers_that_azure_registers_itself_hold_nothing_up(
    cloud: Cloud, deploy: Callable[..., Done]
) -> None:
    cloud.set(
        answers=ANSWERS | {"provider list": ["Microsoft.Web"]},
        environment=ENVIRONMENT | {"PRIVATE_NETWORK": "true", "AZURE_LOCATION": "West Europe"},
    )

    done = deploy("check")

    assert done.code == 0, done.out
    assert re.search("providers: Azure registers Microsoft.App, .*Microsoft.Storage", done.out)


def test_a_quota_that_azure_does_not_tell_holds_nothing_up(
    cloud: Cloud, deploy: Callable[..., Done]
) -> None:
    told = {command: answer for command, answer in ANSWERS.items() if "rest" not in command[:4]}
    cloud.set(answers=told)

    done = deploy("check")

    assert done.code == 0, done.out
    assert "quota: Azure does not tell" in done.out


@pytest.mark.parametrize("asked", ["ad app show", "ad app permission list-grants"])
def test_a_registration_that_the_caller_may_not_read_holds_nothing_up(
    cloud: Cloud, deploy: Callable[..., Done], asked: str
) -> None:
    cloud.set(failing={asked: "Insufficient privileges to complete the operation."})

    done = deploy("check")

    assert done.code == 0, done.out
    assert "registration: Entra ID tells it only to" in done.out


def test_a_registration_that_does_not_exist_fails_the_check(
    cloud: Cloud, deploy: Callable[..., Done]
) -> None:
    cloud.set(failing={"ad app show": "Resource 'x' does not exist."})

    done = deploy("check")

    assert done.code == 1
    assert "FAILED  registration" in done.out


def test_there_is_nothing_to_go_back_to_at_first(deploy: Callable[..., Done], name: str) -> None:
    done = deploy("rollback", "--confirm", name)

    assert done.code == 1
    assert "none to go back to" in done.err


@pytest.fixture
def scheduled(served: Served) -> Iterator[Served]:
    """The app with a schedule that comes round every second."""
    over = threading.Event()

    def fire() -> None:
        while not over.wait(1):
            requests.post(
                f"{served.url}/admin/functions/scheduled_sync",
                json={},
                timeout=60,
            )

    sign_in(served)
    clock = threading.Thread(target=fire)
    clock.start()
    yield served
    over.set()
    clock.join()


def test_a_release_ends_with_a_smoke_test_on_the_app(
    cloud: Cloud, deploy: Callable[..., Done], name: str, scheduled: Served
) -> None:
    cloud.set(environment=ENVIRONMENT | {"APP_URL": scheduled.url})

    done = deploy("release", "--confirm", name, SMOKE_API_KEY=scheduled.key)

    assert done.code == 0, done.out + done.err
    assert re.findall(r"ok      ([\w ]+):", done.out)[-6:] == [
        "health",
        "closed to strangers",
        "sync by hand",
        "rows arrived",
        "ready",
        "timer",
    ]


def test_a_rollback_leads_to_the_newest_package_that_works_and_is_not_the_current_one(
    cloud: Cloud, deploy: Callable[..., Done], name: str, scheduled: Served
) -> None:
    cloud.set(environment=ENVIRONMENT | {"APP_URL": scheduled.url})
    key = {"SMOKE_API_KEY": scheduled.key}

    def release(**environ: str) -> int:
        return deploy("release", "--confirm", name, **environ).code

    def roll_back() -> str:
        # -S: on a Python without any package.
        done = cloud.run(
            *("-S", "-m", "dev", "deploy", "rollback", "-e", name, "--confirm", name), **key
        )
        assert done.code == 0, done.out + done.err
        return str(cloud.state["deployed"][-1])

    # Without a key nothing can be asked, so that the smoke test fails.
    assert (release(**key), release()) == (0, 1)
    first, _ = cloud.state["deployed"]
    assert roll_back() == first
    assert (release(**key), release()) == (0, 1)
    *_, third, _ = cloud.state["deployed"]
    assert roll_back() == third
    assert roll_back() == first
    cloud.set(deploy_fails=True)
    assert (release(**key), deploy("rollback", "--confirm", name, **key).code) == (1, 1)
    cloud.set(deploy_fails=False)
    assert roll_back() == first


@pytest.mark.parametrize("step", ["release", "roll_back"])
def test_only_a_run_after_the_deployment_proves_the_timer(
    cloud: Cloud, deploy: Callable[..., Done], name: str, step: str
) -> None:
    folder = CLONE / ".azure" / name / "packages"
    folder.mkdir(parents=True)
    (folder / "older.zip").write_bytes(b"an older package")
    extra = "back_up=None" if step == "release" else "to=packages(environment) / 'older.zip'"
    code = (
        "from dev.deploy.backup import utc_now\n"
        "from dev.deploy.environment import Environment\n"
        f"from dev.deploy.release import packages, {step}\n"
        f"environment = Environment.load({name!r})\n"
        f"{step}(environment, smoke=lambda since: print(since.isoformat()), now=utc_now, {extra})"
    )

    done = cloud.run("-c", code)

    assert done.code == 0, done.out + done.err
    since = datetime.fromisoformat(done.out.splitlines()[-1])
    assert since > datetime.fromisoformat(cloud.state["deployed_at"])


def test_a_failed_deployment_is_not_remembered_as_one_that_worked(
    cloud: Cloud, deploy: Callable[..., Done], name: str
) -> None:
    cloud.set(deploy_fails=True)

    done = deploy("release", "--confirm", name)

    assert done.code == 1
    assert not (CLONE / ".azure" / name / "packages" / "worked.json").exists()


@pytest.mark.parametrize("failing", [1, 2])
def test_a_status_that_cannot_be_had_is_named_and_not_read(failing: int) -> None:
    asked = 0

    class Answers(BaseHTTPRequestHandler):
        def answer(self) -> None:
            nonlocal asked
            is_stranger = "X-API-Key" not in self.headers
            status = 200
            body: dict[str, Any] = {"partner_center_enabled": True, "success": True}
            if self.path.endswith("/status"):
                asked += 1
                body = {"counts": {"referrals": 1}, "sign_in": {"state": "ok"}}
                if asked == failing:
                    status, body = 503, {"code": "database_busy"}
            elif self.path.startswith(API) and is_stranger:
                status, body = 401, {"code": "login_needed"}
            elif self.path.endswith("/sync"):
                body |= {"state": "completed", "success_count": 1, "skipped_count": 0}
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the base's names

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        probe = smoke.Probe(
            url=f"http://127.0.0.1:{server.server_port}", credential={"X-API-Key": "k"}
        )
        try:
            with pytest.raises(hooks_cloud.HookError, match=r"answers 503 \(database_busy\)"):
                smoke.smoke(probe, since=NOW)
        finally:
            server.shutdown()
            thread.join()


# On call


def token_with(roles: list[str]) -> str:
    """An access token as Entra ID issues it for an API, not signed."""
    claims = base64.urlsafe_b64encode(json.dumps({"roles": roles}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.c2ln"


PERMISSIONS = (
    f"rest --method get --url /subscriptions/{SUBSCRIPTION}/resourceGroups/rg-test/providers/"
    "Microsoft.Authorization/permissions?"
)
CONTRIBUTOR = {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}
READER = {"actions": ["*/read"], "notActions": []}


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        ([CONTRIBUTOR], True),
        ([READER], False),
        ([READER, {"actions": ["microsoft.web/sites/*"], "notActions": []}], True),
        ([{"actions": ["*"], "notActions": ["Microsoft.Web/sites/restart/Action"]}], False),
        ([], False),
    ],
)
def test_a_permission_holds_where_one_role_gives_it_and_does_not_take_it_back(
    permissions: list[dict[str, Any]], *, allowed: bool
) -> None:
    assert on_call._allowed("Microsoft.Web/sites/restart/action", permissions) is allowed


@pytest.mark.needs_tls_postgres
def test_on_call_proves_each_thing_that_the_runbook_needs(
    cloud: Cloud, deploy: Callable[..., Done], azure_postgres: Server, served: Served, name: str
) -> None:
    cloud.run("infra/hooks/postprovision.py", **azure_postgres.environ)
    packages = CLONE / ".azure" / name / "packages"
    packages.mkdir(parents=True)
    (packages / "20261124T120000Z-abc.zip").write_bytes(b"a package")
    there = azure_postgres.environ | {
        "APP_URL": served.url,
        "APP_NAME": "func-test",
        "SMOKE_API_KEY": served.key,
    }
    cloud.set(answers=ANSWERS | {PERMISSIONS: {"value": [CONTRIBUTOR]}})

    proved = deploy("on-call", **there)

    assert proved.code == 0, proved.out + proved.err
    assert re.findall(r"ok      ([\w -]+):", proved.out) == list(on_call._CHECKS)
    assert cloud.state["rules"] == {}
    assert not [call for call in cloud.calls if "restart" in call]


def test_on_call_names_everything_that_would_fail_at_night(
    cloud: Cloud, deploy: Callable[..., Done], served: Served
) -> None:
    there = {
        "APP_URL": served.url,
        "AZURE_RESOURCE_GROUP": "rg-test",
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "KEY_VAULT_NAME": "kv-test",
        "SMOKE_API_KEY": "wrong",
    }
    cloud.set(
        answers=ANSWERS | {PERMISSIONS: {"value": [READER]}},
        failing={"keyvault secret list": "(Forbidden) Code: ForbiddenByRbac"},
    )

    done = deploy("on-call", **there)

    failed = re.findall(r"FAILED  ([\w -]+): (.*)", done.out)
    assert done.code == 1
    assert [title for title, _ in failed if title != "programs"] == [
        *("values", "rights in Azure", "role on the page", "vault", "database", "packages")
    ]
    said = dict(failed)
    assert "azd env refresh" in said["values"]
    assert "restart the app" in said["rights in Azure"]
    assert "gh run download" in said["packages"]


def test_the_roles_are_read_from_the_token() -> None:
    assert on_call._roles(token_with(["Referrals.Read"])) == ["Referrals.Read"]
    assert on_call._roles(token_with([])) == []


def test_an_environment_that_is_not_here_is_fetched_first(
    cloud: Cloud, deploy: Callable[..., Done], name: str
) -> None:
    cloud.set(failing={"env get-values": "environment does not exist"})

    done = deploy("on-call")

    assert done.code == 1
    assert f"azd env refresh -e {name}" in done.err


@pytest.mark.parametrize(("failures", "code"), [(1, 0), (2, 1)])
def test_a_database_that_is_busy_for_a_moment_does_not_end_a_release(
    cloud: Cloud, deploy: Callable[..., Done], name: str, failures: int, code: int
) -> None:
    cloud.set(provision_fails=failures)
    ask = (
        "from dev.deploy.environment import Environment\n"
        "from dev.deploy.hooks import cloud\n"
        "from dev.deploy.release import _provision\n"
        f"environment = Environment.load({name!r})\n"
        "raise SystemExit(cloud.run(lambda: _provision(environment)))"
    )

    done = cloud.run("-c", ask, PROVISION_WAIT_S="0")

    assert done.code == code, done.err
    assert "trying once more" in done.out
    assert [call[1] for call in cloud.calls].count("provision") == 2
