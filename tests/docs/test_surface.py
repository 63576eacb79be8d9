"""The table of what is served cannot go backwards unseen."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from support import surface
from support.surface import SurfaceError, covered, main, page, regressions, stated

Suite: TypeAlias = Callable[..., Path]

TOP_P, PING, VERSION = "parameters: top_p", "events: ping", "headers: anthropic-version: 2023-06-01"


def marked(*marks: tuple[str, str], name: str = "test_it", more: str = "") -> str:
    """The source of a test with these marks."""
    lines = [f"@pytest.mark.covers({thing!r}, {state!r})" for thing, state in marks]
    return "\n".join([*lines, *([more] if more else []), f"async def {name}(): ...", ""])


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Makes a folder of tests out of their sources."""

    def write(*sources: str) -> Path:
        for number, source in enumerate(sources):
            folder = tmp_path / f"part_{number}"
            folder.mkdir(exist_ok=True)
            (folder / "test_it.py").write_text(f"import pytest\n\n{source}", encoding="utf-8")
        return tmp_path

    return write


def test_best_of_several_marks_counts(suite: Suite) -> None:
    tests = suite(
        marked((TOP_P, "ignored"), (PING, "shape")), marked((TOP_P, "effect"), (PING, "refused"))
    )
    assert covered(tests) == {TOP_P: "effect", PING: "shape"}


def test_page_states_what_the_tests_cover() -> None:
    states = {TOP_P: "effect", PING: "ignored", VERSION: "refused"}
    assert stated(page(states)) == states
    assert stated(page({})) == {}


def test_missing_mark_is_reported(suite: Suite) -> None:
    before = covered(suite(marked((TOP_P, "effect"), (PING, "shape"))))
    assert regressions(before, covered(suite(marked((PING, "shape"))))) == [
        f"{TOP_P}: effect, now not yet"
    ]


@pytest.mark.parametrize(
    ("was", "is_now"),
    [("effect", "shape"), ("effect", "refused"), ("shape", "ignored"), ("ignored", "refused")],
)
def test_weaker_mark_is_reported(suite: Suite, was: str, is_now: str) -> None:
    before, after = covered(suite(marked((TOP_P, was)))), covered(suite(marked((TOP_P, is_now))))
    assert regressions(before, after) == [f"{TOP_P}: {was}, now {is_now}"]
    assert regressions(after, before) == []


def test_thing_that_left_the_surface_is_reported() -> None:
    assert regressions({"parameters: once": "effect"}, {}) == [
        "parameters: once: effect, now not yet"
    ]


def test_new_mark_is_not_reported(suite: Suite) -> None:
    before = covered(suite(marked((TOP_P, "refused"))))
    assert regressions(before, covered(suite(marked((TOP_P, "refused"), (PING, "effect"))))) == []


@pytest.mark.parametrize(
    "mark", [("parameters: top_q", "effect"), ("top_p", "effect"), (TOP_P, "?")]
)
def test_mark_with_an_unknown_thing_or_state_is_refused(
    suite: Suite, mark: tuple[str, str]
) -> None:
    with pytest.raises(SurfaceError, match="is nothing of the surface"):
        covered(suite(marked(mark)))


@pytest.mark.parametrize(
    "more", ["@pytest.mark.skip", "@pytest.mark.xfail(strict=True)", "@pytest.mark.skipif(True)"]
)
def test_mark_on_a_test_that_may_be_skipped_is_refused(suite: Suite, more: str) -> None:
    with pytest.raises(SurfaceError, match="shows nothing"):
        covered(suite(marked((TOP_P, "effect"), more=more)))


def test_mark_on_a_function_that_is_no_test_is_refused(suite: Suite) -> None:
    with pytest.raises(SurfaceError, match="is no test"):
        covered(suite(marked((TOP_P, "effect"), name="check_it")))


def test_page_is_not_written_with_weaker_states(tmp_path: Path) -> None:
    path, states = tmp_path / "coverage.md", covered()
    every = (f"{kind}: {name}" for kind, names in surface.SURFACE.items() for name in names)
    unmarked = next(thing for thing in every if thing not in states)
    before = page({**states, unmarked: "effect"})
    path.write_text(before, encoding="utf-8")
    said = main([], path)
    assert said is not None
    assert f"{unmarked}: effect, now not yet" in said
    assert path.read_text(encoding="utf-8") == before
    assert main(["--take-back"], path) is None
    assert path.read_text(encoding="utf-8") == page(states)


def test_every_removed_mark_is_reported() -> None:
    """Of the real tests: without the marks of any one thing, the committed page is not held."""
    committed = stated(surface.PAGE.read_text(encoding="utf-8"))
    states = covered()
    assert committed
    for thing, state in committed.items():
        rest = {other: states[other] for other in states if other != thing}
        assert regressions(committed, rest) == [f"{thing}: {state}, now not yet"]
