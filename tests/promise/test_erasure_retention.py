"""Who was erased stays away, whatever comes next; what is old leaves, what is needed stays."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.simulator.world import World
from pc_core.errors import TryLater
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.erase import erase_customer
from pc_core.sync.report import Mode
from pc_core.web.routes.referrals import CSV_COLUMNS
from pc_core.web.routes.table_csv import table
from tests.promise.trials import Trial, assert_counts_agree
from tests.sync.harness import admits

Make = Callable[..., Trial]
Wire = dict[str, Any]
DOMAIN = "erased-customer.example"
COMPANY = "Silinecek Müşteri Ltd"
PERSON = "vanishing.person"
KEPT_DAYS = 400  # as the trial's runs are told


@pytest.fixture
def trial(make_trial: Make) -> Trial:
    made = make_trial(40)
    made.heal()
    made.recover()
    return made


def add_customer(world: World, **fields: Any) -> Wire:
    """A new referral of the customer who will be erased, with a history of one change."""
    return world.add(
        direction="Incoming",
        status="New",
        substatus="Received",
        customerProfile={
            "name": COMPANY,
            "team": [{"firstName": "V", "lastName": "P", "email": f"{PERSON}@{DOMAIN}"}],
        },
        **fields,
    )


def traces(trial: Trial, *needles: str) -> set[str]:
    """Every table and view of ours in whose rows one of these texts occurs."""
    found: set[str] = set()
    with psycopg.connect(trial.database_url) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'v', 'm', 'p')"
        ).fetchall()
        for (name,) in names:
            for needle in needles:
                row = connection.execute(
                    sql.SQL("SELECT 1 FROM {} t WHERE t::text ILIKE %s LIMIT 1").format(
                        sql.Identifier(name)
                    ),
                    [f"%{needle}%"],
                ).fetchone()
                if row is not None:
                    found.add(name)
    return found


def export(trial: Trial) -> str:
    rows = PostgresReader(trial.database).list_referrals(limit=200).rows
    cells = ([getattr(row, name) for name in CSV_COLUMNS] for row in rows)
    return table(CSV_COLUMNS, cells, with_head=True).decode()


def erase(trial: Trial, *, ids: tuple[str, ...] = (), domain: str | None = None) -> Any:
    return erase_customer(
        trial.store,
        referral_ids=ids,
        domain=domain,
        dry_run=False,
        holder="test",
        now=trial.now,
    )


def assert_away(trial: Trial, *needles: str) -> None:
    assert traces(trial, *needles) == set()
    assert not [needle for needle in needles if needle in export(trial)]
    for needle in needles:
        assert PostgresReader(trial.database).get_referral(needle) is None


@pytest.mark.parametrize("by", ["domain", "id"])
def test_an_erased_customer_does_not_come_back_by_any_way(trial: Trial, by: str) -> None:
    world = trial.simulator.state
    wires = [add_customer(world, name=f"Deal {n}") for n in range(3)]
    ids = tuple(wire["id"] for wire in wires)
    trial.run()
    world.change(ids[0], name="Deal 0, changed")
    trial.run()
    broken = {**world.get(ids[1]), "details": 7}
    world.add_raw(ids[1], json.dumps(broken, default=float).encode())
    trial.run()
    needles = (DOMAIN, COMPANY, PERSON, *ids)
    assert traces(trial, *needles) >= {
        "partner_center_referrals",
        "partner_center_referral_changes",
        "partner_center_quarantine",
        "partner_center_companies",
        "partner_center_open_referrals",
    }

    found = erase(trial, domain=DOMAIN) if by == "domain" else erase(trial, ids=ids)

    assert (found.referrals, found.quarantine) == (3, 1)
    assert found.changes >= 1
    assert_away(trial, *needles)
    others = trial.rows().keys()
    modes: tuple[Mode, ...] = ("incremental", "full", "replay", "full")
    for mode in modes:
        world.change(ids[0], name=f"{mode} again")
        report = trial.run(mode)
        assert report.state == "completed", report.failure
        assert_counts_agree(report)
        assert_away(trial, *needles)
    assert report.counts.skipped_reasons["erased"] >= 3
    # As written in capitals, and broken in another way.
    upper = {**world.get(ids[2]), "id": ids[2].upper()}
    world.remove(ids[2])
    world.add_raw(ids[2].upper(), json.dumps(upper, default=float).encode())
    world.add_raw(ids[1], json.dumps({**broken, "details": 8}, default=float).encode())
    if by == "domain":
        add_customer(world, name="a fourth deal")
    assert trial.run("full").state == "completed"
    assert_away(trial, *needles)
    assert trial.rows().keys() == others


def add_unknown(world: World) -> Wire:
    """A new referral whose customer has no domain that anybody knows of."""
    return world.add(
        direction="Incoming",
        status="New",
        substatus="Received",
        customerProfile={"name": COMPANY, "team": [{"email": f"{PERSON}@gmail.com"}], "ids": []},
    )


def reveal(world: World, referral_id: str, **fields: Any) -> None:
    """The referral's customer turns out to be the erased one."""
    profile = {"name": COMPANY, "team": [{"email": f"{PERSON}@{DOMAIN}"}]}
    world.change(referral_id, customerProfile=profile, **fields)


@pytest.mark.parametrize("how", ["incremental", "full", "one by one"])
def test_a_stored_row_that_turns_out_to_be_an_erased_customers_goes(trial: Trial, how: str) -> None:
    world = trial.simulator.state
    wire = add_unknown(world)
    add_customer(world)
    trial.run()
    world.change(wire["id"], name="with a history")
    trial.run()
    world.add_raw(wire["id"], json.dumps({**world.get(wire["id"]), "name": 7}).encode())
    trial.run()
    assert trial.rows()[wire["id"]]["domain"] is None
    assert traces(trial, wire["id"]) >= {"partner_center_quarantine"}
    erase(trial, domain=DOMAIN)
    needles = (DOMAIN, COMPANY, PERSON, wire["id"])
    assert traces(trial, *needles) >= {"partner_center_referral_changes"}

    if how == "one by one":
        # No page of the list has it, and only the answer by its id tells whose it is.
        trial.simulator.clear_requests()
        trial.run("full")
        world.set_visible(lambda one: one["id"] != wire["id"])
        world.after_request(trial.list_requests(), lambda: world.set_visible(1))
    reveal(world, wire["id"], name="with a domain")
    modes: tuple[Mode, ...] = ("incremental", "full") if how == "incremental" else ("full",)
    first, *_ = [trial.run(mode) for mode in modes]

    assert first.state == "completed", first.failure
    by_id = [one for one in trial.simulator.requests if one.path.endswith(wire["id"])]
    assert bool(by_id) is (how == "one by one")
    assert first.counts.skipped_reasons["erased"] >= 1
    assert_counts_agree(first)
    assert_away(trial, *needles)
    # The referral stays away even where its content tells nothing any more.
    for profile in (None, {"name": COMPANY, "team": []}):
        world.change(wire["id"], customerProfile=profile)
        assert trial.run("full").state == "completed"
        assert_away(trial, *needles)


def test_changed_rules_that_find_an_erased_customer_make_its_rows_go(trial: Trial) -> None:
    world = trial.simulator.state
    profile = {"name": COMPANY, "team": [{"email": f"{PERSON}@{DOMAIN}"}]}
    hers = add_customer(world)
    # As our own domain, it is nobody's; taken off the list, it is the customer's.
    trial.own_domains = frozenset({DOMAIN})
    trial.run()
    assert trial.rows()[hers["id"]]["domain"] is None
    world.change(hers["id"], name="with a history")
    trial.run()
    other = trial.rows().keys() - {hers["id"]}
    add_customer(world)
    trial.own_domains = frozenset()
    found = erase(trial, domain=DOMAIN)
    assert found.referrals == 0
    assert trial.rows()[hers["id"]]["raw_data"]["customerProfile"]["name"] == profile["name"]

    trial.rules_made_with = "rules-2"
    report = trial.run()

    assert report.state == "completed", report.failure
    assert report.counts.recomputed == len(other)
    assert report.counts.skipped_reasons["erased"] == 2
    assert_counts_agree(report)
    assert_away(trial, DOMAIN, COMPANY, PERSON, hers["id"])
    assert trial.rows().keys() == other
    assert trial.run("full").state == "completed"
    assert_away(trial, DOMAIN, COMPANY, PERSON, hers["id"])


BREAKS: dict[str, Any] = {
    "a field of the wrong type": lambda wire: json.dumps({**wire, "details": 7}).encode(),
    "no id": lambda wire: json.dumps({**wire, "id": None}).encode(),
    "another id": lambda wire: json.dumps({**wire, "id": "new", "name": 7}).encode(),
    "escapes": lambda wire: (
        json.dumps({**wire, "name": 7}).replace("@", "\\u0040").replace("e", "\\u0065").encode()
    ),
    "NUL": lambda wire: json.dumps({**wire, "name": "a\0b"}).encode(),
    "a lone surrogate": lambda wire: json.dumps({**wire, "name": "a\ud800b"}).encode(),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_cannot_be_read_of_an_erased_customer_is_not_kept_in_quarantine(
    trial: Trial, name: str
) -> None:
    world = trial.simulator.state
    add_customer(world)
    trial.run()
    erase(trial, domain=DOMAIN)
    new = add_customer(world)
    raw = BREAKS[name](json.loads(json.dumps(new, default=float)))
    other = raw.replace(DOMAIN.encode(), b"somebody.example")
    if name == "escapes":
        other = raw.replace(b"custom", b"someb")
    world.add_raw(new["id"], raw)
    world.add_raw("other", other.replace(COMPANY.encode(), b"").replace(b'"name": 7', b'"name": 8'))

    modes: tuple[Mode, ...] = ("incremental", "full", "replay")
    for mode in modes:
        report = trial.run(mode)
        assert report.state == "completed", report.failure
        assert_counts_agree(report)
        assert traces(trial, DOMAIN) == set()
        # Another's is still kept.
        entries = trial.query("SELECT raw_text FROM partner_center_quarantine")
        assert len(entries) == 1
    assert report.counts.quarantined == 1


UNREADABLE: dict[str, Any] = {
    "as it is": lambda raw: raw,
    "with an escape": lambda raw: raw.replace(b'"erased', b'"\\u0065rased'),
    "in upper case": lambda raw: raw.replace(b"erased-by-id", b"ERASED-BY-ID"),
    "with spaces": lambda raw: raw.replace(b'"erased-by-id"', b'" erased-by-id "'),
    "bytes that are no text": lambda raw: raw.replace(b"Silinecek", b"\xff"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_names_an_erased_referral_and_has_no_id_of_its_own_goes_and_stays_away(
    trial: Trial, name: str
) -> None:
    world = trial.simulator.state
    wire = add_customer(world)
    world.remove(wire["id"])
    raw = json.dumps({**wire, "id": "erased-by-id"}, default=float, ensure_ascii=False).encode()
    world.add_raw("broken", UNREADABLE[name](raw[:-1] + b', "odd": NULL}'))
    other = b'{"id": "erased-by-id-2", "odd": NULL}'
    world.add_raw("other", other)
    assert trial.run().state == "completed"
    assert "partner_center_quarantine" in traces(trial, PERSON)

    found = erase(trial, ids=("erased-by-id",))

    assert (found.quarantine, found.mentions) == (1, 1)
    modes: tuple[Mode, ...] = ("incremental", "full", "replay")
    for mode in modes:
        report = trial.run(mode)
        assert report.state == "completed", report.failure
        assert_counts_agree(report)
        assert traces(trial, PERSON) == set()
    # Another's is still kept.
    entries = trial.query("SELECT raw_text FROM partner_center_quarantine")
    assert [entry["raw_text"] for entry in entries] == [other.decode()]


def test_a_replay_that_finds_an_erased_customer_removes_its_entry(trial: Trial) -> None:
    world = trial.simulator.state
    add_customer(world)
    trial.run()
    late = json.dumps({**add_customer(world), "id": "late-one"}, default=float)
    # Set aside by an earlier release, which had not found its id either.
    trial.query(
        "INSERT INTO partner_center_quarantine (referral_id, content_hash, reason, detail,"
        " raw_text, task_id, first_seen_at)"
        " VALUES (NULL, 'x', 'invalid_json', 'odd', %s, 'earlier', now()) RETURNING 1",
        late,
    )
    found = erase(trial, domain=DOMAIN)
    assert found.mentions == 1

    report = trial.run("replay")

    assert report.state == "completed", report.failure
    assert report.counts.skipped_reasons == {"erased": 1}
    assert_counts_agree(report)
    assert_away(trial, DOMAIN, PERSON, "late-one")


def test_a_replay_removes_what_was_set_aside_of_an_id_that_was_erased_before(trial: Trial) -> None:
    wire = add_customer(trial.simulator.state)
    trial.run()
    erase(trial, ids=(wire["id"],))
    # Set aside by an earlier release, which did not know what was erased.
    trial.query(
        "INSERT INTO partner_center_quarantine (referral_id, content_hash, reason, detail,"
        " raw_text, task_id, first_seen_at)"
        " VALUES (NULL, 'x', 'invalid_json', 'odd', %s, 'earlier', now()) RETURNING 1",
        json.dumps(wire, default=float),
    )

    report = trial.run("replay")

    assert report.state == "completed", report.failure
    assert_away(trial, PERSON, wire["id"])


@pytest.mark.parametrize("page", [1, 2, 3])
def test_an_erasure_between_two_pages_of_a_run_waits_for_its_end(trial: Trial, page: int) -> None:
    world = trial.simulator.state
    wires = [add_customer(world) for _ in range(3)]
    trial.run()
    needles = (DOMAIN, COMPANY, PERSON, *(wire["id"] for wire in wires))
    refused: list[TryLater] = []

    def try_to_erase() -> None:
        try:
            erase(trial, domain=DOMAIN)
        except TryLater as error:
            refused.append(error)

    for wire in wires:
        world.change(wire["id"], name="changed")
    world.after_request(page, try_to_erase)
    report = trial.run("full")

    assert report.state == "completed", report.failure
    (error,) = refused
    assert error.code == "already_running"
    assert "Nothing was changed" in str(error)
    assert {wire["id"] for wire in wires} <= trial.rows().keys()
    erase(trial, domain=DOMAIN)
    assert_away(trial, *needles)


@pytest.mark.parametrize("pages", range(1, 7))
def test_an_erasure_between_two_parts_of_a_sweep_holds(trial: Trial, pages: int) -> None:
    world = trial.simulator.state
    wires = [add_customer(world) for _ in range(3)]
    trial.run()
    others = trial.rows().keys() - {wire["id"] for wire in wires}
    for wire in wires:
        world.change(wire["id"], name="changed")
    trial.run("full", pages=pages)

    erase(trial, domain=DOMAIN)
    reports = [trial.run("full") for _ in range(2)]

    assert [report.state for report in reports] == ["completed"] * 2
    assert_away(trial, DOMAIN, COMPANY, PERSON, *(wire["id"] for wire in wires))
    assert trial.rows().keys() == others


@pytest.mark.parametrize("request_number", range(1, 7))
def test_a_run_that_slept_through_an_erasure_brings_nothing_back(
    trial: Trial, request_number: int
) -> None:
    """Between the fetch of a page and its save its lease ends, and the erasure takes it."""
    world = trial.simulator.state
    wires = [add_customer(world) for _ in range(3)]
    trial.run()
    others = trial.rows().keys() - {wire["id"] for wire in wires}
    for wire in wires:
        world.change(wire["id"], name="changed")

    def erase_meanwhile() -> None:
        # A page that is being saved at this very moment renews the lease.
        for _ in range(50):
            trial.query(
                "UPDATE partner_center_sync_state SET lease_expires_at = now() - interval '1 s'"
                " RETURNING 1"
            )
            with suppress(TryLater):
                erase(trial, domain=DOMAIN)
                return

    world.after_request(request_number, erase_meanwhile)
    report = trial.run("full")

    assert report.state == "interrupted"
    needles = (DOMAIN, COMPANY, PERSON, *(wire["id"] for wire in wires))
    assert_away(trial, *needles)
    assert trial.run("full").state == "completed"
    assert_away(trial, *needles)
    assert trial.rows().keys() == others


def test_erased_rows_do_not_count_as_missing_nor_as_a_broken_order(trial: Trial) -> None:
    world = trial.simulator.state
    wires = [add_customer(world) for _ in range(15)]
    trial.run()
    erase(trial, domain=DOMAIN)

    report = trial.run("full")

    assert report.state == "completed", report.failure
    assert report.counts.marked_missing == 0
    assert report.counts.skipped_reasons["erased"] == 2 * len(wires), "by head and sweep"
    trial.simulator.clear_requests()
    assert trial.run().state == "completed"
    assert trial.store.load_state().order_verdict == "proven"


def age(trial: Trial, days: int) -> None:
    """Let everything on record be so many days older."""
    with psycopg.connect(trial.database_url) as connection:
        for name, column in (
            ("partner_center_sync_runs", "started_at"),
            ("partner_center_referral_changes", "changed_at"),
            ("partner_center_quarantine", "settled_at"),
            ("partner_center_quarantine", "first_seen_at"),
            ("partner_center_tombstones", "erased_at"),
        ):
            connection.execute(
                sql.SQL("UPDATE {0} SET {1} = {1} - make_interval(days => %s)").format(
                    sql.Identifier(name), sql.Identifier(column)
                ),
                [days],
            )


@pytest.mark.parametrize(("days", "leaves"), [(KEPT_DAYS - 1, False), (KEPT_DAYS + 1, True)])
def test_a_purge_takes_what_is_old_and_leaves_what_is_needed(
    trial: Trial, days: int, leaves: bool
) -> None:
    world = trial.simulator.state
    customer = add_customer(world)
    stored = next(one for one in trial.rows() if admits(world.get(one)))
    trial.run()
    erase(trial, domain=DOMAIN)
    for number in range(2):
        world.add_raw(f"broken {number}", b'{"id":"broken %d","name":1}' % number)
    world.change(stored, name="changed")
    trial.run()
    world.remove("broken 1")
    world.add({**world.get(stored), "id": "broken 1"})
    trial.run()
    runs = trial.query("SELECT task_id FROM partner_center_sync_runs")
    rows = trial.rows().keys()
    states = trial.query("SELECT state FROM partner_center_quarantine ORDER BY state")
    assert [row["state"] for row in states] == ["closed", "open"]
    age(trial, days)

    report = trial.run("full")

    assert report.state == "completed", report.failure
    old_runs = {row["task_id"] for row in runs}
    left = {row["task_id"] for row in trial.query("SELECT task_id FROM partner_center_sync_runs")}
    assert left == ({report.task_id} if leaves else old_runs | {report.task_id})
    history = trial.query("SELECT 1 FROM partner_center_referral_changes")
    assert (history == []) is leaves
    entries = trial.query("SELECT state FROM partner_center_quarantine ORDER BY state")
    assert [row["state"] for row in entries] == (["open"] if leaves else ["closed", "open"])
    # Rows, tombstones and the place to go on are no history: they stay however old.
    assert trial.rows().keys() == rows
    assert trial.query("SELECT 1 FROM partner_center_tombstones")
    assert report.counts.skipped_reasons["erased"] >= 1
    assert_away(trial, customer["id"], DOMAIN)
    assert trial.store.load_state().last_success_at is not None


def test_a_purge_in_portions_leaves_nothing_and_a_running_run_stays(trial: Trial) -> None:
    trial.query(
        "INSERT INTO partner_center_sync_runs (task_id, trigger, mode, state, started_at)"
        " SELECT 'old-' || n, 'timer', 'incremental', 'completed', %s"
        " FROM generate_series(1, 12000) n RETURNING 1",
        datetime(2020, 1, 1, tzinfo=UTC),
    )

    report = trial.run("full")

    assert report.state == "completed", report.failure
    old = trial.query("SELECT count(*) AS n FROM partner_center_sync_runs WHERE task_id ~ '^old'")
    assert old == [{"n": 0}]
    assert trial.query(
        "SELECT state FROM partner_center_sync_runs WHERE task_id = %s", report.task_id
    ) == [{"state": "completed"}]
