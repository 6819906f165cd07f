"""Route templates match what ASP.NET Core matches."""

import pytest

from dev.host.errors import HostError
from dev.host.routes import parse


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("", "/", {}),
        ("healthz", "/healthz", {}),
        ("healthz", "/HealthZ/", {}),
        ("healthz", "/healthz/live", None),
        ("a/{id}", "/a/7", {"id": "7"}),
        ("a/{id}", "/a", None),
        ("a/{id}", "/a/X%20y", {"id": "X y"}),
        ("a/{id}", "/a/x%2Fy", {"id": "x%2Fy"}),
        ("a/{id}", "/a/ü%C3%BC", {"id": "üü"}),
        ("a/{id?}", "/a", {}),
        ("a/{id=5}", "/a", {"id": "5"}),
        ("a/{id:int}", "/a/-12", {"id": "-12"}),
        ("a/{id:int}", "/a/2147483648", None),
        ("a/{id:long}", "/a/2147483648", {"id": "2147483648"}),
        (
            "a/{id:guid}",
            "/a/11111111-2222-3333-4444-555555555555",
            {"id": "11111111-2222-3333-4444-555555555555"},
        ),
        ("a/{id:guid}", "/a/7", None),
        ("a/{id:alpha:minlength(2)}", "/a/x", None),
        ("a/{id:alpha:minlength(2)}", "/a/xy", {"id": "xy"}),
        ("a/{id:length(2,3)}", "/a/abcd", None),
        ("a/{id:range(1,9)}", "/a/10", None),
        ("a/{id:min(3)}", "/a/3", {"id": "3"}),
        ("a/{id:bool}", "/a/TRUE", {"id": "TRUE"}),
        ("a/{id:regex(^x{{2}}$)}", "/a/xx", {"id": "xx"}),
        ("a/{id:regex(^x{{2}}$)}", "/a/xxx", None),
        ("a/{id:int?}", "/a", {}),
        ("a/{name}.{extension}", "/a/b.c.d", {"name": "b.c", "extension": "d"}),
        ("f/{*rest}", "/f/a/b%20c", {"rest": "a/b c"}),
        ("f/{*rest}", "/f", {}),
    ],
)
def test_a_path_matches_its_template(
    template: str, path: str, expected: dict[str, str] | None
) -> None:
    assert parse(template).match(path) == expected


@pytest.mark.parametrize(
    "template", ["a/{id", "a/{}", "a/{id:made_up}", "a/{id:min(x)}", "{a}/{A}", "a/{1d}"]
)
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(HostError, match="route"):
        parse(template)
