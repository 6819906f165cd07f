"""host.json brings no extension bundle, so no function may need one."""

import json

from dev.folders import CLONE
from tests.registered import FUNCTIONS

BUILT_IN = {"http", "httpTrigger", "timerTrigger"}
"""Bindings that the Functions host has without an extension bundle."""


def test_every_binding_is_built_into_the_host() -> None:
    used = {
        str(binding.type) for function in FUNCTIONS.values() for binding in function.get_bindings()
    }

    assert used <= BUILT_IN, (
        f"{used - BUILT_IN} comes with an extension bundle: host.json needs `extensionBundle`, and "
        "every first start a download"
    )
    assert "timerTrigger" in used


def test_the_app_starts_without_a_download() -> None:
    # With a bundle that cannot be had, the host answers 503 to everything.
    host = json.loads((CLONE / "host.json").read_text())

    assert "extensionBundle" not in host


def test_the_host_has_no_limit_that_flex_consumption_ignores() -> None:
    # azure-functions-host 11790 (2026): only the plan's perInstanceConcurrency counts there.
    host = json.loads((CLONE / "host.json").read_text())

    assert host["extensions"]["http"] == {"routePrefix": ""}
