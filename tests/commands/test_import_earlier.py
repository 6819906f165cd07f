"""Moving from the earlier system's table, as its three migrations left it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.services.postgres import Postgres
from dev.simulator import Simulator
from pc_core.referral.referral import Malformed, Referral
from pc_core.sync.ports import EarlierRow
from pc_core.sync.takeover import _understand
from pc_core.wiring.app import App
from tests.commands.conftest import Outcome

Command = Callable[..., Outcome]

CREATE = """
CREATE TABLE partner_center_referrals (
    id serial PRIMARY KEY,
    referral_id varchar(255) NOT NULL UNIQUE,
    referral_type varchar(50),
    company_name varchar(255),
    domain varchar(255),
    azure_tenant_id varchar(255),
    status varchar(50),
    raw_data jsonb,
    synced_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""
LATER = """
ALTER TABLE partner_center_referrals
    ADD COLUMN substatus varchar(50), ADD COLUMN type varchar(50),
    ADD COLUMN direction varchar(50), ADD COLUMN customer_name varchar(255),
    ADD COLUMN deal_value numeric(15,2), ADD COLUMN currency varchar(10),
    ADD COLUMN link_status varchar(50), ADD COLUMN raw_domain varchar(255),
    ADD COLUMN linked_lead_id integer
"""
SEEN_AT = datetime(2025, 11, 27, 2, 19, tzinfo=UTC)


@pytest.fixture
def earlier_url(postgres_server: Postgres) -> Iterator[str]:
    """An earlier database with its newest table, empty."""
    url = postgres_server.create_database("earlier")
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
        connection.execute(LATER)
    yield url
    postgres_server.drop_database("earlier")


def keep(url: str, wire: dict[str, Any] | None, **columns: Any) -> None:
    """Store a referral as the earlier system did."""
    values = {
        "referral_id": wire["id"] if wire else None,
        "raw_data": json.dumps(wire) if wire else None,
        "created_at": SEEN_AT,
        "synced_at": SEEN_AT,
        "link_status": "unlinked",
    } | columns
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"INSERT INTO partner_center_referrals ({names}) VALUES ({places})",  # noqa: S608
            values,
        )


def stored(url: str) -> dict[str, tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT referral_id, status, domain, first_seen_at, xmin::text, ctid::text "
            "FROM partner_center_referrals"
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_every_earlier_row_comes_over_whatever_the_filter_says(
    command: Command, earlier_url: str, database_url: str, simulator: Simulator
) -> None:
    wires = simulator.state.truth()
    for wire in wires:
        keep(earlier_url, wire)

    outcome = command("import-earlier", "--from", earlier_url, "--json")

    assert outcome.code == 0, outcome.out + outcome.err
    found = outcome.json
    assert (found["rows"], found["inserted"], found["quarantined"]) == (40, 40, 0)
    assert stored(database_url).keys() == {wire["id"] for wire in wires}
    assert "Closed" in {row[0] for row in stored(database_url).values()}
    assert {row[2] for row in stored(database_url).values()} == {SEEN_AT}


def test_a_dry_run_counts_the_same_and_writes_nothing(
    command: Command, earlier_url: str, database_url: str, simulator: Simulator
) -> None:
    for wire in simulator.state.truth()[:7]:
        keep(earlier_url, wire)

    tried = command("import-earlier", "--from", earlier_url, "--dry-run", "--json").json
    nothing = stored(database_url)
    done = command("import-earlier", "--from", earlier_url, "--json").json

    assert nothing == {}
    assert {**tried, "dry_run": False, "task_id": done["task_id"]} == done


def test_the_second_time_nothing_is_written(
    command: Command, earlier_url: str, database_url: str, simulator: Simulator
) -> None:
    for wire in simulator.state.truth()[:7]:
        keep(earlier_url, wire)
    keep(earlier_url, None, referral_id="lost", company_name="Somebody")
    command("import-earlier", "--from", earlier_url)
    after_once = stored(database_url)

    again = command("import-earlier", "--from", earlier_url, "--json").json

    assert stored(database_url) == after_once
    assert (again["inserted"], again["updated"], again["already_here"]) == (0, 0, 7)


def test_newer_content_here_is_not_overwritten(
    command: Command, earlier_url: str, database_url: str, simulator: Simulator
) -> None:
    [old, *_] = simulator.state.truth()
    newer = datetime.fromisoformat(old["updatedDateTime"]) + timedelta(days=1)
    keep(earlier_url, old | {"status": "Closed", "updatedDateTime": newer.isoformat()})
    command("import-earlier", "--from", earlier_url)
    with psycopg.connect(earlier_url) as connection:
        connection.execute("UPDATE partner_center_referrals SET raw_data = %s", [json.dumps(old)])

    again = command("import-earlier", "--from", earlier_url, "--json").json

    assert again["already_here"] == 1
    assert stored(database_url)[old["id"]][0] == "Closed"


def test_what_differs_and_what_has_no_place_is_reported_row_by_row(
    command: Command, earlier_url: str, simulator: Simulator, tmp_path: Path
) -> None:
    first, second = simulator.state.truth()[:2]
    keep(
        earlier_url,
        first,
        domain="linked-by-hand.example",
        link_status="auto_linked",
        linked_lead_id=7,
        azure_tenant_id="a-tenant",
    )
    keep(earlier_url, {"id": second["id"], "details": {"dealValue": {"much": 1}}})
    keep(earlier_url, None, referral_id="lost", company_name="Somebody")
    report = tmp_path / "differences.jsonl"

    outcome = command("import-earlier", "--from", earlier_url, "--report", str(report), "--json")

    lines = {line["referral_id"]: line for line in map(json.loads, report.read_text().splitlines())}
    assert lines[first["id"]]["without_a_place"] == {
        "linked_lead_id": 7,
        "link_status": "auto_linked",
        "azure_tenant_id": "a-tenant",
    }
    assert lines[first["id"]]["changed"]["domain"]["before"] == "linked-by-hand.example"
    assert lines[second["id"]]["set_aside"] is not None
    assert lines["lost"]["set_aside"] is not None
    assert outcome.json["quarantined"] == 2
    assert (report.stat().st_mode & 0o077) == 0


def test_a_row_without_json_keeps_its_columns_in_quarantine(
    command: Command, earlier_url: str, database_url: str
) -> None:
    for number in range(3):
        keep(earlier_url, None, referral_id=f"lost-{number}", company_name=f"Company {number}")

    command("import-earlier", "--from", earlier_url)

    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT raw_text FROM partner_center_quarantine").fetchall()
    assert len(kept) == 3
    assert all(any(f"Company {number}" in row[0] for row in kept) for number in range(3))


def test_the_first_version_of_the_table_is_read_too(
    command: Command, postgres_server: Postgres, simulator: Simulator
) -> None:
    url = postgres_server.create_database("earliest")
    wire = simulator.state.truth()[0]
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
        connection.execute(
            "INSERT INTO partner_center_referrals (referral_id, raw_data) VALUES (%s, %s)",
            [wire["id"], json.dumps(wire)],
        )

    outcome = command("import-earlier", "--from", url, "--json")

    postgres_server.drop_database("earliest")
    assert outcome.json["inserted"] == 1


def test_another_table_than_the_earlier_one_is_refused(
    command: Command, database_url: str, postgres_server: Postgres
) -> None:
    own = command("import-earlier", "--from", database_url, "--json")
    none = command("import-earlier", "--from", postgres_server.url(), "--json")

    assert (own.code, none.code) == (2, 2)
    assert own.json["error"]["code"] == none.json["error"]["code"] == "earlier_table_missing"


def test_a_report_is_never_written_over_another(
    command: Command, earlier_url: str, tmp_path: Path
) -> None:
    report = tmp_path / "differences.jsonl"
    report.write_text("mine")

    outcome = command("import-earlier", "--from", earlier_url, "--report", str(report), "--json")

    assert outcome.json["error"]["code"] == "report_file"
    assert report.read_text() == "mine"


def test_the_next_run_reads_everything_and_calls_none_of_it_drift(
    command: Command, earlier_url: str, simulator: Simulator, signed_in: App
) -> None:
    command("sync", "--mode", "full")
    for wire in simulator.state.truth():
        keep(
            earlier_url,
            wire | {"name": "as it was then", "updatedDateTime": "2024-01-01T00:00:00Z"},
        )
    taken = command("import-earlier", "--from", earlier_url, "--json").json
    assert taken["inserted"] > 0

    swept = command("sync", "--json").json

    assert swept["sweep_completed_at"] is not None
    assert (swept["drift"], swept["updated"]) == (0, taken["inserted"])


@settings(max_examples=30, deadline=None)
@given(
    content=st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8))
)
def test_any_content_is_stored_or_set_aside(content: dict[str, Any]) -> None:
    row = EarlierRow(referral_id="r", raw=json.dumps(content), columns={}, seen_at=SEEN_AT)

    assert isinstance(_understand(row), Referral | Malformed)
