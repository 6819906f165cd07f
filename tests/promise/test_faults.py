"""Every fault that the simulator knows, alone and in pairs, at any page of either kind of run.

Each time: the run ends in the right state with the right code, keeps what it had, sends no more
requests than it may; and healthy runs afterwards reach the truth.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, product
from typing import Any, Literal

import pytest

from dev.simulator.faults import Fault
from pc_core.partner_center.retry import RetryPolicy
from pc_core.sync.report import FailureKind, Mode
from tests.promise.scale import LONG, SEED
from tests.promise.trials import (
    ATTEMPTS,
    Kept,
    Trial,
    assert_counts_agree,
    assert_healthy,
)

pytestmark = pytest.mark.long

Make = Callable[..., Trial]
Place = Literal["first", "middle", "last"]

PAGE = 10
CHANGED = 45
NUMBERS = count()
LIST_CALLS: dict[Mode, int] = {"incremental": 5, "full": 11}
"""Of an undisturbed run after the changes: a head of five pages, and a sweep of six behind it."""
PLACES: dict[tuple[Mode, Place], int] = {
    ("incremental", "first"): 1,
    ("incremental", "middle"): 3,
    ("incremental", "last"): 5,
    ("full", "first"): 6,
    ("full", "middle"): 8,
    ("full", "last"): 11,
}
WHERE: tuple[Place, ...] = ("first", "middle", "last")
"""At which list request a fault comes; that of a full run meets its sweep."""


@dataclass(frozen=True)
class Ailment:
    """A fault, and how a run ends that meets it once, or at every request from there on.

    `calls` is how many requests one call may cost until it gives up.
    """

    fault: Fault
    once: str
    lasting: str
    kind: FailureKind | None
    calls: int = 1


def passing(fault: Fault, code: str) -> Ailment:
    """A fault that is tried again, and believed after so many attempts."""
    return Ailment(fault, "completed", code, FailureKind.TRY_LATER, calls=ATTEMPTS)


def at_once(fault: Fault, code: str, kind: FailureKind = FailureKind.NONSENSE) -> Ailment:
    """A fault that no second request would cure."""
    return Ailment(fault, code, code, kind)


AILMENTS: dict[str, Ailment] = {
    "throttled, no hint": passing(Fault(kind="status", status=429), "partner_center_throttled"),
    "throttled, in seconds": passing(
        Fault(kind="status", status=429, retry_after_s=2), "partner_center_throttled"
    ),
    "throttled, by a date": passing(
        Fault(kind="status", status=429, retry_after_s=2, retry_after_form="http_date"),
        "partner_center_throttled",
    ),
    **{
        f"status {status}": passing(
            Fault(kind="status", status=status), "partner_center_unavailable"
        )
        for status in (408, 500, 503)
    },
    "reset": passing(Fault(kind="reset"), "partner_center_unreachable"),
    "truncated": passing(Fault(kind="truncated"), "partner_center_unreachable"),
    "truncated, chunked": passing(Fault(kind="truncated_chunked"), "partner_center_unreachable"),
    "silence": passing(Fault(kind="latency", seconds=0.5), "partner_center_unreachable"),
    "slow drip": passing(Fault(kind="slow_drip", seconds=0.8), "partner_center_unreachable"),
    "a little late": Ailment(Fault(kind="latency", seconds=0.02), "completed", "completed", None),
    "empty 401": Ailment(
        Fault(kind="empty_401"), "completed", "api_unauthorized", FailureKind.SIGN_IN, calls=2
    ),
    "claims challenge": Ailment(
        Fault(kind="claims_challenge"),
        "completed",
        "api_unauthorized",
        FailureKind.SIGN_IN,
        calls=2,
    ),
    "claims challenge, misspelled": Ailment(
        Fault(kind="claims_challenge", misspelled=True),
        "completed",
        "api_forbidden",
        FailureKind.FIX_SETTING,
        calls=2,
    ),
    "access denied": at_once(Fault(kind="access_denied"), "api_forbidden", FailureKind.FIX_SETTING),
    "redirect": at_once(Fault(kind="redirect"), "redirect_not_followed"),
    "web page": at_once(Fault(kind="html"), "nonsense_answer"),
    "cut JSON": at_once(Fault(kind="invalid_json"), "nonsense_answer"),
    "items for value": at_once(Fault(kind="items_key"), "nonsense_answer"),
    "no value": at_once(Fault(kind="no_value"), "nonsense_answer"),
    "status 418": at_once(Fault(kind="status", status=418), "api_unexpected_status"),
}


@pytest.fixture
def trial(make_trial: Make) -> Trial:
    """A filled database, and changes that no run has read yet."""
    made = make_trial(60, request_timeout_s=0.3)
    made.heal()
    made.recover()
    change(made)
    return made


def change(trial: Trial) -> None:
    world = trial.simulator.state
    for one in world.ids()[:CHANGED]:
        world.change(one, details={"notes": f"Not {next(NUMBERS)}"})
    trial.note_admitted()
    trial.simulator.clear_requests()
    trial.clock.naps.clear()


@pytest.mark.parametrize("mode", LIST_CALLS)
def test_an_undisturbed_run_makes_the_calls_that_the_places_are_reckoned_from(
    trial: Trial, mode: Mode
) -> None:
    assert trial.run(mode).state == "completed"
    assert trial.list_requests() == LIST_CALLS[mode]


@pytest.mark.parametrize("mode", LIST_CALLS)
@pytest.mark.parametrize("name", AILMENTS)
def test_a_fault_ends_a_run_rightly_and_leaves_nothing_behind(
    trial: Trial, name: str, mode: Mode, record_property: Callable[[str, object], None]
) -> None:
    ailment = AILMENTS[name]
    record_property("faults", 2 * len(WHERE))
    for place, times in product(WHERE, (1, None)):
        at = PLACES[mode, place]
        kept = Kept.of(trial)
        before = trial.store.load_state()
        trial.simulator.faults.add(replace(ailment.fault, target="list", at=at, times=times))

        report = trial.run(mode)

        why = (place, times, report.failure)
        made = trial.list_requests(at_least=report.counts.requests)
        kept.assert_kept_by(trial)
        assert_counts_agree(report)
        assert report.counts.requests == made, why
        expected = ailment.once if times == 1 else ailment.lasting
        if expected == "completed":
            assert report.state == "completed", why
            repeated = int(ailment.lasting != "completed")
            assert (made, report.counts.retries) == (LIST_CALLS[mode] + repeated, repeated), why
        else:
            assert report.failure is not None, why
            assert report.state == "failed", why
            assert (report.failure.code, report.failure.kind) == (expected, ailment.kind), why
            assert made == at - 1 + ailment.calls, why
            after = trial.store.load_state()
            if mode == "incremental":
                assert report.head_completed_at is None, why
                assert after.watermark_ticks == before.watermark_ticks, why
                assert after.last_success_at == before.last_success_at, why
            assert report.sweep_completed_at is None, why
            assert after.last_sweep_at == before.last_sweep_at, why
        trial.heal()
        assert trial.recover().head_completed_at is not None, why
        assert_healthy(trial)
        change(trial)


@pytest.mark.parametrize("form", ["seconds", "http_date"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_of_an_hour_ends_the_run_at_once_and_tells_how_long(
    trial: Trial, status: int, form: Literal["seconds", "http_date"]
) -> None:
    # The real patience and real sleep: what is measured is time.
    trial.patience_s = RetryPolicy().total_s
    for at in (1, 3):
        trial.simulator.faults.add(
            Fault(
                kind="status",
                status=status,
                target="list",
                at=at,
                retry_after_s=3600,
                retry_after_form=form,
            )
        )
        trial.clock.naps.clear()
        trial.simulator.clear_requests()
        began = time.monotonic()

        report = trial.run()

        assert time.monotonic() - began < 5
        assert trial.clock.naps == []
        assert trial.list_requests() == at
        assert report.failure is not None
        assert (report.state, report.failure.kind) == ("failed", FailureKind.TRY_LATER)
        assert report.failure.retry_after_s == pytest.approx(3600, abs=2)
    trial.recover()
    assert_healthy(trial)


def test_waits_are_as_long_as_asked_for_and_never_longer_than_the_patience(trial: Trial) -> None:
    trial.patience_s = 5.0
    trial.simulator.faults.add(
        Fault(kind="status", status=429, target="list", times=None, retry_after_s=3)
    )

    report = trial.run()

    assert report.failure is not None
    assert report.failure.code == "partner_center_throttled"
    assert trial.list_requests() == 2, "a third would come after more than five seconds"
    assert 3.0 <= sum(trial.clock.naps) <= 5.0


def test_after_throttling_the_next_pages_come_slower_and_then_as_before(trial: Trial) -> None:
    trial.simulator.faults.add(Fault(kind="status", status=429, target="list"))

    assert trial.run().state == "completed"

    distances = trial.clock.naps[1:]
    assert distances[0] == pytest.approx(0.8, abs=0.2)
    assert distances == sorted(distances, reverse=True)


Switch = dict[str, Any]

# How Partner Center may behave for a whole run, and how the run may end then. A completed run has
# noticed and has read everything by another way.
BEHAVIOURS: dict[str, tuple[Switch, set[str]]] = {
    "order ignored": ({"updated_order": "ignored"}, {"completed"}),
    "order right on the first page": ({"updated_order": "first_page_only"}, {"completed"}),
    "order of creation": ({"updated_order": "creation"}, {"completed"}),
    "order refused": ({"updated_order": "refused"}, {"completed"}),
    "no order at all": (
        {"updated_order": "refused", "created_order": "refused"},
        {"completed"},
    ),
    "links lose the order": ({"next_link_loses_order": True}, {"completed"}),
    "links die at once": ({"next_link_ttl_s": 0.0}, {"partial", "walk_cannot_finish"}),
    "links repeat": ({"next_link_repeats": True}, {"pages_repeat"}),
    "all pages are equal": ({"page_equal_always": True}, {"pages_repeat"}),
    "top caps the whole": ({"top_means": "total"}, {"completed"}),
    "empty pages between": ({"empty_page_with_next_link": True}, {"completed"}),
    "links lead elsewhere": ({"next_link_form": "foreign_host"}, {"next_link_foreign"}),
    "no Date": ({"date_header": False}, {"completed"}),
    "multi-factor authentication asked for": ({"mfa_required": True}, {"mfa_missing"}),
    "another organization": (
        {"organization_id": "0b5e7a90-8c1d-4e2f-b3a4-000000000000"},
        {"organization_mismatch"},
    ),
}


@pytest.mark.parametrize("mode", LIST_CALLS)
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_odd_manners_are_noticed_and_lose_nothing(trial: Trial, name: str, mode: Mode) -> None:
    switches, endings = BEHAVIOURS[name]
    if name == "top caps the whole":
        trial.page_size = PAGE
    trial.simulator.entra.behaviour.mfa = False
    kept = Kept.of(trial)
    for switch, value in switches.items():
        setattr(trial.simulator.behaviour, switch, value)

    report = trial.run(mode, seconds=10)

    kept.assert_kept_by(trial)
    assert_counts_agree(report)
    ended = report.failure.code if report.failure else report.state.value
    assert ended in endings
    assert trial.list_requests() <= 4 * LIST_CALLS["full"]
    if ended == "completed":
        assert_healthy(trial)
    trial.heal()
    trial.recover()
    assert_healthy(trial)


SLOW = {"silence", "slow drip"}  # in real time; met alone above
CURABLE = {
    **{name: ailment for name, ailment in AILMENTS.items() if name not in SLOW},
    **{
        f"status {status}": passing(
            Fault(kind="status", status=status), "partner_center_unavailable"
        )
        for status in (502, 504, 507, 509)
    },
}
SPOILT = {
    "bad request": Fault(kind="bad_request"),
    "empty list": Fault(kind="empty_value"),
    "half a pair": Fault(kind="lone_surrogate"),
    "NUL": Fault(kind="nul"),
}
"""Met alone among the lying answers and in quarantine."""

CODES = {code for one in AILMENTS.values() for code in (one.once, one.lasting)} | {
    *(ending for _, endings in BEHAVIOURS.values() for ending in endings),
    "order_refused",
    "api_bad_request",
    "empty_answer",
    "completed",
}
TROUBLES = (*CURABLE, *SPOILT, *BEHAVIOURS)
ALL_ROUNDS = len(TROUBLES) - 1 + len(TROUBLES) % 2
ROUNDS = range(ALL_ROUNDS if LONG else 6)
MODES: tuple[Mode, ...] = ("incremental", "full")


def pairs_of(number: int) -> list[tuple[int, int]]:
    """The pairs of one round, such that all rounds have each pair of troubles exactly once.

    One stays where it is, the others go round a table.
    """
    seats = len(TROUBLES) + len(TROUBLES) % 2
    order = [0, *((one - number - 1) % (seats - 1) + 1 for one in range(1, seats))]
    pairs = [(order[seat], order[-1 - seat]) for seat in range(seats // 2)]
    return [pair for pair in pairs if max(pair) < len(TROUBLES)]


def place_of(number: int, trouble: int) -> tuple[Mode, Place]:
    """Six rounds in a row let each trouble come at each place of each kind of run."""
    return MODES[number % 2], WHERE[(number // 2 + trouble) % len(WHERE)]


def test_all_rounds_have_each_pair_once_and_six_have_each_place() -> None:
    met = [frozenset(pair) for number in range(ALL_ROUNDS) for pair in pairs_of(number)]
    count_of_pairs = len(TROUBLES) * (len(TROUBLES) - 1) // 2

    assert len(met) == len(set(met)) == count_of_pairs
    for trouble in range(len(TROUBLES)):
        places = {place_of(number, trouble) for number in range(6)}
        assert places == set(PLACES)
        partners = {pair for number in range(6) for pair in pairs_of(number) if trouble in pair}
        assert len(partners) >= 5


@pytest.mark.parametrize("number", ROUNDS)
def test_two_troubles_at_once_lose_nothing_either(
    make_trial: Make, number: int, record_property: Callable[[str, object], None]
) -> None:
    pairs = pairs_of(number)
    record_property("pairs", len(pairs))
    chance = random.Random(f"{SEED}:{number}")  # noqa: S311 - repeats for a seed
    trial = make_trial(60, request_timeout_s=0.3)
    trial.heal()
    trial.recover()
    for pair in pairs:
        change(trial)
        mode, _ = place_of(number, 0)
        for trouble in pair:
            name = TROUBLES[trouble]
            if name in BEHAVIOURS:
                switches, _ = BEHAVIOURS[name]
                for switch, value in switches.items():
                    setattr(trial.simulator.behaviour, switch, value)
            else:
                fault = SPOILT[name] if name in SPOILT else CURABLE[name].fault
                at = PLACES[place_of(number, trouble)]
                times = chance.choice((1, 2, None))
                trial.simulator.faults.add(replace(fault, target="list", at=at, times=times))
        kept = Kept.of(trial)

        report = trial.run(mode, seconds=20)

        why = ([TROUBLES[one] for one in pair], mode, report.failure)
        assert report.state in {"completed", "partial", "failed"}, why
        if report.failure is not None:
            assert report.failure.code in CODES, why
            assert report.failure.kind is not FailureKind.BUG, why
        assert trial.list_requests() <= 5 * LIST_CALLS["full"], why
        assert_counts_agree(report)
        kept.assert_kept_by(trial)
        trial.heal()
        trial.recover()
        assert_healthy(trial)


def test_a_place_that_was_reached_in_circles_is_not_gone_on_from(trial: Trial) -> None:
    # Past the second of the changes, as a real clock mostly is: the next head's fresh part ends on
    # its first page then.
    time.sleep(1.1)
    trial.simulator.behaviour.page_equal_always = True

    report = trial.run()

    assert report.failure is not None
    assert report.failure.code == "pages_repeat"
    trial.heal()
    trial.recover()
    assert_healthy(trial)
