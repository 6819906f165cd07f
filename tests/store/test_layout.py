"""What is laid out for COPY, PostgreSQL has to read as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_core.plan import Origin, Rules, make_plan
from pc_core.ports import LaidOut
from pc_core.progress import to_ticks
from pc_core.referral import Referral, parse
from pc_core.row import build_row
from pc_core.store.layout import field, lay_out
from tests.store.samples import EVERYTHING, NOW, Saver, referral_json, report

type Connection = psycopg.Connection[Any]

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NASTY = "tab\there \\N back\\slash \\\\ line\r\nend \\. é İ 🙂"


@given(values=st.lists(st.none() | TEXTS | st.sampled_from([NASTY, "\\N", "\\.", ""]), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_text_comes_back_as_it_was(sql: Connection, values: list[str | None]) -> None:
    sql.execute("CREATE TEMPORARY TABLE IF NOT EXISTS written (place integer, value text)")
    sql.execute("TRUNCATE written")

    with sql.cursor() as cursor, cursor.copy("COPY written FROM STDIN") as copy:
        for place, value in enumerate(values):
            copy.write(field(place) + b"\t" + field(value) + b"\n")

    read = sql.execute("SELECT value FROM written ORDER BY place").fetchall()
    assert [row[0] for row in read] == values


def save(saver: Saver, *items: bytes, laid_out: dict[str, LaidOut]) -> None:
    plan = make_plan(
        [parse(item) for item in items],
        {},
        rules=Rules(admission=EVERYTHING, own_domains=frozenset()),
        origin=Origin(fetched_ticks=to_ticks(NOW)),
        prepared={referral_id: laid.row for referral_id, laid in laid_out.items()},
    )
    saver.store.save_page(
        saver.lease,
        plan,
        state=saver.state,
        report=report(saver.lease.task_id),
        fetched_at=NOW,
        laid_out=laid_out,
    )


def laid_out_before(saver: Saver, item: bytes) -> dict[str, LaidOut]:
    referral = parse(item)
    assert isinstance(referral, Referral)
    row = build_row(referral, own_domains=frozenset())
    return saver.store.lay_out({referral.referral_id: row})


@pytest.mark.parametrize("text", [NASTY, "plain", "\\N"])
def test_a_row_arrives_the_same_whether_it_was_laid_out_before_or_not(
    saver: Saver, sql: Connection, text: str
) -> None:
    named = {"name": text, "statusReason": text, "externalReferenceId": text}
    first, second = (referral_json(number, **named) for number in (1, 2))

    save(saver, first, second, laid_out=laid_out_before(saver, first))

    read = sql.execute(
        "SELECT name, status_reason, raw_data ->> 'name' FROM partner_center_referrals "
        "ORDER BY referral_id"
    ).fetchall()
    assert len(set(read)) == 1
    assert read[0][2] == text


def test_a_line_that_was_laid_out_for_other_content_is_not_written(
    saver: Saver, sql: Connection
) -> None:
    laid_out = laid_out_before(saver, referral_json(1, name="Before"))

    save(saver, referral_json(1, name="After"), laid_out=laid_out)

    assert sql.execute("SELECT name FROM partner_center_referrals").fetchall() == [("After",)]


def test_pretty_printed_json_is_one_line_for_copy() -> None:
    pretty = json.dumps(json.loads(referral_json(1)), indent=1).encode()
    referral = parse(pretty)
    assert isinstance(referral, Referral)

    line = lay_out(build_row(referral, own_domains=frozenset()))

    assert b"\n" in pretty
    assert b"\n" not in line


def test_an_instant_keeps_its_microseconds_and_its_zone(sql: Connection) -> None:
    instant = datetime(2026, 5, 19, 16, 40, 3, 174321, tzinfo=UTC)

    read = sql.execute("SELECT %s::timestamptz", [field(instant).decode()]).fetchone()

    assert read == (instant,)
