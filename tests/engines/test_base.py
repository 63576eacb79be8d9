import pytest

from antiphon.engines.base import EFFORTS, nearest


@pytest.mark.parametrize("effort", EFFORTS)
def test_supported_effort_is_unchanged(effort: str) -> None:
    assert nearest(effort, EFFORTS) == effort


@pytest.mark.parametrize(
    ("effort", "levels", "found"),
    [
        ("max", ("low", "medium", "high"), "high"),
        ("low", ("high", "max"), "high"),
        ("medium", ("low", "high"), "low"),
        ("xhigh", ("low", "max"), "max"),
    ],
)
def test_unsupported_effort_becomes_the_nearest_level(
    effort: str, levels: tuple[str, ...], found: str
) -> None:
    assert nearest(effort, levels) == found
