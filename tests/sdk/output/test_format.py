"""Answers that become values of a type."""

import dataclasses
from typing import Any, Literal, TypedDict, assert_type

import msgspec
import pydantic
import pytest

from antiphon.sdk.output.format import OutputFormat, output_format
from antiphon.sdk.output.parsed import OutputError, ParsedMessage
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message


class Order(msgspec.Struct):
    customer: str
    pieces: list[int]


@dataclasses.dataclass
class Circle:
    radius: float


class Movie(TypedDict):
    title: str


class Person(pydantic.BaseModel):
    age: int


def answer(text: str, stop_reason: str = "end_turn", **more: Any) -> Message:
    return decode_answer(
        Message,
        msgspec.json.encode(
            {
                "id": "msg_1",
                "model": "m",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "text", "text": text},
                ],
                "stop_reason": stop_reason,
                "usage": {"output_tokens": 7},
                "new_field": 1,
                **more,
            }
        ),
    )


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Order, '{"customer": "Ann", "pieces": [1]}', Order("Ann", [1])),
        (Circle, '{"radius": 2}', Circle(2)),
        (Movie, '{"title": "M"}', {"title": "M"}),
        (Person, '{"age": 3}', Person(age=3)),
        (list[Circle], '[{"radius": 2}]', [Circle(2)]),
        (Circle | Order, '{"radius": 2}', Circle(2)),
        (Literal["yes", "no"], '"no"', "no"),
        (Order | None, "null", None),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
    ],
)
def test_answer_becomes_a_value(kind: Any, text: str, value: Any) -> None:
    parsed = output_format(kind).parse(answer(text))
    assert parsed.parsed_output == value
    assert parsed.output == value


def test_answer_stays_what_it_is() -> None:
    message = answer('{"radius": 1}')
    form: OutputFormat[Circle] = OutputFormat(Circle)
    parsed = form.parse(message)
    assert_type(parsed, ParsedMessage[Circle])
    assert_type(parsed.parsed_output, Circle | None)
    assert_type(parsed.output, Circle)
    assert isinstance(parsed, Message)
    assert parsed.to_dict() == message.to_dict()
    assert parsed.extra == {"new_field": 1}
    assert parsed.to_param() == message.to_param()


def test_type_is_asked_for() -> None:
    asked = output_format(Circle).ask({"model": "m", "output_config": {"effort": "low"}})
    assert asked == {
        "model": "m",
        "output_config": {
            "effort": "low",
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"radius": {"type": "number"}},
                    "required": ["radius"],
                    "additionalProperties": False,
                },
            },
        },
    }
    with pytest.raises(ValueError, match="either output_format or"):
        output_format(Circle).ask({"output_config": {"format": {"type": "json_schema"}}})


def test_format_of_a_type_is_made_once() -> None:
    assert output_format(Circle) is output_format(Circle)


def test_type_that_cannot_be_guaranteed_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TypeError, match="the output: an object of any keys"):
        output_format(dict[str, int])


def test_answer_that_does_not_fit_says_where() -> None:
    message = answer('{"customer": "Ann", "pieces": [1, "two"]}')
    with pytest.raises(OutputError) as failed:
        output_format(Order).parse(message)
    assert str(failed.value) == (
        "the answer does not fit the type of the output: pieces[1]: Expected `int`, got `str`"
    )
    assert failed.value.problems[0].path == "pieces[1]"
    assert failed.value.message is message
    with pytest.raises(OutputError, match="it is not JSON"):
        output_format({"type": "object", "properties": {}}).parse(answer("{"))


@pytest.mark.parametrize(
    ("reason", "more", "said"),
    [
        ("max_tokens", {}, "the answer was cut at 7 tokens, before its JSON ended: raise max_tok"),
        ("model_context_window_exceeded", {}, "the context of the model is full"),
        ("tool_use", {}, "the model calls tools first"),
        ("refusal", {}, "the model refused to answer$"),
        ("refusal", {"stop_details": {"type": "refusal", "category": "bio"}}, "answer: bio$"),
        ("pause_turn", {}, "the answer has no value: its stop_reason is 'pause_turn'"),
    ],
)
def test_answer_that_is_not_whole_has_no_value(reason: str, more: Any, said: str) -> None:
    parsed = output_format(Circle).parse(answer('{"rad', reason, **more))
    assert parsed.parsed_output is None
    with pytest.raises(OutputError, match=said) as failed:
        _ = parsed.output
    assert failed.value.problems == ()
    assert failed.value.message is parsed
