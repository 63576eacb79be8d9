import asyncio
import base64
import gc
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import antiphon
from antiphon.sdk.types.message import Message
from support.images import png
from support.pdf import pdf
from support.processes import KEY, Program

PAGE = Path(__file__).parents[2] / "docs/sdk/python.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def asked(text: str, **more: Any) -> Any:
    return {
        "model": "claude-local",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


@pytest.fixture(scope="module")
def client(scripted: Program) -> Iterator[antiphon.Client]:
    with antiphon.Client(base_url=scripted.url, api_key=KEY) as client:
        yield client


def without_id(message: Message) -> Any:
    return {name: value for name, value in message.to_dict().items() if name != "id"}


def test_stream_folds_to_what_a_message_is(client: antiphon.Client) -> None:
    message = client.messages.create(**asked("Hi"), stop_sequences=["END"], temperature=0.5)
    assert message.text == "One two three "
    assert message.stop_reason == "stop_sequence"
    assert message.request_id is not None
    with client.messages.stream(**asked("Hi"), stop_sequences=["END"]) as stream:
        assert "".join(stream.text_stream) == message.text
        assert without_id(stream.get_final_message()) == without_id(message)
    # Nothing that the server sends is unknown to the SDK.
    assert message.extra == message.usage.extra == message.content[0].extra == {}


def test_long_answer_is_the_same(client: antiphon.Client) -> None:
    short = client.messages.create(**asked("Hi"))
    long = client.messages.create(**asked("Hi", max_tokens=30_000), timeout=antiphon.Timeout())
    underneath = client.messages.create(**asked("Hi", max_tokens=30_000))
    assert without_id(short) == without_id(long) == without_id(underneath)


def test_long_stream_is_read_to_its_end(client: antiphon.Client) -> None:
    with client.messages.stream(**asked("go on", max_tokens=4096)) as stream:
        pieces = list(stream.text_stream)
        assert stream.get_final_text() == "".join(pieces)
        assert stream.get_final_message().usage.output_tokens == 4096
    raw = client.messages.create(**asked("go on", max_tokens=4096), stream=True)
    events = list(raw)
    assert events[-1].type == "message_stop"
    assert sum(event.type == "content_block_delta" for event in events) == len(pieces)


def test_stream_of_a_forgotten_client_is_read_to_its_end(scripted: Program) -> None:
    stream = antiphon.Client(base_url=scripted.url, api_key=KEY).messages.create(
        **asked("go on", max_tokens=2048), stream=True
    )
    next(stream)
    gc.collect()
    assert list(stream)[-1].type == "message_stop"


def test_async_client_answers_many_at_once(scripted: Program) -> None:
    async def ask() -> list[str]:
        async with antiphon.AsyncClient(base_url=scripted.url, api_key=KEY) as client:

            async def one(number: int) -> str:
                async with client.messages.stream(**asked(f"Hi {number}")) as stream:
                    return await stream.get_final_text()

            return await asyncio.gather(*map(one, range(20)))

    assert set(asyncio.run(ask())) == {"One two three END four five."}


def test_left_stream_stops_the_server(client: antiphon.Client) -> None:
    began = time.monotonic()
    with client.messages.stream(**asked("be slow")) as stream:
        next(stream)
    assert time.monotonic() - began < 60


def test_idle_timeout_ends_a_stream_that_only_pings(client: antiphon.Client) -> None:
    with pytest.raises(antiphon.APITimeoutError, match=r"nothing but pings for 1\.5 s"):
        list(client.messages.create(**asked("be slow"), stream=True, timeout=1.5))


def test_error_in_a_stream_is_raised_as_what_it_is(client: antiphon.Client) -> None:
    with (
        pytest.raises(antiphon.InternalServerError) as caught,
        client.messages.stream(**asked("break off")) as stream,
    ):
        stream.until_done()
    assert caught.value.type == "api_error"
    assert caught.value.request_id is not None
    assert caught.value.partial is not None
    assert caught.value.partial.text


def test_errors_have_their_class_and_text(scripted: Program, client: antiphon.Client) -> None:
    hasty = antiphon.Client(base_url=scripted.url, api_key=KEY, max_retries=0)
    with pytest.raises(antiphon.OverloadedError):
        hasty.messages.create(**asked("be overloaded"))
    with pytest.raises(antiphon.BadRequestError, match=r"^400 invalid_request_error: zzz: Extra"):
        client.messages.create(**asked("Hi"), extra_body={"zzz": 1})
    with pytest.raises(antiphon.NotFoundError, match=r"404 not_found_error: .* \(req_"):
        client.messages.create(**{**asked("Hi"), "model": "of-nobody"})
    stranger = antiphon.Client(base_url=scripted.url, api_key="wrong")
    with pytest.raises(antiphon.AuthenticationError):
        stranger.models.list()


def test_count_equals_the_tokens_of_the_answer(client: antiphon.Client) -> None:
    messages = [{"role": "user", "content": "How many?"}]
    count = client.messages.count_tokens(model="claude-local", messages=messages)
    message = client.messages.create(model="claude-local", max_tokens=1, messages=messages)
    assert count.input_tokens == message.usage.input_tokens


def test_conversation_goes_on_with_the_answer_itself(client: antiphon.Client) -> None:
    first = client.messages.create(**asked("Hi"))
    messages: list[Any] = [
        {"role": "user", "content": "Hi"},
        first,
        {"role": "user", "content": "And?"},
    ]
    second = client.messages.create(model="claude-local", max_tokens=64, messages=messages)
    assert second.usage.input_tokens > first.usage.input_tokens


def test_document_of_a_path_is_read(client: antiphon.Client, tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"
    path.write_bytes(base64.b64decode(pdf(["Grass is green."])))
    document = {"type": "document", "source": {"type": "base64", "data": path}}
    content = [document, {"type": "text", "text": "What is green?"}]
    with_it = client.messages.create(**asked("", messages=[{"role": "user", "content": content}]))
    without = client.messages.create(**asked("What is green?"))
    assert with_it.usage.input_tokens > without.usage.input_tokens


def test_models_are_listed(client: antiphon.Client) -> None:
    models = list(client.models.list(limit=1))
    assert [model.id for model in models] == ["scripted"]
    raw = client.models.retrieve.raw("claude-local")
    assert msgspec.json.decode(raw.read())["id"] == raw.parse().id


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_of_the_page_runs(program: str, scripted: Program, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(png())
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ANTIPHON_BASE_URL": scripted.url, "ANTIPHON_API_KEY": KEY},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
