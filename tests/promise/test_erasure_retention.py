"""Who was erased stays away, whatever comes next; what is old leaves, what is needed stays."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.simulator.world import World
from pc_core.store import Reader
from pc_core.sync import Mode
from pc_core.web.referral_routes import CSV_COLUMNS
from pc_core.web.table_csv import table
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
    rows = Reader(trial.database).list_referrals(limit=200).rows
    cells = ([getattr(row, name) for name in CSV_COLUMNS] for row in rows)
    return table(CSV_COLUMNS, cells, with_head=True).decode()


def erase(trial: Trial, *, ids: tuple[str, ...] = (), domain: str | None = None) -> Any:
    return trial.sync().erase(referral_ids=ids, domain=domain, dry_run=False)


def assert_away(trial: Trial, *needles: str) -> None:
    assert traces(trial, *needles) == set()
    assert not [needle for needle in needles if needle in export(trial)]
    for needle in needles:
        assert Reader(trial.database).get_referral(needle) is None


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


def test_a_stored_row_that_turns_out_to_be_an_erased_customers_is_not_filled_with_it(
    trial: Trial,
) -> None:
    world = trial.simulator.state
    wire = world.add(
        direction="Incoming",
        status="New",
        customerProfile={"name": "Unknown yet", "team": [], "ids": []},
    )
    add_customer(world)
    trial.run()
    assert trial.rows()[wire["id"]]["domain"] is None
    erase(trial, domain=DOMAIN)

    world.change(
        wire["id"],
        customerProfile={"name": COMPANY, "team": [{"email": f"{PERSON}@{DOMAIN}"}]},
    )
    modes: tuple[Mode, ...] = ("incremental", "full")
    for mode in modes:
        report = trial.run(mode)
        assert report.state == "completed", report.failure
        assert_counts_agree(report)
        assert_away(trial, DOMAIN, COMPANY, PERSON)


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
