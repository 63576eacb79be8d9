import asyncio
import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import antiphon
from antiphon.sdk.message_parameters import MessageParameters, PromptParameters
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message
from antiphon.wire import content as wire_content
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from antiphon.wire.tools import CustomToolParam
from support.sdk import (
    AsyncScriptedTransport,
    Reply,
    ScriptedTransport,
    events_of,
    frames,
    message_json,
)

ASKED: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
PNG = b"\x89PNG\r\n\x1a\n..."


def client_of(*replies: Reply, **more: Any) -> tuple[antiphon.Client, ScriptedTransport]:
    transport = ScriptedTransport(*(replies or (Reply(json=message_json()),)))
    return antiphon.Client(api_key="k", transport=transport, **more), transport


def sent(**parameters: Any) -> Any:
    client, transport = client_of()
    client.messages.create(**{**ASKED, **parameters})
    return transport.body()


# `stream` is the form of the answer; the others are sent by programs that know what they do.
NOT_TYPED = {"stream", "safeguards", "thread"}
# `parse` has it.
OF_PARSE = {"output_format"}


@pytest.mark.parametrize(
    ("ours", "wire"),
    [(MessageParameters, CreateMessageParams), (PromptParameters, CountTokensParams)],
)
def test_parameters_are_those_of_the_wire(ours: Any, wire: type[msgspec.Struct]) -> None:
    options = antiphon.sdk.call.CallOptions.__optional_keys__ | {"betas", "cache"}
    said = (ours.__required_keys__ | ours.__optional_keys__) - options
    assert said == set(wire.__struct_fields__) - NOT_TYPED - OF_PARSE


def test_message_is_created() -> None:
    client, transport = client_of(Reply(headers={"request-id": "req_1"}, json=message_json()))
    message = client.messages.create(**ASKED)
    assert message.text == "Hello"
    assert message.request_id == "req_1"
    assert transport.body() == ASKED
    assert transport.requests[0].url == "http://127.0.0.1:8000/v1/messages"


def test_async_client_creates_the_same() -> None:
    transport = AsyncScriptedTransport(Reply(json=message_json()))
    client = antiphon.AsyncClient(api_key="k", transport=transport)
    assert asyncio.run(client.messages.create(**ASKED)).text == "Hello"  # type: ignore[arg-type]
    assert transport.body() == ASKED


def test_sampling_parameters_are_sent() -> None:
    body = sent(temperature=0.5, top_p=0.9, top_k=4)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.5, 0.9, 4)


def test_none_leaves_a_parameter_out() -> None:
    assert sent(system=None, temperature=None, tools=None) == ASKED


def test_misspelt_parameter_is_an_error() -> None:
    client, transport = client_of()
    with pytest.raises(TypeError, match=r"create\(\) has no parameter temprature; did you mean te"):
        client.messages.create(**ASKED, temprature=1)
    with pytest.raises(TypeError, match="`extra_body` sends what is not known here"):
        client.messages.stream(**ASKED, zzz=1)
    with pytest.raises(TypeError, match=r"create\(\) has no output_format; `messages\.parse`"):
        client.messages.create(**ASKED, output_format=int)
    assert not transport.requests


def test_missing_parameter_is_an_error() -> None:
    client, _ = client_of()
    with pytest.raises(TypeError, match=r"create\(\) needs max_tokens, messages"):
        client.messages.create(model="m")  # type: ignore[call-overload]


def test_extra_body_header_and_query_are_sent() -> None:
    client, transport = client_of()
    client.messages.create(
        **ASKED,
        betas=["a-1", "b-2"],
        extra_body={"zzz": 1},
        extra_headers={"x-mine": "1"},
        extra_query={"beta": True},
    )
    assert transport.body() == {**ASKED, "zzz": 1}
    assert transport.headers()["anthropic-beta"] == "a-1,b-2"
    assert transport.headers()["x-mine"] == "1"
    assert transport.requests[0].url.endswith("/v1/messages?beta=true")


def test_answer_goes_back_as_it_is() -> None:
    content = [{"type": "text", "text": "a", "new": 1}, {"type": "hum", "hum": "mm"}]
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=content)))
    as_message = {"role": "assistant", "content": content}
    messages = [
        answer,
        answer.to_param(),
        {"role": "assistant", "content": answer.content},
        {"role": "assistant", "content": [answer.content[0], *content[1:]]},
    ]
    assert sent(messages=messages)["messages"] == [as_message] * 4


def test_answer_of_a_stream_goes_back_as_it_is() -> None:
    events = events_of("a", "b", block={"type": "text", "text": "", "new": 1})
    client, transport = client_of(Reply(chunks=[frames(events)]), Reply(json=message_json()))
    with client.messages.stream(**ASKED) as stream:
        answer = stream.get_final_message()
    client.messages.create(**{**ASKED, "messages": [answer]})
    assert transport.body()["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "ab", "new": 1}]}
    ]


def test_structs_of_the_wire_are_sent() -> None:
    block = wire_content.TextParam(text="Hi")
    tool = CustomToolParam(name="n", input_schema={"type": "object"})
    body = sent(messages=({"role": "user", "content": (block,)} for _ in range(1)), tools=(tool,))
    assert body["messages"][0]["content"][0]["text"] == "Hi"
    assert body["tools"][0]["name"] == "n"


def _document(data: Any, **more: Any) -> Any:
    block = {"type": "document", "source": {"type": "base64", "data": data, **more}}
    return sent(messages=[{"role": "user", "content": [block]}])["messages"][0]["content"][0]


def test_files_are_read_and_encoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    encoded = base64.b64encode(PNG).decode()
    wanted = {
        "type": "document",
        "source": {"type": "base64", "media_type": "image/png", "data": encoded},
    }
    with path.open("rb") as file:
        for given in (path, file, PNG, bytearray(PNG), io.BytesIO(PNG)):
            assert _document(given) == wanted
    assert _document(encoded, media_type="image/png") == wanted
    assert _document(PNG, media_type="image/webp")["source"]["media_type"] == "image/webp"
    with pytest.raises(FileNotFoundError):
        _document(tmp_path / "b.png")
    with pytest.raises(TypeError, match="`data` of a base64 source is text, bytes, a path, or a"):
        _document(7)
    with pytest.raises(ValueError, match="give `media_type`"):
        _document(b"what?")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_kind_of_a_file_is_found_in_its_bytes(start: bytes, kind: str) -> None:
    assert _document(start)["source"]["media_type"] == kind


def test_file_in_the_result_of_a_tool_is_read() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    document = {"type": "document", "source": {"type": "content", "content": [image]}}
    body = sent(messages=[{"role": "user", "content": [result, document]}])
    found = body["messages"][0]["content"]
    encoded = base64.b64encode(PNG).decode()
    wanted = {"type": "base64", "media_type": "image/png", "data": encoded}
    assert found[0]["content"][0]["source"] == wanted
    assert found[1]["source"]["content"][0]["source"] == wanted


def test_blocks_where_messages_stand_are_errors() -> None:
    answer = decode_answer(Message, msgspec.json.encode(message_json()))
    client, _ = client_of()
    with pytest.raises(TypeError, match="a message is a TextBlock"):
        client.messages.create(**{**ASKED, "messages": answer.content})
    with pytest.raises(TypeError, match="content is one block"):
        client.messages.create(
            **{**ASKED, "messages": [{"role": "user", "content": {"type": "text", "text": "a"}}]}
        )


def test_tokens_are_counted() -> None:
    client, transport = client_of(Reply(json={"input_tokens": 12}))
    asked = {"model": "m", "messages": ASKED["messages"], "system": "Be brief."}
    assert client.messages.count_tokens(**asked).input_tokens == 12
    assert transport.body() == asked
    assert transport.requests[0].url.endswith("/v1/messages/count_tokens")
    with pytest.raises(TypeError, match=r"count_tokens\(\) has no parameter max_tokens"):
        client.messages.count_tokens(**ASKED)


def long_reply() -> Reply:
    return Reply(headers={"request-id": "req_1"}, chunks=[frames(events_of("Hel", "lo"))])


LONG: Any = {**ASKED, "max_tokens": 21_334}


def test_long_answer_is_streamed_underneath() -> None:
    client, transport = client_of(long_reply())
    message = client.messages.create(**LONG)
    assert message == decode_answer(Message, msgspec.json.encode(message_json()))
    assert message.request_id == "req_1"
    assert transport.body()["stream"] is True


def test_long_answer_of_an_async_client_is_streamed_underneath() -> None:
    async def ask() -> None:
        transport = AsyncScriptedTransport(long_reply(), long_reply())
        client = antiphon.AsyncClient(api_key="k", transport=transport)
        assert (await client.messages.create(**LONG)).text == "Hello"
        assert (await client.messages.create.raw(**LONG)).parse().text == "Hello"
        assert transport.body()["stream"] is True

    asyncio.run(ask())


def test_raw_answer_is_the_same_streamed_underneath_or_not() -> None:
    client, _ = client_of(Reply(json=message_json()), long_reply())
    short = client.messages.with_raw_response.create(**ASKED)
    long = client.messages.create.raw(**LONG)
    assert short.json() == long.json()
    assert short.parse() == long.parse()
    assert long.request_id == "req_1"
    assert long.status_code == 200


def test_program_that_says_how_long_is_not_streamed() -> None:
    client, transport = client_of()
    client.messages.create(**LONG, timeout=60.0)
    assert "stream" not in transport.body()
    client, transport = client_of(timeout=60.0)
    client.messages.create(**LONG)
    assert "stream" not in transport.body()


def test_answer_of_as_many_tokens_as_may_be_is_not_streamed() -> None:
    assert "stream" not in sent(max_tokens=21_333)


def test_raw_stream_is_refused_with_the_way_that_there_is() -> None:
    client, _ = client_of()
    with pytest.raises(TypeError, match=r"its head in `\.response`"):
        client.messages.create.raw(**ASKED, stream=True)  # type: ignore[call-arg]


def test_modules_of_the_server_are_not_imported() -> None:
    program = """
import sys, antiphon
client = antiphon.Client(api_key="k")
client.messages.create, client.messages.stream, antiphon.types.Message
bad = {"sqlalchemy", "pydantic", "asyncio", "starlette", "antiphon.core", "antiphon.settings"}
print(sorted(bad & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_omitted_parameter_is_as_if_it_were_not_given() -> None:
    assert sent(system=antiphon.omit, timeout=antiphon.NOT_GIVEN, tools=antiphon.NOT_GIVEN) == ASKED
    assert not antiphon.omit
    assert repr(antiphon.NOT_GIVEN) == "omit"
    client, transport = client_of(Reply(json={"input_tokens": 1}))
    asked = {"model": "m", "messages": ASKED["messages"]}
    client.messages.count_tokens(**asked, system=antiphon.omit)
    assert transport.body() == asked
