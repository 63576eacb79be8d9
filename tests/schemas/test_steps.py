import pytest

from antiphon.schemas.steps import STEPS, Steps, TooComplexError, Work, WorkStoppedError


def test_budget_gives_its_steps_and_no_more() -> None:
    steps = Steps(3)
    steps.take(3)
    with pytest.raises(TooComplexError):
        steps.take()


def test_work_without_a_limit_has_whole_budgets() -> None:
    work = Work()
    budgets = [work.budget(), work.budget(5)]
    assert [steps.most for steps in budgets] == [STEPS, 5]
    budgets[1].take(4)
    assert work.taken == 4


def test_limit_stops_the_work_over_all_budgets() -> None:
    work = Work(10)
    work.budget(20).take(6)
    second = work.budget(20)
    second.take(4)
    with pytest.raises(WorkStoppedError):
        second.take()


def test_budget_below_the_limit_is_still_too_complex() -> None:
    with pytest.raises(TooComplexError):
        Work(10).budget(5).take(6)


def test_stopped_work_ends_at_the_next_step_of_every_budget() -> None:
    work = Work()
    before = work.budget()
    before.take()
    work.stop()
    for steps in (before, work.budget()):
        with pytest.raises(WorkStoppedError):
            steps.take()
