"""A plugin of pytest for `make coverage`: what is drawn is not measured."""

from collections.abc import Generator

import pytest
from coverage import Coverage


class OnlyWhatIsWritten:
    """Measures the coverage of examples that are written down, and not of those that are drawn.

    So full coverage needs no luck, and no examples are drawn twice as slowly because of it.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        measuring = Coverage.current()
        if measuring is None or item.get_closest_marker("hypothesis") is None:
            return (yield)
        measuring.stop()
        try:
            return (yield)
        finally:
            measuring.start()
