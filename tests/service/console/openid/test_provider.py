from collections.abc import AsyncGenerator
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from antiphon.core.openid.keys import UnacceptableError
from antiphon.core.openid.requests import AuthorizationRequest, new_request
from antiphon.oidc_settings import OidcSettings
from antiphon.secret import Secret
from antiphon.service.console.openid.asking import ProviderAwayError
from antiphon.service.console.openid.provider import AWAY_S, KEPT_S, KEYS_EVERY_S, Provider
from support.openid import CLIENT, SECRET, FakeProvider, provider, public_jwk, signed

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
KEY = b"k" * 32
BACK = "http://antiphon.example.org/console/oidc"
DISCOVERY = "/.well-known/openid-configuration"


class Seconds:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def there() -> AsyncGenerator[FakeProvider]:
    async with provider(lambda: NOW) as one:
        yield one


def client(there: FakeProvider, clock: Seconds) -> Provider:
    settings = OidcSettings(issuer=there.issuer, client_id=CLIENT, client_secret=Secret(SECRET))
    return Provider(settings, KEY, clock)


async def subject(there: FakeProvider, asking: Provider) -> str:
    request: AuthorizationRequest = new_request(b"e" * 32, NOW)
    address = await asking.authorization_address(request, BACK)
    assert parse_qs(urlsplit(address).query)["state"] == [request.state(KEY)]
    code = there.authorize(address)["code"]
    return (await asking.person_of(code, request, BACK, NOW)).subject


async def test_description_and_keys_are_asked_for_each_hour(there: FakeProvider) -> None:
    clock = Seconds()
    asking = client(there, clock)
    for _ in range(3):
        await subject(there, asking)
    assert there.paths == [DISCOVERY, "/token", "/keys", "/token", "/token"]
    clock.now += KEPT_S
    await subject(there, asking)
    assert there.paths[5:] == [DISCOVERY, "/token", "/keys"]


async def test_new_key_counts_soon_and_unknown_ones_ask_rarely(there: FakeProvider) -> None:
    clock = Seconds()
    asking = client(there, clock)
    await subject(there, asking)
    there.keys = [public_jwk("ES256", "new")]
    there.make_token = lambda claims: signed(claims, "ES256", "new")
    for _ in range(3):
        with pytest.raises(UnacceptableError, match="with no key of the provider"):
            await subject(there, asking)
    assert there.paths.count("/keys") == 1
    clock.now += KEYS_EVERY_S
    await subject(there, asking)
    assert there.paths.count("/keys") == 2
    # The old one has gone with it.
    there.make_token = signed
    with pytest.raises(UnacceptableError):
        await subject(there, asking)


async def test_provider_that_is_away_is_asked_again_after_a_while(there: FakeProvider) -> None:
    clock = Seconds()
    asking = client(there, clock)
    there.instead[DISCOVERY] = lambda: web.Response(status=502)
    for _ in range(3):
        with pytest.raises(ProviderAwayError):
            await asking.description()
    assert there.paths == [DISCOVERY]
    del there.instead[DISCOVERY]
    clock.now += AWAY_S
    assert (await asking.description()).issuer == there.issuer
