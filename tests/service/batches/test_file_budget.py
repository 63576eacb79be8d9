"""What requests of batches may keep of files."""

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.service.batches.file_budget import FileBudget


def test_requests_share_the_budget() -> None:
    budget = FileBudget(100)
    with budget.share() as one, budget.share() as other:
        one(60)
        other(40)
        with pytest.raises(OverloadedError):
            other(1)
    with budget.share() as later:
        later(100)


def test_request_that_is_alone_has_what_it_needs() -> None:
    budget = FileBudget(100)
    with budget.share() as alone, budget.share() as second:
        alone(500)
        alone(500)
        with pytest.raises(OverloadedError):
            second(1)
    with budget.share() as second:
        second(1)


def test_request_without_files_needs_nothing() -> None:
    budget = FileBudget(100)
    with budget.share() as one, budget.share():
        one(100)
