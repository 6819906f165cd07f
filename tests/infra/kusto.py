"""Just enough Kusto for the alerts' queries: where, extend, and the few functions that they use.

Anything else is refused, so that a query cannot slip in which nobody has tried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Value = Callable[[Row], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<number>\d+)|(?P<word>[A-Za-z_]\w*)|(?P<sign>==|!=|>=|<=|[()>.<]))"""
)


class NotInTheSubset(Exception):
    """The query uses what the tests do not know."""


def run(query: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of `traces` that the query answers with."""
    text = re.sub(r"//.*", "", query)
    table, *steps = (step.strip() for step in text.split("|"))
    if table != "traces":
        raise NotInTheSubset(table)
    kept = list(rows)
    for step in steps:
        word, _, condition = step.partition(" ")
        if word == "extend":
            name, equals, expression = condition.partition(" = ")
            if not equals:
                raise NotInTheSubset(step)
            value = _Condition(expression).read()
            kept = [{**row, name: value(row)} for row in kept]
            continue
        if word != "where":
            raise NotInTheSubset(step)
        holds = _Condition(condition).read()
        kept = [row for row in kept if holds(row) is True]
    return kept


class _Condition:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        text = text.strip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise NotInTheSubset(text[place:])
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind]))
            place = found.end()
        self.at = 0

    def read(self) -> Value:
        value = self.disjunction()
        if self.at != len(self.tokens):
            raise NotInTheSubset(str(self.tokens[self.at :]))
        return value

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> tuple[str, str]:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")
        if wanted is not None and text != wanted:
            raise NotInTheSubset(f"{wanted} expected, not {text!r}")
        self.at += 1
        return kind, text

    def disjunction(self) -> Value:
        left = self.conjunction()
        while self.peek() == "or":
            self.take()
            left = _either(left, self.conjunction())
        return left

    def conjunction(self) -> Value:
        left = self.comparison()
        while self.peek() == "and":
            self.take()
            left = _both(left, self.comparison())
        return left

    def comparison(self) -> Value:
        left = self.operand()
        sign = self.peek()
        if sign not in _COMPARE:
            return left
        self.take()
        compare, right = _COMPARE[sign], self.operand()
        return lambda row: compare(left(row), right(row))

    def operand(self) -> Value:
        kind, text = self.take()
        if kind == "text":
            return lambda _: text[1:-1]
        if kind == "number":
            return lambda _: int(text)
        if text == "(":
            value = self.disjunction()
            self.take(")")
        elif text in _FUNCTIONS and self.peek() == "(":
            self.take()
            argument, function = self.disjunction(), _FUNCTIONS[text]
            self.take(")")
            value = _applied(function, argument)
        elif kind == "word":
            return lambda row: row[text]
        else:
            raise NotInTheSubset(text)
        while self.peek() == ".":
            self.take()
            value = _member(value, self.take()[1])
        return value


def _either(left: Value, right: Value) -> Value:
    return lambda row: left(row) is True or right(row) is True


def _both(left: Value, right: Value) -> Value:
    return lambda row: left(row) is True and right(row) is True


def _applied(function: Callable[[Any], Any], argument: Value) -> Value:
    return lambda row: function(argument(row))


def _member(value: Value, name: str) -> Value:
    def read(row: Row) -> Any:
        whole = value(row)
        return whole.get(name) if isinstance(whole, dict) else None

    return read


def _parse_json(text: Any) -> Any:
    # Kusto answers with the text itself where it is no JSON.
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tostring(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _toint(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text, re.IGNORECASE) is not None


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    return lambda left, right: None if left is None or right is None else compare(left, right)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "parse_json": _parse_json,
    "tostring": _tostring,
    "toint": _toint,
    "isnotempty": bool,
}
_COMPARE: dict[str, Callable[[Any, Any], bool | None]] = {
    "has": _has,
    "==": _ordered(lambda left, right: bool(left == right)),
    "!=": _ordered(lambda left, right: bool(left != right)),
    ">": _ordered(lambda left, right: bool(left > right)),
    ">=": _ordered(lambda left, right: bool(left >= right)),
    "<": _ordered(lambda left, right: bool(left < right)),
    "<=": _ordered(lambda left, right: bool(left <= right)),
}
