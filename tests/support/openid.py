"""A hand-written OpenID provider that says what a test wants, also what no provider may say."""

import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from support.asgi import Answer
from support.browser import PASSWORD, Browser
from support.organization import NOON, Organization, StartOrganization

IDENTITY = "/v1/console/identity"
CLIENT = "antiphon"
SECRET = "secret of the client: 100 % & +"


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


@cache
def private_key(algorithm: str, name: str = "first") -> Any:
    """Return a private key; another name is another key."""
    if algorithm.startswith("ES"):
        curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]
        return ec.generate_private_key(curve())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if name == "short" else 2048)


def public_jwk(algorithm: str, name: str = "first", **more: Any) -> dict[str, Any]:
    """Return the public key as a provider publishes it."""
    key = private_key(algorithm, name).public_key()
    kind = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}.get(algorithm[0])
    kind = OKPAlgorithm if algorithm == "EdDSA" else kind
    described: dict[str, Any] = json.loads(kind.to_jwk(key))  # type: ignore[union-attr]
    described.pop("key_ops", None)
    return {**described, "kid": f"{name} {algorithm}", "use": "sig", **more}


def signed(claims: Any, algorithm: str = "RS256", name: str = "first", **header: Any) -> str:
    """Return a token that a key has signed."""
    head = {"alg": algorithm, "typ": "JWT", "kid": f"{name} {algorithm}", **header}
    head = {field: value for field, value in head.items() if value is not None}
    signing = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    method = jwt.get_algorithm_by_name(algorithm)
    signature = method.sign(signing.encode(), private_key(algorithm, name))
    return f"{signing}.{encoded(signature)}"


def forged(claims: Any, algorithm: str, secret: bytes = b"") -> str:
    """Return a token without a signature, or with one by a secret: that of anybody."""
    head = encoded(json.dumps({"alg": algorithm, "typ": "JWT", "kid": "first RS256"}).encode())
    signing = f"{head}.{encoded(json.dumps(claims).encode())}"
    if not secret:
        return f"{signing}."
    return f"{signing}.{encoded(hmac.digest(secret, signing.encode(), 'sha256'))}"


def public_pem(algorithm: str = "RS256") -> bytes:
    """Return the public key in the form that is often taken for a secret."""
    key = private_key(algorithm).public_key()
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@dataclass
class Asked:
    """What a browser was sent with."""

    nonce: str
    challenge: str
    back_to: str
    claims: dict[str, Any]


@dataclass
class FakeProvider:
    """A provider. The fields that begin with `make_` say something else than a provider does."""

    now: Callable[[], float]
    port: int = 0
    keys: list[Any] = field(default_factory=lambda: [public_jwk("RS256")])
    description: dict[str, Any] = field(default_factory=dict)
    user_info: dict[str, Any] | None = None
    make_token: Callable[[dict[str, Any]], Any] = signed
    make_answer: Callable[[dict[str, Any]], Any] = dict
    # By path: the answer instead of the own one.
    instead: dict[str, Callable[[], web.StreamResponse]] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    codes: dict[str, Asked] = field(default_factory=dict)
    waits_for: Callable[[], Awaitable[Any]] | None = None
    # Whether a code is good for as often as somebody asks.
    forgets: bool = True

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realm"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return settings of a server that has this provider."""
        own = {
            "issuer": self.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "name": "Example",
        }
        return {"oidc": {**own, **more}}

    def authorize(self, address: str, **claims: Any) -> dict[str, str]:
        """Sign somebody in at the address that a browser is sent to; return what it brings back."""
        parts = urlsplit(address)
        assert address.startswith(f"{self.issuer}/authorize?")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code {len(self.codes)}"
        person = {"sub": "248289761001", "email": "bob@example.org", "email_verified": True}
        self.codes[code] = Asked(
            query["nonce"],
            query["code_challenge"],
            query["redirect_uri"],
            {**person, **claims},
        )
        return {"code": code, "state": query["state"]}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/realm")
        self.paths.append(path)
        if path in self.instead:
            return self.instead[path]()
        if path == "/.well-known/openid-configuration":
            return web.json_response(self._described())
        if path == "/keys":
            return web.json_response({"keys": self.keys})
        if path == "/token":
            return await self._token(request)
        if path == "/me":
            assert request.headers["Authorization"] == "Bearer access"
            return web.json_response(self.user_info)
        return web.Response(status=404)

    def _described(self) -> dict[str, Any]:
        own = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **({"userinfo_endpoint": f"{self.issuer}/me"} if self.user_info else {}),
        }
        return {**own, **self.description}

    async def _token(self, request: web.Request) -> web.Response:
        if self.waits_for is not None:
            await self.waits_for()
        form = await request.post()
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = b64decode(pair).decode().partition(":")
            client = (unquote_plus(name), unquote_plus(secret))
        else:
            client = (str(form.get("client_id")), str(form.get("client_secret")))
        if client != (CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        code = str(form["code"])
        asked = self.codes.get(code)
        if self.forgets:
            self.codes.pop(code, None)
        if asked is None or form["redirect_uri"] != asked.back_to:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if encoded(sha256(str(form["code_verifier"]).encode()).digest()) != asked.challenge:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.nonce,
            **asked.claims,
        }
        answer = {
            "access_token": "access",
            "token_type": "Bearer",
            "id_token": self.make_token(claims),
        }
        return web.json_response(self.make_answer(answer))


@asynccontextmanager
async def provider(now: Callable[[], float]) -> AsyncGenerator[FakeProvider]:
    """Run a provider on a free port of this machine until the block ends."""
    one = FakeProvider(now)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield one
    finally:
        await runner.cleanup()


@pytest.fixture
async def there() -> AsyncGenerator[FakeProvider]:
    async with provider(NOON.timestamp) as one:
        yield one


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both_databases_with(request: pytest.FixtureRequest, organization: StartOrganization) -> Any:
    """Starts an organization with settings over either database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None

    async def start(settings: dict[str, Any]) -> Organization:
        return await organization({**settings, **({} if url is None else {"database_url": url})})

    return start


async def begin(browser: Browser) -> str:
    answer = await browser.post("/v1/console/oidc")
    assert answer.status == 200, answer.json
    url: str = answer.json["url"]
    return url


async def finish(browser: Browser, brought: dict[str, str]) -> Answer:
    return await browser.post("/v1/console/oidc/session", brought)


async def sign_in(there: FakeProvider, browser: Browser, **claims: Any) -> Answer:
    return await finish(browser, there.authorize(await begin(browser), **claims))


async def link(there: FakeProvider, browser: Browser, **claims: Any) -> Answer:
    begun = await browser.post(f"{IDENTITY}/request", {"current_password": PASSWORD})
    assert begun.status == 200, begun.json
    return await browser.post(IDENTITY, there.authorize(begun.json["url"], **claims))
