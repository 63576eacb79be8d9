"""Compiles the patterns of JSON Schema to regular languages.

The syntax is ECMA-262 without flags; the classes of digits, word characters and spaces are ASCII. A
pattern matches anywhere in a text unless it is anchored. Back references and word boundaries are
unsupported, because they are not regular or need large automata; lookaheads are supported outside
of groups. `anchors` removes `^` and `$`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from antiphon.schemas.anchors import (
    AT_BEGIN,
    AT_END,
    Part,
    Rest,
    any_of,
    before,
    found_anywhere,
    in_turn,
    plain,
    repeated,
)
from antiphon.schemas.regular import (
    LAST,
    NOTHING,
    REST,
    Alt,
    Both,
    Cat,
    Chars,
    Language,
    Not,
    Span,
    both,
    chars,
    either,
    exactly,
    inside,
    neither,
    outside,
)
from antiphon.schemas.steps import Steps

LONGEST: Final = 2000
DEEPEST: Final = 40
AHEADS: Final = 40
"""The maximum number of lookaheads of a pattern: each adds a language to the intersection."""

MOST: Final = 1000
"""The maximum number of repetitions; those of nested parts multiply. An upper limit beyond it is
kept, but a grammar cannot count so far."""

COST: Final = 6
"""Steps for each character of a pattern."""

DIGITS: Final = ((48, 57),)
WORDS: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACES: Final = ((9, 13), (32, 32))
NEWLINES: Final = ((10, 10), (13, 13), (0x2028, 0x2029))

_CLASSES: Final[Mapping[str, tuple[Span, ...]]] = MappingProxyType(
    {"d": DIGITS, "w": WORDS, "s": SPACES}
)
_CONTROLS: Final[Mapping[str, int]] = MappingProxyType(
    {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
)
_TIMES: Final[Mapping[str, tuple[int, int | None]]] = MappingProxyType(
    {"*": (0, None), "+": (1, None), "?": (0, 1)}
)
_HEX: Final[Mapping[str, int]] = MappingProxyType({"x": 2, "u": 4})


_SINGLE: Final[Mapping[str, Part]] = MappingProxyType(
    {"^": AT_BEGIN, "$": AT_END, ".": plain(outside(NEWLINES))}
)
_EDGES: Final[Mapping[str, Part]] = MappingProxyType({"A": AT_BEGIN, "z": AT_END, "Z": AT_END})

_Ahead: TypeAlias = Callable[[Rest], Rest]


class PatternUnsupportedError(Exception):
    """A pattern that is not supported. The message names the unsupported part."""


def language(pattern: str, steps: Steps | None = None) -> Language:
    """Return the language of the `whole` texts in which `pattern` matches.

    Raises `PatternUnsupportedError`, and `TooComplexError` if the pattern is too long for `steps`.
    """
    if steps is not None:
        steps.take(COST * len(pattern))
    if len(pattern) > LONGEST:
        raise PatternUnsupportedError(f"it has more than {LONGEST} characters")
    reader = _Reader(pattern)
    found = reader.pattern_alternatives()
    if not reader.ended:
        raise PatternUnsupportedError("a ')' closes nothing")
    return found_anywhere(found)


class _Reader:
    """Parses one pattern from its first character to its last."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._aheads = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._pattern)

    def pattern_alternatives(self) -> Rest:
        """Read the alternatives of the whole pattern, which may contain lookaheads."""
        found = [self._pattern_alternative()]
        while self._take("|"):
            found.append(self._pattern_alternative())
        later = either(*(one.later for one in found))
        if all(one.first is one.later for one in found):
            return Rest(later, later)
        return Rest(either(*(one.first for one in found)), later)

    def _pattern_alternative(self) -> Rest:
        runs: list[list[Part]] = [[]]
        aheads: list[_Ahead] = []
        while self._continues():
            ahead = self._ahead()
            if ahead is None:
                runs[-1].append(self._piece())
            else:
                aheads.append(ahead)
                runs.append([])
        rest = before(in_turn(runs.pop()), Rest(REST, REST))
        for run, ahead in zip(reversed(runs), reversed(aheads), strict=True):
            rest = before(in_turn(run), ahead(rest))
        return rest

    def _group_alternatives(self) -> Part:
        """Read the alternatives of a group."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise PatternUnsupportedError("its groups are nested too deeply")
        found = [self._group_alternative()]
        while self._take("|"):
            found.append(self._group_alternative())
        self._depth -= 1
        return any_of(found)

    def _group_alternative(self) -> Part:
        parts: list[Part] = []
        while self._continues():
            if self._sees("(?=") or self._sees("(?!"):
                raise PatternUnsupportedError("lookaround inside of groups is not supported")
            parts.append(self._piece())
        return in_turn(parts)

    def _continues(self) -> bool:
        return not self.ended and self._pattern[self._at] not in "|)"

    def _ahead(self) -> _Ahead | None:
        """Read a lookahead; None if there is none."""
        wanted = self._sees("(?=")
        if not wanted and not self._sees("(?!"):
            return None
        self._at += 3
        self._aheads += 1
        if self._aheads > AHEADS:
            raise PatternUnsupportedError(f"it looks ahead more than {AHEADS} times")
        seen = before(self._group_alternatives(), Rest(REST, REST))
        self._expect(")")
        if not wanted:
            seen = Rest(neither(seen.first), neither(seen.later))
        return lambda rest: Rest(both(seen.first, rest.first), both(seen.later, rest.later))

    def _piece(self) -> Part:
        one = self._atom()
        if self.ended or self._pattern[self._at] not in "*+?{":
            return one
        least, most = self._times()
        if (least, most) == (1, 1):
            return one
        counted = least if most is None or most > MOST else most
        if max(map(_repetitions, one.languages)) * max(1, counted) > MOST:
            raise PatternUnsupportedError(f"it repeats more than {MOST} times")
        return repeated(one, least, most)

    def _atom(self) -> Part:
        char = self._next()
        if char in "*+?":
            raise PatternUnsupportedError(f"'{char}' repeats nothing")
        match char:
            case "[":
                return plain(self._set())
            case "(":
                return self._group()
            case "\\":
                return self._escape()
        return _SINGLE.get(char) or plain(exactly(char))

    def _times(self) -> tuple[int, int | None]:
        found = _TIMES.get(self._pattern[self._at])
        if found is not None:
            self._at += 1
        else:
            found = self._count()
            if found is None:
                return 1, 1
        # Lazy and greedy quantifiers match the same texts.
        self._take("?")
        return found

    def _count(self) -> tuple[int, int | None] | None:
        """Read `{2}`, `{2,}` or `{2,3}`; other braces are literal characters."""
        end = self._pattern.find("}", self._at)
        inside = self._pattern[self._at + 1 : max(end, self._at + 1)]
        least, comma, most = inside.partition(",")
        if not _is_count(least) or (most and not _is_count(most)):
            return None
        self._at = end + 1
        if not comma:
            return int(least), int(least)
        found = int(least), int(most) if most else None
        if found[1] is not None and found[1] < found[0]:
            raise PatternUnsupportedError("it repeats less than least")
        return found

    def _group(self) -> Part:
        if self._take("?"):
            named = self._take("P<") or (self._take("<") and not self._sees_any("=!"))
            if named:
                self._upto(">")
            elif not self._take(":"):
                raise PatternUnsupportedError("lookbehind, flags and other groups with '(?'")
        found = self._group_alternatives()
        self._expect(")")
        return found

    def _escape(self) -> Part:
        char = self._next()
        if char.lower() in _CLASSES:
            spans = _CLASSES[char.lower()]
            return plain(chars(spans) if char.islower() else outside(spans))
        if char in _EDGES:
            return _EDGES[char]
        code = self._code(char)
        return plain(Chars(((code, code),)))

    def _code(self, char: str) -> int:
        """Read the escape of one character, behind its backslash."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "u" and self._take("{"):
            return self._hex(self._upto("}"))
        if char in _HEX:
            digits = self._pattern[self._at : self._at + _HEX[char]]
            self._at += _HEX[char]
            return self._hex(digits if len(digits) == _HEX[char] else "")
        if char.isalnum():
            raise PatternUnsupportedError(f"'\\{char}' is not supported")
        return ord(char)

    def _hex(self, digits: str) -> int:
        if not digits or not all(one in "0123456789abcdefABCDEF" for one in digits):
            raise PatternUnsupportedError("an escape has not as many digits as it needs")
        code = int(digits, 16)
        if code > LAST or exactly(chr(code)) == NOTHING:
            raise PatternUnsupportedError("an escape names no character")
        return code

    def _set(self) -> Language:
        negated = self._take("^")
        spans: list[Span] = []
        while not self._take("]"):
            low = self._member()
            if len(low) == 1 and low[0][0] == low[0][1] and self._is_range():
                high = self._member()
                if len(high) != 1 or high[0][1] < low[0][0]:
                    raise PatternUnsupportedError("a range of characters ends before it begins")
                low = ((low[0][0], high[0][1]),)
            spans.extend(low)
        return outside(spans) if negated else inside(spans)

    def _is_range(self) -> bool:
        """Whether a `-` follows that is not the last character of its set."""
        return not self._sees("-]") and self._take("-")

    def _member(self) -> tuple[Span, ...]:
        char = self._next()
        if char != "\\":
            return ((ord(char), ord(char)),)
        char = self._next()
        if char.lower() in _CLASSES:
            spans = _CLASSES[char.lower()]
            members = chars(spans) if char.islower() else outside(spans)
            return members.spans if isinstance(members, Chars) else ()
        code = 8 if char == "b" else self._code(char)
        return ((code, code),)

    def _sees(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _sees_any(self, chars_: str) -> bool:
        return any(map(self._sees, chars_))

    def _take(self, text: str) -> bool:
        if not self._sees(text):
            return False
        self._at += len(text)
        return True

    def _next(self) -> str:
        if self.ended:
            raise PatternUnsupportedError("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise PatternUnsupportedError(f"a '{text}' is missing")

    def _upto(self, text: str) -> str:
        end = self._pattern.find(text, self._at)
        if end < 0:
            raise PatternUnsupportedError(f"a '{text}' is missing")
        found, self._at = self._pattern[self._at : end], end + 1
        return found


def _is_count(digits: str) -> bool:
    return digits.isascii() and digits.isdigit()


def _repetitions(of: Language) -> int:
    """Return the largest product of nested repetitions in `of`."""
    match of:
        case Chars() | Not():
            return 1
        case Cat(many) | Alt(many) | Both(many):
            return max(map(_repetitions, many), default=1)
    counted = of.least if of.most is None or of.most > MOST else of.most
    return _repetitions(of.of) * max(1, counted)
