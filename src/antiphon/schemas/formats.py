"""The formats of strings: the pattern of the check, the rule of the grammar, and an example.

A grammar allows a subset of a format: years of two centuries, no quoted local parts.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

_MONTHS: Final = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)"
_DATE: Final = rf"\d{{4}}-{_MONTHS}|02-(0[1-9]|[12]\d))"
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?"
_OFFSET: Final = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_OCTET: Final = r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
_LETTERS: Final = "[a-zA-Z0-9]+"

HEX: Final = "[0-9a-fA-F]"
_DAY: Final = (
    '("19" | "20") [0-9]{2} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" '
    '("0" [1-9] | [12] [0-9] | "30" | "31") | ("04" | "06" | "09" | "11") "-" '
    '("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))'
)
_CLOCK: Final = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9]'
_HOUR: Final = f'{_CLOCK} ("." [0-9]{{1,6}})? ("Z" | [-+] ("0" [0-9] | "1" [0-2]) ":" [0-5] [0-9])'
_BYTE: Final = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9] [0-9] | [0-9])'
_LABEL: Final = "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,20} [a-zA-Z0-9])?"


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format.

    `pattern` matches the whole value. `rule` is the body of the grammar rule, for `shortest` to
    `longest` characters. `strict` is the pattern that replaces `rule` where other constraints apply
    to the string; it defaults to `pattern`.
    """

    pattern: str
    rule: str
    shortest: int
    longest: int
    example: str
    strict: str = ""


FORMATS: Final[Mapping[str, Format]] = {
    "date": Format(pattern=_DATE, rule=_DAY, shortest=10, longest=10, example="2000-01-01"),
    "time": Format(
        pattern=rf"{_TIME}{_OFFSET}?",
        rule=_HOUR,
        shortest=9,
        longest=21,
        example="00:00:00Z",
        strict=f"{_TIME}{_OFFSET}",
    ),
    "date-time": Format(
        pattern=rf"{_DATE}T{_TIME}{_OFFSET}",
        rule=f'{_DAY} "T" {_HOUR}',
        shortest=20,
        longest=32,
        example="2000-01-01T00:00:00Z",
    ),
    "duration": Format(
        pattern=r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?",
        rule='"P" ([0-9]{1,4} [YMWD] | "T" [0-9]{1,4} [HMS] | [0-9]{1,4} "D" "T" [0-9]{1,4} [HMS])',
        shortest=3,
        longest=12,
        example="PT0S",
        strict=r"P\d{1,4}[YMWD]",
    ),
    "email": Format(
        pattern=r"[^@\s]+@[^@\s]+",
        rule='[a-zA-Z0-9_+-]{1,20} ("." [a-zA-Z0-9_+-]{1,20})? '
        f'"@" {_LABEL} ("." {_LABEL}){{1,3}}',
        shortest=5,
        longest=133,
        example="name@example.com",
        strict=rf"[a-zA-Z0-9_+-]+(\.[a-zA-Z0-9_+-]+)*@{_LETTERS}(\.{_LETTERS})+",
    ),
    "hostname": Format(
        pattern=r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
        rule=f'{_LABEL} ("." {_LABEL}){{0,4}}',
        shortest=1,
        longest=114,
        example="example.com",
        strict=rf"{_LETTERS}(\.{_LETTERS})*",
    ),
    "uri": Format(
        pattern=r"[A-Za-z][A-Za-z0-9+.-]*:\S+",
        rule='[a-z] [a-z0-9+.-]{0,9} "://" [a-z0-9] [a-z0-9.-]{0,60} '
        '("/" [a-zA-Z0-9@!$&()*+,;=:._~/-]{0,200})? ("?" [a-zA-Z0-9=&_.-]{0,100})?',
        shortest=5,
        longest=376,
        example="https://example.com/",
        strict=r"[a-z]+://[a-z0-9]+([.-][a-z0-9]+)*(/[a-zA-Z0-9_/.-]*)?",
    ),
    "ipv4": Format(
        pattern=rf"{_OCTET}(\.{_OCTET}){{3}}",
        rule=f'{_BYTE} ("." {_BYTE}){{3}}',
        shortest=7,
        longest=15,
        example="192.0.2.1",
    ),
    "ipv6": Format(
        pattern=r"[0-9A-Fa-f:.]{2,45}",
        rule=f'{HEX}{{1,4}} (":" {HEX}{{1,4}}){{7}}',
        shortest=15,
        longest=39,
        example="2001:db8::1",
        strict=r"[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){7}",
    ),
    "uuid": Format(
        pattern=r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
        rule=f'{HEX}{{8}} ("-" {HEX}{{4}}){{3}} "-" {HEX}{{12}}',
        shortest=36,
        longest=36,
        example="00000000-0000-4000-8000-000000000000",
    ),
}
