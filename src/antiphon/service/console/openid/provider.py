"""A provider: what it says of itself, its keys, and what it says of a person for a code."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias
from urllib.parse import quote_plus

import msgspec

from antiphon.core.openid.addresses import discovery_address, is_safe, with_query
from antiphon.core.openid.claims import Expected, check_id_token, values_at
from antiphon.core.openid.keys import UnacceptableError
from antiphon.core.openid.requests import AuthorizationRequest
from antiphon.oidc_settings import OidcSettings
from antiphon.service.console.openid.asking import ProviderAwayError, ProviderError, ask_json
from antiphon.service.console.openid.signatures import signed_claims
from antiphon.service.console.sessions import BegunThere

KEPT_S: Final = 3600.0
"""How long a description and keys count, in seconds: so long a withdrawn key can still count."""
KEYS_EVERY_S: Final = 30.0
"""The pause between two looks for a key that is not known, in seconds."""
AWAY_S: Final = 3.0
"""How long nobody asks again after the provider did not answer, in seconds."""
LONGEST_HINT: Final = 4096
"""The longest ID token that is kept: it is sent in an address, which servers bound."""

Ask: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself (OpenID Connect Discovery, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Person(msgspec.Struct, frozen=True):
    """Who a provider says has signed in, what it says of them, and the ID token that says it."""

    subject: str
    claims: dict[str, Any]
    id_token: str


class Provider:
    """A provider, by its settings. `clock` counts seconds, `key` is that of the installation."""

    def __init__(
        self,
        settings: OidcSettings,
        key: bytes,
        clock: Callable[[], float],
        ask: Ask = ask_json,
    ) -> None:
        self.settings = settings
        self._key = key
        self._clock = clock
        self._ask = ask
        self._one_at_a_time = asyncio.Lock()
        self._description: tuple[Description, float] | None = None
        self._keys: tuple[list[Any], float] | None = None
        self._away: tuple[str, float] | None = None

    async def authorization_address(self, request: AuthorizationRequest, back_to: str) -> str:
        """Return where a browser signs in; it comes back to `back_to`. Raises `ProviderError`."""
        described = await self.description()
        scopes = ("openid", *(one for one in self.settings.scopes if one != "openid"))
        return with_query(
            described.authorization_endpoint,
            {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": back_to,
                "scope": " ".join(scopes),
                "state": request.state(self._key),
                "nonce": request.nonce(self._key),
                "code_challenge": request.challenge(self._key),
                "code_challenge_method": "S256",
            },
        )

    async def check_sender(self, issuer: str | None) -> None:
        """Raise `UnacceptableError` if the answer of a browser is of another provider (RFC 9207).

        A provider that says of itself to name itself in answers has to.
        """
        described = await self.description()
        required = described.authorization_response_iss_parameter_supported
        if issuer != described.issuer and (required or issuer is not None):
            raise UnacceptableError("the answer is of another issuer")

    async def person_of(
        self, code: str, request: AuthorizationRequest, back_to: str, now_s: float
    ) -> Person:
        """Return whom a code stands for, which it does once.

        Raises `ProviderError`, and `UnacceptableError` for what the provider says of somebody else,
        of another time, or for another program.
        """
        described = await self.description()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back_to,
            "code_verifier": request.verifier(self._key),
        }
        headers = self._authenticated(described, form)
        tokens = await self._ask(described.token_endpoint, form=form, headers=headers)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise ProviderError("its answer has no ID token: is `openid` a scope of this client?")
        claims = await self._claims(id_token, described)
        expected = Expected(
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=request.nonce(self._key),
            began_s=request.began_s,
        )
        subject = check_id_token(claims, expected, now_s)
        if described.userinfo_endpoint and isinstance(access_token, str) and self._lacks(claims):
            claims = await self._completed(claims, described.userinfo_endpoint, access_token)
        return Person(subject, claims, id_token)

    async def session_of(self, person: Person) -> BegunThere | None:
        """Return the session of a person at the provider, if it can be ended from here.

        Raises `ProviderError`.
        """
        endpoint = (await self.description()).end_session_endpoint
        if not self.settings.sign_out_there or endpoint is None or not is_safe(endpoint):
            return None
        kept = person.id_token if len(person.id_token) <= LONGEST_HINT else None
        return BegunThere(self.settings.issuer, kept)

    async def end_session_address(self, id_token: str | None, back_to: str) -> str:
        """Return where a browser ends its session at the provider; it comes back to `back_to`.

        See OpenID Connect RP-Initiated Logout 1.0, 2: without an ID token the provider may ask the
        person. Raises `ProviderError`.
        """
        endpoint = (await self.description()).end_session_endpoint
        if endpoint is None or not is_safe(endpoint):
            raise ProviderError("it ends no sessions any more (end_session_endpoint)")
        hint = {} if id_token is None else {"id_token_hint": id_token}
        client = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back_to}
        return with_query(endpoint, {**hint, **client})

    def _authenticated(self, described: Description, form: dict[str, str]) -> dict[str, str]:
        """Add what authenticates this program to a form, or return the headers that do."""
        settings = self.settings
        if settings.client_secret is None:
            form["client_id"] = settings.client_id
            return {}
        secret = settings.client_secret.reveal()
        methods = described.token_endpoint_auth_methods_supported
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            form |= {"client_id": settings.client_id, "client_secret": secret}
            return {}
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _lacks(self, claims: dict[str, Any]) -> bool:
        """Return whether the ID token leaves out what the settings look at."""
        settings = self.settings
        wanted = [name for name in (*settings.claims, settings.role_claim) if name]
        missing = any(next(values_at(claims, name), None) is None for name in wanted)
        return missing or not {"email", "email_verified"} <= claims.keys()

    async def _completed(
        self, claims: dict[str, Any], address: str, access_token: str
    ) -> dict[str, Any]:
        """Return the claims with those that the provider tells on demand; the signed ones win."""
        more = await self._ask(address, headers={"Authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims["sub"]:
            raise UnacceptableError("what is told on demand is of somebody else (sub)")
        if claims.get("email", more.get("email")) != more.get("email"):
            # An address of the one and a check of the other would not belong together.
            more.pop("email_verified", None)
        return {**more, **claims}

    async def _claims(self, id_token: str, described: Description) -> dict[str, Any]:
        """Return the claims of an ID token that the provider has signed."""
        claims = signed_claims(id_token, await self._known_keys(described, KEPT_S))
        if claims is None:
            # The provider may have a new key.
            claims = signed_claims(id_token, await self._known_keys(described, KEYS_EVERY_S))
        if claims is None:
            raise UnacceptableError("it is signed with no key of the provider")
        return claims

    async def description(self) -> Description:
        """Return what the provider says of itself. Raises `ProviderError`."""
        async with self._one_at_a_time:
            now = self._clock()
            if self._description is None or now - self._description[1] >= KEPT_S:
                told = await self._ask_once(discovery_address(self.settings.issuer), now)
                self._description = (_described(told, self.settings.issuer), now)
            return self._description[0]

    async def _known_keys(self, described: Description, at_most_s: float) -> list[Any]:
        """Return the provider's keys, asked for at most so many seconds ago."""
        async with self._one_at_a_time:
            now = self._clock()
            if self._keys is None or now - self._keys[1] >= at_most_s:
                keys = (await self._ask_once(described.jwks_uri, now)).get("keys")
                if not isinstance(keys, list):
                    raise ProviderError("it has no list of keys")
                self._keys = (keys, now)
            return self._keys[0]

    async def _ask_once(self, address: str, now: float) -> dict[str, Any]:
        """Ask for all who wait: without an answer, they do not ask one after the other."""
        if self._away is not None and now - self._away[1] < AWAY_S:
            raise ProviderAwayError(self._away[0])
        try:
            return await self._ask(address)
        except ProviderAwayError as error:
            self._away = (str(error), self._clock())
            raise


def _described(told: dict[str, Any], issuer: str) -> Description:
    try:
        described = msgspec.convert(told, Description)
    except msgspec.ValidationError as error:
        raise ProviderError(f"its description is wrong: {error}") from error
    if described.issuer != issuer:
        raise ProviderError(
            f"it calls itself {described.issuer[:200]!r}, and the setting `issuer` is {issuer!r}: "
            "they have to be the same, to the last character"
        )
    addresses = (
        described.authorization_endpoint,
        described.token_endpoint,
        described.jwks_uri,
        *((described.userinfo_endpoint,) if described.userinfo_endpoint else ()),
    )
    for address in addresses:
        if not is_safe(address):
            raise ProviderError(f"{address[:200]!r} is neither https nor on this machine")
    return described
