"""A table as CSV for spreadsheets (RFC 4180, UTF-8 with a byte order mark)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

Separator = Literal["comma", "semicolon"]

BYTE_ORDER_MARK = "\ufeff"
"""Without it, Excel reads UTF-8 as the machine's old code page."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""OWASP's list for CSV injection, with the full-width forms that some editions take too."""


def cell(value: object, *, decimal_mark: str = ".") -> str:
    """A value as the text of a cell.

    Text that a spreadsheet would run as a formula gets an apostrophe in front, because customers
    write these texts.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value, "f").replace(".", decimal_mark)
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\0", "")
    # Spreadsheets skip leading blanks and line feeds before they look for a formula.
    is_formula = text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS)
    return f"'{text}" if is_formula else text


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    with_head: bool,
    separator: Separator = "comma",
) -> bytes:
    """Rows as CSV; with the byte order mark and a head row only where a file begins.

    Args:
        with_head: this is the first part of the file.
        separator: between cells. A spreadsheet that separates by semicolons (a Turkish or German
            one) writes decimals with a comma, so amounts get one then.
    """
    written = io.StringIO(newline="")
    delimiter = ";" if separator == "semicolon" else ","
    writer = csv.writer(written, lineterminator="\r\n", delimiter=delimiter)
    if with_head:
        written.write(BYTE_ORDER_MARK)
        writer.writerow(columns)
    decimal_mark = "," if separator == "semicolon" else "."
    writer.writerows([cell(value, decimal_mark=decimal_mark) for value in row] for row in rows)
    return written.getvalue().encode("utf-8", "replace")
