"""The patterns of JSON schemas as regular languages.

Read as ECMA-262 says, without flags; digits, word characters and spaces are those of ASCII. A
pattern need not match a whole text: it is found anywhere in it, unless it is anchored. Back
references and word boundaries are no regular language, or no small one; looking ahead is
understood outside of groups.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from antiphon.schemas.regular import (
    BEGIN,
    EMPTY,
    END,
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
    cat,
    chars,
    derive,
    either,
    inside,
    neither,
    outside,
    repeat,
    word,
)

LONGEST: Final = 2000
DEEPEST: Final = 40
AHEADS: Final = 40
"""How often a pattern may look ahead: what follows is then in as many languages at once."""

MOST: Final = 1000
"""Repetitions that are counted, of all that lie in one another together."""

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
_HEX: Final[Mapping[str, int]] = MappingProxyType({"x": 2, "u": 4})


_SINGLE: Final[Mapping[str, Language]] = MappingProxyType(
    {"^": Chars(((BEGIN, BEGIN),)), "$": Chars(((END, END),)), ".": outside(NEWLINES)}
)


class PatternUnsupportedError(Exception):
    """A pattern that is not understood. The message says what in it is not."""


def language(pattern: str) -> Language:
    """Return the texts in which `pattern` is found; `whole` texts, with their end."""
    if len(pattern) > LONGEST:
        raise PatternUnsupportedError(f"it has more than {LONGEST} characters")
    reader = _Reader(pattern)
    found = reader.ways(outermost=True)
    if not reader.ended:
        raise PatternUnsupportedError("a ')' closes nothing")
    return derive(cat(REST, found), BEGIN)


class _Reader:
    """Reads one pattern from its first character to its last."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._aheads = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._pattern)

    def ways(self, *, outermost: bool = False) -> Language:
        """Read alternatives; those that are outermost go on to the end of the text."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise PatternUnsupportedError("its groups are nested too deeply")
        found = [self._way(outermost=outermost)]
        while self._take("|"):
            found.append(self._way(outermost=outermost))
        self._depth -= 1
        return either(*found)

    def _way(self, *, outermost: bool) -> Language:
        parts: list[Language | Callable[[Language], Language]] = []
        while not self.ended and not self._sees("|") and not self._sees(")"):
            parts.append(self._ahead(outermost=outermost) or self._piece())
        rest: Language = REST if outermost else EMPTY
        for part in reversed(parts):
            rest = part(rest) if callable(part) else cat(part, rest)
        return rest

    def _ahead(self, *, outermost: bool) -> Callable[[Language], Language] | None:
        """Read a look ahead: what follows must be so, or must not."""
        wanted = self._take("(?=")
        if not wanted and not self._take("(?!"):
            return None
        if not outermost:
            raise PatternUnsupportedError("lookaround inside of groups is not supported")
        self._aheads += 1
        if self._aheads > AHEADS:
            raise PatternUnsupportedError(f"it looks ahead more than {AHEADS} times")
        # What stands before the first character may still be ahead.
        seen = cat(repeat(_SINGLE["^"], 0, 1), self.ways(), REST)
        self._expect(")")
        return lambda rest: both(seen if wanted else neither(seen), rest)

    def _piece(self) -> Language:
        before = self._at
        one = self._atom()
        least, most = self._times()
        if (least, most) == (1, 1):
            return one
        if one == EMPTY or before == self._at:
            return EMPTY
        if _counted(one) * max(least, most or 0) > MOST:
            raise PatternUnsupportedError(f"it repeats more than {MOST} times")
        return repeat(one, least, most)

    def _atom(self) -> Language:
        char = self._next()
        if char in "*+?":
            raise PatternUnsupportedError(f"'{char}' repeats nothing")
        match char:
            case "[":
                return self._set()
            case "(":
                return self._group()
            case "\\":
                return self._escape()
        return _SINGLE.get(char) or word(char)

    def _times(self) -> tuple[int, int | None]:
        found: tuple[int, int | None] = (1, 1)
        if self._take("*"):
            found = (0, None)
        elif self._take("+"):
            found = (1, None)
        elif self._take("?"):
            found = (0, 1)
        elif self._sees("{"):
            counted = self._count()
            if counted is None:
                return found
            found = counted
        else:
            return found
        # As few as possible or as many: the texts are the same.
        self._take("?")
        return found

    def _count(self) -> tuple[int, int | None] | None:
        """Read `{2}`, `{2,}` or `{2,3}`; other braces are characters like others."""
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

    def _group(self) -> Language:
        if self._take("?"):
            named = self._take("P<") or (self._take("<") and not self._sees_any("=!"))
            if named:
                self._upto(">")
            elif not self._take(":"):
                raise PatternUnsupportedError("lookbehind, flags and other groups with '(?'")
        found = self.ways()
        self._expect(")")
        return found

    def _escape(self) -> Language:
        char = self._next()
        if char.lower() in _CLASSES:
            spans = _CLASSES[char.lower()]
            return chars(spans) if char.islower() else outside(spans)
        if char in "AzZ":
            edge = BEGIN if char == "A" else END
            return Chars(((edge, edge),))
        code = self._code(char)
        return Chars(((code, code),))

    def _code(self, char: str) -> int:
        """Read what follows a backslash and stands for one character."""
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
        if code > LAST or word(chr(code)) == NOTHING:
            raise PatternUnsupportedError("an escape names no character")
        return code

    def _set(self) -> Language:
        negated = self._take("^")
        spans: list[Span] = []
        while not self._take("]"):
            low = self._member()
            if len(low) == 1 and low[0][0] == low[0][1] and self._ranges():
                high = self._member()
                if len(high) != 1 or high[0][1] < low[0][0]:
                    raise PatternUnsupportedError("a range of characters ends before it begins")
                low = ((low[0][0], high[0][1]),)
            spans.extend(low)
        return outside(spans) if negated else inside(spans)

    def _ranges(self) -> bool:
        """Whether a `-` follows that is not the last of its set."""
        return not self._sees("-]") and self._take("-")

    def _member(self) -> tuple[Span, ...]:
        char = self._next()
        if char != "\\":
            return ((ord(char), ord(char)),)
        char = self._next()
        if char.lower() in _CLASSES:
            spans = _CLASSES[char.lower()]
            kept = chars(spans) if char.islower() else outside(spans)
            return kept.spans if isinstance(kept, Chars) else ()
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
    return digits.isascii() and digits.isdigit() and len(digits) <= len(str(LONGEST)) + 1


def _counted(of: Language) -> int:
    """Say how many times the parts of `of` are repeated in one another, at most."""
    match of:
        case Chars() | Not():
            return 1
        case Cat(many) | Alt(many) | Both(many):
            return max(map(_counted, many), default=1)
    return _counted(of.of) * max(1, of.least, of.most or 0)
