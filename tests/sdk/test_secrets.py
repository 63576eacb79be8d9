"""No text of a part of the SDK shows a key, not even in a traceback with all variables."""

from collections.abc import Iterator
from typing import Any

import pytest

import antiphon
from antiphon.sdk.environment import read_environment
from antiphon.sdk.options import requests_of
from antiphon.transport.proxies import Proxies
from antiphon.transport.targets import Origin, parse_target
from antiphon.transport.ways import Way
from support.sdk import Reply, ScriptedTransport

SECRET = "s3cret"
URL = f"http://user:{SECRET}@127.0.0.1:1"
KEYS = {"ANTIPHON_API_KEY": SECRET, "ANTIPHON_BASE_URL": URL, "HTTP_PROXY": URL}


def parts() -> Iterator[Any]:
    environment = read_environment(KEYS)
    transport = ScriptedTransport(Reply(chunks=(b'{"data":[]}',)))
    client = antiphon.Client(environment=environment, transport=transport)
    raw = client.models.retrieve.raw("m", extra_headers={"x-mine": SECRET})
    call = raw.call
    target = parse_target(URL)
    proxy = Proxies(KEYS).of(Origin("http", "h", 80))
    yield from (environment, client, client.options, call, requests_of(call, client.options)(1))
    yield from (target, proxy, Way(target, proxy))
    yield antiphon.AsyncClient(environment=environment)
    yield raw


def test_texts_of_parts_have_no_secret() -> None:
    for part in parts():
        assert SECRET not in repr(part)
        # What `rich` asks first.
        told = getattr(part, "__rich_repr__", None)
        assert told is None or SECRET not in repr(list(told()))


@pytest.mark.parametrize(
    "address", [f"ftp://user:{SECRET}@h", f"user:{SECRET}@h:1", f"{URL}/?of=them", f"{URL}/v1#a"]
)
def test_address_that_is_refused_is_shown_without_its_password(address: str) -> None:
    with pytest.raises(ValueError, match="base_url is") as caught:
        antiphon.Client(base_url=address)
    assert SECRET not in str(caught.value)
