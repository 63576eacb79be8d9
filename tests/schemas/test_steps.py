import pytest

from antiphon.schemas.steps import STEPS, Steps, TooComplexError


def test_steps_are_counted_up_to_the_most_there_are() -> None:
    steps = Steps(3)
    steps.take()
    steps.take(2)
    assert steps.taken == 3
    with pytest.raises(TooComplexError):
        steps.take()


def test_budget_is_that_of_one_schema_if_none_is_given() -> None:
    assert Steps().most == STEPS
