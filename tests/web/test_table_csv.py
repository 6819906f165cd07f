import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.web.routes.table_csv import cell, table


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        ("Fabrikam", "Fabrikam"),
        ("=1+1", "'=1+1"),
        ("+90 262 555 01 00", "'+90 262 555 01 00"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a=1", "a=1"),
        (Decimal("-12.50"), "-12.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal(0), "0"),
        (-3, "-3"),
        (True, "true"),
        (datetime(2026, 3, 1, 8, 30, tzinfo=UTC), "2026-03-01T08:30:00Z"),
        ("a\0b", "ab"),
    ],
)
def test_a_cell_is_written_so_that_no_spreadsheet_runs_it(value: object, written: str) -> None:
    assert cell(value) == written


def test_parts_put_together_are_one_file_with_one_head() -> None:
    first = table(["company"], [["Çay A.Ş."]], with_head=True)
    second = table(["company"], [['Quote "this", please']], with_head=False)
    assert first.startswith(b"\xef\xbb\xbf")
    whole = (first + second).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(whole))) == [
        ["company"],
        ["Çay A.Ş."],
        ['Quote "this", please'],
    ]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5))
def test_whatever_the_texts_hold_the_table_keeps_its_shape(rows: list[list[str]]) -> None:
    written = table(["a", "b"], rows, with_head=True).decode("utf-8-sig")
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert [len(row) for row in read] == [2] * (len(rows) + 1)
    for row in read[1:]:
        for value in row:
            assert not value.lstrip().startswith(("=", "+", "-", "@"))


def test_a_spreadsheet_that_separates_by_semicolons_gets_its_decimal_comma() -> None:
    row = [Decimal("-48500.75"), 7, "a;b", "x,y", "=1+1"]
    written = table(["a", "b", "c", "d", "e"], [row], with_head=True, separator="semicolon")
    text = written.decode("utf-8-sig")
    assert text == 'a;b;c;d;e\r\n-48500,75;7;"a;b";x,y;\'=1+1\r\n'
