"""What a client is set up with. No input or output."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from antiphon.sdk.breakpoints import CacheChoice, ttl_of
from antiphon.sdk.call import Call, HttpTimeout, Timeout
from antiphon.sdk.environment import LOCAL, Environment, read_environment
from antiphon.sdk.exchange import Observer
from antiphon.sdk.log import CallLog, set_up
from antiphon.transport.base import Discreet, without_userinfo

DEFAULT_RETRIES = 2


class ClientOptions(Discreet, frozen=True, kw_only=True):
    """What every call of a client has in common. Its text never shows a key."""

    base_url: str
    api_key: str | None
    auth_token: str | None
    admin_key: str | None
    timeout: Timeout
    max_retries: int
    headers: Mapping[str, str]
    query: Mapping[str, Any]
    observers: Sequence[Observer]
    proxies: Mapping[str, str]
    own_timeout: bool
    """Whether the program said how long calls may take."""
    cache: CacheChoice | None = None
    kept_back: Sequence[str] = ()
    """The variables whose keys are not sent, as nobody has named the address."""

    def _shown(self) -> dict[str, Any]:
        return {"base_url": without_userinfo(self.base_url)}


class ClientParameters(TypedDict, total=False):
    """What a program may say when it makes a client, of either kind.

    `base_url` is by default a server on this machine; the environment may say another address and
    the key (`antiphon.sdk.environment`). A number as `timeout` is the total and the idle one.
    `cache` sets breakpoints of the prompt cache in every prompt without any, as the parameter of
    one call does.
    """

    cache: CacheChoice | None
    api_key: str | None
    auth_token: str | None
    admin_key: str | None
    base_url: str | None
    timeout: float | Timeout | HttpTimeout | None
    max_retries: int
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, Any] | None
    observers: Sequence[Observer]
    environment: Environment | None


def with_environment(said: ClientParameters) -> ClientParameters:
    """Return parameters with the environment as it is now, so that a copy has the same."""
    return {**said, "environment": said.get("environment") or read_environment()}


def changed_parameters(said: ClientParameters, changes: ClientParameters) -> ClientParameters:
    """Return parameters with others in their place; a key takes the place of a token, too."""
    kept: ClientParameters = {**said}
    if {"api_key", "auth_token"} & changes.keys():
        kept.pop("api_key", None)
        kept.pop("auth_token", None)
    return {**kept, **changes}


def client_options(**said: Unpack[ClientParameters]) -> ClientOptions:
    """Complete what a program says by the environment.

    Raises `ValueError` for an address that is none, and for both a key and a token, and
    `TypeError` for a parameter that there is not.
    """
    if unknown := sorted(said.keys() - ClientParameters.__optional_keys__):
        raise TypeError(_unknown_text(unknown[0]))
    environment = said.get("environment") or read_environment()
    kept_back: tuple[str, ...] = ()
    if not (said.get("base_url") or environment.base_url):
        kept_back = tuple(environment.foreign.values())
        environment = environment.for_unnamed_address()
    api_key, auth_token = said.get("api_key"), said.get("auth_token")
    if api_key is not None and auth_token is not None:
        raise ValueError("give `api_key` or `auth_token`, not both")
    retries = said.get("max_retries", DEFAULT_RETRIES)
    if (cache := said.get("cache")) is not None:
        ttl_of(cache)
    if retries < 0:
        raise ValueError(f"max_retries is {retries}; it is 0 or more")
    if api_key is None and auth_token is None:
        # With both in the environment the key counts, as in the official SDKs.
        api_key = environment.api_key
        auth_token = None if api_key else environment.auth_token
    address = (said.get("base_url") or environment.base_url or LOCAL).rstrip("/")
    if not address.startswith(("http://", "https://")):
        shown = without_userinfo(address)
        raise ValueError(f"base_url is {shown!r}; it begins with http:// or https://")
    if "?" in address or "#" in address:
        raise ValueError(
            f"base_url is {without_userinfo(address)!r}; paths follow it, so it has no ? and no # "
            "(`default_query` adds to the query of each call)"
        )
    set_up(environment.log)
    default = Timeout()
    return ClientOptions(
        base_url=address.removesuffix("/v1"),
        api_key=api_key,
        auth_token=auth_token,
        admin_key=said.get("admin_key") or environment.admin_key,
        timeout=timeout_of(said["timeout"], default) if "timeout" in said else default,
        max_retries=retries,
        headers={**dict(environment.headers), **(said.get("default_headers") or {})},
        query=said.get("default_query") or {},
        observers=(*said.get("observers", ()), CallLog()),
        proxies=environment.proxies,
        cache=said.get("cache"),
        own_timeout="timeout" in said,
        kept_back=kept_back,
    )


def _unknown_text(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - 5 ms, and only for a mistake

    known = sorted(ClientParameters.__optional_keys__ - {"environment"})
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"a client has no parameter {name}; {meant}"


def timeout_of(said: float | Timeout | HttpTimeout | None, default: Timeout) -> Timeout:
    """Return the bounds of a call: a number is the total and the idle one, `None` is no bound.

    Of the timeouts of another HTTP client, `read` is what a number would be.
    """
    if isinstance(said, Timeout):
        return said
    if said is None:
        return Timeout(connect=default.connect, total=None, idle=None)
    if not isinstance(said, int | float):
        if not hasattr(said, "read"):
            raise TypeError(
                f"timeout is {said!r}; it is a number of seconds, or an antiphon.Timeout"
            )
        return Timeout(connect=said.connect, total=said.read, idle=said.read)
    if not said > 0:
        raise ValueError(f"timeout is {said}; it is more than 0 seconds")
    connect = said if default.connect is None else min(default.connect, said)
    return Timeout(connect=connect, total=float(said), idle=float(said))


def timeout_for(call: Call[Any], options: ClientOptions) -> Timeout:
    """Return the bounds of a call: its own, or those of its client."""
    own = call.options
    return timeout_of(own["timeout"], options.timeout) if "timeout" in own else options.timeout
