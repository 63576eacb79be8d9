"""No text of a part of the SDK shows a key, not even in a traceback with all variables."""

from collections.abc import Iterator
from typing import Any

import pytest

import antiphon
from antiphon.sdk.environment import read_environment
from antiphon.sdk.files import upload_file
from antiphon.sdk.organization.types import APIKey, Invite
from antiphon.sdk.outgoing import Outgoing
from antiphon.sdk.uploads import FileForm
from antiphon.transport.proxies import Proxies
from antiphon.transport.targets import Origin, parse_target
from antiphon.transport.ways import Way, Ways
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
    outgoing = Outgoing(client.options, now=float, wall=float, draw=float)
    yield from (environment, client, client.options, call, outgoing, outgoing.request(call))
    ways = Ways(verify=True, proxy=KEYS)
    ways.of(outgoing.request(call))
    yield from (target, proxy, Way(target, proxy), ways, ways._last)
    yield antiphon.AsyncClient(environment=environment)
    form = upload_file(file=SECRET.encode()).upload
    yield from (form, form.source if isinstance(form, FileForm) else form)
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


@pytest.mark.parametrize(
    "answer",
    [
        APIKey(id="apikey_1", secret=SECRET, partial_key_hint=SECRET),
        Invite(id="invite_1", link=SECRET),
    ],
)
def test_texts_of_answers_have_no_secret(answer: Any) -> None:
    assert answer.id in repr(answer)
    assert SECRET not in repr([answer])
    assert SECRET not in repr(list(answer.__rich_repr__()))


@pytest.mark.parametrize("body", [b'{"secret":"s3cret"}', b'{"secret":"s3cret","id":"api', b"[]"])
def test_answer_with_a_secret_that_cannot_be_read_is_not_shown(body: bytes) -> None:
    client = antiphon.Client(
        api_key="k",
        environment=read_environment({}),
        transport=ScriptedTransport(Reply(chunks=[body])),
    )
    with pytest.raises(antiphon.APIResponseValidationError) as caught:
        client.organization.api_keys.create(name="a")
    assert SECRET not in str(caught.value)
