"""`antiphon models`: the files of models, and those that are worth fetching."""

import argparse
from typing import Any

from antiphon.cli.command import actions_of, add_command, add_confirmation
from antiphon.cli.output import say_unchanged
from antiphon.cli.talking.connection import add_connection
from antiphon.settings import Settings
from antiphon.store.data_folder import open_data_folder
from antiphon.weights.hub_access import hub_of
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model

_MODEL = "a name of a model: qwen3.5-4b, hf:OWNER/REPO:Q4_K_M, an address, a path, …"


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    pull = add_command(actions, "pull", _pull_model, "fetch a model, and check it", json=False)
    pull.add_argument("spec", metavar="MODEL", help=_MODEL)
    add_command(
        actions, "list", _list_models, "list the models on this machine, also of other programs"
    )
    shown = add_command(
        actions, "show", _show_model, "say what is known of a model here, without loading it"
    )
    shown.add_argument("model", metavar="MODEL", help=_MODEL)
    checked = add_command(
        actions, "check", _check_model, "say what is learned of a model, without loading it"
    )
    checked.add_argument(
        "model",
        metavar="MODEL",
        help="a name as for `pull`, of which the beginning is read, or the file of a chat template",
    )
    fitting = add_command(
        actions, "recommended", _recommend_models, "say which models fit this machine"
    )
    fitting.add_argument(
        "--memory",
        metavar="SIZE",
        help="for a machine with so much memory, such as 8GiB, instead of what is free here",
    )
    fitting.add_argument("--gpu-memory", metavar="SIZE", help="and a GPU with so much; 0 for none")
    fitting.add_argument(
        "--all", action="store_true", help="list the whole catalogue, with what does not fit"
    )
    _add_exam(actions)
    served = add_command(
        actions, "served", _list_served, "list the models that a server offers, here or elsewhere"
    )
    add_connection(served)
    add_command(actions, "ps", _list_loaded, "list what a running server has loaded")
    for name in ("remove", "rm"):
        remove = add_command(actions, name, _remove_model, "delete a model that was pulled")
        remove.add_argument("name", metavar="MODEL", help="its name, or the name of its file")
        add_confirmation(remove)


def _add_exam(actions: Any) -> None:
    # Its flags have their words where it does its work, which needs the whole server.
    command = add_command(
        actions, "exam", _take_exam, "examine a running model: calls, edits, long texts, speed"
    )
    command.set_defaults(settings=("data_dir", "model"))
    command.add_argument(
        "--minutes", type=float, default=10.0, metavar="N", help="how long it may take; default: 10"
    )
    command.add_argument(
        "--base-url",
        metavar="URL",
        help="a server elsewhere, whose key is ANTIPHON_API_KEY; default: the server that runs on "
        "the data folder, else one for the exam alone",
    )
    command.add_argument(
        "--model", metavar="SPEC", help="examine this model, on a server for the exam alone"
    )
    command.add_argument("--id", metavar="ID", help="which of several models, by its id")


def _take_exam(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.exam.taking import take_exam  # noqa: PLC0415 - it needs the server

    return take_exam(arguments, settings)


def _pull_model(arguments: argparse.Namespace, settings: Settings) -> int:
    open_data_folder(settings.data_dir)
    path = ensure_model(
        arguments.spec, settings.data_dir, open_progress(arguments.spec), hub_of(settings)
    )
    say_unchanged(str(path))
    return 0


def _list_models(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.model_files import print_models  # noqa: PLC0415 - as below

    return print_models(arguments, settings)


def _show_model(arguments: argparse.Namespace, settings: Settings) -> int:
    # It needs templates and their engine, which most actions do without.
    from antiphon.cli.model_show import show_model  # noqa: PLC0415

    return show_model(arguments, settings)


def _check_model(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.model_check import check_model  # noqa: PLC0415 - as above

    return check_model(arguments, settings)


def _recommend_models(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.recommended import print_recommended  # noqa: PLC0415 - as above

    return print_recommended(arguments, settings)


def _list_served(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.served_models import print_served  # noqa: PLC0415 - it needs the client

    return print_served(arguments, settings)


def _list_loaded(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.loaded_models import print_loaded  # noqa: PLC0415 - as above

    return print_loaded(arguments, settings)


def _remove_model(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.model_files import remove  # noqa: PLC0415 - as above

    return remove(arguments, settings)
