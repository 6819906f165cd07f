"""Backups that are known to be restorable, and restoring them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.deploy.hooks import cloud

type Contents = dict[str, list[str]]
"""For each table how many rows it has and a digest of them, both as text."""


DEFINITIONS = "(definitions)"
"""Stands beside the tables: what defines and explains them, and their indexes and views."""

_DEFINITIONS = r"""
WITH ours AS (
    SELECT oid, relname, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'partner\_center\_%'
),
lines AS (
    SELECT format('%s %s %s', relname, relkind, obj_description(oid, 'pg_class')) AS line FROM ours
    UNION ALL
    SELECT format(
        '%s.%s %s %s %s %s %s %s', relname, attname, format_type(atttypid, atttypmod), attnotnull,
        attgenerated, attcollation::regcollation, pg_get_expr(adbin, adrelid),
        col_description(attrelid, attnum)
    )
    FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM ours JOIN pg_index ON indrelid = ours.oid
    UNION ALL
    SELECT format('%s %s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
    FROM ours JOIN pg_constraint ON conrelid = ours.oid
    UNION ALL
    SELECT format('%s %s', relname, pg_get_viewdef(oid)) FROM ours WHERE relkind = 'v'
)
SELECT count(*)::text, coalesce(sum(hashtextextended(line, 0)), 0)::text FROM lines
"""


class BadBackup(cloud.HookError):
    """The file is not what was backed up; the message says how it was noticed."""


def make(url: str, folder: Path, *, label: str, now: datetime) -> Path:
    """Dump the database, prove that the dump can be restored, and only then keep it.

    Args:
        url: libpq URL of the database, of somebody who may make databases.
        folder: where the file goes, with a `.json` beside it that says what is in it.
        label: how the file's name begins.
        now: aware UTC.

    Raises:
        HookError: it could not be dumped.
        BadBackup: what was dumped could not be restored as it was; no file is left.
    """
    import psycopg

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{label}-{now:%Y%m%dT%H%M%SZ}.dump"
    unproven = file.with_suffix(".unproven")
    try:
        with psycopg.connect(url) as connection:
            # One snapshot for the dump and for what it is compared with.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            snapshot = str(row[0]) if row else ""
            unproven.touch(mode=0o600)
            _client(
                "pg_dump",
                url,
                *("--format=custom", "--no-owner", "--no-privileges"),
                *(f"--snapshot={snapshot}", f"--file={unproven}"),
            )
            contents = read_contents(connection)
        if not contents:
            raise cloud.HookError("The database has none of the app's tables: nothing to back up.")
        manifest = {
            "made_at": now.isoformat(),
            "sha256": _sha256(unproven),
            "contents": contents,
        }
        prove(unproven, manifest, url)
        file.with_suffix(".json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        unproven.rename(file)
    finally:
        unproven.unlink(missing_ok=True)
    return file


def prove(file: Path, manifest: Mapping[str, Any], url: str) -> None:
    """Restore the file into a database of its own and compare every table.

    Raises:
        BadBackup: it differs from what was backed up.
    """
    import psycopg

    if _sha256(file) != manifest["sha256"]:
        raise BadBackup(f"{file.name} is not the file that was made: its hash differs.")
    with scratch_database(url) as scratch:
        try:
            _client("pg_restore", scratch, "--exit-on-error", "--no-owner", "--no-privileges", file)
        except cloud.HookError as error:
            raise BadBackup(f"{file.name} cannot be restored: {error}") from None
        with psycopg.connect(scratch) as connection:
            _compare(file, manifest, read_contents(connection))


def load_manifest(file: Path) -> dict[str, Any]:
    """What a backup holds, from the `.json` beside it.

    Raises:
        BadBackup: there is none.
    """
    try:
        found: dict[str, Any] = json.loads(file.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        raise BadBackup(f"{file.with_suffix('.json')} is missing or broken.") from None
    if not file.is_file():
        raise BadBackup(f"There is no file {file}.")
    return found


def restore(file: Path, url: str, *, app_role: str | None) -> None:
    """Put a backup in the place of what the database holds, wholly or not at all.

    Args:
        url: libpq URL of the database, of its administrator.
        app_role: gets its rights back.

    Raises:
        BadBackup: the file is not good; nothing was changed.
        HookError: the database refused; nothing was changed.
    """
    import psycopg

    from pc_core.store.roles import apply_roles

    manifest = load_manifest(file)
    prove(file, manifest, url)
    _client(
        "pg_restore",
        url,
        *("--single-transaction", "--clean", "--if-exists", "--no-owner", "--no-privileges"),
        file,
    )
    with psycopg.connect(url, autocommit=True) as connection:
        apply_roles(connection, app_role=app_role)
        _compare(file, manifest, read_contents(connection))


def read_contents(connection: Any) -> Contents:
    """What the app's tables hold, as this connection sees it."""
    from psycopg import sql

    connection.execute("SET TIME ZONE 'UTC'")
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind = 'r' AND relname LIKE 'partner\\_center\\_%' ORDER BY relname"
    ).fetchall()
    found: Contents = {}
    for (name,) in tables:
        row = connection.execute(
            sql.SQL(
                "SELECT count(*)::text, coalesce(sum(hashtextextended(t::text, 0)), 0)::text "
                "FROM public.{} t"
            ).format(sql.Identifier(name))
        ).fetchone()
        found[name] = list(row)
    if found:
        count, digest = connection.execute(_DEFINITIONS).fetchone()
        found[DEFINITIONS] = [count, digest]
    return found


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """The URL of an empty database beside the one named, which goes away again."""
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    name = f"partner_center_scratch_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
        try:
            yield make_conninfo(url, dbname=name)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def _compare(file: Path, manifest: Mapping[str, Any], found: Contents) -> None:
    wanted: Contents = manifest["contents"]
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        raise BadBackup(f"{file.name} differs from what was backed up: {', '.join(differing)}.")


def _client(program: str, url: str, *arguments: str | Path) -> None:
    path = shutil.which(program)
    if path is None:
        raise cloud.HookError(f"{program} was not found; install PostgreSQL's client programs.")
    place, secret = without_password(url)
    password = secret["PGPASSWORD"]
    done = subprocess.run(
        [path, f"--dbname={place}", *map(str, arguments)],
        env={**os.environ, **secret},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = said[0] if said else f"status {done.returncode}"
        raise cloud.HookError(reason.replace(password, "…") if password else reason)


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """A connection string for the command line, which others can read, and PGPASSWORD beside it."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    password = parts.pop("password", "")
    return make_conninfo("", **parts), {"PGPASSWORD": password}


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)
