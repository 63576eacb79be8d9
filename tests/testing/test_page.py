"""The examples of docs/sdk/testing.md are tests that pass."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "sdk" / "testing.md"


def test_examples_of_the_page_pass(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"))
    pytester.makepyfile("\n".join(blocks))
    tests = sum(block.count("\ndef test_") + block.startswith("def test_") for block in blocks)
    assert tests == 6
    for mode in ("once", "none"):
        run = pytester.runpytest_inprocess(
            *("-p", "antiphon.testing.plugin", "-p", "no:cacheprovider"),
            f"--antiphon-cassettes={mode}",
        )
        run.assert_outcomes(passed=tests)
