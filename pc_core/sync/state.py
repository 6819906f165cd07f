"""Where the sync stands between two runs, as data: watermark, places to resume, verdicts.

Ticks are 100-nanosecond units since 1970-01-01 UTC: Partner Center's dates have up to seven
fraction digits, and two instants are compared with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

OrderVerdict = Literal["proven", "unproven", "refuted"]
SweepReason = Literal["first", "due", "asked", "settings_changed", "order_unproven", "clock"]
SweepPhase = Literal["reading", "checking", "shrank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingHead:
    """A head walk that a run could not finish, newest change first.

    Attributes:
        stop_ticks: read until everything is strictly older than this.
        newest_ticks: newest change on the walk's first page: the watermark once it is complete.
        next_link: the query to go on with.
        restarts: how often this walk had to begin again.
        link_failures: how many runs in a row failed at `next_link`.
    """

    stop_ticks: int
    newest_ticks: int
    next_link: str | None
    restarts: int = 0
    link_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A walk over every referral, in whatever number of runs it takes.

    Attributes:
        task_id: the run that began it.
        phase: `reading` pages, `checking` unseen rows by id, or `shrank`: waiting for an operator.
        ordered: whether createdDateTime order is asked for; False once it proved unreliable.
        drift_ticks: watermark minus overlap at its start: changes below it that only the sweep
            finds are drift. None where finding them is expected (`backfilled`).
        next_link: the query to go on with; None before the first page and after the last.
        last_ticks: newest createdDateTime so far, to notice a broken order.
        top: the `$top` that the walk began with.
        received: rows received so far, to notice a `$top` that caps the whole result.
        restarts: how often it had to begin again.
        link_failures: how many runs in a row failed at `next_link`.
        unclear: unseen rows whose answer by id said neither that they exist nor that they do not.
        accepted: an operator said that missing rows may be marked, however many.
        again: another sweep has to follow, because a head turned out doubtful meanwhile.
    """

    task_id: str
    started_at: datetime
    reason: SweepReason
    phase: SweepPhase = "reading"
    ordered: bool = True
    drift_ticks: int | None = None
    next_link: str | None = None
    last_ticks: int | None = None
    top: int | None = None
    received: int = 0
    pages: int = 0
    restarts: int = 0
    link_failures: int = 0
    unclear: int = 0
    accepted: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What the stored rows were made with; a change of it asks for more than the head.

    Attributes:
        filters: the filter settings; a change asks for a sweep.
        rules: rule version, list versions and own domains; a change asks for recomputing.
        account: the signed-in account (an id, no name); a change asks for a sweep.
    """

    filters: str
    rules: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """All that one run leaves to the next; written with each page, in its transaction.

    Attributes:
        watermark_ticks: every change up to here has been read, or is left to the open sweep.
        order_verdict: whether `$orderby=updatedDateTime desc` can be relied on.
        order_checked_at: when the verdict was last asked for.
        order_refuted_at: when createdDateTime order was last seen to be broken; None: relied on.
        top_caps_at: when `$top` was seen to cap the whole result; None: never.
        shrank_at: since when `visibility_shrank` waits for an operator.
        shrank_unseen, shrank_present: the numbers behind it.
        recompute_after: referral_id after which recomputing goes on; "" at its start; None: done.
        organization_id, tenant_id: whose referrals these are.
        last_success_at: end of the last completed head.
        last_sweep_at: end of the last completed sweep.
    """

    watermark_ticks: int | None = None
    order_verdict: OrderVerdict = "unproven"
    order_checked_at: datetime | None = None
    order_refuted_at: datetime | None = None
    top_caps_at: datetime | None = None
    head: PendingHead | None = None
    sweep: Sweep | None = None
    shrank_at: datetime | None = None
    shrank_unseen: int | None = None
    shrank_present: int | None = None
    recompute_after: str | None = None
    fingerprint: Fingerprint | None = None
    organization_id: str | None = None
    tenant_id: str | None = None
    last_success_at: datetime | None = None
    last_sweep_at: datetime | None = None
