"""Numbers between bounds, as grammars of their digits."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import Final

from antiphon.schemas.grammars.gbnf import Rules, either, literal, one_of, times
from antiphon.schemas.values import decimal
from antiphon.schemas.view import Schema

DIGITS: Final = 15
"""Digits of a number: as many as a binary one keeps apart, and an end for a model that has none."""

LONGEST: Final = 30
"""Digits of a bound; one with more is kept by the check afterwards."""

STEPS: Final = 64
"""The largest step whose multiples are told by their digits, a rule for each remainder."""

FEW: Final = 200
"""Multiples of a larger step that are written one by one."""

BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_ASKED: Final = frozenset({*BOUNDS, "multipleOf"})
INTEGER: Final = '"-"? ("0" | [1-9] [0-9]{0,14})'
NUMBER: Final = INTEGER + ' ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?'


def integers(rules: Rules, schema: Schema) -> tuple[str | None, tuple[str, ...]]:
    """Name the rule of the integers that `schema` allows, and the words that it does not keep."""
    if not schema.keys() & _ASKED:
        return rules.add(INTEGER), ()
    step = decimal(schema.get("multipleOf", 1))
    whole = Fraction(step.numerator)  # the integers among the multiples of 3/2 are those of 3
    return _multiples(rules, schema, whole)


def numbers(rules: Rules, schema: Schema) -> tuple[str | None, tuple[str, ...]]:
    """Name the rule of the numbers that `schema` allows, and the words that it does not keep."""
    if "multipleOf" in schema:
        return _multiples(rules, schema, decimal(schema["multipleOf"]))
    if not any(word in schema for word in BOUNDS):
        return rules.add(NUMBER), ()
    low, high, left = _bounds(schema, Fraction(1))
    if left:
        return rules.add(NUMBER), left
    ways = [scaled(rules, ceil(low), floor(high)), *_fractions(rules, low, high)]
    for places in range(1, max(_places(low), _places(high)) + 1):
        unit = 10**places
        ways.append(scaled(rules, ceil(low * unit), floor(high * unit), 1, places))
    said = [way for way in ways if way is not None]
    return rules.add(either(said)) if said else None, ()


def _fractions(rules: Rules, low: Fraction, high: Fraction) -> Iterator[str]:
    """Write integers with any fraction, as far as none of theirs crosses a bound."""
    fraction = '"." [0-9]{1,6}'
    positive = scaled(rules, max(ceil(low), 0), floor(high) - 1)
    if positive is not None:
        yield f"{positive} {fraction}"
    negative = scaled(rules, max(ceil(-high), 0), floor(-low) - 1)
    if negative is not None:
        yield f'"-" {negative} {fraction}'


def _multiples(rules: Rules, schema: Schema, step: Fraction) -> tuple[str | None, tuple[str, ...]]:
    low, high, left = _bounds(schema, step)
    point = _places(step)
    if point > DIGITS:
        return rules.add(NUMBER), ("multipleOf", *BOUNDS)
    unit, width = 10**point, int(step * 10**point)
    least, most = ceil(low * unit), floor(high * unit)
    count = most // width + -least // width + 1
    if width > STEPS and count > FEW:
        return rules.add(INTEGER if not point else NUMBER), ("multipleOf", *BOUNDS)
    if width > STEPS:
        first = -(-least // width) * width
        values = [_written(first + one * width, point) for one in range(count)]
        return (rules.add(either(map(literal, values))) if values else None), left
    return scaled(rules, least, most, width, point), left


def _bounds(schema: Schema, step: Fraction) -> tuple[Fraction, Fraction, tuple[str, ...]]:
    """Return the least and the greatest value, and the words of bounds that are out of reach.

    Excluded bounds are moved inwards by the least that matters here.
    """
    given = {word: decimal(schema[word]) for word in BOUNDS if word in schema}
    left = tuple(word for word, bound in given.items() if _digits(bound) > LONGEST)
    fit = {word: bound for word, bound in given.items() if word not in left}
    far = max(10 ** max(1, DIGITS - _places(step)) - 1, step)
    inwards = Fraction(1, 10 ** max(2, *map(_places, fit.values()), _places(step), 0))
    lows = [fit[word] for word in ("minimum",) if word in fit]
    lows += [fit[word] + inwards for word in ("exclusiveMinimum",) if word in fit]
    highs = [fit[word] for word in ("maximum",) if word in fit]
    highs += [fit[word] - inwards for word in ("exclusiveMaximum",) if word in fit]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is None:
        low = min(Fraction(-far), high * 2 if high is not None else Fraction(0))
    return low, high if high is not None else max(Fraction(far), low * 2), left


def scaled(rules: Rules, low: int, high: int, step: int = 1, point: int = 0) -> str | None:
    """Name the rule of the multiples of `step` from `low` to `high`, if there are any.

    Each stands for itself divided by ten to the power of `point`, and is written as that.
    """
    low, high = -(-low // step) * step, high // step * step
    if low > high:
        return None
    known = rules.numbers.get((low, high, step, point))
    if known is not None:
        return known
    ways = list(_positive(rules, max(low, 0), high, step, point))
    ways += [f'"-" {way}' for way in _positive(rules, max(-high, 1), -low, step, point)]
    name = rules.numbers[(low, high, step, point)] = rules.add(either(ways))
    return name


def _positive(rules: Rules, low: int, high: int, step: int, point: int) -> Iterator[str]:
    """Write a way for each number of digits."""
    if low > high:
        return
    shortest = max(len(str(low)), point + 1)
    lengths = range(shortest, max(len(str(high)), shortest) + 1)
    free = range(0)
    if step == 1 and point == 0:
        # Lengths of which no number crosses a bound are written in one.
        free = range(len(str(low - 1)) + 1, len(str(high + 1)))
        free = free if low else range(max(free.start, 2), free.stop)
    if free:
        yield f"[1-9] {times('[0-9]', free.start - 1, free.stop - 2)}"
    for length in lengths:
        if length in free:
            continue
        least = max(low, 10 ** (length - 1)) if length > shortest else low
        most = min(high, 10**length - 1)
        digits = _Digits(rules, str(least).zfill(length), str(most).zfill(length), step, point)
        way = digits.rule()
        if way is not None:
            yield way


class _Digits:
    """Numbers of one length, digit by digit: still at a bound or free, and with what remainder."""

    def __init__(self, rules: Rules, low: str, high: str, step: int, point: int) -> None:
        self._rules = rules
        self._low = low
        self._high = high
        self._step = step
        self._point = point
        self._known: dict[tuple[int, bool, bool, int], str | None] = {}

    def rule(self) -> str | None:
        return self._from(0, at_low=True, at_high=True, rest=0)

    def _from(self, place: int, *, at_low: bool, at_high: bool, rest: int) -> str | None:
        left = len(self._low) - place
        if left == 0:
            return '""' if rest == 0 else None
        free = not at_low and not at_high
        key = (place, at_low, at_high, rest)
        if key not in self._known:
            if free and self._step == 1:
                self._known[key] = self._rules.add(self._any(left))
            else:
                self._known[key] = self._written(place, at_low=at_low, at_high=at_high, rest=rest)
        return self._known[key]

    def _any(self, left: int) -> str:
        if not 0 < self._point <= left:
            return times("[0-9]", left, left)
        before = f"{times('[0-9]', left - self._point, left - self._point)} " * (left > self._point)
        return f'{before}"." {times("[0-9]", self._point, self._point)}'

    def _written(self, place: int, *, at_low: bool, at_high: bool, rest: int) -> str | None:
        first = int(self._low[place]) if at_low else 0
        last = int(self._high[place]) if at_high else 9
        leads: dict[str, list[int]] = {}
        for digit in range(first, last + 1):
            then = self._from(
                place + 1,
                at_low=at_low and digit == first,
                at_high=at_high and digit == last,
                rest=(rest * 10 + digit) % self._step,
            )
            if then is not None:
                leads.setdefault(then, []).append(digit)
        if not leads:
            return None
        point = '"." ' if len(self._low) - place == self._point else ""
        ways = [_digit(digits, then) for then, digits in leads.items()]
        return self._rules.add(f"{point}{either(ways)}")


def _digit(digits: list[int], then: str) -> str:
    one = one_of(_spans(digits))
    return one if then == '""' else f"{one} {then}"


def _spans(digits: list[int]) -> Iterator[tuple[int, int]]:
    """Join neighbours; `digits` ascend."""
    start = digits[0]
    for digit, following in zip(digits, [*digits[1:], -1], strict=True):
        if following != digit + 1:
            yield 48 + start, 48 + digit
            start = following


def _written(value: int, point: int) -> str:
    digits = str(abs(value)).zfill(point + 1)
    said = f"{digits[:-point]}.{digits[-point:]}" if point else digits
    return f"-{said}" if value < 0 else said


def _places(value: Fraction) -> int:
    """Count the digits behind the point; bounds and steps are decimal numbers."""
    places = 0
    while value.denominator != 1 and places < LONGEST:
        value *= 10
        places += 1
    return places


def _digits(value: Fraction) -> int:
    return len(str(abs(floor(value)))) + _places(value)
