"""Where a command that asks a model finds its server, the key and the model."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from antiphon.cli.command import CommandError
from antiphon.sdk.environment import LOCAL, Environment, read_environment
from antiphon.sdk.errors import APIConnectionError, APIError, CredentialsError
from antiphon.settings import Settings, environment_with
from antiphon.transport.base import without_userinfo
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.sdk.client import Client
    from antiphon.sdk.types.message import Message

PROGRAM = "terminal"
"""The name of the key that these commands have on the data folder."""


_NO_KEY: Final = "If no server runs yet, `antiphon serve` starts one, whose key is found"
_NO_SERVER: Final = "`antiphon serve` starts a server; --base-url names one elsewhere"


class Model(msgspec.Struct, frozen=True):
    """A model, and its bounds in tokens, `None` where the server states none."""

    id: str
    context: int | None
    most_tokens: int | None


class Connection(msgspec.Struct, frozen=True):
    """A client, and the models that its server offers, the default one first.

    `settings` are those of a server on this machine, which say what it charges. As a context it
    closes the client at its end.
    """

    client: "Client"
    models: tuple[Model, ...]
    settings: Settings | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def dollars(self, asked: str, message: "Message") -> Decimal | None:
        """Return what an answer costs that this model was asked for; `None` if that is not known.

        A server here charges what its settings say. One elsewhere may as well, so only the
        published price of a model of its own is taken for true.
        """
        from antiphon.core.billing.price_list import list_price, price_for  # noqa: PLC0415
        from antiphon.sdk.cost import cost_of_usage  # noqa: PLC0415 - for an answer that is there

        if self.settings is None:
            price = list_price(message.model)
        else:
            served = [one for one in self.settings.served() if one.id == message.model]
            own = served[0].price if served else None
            price = price_for(asked, message.model, own.price() if own is not None else None)
        return None if price is None else cost_of_usage(message.usage, price).usd

    def model(self, wanted: str | None) -> Model:
        """Return a model by its id, an alias, or the first. Raises `CommandError`.

        A name that is in no list may be an alias, which the server is asked for.
        """
        if wanted is None:
            return self.models[0]
        for model in self.models:
            if model.id == wanted:
                return model
        from antiphon.sdk.errors import NotFoundError  # noqa: PLC0415

        try:
            found = self.client.models.retrieve(wanted)
        except (NotFoundError, ValueError) as error:
            ids = [model.id for model in self.models]
            near = get_close_matches(wanted, ids, 1, 0.5)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ids)}"
            raise CommandError(f"there is no model {shortened(wanted)!r}; {meant}") from error
        except APIError as error:
            raise CommandError(told(error)) from error
        return Model(found.id, found.max_input_tokens, found.max_tokens)


def add_connection(command: argparse.ArgumentParser) -> None:
    """Add the flags that say which server is meant."""
    command.add_argument(
        "--base-url",
        metavar="URL",
        help="the server; default: ANTIPHON_BASE_URL, else the one that runs on the data folder, "
        f"else {LOCAL}",
    )
    command.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="where the key is; default: ANTIPHON_API_KEY. A server on the data folder needs none",
    )


def connect(arguments: argparse.Namespace, settings: Settings) -> Connection:
    """Find the server and the key, and ask for the models. Raises `CommandError`."""
    client = open_client(arguments, settings)
    try:
        here = not (arguments.base_url or _environment().base_url)
        return Connection(client, _models(client), settings if here else None)
    except BaseException:
        client.close()
        raise


def open_client(arguments: argparse.Namespace, settings: Settings) -> "Client":
    """Return a client of the server that is meant, with the key. Raises `CommandError`."""
    from antiphon.sdk.client import Client  # noqa: PLC0415 - it takes 20 ms

    environment = _environment()
    elsewhere = arguments.base_url or environment.base_url
    if elsewhere is None:
        # A key of the hosted API is not for whatever listens on this machine.
        environment = environment.for_unnamed_address()
    url, key = _address_and_key(arguments, settings, elsewhere)
    for secret in (key, environment.api_key, environment.auth_token):
        if secret is not None and not (secret.isascii() and secret.isprintable()):
            raise CommandError("this key has characters that no key has")
    try:
        return Client(base_url=url, api_key=key, environment=environment)
    except ValueError as error:
        raise CommandError(str(error).replace("base_url is", "--base-url:")) from error


def _environment() -> Environment:
    return read_environment(environment_with())


def _models(client: "Client") -> tuple[Model, ...]:
    """Ask for the models. Raises `CommandError`."""
    url = without_userinfo(client.options.base_url)
    with told_by_api(client):
        models = tuple(
            Model(model.id, model.max_input_tokens, model.max_tokens)
            for model in client.models.list(limit=1000)
        )
    if not models:
        raise CommandError(f"{url} serves no model")
    return models


@contextmanager
def told_by_api(client: "Client") -> Iterator[None]:
    """Raise the errors of a client as a command's."""
    try:
        yield
    except CredentialsError as error:
        url = without_userinfo(client.options.base_url)
        raise CommandError(
            f"the server at {url} needs a key: set ANTIPHON_API_KEY, or name "
            f"its file with --key-file{_hint(client, _NO_KEY)}"
        ) from error
    except APIConnectionError as error:
        raise CommandError(told(error) + _hint(client, _NO_SERVER)) from error
    except APIError as error:
        raise CommandError(told(error)) from error


def _hint(client: "Client", hint: str) -> str:
    """Return what helps where nobody has named a server, and perhaps none runs."""
    return f". {hint}" if client.options.base_url == LOCAL else ""


def told(error: APIError) -> str:
    """Return an error of the API as a command says it: whole, with the id of its request."""
    return str(error)


def _address_and_key(
    arguments: argparse.Namespace, settings: Settings, elsewhere: str | None
) -> tuple[str, str | None]:
    """Return the address of the server, and the key if it is not the environment's."""
    key = None if arguments.key_file is None else _key_in(arguments.key_file)
    if elsewhere is not None:
        return elsewhere, key
    url = _running(settings)
    if url is None:
        return LOCAL, key or (settings.api_key.reveal() if settings.api_key else None)
    if key is not None:
        return url, key
    from antiphon.cli.launching.key import own_key  # noqa: PLC0415 - only for a server here

    found, _ = own_key(settings, url, PROGRAM)
    return url, found.secret


def _key_in(file: Path) -> str:
    from antiphon.cli.launching.key import given_key  # noqa: PLC0415 - few commands name a file

    return given_key(file, {}).secret


def _running(settings: Settings) -> str | None:
    """Return the address of the server that runs on the data folder, if one does."""
    try:
        from antiphon.cli.launching.server import base_url  # noqa: PLC0415 - the lock, and its file
        from antiphon.store.database.instance_lock import serving_address  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    if serving_address(settings.data_dir) is None:
        return None
    return base_url(settings, None)
