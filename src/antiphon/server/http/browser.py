"""The rules for requests of the Console's own pages: cookies, and which pages may send them.

A browser adds a cookie to every request to its site, whoever has caused it. So a request that is
authenticated by the cookie has to show that a page of the Console has made it: by a header that no
form, image or link can send, and that other sites' scripts can only send if this server permits it,
which it never does; and by the origin that the browser states. SameSite=Strict is the third wall.
"""

from datetime import timedelta

from antiphon.core.errors import PermissionError_
from antiphon.core.openid.requests import LIFE_S
from antiphon.server.http.exchange import Exchange

CONSOLE_HEADER = b"x-antiphon-console"
SESSION_COOKIE = "antiphon_session"
# Over https a browser takes such a name from this very host alone, so no neighbour can plant one.
SECURE_SESSION_COOKIE = f"__Host-{SESSION_COOKIE}"
# What a browser keeps of its user after the end of the session: `SignIn.browser_proof`.
BROWSER_COOKIE = "antiphon_browser"
BROWSER_COOKIE_LIFE = timedelta(days=365)
# What a browser keeps while somebody signs in at an OpenID provider.
OIDC_COOKIE = "antiphon_oidc"
SECURE_OIDC_COOKIE = f"__Host-{OIDC_COOKIE}"
OIDC_COOKIE_LIFE = timedelta(seconds=LIFE_S)
# The longest head has room for thousands of cookies.
_MOST_COOKIES = 200

OWN_PAGES = "Only pages of the Console itself may do this"


def is_of_console(exchange: Exchange) -> bool:
    """Return whether a page of the Console says to have sent a request, which has no key."""
    return (
        exchange.header(CONSOLE_HEADER) is not None
        and exchange.header(b"x-api-key") is None
        and exchange.header(b"authorization") is None
    )


def check_request_of_console(exchange: Exchange) -> None:
    """Raise `PermissionError_` unless a page of the Console has sent a request.

    The browser's own statement counts first. Browsers make none where they do not trust the
    connection (http, but for loopback); there the origin must be the host that was asked.
    """
    if exchange.header(CONSOLE_HEADER) != "1":
        raise PermissionError_(f"{OWN_PAGES}: the header {CONSOLE_HEADER.decode()} is not 1")
    site = exchange.header(b"sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise PermissionError_(OWN_PAGES)
    elif exchange.scope["method"] != "GET" and not _is_own_origin(exchange):
        raise PermissionError_(OWN_PAGES)


def _is_own_origin(exchange: Exchange) -> bool:
    origin, host = exchange.header(b"origin"), exchange.header(b"host")
    if origin is None or not host:
        return False
    scheme, _, named = origin.partition("://")
    return scheme in {"http", "https"} and named.lower() == host.lower()


def is_secure(exchange: Exchange) -> bool:
    """Return whether the browser uses https, as far as a proxy or the browser tells."""
    told = f"{exchange.base_url}\n{exchange.header(b'origin') or ''}"
    return any(line.startswith("https://") for line in told.splitlines())


def session_token(exchange: Exchange) -> str | None:
    """Return the token in the cookie of the session; `None` if there is none, or several.

    Over https only the name counts that no other host can set. Several cookies of one name are of
    a neighbour that tries to plant one.
    """
    return _of_this_host(exchange, SECURE_SESSION_COOKIE, SESSION_COOKIE)


def oidc_request(exchange: Exchange) -> str | None:
    """Return what a browser keeps while somebody signs in at a provider; `None` for nothing."""
    return _of_this_host(exchange, SECURE_OIDC_COOKIE, OIDC_COOKIE)


def _of_this_host(exchange: Exchange, secure_name: str, plain_name: str) -> str | None:
    cookies = _cookies(exchange)
    secure = cookies.get(secure_name, [])
    if secure or exchange.base_url.startswith("https://"):
        return secure[0] if len(secure) == 1 else None
    plain = cookies.get(plain_name, [])
    return plain[0] if len(plain) == 1 else None


def browser_proof(exchange: Exchange) -> str | None:
    """Return what a browser has kept of its user; `None` for nothing."""
    found = _cookies(exchange).get(BROWSER_COOKIE, [])
    return found[0] if len(found) == 1 and found[0].isascii() else None


def session_cookie(exchange: Exchange, token: str, life: timedelta) -> str:
    """Return the header that gives a browser its session; without a token it takes it away."""
    secure = is_secure(exchange)
    name = SECURE_SESSION_COOKIE if secure else SESSION_COOKIE
    return _set_cookie(name, token, life, path="/", secure=secure)


def oidc_cookie(exchange: Exchange, request: str) -> str:
    """Return the header by which a browser keeps its request to a provider."""
    secure = is_secure(exchange)
    name = SECURE_OIDC_COOKIE if secure else OIDC_COOKIE
    return _set_cookie(name, request, OIDC_COOKIE_LIFE, path="/", secure=secure)


def ended_session_cookie(exchange: Exchange) -> str:
    """Return the header that takes the session away from a browser."""
    secure = SECURE_SESSION_COOKIE in _cookies(exchange)
    name = SECURE_SESSION_COOKIE if secure else SESSION_COOKIE
    return _set_cookie(name, "", timedelta(), path="/", secure=secure)


def browser_cookie(exchange: Exchange, proof: str) -> str:
    """Return the header by which a browser keeps whose it was."""
    secure = is_secure(exchange)
    return _set_cookie(
        BROWSER_COOKIE, proof, BROWSER_COOKIE_LIFE, path="/v1/console", secure=secure
    )


def _set_cookie(name: str, value: str, life: timedelta, *, path: str, secure: bool) -> str:
    age = int(life.total_seconds())
    parts = [f"{name}={value}", f"Path={path}", f"Max-Age={age}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, *(["Secure"] if secure else [])])


def _cookies(exchange: Exchange) -> dict[str, list[str]]:
    """Return the different values of each cookie. Proxies may split the header into several."""
    header = exchange.header(b"cookie") or ""
    found: dict[str, list[str]] = {}
    for pair in header.replace(",", ";").split(";", _MOST_COOKIES)[:_MOST_COOKIES]:
        name, _, value = pair.strip().partition("=")
        values = found.setdefault(name, [])
        if value not in values:
            values.append(value)
    return found
