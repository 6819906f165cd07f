"""Rows broken in every field and type: the rest of the page is stored, reasons are exact."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pc_core.reading import Sort
from pc_core.referral.referral import MAX_DEPTH, MAX_ITEM_BYTES
from pc_core.store.reading.reader import PostgresReader
from tests.promise.scale import LONG
from tests.promise.trials import Trial, assert_counts_agree, assert_no_run_is_open
from tests.sync.harness import admits

Make = Callable[..., Trial]
Wire = dict[str, Any]
NUMBERS = count(1)
EXAMPLES = 200 if LONG else 12

TEXTS = (
    *("engagementId", "name", "organizationId", "externalReferenceId", "status", "substatus"),
    *("statusReason", "qualification", "type", "direction", "registrationStatus", "salesStage"),
    *("eTag", "customerProfile.name", "customerProfile.size", "customerProfile.address.city"),
    *("customerProfile.address.country", "details.currency"),
)
DATES = (
    *("createdDateTime", "updatedDateTime", "expirationDateTime", "acceptedDateTime"),
    *("closedDateTime", "details.closingDateTime"),
)
OBJECTS = ("customerProfile", "customerProfile.address", "details")
LISTS = ("team", "customerProfile.team")
ANY_TEXT = ("name", "customerProfile.name", "details.notes", "futureField")

Break = tuple[str, bytes, str, str | None]
"""Where, the JSON text to put there, the reason and the field that have to be told."""


def value(*texts: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([text.encode() for text in texts])


def broken_at(
    paths: tuple[str, ...], texts: st.SearchStrategy[bytes], reason: str
) -> st.SearchStrategy[Break]:
    return st.tuples(st.sampled_from(paths), texts, st.just(reason)).map(lambda t: (*t, t[0]))


def whole(paths: tuple[str, ...], texts: st.SearchStrategy[bytes], reason: str) -> Any:
    """As `broken_at`, where no field can be named."""
    return st.tuples(st.sampled_from(paths), texts, st.just(reason), st.none())


NO_TEXT = value("1", "-2.5", "true", "false", "[]", '["x"]', "{}", '{"a":1}')
BREAKS: st.SearchStrategy[Break] = st.one_of(
    broken_at(TEXTS, NO_TEXT, "wrong_type"),
    broken_at(DATES, NO_TEXT, "wrong_type"),
    broken_at(OBJECTS, value('"x"', "1", "true", "[]"), "wrong_type"),
    broken_at(LISTS, value('"x"', "1", "true", "{}"), "wrong_type"),
    broken_at(
        DATES,
        value('"soon"', '"2026-13-01T00:00:00Z"', '"2026-02-30"', '"12.03.2026"', '"24:61"'),
        "not_a_date",
    ),
    broken_at(
        DATES,
        value(
            '"0000-01-01T00:00:00Z"',
            '"10000-01-01T00:00:00Z"',
            '"-0001-01-01T00:00:00Z"',
            '"9999-12-31T23:59:59-01:00"',
            '"0001-01-01T00:00:00+01:00"',
        ),
        "date_out_of_range",
    ),
    broken_at(("details.dealValue",), value('"much"', '"1,5"', '"0x10"', '"€ 5"'), "not_a_number"),
    broken_at(("details.dealValue",), value("true", "[]", "{}"), "wrong_type"),
    broken_at(
        ("details.dealValue",),
        value("1" * 31, '"' + "9" * 40 + '"', "0." + "1" * 31, '"1e400"'),
        "number_out_of_range",
    ),
    broken_at(
        ANY_TEXT, value("1e1001", "1" * 5000, "1e999999999", "-1E+4000"), "number_out_of_range"
    ),
    broken_at(ANY_TEXT, value("NaN", "Infinity", "-Infinity"), "number_not_finite"),
    broken_at(ANY_TEXT, value(r'"a\u0000b"', r'"\u0000"'), "nul_character"),
    broken_at(ANY_TEXT, value(r'"\ud83d"', r'"a\udc00b"', r'"\udc00\ud800"'), "lone_surrogate"),
    broken_at(
        ANY_TEXT, st.sampled_from([b'"a\xff"', b'"\xc3"', b'"\xed\xa0\x80"']), "invalid_utf8"
    ),
    whole(ANY_TEXT, st.sampled_from([b'"a\x01b"', b'"a\nb"']), "control_character"),
)


def break_at(wire: Wire, path: str, text: bytes) -> bytes:
    """The referral's JSON with `text` in place of what stands at `path`."""
    changed = copy.deepcopy(wire)
    *parents, last = path.split(".")
    here = changed
    for parent in parents:
        here = here.setdefault(parent, {})
    here[last] = "\N{SYMBOL FOR ESCAPE}here"
    marker = json.dumps("\N{SYMBOL FOR ESCAPE}here").encode()
    body = json.dumps(changed, default=float).encode()
    assert body.count(marker) == 1
    return body.replace(marker, text)


@pytest.fixture
def trial(make_trial: Make) -> Trial:
    made = make_trial(0, server_page=100)
    made.simulator.state.add(direction="Incoming", status="New", substatus="Received")
    made.heal()
    made.recover()
    return made


@pytest.fixture
def broken(record_property: Callable[[str, object], None]) -> Iterator[list[str]]:
    """Where rows were broken, to be counted."""
    places: list[str] = []
    yield places
    record_property("broken_rows", len(places))


def open_entries(trial: Trial) -> dict[str, tuple[str, str | None]]:
    rows = trial.query("SELECT * FROM partner_center_quarantine WHERE state = 'open'")
    return {row["referral_id"]: (row["reason"], row["field"]) for row in rows}


def add_good(trial: Trial) -> Wire:
    return trial.simulator.state.add(direction="Incoming", status="New", substatus="Received")


def put_raw(trial: Trial, wire: Wire, raw: bytes) -> None:
    """Serve `raw` where the referral would stand in the order of changes."""
    at = datetime.fromisoformat(wire["updatedDateTime"])
    trial.simulator.state.add_raw(wire["id"], raw, created_at=at, updated_at=at)


def query_count(trial: Trial) -> int:
    return PostgresReader(trial.database).facts().quarantine


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    phases=[Phase.generate],  # each example leaves a database behind: nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(breaks=st.lists(BREAKS, min_size=4, max_size=14))
def test_broken_rows_are_set_aside_with_their_reason_and_come_back_whole(
    trial: Trial, broken: list[str], breaks: list[Break]
) -> None:
    world = trial.simulator.state
    broken += [path for path, *_ in breaks]
    goods, expected, wires = [], {}, {}
    for path, text, reason, field in breaks:
        goods.append(add_good(trial)["id"])
        wire = {**add_good(trial), "futureField": "x"}
        world.remove(wire["id"])
        wires[wire["id"]] = wire
        expected[wire["id"]] = (reason, field)
        put_raw(trial, wire, break_at(wire, path, text))
    before = open_entries(trial)

    report = trial.run()

    assert report.state == "completed", report.failure
    assert_counts_agree(report)
    found = {one: entry for one, entry in open_entries(trial).items() if one not in before}
    assert found == expected
    assert report.counts.quarantined == len(expected)
    stored = trial.rows()
    assert set(goods) <= stored.keys()
    assert not expected.keys() & stored.keys()
    assert query_count(trial) == len(open_entries(trial))

    again = trial.run()
    assert again.counts.quarantined == len(expected), "counted with every run that reads them"
    assert len(open_entries(trial)) == len(before) + len(expected), "but written once"

    for one, wire in wires.items():
        world.remove(one)
        world.add(wire)
    assert trial.run().state == "completed"
    assert open_entries(trial).keys() == before.keys()
    assert wires.keys() <= trial.rows().keys()
    assert_no_run_is_open(trial)
    for one in [*goods, *wires]:
        world.remove(one)  # the next example begins with as few rows as this one
    trial.query("DELETE FROM partner_center_referrals RETURNING 1")


POISON: dict[str, Callable[[Wire], bytes]] = {
    "NUL": lambda wire: break_at(wire, "name", rb'"\u0000"'),
    "raw NUL": lambda wire: break_at(wire, "name", b'"\x00"'),
    "lone surrogate": lambda wire: break_at(wire, "details.notes", rb'"\udfff"'),
    "beyond numeric": lambda wire: break_at(wire, "details.dealValue", b"9" * 140_000),
    "tiny number": lambda wire: break_at(wire, "details.dealValue", b"1e-20000"),
    "year 0": lambda wire: break_at(wire, "expirationDateTime", b'"0000-00-00T00:00:00Z"'),
    "too large": lambda wire: break_at(wire, "details.notes", b'"' + b"x" * MAX_ITEM_BYTES + b'"'),
    "too deep": lambda wire: break_at(wire, "x", b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2)),
    "a text": lambda wire: b'"just a text"',
    "a number": lambda wire: b"17",
    "null": lambda wire: b"null",
    "a list": lambda wire: b"[[],{}]",
    "no id": lambda wire: b'{"name":"nobody"}',
    "id of a number": lambda wire: b'{"id":5}',
    "long id": lambda wire: b'{"id":"' + b"i" * 300 + b'"}',
    "id with NUL": lambda wire: rb'{"id":"a\u0000b"}',
}
ODD_BUT_GOOD: dict[str, Callable[[Wire], bytes]] = {
    "10 MB of notes": lambda wire: break_at(wire, "details.notes", b'"' + b"n" * 10_000_000 + b'"'),
    "year 9999": lambda wire: break_at(
        wire, "expirationDateTime", b'"9999-12-31T23:59:59.9999999Z"'
    ),
    "year 1": lambda wire: break_at(wire, "details.closingDateTime", b'"0001-01-01T00:00:00Z"'),
    "changed in year 9999": lambda wire: break_at(
        wire, "updatedDateTime", b'"9999-12-31T23:59:59.9999999Z"'
    ),
    "created in year 1": lambda wire: break_at(wire, "createdDateTime", b'"0001-01-01T00:00:00Z"'),
    "thirty digits": lambda wire: break_at(wire, "details.dealValue", b"9" * 30),
    "deep": lambda wire: break_at(wire, "x", b"[" * 900 + b"]" * 900),
    "every script": lambda wire: break_at(
        wire, "name", '"İıŞğ漢字\u202e\U0001f600\u0301\ufeff"'.encode()
    ),
    "formula": lambda wire: break_at(wire, "name", b"\"=cmd|' /C calc'!A0\""),
    "a key twice": lambda wire: json.dumps(wire).encode().replace(b'{"', b'{"name":"one","', 1),
}


def test_no_poisonous_row_stops_a_run_or_what_reads_the_table(trial: Trial) -> None:
    world = trial.simulator.state
    good_before, odd = add_good(trial), {}
    for make in POISON.values():
        wire = add_good(trial)
        world.remove(wire["id"])
        put_raw(trial, wire, make(wire))
    for name, make in ODD_BUT_GOOD.items():
        wire = {key: value for key, value in add_good(trial).items() if key != "links"}
        world.remove(wire["id"])
        put_raw(trial, wire, make(wire))
        odd[wire["id"]] = name
    good_after = add_good(trial)

    for mode in ("incremental", "full", "incremental"):
        report = trial.run(mode)

        assert report.state == "completed", report.failure
        assert_counts_agree(report)
        stored = trial.rows().keys()
        assert {good_before["id"], good_after["id"]} <= stored
        assert [name for one, name in odd.items() if one not in stored] == []
        assert query_count(trial) == len(POISON)
    quarantined = trial.query("SELECT count(*) AS n FROM partner_center_quarantine")
    assert quarantined == [{"n": len(POISON)}], "read three times, written once"

    reader = PostgresReader(trial.database)
    for key in ("updated", "created", "expires", "company", "deal_value", "synced"):
        for order in ("asc", "desc"):
            page = reader.list_referrals(sort=Sort(key=key, order=order), limit=200)
            assert {row.referral_id for row in page.rows} == set(stored)
    assert all(reader.get_referral(one) is not None for one in odd)
    assert len(reader.list_quarantine(limit=200).entries) == len(POISON)
    trial.query("SELECT o::text FROM partner_center_open_referrals o")
    trial.query("SELECT c::text FROM partner_center_companies c")


def test_a_replay_after_a_fix_stores_what_waited_and_counts_it(trial: Trial) -> None:
    """The fix is the database's: a rule that refused some rows is lifted."""
    world = trial.simulator.state
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute(
            "ALTER TABLE partner_center_referrals"
            " ADD CONSTRAINT too_strict CHECK (name NOT LIKE 'odd%')"
        )
        odd = [world.add(name=f"odd {n}", direction="Incoming", status="New") for n in range(5)]
        fine = [add_good(trial) for _ in range(5)]
        report = trial.run()
        waiting = {wire["id"] for wire in odd}
        assert report.state == "completed", report.failure
        assert report.counts.quarantined == 5
        assert {reason for reason, _ in open_entries(trial).values()} == {"refused_by_database"}
        assert open_entries(trial).keys() == waiting
        assert {wire["id"] for wire in fine} <= trial.rows().keys()
        before = trial.query("SELECT xmin::text FROM partner_center_quarantine ORDER BY entry_id")
        still = trial.run("replay")
        assert still.state == "completed", still.failure
        assert (still.counts.inserted, still.counts.quarantined) == (0, 5)
        assert_counts_agree(still)
        assert open_entries(trial).keys() == waiting, "no replay loses what it cannot store"
        assert before == trial.query(
            "SELECT xmin::text FROM partner_center_quarantine ORDER BY entry_id"
        )
        sql.execute("ALTER TABLE partner_center_referrals DROP CONSTRAINT too_strict")
    trial.simulator.clear_requests()

    replayed = trial.run("replay")

    assert replayed.state == "completed", replayed.failure
    assert (replayed.counts.inserted, replayed.counts.quarantined) == (5, 0)
    assert_counts_agree(replayed)
    assert trial.list_requests() == 0
    assert open_entries(trial) == {}
    assert query_count(trial) == 0
    assert waiting <= trial.rows().keys()
    ended = trial.query("SELECT DISTINCT state FROM partner_center_quarantine")
    assert ended == [{"state": "replayed"}]


def test_a_replay_tells_which_of_two_entries_was_stored(trial: Trial) -> None:
    world = trial.simulator.state
    older = add_good(trial)
    newer = json.loads(json.dumps(world.change(older["id"], name="newer"), default=float))
    world.remove(older["id"])
    put_raw(trial, newer, break_at(newer, "customerProfile.name", b"7"))
    trial.run()
    put_raw(trial, newer, break_at(newer, "customerProfile.name", b"8"))
    trial.run()
    # As an older release would have left them: with content that today's rules understand.
    for entry, content in ((7, newer), (8, {**newer, "updatedDateTime": older["createdDateTime"]})):
        trial.query(
            "UPDATE partner_center_quarantine SET raw_text = %s WHERE raw_text ~ %s RETURNING 1",
            json.dumps({**content, "number": entry}, default=float),
            f'"name": {entry}',
        )

    report = trial.run("replay")

    assert report.state == "completed", report.failure
    assert trial.rows()[newer["id"]]["raw_data"]["number"] == 7
    ended = trial.query("SELECT state FROM partner_center_quarantine ORDER BY entry_id")
    assert [entry["state"] for entry in ended] == ["replayed", "superseded"]


def test_a_stored_row_that_breaks_keeps_its_last_good_content_and_an_old_entry_is_superseded(
    trial: Trial,
) -> None:
    world = trial.simulator.state
    wire = next(wire for wire in world.truth() if admits(wire))
    world.change(wire["id"], name="good")
    trial.run()
    broken = break_at(world.change(wire["id"], name="later"), "customerProfile.name", b"7")
    world.add_raw(wire["id"], broken)
    assert trial.run().counts.quarantined == 1
    assert trial.rows()[wire["id"]]["name"] == "good"
    assert open_entries(trial) == {wire["id"]: ("wrong_type", "customerProfile.name")}
    # As an older release would have left it: with content that today's rules understand.
    trial.query(
        "UPDATE partner_center_quarantine SET raw_text = %s WHERE referral_id = %s RETURNING 1",
        json.dumps({**wire, "name": "old"}, default=float),
        wire["id"],
    )

    report = trial.run("replay")

    assert report.state == "completed", report.failure
    assert trial.rows()[wire["id"]]["name"] == "good"
    ended = trial.query("SELECT state FROM partner_center_quarantine")
    assert ended == [{"state": "superseded"}]
