"""Whatever a caller sends, the answer is one that openapi.json describes.

Schemathesis makes the requests out of the description itself: those that it allows, and those that
break it in one place.
"""

import json
from typing import Any

import pytest
import requests
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pc_core.web import openapi
from tests.promise.scale import LONG, SEED
from tests.web.conftest import API, Served, sign_in

CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {"GET": 200, "POST": 20} if LONG else {"GET": 20, "POST": 4}
"""A POST does something, and takes its time."""
KEYS = ("with the key", "with a wrong key", "without one")
READY = "/healthz/ready"  # its 503 is an answer like others


@pytest.fixture(scope="module")
def filled(served: Served) -> Served:
    """The app with data in it."""
    sign_in(served)
    status, _, _ = served.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})
    assert status == 200
    return served


OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations()
    if isinstance(found, Ok)
}


def test_the_served_description_is_the_one_that_is_tried(filled: Served) -> None:
    _, _, served = filled.ask("/api/v1/openapi.json")

    assert served == json.loads(json.dumps(openapi.document()))
    assert len(OPERATIONS) == len(openapi.routes())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_description_names(
    filled: Served, label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
        mode = GenerationMode.POSITIVE
    headers: dict[str, dict[str, Any]] = {
        "with the key": {"X-API-Key": filled.key},
        "with a wrong key": {"X-API-Key": "wrong"},
        "without one": {"X-API-Key": ""},
    }

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES[operation.method.upper()],
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case: Case[Any]) -> None:
        for name in KEYS:
            with requests.Session() as session:
                answer = case.call(base_url=filled.url, session=session, headers=headers[name])
            checks = [*CONFORMANCE]
            if case.operation.path != READY:
                checks.append(not_a_server_error)
            if mode is GenerationMode.NEGATIVE:
                checks.append(negative_data_rejection)
            case.validate_response(answer, checks=checks)
            if name != "with the key" and case.operation.definition.raw["security"]:
                assert answer.status_code in (400, 401)

    try_it()
