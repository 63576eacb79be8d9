"""A browser that signs in to the Console, over the application in process."""

from http.cookies import SimpleCookie
from typing import Any

from starlette.types import ASGIApp

from support.asgi import Answer, Client

PASSWORD = "correct horse battery"
ADA = "ada@example.org"
HOST = "antiphon.example.org"


class Browser:
    """Keeps cookies, and sends what a page of the Console sends.

    `address` is that of the connection. `headers` of a request replace those of a browser; `None`
    leaves one out.
    """

    def __init__(self, app: ASGIApp, address: str = "192.0.2.1", *, https: bool = False) -> None:
        self._app = app
        self._address = address
        self._https = https
        self.cookies: dict[str, str] = {}

    async def send(self, method: str, path: str, body: Any = b"", **headers: str | None) -> Answer:
        scheme = "https" if self._https else "http"
        own: dict[str, str | None] = {
            "host": HOST,
            "x-antiphon-console": "1",
            "sec-fetch-site": "same-origin",
            "anthropic-version": "2026-10-21",
            "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()) or None,
        }
        if self._https:
            own["x-forwarded-proto"] = "https"
        if method != "GET":
            own["origin"] = f"{scheme}://{HOST}"
        sent = {**own, **{name.replace("_", "-"): value for name, value in headers.items()}}
        client = Client(self._with_address, {})
        answer = await client.start(method, path, body, sent).task
        for name, morsel in SimpleCookie(answer.headers.get("set-cookie", "")).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return answer

    async def _with_address(self, scope: Any, receive: Any, send: Any) -> None:
        scope["client"] = (self._address, 40000)
        await self._app(scope, receive, send)

    async def get(self, path: str, **headers: str | None) -> Answer:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str | None) -> Answer:
        return await self.send("POST", path, {} if body is None else body, **headers)

    async def delete(self, path: str, **headers: str | None) -> Answer:
        return await self.send("DELETE", path, **headers)

    async def sign_in(self, email: str = ADA, password: str = PASSWORD) -> Answer:
        body = {"email": email, "password": password}
        return await self.post("/v1/console/session", body)

    @property
    def session(self) -> str | None:
        """The token of the session in its cookie."""
        return self.cookies.get("antiphon_session") or self.cookies.get("__Host-antiphon_session")


def token_of(link: str) -> str:
    """Return the token in the fragment of a link."""
    return link.partition("#token=")[2]
