"""How the calls of `/v1/organizations` are made. They are sent with the admin key, if there is one.

Parameters of `None` are left out. Where `null` has a meaning, as in "no limit", it stands inside of
a value.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from antiphon.sdk.call import Call, CallOptions, json_body, path_of, query_pairs
from antiphon.sdk.pages import PageCall, page_call, page_of
from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.decoding import answered

A = TypeVar("A", bound=Answered)
Moment: TypeAlias = str | datetime
"""A time of RFC 3339, with its zone."""

ROOT = "organizations"


def shown(
    kind: type[A], *steps: str, options: CallOptions, query: Mapping[str, Any] | None = None
) -> Call[A]:
    """Return the call that shows one object."""
    return Call(
        method="GET",
        path=path_of(ROOT, *steps),
        decode=answered(kind),
        query=query_pairs(query or {}),
        options=options,
        admin=True,
    )


def sent(
    kind: type[A],
    *steps: str,
    options: CallOptions,
    body: Mapping[str, Any] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Call[A]:
    """Return the call that makes or changes an object."""
    given = {name: value for name, value in (body or {}).items() if value is not None}
    return Call(
        method="POST",
        path=path_of(ROOT, *steps),
        decode=answered(kind),
        body=json_body(given, options),
        headers=headers,
        options=options,
        admin=True,
    )


def removed(kind: type[A], *steps: str, options: CallOptions) -> Call[A]:
    """Return the call that removes an object."""
    return Call(
        method="DELETE",
        path=path_of(ROOT, *steps),
        decode=answered(kind),
        options=options,
        admin=True,
    )


def listed(
    kind: type[A], *steps: str, options: CallOptions, query: Mapping[str, Any]
) -> PageCall[A]:
    """Return the call of a list."""
    return page_call(path_of(ROOT, *steps), page_of(kind), dict(query), options, admin=True)
