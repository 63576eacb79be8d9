"""The official Python SDK, unmodified, against a running server."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from support.processes import KEY, Program

MODEL = "claude-opus-5-5"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}


@pytest.fixture(params=["scripted", "tiny"])
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sdk(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def asked(text: str) -> dict[str, Any]:
    return {**ASK, "messages": [{"role": "user", "content": text}]}


def test_sdk_gets_a_message(sdk: anthropic.Anthropic) -> None:
    message = sdk.messages.create(**ASK)
    assert message.model == MODEL
    assert message.content[0].type == "text"
    assert message.content[0].text
    assert message.stop_reason in {"end_turn", "max_tokens"}
    assert message.usage.input_tokens > 0
    assert 0 < message.usage.output_tokens <= 16
    assert message._request_id
    assert message._request_id.startswith("req_")


def test_a_stream_and_its_final_message_agree(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].type == "text"
    assert final.content[0].text == text
    assert final.usage.output_tokens > 0


def test_raw_events_come_in_order(sdk: anthropic.Anthropic) -> None:
    kinds = [event.type for event in sdk.messages.create(**ASK, stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


@pytest.mark.anyio
async def test_the_async_client_works_as_well(program: Program) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=program.url, auth_token=KEY, max_retries=0
    ) as client:
        message = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            text = await stream.get_final_text()
    assert message.content
    assert text


def test_count_tokens_equals_the_bill(sdk: anthropic.Anthropic) -> None:
    counted = sdk.messages.count_tokens(model=MODEL, messages=ASK["messages"], system="Be brief.")
    message = sdk.messages.create(**ASK, system="Be brief.")
    assert counted.input_tokens == message.usage.input_tokens


def test_models_are_listed_and_found(sdk: anthropic.Anthropic) -> None:
    listed = list(sdk.models.list(limit=1))
    assert len(listed) == 1
    found = sdk.models.retrieve(MODEL)
    assert found.id == listed[0].id
    assert found.max_input_tokens
    assert found.capabilities


def test_the_old_version_takes_sampling_parameters(sdk: anthropic.Anthropic) -> None:
    old = {"anthropic-version": "2023-06-01"}
    message = sdk.messages.create(**ASK, extra_headers=old, extra_body={"temperature": 0})
    assert message.content
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs"):
        sdk.messages.create(**ASK, extra_body={"temperature": 0})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": "gpt-1"}, anthropic.NotFoundError),
        ({"max_tokens": -1}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"extra_body": {"zzz": 1}}, anthropic.BadRequestError),
    ],
)
def test_sdk_raises_the_class_of_each_error(sdk: anthropic.Anthropic, changes, error) -> None:
    with pytest.raises(error) as caught:
        sdk.messages.create(**{**ASK, **changes})
    assert caught.value.request_id.startswith("req_")
    assert caught.value.body["error"]["message"]


def test_a_wrong_key_is_an_authentication_error(program: Program) -> None:
    with (
        anthropic.Anthropic(base_url=program.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match="Invalid bearer token"),
    ):
        client.messages.create(**ASK)


def test_an_overloaded_engine_is_an_overloaded_error(scripted: Program) -> None:
    with (
        anthropic.Anthropic(base_url=scripted.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(anthropic.OverloadedError, match="Overloaded"),
    ):
        client.messages.create(**asked("be overloaded"))


def test_a_failure_in_mid_stream_is_raised(scripted: Program) -> None:
    with anthropic.Anthropic(base_url=scripted.url, api_key=KEY, max_retries=0) as client:
        heard: list[str] = []
        with (
            pytest.raises(anthropic.APIStatusError, match="Internal server error"),
            client.messages.stream(**asked("break off")) as stream,
        ):
            heard.extend(stream.text_stream)
    assert heard == ["I", " am", " the"]


def test_timeout_of_a_caller_does_not_harm_the_server(scripted: Program) -> None:
    with anthropic.Anthropic(base_url=scripted.url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(anthropic.APITimeoutError):
            client.messages.create(**asked("be slow"), timeout=0.2)
        assert client.messages.create(**ASK).content


def test_raw_answers_carry_the_request_id(scripted: Program) -> None:
    with anthropic.Anthropic(base_url=scripted.url, api_key=KEY) as client:
        raw = client.messages.with_raw_response.create(**ASK)
    assert raw.headers["x-antiphon-model"] == "scripted"
    assert raw.request_id == raw.headers["request-id"]


def test_x_api_key_is_taken_from_plain_http(scripted: Program) -> None:
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    answer = httpx2.post(f"{scripted.url}/v1/messages?beta=true", json=ASK, headers=headers)
    assert answer.status_code == 200
