"""Numbers as grammars of their digits: bounds and multiples."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import Final

from antiphon.schemas.grammars.gbnf import Rules, either, literal, one_of, times
from antiphon.schemas.values import decimal
from antiphon.schemas.view import Schema

DIGITS: Final = 15
"""The maximum number of digits: the precision of a double, and a limit for the model."""

LONGEST: Final = 30
"""The maximum number of digits of a bound; longer bounds are left to the check."""

STEPS: Final = 64
"""The largest step whose multiples are written digit by digit, with a rule per remainder."""

FEW: Final = 200
"""The maximum number of multiples of a larger step, which are written one by one."""

BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_KEYWORDS: Final = frozenset({*BOUNDS, "multipleOf"})
INTEGER: Final = '"-"? ("0" | [1-9] [0-9]{0,14})'
NUMBER: Final = INTEGER + ' ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?'


def integers(rules: Rules, schema: Schema) -> tuple[str | None, tuple[str, ...]]:
    """Return the rule for the integers of `schema`, and the keywords that it does not enforce."""
    if not schema.keys() & _KEYWORDS:
        return rules.add(INTEGER), ()
    step = decimal(schema.get("multipleOf", 1))
    whole = Fraction(step.numerator)  # the integer multiples of 3/2 are the multiples of 3
    return _multiples(rules, schema, whole)


def numbers(rules: Rules, schema: Schema) -> tuple[str | None, tuple[str, ...]]:
    """Return the rule for the numbers of `schema`, and the keywords that it does not enforce."""
    if "multipleOf" in schema:
        return _multiples(rules, schema, decimal(schema["multipleOf"]))
    if not any(keyword in schema for keyword in BOUNDS):
        return rules.add(NUMBER), ()
    low, high, unenforced = _bounds(schema, Fraction(1))
    if unenforced:
        return rules.add(NUMBER), unenforced
    candidates = [scaled(rules, ceil(low), floor(high)), *_fractions(rules, low, high)]
    for places in range(1, max(_places(low), _places(high)) + 1):
        unit = 10**places
        candidates.append(scaled(rules, ceil(low * unit), floor(high * unit), 1, places))
    alternatives = [rule for rule in candidates if rule is not None]
    return rules.add(either(alternatives)) if alternatives else None, ()


def _fractions(rules: Rules, low: Fraction, high: Fraction) -> Iterator[str]:
    """Yield rule bodies for the integers whose every fraction is within the bounds."""
    fraction = '"." [0-9]{1,6}'
    positive = scaled(rules, max(ceil(low), 0), floor(high) - 1)
    if positive is not None:
        yield f"{positive} {fraction}"
    negative = scaled(rules, max(ceil(-high), 0), floor(-low) - 1)
    if negative is not None:
        yield f'"-" {negative} {fraction}'


def _multiples(rules: Rules, schema: Schema, step: Fraction) -> tuple[str | None, tuple[str, ...]]:
    low, high, unenforced = _bounds(schema, step)
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
        values = [_number_text(first + one * width, point) for one in range(count)]
        return (rules.add(either(map(literal, values))) if values else None), unenforced
    return scaled(rules, least, most, width, point), unenforced


def _bounds(schema: Schema, step: Fraction) -> tuple[Fraction, Fraction, tuple[str, ...]]:
    """Return the least and the greatest value, and the keywords of bounds that are too long.

    Exclusive bounds are moved inwards by the smallest relevant step.
    """
    given = {keyword: decimal(schema[keyword]) for keyword in BOUNDS if keyword in schema}
    unenforced = tuple(keyword for keyword, bound in given.items() if _digits(bound) > LONGEST)
    fit = {keyword: bound for keyword, bound in given.items() if keyword not in unenforced}
    far = max(10 ** max(1, DIGITS - _places(step)) - 1, step)
    inwards = Fraction(1, 10 ** max(2, *map(_places, fit.values()), _places(step), 0))
    lows = [fit[keyword] for keyword in ("minimum",) if keyword in fit]
    lows += [fit[keyword] + inwards for keyword in ("exclusiveMinimum",) if keyword in fit]
    highs = [fit[keyword] for keyword in ("maximum",) if keyword in fit]
    highs += [fit[keyword] - inwards for keyword in ("exclusiveMaximum",) if keyword in fit]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is None:
        low = min(Fraction(-far), high * 2 if high is not None else Fraction(0))
    return low, high if high is not None else max(Fraction(far), low * 2), unenforced


def scaled(rules: Rules, low: int, high: int, step: int = 1, point: int = 0) -> str | None:
    """Return the rule for the multiples of `step` from `low` to `high`, or None.

    Each is written divided by ten to the power of `point`.
    """
    low, high = -(-low // step) * step, high // step * step
    if low > high:
        return None
    known = rules.numbers.get((low, high, step, point))
    if known is not None:
        return known
    alternatives = list(_positive(rules, max(low, 0), high, step, point))
    alternatives += [f'"-" {body}' for body in _positive(rules, max(-high, 1), -low, step, point)]
    name = rules.numbers[(low, high, step, point)] = rules.add(either(alternatives))
    return name


def _positive(rules: Rules, low: int, high: int, step: int, point: int) -> Iterator[str]:
    """Yield a rule body for each number of digits."""
    if low > high:
        return
    shortest = max(len(str(low)), point + 1)
    lengths = range(shortest, max(len(str(high)), shortest) + 1)
    free = range(0)
    if step == 1 and point == 0:
        # The lengths at which all numbers are within the bounds share one body.
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
        rule = digits.rule()
        if rule is not None:
            yield rule


class _Digits:
    """Writes numbers of one length digit by digit.

    The state is whether the digits so far equal a bound, and their remainder.
    """

    def __init__(self, rules: Rules, low: str, high: str, step: int, point: int) -> None:
        self._rules = rules
        self._low = low
        self._high = high
        self._step = step
        self._point = point
        self._known: dict[tuple[int, bool, bool, int], str | None] = {}

    def rule(self) -> str | None:
        return self._from(0, at_low=True, at_high=True, remainder=0)

    def _from(self, index: int, *, at_low: bool, at_high: bool, remainder: int) -> str | None:
        count = len(self._low) - index
        if count == 0:
            return '""' if remainder == 0 else None
        free = not at_low and not at_high
        key = (index, at_low, at_high, remainder)
        if key not in self._known:
            if free and self._step == 1:
                self._known[key] = self._rules.add(self._any(count))
            else:
                self._known[key] = self._write(
                    index, at_low=at_low, at_high=at_high, remainder=remainder
                )
        return self._known[key]

    def _any(self, count: int) -> str:
        if not 0 < self._point <= count:
            return times("[0-9]", count, count)
        before = f"{times('[0-9]', count - self._point, count - self._point)} " * (
            count > self._point
        )
        return f'{before}"." {times("[0-9]", self._point, self._point)}'

    def _write(self, index: int, *, at_low: bool, at_high: bool, remainder: int) -> str | None:
        first = int(self._low[index]) if at_low else 0
        last = int(self._high[index]) if at_high else 9
        digits_by_rule: dict[str, list[int]] = {}
        for digit in range(first, last + 1):
            then = self._from(
                index + 1,
                at_low=at_low and digit == first,
                at_high=at_high and digit == last,
                remainder=(remainder * 10 + digit) % self._step,
            )
            if then is not None:
                digits_by_rule.setdefault(then, []).append(digit)
        if not digits_by_rule:
            return None
        point = '"." ' if len(self._low) - index == self._point else ""
        alternatives = [_digit(digits, then) for then, digits in digits_by_rule.items()]
        return self._rules.add(f"{point}{either(alternatives)}")


def _digit(digits: list[int], then: str) -> str:
    one = one_of(_spans(digits))
    return one if then == '""' else f"{one} {then}"


def _spans(digits: list[int]) -> Iterator[tuple[int, int]]:
    """Merge adjacent digits into spans; `digits` are in ascending order."""
    start = digits[0]
    for digit, following in zip(digits, [*digits[1:], -1], strict=True):
        if following != digit + 1:
            yield 48 + start, 48 + digit
            start = following


def _number_text(value: int, point: int) -> str:
    digits = str(abs(value)).zfill(point + 1)
    text = f"{digits[:-point]}.{digits[-point:]}" if point else digits
    return f"-{text}" if value < 0 else text


def _places(value: Fraction) -> int:
    """Return the number of decimal places; bounds and steps are decimal numbers."""
    places = 0
    while value.denominator != 1 and places < LONGEST:
        value *= 10
        places += 1
    return places


def _digits(value: Fraction) -> int:
    return len(str(abs(floor(value)))) + _places(value)
