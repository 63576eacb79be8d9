import pytest

from antiphon.schemas.steps import STEPS, Steps, TooComplexError


def test_steps_beyond_the_budget_raise_too_complex() -> None:
    steps = Steps(3)
    steps.take()
    steps.take(2)
    assert steps.taken == 3
    with pytest.raises(TooComplexError):
        steps.take()


def test_default_budget_is_that_of_one_schema() -> None:
    assert Steps().most == STEPS
