"""The commands of `python -m pc_core`.

Each answers with text for people, or with one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from pc_core import config
from pc_core.errors import FixSetting, PartnerCenterSyncError
from pc_core.observe import events
from pc_core.sync.report import Report, RunState

if TYPE_CHECKING:
    from pc_core.sync.takeover import Difference
    from pc_core.wiring.app import App

SUCCESS, FAILURE, WRONG_SETTING, NOTHING_DONE = 0, 1, 2, 3
_SYNCING = frozenset({"sync", "sign-in", "replay-quarantine"})
"""These need every setting; the other commands need only the database's."""

_NOT_RUN = (RunState.ALREADY_RUNNING, RunState.FEATURE_DISABLED)

Result = tuple[int, dict[str, Any], str]
"""A command's exit code, JSON object, and text for people."""


def run(arguments: argparse.Namespace) -> int:
    """Run one command, print its answer and return the exit code."""
    _listen(progress=not arguments.json, log=arguments.log)
    try:
        with closing(_app(arguments.command)) as app:
            code, plain, text = _COMMANDS[arguments.command](app, arguments)
    except PartnerCenterSyncError as error:
        code = WRONG_SETTING if isinstance(error, FixSetting) else FAILURE
        plain = {"success": False, "error": {"code": error.code, "message": str(error)}}
        text = f"{error.code}: {error}"
    except KeyboardInterrupt:
        code, plain, text = FAILURE, {"success": False, "error": {"code": "stopped"}}, "Stopped."
    if arguments.json:
        print(json.dumps(plain, ensure_ascii=False, default=_plain))
    else:
        print(text, file=sys.stdout if code == SUCCESS else sys.stderr)
    return code


def _app(command: str) -> App:
    from pc_core.wiring.app import App

    return App(config.load_settings(local_settings=True, for_sync=command in _SYNCING))


def _migrate(app: App, arguments: argparse.Namespace) -> Result:
    applied = [] if arguments.status else app.upgrade_schema()
    status = app.schema_status()
    plain = {
        "success": not status.pending,
        "applied": applied,
        "current": status.current,
        "expected": status.expected,
        "pending": list(status.pending),
    }
    if status.pending:
        text = (
            f"The schema is at revision {status.current or 'none'}; this release expects "
            f"{status.expected}. Apply it with `python -m pc_core migrate`."
        )
        return FAILURE, plain, text
    done = f"Applied {', '.join(applied)}. " if applied else ""
    return SUCCESS, plain, f"{done}The schema is {status.in_words()}."


def _sign_in(app: App, arguments: argparse.Namespace) -> Result:
    pending = app.sign_in.start()
    print(pending.message, file=sys.stderr, flush=True)
    while True:
        progress = app.sign_in.poll(pending.id, confirm_account=arguments.confirm_account)
        if progress.state != "pending":
            break
        time.sleep(min(pending.interval_s, 5))
    plain = {
        "success": progress.state == "completed",
        "state": progress.state,
        "account": progress.username,
        "may_read_referrals": progress.may_read_referrals,
        "message": progress.detail,
    }
    if progress.state == "completed":
        text = (
            f"Signed in as {progress.username}, which may read referrals. The token cache was "
            "saved, read back and used."
        )
        return SUCCESS, plain, text
    if progress.state == "needs_confirmation":
        text = (
            f"{progress.detail} Run the command again with --confirm-account {progress.username}."
        )
        return NOTHING_DONE, plain, text
    return FAILURE, plain, progress.detail or f"The sign-in ended as {progress.state}."


def _sync(app: App, arguments: argparse.Namespace) -> Result:
    report = app.sync(
        trigger="command", mode=arguments.mode, accept_missing=arguments.accept_missing
    )
    return _report_result(report)


def _replay(app: App, _: argparse.Namespace) -> Result:
    return _report_result(app.replay_quarantine(trigger="command"))


def _report_result(report: Report) -> Result:
    code = SUCCESS if report.success else NOTHING_DONE if report.state in _NOT_RUN else FAILURE
    return code, report.to_json(), _report_text(report)


def _report_text(report: Report) -> str:
    """A run's report as text."""
    if report.state is RunState.FEATURE_DISABLED:
        return (
            "Feature flag disabled: HUNTER_PARTNER_CENTER_ENABLED is not true, so nothing was done."
        )
    if report.state is RunState.ALREADY_RUNNING:
        return f"Run {report.task_id} is under way and reads the same changes. Nothing was done."
    counts = report.counts
    lines = [
        f"Run {report.task_id}: {report.state.value}.",
        (
            f"{counts.fetched} fetched: {counts.inserted} new, {counts.updated} updated, "
            f"{counts.unchanged} unchanged, {counts.skipped} skipped, "
            f"{counts.quarantined} in quarantine; {counts.requests} requests."
        ),
    ]
    if counts.skipped_reasons:
        reasons = ", ".join(f"{name} {n}" for name, n in sorted(counts.skipped_reasons.items()))
        lines.append(f"Skipped because of: {reasons}.")
    if counts.marked_missing:
        lines.append(f"{counts.marked_missing} are gone from Partner Center and were marked.")
    if counts.drift:
        lines.append(f"{counts.drift} changes had been missed by earlier runs (drift).")
    if report.state is RunState.PARTIAL:
        lines.append("The run's time was over. What was read is saved; the next run continues.")
    if report.failure is not None:
        lines.append(f"{report.failure.code}: {report.failure.message}")
    return "\n".join(lines)


def _status(app: App, _: argparse.Namespace) -> Result:
    status = app.status()
    text = "\n".join(f"{name:24} {_status_text(value)}" for name, value in status.items())
    return SUCCESS, {"success": True, **status}, text


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _status_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_status_text(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(_status_text(each) for each in value) or "-"
    return _plain(value)


def _erase(app: App, arguments: argparse.Namespace) -> Result:
    found = app.erase(
        referral_ids=arguments.referral_id or [],
        domain=arguments.domain,
        dry_run=not arguments.yes,
    )
    plain = {"success": True, "dry_run": not arguments.yes, **found.to_json()}
    what = (
        f"{found.referrals} referrals, {found.changes} history entries, "
        f"{found.quarantine} quarantine entries"
    )
    left = (
        f" The domain also occurs in {found.mentions} quarantine entries that may be another "
        "customer's: they stay; look at them on the page."
        if found.mentions
        else ""
    )
    if arguments.yes:
        text = f"Erased {what}. They will not come back with the next sweep.{left}"
    else:
        text = f"Would erase {what}. Nothing was changed; add --yes to erase.{left}"
    return SUCCESS, plain, text


def _import_earlier(app: App, arguments: argparse.Namespace) -> Result:
    with ExitStack() as opened:
        report = (
            opened.enter_context(_new_private_file(arguments.report)) if arguments.report else None
        )

        def write(difference: Difference) -> None:
            if report is not None:
                report.write(json.dumps(difference.to_json(), ensure_ascii=False) + "\n")

        takeover = app.import_earlier(
            arguments.source, dry_run=arguments.dry_run, on_difference=write
        )
    counts = takeover.counts
    lines = [
        (
            f"{'Would take over' if takeover.dry_run else 'Took over'} {counts.fetched} rows: "
            f"{counts.inserted} new, {counts.updated} newer than here, {counts.unchanged} here "
            f"already, {counts.quarantined} to quarantine, {counts.skipped} erased before."
        ),
        *(
            f"{number} rows differ in {name}."
            for name, number in sorted(takeover.differing.items())
        ),
    ]
    if takeover.differing and not arguments.report:
        lines.append("--report FILE lists them one by one.")
    return SUCCESS, {"success": True, **takeover.to_json()}, "\n".join(lines)


def _new_private_file(path: str) -> TextIO:
    """A new file that only its owner can read.

    Raises:
        FixSetting: `report_file`: it exists already, or cannot be created.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise FixSetting(
            f"The report file {path} cannot be created: {error.strerror}. Nothing was done. Name a "
            "new file.",
            code="report_file",
        ) from None
    return os.fdopen(number, "w", encoding="utf-8")


_COMMANDS: dict[str, Callable[[App, argparse.Namespace], Result]] = {
    "migrate": _migrate,
    "sign-in": _sign_in,
    "sync": _sync,
    "status": _status,
    "replay-quarantine": _replay,
    "erase": _erase,
    "import-earlier": _import_earlier,
}


def _listen(*, progress: bool, log: bool) -> None:
    """Send the app's events to standard error, as lines or as a counter on a terminal."""
    events.logger.setLevel(logging.INFO)
    events.logger.propagate = False
    if log:
        events.logger.addHandler(logging.StreamHandler(sys.stderr))
    elif progress and sys.stderr.isatty():
        events.logger.addHandler(_Progress())
    else:
        events.logger.addHandler(logging.NullHandler())


class _Progress(logging.Handler):
    """Shows pages and rows of a running sync in one line of the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = json.loads(record.getMessage().splitlines()[0])
        if line["event"] == "partner_center_page_saved":
            self._rows += line["fetched"]
            sys.stderr.write(f"\r{line['page']} pages, {self._rows} referrals read …")
        elif line["event"] == "partner_center_sync_summary":
            sys.stderr.write("\r\033[K")
        sys.stderr.flush()
