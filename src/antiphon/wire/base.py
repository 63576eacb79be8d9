"""The two families of structs that every other wire type belongs to."""

import msgspec


class Param(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a caller sends. Closed: an unknown key is an error, never ignored."""


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """What the API says. `UNSET` leaves a key out, `None` says `null`.

    Answers never share a class with requests: a shared one would leak keys such as
    `"cache_control": null` to the caller.
    """
