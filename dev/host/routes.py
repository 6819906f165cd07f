"""Route templates of ASP.NET Core, as the Functions host uses them. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from uuid import UUID

from dev.host.errors import HostError

Constraint = Callable[[str], bool]

INT32, INT64 = 2**31, 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One `{name:constraint=default?}` of a template."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    optional: bool = False
    catch_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What lies between two slashes of a template."""

    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]

    @property
    def may_be_missing(self) -> bool:
        """Whether a path without it still matches."""
        return len(self.parameters) == 1 and (
            self.parameters[0].optional
            or self.parameters[0].catch_all
            or self.parameters[0].default is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A parsed template."""

    template: str
    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a percent-encoded path that fits the template, else None.

        Literals match in any case, a slash at the end is ignored, an encoded slash stays encoded.
        """
        parts = path.strip("/").split("/") if path.strip("/") else []
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.parameters and segment.parameters[0].catch_all:
                found = {segment.parameters[0].name: _decode("/".join(parts[index:]))}
                parts = parts[: index + 1]
            elif index < len(parts):
                matched = segment.pattern.fullmatch(_decode(parts[index]))
                if matched is None:
                    return None
                found = {key: value for key, value in matched.groupdict().items() if value}
            elif segment.may_be_missing:
                found = {}
            else:
                return None
            if not _accept(segment.parameters, found, values):
                return None
        return values if len(parts) <= len(self.segments) else None


def _accept(
    parameters: tuple[Parameter, ...], found: dict[str, str], values: dict[str, str]
) -> bool:
    for parameter in parameters:
        value = found.get(parameter.name) or parameter.default
        if not value:
            continue
        if not all(holds(value) for holds in parameter.constraints):
            return False
        values[parameter.name] = value
    return True


def _decode(part: str) -> str:
    return unquote(re.sub("%2[fF]", "%252F", part))


def parse(template: str) -> Route:
    """Parse a template such as `referrals/{referral_id:guid}/{*rest}`.

    Raises:
        HostError: the template is malformed or names an unknown constraint.
    """
    parts = _split(template.strip("/"), "/")
    segments = tuple(_segment(part, template) for part in parts if part)
    names = [parameter.name.lower() for segment in segments for parameter in segment.parameters]
    if len(set(names)) != len(names):
        raise HostError(f"The route {template!r} uses a parameter name twice.")
    return Route(template=template, segments=segments)


def _split(text: str, separator: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "{(") - (character in "})")
        if character == separator and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _segment(part: str, template: str) -> Segment:
    pattern, parameters, position = "", [], 0
    # Within a parameter, doubled braces stand for single ones.
    for found in re.finditer(r"\{((?:[^{}]|\{\{|\}\})+)\}", part):
        pattern += _literal(part[position : found.start()], template)
        parameter = _parameter(found[1], template)
        parameters.append(parameter)
        wildcard = ".*" if parameter.optional or parameter.default is not None else ".+"
        pattern += f"(?P<{parameter.name}>{wildcard})"
        position = found.end()
    pattern += _literal(part[position:], template)
    return Segment(
        pattern=re.compile(pattern, re.IGNORECASE | re.DOTALL), parameters=tuple(parameters)
    )


def _literal(text: str, template: str) -> str:
    if "{" in text or "}" in text:
        raise HostError(f"The route {template!r} has a brace out of place.")
    return re.escape(text)


def _parameter(text: str, template: str) -> Parameter:
    catch_all = text.startswith("*")
    head, *constraints = _split(text.lstrip("*"), ":")
    tail = constraints[-1] if constraints else head
    optional = tail.endswith("?")
    tail = tail.removesuffix("?")
    tail, equals, default = tail.partition("=")
    if constraints:
        constraints[-1] = tail
    else:
        head = tail
    if not head.isidentifier():
        raise HostError(f"The route {template!r} has no proper parameter name in {{{text}}}.")
    return Parameter(
        name=head,
        constraints=tuple(_constraint(constraint, template) for constraint in constraints),
        default=default if equals else None,
        optional=optional,
        catch_all=catch_all,
    )


def _constraint(text: str, template: str) -> Constraint:
    name, _, rest = text.partition("(")
    argument = rest.removesuffix(")")
    if name == "regex":
        pattern = re.compile(argument.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    try:
        numbers = [int(number) for number in argument.split(",")] if argument else []
    except ValueError:
        raise HostError(
            f"The route {template!r} has a constraint without a number: {text}"
        ) from None
    if not numbers and name in WITHOUT_ARGUMENT:
        return WITHOUT_ARGUMENT[name]
    if (name, len(numbers)) in WITH_ARGUMENTS:
        return WITH_ARGUMENTS[name, len(numbers)](numbers)
    raise HostError(f"The route {template!r} has an unknown constraint: {text}")


def _parses(parse_value: Callable[[str], object]) -> Constraint:
    def holds(value: str) -> bool:
        try:
            parse_value(value)
        except ValueError:
            return False
        return True

    return holds


def _integer(value: str) -> int | None:
    return int(value) if re.fullmatch(r"\s*[-+]?[0-9]+\s*", value) else None


def _integer_below(limit: int) -> Constraint:
    def holds(value: str) -> bool:
        number = _integer(value)
        return number is not None and -limit <= number < limit

    return holds


def _between(low: int, high: int) -> Constraint:
    def holds(value: str) -> bool:
        number = _integer(value)
        return number is not None and low <= number <= high

    return holds


WITHOUT_ARGUMENT: dict[str, Constraint] = {
    "int": _integer_below(INT32),
    "long": _integer_below(INT64),
    "bool": lambda value: value.strip().lower() in {"true", "false"},
    "guid": _parses(UUID),
    "alpha": lambda value: re.fullmatch("[A-Za-z]*", value) is not None,
    "datetime": _parses(datetime.fromisoformat),
    "decimal": _parses(float),
    "double": _parses(float),
    "float": _parses(float),
    "required": bool,
}
WITH_ARGUMENTS: dict[tuple[str, int], Callable[[Sequence[int]], Constraint]] = {
    ("length", 1): lambda given: lambda value: len(value) == given[0],
    ("length", 2): lambda given: lambda value: given[0] <= len(value) <= given[1],
    ("minlength", 1): lambda given: lambda value: len(value) >= given[0],
    ("maxlength", 1): lambda given: lambda value: len(value) <= given[0],
    ("min", 1): lambda given: _between(given[0], INT64),
    ("max", 1): lambda given: _between(-INT64, given[0]),
    ("range", 2): lambda given: _between(given[0], given[1]),
}
