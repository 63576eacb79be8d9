"""`antiphon models served`: the models that a server offers, through its API."""

import argparse
from typing import Any

from antiphon.cli.output import say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.cli.talking.connection import open_client, told_by_api
from antiphon.sdk.models import ModelInfo
from antiphon.settings import Settings
from antiphon.wire.errors import shortened


def print_served(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the models of a server, the default one first. Raises `CommandError`."""
    with open_client(arguments, settings) as client, told_by_api(client):
        models = list(client.models.list(limit=1000))
    if arguments.json:
        say_json(models)
        return 0
    form = TableForm(empty="The server serves no model.", texts=("name",), least_useful=("name",))
    say_table([_row(model) for model in models], form)
    return 0


def _row(model: ModelInfo) -> dict[str, Any]:
    def tokens(number: int | None) -> str | None:
        return None if number is None else f"{number:,}"

    return {
        "id": shortened(model.id),
        "name": shortened(model.display_name),
        "context": tokens(model.max_input_tokens),
        "answer": tokens(model.max_tokens),
    }
