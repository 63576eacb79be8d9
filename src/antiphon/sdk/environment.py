"""The variables that a client reads, and the only reader of them in the SDK.

`ANTIPHON_*` come before `ANTHROPIC_*`, and what the program itself says comes before both. Without
an address a client speaks to a server on this machine: a key of the hosted API that lies in the
environment must never send private text there by itself. Nor is that key for whatever listens on
this machine: what `ANTHROPIC_*` says of the caller goes only to an address that somebody named.
"""

import os
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from antiphon.transport.base import Discreet, without_userinfo

LOCAL = "http://127.0.0.1:8000"
"""Where `antiphon serve` listens."""

BASE_URL = ("ANTIPHON_BASE_URL", "ANTHROPIC_BASE_URL")
API_KEY = ("ANTIPHON_API_KEY", "ANTHROPIC_API_KEY")
AUTH_TOKEN = ("ANTHROPIC_AUTH_TOKEN",)
ADMIN_KEY = ("ANTIPHON_ADMIN_KEY", "ANTHROPIC_ADMIN_KEY")
CUSTOM_HEADERS = ("ANTHROPIC_CUSTOM_HEADERS",)
LOG = ("ANTIPHON_SDK_LOG", "ANTHROPIC_LOG")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Environment(Discreet, frozen=True, kw_only=True):
    """What the variables say; `None` where none is set. Empty ones count as not set.

    `foreign` has, by the field, the variables that say who the caller is and are not
    Antiphon's own.
    """

    base_url: str | None = None
    api_key: str | None = None
    auth_token: str | None = None
    admin_key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    log: str | None = None
    proxies: Mapping[str, str] = {}
    foreign: Mapping[str, str] = {}

    def for_unnamed_address(self) -> Self:
        """Return what is left for a server that nobody has named: Antiphon's own keys."""
        nothing: dict[str, Any] = dict.fromkeys(self.foreign)
        if "headers" in nothing:
            nothing["headers"] = ()
        return msgspec.structs.replace(self, **nothing)

    def _shown(self) -> dict[str, Any]:
        return {"base_url": None if self.base_url is None else without_userinfo(self.base_url)}


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the variables of this process, or those that are given.

    Raises `ValueError` for a line of `ANTHROPIC_CUSTOM_HEADERS` that is not `Name: value`.
    """
    variables = os.environ if variables is None else variables
    headers = _first(variables, CUSTOM_HEADERS) or ""
    said = {
        "api_key": API_KEY, "auth_token": AUTH_TOKEN, "admin_key": ADMIN_KEY,
        "headers": CUSTOM_HEADERS,
    }  # fmt: skip
    found = {field: _first_name(variables, names) for field, names in said.items()}
    return Environment(
        base_url=_first(variables, BASE_URL),
        api_key=_first(variables, API_KEY),
        auth_token=_first(variables, AUTH_TOKEN),
        admin_key=_first(variables, ADMIN_KEY),
        headers=tuple(_headers(headers)),
        log=_first(variables, LOG),
        proxies=_proxies(variables),
        foreign={
            field: name
            for field, name in found.items()
            if name is not None and not name.startswith("ANTIPHON_")
        },
    )


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    name = _first_name(variables, names)
    return None if name is None else variables[name].strip()


def _first_name(variables: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first of these variables that is set to more than blanks."""
    return next((name for name in names if variables.get(name, "").strip()), None)


def _headers(lines: str) -> list[tuple[str, str]]:
    """Read one header a line. The value is no part of the fault's text: it may be a secret."""
    found = []
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(
                f"ANTHROPIC_CUSTOM_HEADERS: line {number} is not of the form `Name: value`"
            )
        found.append((name.strip(), value.strip()))
    return found


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Read the variables of proxies by their names in capitals.

    Programs write them in small letters as well, which count first. `HTTP_PROXY` in capitals is not
    read where a web server may have made it of a caller's header.
    """
    found = {}
    for name in PROXIES:
        value = variables.get(name.lower())
        if not value and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in variables):
            value = variables.get(name)
        if value:
            found[name] = value
    return found
