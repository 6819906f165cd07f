"""Addresses are read and routes matched as the Functions host does."""

import pytest

from dev.host.errors import HostError
from dev.host.routes import Route, read_path


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/", "/", {}),
        ("/", "//", None),
        ("healthz", "/HealthZ/", {}),
        ("healthz", "/healthz/live", None),
        ("healthz", "/healthz//", None),
        ("api/v1/openapi.json", "/api/v1/openapiXjson", None),
        ("a/{id}", "/a/7", {"id": "7"}),
        ("a/{id}", "/a", None),
        ("a/{id}", "/a//", None),
        ("a/{id}", "/a/X%20y", {"id": "X y"}),
        ("a/{id}", "/a/x%2fy", {"id": "x%2fy"}),
        ("a/{id}", "/a/ü%C3%BC%FF", {"id": "üü%FF"}),
        ("a/{id}", "/b/../a/./7", {"id": "7"}),
        ("a/{id}", "/../../a/%2e%2e/a/7", {"id": "7"}),
        ("a/{id}/c", "/a/b/c", {"id": "b"}),
        ("f/{*rest}", "/f/a/b%20c", {"rest": "a/b c"}),
        ("f/{*rest}", "/f/", {}),
        ("f/{*rest}", "/fa", None),
    ],
)
def test_a_path_matches_its_template(
    template: str, path: str, expected: dict[str, str] | None
) -> None:
    assert Route.parse(template).match(read_path(path)) == expected


@pytest.mark.parametrize(
    "template", ["a/{id", "a/{}", "a/{id:int}", "a/{id?}", "a/{id}.txt", "a/{*rest}/b", "a/{1d}"]
)
def test_a_template_that_the_host_cannot_read_is_refused(template: str) -> None:
    with pytest.raises(HostError, match="route"):
        Route.parse(template)
