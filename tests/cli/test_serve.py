"""What a server says while it loads and when it stops."""

from pathlib import Path

import pytest

from antiphon.cli.serve import goodbye, say_loading
from antiphon.service.models import ModelSource
from antiphon.settings import ModelSettings

FILE = Path("a.gguf")


@pytest.mark.parametrize(
    ("names", "said"),
    [([], ""), (["one"], "Loading model one …\n"), (["one", "two"], "Loading models one, two …\n")],
)
def test_models_of_files_are_named_while_they_are_loaded(
    names: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [ModelSource(ModelSettings(id=name), (FILE,)) for name in names]
    say_loading([*files, ModelSource(ModelSettings(id="scripted", engine="scripted"), (None,))])
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (0, "Stopping."),
        (1, "Stopping, 1 request left; Ctrl-C again stops now."),
        (2, "Stopping, 2 requests left; Ctrl-C again stops now."),
    ],
)
def test_stop_tells_what_it_waits_for(running: int, said: str) -> None:
    assert goodbye(running) == said
