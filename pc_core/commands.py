"""The commands of `python -m pc_core`: text for people, or one JSON object as the last line."""

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
"""The other commands need nothing but the database."""

_NOT_RUN = (RunState.ALREADY_RUNNING, RunState.FEATURE_DISABLED)

Answer = tuple[int, dict[str, Any], str]
"""Exit code, JSON object, text for people."""


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line asks, print the answer, return the exit code."""
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

    return App(config.load(local_settings=True, for_sync=command in _SYNCING))


def _migrate(app: App, arguments: argparse.Namespace) -> Answer:
    from pc_core.store import migrate

    url = app.database_url()
    applied: list[str] = []
    if not arguments.status:
        applied = migrate.upgrade(url, password=app.database_password)
    status = migrate.status(url, password=app.database_password)
    plain = {
        "success": not status.pending,
        "applied": applied,
        "current": status.current,
        "expected": status.expected,
        "pending": list(status.pending),
    }
    if status.pending:
        text = (
            f"The schema is at {status.current or 'nothing yet'}; this release expects "
            f"{status.expected}. Apply it with `python -m pc_core migrate`."
        )
        return FAILURE, plain, text
    done = f"Applied {', '.join(applied)}. " if applied else ""
    return SUCCESS, plain, f"{done}The schema is {status.in_words()}."


def _sign_in(app: App, arguments: argparse.Namespace) -> Answer:
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


def _sync(app: App, arguments: argparse.Namespace) -> Answer:
    report = app.sync(
        trigger="command", mode=arguments.mode, accept_missing=arguments.accept_missing
    )
    return _report_answer(report)


def _replay(app: App, _: argparse.Namespace) -> Answer:
    return _report_answer(app.replay_quarantine(trigger="command"))


def _report_answer(report: Report) -> Answer:
    code = SUCCESS if report.success else NOTHING_DONE if report.state in _NOT_RUN else FAILURE
    return code, report.to_json(), describe(report)


def describe(report: Report) -> str:
    """A run's result in words."""
    if report.state is RunState.FEATURE_DISABLED:
        return (
            "Feature flag disabled: HUNTER_PARTNER_CENTER_ENABLED is not true, so nothing was done."
        )
    if report.state is RunState.ALREADY_RUNNING:
        return (
            f"Run {report.task_id} is under way; nothing was done. It will read the same changes."
        )
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
        lines.append("The time was up; what was read is saved and the next run goes on.")
    if report.failure is not None:
        lines.append(f"{report.failure.code}: {report.failure.message}")
    return "\n".join(lines)


def _status(app: App, _: argparse.Namespace) -> Answer:
    status = app.status()
    text = "\n".join(f"{name:24} {_words(value)}" for name, value in status.items())
    return SUCCESS, {"success": True, **status}, text


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _words(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_words(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(_words(each) for each in value) or "-"
    return _plain(value)


def _erase(app: App, arguments: argparse.Namespace) -> Answer:
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


def _import_earlier(app: App, arguments: argparse.Namespace) -> Answer:
    with ExitStack() as opened:
        tell: Callable[[Difference], object] = _ignore
        if arguments.report:
            report = opened.enter_context(_new_private_file(arguments.report))

            def write(difference: Difference) -> None:
                report.write(json.dumps(difference.to_json(), ensure_ascii=False) + "\n")

            tell = write
        takeover = app.import_earlier(arguments.source, dry_run=arguments.dry_run, tell=tell)
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


def _ignore(_: Difference) -> None:
    """Nobody asked for it."""


def _new_private_file(path: str) -> TextIO:
    """A file that only its owner may read.

    Raises:
        FixSetting: it is there already, or cannot be made.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise FixSetting(
            f"The report file {path} cannot be made: {error.strerror}. Nothing was done. Name a "
            "new file.",
            code="report_file",
        ) from None
    return os.fdopen(number, "w", encoding="utf-8")


_COMMANDS: dict[str, Callable[[App, argparse.Namespace], Answer]] = {
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
