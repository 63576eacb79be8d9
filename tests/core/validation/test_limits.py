import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.core.validation import check_fits
from support.requests import PLAIN, able, prompt, refusal, tool


def test_prompt_holds_the_parameters_of_the_request() -> None:
    assert prompt(max_tokens=100).max_tokens == 100


def test_max_tokens_of_zero_is_accepted() -> None:
    assert prompt(max_tokens=0).max_tokens == 0


def test_max_tokens_of_zero_cannot_be_streamed() -> None:
    assert refusal(max_tokens=0, stream=True) == (
        "max_tokens: must be greater than 0 when `stream` is true"
    )


@pytest.mark.parametrize("asked", [101, 10**30])
def test_max_tokens_beyond_the_models_maximum_is_refused(asked: int) -> None:
    assert refusal(max_tokens=asked, capabilities=PLAIN) == (
        f"max_tokens: {asked} > 100, which is the maximum allowed number of output tokens for m"
    )


def test_prompt_that_leaves_room_fits() -> None:
    check_fits(199, PLAIN)


@pytest.mark.parametrize(("tokens", "maximum"), [(200, 199), (201, 200), (999, 200)])
def test_prompt_that_leaves_no_room_is_refused(tokens: int, maximum: int) -> None:
    with pytest.raises(InvalidRequestError) as error:
        check_fits(tokens, PLAIN)
    assert str(error.value) == f"prompt is too long: {tokens} tokens > {maximum} maximum"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("stream", True, "`stream` is true"),
        ("thinking", {"type": "enabled", "budget_tokens": 1024}, "`thinking` is enabled"),
        (
            "output_config",
            {"format": {"type": "json_schema", "schema": {"type": "string"}}},
            "`output_config.format` is set",
        ),
        ("tool_choice", {"type": "any"}, "`tool_choice` forces tool use"),
        ("tool_choice", {"type": "tool", "name": "get_weather"}, "`tool_choice` forces tool use"),
    ],
)
def test_max_tokens_of_zero_is_refused_where_output_is_required(
    field: str, value: object, reason: str
) -> None:
    assert refusal(max_tokens=0, tools=[tool()], **{field: value}) == (
        f"max_tokens: must be greater than 0 when {reason}"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thinking", {"type": "adaptive"}),
        ("output_config", {"effort": "low"}),
        ("tool_choice", {"type": "auto"}),
    ],
)
def test_max_tokens_of_zero_with_neutral_parameters_is_accepted(field: str, value: object) -> None:
    assert able(max_tokens=0, tools=[tool()], **{field: value}).max_tokens == 0
