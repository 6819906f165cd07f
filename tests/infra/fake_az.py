"""A stand-in for `az` and `azd` on the PATH: keeps what it is told in a file and logs each call."""

import itertools
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_CLOUD"])
STATE = FOLDER / "state.json"


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def options(arguments: list[str], name: str) -> list[str]:
    return [value for key, value in itertools.pairwise(arguments) if key == name]


def keyvault(state: dict[str, Any], arguments: list[str]) -> Any:
    match arguments[2]:
        case "list":
            if state["refusals"] > 0:
                state["refusals"] -= 1
                sys.exit("(Forbidden) Caller is not authorized. Code: ForbiddenByRbac")
            return list(state["secrets"])
        case "list-deleted":
            return state["deleted"]
        case "set":
            file = Path(option(arguments, "--file"))
            state["modes"].append(oct(file.stat().st_mode & 0o777))
            state["secrets"][option(arguments, "--name")] = file.read_text(encoding="utf-8")
            return "https://vault/secrets/id"
    return sys.exit(f"unknown: {arguments}")


def postgres(state: dict[str, Any], arguments: list[str]) -> Any:
    if arguments[2] == "restart":
        state["restarts"] += 1
        return None
    return sys.exit(f"unknown: {arguments}")


def applications(state: dict[str, Any], arguments: list[str]) -> Any:
    apps = state["apps"]
    match arguments[1:3]:
        case ["sp", "list"]:
            wanted = re.findall(r"'([^']+)'", option(arguments, "--filter"))[0]
            return state["apis"].get(wanted, []) or [
                {"appId": wanted} for each in state["principals"] if each == wanted
            ]
        case ["sp", "create"]:
            state["principals"].append(option(arguments, "--id"))
        case ["app", "list"]:
            wanted = re.findall(r"'([^']+)'", option(arguments, "--filter"))[0]
            return [app for app in apps if app["displayName"] == wanted]
        case ["app", "create"]:
            number = len(apps) + 1
            app: dict[str, Any] = {
                "appId": f"00000000-0000-0000-0000-{number:012}",
                "displayName": option(arguments, "--display-name"),
                "requiredResourceAccess": [],
            }
            apps.append(app)
            return app
        case ["app", "permission"] if arguments[3] == "add":
            app = next(app for app in apps if app["appId"] == option(arguments, "--id"))
            permission = option(arguments, "--api-permissions").removesuffix("=Scope")
            app["requiredResourceAccess"].append(
                {
                    "resourceAppId": option(arguments, "--api"),
                    "resourceAccess": [{"id": permission, "type": "Scope"}],
                }
            )
    return None


def graph(state: dict[str, Any], client_id: str, body: str) -> None:
    if state["unknown_for"] > 0:
        state["unknown_for"] -= 1
        fail(state, "Resource 'x' does not exist or one of its references is not present.")
    app = next(app for app in state["apps"] if app["appId"] == client_id)
    wanted = json.loads(Path(body[1:]).read_text(encoding="utf-8"))
    for client in wanted["api"].get("preAuthorizedApplications", []):
        known = {scope["id"] for scope in app.get("api", {}).get("oauth2PermissionScopes", [])}
        if not set(client["delegatedPermissionIds"]) <= known:
            sys.exit("(Bad Request) Property api.preAuthorizedApplications is invalid.")
    app.update(wanted)


RULE = re.compile(
    "/subscriptions/77777777-0000-0000-0000-000000000000/resourceGroups/rg-test/providers/"
    r"Microsoft.DBforPostgreSQL/flexibleServers/[\w-]+/firewallRules/(\w+)\?api-version=2025-08-01"
)


def firewall(state: dict[str, Any], rule: str, arguments: list[str]) -> Any:
    """Orders are accepted at once and carried out after so many questions."""
    rules, orders = state["rules"], state["orders"]
    match option(arguments, "--method"):
        case "get":
            if rule in orders:
                orders[rule][1] -= 1
                if orders[rule][1] < 0:
                    rules[rule] = orders.pop(rule)[0]
                    if rules[rule] is None:
                        del rules[rule]
            if rule in rules:
                return {"name": rule, "properties": {"startIpAddress": rules[rule]}}
            return fail(state, 'ERROR: Not Found({"error":{"code":"ResourceNotFound"}})')
        case _ if rule in orders:
            return fail(state, "ERROR: Conflict (ServerIsBusy)")
        case "put":
            body = json.loads(Path(option(arguments, "--body")[1:]).read_text(encoding="utf-8"))
            address = body["properties"]["startIpAddress"]
            orders[rule] = [address, state["order_takes"]]
            return {"operation": "UpsertFirewallRule"}
        case "delete":
            orders[rule] = [None, state["order_takes"]]
    return None


def fail(state: dict[str, Any], text: str) -> Any:
    STATE.write_text(json.dumps(state), encoding="utf-8")
    return sys.exit(text)


def az(state: dict[str, Any], arguments: list[str]) -> Any:
    for prefix, answer in state["answers"].items():
        if " ".join(arguments).startswith(prefix):
            return answer
    match arguments[0]:
        case "rest":
            if rule := RULE.fullmatch(option(arguments, "--url")):
                return firewall(state, rule[1], arguments)
            if option(arguments, "--url").startswith("/subscriptions/"):
                fail(state, 'ERROR: Not Found({"error":{"code":"ResourceGroupNotFound"}})')
            client_id = re.findall(r"appId='([^']+)'", option(arguments, "--url"))[0]
            return graph(state, client_id, option(arguments, "--body"))
        case "keyvault":
            return keyvault(state, arguments)
        case "postgres":
            return postgres(state, arguments)
        case "group":
            return []
        case "ad":
            return applications(state, arguments)
        case "account" if arguments[1] == "get-access-token":
            return state["token"]
        case "account":
            return {
                "id": "77777777-0000-0000-0000-000000000000",
                "user": {"name": "ada@example.com", "type": "user"},
            }
    return sys.exit(f"unknown: {arguments}")


def azd(state: dict[str, Any], arguments: list[str]) -> Any:
    match arguments[:2]:
        case ["env", "set"]:
            state["environment"][arguments[2]] = arguments[3]
        case ["env", "get-values"]:
            print("\n".join(f'{key}="{value}"' for key, value in state["environment"].items()))
        case ["package", _]:
            Path(option(arguments, "--output-path")).write_bytes(b"a package")
        case ["deploy", _] | ["provision", _] | ["provision"]:
            if arguments[0] == "provision" and state["provision_fails"] > 0:
                state["provision_fails"] -= 1
                fail(state, "ERROR: ServerIsBusy")
            if arguments[0] == "deploy" and state["deploy_fails"]:
                sys.exit("the deployment failed")
            for package in options(arguments, "--from-package"):
                state["deployed"].append(Path(package).name)
                state["deployed_at"] = datetime.now(UTC).isoformat()
    return None


def main() -> None:
    program, *arguments = sys.argv[1:]
    with (FOLDER / "calls.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps([program, *arguments]) + "\n")
    state = json.loads(STATE.read_text(encoding="utf-8"))
    for words, reason in state["failing"].items():
        if words in " ".join(arguments):
            sys.exit(f"ERROR: {reason}")
    answer = (az if program == "az" else azd)(state, arguments)
    STATE.write_text(json.dumps(state), encoding="utf-8")
    if program == "az" and answer is not None:
        print(answer if "tsv" in arguments else json.dumps(answer))


if __name__ == "__main__":
    main()
