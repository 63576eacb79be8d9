"""What a client makes of calls before it sends them. No input or output.

Most calls of a client have the same headers and bounds. Both are made once: the headers of a call
would else cost more than to send them.
"""

import sys
from collections.abc import Callable
from typing import Any

from antiphon import __version__
from antiphon.sdk.breakpoints import marked_body
from antiphon.sdk.call import JSON, Call, Timeout
from antiphon.sdk.environment import LOCAL
from antiphon.sdk.errors import CredentialsError
from antiphon.sdk.exchange import Conditions
from antiphon.sdk.options import ClientOptions, timeout_for
from antiphon.transport.base import HttpRequest

API_VERSION = "2023-06-01"
"""The version with the sampling parameters. Every server of the API speaks it."""

Headers = tuple[tuple[str, str], ...]


class Outgoing:
    """Makes the requests and the conditions of a client's calls. Threads may share one.

    `now`, `wall` and `draw` are those of `Conditions`.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._options = options
        self._now, self._wall, self._draw = now, wall, draw
        self._common = self._conditions(options.timeout, options.max_retries)
        self._headers: dict[tuple[bool, bool], Headers] = {}

    def request(self, call: Call[Any]) -> HttpRequest:
        """Return the request of a call. Raises `CredentialsError` without a key."""
        options = self._options
        body = call.body if options.cache is None else marked_body(call, options.cache)
        if call.headers or call.content_type != JSON or "extra_headers" in call.options:
            headers = tuple(headers_of(call, options).items())
        else:
            kind = (call.admin, bool(call.body) or call.upload is not None)
            known = self._headers.get(kind)
            headers = known or self._remembered(kind, call)
        target = call.target() if call.query or call.options else call.path
        if options.query:
            from urllib.parse import urlencode  # noqa: PLC0415 - 5 ms, and few clients have one

            extra = urlencode(list(options.query.items()))
            target = f"{target}{'&' if '?' in target else '?'}{extra}"
        return HttpRequest(
            method=call.method,
            url=options.base_url + target,
            headers=headers,
            body=body if call.upload is None else call.upload,
        )

    def conditions(self, call: Call[Any]) -> Conditions:
        """Return what holds for one call: what it says itself, then what its client says."""
        if not call.options:
            return self._common
        return self._conditions(
            timeout_for(call, self._options),
            call.options.get("max_retries", self._options.max_retries),
        )

    def _conditions(self, timeout: Timeout, max_retries: int) -> Conditions:
        return Conditions(
            timeout=timeout,
            max_retries=max_retries,
            observers=self._options.observers,
            now=self._now,
            wall=self._wall,
            draw=self._draw,
        )

    def _remembered(self, kind: tuple[bool, bool], call: Call[Any]) -> Headers:
        # Threads that are here at once make the same.
        headers = self._headers[kind] = tuple(headers_of(call, self._options).items())
        return headers


def headers_of(call: Call[Any], options: ClientOptions) -> dict[str, str]:
    """Return the headers of a call. Later ones count: ours, the client's, its own."""
    headers = {
        "accept": JSON,
        "accept-encoding": "gzip, deflate",
        "user-agent": f"antiphon/{__version__} python/{sys.version_info[0]}.{sys.version_info[1]}",
        "anthropic-version": API_VERSION,
        **credential_of(call, options),
    }
    if call.body or call.upload is not None:
        headers["content-type"] = call.content_type
    headers.update((name.lower(), value) for name, value in options.headers.items())
    headers.update((name.lower(), value) for name, value in call.headers)
    for name, said in call.options.get("extra_headers", {}).items():
        if said is None:
            headers.pop(name.lower(), None)
        else:
            headers[name.lower()] = said
    return headers


def credential_of(call: Call[Any], options: ClientOptions) -> dict[str, str]:
    """Return the header with the key of a call. A header that the caller gives is one as well."""
    if call.admin and options.admin_key:
        return {"x-api-key": options.admin_key}
    if options.api_key:
        return {"x-api-key": options.api_key}
    if options.auth_token:
        return {"authorization": f"Bearer {options.auth_token}"}
    own = {name.lower() for name in (*options.headers, *call.options.get("extra_headers", {}))}
    if own & {"x-api-key", "authorization"}:
        return {}
    raise CredentialsError(_no_key(options))


def _no_key(options: ClientOptions) -> str:
    how = "give `api_key` to the client, or set ANTIPHON_API_KEY"
    if not options.kept_back:
        return f"no key: {how} (or ANTHROPIC_API_KEY)"
    verb = "is" if len(options.kept_back) == 1 else "are"
    return (
        f"no key for {LOCAL}: {how}. {' and '.join(options.kept_back)} {verb} not sent "
        "to a server that nobody has named: if it is meant, give `base_url`, or set "
        "ANTIPHON_BASE_URL or ANTHROPIC_BASE_URL"
    )
